# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a domain runs, read from both hosts. Nothing is concluded while one of them does not answer.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, error_code, libvirt
from .._model.api import Move


class Place(t.NamedTuple):
    """``present`` and ``running`` of one host; both None where it did not answer."""

    present: bool | None
    running: bool | None


def place(connection: Connection | None, uuid: str) -> Place:
    if connection is None:
        return Place(None, None)
    try:
        domain = connection.lookupByUUIDString(uuid)
        return Place(True, domain.state()[0] in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED))
    except LIBVIRT_ERRORS as error:
        if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return Place(False, False)
        return Place(None, None)


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
