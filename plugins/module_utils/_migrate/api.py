# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrate: one source host's list, a few at a time, in one process. The public face of the room.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._libvirt import LIBVIRT_ERRORS, Connect, Connection
from .._model.api import LivemigError, Move, Outcome
from .logs import with_source_log
from .one import Link, Options, move_domain
from .outcome import outcome
from .truth import RETURN_S, look
from .watch import Watch

_NO_CONNECTION: tuple[type[Exception], ...] = (LivemigError, *LIBVIRT_ERRORS)

__all__ = ["Options", "migrate", "planned"]


def planned(moves: t.Sequence[Move]) -> list[Outcome]:
    """What check mode says: nothing was done."""
    return [outcome(move, "planned", running_on=move["source"]) for move in moves]


def migrate(
    uri: str,
    moves: t.Sequence[Move],
    options: Options,
    max_parallel: int,
    connect: Connect,
    wait_s: float = RETURN_S,
) -> list[Outcome]:
    """Moves the domains in their order, at most ``max_parallel`` at once; one outcome each, in the same order.

    Raises nothing: what went wrong is in the outcomes. ``wait_s``: how long a daemon may be silent after an error.
    libvirt's event loop must run.
    """
    with contextlib.ExitStack() as stack:
        watched = _Watched(stack, connect)

        def work(move: Move) -> Outcome:
            try:
                return _work(move)
            except Exception as error:  # a fault of ours must not cost the other domains' outcomes
                return outcome(move, "unknown", error=f"{type(error).__name__}: {error}")

        def _work(move: Move) -> Outcome:
            uris = {"source": uri, "destination": move["destination_uri"]}
            try:
                watched.get(uri, "source")
                destination = watched.get(move["destination_uri"], "destination")
                own = connect(uri)
            except _NO_CONNECTION as error:
                here = look(connect, uri, move["uuid"], wait_s=0).running
                return outcome(move, "refused", running_on=move["source"] if here else None, error=str(error))
            try:
                link = Link(own, destination, lambda side, uuid: look(connect, uris[side], uuid, wait_s))
                return with_source_log(uri, move, lambda: move_domain(link, move, options, watched.watch))
            finally:
                _close(own)

        with ThreadPoolExecutor(max_parallel) as pool:
            return list(pool.map(work, moves))


class _Watched:
    """One connection for each host whose events are followed, opened when first needed and again when it has died."""

    def __init__(self, stack: contextlib.ExitStack, connect: Connect) -> None:
        self.watch = Watch()
        self._stack, self._connect = stack, connect
        self._open: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def get(self, uri: str, side: str) -> Connection:
        with self._lock:
            known = self._open.get(uri)
            if known is not None and known.isAlive():
                return known
            connection = self._connect(uri)
            self._stack.callback(_close, connection)
            self.watch.follow(connection, side)
            self._open[uri] = connection
            return connection


def _close(connection: Connection) -> None:
    with contextlib.suppress(*LIBVIRT_ERRORS):
        connection.close()
