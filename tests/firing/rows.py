# SPDX-License-Identifier: GPL-3.0-or-later
"""All provocations, by area."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.firing import (
    rows_config,
    rows_copy,
    rows_cpu,
    rows_device,
    rows_disk,
    rows_guest,
    rows_host,
    rows_hostdev,
    rows_memory,
    rows_network,
    rows_security,
)
from tests.firing.provocation import Provocation
from tests.firing.recording import FOLDER
from tests.lab.errors import LabError

AREAS: dict[str, tuple[Provocation, ...]] = {
    "config": rows_config.ROWS,
    "copy": rows_copy.ROWS,
    "cpu": rows_cpu.ROWS,
    "device": rows_device.ROWS,
    "disk": rows_disk.ROWS,
    "guest": rows_guest.ROWS,
    "host": rows_host.ROWS,
    "hostdev": rows_hostdev.ROWS,
    "memory": rows_memory.ROWS,
    "network": rows_network.ROWS,
    "security": rows_security.ROWS,
}


def choose(only: str, area: str, sample: int, seed: int) -> list[Provocation]:
    """The rows of these checks or areas, all by default; with a sample so many of them, the same for the same seed."""
    checks, areas = ({word for word in text.split(",") if word} for text in (only, area))
    found = [row for name, rows in AREAS.items() if not areas or name in areas for row in rows]
    found = [row for row in found if not checks or row.check in checks]
    if not found:
        raise LabError(f"no row for '{only or area}'", "a check or an area that is in the tables", "see tests/firing")
    return sorted(random.Random(seed).sample(found, min(sample, len(found))), key=found.index) if sample else found


def recorded() -> list[dict[str, Any]]:
    """What the last runs with --record have kept, by check."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]
