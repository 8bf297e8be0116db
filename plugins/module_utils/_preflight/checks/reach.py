# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of how the migration stream finds its destination: names, addresses and ports.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import ipaddress
import typing as t
import urllib.parse

from ..._model.api import Question
from ..check import Check, Problem, View
from ..questions import key_of

_WILDCARDS = ("0.0.0.0", "::")
_PER_MIGRATION = 2
"""Ports: one for the memory, one for the disks that are copied."""


def address_of(view: View) -> str | None:
    """The name or address to which the sources send the migration; None where the policy has none."""
    there = view.there
    given = view.policy.get("addresses", {}).get(there)
    if given:
        return str(given)
    uri = view.policy.get("uris", {}).get(there)
    return urllib.parse.urlsplit(str(uri)).hostname if uri else None


def _resolve_question(name: str) -> Question:
    return t.cast(Question, {"key": f"resolve:{name}", "ask": "resolve", "value": name})


def _ask_address(view: View) -> t.Iterator[tuple[str, Question]]:
    name = address_of(view)
    if name is not None and not _is_address(name):
        yield view.source_name or "", _resolve_question(name)


def _found(view: View) -> tuple[str, list[str], str] | None:
    """The destination's name or address, the addresses that the source finds for it, and why it finds none."""
    name = address_of(view)
    if name is None:
        return None
    if _is_address(name):
        return name, [name], ""
    answer = view.answer(view.source_name, _resolve_question(name)["key"])
    return name, answer.get("addresses"), str(answer.get("reason"))


def _resolvable(view: View) -> t.Iterator[Problem]:
    found = _found(view)
    if found is None:
        return
    name, addresses, reason = found
    what = f"Name {name} of {view.there} on {view.source_name}"
    if not addresses:
        yield Problem(what, f"not found: {reason}")
        return
    loopback = [address for address in addresses if _is_loopback(address)]
    if loopback:
        yield Problem(what, f"{', '.join(loopback)}, which is {view.source_name} itself")
        return
    own = view.destination.get("net.addresses")
    foreign = [address for address in addresses if address not in own]
    if foreign:
        yield Problem(what, f"{', '.join(foreign)}, which is no address of {view.there}", severity="warning")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback


def _own_hostname(view: View) -> t.Iterator[Problem]:
    """The address is always given with a migration of ours, so that nothing depends on this; one by hand does."""
    if view.role != "destination":
        return
    hostname = view.host.get("hostname")
    if hostname.partition(".")[0] == "localhost":
        # The source refuses a destination that has its own name, and libvirt one whose name begins so.
        yield Problem(f"Host name of {view.there}", hostname)
        return
    loopback = [address for address in view.host.get("system.own_name") if _is_loopback(address)]
    if loopback:
        yield Problem(
            f"Host name {hostname} of {view.there}",
            f"{loopback[0]} in its own /etc/hosts",
            expected="an address by which others reach it, for programs that ask the host for its own name",
            remedy=f"nothing has to be done for livemig, which names the address itself; for migrations by hand "
            f"replace {loopback[0]} in its /etc/hosts by its address, or give virsh migrate a --migrateuri",
            severity="info",
        )


def _listens(view: View) -> t.Iterator[Problem]:
    """QEMU takes IPv4 on :: whatever net.ipv6.bindv6only says (inet_listen_saddr in its util/qemu-sockets.c)."""
    listen = view.destination.get("daemon.qemu_conf.migration_address")
    if listen is None or listen == "::":
        return
    found = _found(view)
    if found is None:
        return
    _name, addresses, _reason = found
    reachable = [address for address in addresses if address == listen or (listen in _WILDCARDS and ":" not in address)]
    if addresses and not reachable:
        yield Problem(f"Migration address of {view.there}", f"{listen}, and {view.source_name} goes to {addresses[0]}")


def _ask_port(view: View) -> t.Iterator[tuple[str, Question]]:
    """Only where no guest waits on one of them: QEMU takes the first connection for the migration."""
    name = address_of(view)
    if view.policy.get("probe") and name is not None and not view.destination.get("migration_ports.in_use"):
        yield view.source_name or "", _port_question(name, view.destination.get("migration_ports.last"))


def _port_question(name: str, port: int) -> Question:
    asked = [name, port]
    return t.cast(Question, {"key": key_of("reach", asked), "ask": "reach", "value": asked})


def _reachable(view: View) -> t.Iterator[Problem]:
    for host, question in _ask_port(view):
        answer = view.answer(host, question["key"])
        if not answer.get("ok"):
            name, port = question["value"]
            yield Problem(f"Way from {view.link}", f"port {port} of {name}: {answer.get('reason')}")


def _client_ports(view: View) -> t.Iterator[Problem]:
    """libvirt passes over a port that a connection holds, so it is their number that matters."""
    if view.role != "destination":
        return
    first, last = view.host.get("migration_ports.first"), view.host.get("migration_ports.last")
    begin, end = view.host.get("system.client_ports.range")
    reserved = view.host.get("system.client_ports.reserved")
    held = view.host.get("system.client_ports.held")
    shared = range(max(first, begin), min(last, end) + 1)
    open_to_clients = sum(not any(low <= port <= high for low, high in reserved) for port in shared)
    if not held or not open_to_clients:
        return
    coming = sum(domain["host"] != view.there and domain.get("state") == "running" for domain in view.fleet.domains)
    left = last - first + 1 - held - view.host.get("migration_ports.in_use")
    few = left < _PER_MIGRATION * min(coming, last - first + 1)
    yield Problem(
        f"Migration ports {first} to {last} of {view.there}",
        f"connections to elsewhere hold {held} of them, and may take {open_to_clients}, since these lie between "
        f"{begin} and {end}",
        severity="warning" if few else None,
    )


CHECKS: tuple[Check, ...] = (
    Check(
        id="host_dest_hostname_usable",
        category="host",
        severity="warning",
        scope="host",
        title="The destination knows itself by a name that others can use",
        expected="a host name that is not localhost",
        remedy="give it a name (hostnamectl set-hostname) and restart its libvirt daemon",
        evaluate=_own_hostname,
        evidence="lab",
    ),
    Check(
        id="host_dest_resolvable_from_source",
        category="host",
        severity="error",
        scope="link",
        title="The source finds the destination by its name",
        expected="an address of the destination",
        remedy="correct the source's /etc/hosts or its DNS, or set livemig_address (livemig_migration_network) so that "
        "the destination is called by its address; what the controller finds does not matter",
        evaluate=_resolvable,
        asks=_ask_address,
        evidence="lab",
    ),
    Check(
        id="host_listen_address_family",
        category="host",
        severity="error",
        scope="link",
        title="The destination listens where the source sends the migration",
        expected="a migration_address that includes the address to which the source connects",
        remedy="remove migration_address from /etc/libvirt/qemu.conf of the destination, or set it to that address, "
        "and restart its daemon; or let livemig_address (livemig_migration_network) name the address it listens on",
        evaluate=_listens,
        asks=_ask_address,
        evidence="lab",
    ),
    Check(
        id="host_migration_ports_reachable",
        category="host",
        severity="error",
        scope="link",
        title="The source reaches the destination's migration ports",
        expected="an answer, be it the port's own refusal, since nothing listens there yet (a firewall that resets TCP "
        "connections looks the same)",
        remedy="open the migration ports (49152 to 49215, or migration_port_min and migration_port_max of qemu.conf) "
        "in the destination's firewall for the sources' addresses",
        evaluate=_reachable,
        asks=_ask_port,
        evidence="lab",
    ),
    Check(
        id="host_migration_ports_ephemeral",
        category="host",
        severity="info",
        scope="host",
        title="Connections to elsewhere leave the migration ports alone",
        expected="none held: net.ipv4.ip_local_reserved_ports keeps them free",
        remedy="sysctl net.ipv4.ip_local_reserved_ports=49152-49215 there, and the same in /etc/sysctl.d",
        evaluate=_client_ports,
        evidence="lab",
    ),
)
