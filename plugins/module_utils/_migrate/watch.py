# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt tells while it happens, on one clock: the source host's monotonic one.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t

from .._libvirt import Connection, libvirt

# Names for (event, detail) of a lifecycle event, by the side that reports it. On the source RESUMED/MIGRATED means
# that the migration was rolled back; on the destination the same event means that it succeeded
# (libvirt, qemuDomainRunningReasonToResumeEvent). UNPAUSED: settle.py, or a user, has let it go on where it was.
_LIFECYCLE = {
    ("source", "SUSPENDED", "SUSPENDED_MIGRATED"): "suspended",
    ("source", "SUSPENDED", "SUSPENDED_POSTCOPY"): "postcopy",
    ("source", "RESUMED", "RESUMED_MIGRATED"): "rolled_back",
    ("source", "RESUMED", "RESUMED_UNPAUSED"): "unpaused",
    ("source", "STOPPED", "STOPPED_MIGRATED"): "source_stopped",
    ("destination", "STARTED", "STARTED_MIGRATED"): "prepared",
    ("destination", "RESUMED", "RESUMED_MIGRATED"): "resumed",
    ("destination", "RESUMED", "RESUMED_POSTCOPY"): "resumed",
    ("destination", "STOPPED", "STOPPED_FAILED"): "incoming_stopped",
    ("destination", "DEFINED", "DEFINED_ADDED"): "defined",
    ("destination", "DEFINED", "DEFINED_UPDATED"): "defined",
}


def lifecycle_names() -> dict[tuple[str, int, int], str]:
    """(side, event, detail) as libvirt's numbers -> our name of the phase."""
    return {
        (side, getattr(libvirt, f"VIR_DOMAIN_EVENT_{event}"), getattr(libvirt, f"VIR_DOMAIN_EVENT_{detail}")): name
        for (side, event, detail), name in _LIFECYCLE.items()
    }


class Event(t.NamedTuple):
    """``at`` in seconds on ``time.monotonic()``."""

    at: float
    name: str
    data: t.Any


BEGUN_AGAIN = "begun_again"
"""What follows is a second attempt: an event of the timeline."""


class Timeline:
    """The events of one domain's migration. Filled by libvirt's event thread, read by the domain's own.

    ``events``: all of them; every question is about those of the last attempt.
    """

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._woken = False
        self._begun = 0
        self.events: list[Event] = []

    def add(self, name: str, data: t.Any = None) -> None:
        at = self._clock()
        with self._changed:
            self.events.append(Event(at, name, data))
            self._changed.notify_all()

    def again(self) -> None:
        """Another attempt begins: what an earlier one has told counts for nothing any more."""
        self.add(BEGUN_AGAIN)
        with self._changed:
            self._begun, self._woken = len(self.events), False

    def first(self, name: str) -> Event | None:
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[Event]:
        return [event for event in self.events[self._begun :] if event.name == name]

    def stopped(self) -> bool:
        """The guest has been stopped on the source, for the switchover or for post-copy."""
        return self.first("suspended") is not None or self.first("postcopy") is not None

    def switching(self) -> bool:
        """It stands still, or is believed to: nothing of ours may happen now."""
        return self.stopped() and self.first("resumed") is None

    def wait(self, names: t.Collection[str], timeout_s: float) -> bool:
        """Until each of ``names`` has happened; False when one is still missing after ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: all(map(self.first, names)), timeout_s)

    def wake(self) -> None:
        """Lets ``wait_more`` return."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait_more(self, seen: int, timeout_s: float) -> bool:
        """Until there are more events than ``seen``; False when there are none after ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._woken or len(self.events) > seen, timeout_s)


class Watch:
    """Timelines by domain UUID, filled from connections of which each is a source or a destination."""

    def __init__(self) -> None:
        self._timelines: dict[str, Timeline] = {}
        self._names = lifecycle_names()

    def timeline(self, uuid: str) -> Timeline:
        return self._timelines.setdefault(uuid, Timeline())

    def fresh(self, uuid: str) -> Timeline:
        """A new one, without what an earlier job of the domain has told."""
        self._timelines[uuid] = Timeline()
        return self._timelines[uuid]

    def follow(self, connection: Connection, side: str) -> None:
        """Registers for what this side reports. The callbacks only note the time: they run in the event thread."""

        def lifecycle(_connection: t.Any, domain: t.Any, event: int, detail: int, _opaque: t.Any) -> None:
            name = self._names.get((side, event, detail))
            if name is not None:
                self.timeline(domain.UUIDString()).add(name)

        def iteration(_connection: t.Any, domain: t.Any, number: int, _opaque: t.Any) -> None:
            self.timeline(domain.UUIDString()).add("iteration", number)

        def completed(_connection: t.Any, domain: t.Any, statistics: dict[str, t.Any], _opaque: t.Any) -> None:
            self.timeline(domain.UUIDString()).add("completed", dict(statistics))

        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
        if side == "source":
            register = connection.domainEventRegisterAny
            register(None, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, iteration, None)
            register(None, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, completed, None)
