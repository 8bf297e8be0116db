# SPDX-License-Identifier: GPL-3.0-or-later
"""One migration, driven by another tool's schedule. Runs inside the source host (tests/lab/observe.py): main(given).

The flags are those of the product, and so are the figures; product.py does the same with the product's own module.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
import types
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Sample, sample

libvirt = _libvirt.libvirt
FLAGS = ("LIVE", "PEER2PEER", "TLS", "PERSIST_DEST", "UNDEFINE_SOURCE")
PREPARED, SUSPENDED, RESUMED, ITERATION, COMPLETED, RETURNED = (
    "prepared",
    "suspended",
    "resumed",
    "iteration",
    "completed",
    "returned",
)
_EVENTS_S = 3.0
_ABORT_AGAIN_S = 0.5
_MIB = 1024 * 1024

Record = dict[str, t.Any]
Action = tuple[str, t.Optional[float]]  # noqa: UP045 (evaluated)


class Replayed:
    """A schedule of tests/bench/schedules.py."""

    def __init__(self, schedules: t.Any, given: Record) -> None:
        schedule = schedules.by_name(given["schedule"])
        self._replay = schedules.Replay(schedule, given["memory_mib"], given["ceiling_ms"])
        self.poll_s = schedule.poll_s
        # What decides nothing is not asked: at the beginning of a pass that alone puts the switchover off. What is
        # slowed down is, since nothing else tells by how much.
        self.asks = bool(schedule.steps) or schedule.auto_converge
        self.start_ms = min(given["ceiling_ms"], schedule.start_ms or given["ceiling_ms"])
        self.flags: tuple[str, ...] = ("VIR_MIGRATE_AUTO_CONVERGE",) if schedule.auto_converge else ()
        if any(step.action == schedules.POSTCOPY for step in schedule.steps):
            self.flags += ("VIR_MIGRATE_POSTCOPY",)

    def look(self, found: Sample, since_s: float) -> list[Action]:
        """What is to be done now, each with a limit in milliseconds where it has one."""
        return t.cast("list[Action]", self._replay.look(since_s, found.iteration, found.remaining_mib))


class Driver:
    def __init__(self, given: Record) -> None:
        self.given = given
        self.source, self.asks = _libvirt.connect("qemu:///system"), _libvirt.connect("qemu:///system")
        self.destination = _libvirt.connect(given["destination_uri"])
        self.domain = self.source.lookupByName(given["name"])
        self.asked = self.asks.lookupByName(given["name"])
        self.events: queue.Queue[tuple[float, str, t.Any]] = queue.Queue()
        self.record: Record = {"ended": "error", "error": None, "samples": [], "actions": [], "late": False}
        self.at: dict[str, float] = {}
        self.completed: Record = {}
        self._follow()

    def _follow(self) -> None:
        uuid = self.domain.UUIDString()

        def lifecycle(names: t.Mapping[tuple[int, int], str]) -> t.Callable[..., None]:
            def seen(_connection: t.Any, domain: t.Any, event: int, detail: int, _opaque: t.Any) -> None:
                if domain.UUIDString() == uuid and (event, detail) in names:
                    self.events.put((time.monotonic(), names[event, detail], None))

            return seen

        def told(name: str) -> t.Callable[..., None]:
            def seen(_connection: t.Any, domain: t.Any, data: t.Any, _opaque: t.Any) -> None:
                if domain.UUIDString() == uuid:
                    self.events.put((time.monotonic(), name, data))

            return seen

        here = {
            (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED): SUSPENDED,
            (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY): SUSPENDED,
        }
        there = {
            (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_MIGRATED): PREPARED,
            (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_MIGRATED): RESUMED,
            (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_POSTCOPY): RESUMED,
        }
        for connection, number, callback in (
            (self.asks, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle(here)),
            (self.destination, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle(there)),
            (self.asks, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, told(ITERATION)),
            (self.asks, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, told(COMPLETED)),
        ):
            connection.domainEventRegisterAny(None, number, callback, None)

    def run(self) -> Record:
        self.began = time.monotonic()
        self._attempt(Replayed(_module("schedules", self.given["schedules"]), self.given))
        self.record["total_s"] = self.ended - self.began
        self.record["libvirt_ms"] = self.completed.get("downtime")
        if {SUSPENDED, RESUMED} <= set(self.at):
            self.record["compute_ms"] = (self.at[RESUMED] - self.at[SUSPENDED]) * 1000
            self.record["suspended_s"] = self.at[SUSPENDED] - self.began
        if {PREPARED, RESUMED} <= set(self.at):
            self.record["under_way_s"] = self.at[RESUMED] - self.at[PREPARED]
        self.record["completed"] = self.completed
        return self.record

    def _attempt(self, arm: Replayed) -> None:
        limit_ms = max(1, int(arm.start_ms))
        if self.domain.migrateGetMaxDowntime() != limit_ms:
            self.domain.migrateSetMaxDowntime(limit_ms)
        worker = threading.Thread(target=self._migrate, args=(arm,), daemon=True)
        worker.start()
        self.record["ended"] = None
        due = time.monotonic() + (arm.poll_s or 1e9)
        while self.record["ended"] is None:
            overdue = self.began + self.given["limit_s"]
            try:
                at_s, name, data = self.events.get(timeout=max(0.0, min(due, overdue) - time.monotonic()))
            except queue.Empty:
                now = time.monotonic()
                if now >= overdue:
                    self._late()
                if now >= due:
                    due += arm.poll_s
                    self._look(arm, now)
                continue
            self._take(arm, at_s, name, data)
        worker.join()
        self._rest()
        self.record["attempts"] = [{"flags": arm.flags}]

    def _take(self, arm: Replayed, at_s: float, name: str, data: t.Any) -> None:
        if name == RETURNED:
            self._over(data)
        elif name == COMPLETED:
            self.completed = dict(data)
        elif name == ITERATION and arm.asks:
            self._look(arm, at_s, decides=not arm.poll_s)
        else:
            self.at.setdefault(name, at_s)

    def _rest(self) -> None:
        """What is still on its way through the event thread."""
        end = time.monotonic() + _EVENTS_S
        wanted = {RESUMED} if self.record["ended"] == "moved" else set()
        while time.monotonic() < end and not (wanted <= set(self.at) and self.completed):
            with contextlib.suppress(queue.Empty):
                at_s, name, data = self.events.get(timeout=0.1)
                if name == COMPLETED:
                    self.completed = dict(data)
                else:
                    self.at.setdefault(name, at_s)

    def _look(self, arm: Replayed, at_s: float, decides: bool = True) -> None:
        """``decides``: whether the arm is told; the boundaries are kept in any case."""
        if SUSPENDED in self.at or self.record["late"]:
            return
        try:
            found = sample(self.asked.jobStats(0), at_s)
        except libvirt.libvirtError:
            return
        if not found.iteration:
            return
        since_s = at_s - self.began
        if not decides or not arm.poll_s:
            self.record["samples"].append([since_s, *found[:1], *found[2:]])
        for action, value in arm.look(found, since_s) if decides else ():
            self.record["actions"].append([round(since_s, 3), action, value])
            self._act(action, value)

    def _act(self, action: str, value: float | None) -> None:
        try:
            if action in ("limit", "double"):
                self.asked.migrateSetMaxDowntime(int(value or 1))
            elif action == "postcopy":
                self.asked.migrateStartPostCopy()
            elif action == "abort":
                self.asked.abortJob()
            else:
                raise ValueError(action)
        except libvirt.libvirtError as error:
            self.record["actions"].append([round(time.monotonic() - self.began, 3), "refused", str(error)])

    def _late(self) -> None:
        """Over its time. What cannot be aborted any more (post-copy) is waited for."""
        self.record["late"] = True
        self.given["limit_s"] += _ABORT_AGAIN_S
        with contextlib.suppress(libvirt.libvirtError):
            self.asked.abortJob()

    def _migrate(self, arm: Replayed) -> None:
        flags = [*(f"VIR_MIGRATE_{name}" for name in FLAGS), *arm.flags]
        wanted = {"migrate_uri": self.given["migrate_uri"]}
        error = None
        try:
            self.domain.migrateToURI3(
                self.given["destination_uri"], wanted, sum(getattr(libvirt, name) for name in set(flags))
            )
        except libvirt.libvirtError as caught:
            error = _libvirt.error_text(caught)
        self.events.put((time.monotonic(), RETURNED, error))

    def _over(self, error: str | None) -> None:
        self.ended = time.monotonic()
        self.record["error"] = error
        aborted = any(action == "abort" for _at, action, _value in self.record["actions"])
        self.record["ended"] = (
            "moved" if error is None else "timeout" if self.record["late"] else "aborted" if aborted else "error"
        )


def _module(name: str, text: str) -> types.ModuleType:
    """A file of this checkout that is not part of the product, and so not on this host."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
    return module


def main(given: Record) -> Record:
    """``given``: name, destination_uri, migrate_uri, schedule (its name), schedules (their text), memory_mib,
    ceiling_ms, limit_s."""
    _libvirt.start_event_loop()
    return Driver(given).run()
