# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has this host's link: one migration at a time may have it alone, and the others are slowed down meanwhile.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS
from .._model.api import Move, way_of
from .progress import Board
from .watch import Timeline

FLOOR_MIB_S = 1
"""The least that libvirt can be told. A migration that is slowed down to it goes on from where it was."""
NO_LIMIT = 2**40
"""MiB/s. libvirt's own "no limit" is 2^63 - 1 bytes a second (QEMU_DOMAIN_MIG_BANDWIDTH_MAX)."""


class Shares:
    """The link of one source, as far as this run uses it. A migration that waits decides nothing about itself."""

    def __init__(self, board: Board, moves: t.Sequence[Move], clock: t.Callable[[], float] = time.monotonic) -> None:
        self._board, self._clock = board, clock
        self._caps = {move["uuid"]: way_of(move)["bandwidth_mib_s"] for move in moves}
        self._changed = threading.Condition()
        self._holder: str | None = None
        self._begun: dict[str, bool] = {}
        """Those that copy, and whether a pilot steers them."""
        self._slowed: dict[str, tuple[t.Any, int]] = {}
        self._fast_again: dict[str, float] = {}
        self._quit: dict[str, float] = {}

    def others(self, uuid: str) -> int:
        """How many other migrations of this run are under way, and not past their switchover."""
        return len(self._others(uuid))

    def alone(self, uuid: str) -> bool:
        """Nobody else uses the link: no other has begun to copy, or each has been slowed down for this one."""
        return uuid not in self._slowed and all(other in self._slowed for other, *_more in self._copying(uuid))

    def crowded_since(self, uuid: str, at_s: float) -> bool:
        """Whether another one used the link beside it at any time after ``at_s``, so that its rate since then is that
        of a share."""
        return not self.alone(uuid) or any(at > at_s for other, at in self._quit.copy().items() if other != uuid)

    def holds(self, uuid: str) -> bool:
        """The link was taken for it, and each that begins now makes way."""
        return self._holder == uuid

    def waits(self, uuid: str) -> bool:
        """It has been slowed down, since another migration has the link alone."""
        return uuid in self._slowed

    def waited_since(self, uuid: str, at_s: float) -> bool:
        """Whether it was slowed down at any time after ``at_s``, so that its rate since then is not the link's."""
        return self.waits(uuid) or self._fast_again.get(uuid, at_s) > at_s

    def take(self, uuid: str, timeout_s: float = 0.0) -> bool:
        """Slows the others down until ``give_back``. False where another one has the link and keeps it. One that
        libvirt does not slow down goes on as it is: see ``alone``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._holder in (None, uuid), timeout_s):
                return False
            self._holder = uuid
            for other, domain, timeline in self._copying(uuid):
                if other not in self._slowed and not timeline.stopped():
                    self._slow_down(other, domain)
                    if other in self._slowed:
                        self._quit[other] = self._clock()
        return True

    def join(self, uuid: str, domain: t.Any) -> None:
        """One that begins makes way, too. To be said at its first pass: set before, it would outlast the migration."""
        with self._changed:
            self._begun[uuid] = True
            if self._holder not in (None, uuid):
                self._slow_down(uuid, domain)

    @contextlib.contextmanager
    def using(self, uuid: str) -> t.Iterator[None]:
        """One that nobody steers copies in the block."""
        with self._changed:
            self._begun[uuid] = False
        try:
            yield
        finally:
            self.leave(uuid)

    def leave(self, uuid: str) -> None:
        """Its attempt is over: it copies no longer, and the others have the link again."""
        with self._changed:
            if uuid in self._begun and uuid not in self._slowed:
                self._quit[uuid] = self._clock()
            self._begun.pop(uuid, None)
        self.give_back(uuid)
        self.go_on(uuid)

    def give_back(self, uuid: str) -> None:
        """The others go on as fast as before; nothing where this one does not have the link."""
        with self._changed:
            if self._holder != uuid:
                return
            self._holder = None
            for other in list(self._slowed):
                self._speed_up(other)
            self._changed.notify_all()

    def go_on(self, uuid: str) -> None:
        """As fast as before, where nobody has the link alone any more and libvirt has refused that then."""
        # Without the lock, which may be held for as long as another one's QEMU hangs.
        if uuid not in self._slowed:
            return
        with self._changed:
            if self._holder is None and uuid in self._slowed:
                self._speed_up(uuid)

    def _speed_up(self, uuid: str) -> None:
        domain, mib_s = self._slowed[uuid]
        try:
            domain.migrateSetMaxSpeed(mib_s)
        except LIBVIRT_ERRORS:
            if self._begun.get(uuid):
                return  # its pilot asks for that again
        # In this order: whoever no longer waits can tell until when it did.
        self._fast_again[uuid] = self._clock()
        del self._slowed[uuid]

    def _slow_down(self, uuid: str, domain: t.Any) -> None:
        try:
            before = domain.migrateGetMaxSpeed()
            domain.migrateSetMaxSpeed(FLOOR_MIB_S)
        except LIBVIRT_ERRORS:
            return  # it has just ended, or goes on as it is
        cap = self._caps.get(uuid, 0)
        self._slowed.setdefault(uuid, (domain, cap if cap and before >= NO_LIMIT else before))

    def _copying(self, uuid: str) -> list[tuple[str, t.Any, Timeline]]:
        """Those that have joined, too, for QEMU 11.1 sends no event before the end of the first pass; and those whose
        memory follows them, which nothing slows down."""
        return [
            entry
            for entry in self._board.running()
            if entry[0] != uuid
            and (entry[2].first("postcopy") or (not entry[2].stopped() and self._has_begun(entry[0], entry[2])))
        ]

    def _has_begun(self, uuid: str, timeline: Timeline) -> bool:
        return uuid in self._begun or timeline.first("iteration") is not None

    def _others(self, uuid: str) -> list[tuple[str, t.Any, Timeline]]:
        return [entry for entry in self._board.running() if entry[0] != uuid and not entry[2].stopped()]
