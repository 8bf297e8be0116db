# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges what was recorded of faults: python -m tests.faults.checker RAW.json

Knows nothing of the product: it trusts processes, consoles and what libvirt on both hosts lists. Its last line:
faults: N run, N recovered, N lost, N doubled, N rebooted
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECOVERED, OPEN, LOST, DOUBLED, REBOOTED = "recovered", "open", "lost", "doubled", "rebooted"
UNFIT = "unfit"
_TWO_BOOTS, _STOOD_STILL = "2 boots and 2 boot ids", "watchdog: BUG: soft lockup"

Record = dict[str, Any]


def judge(record: Record) -> tuple[str, str]:
    """One of the words above, and why, for people."""
    if "after" not in record:
        return UNFIT, record.get("fault", "it did not come to its end")
    if not record["fired"]:
        return UNFIT, "its moment never came"
    (guest,) = record["after"]["guests"].values()
    runs = guest["runs_on"]
    if len(runs) > 1:
        return DOUBLED, f"runs on {', '.join(runs)}"
    if record["dies"]:
        return _of_the_dead(record, runs)
    if not runs:
        return LOST, "runs nowhere"
    boots, expected = len(guest["evidence"]["console"]["boots"]), 2 if record.get("reboots") else 1
    if boots != expected:
        return REBOOTED, f"booted {boots} times, expected {expected}"
    # The lab's proof does not know what was to be expected.
    allowed = (_TWO_BOOTS,) * (expected == 2) + (_STOOD_STILL,) * record.get("stalls", False)
    problems = [text for text in guest["problems"] if not any(word in text for word in allowed)]
    if problems:
        return LOST, "; ".join(problems)
    return _left_over(record, runs[0])


def _of_the_dead(record: Record, runs: Sequence[str]) -> tuple[str, str]:
    """A fault that ends the guest itself is recovered when that is reported and the guest can be started again."""
    if runs:
        return OPEN, f"runs on {runs[0]}, although the fault has ended it"
    if not any("ended" in record[part]["said"] for part in ("play", "then")):
        return OPEN, "nobody said that the guest has ended"
    defined = [host for host, entry in record["known"].items() if entry is not None]
    if len(defined) != 1:
        return LOST if not defined else OPEN, f"defined on {', '.join(defined) or 'no host'}"
    return _traces(record, defined[0])


def _left_over(record: Record, host: str) -> tuple[str, str]:
    if host not in record["ends"]:
        return OPEN, f"runs on {host}, expected {' or '.join(record['ends'])}"
    others = [name for name, entry in record["known"].items() if entry is not None and name != host]
    if others:
        return OPEN, f"is known on {', '.join(others)}, too"
    here = record["known"][host]
    if here is None or not here["active"] or not here["persistent"]:
        return OPEN, f"libvirt of {host} lists it as {here}"
    return _traces(record, host)


def _traces(record: Record, host: str) -> tuple[str, str]:
    """The last word: nothing hung, what was run afterwards ended well, and nothing is left to do."""
    if record.get("hung"):
        return OPEN, "a play did not come to its end and was killed"
    if record["then"]["code"] != 0:
        return OPEN, f"the play afterwards ended with {record['then']['code']}"
    if record["steady"]["code"] != 0 or "changed=1" in record["steady"]["said"]:
        return OPEN, "recover found more to do when it was run once more"
    marks = [name for name, entry in record["known"].items() if entry is not None and entry["marks"]]
    kept = [path for paths in record["kept"].values() for path in paths]
    if marks or kept:
        return OPEN, f"left behind: {', '.join([f'mark on {name}' for name in marks] + kept)}"
    return RECOVERED, f"on {host}"


def line(records: Sequence[Record]) -> str:
    counts = Counter(judge(record)[0] for record in records)
    said = ", ".join(f"{counts[word]} {word}" for word in (RECOVERED, LOST, DOUBLED, REBOOTED))
    rest = "".join(f", {counts[word]} {word}" for word in (OPEN, UNFIT) if counts[word])
    return f"faults: {len(records)} run, {said}{rest}"


def conclude(records: Sequence[Record]) -> int:
    """Prints what did not recover and the last line; 0 where all did."""
    for record in records:
        result, why = judge(record)
        if result != RECOVERED:
            print(f"{result:10} {record['name']}: {record['what']}: {why}")
    print(line(records))
    return 0 if records and all(judge(record)[0] == RECOVERED for record in records) else 1


if __name__ == "__main__":
    sys.exit(conclude(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
