# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each integration test in the last whole run: docs/integration.md."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from tests.tools.reference import escape

PAGE = Path(__file__).resolve().parents[2] / "docs" / "integration.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `make integration` from its own run. -->
# Integration tests

`make integration` runs playbooks and modules against the [lab](lab.md)'s real hypervisors: bad input, edits, failures,
runs whose controller is gone, ansible-runner, the fleet audit. CI runs some of them, others with every commit.
"""


def page(results: Mapping[str, tuple[str, float]], day: datetime.date) -> str:
    """``results``: test -> (passed, failed or skipped; seconds with its preparation)."""
    passed = sum(result == "passed" for result, _seconds in results.values())
    took_s = sum(seconds for _result, seconds in results.values())
    rows = [
        f"| {escape(test.rpartition('/')[2])} | {result} | {seconds:.0f} |"
        for test, (result, seconds) in results.items()
    ]
    last = f"Last whole run, {day}: {passed} of {len(results)} passed, in {took_s / 60:.0f} minutes."
    return "\n".join((HEAD, last, "", "| test | result | s |", "|---|---|---|", *rows, ""))
