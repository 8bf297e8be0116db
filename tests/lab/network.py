# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces, the switch and its cables. Every step may be repeated."""

from __future__ import annotations

from tests.lab import places, processes
from tests.lab.hosts import CONTROLLER, CONTROLLER_OCTET, NETWORK, PREFIX, WITNESS, WITNESS_OCTET, Host, netns_of
from tests.lab.run import run

SWITCH = "sw0"
UPLINK = "eth0"
BRIDGE = "br0"


def ip(*words: str, netns: str | None = None) -> None:
    run(["ip", *(["-n", netns] if netns else []), *words])


def has_link(netns: str, link: str) -> bool:
    return run(["ip", "-n", netns, "link", "show", "dev", link], check=False).returncode == 0


def ensure_netns(netns: str) -> None:
    if netns not in processes.namespaces():
        ip("netns", "add", netns)
    ip("link", "set", "lo", "up", netns=netns)


def ensure_bridge(netns: str, bridge: str) -> bool:
    """True when the bridge was not there."""
    missing = not has_link(netns, bridge)
    if missing:
        ip("link", "add", bridge, "type", "bridge", netns=netns)
    ip("link", "set", bridge, "up", netns=netns)
    return missing


def _address(netns: str, link: str, octet: int) -> None:
    ip("addr", "replace", f"{NETWORK}.{octet}/{PREFIX}", "dev", link, netns=netns)


def _cable(name: str) -> None:
    """A cable from the switch to the namespace of that name, both ends up."""
    controller, netns, port = netns_of(CONTROLLER), netns_of(name), f"port-{name}"
    if not has_link(controller, port):
        ip("link", "add", port, "netns", controller, "type", "veth", "peer", "name", UPLINK, "netns", netns)
    ip("link", "set", port, "master", SWITCH, "up", netns=controller)
    ip("link", "set", UPLINK, "up", netns=netns)


def ensure_switch() -> None:
    """The controller with the switch, and the witness. No address of the lab exists outside its namespaces."""
    controller, witness = netns_of(CONTROLLER), netns_of(WITNESS)
    ensure_netns(controller)
    ensure_bridge(controller, SWITCH)
    _address(controller, SWITCH, CONTROLLER_OCTET)
    ensure_netns(witness)
    _cable(WITNESS)
    _address(witness, UPLINK, WITNESS_OCTET)


def ensure_host(host: Host) -> None:
    ensure_netns(host.netns)
    ensure_bridge(host.netns, BRIDGE)
    # a bridge without an address of its own takes its lowest port's, and changes it when a guest's tap comes
    ip("link", "set", BRIDGE, "address", f"52:54:00:4c:4c:{host.octet:02x}", netns=host.netns)
    _cable(host.name)
    ip("link", "set", UPLINK, "master", BRIDGE, netns=host.netns)
    _address(host.netns, BRIDGE, host.octet)


def unplug(name: str) -> None:
    """Takes the cable off the switch. With its namespace it would go too, but some time after the namespace's name:
    a host that is raised anew meanwhile would find the old cable and then lose it."""
    run(["ip", "-n", netns_of(CONTROLLER), "link", "del", f"port-{name}"], check=False)


def remove_netns(netns: str) -> None:
    run(["ip", "netns", "del", netns])


def remove_mount_point() -> None:
    """`ip netns add` leaves a mount on /run/netns for good; with the last namespace gone it is taken off."""
    if places.NETNS.is_mount() and not any(places.NETNS.iterdir()):
        run(["umount", str(places.NETNS)], check=False)
