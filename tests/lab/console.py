# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest said on its console: pure parsing."""

from __future__ import annotations

import re
from dataclasses import dataclass

BOOT_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
BOOT = re.compile(rf"BOOT ({BOOT_ID})")
TICK = re.compile(rf"TICK ({BOOT_ID}) (\d+) (\d+\.\d+)(?: disk=(\d+|failed)( mark=lost)?)?")
COMPLAINT = re.compile(r"Kernel panic|kernel BUG|BUG: |Oops|general protection fault|soft lockup|I/O error")


@dataclass(frozen=True)
class Tick:
    """number: counts from 1; uptime_s: of the guest; disk: None without a disk, the number read back, or "failed";
    mark_lost: what the guest wrote when it booted is not on its disk any more."""

    boot_id: str
    number: int
    uptime_s: float
    disk: str | None
    mark_lost: bool = False


@dataclass(frozen=True)
class Console:
    """boots: BOOT lines, in order; boot_ids: every id seen in BOOT and TICK lines; complaints: of the kernel."""

    boots: tuple[str, ...]
    boot_ids: tuple[str, ...]
    last: Tick | None
    ticks: int
    disk_ticks: int
    out_of_order: int
    complaints: tuple[str, ...]


def parse_tick(line: str) -> Tick | None:
    """The tick in a whole line, else None (a line still being written does not match, or lacks its end)."""
    match = TICK.fullmatch(line)
    return Tick(match[1], int(match[2]), float(match[3]), match[4], bool(match[5])) if match else None


def parse(text: str) -> Console:
    """Reads whole lines only: what follows the last newline is not finished yet."""
    boots: list[str] = []
    ids: dict[str, None] = {}
    last: Tick | None = None
    ticks = disk_ticks = out_of_order = 0
    complaints: list[str] = []
    for raw in text.split("\n")[:-1]:
        line = raw.strip("\r ")
        if match := BOOT.fullmatch(line):
            boots.append(match[1])
            ids[match[1]] = None
        elif tick := parse_tick(line):
            ids[tick.boot_id] = None
            if last is not None and last.boot_id == tick.boot_id and tick.number != last.number + 1:
                out_of_order += 1
            ticks, disk_ticks, last = ticks + 1, disk_ticks + (tick.disk is not None), tick
        elif COMPLAINT.search(line):
            complaints.append(line)
    return Console(tuple(boots), tuple(ids), last, ticks, disk_ticks, out_of_order, tuple(complaints))
