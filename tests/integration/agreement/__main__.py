# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the verdict right? Judge, try for real, compare: python -m tests.integration.agreement [--help]"""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import version_text
from tests.integration.agreement import checker, replay, run, tables

OUT = Path(".cache/agreement.json")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.agreement", description=__doc__)
    parser.add_argument("--only", default="", help="names of cases, comma-separated")
    parser.add_argument("--kind", default="", help="hand, clean or mutation")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the raw results go ({OUT})")
    parser.add_argument(
        "--record", action="store_true", help="keep the result of a run that is right, for docs and replay"
    )
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    given = parser.parse_args(words)
    cases = tables.choose(given.only, given.kind, given.sample, given.seed)
    records: list[Any] = []
    seen: dict[str, Any] = {}
    with run.raised(cases, given.keep):
        for chunk in tables.chunks(cases):
            done = run.run(chunk)
            records += done.records.values()
            seen |= {name: vars(entry) for name, entry in done.seen.items()}
            for record in done.records.values():
                _say(record)
            _write(given.out, records, seen)
    status = checker.main([str(given.out)])
    if given.record and status == 0:
        shutil.copy(given.out, replay.RECORDED)
        shutil.copy(replay.seen_path(given.out), replay.seen_path(replay.RECORDED))
    return status


def _say(record: Any) -> None:
    found = checker.judge(record)
    verdict = record["verdict"]
    reasons = ", ".join(dict.fromkeys(entry["check"] for entry in verdict.get("reasons", ())))
    said = f"refused ({reasons})" if verdict.get("refused") else "allowed"
    print(f"{found.result:8} {record['name']}: {said}; it {found.truth}: {found.why}", flush=True)


def _write(path: Path, records: Sequence[Any], seen: Any) -> None:
    """The records, one a line, and beside them what the verdicts rest on, so that they can be given anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
    head = {"schema": 1, "date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": _versions(seen)}
    path.write_text(json.dumps(head)[:-1] + f', "records": [\n{lines}\n]}}\n', encoding="utf-8")
    with lzma.open(replay.seen_path(path), "wt", encoding="utf-8") as file:
        json.dump(seen, file, sort_keys=True)


def _versions(seen: Any) -> str:
    """Of each host, as it was seen first."""
    hosts: dict[str, str] = {}
    for entry in seen.values():
        for host in entry["hosts"]:
            versions = [version_text(host.get(f"{part}_version") or 0) for part in ("libvirt", "qemu")]
            hosts.setdefault(host["name"], "libvirt {}, QEMU {}".format(*versions))
    return "; ".join(f"{name}: {versions}" for name, versions in sorted(hosts.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
