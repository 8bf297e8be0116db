# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has this host's link: one migration at a time may have it alone, and the others are slowed down meanwhile.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import threading
import typing as t

from .._libvirt import LIBVIRT_ERRORS
from .._model.api import Move, way_of
from .progress import Board

FLOOR_MIB_S = 1
"""The least that libvirt can be told. A migration that is slowed down to it goes on from where it was."""
NO_LIMIT = 2**40
"""MiB/s. libvirt's own "no limit" is 2^63 - 1 bytes a second (QEMU_DOMAIN_MIG_BANDWIDTH_MAX)."""


class Shares:
    """The link of one source, as far as this run uses it. A migration that waits decides nothing about itself."""

    def __init__(self, board: Board, moves: t.Sequence[Move]) -> None:
        self._board = board
        self._caps = {move["uuid"]: way_of(move)["bandwidth_mib_s"] for move in moves}
        self._changed = threading.Condition()
        self._holder: str | None = None
        self._slowed: list[tuple[t.Any, int]] = []

    def others(self, uuid: str) -> int:
        """How many other migrations of this run are under way, and not past their switchover."""
        return len(self._others(uuid))

    def waits(self, uuid: str) -> bool:
        """Another migration has the link alone."""
        return self._holder not in (None, uuid)

    def take(self, uuid: str, timeout_s: float = 0.0) -> bool:
        """Slows the others down until ``give_back``. False where another one has the link and keeps it."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self.waits(uuid), timeout_s):
                return False
            if self._holder == uuid:
                return True
            self._holder = uuid
            for other, domain in self._others(uuid):
                try:
                    before = domain.migrateGetMaxSpeed()
                    domain.migrateSetMaxSpeed(FLOOR_MIB_S)
                except LIBVIRT_ERRORS:
                    continue  # it has just ended
                cap = self._caps.get(other, 0)
                self._slowed.append((domain, cap if cap and before >= NO_LIMIT else before))
        return True

    def give_back(self, uuid: str) -> None:
        """The others go on as fast as before; nothing where this one does not have the link."""
        with self._changed:
            if self._holder != uuid:
                return
            slowed, self._slowed, self._holder = self._slowed, [], None
            self._changed.notify_all()
        for domain, mib_s in slowed:
            try:
                domain.migrateSetMaxSpeed(mib_s)
            except LIBVIRT_ERRORS:
                continue  # it is no longer here

    def _others(self, uuid: str) -> list[tuple[str, t.Any]]:
        return [
            (other, domain)
            for other, domain, timeline in self._board.running()
            if other != uuid and not timeline.stopped()
        ]
