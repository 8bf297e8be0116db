# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run gates in order, stop at the first that fails, and count them. `python -m tests.tools.gates unit lint ...`

Each gate is the make target of its name. The last line of the output is `N passed, N failed`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time


def main(gates: list[str]) -> int:
    """Return 0 when every gate passed, 1 otherwise."""
    summary: list[str] = []
    failed = 0
    for gate in gates:
        print(f"==> {gate}", flush=True)
        begin = time.monotonic()
        code = subprocess.run([os.environ.get("MAKE", "make"), "--no-print-directory", gate], check=False).returncode
        summary.append(f"{gate:<10} {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - begin:.0f} s")
        print(f"==> {summary[-1]}", flush=True)
        if code:
            failed = 1
            break
    print("\nGates:")
    for line in summary:
        print(f"  {line}")
    for gate in gates[len(summary) :]:
        print(f"  {gate:<10} not run")
    print(f"{len(summary) - failed} passed, {failed} failed", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
