# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults at real moments of real migrations, and what recover makes of them: python -m tests.faults [--help]"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import checker, recording, run
from tests.faults.table import FAULTS
from tests.lab import api

STABLE = ("hv1", "hv2")
OUT = Path(".cache/faults.json")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", default="", help="names of faults, comma-separated")
    parser.add_argument("--sample", type=int, default=0, help="so many faults, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the raw results go ({OUT})")
    parser.add_argument("--record", action="store_true", help="keep the results for docs/faults.md")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    given = parser.parse_args(words)
    names = {name for name in given.only.split(",") if name}
    unknown = names - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    if given.sample:
        # Of those that were seen to be recovered from, so that a sample says whether that still holds; none on hosts
        # whose Debian is another one every day.
        kept = recording.names()
        chosen = [fault for fault in chosen if fault.name in kept and fault.pair == STABLE]
        chosen = random.Random(given.seed).sample(chosen, min(given.sample, len(chosen)))
    records = []
    api.up(",".join(sorted({host for fault in chosen for host in fault.pair})))
    try:
        for fault in chosen:
            began = time.monotonic()
            records.append(run.run(fault))
            result, why = checker.judge(records[-1])
            print(f"{result:10} {fault.name}: {why} ({time.monotonic() - began:.0f} s)", flush=True)
            given.out.parent.mkdir(exist_ok=True)
            given.out.write_text(json.dumps(records, indent=1), encoding="utf-8")
    finally:
        if not given.keep:
            api.down()
    if given.record:
        recording.save(records)
    return checker.conclude(records)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
