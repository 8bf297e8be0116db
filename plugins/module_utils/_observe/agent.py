# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agents in the guests say, within a time limit for each and one for all of a host.

Only through calls that leave nothing behind: a command of one's own (virDomainQemuAgentCommand) marks the domain as
tainted, and virDomainAgentSetResponseTimeout changes the limit for everybody else.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, error_text, libvirt

CHANNEL = "org.qemu.guest_agent.0"
NOT_ASKED: t.Mapping[str, t.Any] = {"asked": False}
_FROZEN = "frozen state"
_DISABLED = "has been disabled"

Clock = t.Callable[[], float]


class Agents:
    """``timeout_s`` for each guest, ``budget_s`` for all of them together."""

    def __init__(self, timeout_s: float, budget_s: float, clock: Clock = time.monotonic) -> None:
        self._timeout_s, self._budget_s, self._clock = timeout_s, budget_s, clock
        self._until: float | None = None

    def of(self, domain: t.Any, channels: t.Iterable[t.Mapping[str, t.Any]], links: bool = False) -> dict[str, t.Any]:
        """``asked``; if so ``answers``, ``reason`` and ``frozen``: whether its file systems are, None where unknown.

        With ``links`` these too: name of each network device in the guest -> its MAC address; None where it does not
        tell. Raises OSError where the others have used up the time.
        """
        states = [channel["target_state"] for channel in channels if channel["target_name"] == CHANNEL]
        if not states:
            return dict(NOT_ASKED)
        if states[0] == "disconnected":
            return _answer(False, "no agent is connected to its channel")
        if self._until is None:
            self._until = self._clock() + self._budget_s
        left = min(self._timeout_s, self._until - self._clock())
        if left <= 0:
            raise OSError(f"the {self._budget_s:g} s for all agents of this host were used up by other guests")
        return self._ask(domain, left, links)

    @staticmethod
    def _ask(domain: t.Any, limit_s: float, links: bool) -> dict[str, t.Any]:
        found: list[dict[str, t.Any]] = []

        def ask() -> None:
            answer = _time(domain)
            if links and answer["answers"]:
                answer["links"] = _links(domain)
            found.append(answer)

        worker = threading.Thread(target=ask, daemon=True)
        worker.start()
        worker.join(limit_s)
        return found[0] if found else _answer(False, f"no answer within {limit_s:.0f} s")


def _time(domain: t.Any) -> dict[str, t.Any]:
    """guest-get-time is among the commands that an agent refuses while file systems are frozen, with the reason."""
    try:
        domain.getTime()
    except LIBVIRT_ERRORS as error:
        text = error_text(error)
        if _FROZEN in text:
            return _answer(True, "", frozen=True)
        if _DISABLED in text:
            return _answer(True, "", frozen=None)
        return _answer(False, text)
    return _answer(True, "", frozen=False)


def _links(domain: t.Any) -> dict[str, str] | None:
    """Without those that have no MAC address, as the loopback."""
    try:
        found = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    except LIBVIRT_ERRORS:
        return None
    return {name: str(entry["hwaddr"]).lower() for name, entry in found.items() if entry.get("hwaddr")}


def _answer(answers: bool, reason: str, frozen: bool | None = None) -> dict[str, t.Any]:
    return {"asked": True, "answers": answers, "reason": reason, "frozen": frozen}
