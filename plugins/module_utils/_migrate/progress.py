# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at the migrations of a run about once a second, shows what they are at, and does what the run is asked for.

It informs and carries out wishes; it decides nothing about a migration, and never asks once a guest is stopped for
the switchover.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, libvirt
from .._model.api import Move, Progress
from .control import ABORT, FINISH, Control
from .watch import Timeline

LOOK_S = 1.0
LOSS_S = 60.0
"""A controller that has watched and has not been heard of for so long is gone."""
_JOIN_S = 5.0
_MIB = 1024 * 1024
WAITING, MIGRATING, SWITCHING, OVER = "waiting", "migrating", "switching over", "over"


class Loss(t.NamedTuple):
    """What follows when the controller is gone: FINISH, ABORT or "continue"; after how many seconds.

    ``watched``: a controller is to watch from the beginning; otherwise only one that has watched can be gone.
    """

    action: str = FINISH
    after_s: float = LOSS_S
    watched: bool = False


FINISH_AT_LOSS = Loss()


class Board:
    """What every domain of a run is at. Filled by the threads of the moves and those that ask; read by the one that
    shows."""

    def __init__(self, moves: t.Sequence[Move], clock: t.Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._entries: dict[str, Progress] = {move["uuid"]: _waiting(move) for move in moves}
        self._domains: dict[str, tuple[t.Any, Timeline]] = {}
        self._asked_at: dict[str, float] = {}

    def started(self, uuid: str, domain: t.Any, timeline: Timeline) -> None:
        """``domain``: of a connection that the migration itself does not use."""
        with self._lock:
            self._domains[uuid] = domain, timeline
            self._entries[uuid]["state"] = MIGRATING

    def ended(self, uuid: str, state: str) -> None:
        with self._lock:
            self._domains.pop(uuid, None)
            over = {"state": OVER, "outcome": state, "percent": 100, "remaining_mib": 0}
            self._entries[uuid].update(t.cast(Progress, over))

    def entries(self) -> list[Progress]:
        with self._lock:
            return [t.cast(Progress, dict(entry)) for entry in self._entries.values()]

    def running(self) -> list[tuple[str, t.Any, Timeline]]:
        with self._lock:
            return [(uuid, domain, timeline) for uuid, (domain, timeline) in self._domains.items()]

    def ask(self) -> None:
        """Asks about every migration in a thread of its own, where the last question was answered."""
        now = self._clock()
        for uuid, domain, timeline in self.running():
            if timeline.stopped():
                with self._lock:
                    self._entries[uuid]["state"] = SWITCHING
                continue
            asked = self._asked_at.get(uuid)
            if asked is None:
                self._asked_at[uuid] = now
                threading.Thread(target=self._ask, args=(uuid, domain), name=f"stats of {uuid}", daemon=True).start()
            else:
                with self._lock:
                    self._entries[uuid]["silent_s"] = round(now - asked)

    def _ask(self, uuid: str, domain: t.Any) -> None:
        """It can hang for as long as QEMU or a daemon does."""
        found: dict[str, t.Any] = {}
        with contextlib.suppress(*LIBVIRT_ERRORS):
            found = domain.jobStats(0)
        with self._lock:
            self._asked_at.pop(uuid, None)
            if uuid in self._domains and found.get("memory_total"):
                self._entries[uuid].update(t.cast(Progress, figures(found)))


def _waiting(move: Move) -> Progress:
    return {
        "domain": move["domain"],
        "uuid": move["uuid"],
        "destination": move["destination"],
        "memory_mib": move["memory_mib"],
        "state": WAITING,
        "outcome": None,
        "percent": 0,
        "remaining_mib": None,
        "rate_mib_s": None,
        "dirty_mib_s": None,
        "iteration": None,
        "elapsed_s": None,
        "silent_s": 0,
    }


def figures(stats: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """libvirt's job statistics in units for people; percent of what is known to be sent so far."""
    total = stats.get("data_total") or stats["memory_total"]
    remaining = stats.get("data_remaining", stats.get("memory_remaining", 0))
    done = total - remaining
    pages = stats.get("memory_dirty_rate")
    return {
        "percent": max(0, min(99, done * 100 // total)) if total else 0,
        "remaining_mib": round(remaining / _MIB, 1),
        "rate_mib_s": None if stats.get("memory_bps") is None else round(stats["memory_bps"] / _MIB, 1),
        "dirty_mib_s": None if pages is None else round(pages * stats.get("memory_page_size", 4096) / _MIB, 1),
        "iteration": stats.get("memory_iteration"),
        "elapsed_s": round(stats.get("time_elapsed", 0) / 1000, 1),
        "silent_s": 0,
    }


class Attendant:
    """The thread that shows a run and listens for it. Use it as a context manager."""

    def __init__(
        self,
        board: Board,
        control: Control,
        loss: Loss,
        look_s: float = LOOK_S,
        waits: t.Callable[[str], bool] = lambda _uuid: False,
    ) -> None:
        """``waits``: whether one makes way for another now, so that it is given its cap afterwards."""
        self._board, self._control, self._loss, self._look_s = board, control, loss, look_s
        self._waits = waits
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="attendant", daemon=True)
        self._beat: tuple[int | None, float] = (None, time.monotonic())
        self._caps: dict[str, int] = {}

    def __enter__(self) -> Attendant:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        # It may hang in a question to a QEMU that hangs.
        self._thread.join(_JOIN_S)

    def stopping(self) -> str | None:
        """Why nothing new is to be started, for people; None where nothing speaks against it."""
        wish = self._control.asked()
        return None if wish is None else f"the run was asked to {wish}"

    def _attend(self) -> None:
        while not self._over.wait(self._look_s):
            self._board.ask()
            # A full disk costs the picture, not what is asked for.
            with contextlib.suppress(OSError):
                self._control.show({"run": self._control.run, "domains": self._board.entries()})
            with contextlib.suppress(OSError, ValueError):
                self._listen()

    def _listen(self) -> None:
        if self._controller_is_gone() and self._loss.action in (FINISH, ABORT):
            self._control.ask(self._loss.action)
        if self._control.asked() == ABORT:
            self._each(lambda domain: domain.abortJob())
        cap = self._control.capped()
        if cap is not None:
            self._each(lambda domain: self._slow_down(domain, cap))

    def _slow_down(self, domain: t.Any, cap: int) -> None:
        uuid = domain.UUIDString()
        if self._caps.get(uuid) != cap and not self._waits(uuid):
            domain.migrateSetMaxSpeed(cap)
            self._caps[uuid] = cap

    def _each(self, act: t.Callable[[t.Any], object]) -> None:
        for _uuid, domain, timeline in self._board.running():
            # Past the switchover there is nothing left to abort or to slow down.
            if not timeline.stopped():
                with contextlib.suppress(libvirt.libvirtError):
                    act(domain)

    def _controller_is_gone(self) -> bool:
        """By this host's own clock, as long as somebody has watched at all."""
        beat, since = self._beat
        now = self._control.beats()
        if now != beat:
            self._beat = now, time.monotonic()
            return False
        known = beat is not None or self._loss.watched
        return known and time.monotonic() - since > self._loss.after_s
