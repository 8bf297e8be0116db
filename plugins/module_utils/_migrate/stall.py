# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends a switchover that stands still on a dead link.

QEMU sends the last of the guest's state with its main loop locked. Where the way to the destination is lost just then,
neither libvirt nor anybody else gets an answer from it until TCP gives up, which takes 15 minutes with Linux's default
(tcp_retries2), and the guest stands still so long (seen in the lab with QEMU 10.0). The kernel can end the connections
at once: QEMU takes the migration for failed, and libvirt resumes the source. The destination has not run the guest, for
libvirt starts it there only after the source's QEMU has said that everything was sent.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
import typing as t
import urllib.parse

from .._observe.api import migration_ports
from .watch import Timeline

CUT = "cut"
"""The connections of a switchover were ended: an event of the timeline, and of the journal."""
STILL_S = 5.0
"""So long has the guest stood still before the destination is asked whether it is there at all."""
_PID = "/run/libvirt/qemu/{domain}.pid"
_TIMEOUT_S = 10.0
_OVER = ("resumed", "postcopy", "rolled_back", "source_stopped", CUT)
_LINE = re.compile(r"^\S+\s+\d+\s+\d+\s+(?P<own>\S+)\s+(?P<peer>\S+)\s.*\bpid=(?P<pid>\d+),")

Pair = tuple[str, str]
"""One TCP connection: own and the peer's ``address:port``, as ss writes them."""


class Connections:
    """Those of the domain's migration: what its QEMU has opened to a migration port of the destination.

    The destination's ports are taken to be those of this host's qemu.conf; with others nothing is ended.
    """

    def __init__(self, domain: str, migrate_uri: str) -> None:
        self._pid = _pid(domain)
        uri = urllib.parse.urlsplit(migrate_uri)
        # Now: a way that is gone may have led to the name server, too.
        self._addresses = addresses(uri.hostname or "")
        self._ports: t.Container[int] = (uri.port,) if uri.port else _range()

    def end(self) -> list[Pair]:
        """Ends them and returns them; an empty list where there are none, or this host cannot (no ss of iproute2)."""
        return _ended(pair for pair in _open(self._pid) if _is_of(pair[1], self._addresses, self._ports))


def end_incoming(domain: str, source: str, ports: t.Container[int]) -> list[Pair]:
    """Ends what the domain's QEMU has accepted from the source (name or address) at one of the ports; returns it."""
    found = addresses(source)
    accepted = (pair for pair in _open(_pid(domain)) if _is_of(pair[1], found) and _is_of(pair[0], None, ports))
    return _ended(accepted)


def addresses(host: str) -> frozenset[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(entry[4][0]) for entry in found)


def _range() -> range:
    ports = migration_ports()
    return range(ports["first"], ports["last"] + 1)


def _open(pid: int | None) -> list[Pair]:
    return [] if pid is None else of_process(_ss("-p"), pid)


def _ended(pairs: t.Iterable[Pair]) -> list[Pair]:
    return [(own, peer) for own, peer in list(pairs) if _ss("-K", "src", own, "dst", peer)]


def stands_still(timeline: Timeline, now: float | None = None) -> bool:
    """The source has been stopped for the switchover a while ago, and nothing has come of it."""
    suspended = timeline.first("suspended")
    if suspended is None or any(timeline.first(name) for name in _OVER):
        return False
    return (time.monotonic() if now is None else now) - suspended.at >= STILL_S


def of_process(listed: str, pid: int) -> list[Pair]:
    """The connections of one process in what ``ss -tnHp`` prints."""
    found = filter(None, map(_LINE.match, listed.splitlines()))
    return [(line["own"], line["peer"]) for line in found if int(line["pid"]) == pid]


def _is_of(end: str, wanted: t.Container[str] | None, ports: t.Container[int] | None = None) -> bool:
    address, _colon, port = end.rpartition(":")
    address = address.strip("[]").replace("::ffff:", "")
    return (wanted is None or address in wanted) and (ports is None or int(port) in ports)


def _pid(domain: str) -> int | None:
    try:
        with open(_PID.format(domain=domain), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _ss(*words: str) -> str:
    """What it prints; nothing where it is missing or fails."""
    try:
        done = subprocess.run(
            ["ss", "-tnH", *words],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
