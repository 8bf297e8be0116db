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

from .._libvirt import Connect, Connection, start_event_loop
from .._model.api import LivemigError, Move, Outcome
from .one import Link, Options, move_domain
from .outcome import outcome
from .watch import Watch

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
    run_events: t.Callable[[], None] = start_event_loop,
) -> list[Outcome]:
    """Moves the domains in their order, at most ``max_parallel`` at once; one outcome each, in the same order.

    Raises LivemigError when the local daemon does not answer; a destination that does not is in the outcomes.
    """
    if not moves:
        return []
    run_events()
    watch = Watch()
    with contextlib.ExitStack() as stack:
        source = _opened(stack, connect, uri)
        watch.follow(source, "source")
        destinations = _Destinations(stack, connect, watch)

        def work(move: Move) -> Outcome:
            try:
                own = connect(uri)
                destination = destinations.get(move["destination_uri"])
            except LivemigError as error:
                return outcome(move, "refused", running_on=move["source"], error=str(error))
            try:
                return move_domain(Link(own, destination), move, options, watch)
            finally:
                own.close()

        with ThreadPoolExecutor(max_parallel) as pool:
            return list(pool.map(work, moves))


def _opened(stack: contextlib.ExitStack, connect: Connect, uri: str) -> Connection:
    connection = connect(uri)
    stack.callback(connection.close)
    return connection


class _Destinations:
    """One watched connection for each destination, opened when the first move needs it."""

    def __init__(self, stack: contextlib.ExitStack, connect: Connect, watch: Watch) -> None:
        self._stack, self._connect, self._watch = stack, connect, watch
        self._open: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def get(self, uri: str) -> Connection:
        with self._lock:
            if uri not in self._open:
                connection = _opened(self._stack, self._connect, uri)
                self._watch.follow(connection, "destination")
                self._open[uri] = connection
            return self._open[uri]
