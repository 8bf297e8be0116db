# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a domain runs, read from both hosts. Nothing is concluded while one of them does not answer.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connect, Connection, error_code, libvirt
from .._model.api import LivemigError, Move

RETURN_S = 15.0
"""How long a daemon that does not answer is given to come back."""
_AGAIN_S = 0.5


class Place(t.NamedTuple):
    """``present`` and ``running`` of one host; both None where it did not answer."""

    present: bool | None
    running: bool | None


def place(connection: Connection, uuid: str) -> Place:
    try:
        domain = connection.lookupByUUIDString(uuid)
        return Place(True, domain.state()[0] in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED))
    except LIBVIRT_ERRORS as error:
        if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return Place(False, False)
        return Place(None, None)


def look(connect: Connect, uri: str, uuid: str, wait_s: float = RETURN_S) -> Place:
    """Asks over a new connection, again and again while the daemon does not answer, for at most ``wait_s``.

    After an error the old connection may be what has failed; and a daemon that was restarted comes back by itself.
    """
    end = time.monotonic() + wait_s
    while True:
        found = _look_once(connect, uri, uuid)
        if found.present is not None or time.monotonic() >= end:
            return found
        time.sleep(_AGAIN_S)


def _look_once(connect: Connect, uri: str, uuid: str) -> Place:
    try:
        connection = connect(uri)
    except LivemigError:
        return Place(None, None)
    try:
        return place(connection, uuid)
    finally:
        with contextlib.suppress(*LIBVIRT_ERRORS):
            connection.close()


# (runs on the source, runs on the destination) -> (state of the outcome, who runs it). Everything else is unknown.
_VERDICTS = {(True, False): ("failed", "source"), (False, True): ("moved", "destination")}


def verdict(move: Move, source: Place, destination: Place) -> tuple[str, str | None]:
    """The outcome's state after an error, and the host on which the domain runs, or None where that is not proven."""
    if source.running is None or destination.running is None:
        return "unknown", None
    state, where = _VERDICTS.get((source.running, destination.running), ("unknown", None))
    return state, None if where is None else (move["source"] if where == "source" else move["destination"])


def explain(move: Move, source: Place, destination: Place) -> str:
    """One sentence for a person who has to decide."""

    def side(name: str, where: Place) -> str:
        if where.present is None:
            return f"{name} does not answer"
        if not where.present:
            return f"{name} does not know the domain"
        return f"on {name} it is {'running' if where.running else 'not running'}"

    return f"{side(move['source'], source)}; {side(move['destination'], destination)}"
