# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The migration network: which address of a host lies in it. Pure, controller only.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts, LivemigError, UnknownFact

netaddr: t.Any
try:
    import netaddr
except ImportError:  # only a migration network needs it
    netaddr = None


def addresses_in(network: str, hosts: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """Host name -> its lowest address in the network (CIDR); nothing where ``network`` is empty.

    Raises LivemigError where it is no network, or a host has no address in it.
    """
    if not network:
        return {}
    wanted = _network(network)
    return {host["name"]: _of_host(host, wanted) for host in hosts}


def _network(text: str) -> t.Any:
    if netaddr is None:
        raise _wrong("", text, "the Python package netaddr on the controller", "install it: pip install netaddr")
    try:
        return netaddr.IPNetwork(text)
    except (netaddr.AddrFormatError, ValueError):
        raise _wrong("", text, "a network as 198.51.100.0/24 or 2001:db8::/64", "correct it") from None


def _of_host(host: t.Mapping[str, t.Any], network: t.Any) -> str:
    try:
        addresses = Facts(f"host {host['name']}", host).get("net.addresses")
    except UnknownFact as reason:
        raise _wrong(
            f" on host {host['name']}", str(network), f"the host's addresses: {reason}", "observe it as root"
        ) from None
    # A link-local IPv6 address leads nowhere without the name of a device of the source's.
    found = sorted(address for address in map(netaddr.IPAddress, addresses) if address in network)
    if not found:
        has = ", ".join(sorted(addresses)) or "none"
        raise _wrong(
            f" on host {host['name']}",
            str(network),
            f"an address in it; the host has {has}",
            "give the host one, correct livemig_migration_network, or leave the host out (livemig_destinations)",
        )
    return str(found[0])


def _wrong(where: str, value: str, expected: str, remedy: str) -> LivemigError:
    return LivemigError(f"livemig_migration_network{where}", value=value, expected=expected, remedy=remedy)
