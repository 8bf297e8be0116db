# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A post-copy that was interrupted: the domain's memory is on both hosts, and libvirt can go on where it stopped.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time

from .._libvirt import Connection, libvirt
from .._model.api import LivemigError
from .._observe.api import migration_ports
from . import stall
from .case import Case
from .request import flags, parameters
from .truth import PAUSED_POSTCOPY, POSTCOPY_FAILED, RUNNING_POSTCOPY, place

HALVES = frozenset({PAUSED_POSTCOPY, POSTCOPY_FAILED})
"""A source in post-copy, and a destination whose QEMU has noticed that it was interrupted."""
# (first, beyond the last) version of a destination's libvirtd that dies when a failed post-copy is resumed (NEWS 11.4).
_DIES_OF_RESUME = (11_002_000, 11_004_000)
_NOTICED_S = 10.0
_AGAIN_S = 0.2


def resume(case: Case) -> None:
    """Goes on with it over the same way, or another one: libvirt waits until it is complete."""
    move = case.intent.move
    with case.open(case.destination) as there:
        _require_survival(case, there.getLibVersion())
        _notice(case, there)
    with case.open(case.source) as connection:
        domain = case.still(connection, case.source, HALVES)
        wanted = flags(move, case.intent.tls) | libvirt.VIR_MIGRATE_POSTCOPY | libvirt.VIR_MIGRATE_POSTCOPY_RESUME
        domain.migrateToURI3(move["destination_uri"], parameters(move, {}, case.intent.tls), wanted)


def _require_survival(case: Case, version: int) -> None:
    first, beyond = _DIES_OF_RESUME
    if first <= version < beyond:
        raise LivemigError(
            f"libvirt of {case.destination.name}",
            value=f"{version // 1_000_000}.{version // 1000 % 1000}, whose daemon dies when a post-copy is resumed",
            expected="11.4 or newer, or older than 11.2",
            remedy="update libvirt there and restart its daemon (the domain's two halves wait meanwhile), then recover",
        )


def _notice(case: Case, there: Connection) -> None:
    """A QEMU that waits for pages, and has nothing to send, never notices that its connection is dead, and libvirt
    waits for it. So the kernel of its host ends that connection, which the source has given up."""
    if place(there, case.uuid).word != RUNNING_POSTCOPY:
        return
    if case.here == case.destination.name:
        with case.open(case.source) as source:
            case.still(source, case.source, {POSTCOPY_FAILED})
        ports = migration_ports()
        stall.end_incoming(case.intent.move["domain"], range(ports["first"], ports["last"] + 1))
    end = time.monotonic() + _NOTICED_S
    while place(there, case.uuid).word == RUNNING_POSTCOPY:
        if time.monotonic() > end:
            raise LivemigError(
                f"QEMU of domain {case.intent.move['domain']} on {case.destination.name}",
                value="it waits at a connection that the source has given up",
                expected="that it has noticed, and its domain is in a failed post-copy",
                remedy=f"run recover on {case.destination.name} too, as the playbook does: there it can end that "
                "connection, with ss of iproute2",
            )
        time.sleep(_AGAIN_S)
