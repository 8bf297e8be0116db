# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves: the records, one a line, and beside them what the verdicts rest on, to give them anew."""

from __future__ import annotations

import json
import lzma
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.agreement import checker

RECORDED = Path(__file__).with_name("recorded.json")
"""The last result of each case."""

Records = list[Any]
Seen = dict[str, Any]


def seen_path(raw: Path) -> Path:
    return raw.with_suffix(".seen.xz")


def load(raw: Path) -> tuple[Records, Seen]:
    """Nothing where there is no such file yet."""
    if not raw.exists():
        return [], {}
    with lzma.open(seen_path(raw), "rt", encoding="utf-8") as file:
        seen = json.load(file)
    return json.loads(raw.read_text(encoding="utf-8"))["records"], seen


def save(raw: Path, records: Sequence[Any], seen: Mapping[str, Any]) -> None:
    raw.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(records, key=lambda record: (record["kind"], record["name"]))
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in ordered)
    raw.write_text(f'{{"schema": 1, "records": [\n{lines}\n]}}\n', encoding="utf-8")
    with lzma.open(seen_path(raw), "wt", encoding="utf-8") as file:
        json.dump(seen, file, sort_keys=True)


def renewed(old: tuple[Records, Seen], new: tuple[Records, Seen], names: Collection[str]) -> tuple[Records, Seen]:
    """The old results, where the new ones are right replaced by these; of the cases that there still are."""
    fresh = {record["name"]: record for record in new[0] if checker.right([record])}
    kept = {record["name"]: record for record in old[0] if record["name"] in names} | fresh
    seen = {name: new[1][name] if name in fresh else old[1][name] for name in kept}
    return list(kept.values()), seen
