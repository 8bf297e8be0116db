# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the integration tests' last whole run."""

from __future__ import annotations

import datetime

from tests.integration import whole


def test_page() -> None:
    results = {
        "tests/integration/test_a.py::test_one[a/b]": ("passed", 61.4),
        "tests/integration/test_b.py::test_two": ("failed", 58.6),
    }
    lines = whole.page(results, datetime.date(2026, 1, 2)).splitlines()
    assert "Last whole run, 2026-01-02: 1 of 2 passed, in 2 minutes." in lines
    assert lines[-2:] == [
        "| test\\_a.py::test\\_one[a/b] | passed | 61 |",
        "| test\\_b.py::test\\_two | failed | 59 |",
    ]
