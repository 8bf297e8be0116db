# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the lines of an error and of two logs to what counts: pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import HostLog
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import redacted, stamp_ms

from .row import Row
from .rows import recognised

_OTHER = {"source": "destination", "destination": "source"}


class Seen(t.NamedTuple):
    """A line that was recognised. ``side``: error, source or destination; ``at_ms``: on the source's clock, None where
    the line has no time."""

    row: Row
    side: str
    line: str
    at_ms: int | None


class Evidence(t.NamedTuple):
    """What there is to judge by. ``logs``: by side, only those that could be read."""

    seen: tuple[Seen, ...]
    logs: t.Mapping[str, HostLog]


def evidence(error: str | None, logs: t.Mapping[str, HostLog], skew_ms: int) -> Evidence:
    """``logs``: by side. ``skew_ms``: how far the destination's clock is ahead of the source's."""
    read = {side: log for side, log in logs.items() if log["unread"] is None}
    skews = {"source": 0, "destination": skew_ms}
    seen = [found for side, log in read.items() for found in _lines(side, log["lines"], skews[side])]
    # libvirt's error can quote a line of the destination's QEMU, with that host's time.
    return Evidence((*seen, *_lines("error", (error or "").splitlines(), skew_ms)), read)


def _lines(side: str, lines: t.Iterable[str], skew_ms: int) -> t.Iterator[Seen]:
    """A line without a time was written right after the one before it."""
    last: int | None = None
    for line in map(redacted, lines):
        stamp = stamp_ms(line)
        last = last if stamp is None else stamp - skew_ms
        row = recognised(line)
        if row is not None:
            yield Seen(row, side, line, last)


def decisive(seen: t.Iterable[Seen]) -> list[Seen]:
    """Causes where there are any, else wrappers, else consequences; the earliest first, those without a time last.

    What libvirt reports comes after what has happened, so its error counts as late where it quotes no time.
    """
    found = sorted(seen, key=lambda one: (one.at_ms is None, one.at_ms or 0))
    for role in ("cause", "wrapper", "consequence"):
        kept = [one for one in found if one.row.role == role]
        if kept:
            return kept
    return []


def who_failed_first(evidence: Evidence, uncertainty_ms: int) -> str:
    """source, destination, network, client, policy or unknown. ``uncertainty_ms``: how well the clocks are known."""
    counted = decisive(evidence.seen)
    if counted and counted[0].row.role == "cause":
        return _earliest(counted, uncertainty_ms)
    return _from_consequences(evidence, uncertainty_ms)


def _earliest(causes: t.Sequence[Seen], uncertainty_ms: int) -> str:
    """Two hosts that speak of different culprits at the same time leave it open."""
    first = causes[0]
    rivals = (
        one for one in causes if None not in (one.at_ms, first.at_ms) and one.at_ms - first.at_ms <= uncertainty_ms
    )
    blamed = {_blamed(one) for one in rivals if one.side != first.side} | {_blamed(first)}
    return blamed.pop() if len(blamed) == 1 else "unknown"


def _blamed(one: Seen) -> str:
    if one.row.first != "here":
        return one.row.first
    return one.side if one.side in _OTHER else "unknown"


def _from_consequences(evidence: Evidence, uncertainty_ms: int) -> str:
    """Who ended without saying why. An error that names no side speaks for the source: there it was reported."""
    at = {
        first: [
            one._replace(side="source" if one.side == "error" else one.side)
            for one in evidence.seen
            if one.row.first == first
        ]
        for first in ("here", "peer", "ended")
    }
    here = {one.side for one in at["here"]}
    if here:
        return here.pop() if len(here) == 1 else "unknown"
    complain = {one.side: one for one in reversed(at["peer"])}
    if len(complain) == 2:
        return "network" if _together(complain.values(), uncertainty_ms) else "unknown"
    # One host complains of a lost connection and the other, whose log was read, says nothing but that it ended.
    other = {_OTHER[side] for side in complain} & {one.side for one in at["ended"]}
    return other.pop() if other else "unknown"


def _together(complaints: t.Iterable[Seen], uncertainty_ms: int) -> bool:
    times = [one.at_ms for one in complaints if one.at_ms is not None]
    return len(times) < 2 or max(times) - min(times) <= uncertainty_ms
