# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether something can be bound at a destination: its addresses, and what is bound there already.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import ipaddress

from .._model.api import UnknownFact
from .check import View

_WILDCARDS = ("0.0.0.0", "::")


def everywhere(address: str) -> bool:
    """Whether every host has the address: a wildcard, or one of the loopback."""
    return address in (*_WILDCARDS, "localhost", "") or _ip(address).is_loopback


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        raise UnknownFact(f"{address} is a name, and what it means on another host is not looked up") from None


def address_is_there(view: View, address: str) -> bool:
    """Raises UnknownFact for names."""
    return everywhere(address) or str(_ip(address)) in view.destination.get("net.addresses")


def in_use(view: View, protocol: str, address: str, port: str) -> str | None:
    """What is bound at the destination so that this port of this address is taken: ``0.0.0.0 port 5901``, or None."""
    for entry in view.destination.get("net.sockets"):
        kind, other, number = entry.split()
        overlaps = other == address or other in _WILDCARDS or address in _WILDCARDS
        if kind == protocol and number == str(port) and overlaps:
            return f"{other} port {number}"
    return None
