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
from .._sriov.api import Rules as VfRules
from .alone import Result, Wanted, vf
from .case import Case, End, Rules
from .control import Control, under_way
from .converge import unwatched
from .intent import Intent
from .logs import with_source_log
from .one import Link, Options, Run, move_domain
from .outcome import outcome
from .progress import FINISH_AT_LOSS, Attendant, Board, Loss
from .records import Records, run_id
from .recover import Asked, recover
from .shares import Shares
from .truth import NO_CONNECTION, look
from .watch import Watch

__all__ = [
    "Asked",
    "Control",
    "Loss",
    "Options",
    "Records",
    "Result",
    "Rules",
    "Wanted",
    "migrate",
    "planned",
    "recover",
    "run_id",
    "under_way",
    "vf",
    "vf_rules",
]


def vf_rules(attempts: int, timeout_s: float, gap: bool) -> VfRules:
    """How a guest is asked to let go of its functions."""
    return VfRules(attempts=attempts, detach_s=timeout_s, gap=gap, gap_by="allow_gap: true")


def planned(moves: t.Sequence[Move]) -> list[Outcome]:
    """What check mode says: nothing was done."""
    return [_planned(move) for move in moves]


def _planned(move: Move) -> Outcome:
    expected, ceiling_ms = move.get("forecast"), (move.get("profile") or {}).get("ceiling_ms")
    return {**outcome(move, "planned", running_on=move["source"]), "forecast": expected, "ceiling_ms": ceiling_ms}


def migrate(
    uri: str,
    moves: t.Sequence[Move],
    options: Options,
    max_parallel: int,
    connect: Connect,
    records: Records,
    run: str,
    loss: Loss = FINISH_AT_LOSS,
) -> list[Outcome]:
    """Moves the domains in their order, at most ``max_parallel`` at once; one outcome each, in the same order.

    What went wrong is in the outcomes; LivemigError is raised only where this host cannot keep its records, or the run
    is under way already, before anything is begun. libvirt's event loop must run.
    """
    records.ready()
    board, control = Board(moves), records.control(run)
    with contextlib.ExitStack() as stack:
        stack.enter_context(control.held())
        watched = _Watched(stack, connect)
        shares = Shares(board, moves)
        common = Run(options, watched.watch, board, shares, records.history())
        attendant = stack.enter_context(Attendant(board, control, loss, waits=shares.waits))

        def work(move: Move) -> Outcome:
            stopping = attendant.stopping()
            if stopping is not None:
                return outcome(move, "refused", running_on=move["source"], error=f"not begun: {stopping}")
            try:
                result = _work(move)
            except Exception as error:  # a fault of ours must not cost the other domains' outcomes
                result = outcome(move, "unknown", error=f"{type(error).__name__}: {error}")
            board.ended(move["uuid"], result["state"])
            return unwatched(result, move)

        def _work(move: Move) -> Outcome:
            ends = End(move["source"], uri), End(move["destination"], move["destination_uri"])
            try:
                asks = watched.get(uri, "source")
                destination = watched.get(move["destination_uri"], "destination")
                own = connect(uri)
            except NO_CONNECTION as error:
                here = look(connect, uri, move["uuid"], wait_s=0).running
                return outcome(move, "refused", running_on=move["source"] if here else None, error=str(error))
            try:
                case = Case(Intent(run, move, options.tls), *ends, connect, records, move["source"])
                link = Link(own, destination, asks)
                return with_source_log(uri, move, lambda: move_domain(link, case, common))
            finally:
                _close(own)

        with ThreadPoolExecutor(max_parallel) as pool:
            done = list(pool.map(work, moves))
        with contextlib.suppress(LivemigError):  # the outcomes are worth more than their copy
            records.over(run, done, loss.watched)
    records.prune()
    return done


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
