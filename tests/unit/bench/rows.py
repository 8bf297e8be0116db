# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of the convergence bench, as a row."""

from __future__ import annotations

from typing import Any

from tests.bench import arms
from tests.bench.arms import GRID


def run(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "key": "k",
        "part": GRID,
        "round": 0,
        "arm": arms.DEADLINE.name,
        "profile": "deadline",
        "guest": [256, 64, 200],
        "ceiling_ms": 1000,
        "loaded": False,
        "others_before": 0.0,
        "ended": "moved",
        "total_s": 6.0,
        "under_way_s": 5.8,
        "wire_mib": 260.0,
        "sent_mib": 250.0,
        "blackout_ms": 110.0,
        "compute_ms": 100.0,
        "libvirt_ms": 20,
        "attempts": [{"flags": []}],
        "actions": [],
        "samples": [[1.0, 1, 250.0, 0.0, None, 0], [4.0, 2, 70.0, 120.0, 44.0, 0]],
        "passes": 3,
        "throttled": 0,
    }
    return {**whole, **changes}


POSTCOPY = {"attempts": [{"flags": ["VIR_MIGRATE_POSTCOPY"]}], "actions": [[5.0, "postcopy", None]]}
