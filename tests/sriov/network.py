# SPDX-License-Identifier: GPL-3.0-or-later
"""One namespace with two bridges: management and the wire of the VFs. Every step may be repeated."""

from __future__ import annotations

from pathlib import Path

from tests.lab.hosts import CONTROLLER_OCTET, NETWORK, PREFIX, Host
from tests.lab.network import ensure_bridge, has_link, ip
from tests.sriov import qemu
from tests.sriov.hosts import NETNS_NAME, namespace, wire_address

MANAGEMENT, WIRE = "mgmt", "wire"
MACS = {MANAGEMENT: "52:54:00:4c:63:01", WIRE: "52:54:00:4c:63:02"}
ADDRESSES = {MANAGEMENT: f"{NETWORK}.{CONTROLLER_OCTET}/{PREFIX}", WIRE: f"{wire_address(CONTROLLER_OCTET)}/{PREFIX}"}


def ensure(hosts: tuple[Host, ...]) -> None:
    if not namespace().exists():
        ip("netns", "add", NETNS_NAME)
    ip("link", "set", "lo", "up", netns=NETNS_NAME)
    for bridge, address in ADDRESSES.items():
        ensure_bridge(NETNS_NAME, bridge)
        # a bridge without an address of its own takes its lowest port's, and changes it when a port comes
        ip("link", "set", bridge, "address", MACS[bridge], netns=NETNS_NAME)
        # a bridge that listens to IGMP may drop IPv6's neighbour discovery of a VF that has just come
        ip("link", "set", bridge, "type", "bridge", "mcast_snooping", "0", netns=NETNS_NAME)
        ip("addr", "replace", address, "dev", bridge, netns=NETNS_NAME)
    for host in hosts:
        for tap, bridge in ((qemu.management_tap(host), MANAGEMENT), (qemu.wire_tap(host), WIRE)):
            if not has_link(NETNS_NAME, tap):
                ip("tuntap", "add", "dev", tap, "mode", "tap", netns=NETNS_NAME)
            ip("link", "set", tap, "master", bridge, "up", netns=NETNS_NAME)


def inode() -> int | None:
    """What processes of the lab are known by; None when the namespace is not there."""
    try:
        return Path(namespace()).stat().st_ino
    except FileNotFoundError:
        return None
