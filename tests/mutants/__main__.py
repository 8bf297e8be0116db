# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the product on purpose and see a suite turn red: python -m tests.mutants [--only NAME]

A suite that stays green although the product is wrong proves nothing. The checkout itself is never changed: each
mutant is a copy of the plugins, on which the suite runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections/livemig/libvirt"
SUITE_S = 600


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="names of mutants, comma-separated")
    names = {name for name in parser.parse_args(words).only.split(",") if name}
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    suites = sorted({mutant.suite for mutant in chosen})
    bad = [f"{suite} is red without a mutant" for suite in suites if not _green(None, suite)]
    bad += [mutant.name for mutant in chosen if not bad and _green(mutant, mutant.suite) is not False]
    print(f"mutants: {len(chosen)} run, {len(bad)} survived: {', '.join(bad) or 'none'}")
    return 1 if bad or not chosen else 0


def _green(mutant: Mutant | None, suite: str) -> bool | None:
    """Whether the suite still passes; with None the product is as it is. None: it broke down and has no result."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, PACKAGE)
        shutil.copytree(ROOT / "plugins", package / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            mutant.apply(package)
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", suite]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SUITE_S, check=False
        )
    last = "".join((done.stdout.strip() or done.stderr.strip()).splitlines()[-1:])
    name = "as it is" if mutant is None else mutant.name
    print(f"{name}: {suite} ended with {done.returncode}: {last}", flush=True)
    return done.returncode == 0 if last.startswith(suite.split(".")[2]) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
