# SPDX-License-Identifier: GPL-3.0-or-later
"""A link of a known rate between two hosts of the lab, and whether anything else keeps the machine busy."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.lab import enter, processes

RATE_MBIT = 400
BURST, LATENCY = "256k", "50ms"
_HERTZ = os.sysconf("SC_CLK_TCK")


def shape(hosts: Iterable[str], rate_mbit: int = RATE_MBIT) -> None:
    """What enters a host, on its port of the switch: the stream at its destination, but not what leaves the source,
    so that the answers of a guest do not wait behind its own memory."""
    for host in hosts:
        words = ["tc", "qdisc", "replace", "dev", f"port-{host}", "root", "tbf"]
        enter.exec_on("ctl", [*words, "rate", f"{rate_mbit}mbit", "burst", BURST, "latency", LATENCY])


def carried_mib(host: str) -> float:
    """Since the link was shaped."""
    said = enter.exec_on("ctl", ["tc", "-s", "-j", "qdisc", "show", "dev", f"port-{host}"]).stdout
    return float(sum(entry.get("bytes", 0) for entry in json.loads(said))) / 2**20


class Others:
    """How much of a core is used by what is not the lab: ``with Others() as others: ...``, then ``others.cores``."""

    cores = 0.0

    def __enter__(self) -> Others:
        self._began = (time.monotonic(), *_busy())
        return self

    def __exit__(self, *_error: object) -> None:
        began_s, everything, ours = self._began
        now = _busy()
        seconds = max(0.01, time.monotonic() - began_s)
        self.cores = max(0.0, (now[0] - everything) - (now[1] - ours)) / seconds


def _busy() -> tuple[float, float]:
    """Seconds of processor time: of the machine, and of the lab's processes and this one."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, interrupts, soft, steal = (int(word) for word in words[1:9])
    inodes = set(processes.namespaces().values())
    pids = [pid for pid in processes.all_pids() if processes.netns_of(pid) in inodes]
    own = sum(_ticks(pid) for pid in {*pids, os.getpid()})
    return (user + nice + system + interrupts + soft + steal) / _HERTZ, own / _HERTZ


def _ticks(pid: int) -> int:
    try:
        words: list[Any] = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(word) for word in words[11:15])  # with those of its children that have ended
