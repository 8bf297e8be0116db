# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the product on purpose and see a suite turn red: python -m tests.mutants [--lab] [--only NAME]

A suite that stays green although the product is wrong proves nothing. The checkout itself is never changed: each
mutant is a copy of it, in which the suite runs in a process of its own; with --lab in a lab of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.table import IN_THE_LAB, MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
LINK = ".cache/collections/ansible_collections/livemig/libvirt"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".cache", "__pycache__")
SUITE_S = 900
LAB = "mu"
SAID = re.compile(r"agreement|faults:|\d+ (passed|failed)")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="names of mutants, comma-separated")
    parser.add_argument("--lab", action="store_true", help="those that the faults in the lab must see")
    parser.add_argument("--sample", type=int, default=0, help="so many of them, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    names = {name for name in given.only.split(",") if name}
    chosen = [mutant for mutant in (IN_THE_LAB if given.lab else MUTANTS) if not names or mutant.name in names]
    if given.sample:
        chosen = random.Random(given.seed).sample(chosen, min(given.sample, len(chosen)))
    suites = sorted({(mutant.suite, mutant.words) for mutant in chosen})
    bad = [f"{suite} is red without a mutant" for suite, more in suites if not _green(None, suite, more)]
    bad += [mutant.name for mutant in chosen if not bad and _green(mutant, mutant.suite, mutant.words) is not False]
    print(f"mutants: {len(chosen)} run, {len(bad)} survived: {', '.join(bad) or 'none'}")
    return 1 if bad or not chosen else 0


def _green(mutant: Mutant | None, suite: str, words: Sequence[str]) -> bool | None:
    """Whether the suite still passes; with None the product is as it is. None: it broke down and has no result."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "checkout")
        shutil.copytree(ROOT, checkout, ignore=LEFT_OUT, symlinks=True)
        (checkout / LINK).parent.mkdir(parents=True)
        (checkout / LINK).symlink_to(checkout)
        if mutant is not None:
            mutant.apply(checkout)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{(checkout / LINK).parents[2]}:{checkout}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LIVEMIG_LAB_NAME": LAB,
            "LIVEMIG_VENV": os.environ.get("LIVEMIG_VENV") or str(ROOT / ".venv"),
        }
        command = [sys.executable, "-m", suite, *words]
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=SUITE_S, check=False
        )
    last = "".join((done.stdout.strip() or done.stderr.strip()).splitlines()[-1:])
    name = "as it is" if mutant is None else mutant.name
    print(f"{name}: {suite} ended with {done.returncode}: {last}", flush=True)
    # What could not be tried, a fault whose moment never came for one, has no result either.
    return done.returncode == 0 if SAID.match(last) and "unfit" not in last else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
