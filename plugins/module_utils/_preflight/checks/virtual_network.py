# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of libvirt's networks that a domain is attached to, and of the filters of its NICs.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts, Question
from ..check import Check, Problem, Requirement, View
from ..nics import each_nic, network_of, with_edit
from ..questions import key_of

_NETWORK = "Network of domain {domain}"
_HOST_LOCAL = ("nat", "route", "open", "isolated")


def _network_names(view: View) -> t.Iterator[str | Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        name = network_of(nic)
        if name is not None:
            yield name

    return each_nic(view, judge)


def _networks(view: View, name: str) -> t.Iterator[Problem]:
    active = {network["name"]: network["active"] for network in view.destination.get("networks")}
    if not active.get(name):
        how = "is not active" if name in active else "does not exist"
        problem = Problem(_NETWORK, f"its network {name} {how} on {view.there}")
        yield with_edit(view, "network", name, problem, lambda new: bool(active.get(new)))


class Segment(t.NamedTuple):
    """A network as a guest sees it: what decides in which segment its packets are."""

    network: str
    portgroup: str | None
    facts: tuple[tuple[str, str], ...]


def _described(network: t.Mapping[str, t.Any], portgroup: str | None) -> tuple[tuple[str, str], ...]:
    group = network["portgroups"].get(portgroup) or {"vlans": [], "virtualport": None}
    return (
        ("Forward mode", network["forward"]),
        ("VLANs", _numbers(group["vlans"] or network["vlans"])),
        ("Virtual port", str(group["virtualport"] or network["virtualport"] or "none")),
    )


def _numbers(vlans: t.Sequence[int]) -> str:
    return ", ".join(map(str, vlans)) or "none"


def _segments(view: View) -> t.Iterator[Segment | Problem]:
    def judge(nic: Facts) -> t.Iterator[Segment]:
        name, group = network_of(nic), nic.get("more.portgroup")
        network = view.source.get("net.networks").get(name) if name is not None else None
        if name is not None and network is not None:
            yield Segment(name, group, _described(network, group))

    return each_nic(view, judge)


def _equivalent(view: View, need: Segment) -> t.Iterator[Problem]:
    network = view.destination.get("net.networks").get(need.network)
    if network is None:
        return
    there = _described(network, need.portgroup)
    for (what, ours), (_same, theirs) in zip(need.facts, there):
        if ours != theirs:
            yield Problem(f"{what} of network {need.network}", f"{theirs} on {view.there}", expected=ours)


def _host_local(view: View) -> t.Iterator[Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        name = network_of(nic)
        if name is not None and nic.get("type") == "network":
            yield name

    for name in each_nic(view, judge):
        if isinstance(name, Problem):
            yield name
            continue
        forward = view.source.get("net.networks").get(name, {}).get("forward")
        if forward in _HOST_LOCAL:
            what = f"Network {name} of domain {view.domain_name}"
            yield Problem(what, f"its forward mode is {forward}, so that it ends at {view.source_name}")


class Group(t.NamedTuple):
    network: str
    portgroup: str


def _portgroups(view: View) -> t.Iterator[Group | Problem]:
    def judge(nic: Facts) -> t.Iterator[Group]:
        name, group = network_of(nic), nic.get("more.portgroup")
        if name is not None and group is not None:
            yield Group(name, group)

    return each_nic(view, judge)


def _portgroup(view: View, need: Group) -> t.Iterator[Problem]:
    network = view.destination.get("net.networks").get(need.network)
    if network is not None and need.portgroup not in network["portgroups"]:
        known = ", ".join(sorted(network["portgroups"])) or "none"
        yield Problem(
            _NETWORK, f"network {need.network} has no port group {need.portgroup} on {view.there}, it has {known}"
        )


class Filter(t.NamedTuple):
    name: str
    digest: str | None


def _filters(view: View) -> t.Iterator[Filter | Problem]:
    def judge(nic: Facts) -> t.Iterator[Filter]:
        name = nic.get("more.filter")
        if name is not None:
            yield Filter(name, view.source.get("net.filters").get(name))

    return each_nic(view, judge)


def _ask_filter(_view: View, need: Filter) -> t.Iterator[Question]:
    yield {"key": key_of("nwfilter", need.name), "ask": "nwfilter", "value": need.name}


def _filter(view: View, need: Filter) -> t.Iterator[Problem]:
    digest = view.answer(view.destination_name, key_of("nwfilter", need.name)).get("digest")
    if digest is None:
        yield Problem("Network filter of domain {domain}", f"{need.name} is not on {view.there}")
    elif need.digest is not None and digest != need.digest:
        yield Problem(
            f"Network filter {need.name}",
            f"{view.there} has other rules in it, or in one that it includes",
            expected="the same rules on both hosts",
            severity="warning",
        )


class Floor(t.NamedTuple):
    """KiB/s that are promised to a domain in a network."""

    network: str
    kib: int


def _floors(view: View) -> t.Iterator[Floor | Problem]:
    sums: dict[str, int] = {}
    for nic in view.domain.items("interfaces", "mac"):
        floor, name = nic.get("more.floor"), network_of(nic)
        if floor is not None and name is not None:
            sums[name] = sums.get(name, 0) + int(floor)
    yield from (Floor(name, kib) for name, kib in sorted(sums.items()))


def _floor(view: View, need: Floor) -> t.Iterator[Problem]:
    network = view.destination.get("net.networks").get(need.network)
    if network is None:
        return
    average, used = network["inbound_kib"], network["floor_used_kib"]
    if not average:
        yield Problem(_NETWORK, f"network {need.network} of {view.there} limits no bandwidth, so that none is promised")
    elif used + need.kib > average:
        yield Problem(
            _NETWORK,
            f"network {need.network} of {view.there} has promised {used} of {average} KiB/s",
            expected=f"{need.kib} KiB/s left, the floor of {{domain}}",
        )


class Reserved(t.NamedTuple):
    network: str
    mac: str
    address: str


def _reserved(view: View) -> t.Iterator[Reserved | Problem]:
    def judge(nic: Facts) -> t.Iterator[Reserved]:
        name = network_of(nic)
        if name is not None:
            mac = nic.get("mac").lower()
            address = view.source.get("net.networks").get(name, {}).get("reservations", {}).get(mac)
            if address is not None:
                yield Reserved(name, mac, address)

    return each_nic(view, judge)


def _reservation(view: View, need: Reserved) -> t.Iterator[Problem]:
    network = view.destination.get("net.networks").get(need.network)
    if network is not None and network["reservations"].get(need.mac) != need.address:
        yield Problem(
            f"DHCP reservation of {{domain}} in network {need.network}",
            f"{view.there} has {network['reservations'].get(need.mac) or 'none'} for {need.mac}",
            expected=need.address,
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="net_libvirt_network_active",
        category="network",
        severity="error",
        scope="pair",
        title="The domain's libvirt networks are active at the destination",
        expected="an active network of the same name on both hosts",
        remedy="define and start it there (virsh net-define, net-start, net-autostart)",
        requires=Requirement(_network_names, _networks),
        evidence="lab",
    ),
    Check(
        id="net_network_equivalent",
        category="network",
        severity="warning",
        scope="pair",
        title="The domain's libvirt networks are the same at the destination",
        expected="the same forward mode, VLANs and virtual port on both hosts",
        remedy="compare virsh net-dumpxml on both hosts: the guest may land in another network segment",
        requires=Requirement(_segments, _equivalent),
        evidence="lab",
    ),
    Check(
        id="net_nat_or_isolated",
        category="network",
        severity="warning",
        scope="domain",
        title="The domain's networks reach beyond its host",
        expected="a bridged network: one that ends at its host has other guests, other leases and other connections on "
        "every host",
        remedy="move it only if its connections may break; else attach it to a bridge that all hosts share",
        evaluate=_host_local,
        evidence="lab",
    ),
    Check(
        id="net_portgroup_exists",
        category="network",
        severity="error",
        scope="pair",
        title="The destination's networks have the domain's port groups",
        # Tried with libvirt 11.3: without the port group the NIC is attached all the same.
        expected="the port group: without it libvirt attaches the NIC all the same, with other VLANs and limits",
        remedy="add the port group to the network there (virsh net-update, or net-edit and restart of the network)",
        requires=Requirement(_portgroups, _portgroup),
        evidence="lab",
    ),
    Check(
        id="net_nwfilter_exists",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the domain's network filters",
        expected="a filter of the same name on both hosts",
        remedy="virsh nwfilter-dumpxml at the source and virsh nwfilter-define there, also of the filters it includes",
        requires=Requirement(_filters, _filter, _ask_filter),
        evidence="lab",
    ),
    Check(
        id="net_bandwidth_floor",
        category="network",
        severity="error",
        scope="pair",
        title="The destination's networks can promise the domain's bandwidth",
        expected="a network that limits its inbound bandwidth and has not promised it all",
        remedy="give the network there more inbound average, or take the floor from the domain (virsh domiftune)",
        requires=Requirement(_floors, _floor),
        evidence="recorded",
    ),
    Check(
        id="net_dhcp_reservation",
        category="network",
        severity="info",
        scope="pair",
        title="The destination reserves the domain's address",
        expected="the same reservation on both hosts",
        remedy="virsh net-update NETWORK add ip-dhcp-host there; else the guest gets another address when it renews",
        requires=Requirement(_reserved, _reservation),
        evidence="lab",
    ),
)
