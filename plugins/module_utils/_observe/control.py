# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether QEMU still answers libvirt, and what libvirt says against a domain; bounded where a guest hangs.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, error_code, libvirt

# virDomainControlState
STATES = ("ok", "job", "occupied", "error")
HANGS_S = 5.0
_ROUNDS = 3
_OCCUPIED_S = 4
"""So long the first guest that hangs has been waited for when the first call is given up, and a bit less."""

Control = dict[str, t.Any]


def of(domain: t.Any) -> Control | None:
    """``state`` of libvirt's talk with QEMU and for how many ``seconds``; None where no QEMU runs. Never waits."""
    try:
        state, _details, since_ms = domain.controlInfo()
    except LIBVIRT_ERRORS as error:
        if error_code(error) == libvirt.VIR_ERR_OPERATION_INVALID:
            return None
        raise
    return {"state": STATES[state] if state < len(STATES) else str(state), "seconds": since_ms // 1000}


def hangs(control: Control | None) -> bool:
    """Whether anything that asks QEMU would wait."""
    if control is None:
        return False
    waited = bool(control["state"] == "occupied" and control["seconds"] >= _OCCUPIED_S)
    return waited or control["state"] == "error"


class Monitors:
    """All domains of a host: each QEMU is asked something once, since one that hangs shows only when it is waited for.

    libvirt asks them one after the other. The call that hangs stays behind in its thread, and keeps others from
    waiting for the same guest: they ask with NOWAIT, by which libvirt passes over a domain that somebody waits for.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answered: bool | None = None
        self._stats: list[tuple[t.Any, t.Mapping[str, t.Any]]] = []

    def of(self, domain: t.Any) -> Control | None:
        self._all_answer()
        return of(domain)

    def stats(self) -> list[tuple[t.Any, t.Mapping[str, t.Any]]]:
        """What libvirt tells of the disks and of the memory of all domains that answer. Raises OSError where too many
        do not."""
        self._all_answer()
        if not self._answered:
            raise OSError("several QEMUs on this host do not answer libvirt")
        return self._stats

    def _all_answer(self) -> None:
        if self._answered is None:
            self._answered = any(self._ask() for _number in range(_ROUNDS))

    def _ask(self) -> bool:
        """Whether it came to an end: not where a guest hangs that did not hang when the last call came by."""
        worker = threading.Thread(target=self._blocks, daemon=True)
        worker.start()
        worker.join(HANGS_S)
        return not worker.is_alive()

    def _blocks(self) -> None:
        asked = libvirt.VIR_DOMAIN_STATS_BLOCK | libvirt.VIR_DOMAIN_STATS_BALLOON
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        with contextlib.suppress(*LIBVIRT_ERRORS):  # an error is an answer too
            self._stats = self._connection.getAllDomainStats(asked, flags)


def messages(domain: t.Any) -> list[str] | None:
    """libvirt's words on what taints the domain and what of it is deprecated; None before libvirt 7.1."""
    if not hasattr(domain, "messages"):
        return None
    try:
        return list(domain.messages(0))
    except LIBVIRT_ERRORS as error:
        if error_code(error) == libvirt.VIR_ERR_NO_SUPPORT:
            return None
        raise
