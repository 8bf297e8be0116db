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
    return control["state"] == "error" or (control["state"] == "occupied" and control["seconds"] >= int(HANGS_S) - 1)


class Monitors:
    """All domains of a host: each QEMU is asked something once, since one that hangs shows only when it is waited for.

    libvirt asks them one after the other. The call that hangs stays behind in its thread, and keeps others from
    waiting for the same guest: they ask with NOWAIT, by which libvirt passes over a domain that somebody waits for.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answered: bool | None = None

    def of(self, domain: t.Any) -> Control | None:
        self.all_answer()
        return of(domain)

    def all_answer(self) -> bool:
        """False where more guests hang than were waited for. After it returned True nothing with NOWAIT waits."""
        if self._answered is None:
            self._answered = any(self._ask() for _number in range(_ROUNDS))
        return self._answered

    def _ask(self) -> bool:
        worker = threading.Thread(target=self._balloons, daemon=True)
        worker.start()
        worker.join(HANGS_S)
        return not worker.is_alive()

    def _balloons(self) -> None:
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        with contextlib.suppress(*LIBVIRT_ERRORS):  # an error is an answer too
            self._connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_BALLOON, flags)


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
