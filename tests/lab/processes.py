# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the lab, found by network namespace."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab import places


def namespaces() -> dict[str, int]:
    """Names of the lab's network namespaces with their inodes."""
    found = {}
    for entry in sorted(places.NETNS.glob(f"{places.LAB}-*")) if places.NETNS.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = entry.stat().st_ino
    return found


def all_pids() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def netns_of(pid: int) -> int | None:
    """Inode of the process's network namespace; None for a process that is gone or a zombie."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def pids_in(inode: int) -> list[int]:
    return [pid for pid in all_pids() if netns_of(pid) == inode]


def init_of(netns: str) -> int | None:
    """The first process of that host (1 in its own process namespace), as numbered on the machine."""
    try:
        inode = (places.NETNS / netns).stat().st_ino
    except OSError:
        return None
    for pid in pids_in(inode):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if is_init(status):
            return pid
    return None


def is_init(status: str) -> bool:
    """Whether /proc/PID/status is that of a first process of a nested process namespace."""
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False


def own_line() -> set[int]:
    """This process and its ancestors, which `down` spares even when it is started inside the lab."""
    line = set()
    pid = os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
    return line


def kill_namespace(inode: int, timeout_s: float = 20.0) -> list[int]:
    """Kills every process in the network namespace; returns the pids that are still there after the time."""
    spared = own_line()
    end = time.monotonic() + timeout_s
    while True:
        alive = [pid for pid in pids_in(inode) if pid not in spared]
        if not alive or time.monotonic() > end:
            return alive
        _kill(alive, inode, end)


def _kill(pids: list[int], inode: int, end: float) -> None:
    poller = select.poll()
    descriptors = []
    waiting = 0
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        descriptors.append(descriptor)
        # The pid may have been reused since the list was made; the descriptor cannot be.
        if netns_of(pid) == inode:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            poller.register(descriptor, select.POLLIN)
            waiting += 1
    while waiting > 0 and (left := end - time.monotonic()) > 0:
        ready = poller.poll(min(left, 1.0) * 1000)
        for descriptor, _event in ready:
            poller.unregister(descriptor)
        waiting -= len(ready)
        if not ready:
            break
    for descriptor in descriptors:
        os.close(descriptor)
