# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A post-copy that was interrupted: the domain's memory is on both hosts, and libvirt can go on where it stopped.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import urllib.parse

from .._libvirt import Connection, libvirt
from .._model.api import LivemigError
from .._observe.api import migration_ports
from . import request, stall
from .case import Case
from .truth import PAUSED_POSTCOPY, POSTCOPY_FAILED, RUNNING_POSTCOPY, place

HALVES = frozenset({PAUSED_POSTCOPY, POSTCOPY_FAILED})
"""A source in post-copy, and a destination whose QEMU has noticed that it was interrupted."""
# (first, beyond the last) version of a destination's libvirtd that dies when a failed post-copy is resumed (NEWS 11.4).
_DIES_OF_RESUME = (11_002_000, 11_004_000)
RESUMES_LIBVIRT = 8_005_000
"""NEWS of libvirt 8.5: VIR_MIGRATE_POSTCOPY_RESUME."""
_WATCHED = "actively monitored by another thread"
_NOTICED_S = 10.0
_AGAIN_S = 0.2


def resume(case: Case) -> None:
    """Goes on with it over the same way, or another one: libvirt waits until it is complete."""
    with case.open(case.source) as here, case.open(case.destination) as there:
        for end, connection in ((case.source, here), (case.destination, there)):
            _require_ability(end.name, connection.getLibVersion(), end == case.destination)
        try:
            _again(case, here)
        except libvirt.libvirtError as error:
            # The source's libvirt has looked first whether QEMU there has really stopped.
            if _WATCHED not in str(error) or place(there, case.uuid).word != RUNNING_POSTCOPY:
                raise
            _notice(case, there)
            _again(case, here)


def _again(case: Case, connection: Connection) -> None:
    move = case.intent.move
    request.require_constant("VIR_MIGRATE_POSTCOPY_RESUME")
    domain = case.still(connection, case.source, HALVES)
    wanted = request.flags(move, case.intent.tls) | libvirt.VIR_MIGRATE_POSTCOPY | libvirt.VIR_MIGRATE_POSTCOPY_RESUME
    domain.migrateToURI3(move["destination_uri"], request.parameters(move, {}, case.intent.tls), wanted)


def _require_ability(host: str, version: int, is_destination: bool) -> None:
    first, beyond = _DIES_OF_RESUME
    wrong = None
    if version < RESUMES_LIBVIRT:
        wrong = "which cannot resume a post-copy"
    elif is_destination and first <= version < beyond:
        wrong = "whose daemon dies when a post-copy is resumed"
    if wrong is not None:
        raise LivemigError(
            f"libvirt of {host}",
            value=f"{version // 1_000_000}.{version // 1000 % 1000}, {wrong}",
            expected="8.5 or newer, and at the destination 11.4 or newer, or older than 11.2",
            remedy="update libvirt there and restart its daemon (the domain's two halves wait meanwhile), then recover",
        )


def _notice(case: Case, there: Connection) -> None:
    """A QEMU that waits for pages, and has nothing to send, never notices that its connection is dead, and libvirt
    waits for it. So the kernel of its host ends what it has accepted from the source."""
    if case.here == case.destination.name:
        ports = migration_ports()
        source = urllib.parse.urlsplit(case.source.uri or "").hostname or case.source.name
        stall.end_incoming(case.intent.move["domain"], source, range(ports["first"], ports["last"] + 1))
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
