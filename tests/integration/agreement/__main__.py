# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the verdict right? Judge, try for real, compare: python -m tests.integration.agreement [--help]"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.agreement import checker, recording, run, tables
from tests.integration.agreement.case import Case
from tests.lab.places import LAB

OUT = Path(".cache/agreement.json")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.agreement", description=__doc__)
    parser.add_argument("--only", default="", help="names of cases, comma-separated")
    parser.add_argument("--kind", default="", help="hand, clean or mutation")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the raw results go ({OUT})")
    parser.add_argument("--record", action="store_true", help="keep the results that are right, for docs and replay")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--jobs", type=int, default=1, help="so many labs side by side")
    parser.add_argument("--part", default="", help="I/N: only this part of the cases; what --jobs gives to each")
    given = parser.parse_args(words)
    chunks = tables.part(tables.chunks(tables.choose(given.only, given.kind, given.sample, given.seed)), given.part)
    if given.jobs > 1:
        _side_by_side(words, given.jobs, given.out)
    else:
        _one_lab(chunks, given.out, given.keep)
    if given.record:
        names = {case.name for case in tables.every()}
        new = recording.renewed(recording.load(recording.RECORDED), recording.load(given.out), names)
        recording.save(recording.RECORDED, *new)
    code = checker.main([str(given.out)])
    ended = {record["name"] for record in recording.load(given.out)[0]}
    lost = {case.name for chunk in chunks for case in chunk} - ended
    if lost:
        print(f"no result, since the run ended before: {', '.join(sorted(lost))}")
    return 1 if lost else code


def _one_lab(chunks: Sequence[list[Case]], out: Path, keep: bool) -> None:
    records: list[Any] = []
    seen: dict[str, Any] = {}
    with run.raised([case for chunk in chunks for case in chunk], keep):
        for chunk in chunks:
            done = run.run(chunk)
            records += done.records.values()
            seen |= {name: vars(entry) for name, entry in done.seen.items()}
            for record in done.records.values():
                _say(record)
            recording.save(out, records, seen)


def _side_by_side(words: Sequence[str], jobs: int, out: Path) -> None:
    """The same command once for each lab, with a part of the cases; what they found is put together."""
    outs = [out.with_suffix(f".{number}.json") for number in range(jobs)]
    running = []
    for number, each in enumerate(outs):
        each.unlink(missing_ok=True)
        mine = [word for word in words if word != "--record"]
        mine += ["--jobs", "1", "--part", f"{number}/{jobs}", "--out", str(each)]
        command = [sys.executable, "-m", "tests.integration.agreement", *mine]
        environment = {**os.environ, "LIVEMIG_LAB_NAME": f"{LAB}{number}"}
        running.append(subprocess.Popen(command, env=environment))
    for process in running:
        process.wait()
    found = [recording.load(each) for each in outs]
    records = [record for records, _seen in found for record in records]
    recording.save(out, records, {name: entry for _records, seen in found for name, entry in seen.items()})


def _say(record: Any) -> None:
    found = checker.judge(record)
    verdict = record["verdict"]
    reasons = ", ".join(dict.fromkeys(entry["check"] for entry in verdict.get("reasons", ())))
    said = f"refused ({reasons})" if verdict.get("refused") else "allowed"
    print(f"{found.result:8} {record['name']}: {said}; it {found.truth}: {found.why}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
