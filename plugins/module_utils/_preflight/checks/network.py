# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of the bridges that a domain is attached to, those of the kernel and of Open vSwitch.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..._model.api import Facts, UnknownFact
from ..check import Check, Problem, Requirement, View
from ..nics import Port, bridge_here, bridge_there, each_nic, network_of, port_of, uplinks, with_edit

_NETWORK = "Network of domain {domain}"
_VLANS_ON_BRIDGES = 11000000


def _ports(view: View) -> t.Iterator[Port | Problem]:
    def judge(nic: Facts) -> t.Iterator[Port]:
        port = port_of(nic)
        if port is not None:
            yield port

    return each_nic(view, judge)


def _bridges(view: View, port: Port) -> t.Iterator[Problem]:
    known = view.destination.get("bridges")
    if port.network is not None:
        network = view.destination.get("net.networks").get(port.network, {})
        name = network.get("bridge")
        if network.get("forward") == "bridge" and name is not None and name not in known:
            yield Problem(_NETWORK, f"network {port.network} of {view.there} is on bridge {name}, which is not there")
        return
    if port.bridge not in known:
        problem = Problem(_NETWORK, f"its bridge {port.bridge} is not on {view.there}{_but_ovs(view, port.bridge)}")
        yield with_edit(view, "bridge", port.bridge, problem, lambda new: new in known)
    elif not view.destination.get("net.links")[port.bridge]["up"]:
        yield Problem(
            _NETWORK,
            f"its bridge {port.bridge} is down on {view.there}",
            expected="a bridge that is up on both hosts",
            remedy=f"find out why it is down, then ip link set {port.bridge} up",
        )


def _but_ovs(view: View, bridge: str) -> str:
    with contextlib.suppress(UnknownFact):
        if bridge in view.destination.get("net.openvswitch")["bridges"]:
            return " as a bridge of the kernel, but as one of Open vSwitch"
    return ""


def _ovs_ports(view: View) -> t.Iterator[Port | Problem]:
    def judge(nic: Facts) -> t.Iterator[Port]:
        if nic.get("virtualport") == "openvswitch" and nic.get("type") == "bridge":
            yield Port(network_of(nic), nic.get("source"))

    return each_nic(view, judge)


def _ovs(view: View, port: Port) -> t.Iterator[Problem]:
    bridge: str | None = port.bridge
    if port.network is not None:
        bridge = view.destination.get("net.networks").get(port.network, {}).get("bridge")
    there = view.destination.get("net.openvswitch")
    if bridge is None or bridge in there["bridges"]:
        return
    problem = Problem(_NETWORK, f"its Open vSwitch bridge {bridge} is not on {view.there}")
    if not there["installed"]:
        problem = Problem(_NETWORK, f"its bridge {bridge} is one of Open vSwitch, and {view.there} has no ovs-vsctl")
    if port.network is None:
        problem = with_edit(view, "bridge", bridge, problem, lambda new: new in there["bridges"])
    yield problem


def _tagged(view: View) -> t.Iterator[Port | Problem]:
    def judge(nic: Facts) -> t.Iterator[Port]:
        port = port_of(nic)
        if port is not None and nic.get("more.vlan") is not None:
            yield port

    return each_nic(view, judge)


def _vlans(view: View, port: Port) -> t.Iterator[Problem]:
    bridge = bridge_there(view, port)
    if bridge is None:
        return
    if view.destination.get("libvirt_version") < _VLANS_ON_BRIDGES:
        yield Problem(_NETWORK, f"it wants a VLAN tag on bridge {bridge}, and libvirt of {view.there} cannot set one")
    elif not view.destination.get("net.bridges")[bridge]["vlan_filtering"]:
        yield Problem(
            _NETWORK, f"it wants a VLAN tag on bridge {bridge}, and that of {view.there} does not filter VLANs"
        )


class Linked(t.NamedTuple):
    """A bridge that leads out of the source by these ports."""

    port: Port
    by: tuple[str, ...]


def _linked(view: View) -> t.Iterator[Linked | Problem]:
    def judge(nic: Facts) -> t.Iterator[Linked]:
        port, here = port_of(nic), bridge_here(nic)
        by = uplinks(view.source.get("net.links"), here) if here is not None else {}
        if port is not None and by:
            yield Linked(port, tuple(sorted(by)))

    return each_nic(view, judge)


def _leads_out(view: View, need: Linked) -> t.Iterator[Problem]:
    bridge = bridge_there(view, need.port)
    if bridge is None:
        return
    by = uplinks(view.destination.get("net.links"), bridge)
    if not by:
        yield Problem(_NETWORK, f"nothing but guests is on bridge {bridge} of {view.there}")
    elif not any(link["carrier"] for link in by.values()):
        yield Problem(_NETWORK, f"{', '.join(sorted(by))}, below bridge {bridge} of {view.there}: no carrier")


class Mtu(t.NamedTuple):
    port: Port
    size: int


def _mtus(view: View) -> t.Iterator[Mtu | Problem]:
    def judge(nic: Facts) -> t.Iterator[Mtu]:
        port, here = port_of(nic), bridge_here(nic)
        if port is None or here is None:
            return
        explicit, links = nic.get("more.mtu"), view.source.get("net.links")
        if explicit is not None:
            yield Mtu(port, int(explicit))
        elif here in links:
            yield Mtu(port, min(link["mtu"] for link in (links[here], *uplinks(links, here).values())))

    return each_nic(view, judge)


def _mtu(view: View, need: Mtu) -> t.Iterator[Problem]:
    bridge = bridge_there(view, need.port)
    links = view.destination.get("net.links")
    names = [] if bridge is None or bridge not in links else [bridge, *sorted(uplinks(links, bridge))]
    small = [f"{name} has {links[name]['mtu']}" for name in names if links[name]["mtu"] < need.size]
    if small:
        yield Problem(f"MTU on {view.there}", ", ".join(small), expected=f"{need.size}, as at the source of {{domain}}")


def _stp(view: View, port: Port) -> t.Iterator[Problem]:
    name = bridge_there(view, port)
    bridge = view.destination.get("net.bridges").get(name) if name is not None else None
    if bridge is not None and bridge["stp"] and bridge["forward_delay_s"]:
        delay = 2 * bridge["forward_delay_s"]
        yield Problem(f"Bridge {name} of {view.there}", f"STP is on, so that a new port is silent for {delay:.0f} s")


CHECKS: tuple[Check, ...] = (
    Check(
        id="net_bridge_exists",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the domain's bridges",
        expected="a bridge of the same name on both hosts",
        remedy="create the bridge there, connected to the same network, or map it to another",
        requires=Requirement(_ports, _bridges),
        evidence="lab",
    ),
    Check(
        id="net_ovs_bridge_exists",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the domain's Open vSwitch bridges",
        expected="Open vSwitch with a bridge of the same name on both hosts",
        remedy="install and start Open vSwitch there and ovs-vsctl add-br, connected to the same network",
        requires=Requirement(_ovs_ports, _ovs),
    ),
    Check(
        id="net_vlan_support",
        category="network",
        severity="error",
        scope="pair",
        title="The destination's bridges can tag the domain's VLANs",
        expected="libvirt 11.0 or newer and a bridge with vlan_filtering 1",
        remedy="ip link set BRIDGE type bridge vlan_filtering 1, and allow the VLAN on its uplink (bridge vlan); or "
        "choose another destination",
        requires=Requirement(_tagged, _vlans),
    ),
    Check(
        id="net_l2_equivalence",
        category="network",
        severity="warning",
        scope="pair",
        title="The domain's bridges lead out of the destination too",
        expected="an uplink with a carrier, as the bridge at the source has one",
        remedy="connect the bridge there to the same network (ip link set UPLINK master BRIDGE), or plug in its cable",
        requires=Requirement(_linked, _leads_out),
        evidence="lab",
    ),
    Check(
        id="net_mtu",
        category="network",
        severity="warning",
        scope="pair",
        title="The destination's bridges take packets of the same size",
        expected="the MTU of the source or a larger one, of the bridge and its uplinks",
        remedy="ip link set DEVICE mtu there, and in the host's network configuration; else large packets are lost",
        requires=Requirement(_mtus, _mtu),
        evidence="lab",
    ),
    Check(
        id="net_stp_forward_delay",
        category="network",
        severity="warning",
        scope="pair",
        title="New ports of the destination's bridges forward at once",
        expected="STP off, or a forward delay of 0",
        remedy="ip link set BRIDGE type bridge forward_delay 0, or stp_state 0 where no loop is possible; else the "
        "guest has no network for so long after it has moved",
        requires=Requirement(_ports, _stp),
        evidence="lab",
    ),
)
