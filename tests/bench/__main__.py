# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure side by side, and keep what came out: python -m tests.bench [preflight] [observe] [migrate] [batches]
or: python -m tests.bench convergence [--arms] [--grid] [--calm] [--rounds N], see convergence.py
or: python -m tests.bench sriov [--rounds N], see sriov.py

Raw results go to docs/benchmarks/NAME.json, the tables to docs/benchmarks/README.md.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import batches, convergence, migrate, observe, preflight, sriov

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
SUITES: dict[str, Any] = {"preflight": preflight, "observe": observe, "migrate": migrate, "batches": batches}
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `make bench`. -->
# Benchmarks

Times of these machines are noisy: look at ratios and exponents, which come from runs that were taken in turns. `make
bench` measures anew; the raw results are beside this page. Convergence has [a page of its own](convergence.md), and so
have [guests with a virtual function](sriov.md).
"""


def main(words: Sequence[str]) -> int:
    if words[:1] == ["convergence"]:
        return convergence.main(words[1:])
    if words[:1] == ["sriov"]:
        return sriov.main(words[1:])
    chosen = list(words) or list(SUITES)
    unknown = [name for name in chosen if name not in SUITES]
    if unknown:
        print(f"unknown suite {', '.join(unknown)}; expected {', '.join(SUITES)}")
        return 2
    FOLDER.mkdir(exist_ok=True)
    for name in chosen:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": os.getloadavg()[0]}
        result = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine, **SUITES[name].run()}
        (FOLDER / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
    return 0 if words else convergence.main(["--anew"])


def page() -> str:
    """All tables, from the results that are there."""
    parts = [HEAD]
    for name, suite in SUITES.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            load = f"{result['machine']['cores']} cores, load {result['machine']['load_before']:.1f} before it began"
            parts.append(f"{suite.markdown(_numbers(result))}\nMeasured {result['date']}, {load}.\n")
    return "\n".join(parts)


def _numbers(result: Any) -> Any:
    """JSON has made texts of the sizes that are keys."""
    if isinstance(result, dict):
        return {int(key) if key.isdigit() else key: _numbers(value) for key, value in result.items()}
    return [_numbers(value) for value in result] if isinstance(result, list) else result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
