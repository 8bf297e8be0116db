# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the lines of an error and of two logs to what counts: pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import HostLog
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import redacted, stamp_ms

from .row import Row
from .rows import recognised

_OTHER = {"source": "destination", "destination": "source"}
_CERTAIN = ("here", "source", "destination")
# How newer versions of libvirt report to the caller what both daemons said.
_BOTH = re.compile(r"Message from the source host: (.*?)\.? Message from the destination host: (.*)", re.DOTALL)


class Seen(t.NamedTuple):
    """A line that was recognised. ``side``: error, source or destination, where it was read; ``host``: source or
    destination, who said it, None where an error does not tell; ``at_ms``: on the source's clock, None where the line
    has no time."""

    row: Row
    side: str
    host: str | None
    line: str
    at_ms: int | None


class Evidence(t.NamedTuple):
    """What there is to judge by. ``read``: the sides whose log was read."""

    seen: tuple[Seen, ...]
    read: frozenset[str]


def evidence(error: str | None, logs: t.Mapping[str, HostLog], skew_ms: int) -> Evidence:
    """``logs``: by side. ``skew_ms``: how far the destination's clock is ahead of the source's."""
    read = {side: log for side, log in logs.items() if log["unread"] is None}
    skews = {"source": 0, "destination": skew_ms}
    seen = [found for side, log in read.items() for found in _lines(side, side, log["lines"], skews[side])]
    for host, text in _said(error or ""):
        # It can quote a line of the destination's QEMU, with that host's time.
        seen += _lines("error", host, text.splitlines(), skew_ms)
    return Evidence(tuple(seen), frozenset(read))


def _said(error: str) -> list[tuple[str | None, str]]:
    """Who said which part of libvirt's error."""
    found = _BOTH.search(error)
    return [(None, error)] if found is None else [("source", found[1]), ("destination", found[2])]


def _lines(side: str, host: str | None, lines: t.Iterable[str], skew_ms: int) -> t.Iterator[Seen]:
    """QEMU writes some lines without a time, and much later than the line before: such a line has none."""
    for line in map(redacted, lines):
        row = recognised(line)
        if row is not None:
            stamp = stamp_ms(line)
            yield Seen(row, side, host, line, None if stamp is None else stamp - skew_ms)


def decisive(seen: t.Iterable[Seen]) -> list[Seen]:
    """Causes where there are any, else wrappers, else consequences; the earliest first, those without a time last.

    What libvirt reports comes after what has happened, so its error counts as late where it quotes no time. Of
    consequences those come first that tell which host it was.
    """
    found = sorted(seen, key=lambda one: (one.at_ms is None, one.at_ms or 0))
    for role in ("cause", "wrapper"):
        kept = [one for one in found if one.row.role == role]
        if kept:
            return kept
    return sorted(found, key=lambda one: not tells(one.row))


def tells(row: Row) -> bool:
    """Whether the message says something by itself, and does not only point to another one."""
    return row.role != "consequence" or row.first in _CERTAIN


def who_failed_first(evidence: Evidence, uncertainty_ms: int) -> str:
    """source, destination, network, client, policy or unknown. ``uncertainty_ms``: how well the clocks are known."""
    counted = decisive(evidence.seen)
    if counted and counted[0].row.role == "cause":
        return _earliest(counted, uncertainty_ms)
    return _from_consequences(evidence, uncertainty_ms)


def _earliest(causes: t.Sequence[Seen], uncertainty_ms: int) -> str:
    """Two hosts that speak of different culprits at the same time leave it open."""
    first = causes[0]
    rivals = [
        one
        for one in causes
        if one.host != first.host
        and one.at_ms is not None
        and first.at_ms is not None
        and one.at_ms - first.at_ms <= uncertainty_ms
    ]
    blamed = {_blamed(one) for one in (first, *rivals)}
    return blamed.pop() if len(blamed) == 1 else "unknown"


def _blamed(one: Seen) -> str:
    return one.row.first if one.row.first != "here" else one.host or "unknown"


def _from_consequences(evidence: Evidence, uncertainty_ms: int) -> str:
    """Who ended without saying why. An error that names no side speaks for the source: there it was reported."""
    seen = [one._replace(host=one.host or "source") for one in evidence.seen if one.row.role == "consequence"]
    certain = {_blamed(one) for one in seen if one.row.first in _CERTAIN}
    if certain:
        return certain.pop() if len(certain) == 1 else "unknown"
    complain = {one.host: one for one in reversed(seen) if one.row.first == "peer"}
    if len(complain) == len(_OTHER):
        return "network" if _together(complain.values(), uncertainty_ms) else "unknown"
    # One host complains of a lost connection and the other, whose log was read, says nothing but that it ended.
    ended = {one.host for one in seen if one.row.first == "ended"} & evidence.read
    return next((_OTHER[host] for host in complain if host and _OTHER[host] in ended), "unknown")


def _together(lines: t.Iterable[Seen], uncertainty_ms: int) -> bool:
    """Within ``uncertainty_ms``, as far as they have times."""
    times = [one.at_ms for one in lines if one.at_ms is not None]
    return len(times) < 2 or max(times) - min(times) <= uncertainty_ms
