# SPDX-License-Identifier: GPL-3.0-or-later
"""The last result of each fault, for docs/faults.md."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.table import FAULTS

RECORDED = Path(__file__).with_name("recorded.json")
_KEPT = ("ended", "changed=1")
"""What the checker looks for in what a play said; the rest is for a person who looks for a fault."""


def names() -> set[str]:
    """Of the faults that have a result."""
    return {record["name"] for record in json.loads(RECORDED.read_text(encoding="utf-8"))}


def short(record: dict[str, Any]) -> dict[str, Any]:
    """Without what only a person who looks for a fault needs."""
    made = {**record, "date": time.strftime("%Y-%m-%d")}
    for part in ("play", "then", "steady", "second"):
        if part in made:
            said = [word for word in _KEPT if word in made[part]["said"]]
            made[part] = {**made[part], "said": " ".join(said)}
    del made["before"]
    # With both hosts' logs: what the diagnosis is tested on.
    made["outcomes"] = [outcome for outcome in record.get("outcomes", ()) if outcome["diagnosis"] is not None]
    for guest in made["after"]["guests"].values():
        console = guest["evidence"]["console"]
        guest["evidence"] = {"console": {"boots": console["boots"]}}
    return made


def save(records: Sequence[dict[str, Any]]) -> None:
    """Puts these in the place of what is known of the same faults."""
    known = {}
    if RECORDED.exists():
        known = {record["name"]: record for record in json.loads(RECORDED.read_text(encoding="utf-8"))}
    known |= {record["name"]: short(record) for record in records if "after" in record}
    kept = [known[fault.name] for fault in FAULTS if fault.name in known]
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in kept)
    RECORDED.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
