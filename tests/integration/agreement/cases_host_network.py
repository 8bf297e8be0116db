# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges, libvirt networks, filters and taps that the hosts do not have alike."""

from __future__ import annotations

from tests.firing.provocation import device, replaced
from tests.integration.agreement.case import Case
from tests.integration.agreement.pieces import (
    DRIVERS,
    NO_BRIDGE,
    NO_NETWORK,
    NO_NWFILTER,
    OWN_NIC,
    away,
    back,
    bridge,
    in_network,
    network,
    nic,
    no_twin,
    nwfilter,
    twin,
)
from tests.integration.agreement.shell import RESTART, SHARED_MEMORY, after, both

ON_BRIDGE = {"bridge": "br-g"}
SECOND = nic("<source bridge='br-g'/>")
BRIDGED = "<forward mode='bridge'/><bridge name='br0'/>"
ISOLATED = "<bridge name='virbr7'/>"
TWIN_MAC = "52:54:00:4c:4e:01"
TWIN_UUID = "5ce0a7f1-0f4e-4b7e-9d5d-0d0c8f3f00b1"
TWIN_NIC = (
    f"<interface type='bridge'><source bridge='br0'/><mac address='{TWIN_MAC}'/><model type='virtio'/></interface>"
)
PARENT = "ip link add g-up type veth peer name g-far; ip link set g-up up; ip link set g-far up"
# A macvtap is a device node too, which udev would make: the lab has none, and the number is not known before.
NODES = """major=$(sed -n 's/ macvtap$//p' /proc/devices | tr -d ' ')
last=$(ip -o link | sed -n '$s/:.*//p')
for n in $(seq 1 40); do mknod /dev/tap$((last + n)) c $major 1; done"""
NO_NODES = "ip link del g-up; rm -f /dev/tap[0-9]*"
MACVTAP = nic("<source dev='g-up' mode='bridge'/>", kind="direct")
FILTERED = replaced(OWN_NIC, f"{OWN_NIC}<filterref filter='g-filter'/>")
NAMED_TAP = nic("<source bridge='br0'/><target dev='g-tap'/>")
UNMANAGED = nic("<target dev='g-tap' managed='no'/>", kind="ethernet")

# As much of a vhost-user backend as QEMU needs: it answers GET_FEATURES, and offers no log of what it writes.
BACKEND = """mkdir -p /run/g-nic; cat >/run/g-nic/backend.py <<'X'
import os, socket, struct
listening = socket.socket(socket.AF_UNIX)
listening.bind("/run/g-nic/socket")
listening.listen()
while True:
    peer, _address = listening.accept()
    while header := peer.recv(12, socket.MSG_WAITALL):
        request, flags, size = struct.unpack("=3I", header)
        if size:
            peer.recv(size, socket.MSG_WAITALL)
        if request == 1:
            peer.sendall(struct.pack("=3IQ", 1, 5, 8, 1 << 32))
        if request == 11:
            peer.sendall(struct.pack("=3I2I", 11, 5, 8, 0, 0))
X
setsid python3 /run/g-nic/backend.py </dev/null >/dev/null 2>&1 & echo $! >/run/g-nic/pid
for n in $(seq 50); do [ -S /run/g-nic/socket ] && break; sleep 0.1; done"""
NO_BACKEND = "kill $(cat /run/g-nic/pid); rm -rf /run/g-nic"
VHOST_USER = nic("<source type='unix' path='/run/g-nic/socket' mode='client'/>", kind="vhostuser")

_BRIDGES: tuple[Case, ...] = (
    Case(
        "net-bridge-gone-there",
        "the guest's second NIC is on a bridge that only the source has",
        ("net_bridge_exists",),
        guest=SECOND,
        before={"hv1": bridge(uplink=False)},
        after=after(NO_BRIDGE),
    ),
    Case(
        "net-bridge-is-no-bridge-there",
        "at the destination the device of the bridge's name is no bridge",
        ("net_bridge_exists",),
        guest=SECOND,
        before={"hv1": bridge(uplink=False), "hv2": "ip link add br-g type veth peer name g-far; ip link set br-g up"},
        after=after(NO_BRIDGE, NO_BRIDGE),
    ),
    Case(
        "net-bridge-down-there",
        "the guest's only NIC is on a bridge that is down at the destination",
        ("net_bridge_exists", "net_l2_equivalence"),
        wanted=ON_BRIDGE,
        before={"hv1": bridge(), "hv2": f"{bridge()}; ip link set br-g down"},
        after=after(NO_BRIDGE, NO_BRIDGE),
    ),
    Case(
        "net-bridge-no-uplink-there",
        "the guest's only NIC is on a bridge to which nothing but guests is connected at the destination",
        ("net_l2_equivalence",),
        wanted=ON_BRIDGE,
        before={"hv1": bridge(), "hv2": bridge(uplink=False)},
        after=after(NO_BRIDGE, NO_BRIDGE),
    ),
    Case(
        "net-bridge-uplink-down-there",
        "the guest's only NIC is on a bridge whose uplink is down at the destination",
        ("net_l2_equivalence", "net_bridge_exists"),
        wanted=ON_BRIDGE,
        before={"hv1": bridge(), "hv2": f"{bridge()}; ip link set g-up down"},
        after=after(NO_BRIDGE, NO_BRIDGE),
    ),
    Case(
        "net-bridge-stp-there",
        "the guest's only NIC is on a bridge that lets a new port speak after half a minute at the destination",
        ("net_stp_forward_delay",),
        wanted=ON_BRIDGE,
        before={"hv1": bridge(), "hv2": bridge(options="stp_state 1")},
        after=after(NO_BRIDGE, NO_BRIDGE),
    ),
    Case(
        "net-bridge-mtu-there",
        "the guest's second NIC has jumbo frames, which the destination's bridge has not",
        ("net_mtu",),
        guest=nic("<source bridge='br-g'/>", "<mtu size='9000'/>"),
        before={"hv1": f"{bridge(uplink=False)}; ip link set br-g mtu 9000", "hv2": bridge()},
        after=after(NO_BRIDGE, NO_BRIDGE),
    ),
)

_NETWORKS: tuple[Case, ...] = (
    Case(
        "net-network-gone-there",
        "the guest is in a libvirt network that only the source has",
        ("net_libvirt_network_active",),
        guest=in_network(),
        before={"hv1": network(BRIDGED)},
        after=after(NO_NETWORK),
    ),
    Case(
        "net-network-inactive-there",
        "the guest's libvirt network is defined at the destination, but not active",
        ("net_libvirt_network_active",),
        guest=in_network(),
        before={"hv1": network(BRIDGED), "hv2": network(BRIDGED, start=False)},
        after=after(NO_NETWORK, NO_NETWORK),
    ),
    Case(
        "net-network-bridge-gone-there",
        "the guest's libvirt network leads to a bridge that is not there at the destination",
        ("net_bridge_exists", "net_network_equivalent", "net_libvirt_network_active"),
        guest=in_network(),
        before={"hv1": network(BRIDGED), "hv2": network(BRIDGED.replace("br0", "br-g"))},
        after=after(NO_NETWORK, NO_NETWORK),
    ),
    Case(
        "net-network-other-bridge-there",
        "the guest's libvirt network leads to a bridge without an uplink at the destination",
        ("net_network_equivalent", "net_l2_equivalence"),
        guest=in_network(),
        before={"hv1": network(BRIDGED), "hv2": f"{bridge(uplink=False)}; {network(BRIDGED.replace('br0', 'br-g'))}"},
        after=after(NO_NETWORK, f"{NO_NETWORK}; {NO_BRIDGE}"),
    ),
    Case(
        "net-network-isolated-there",
        "the guest's libvirt network is isolated at the destination and bridges at the source",
        ("net_network_equivalent", "net_l2_equivalence", "net_nat_or_isolated"),
        guest=in_network(),
        before={"hv1": network(BRIDGED), "hv2": network(ISOLATED)},
        after=after(NO_NETWORK, NO_NETWORK),
    ),
    Case(
        "net-portgroup-gone-there",
        "the guest's port group is not in the destination's network",
        ("net_portgroup_exists",),
        guest=in_network(" portgroup='g-group'"),
        before={"hv1": network(f"{BRIDGED}<portgroup name='g-group'/>"), "hv2": network(BRIDGED)},
        after=after(NO_NETWORK, NO_NETWORK),
        stricter="libvirt silently takes the network's default instead: without the limits and the VLAN of the group",
        risk={"hv2": "virsh dumpxml {name} | grep portgroup; virsh net-dumpxml g-net"},
        shows=r"(?s)portgroup='g-group'(?!.*<portgroup)",
    ),
    Case(
        "net-driver-gone-there",
        "the guest is in a libvirt network, and the destination's libvirt has no driver for networks",
        ("host_storage_secret_network_drivers", "net_libvirt_network_active"),
        guest=in_network(),
        before={"hv1": network(BRIDGED), "hv2": away(f"{DRIVERS}/libvirt_driver_network.so", RESTART)},
        after=after(NO_NETWORK, back(f"{DRIVERS}/libvirt_driver_network.so", RESTART)),
    ),
    Case(
        "net-vnc-network-gone-there",
        "VNC listens on the address of a libvirt network that only the source has",
        ("net_libvirt_network_active", "dev_graphics_listen"),
        guest=device("<graphics type='vnc' autoport='yes'><listen type='network' network='g-net'/></graphics>"),
        before={"hv1": network(f"{ISOLATED}<ip address='198.51.100.129' netmask='255.255.255.240'/>")},
        after=after(NO_NETWORK),
    ),
)

_FILTERS: tuple[Case, ...] = (
    Case(
        "net-filter-gone-there",
        "the guest's NIC has a network filter that only the source has",
        ("net_nwfilter_exists",),
        guest=FILTERED,
        before={"hv1": nwfilter("accept")},
        after=after(NO_NWFILTER),
    ),
    Case(
        "net-filter-other-there",
        "the guest's network filter lets everything through at the source and nothing at the destination",
        ("net_nwfilter_exists",),
        guest=FILTERED,
        before={"hv1": nwfilter("accept"), "hv2": nwfilter("drop")},
        after=after(NO_NWFILTER, NO_NWFILTER),
    ),
    Case(
        "net-filter-driver-gone-there",
        "the guest's NIC has a network filter, and the destination's libvirt has no driver for filters",
        ("host_storage_secret_network_drivers", "net_nwfilter_exists"),
        guest=FILTERED,
        before={"hv1": nwfilter("accept"), "hv2": away(f"{DRIVERS}/libvirt_driver_nwfilter.so", RESTART)},
        after=after(NO_NWFILTER, back(f"{DRIVERS}/libvirt_driver_nwfilter.so", RESTART)),
    ),
    Case(
        "net-filter-no-tools-there",
        "the guest's NIC has a network filter, and the destination no ebtables",
        ("net_nwfilter_exists",),
        guest=FILTERED,
        before={"hv1": nwfilter("accept"), "hv2": f"{nwfilter('accept')}; {away('/usr/sbin/ebtables')}"},
        after=after(NO_NWFILTER, f"{back('/usr/sbin/ebtables')}; {NO_NWFILTER}"),
    ),
)

_TAPS: tuple[Case, ...] = (
    Case(
        "net-macvtap-parent-gone-there",
        "the guest's second NIC is a macvtap on a device that only the source has",
        ("net_macvtap_parent",),
        guest=MACVTAP,
        before={"hv1": f"{PARENT}; {NODES}"},
        after=after(NO_NODES),
    ),
    Case(
        "net-tap-unmanaged-gone-there",
        "the guest's second NIC is a tap that the administrator made, at the source alone",
        ("net_ethernet_unmanaged",),
        guest=UNMANAGED,
        before={"hv1": "ip tuntap add g-tap mode tap"},
        after=after("ip link del g-tap"),
    ),
    Case(
        "net-tap-name-taken-there",
        "the name that the guest's tap is to have is that of another device at the destination",
        ("net_target_dev_conflict",),
        guest=NAMED_TAP,
        before={"hv2": "ip link add g-tap type veth peer name g-far"},
        after=after(there="ip link del g-tap"),
    ),
    Case(
        "net-tap-name-of-tap-there",
        "the name that the guest's tap is to have is that of a tap of the destination that nobody uses",
        ("net_target_dev_conflict",),
        guest=NAMED_TAP,
        before={"hv2": "ip tuntap add g-tap mode tap"},
        after=after(there="ip link del g-tap"),
    ),
    Case(
        "net-mac-taken-there",
        "another guest at the destination has the MAC address of the guest's second NIC, on the same bridge",
        ("net_mac_conflict",),
        guest=nic(f"<source bridge='br0'/><mac address='{TWIN_MAC}'/>"),
        before={"hv2": twin("g-twin", TWIN_UUID, "create --paused", TWIN_NIC)},
        after=after(there=no_twin("g-twin")),
        stricter="with one MAC address on two ports of a bridge, packets go to whichever guest spoke last",
        risk={"hv2": "for name in {name} g-twin; do virsh -q domiflist $name; done"},
        shows=rf"(?s)br0.*{TWIN_MAC}.*br0.*{TWIN_MAC}",
    ),
    Case(
        "net-vhostuser-without-log",
        "the backend of the guest's second NIC cannot log what it writes, which only QEMU's own monitor tells",
        ("net_vhostuser", "qmp_blocked_reasons"),
        guest=both(SHARED_MEMORY, VHOST_USER),
        before={"hv1": BACKEND, "hv2": BACKEND},
        after=after(NO_BACKEND, NO_BACKEND),
        beyond="only QEMU's own monitor tells, and to ask it taints the domain",
    ),
    Case(
        "net-user-mode",
        "the guest's second NIC is QEMU's user mode network, whose connections end at the source",
        ("net_user_slirp_passt",),
        guest=device("<interface type='user'><model type='virtio'/></interface>"),
        stricter="connections of the user mode network end at the source: none of them lives on",
    ),
    Case(
        "net-passt",
        "the guest's second NIC is passt, whose connections end at the source",
        ("net_user_slirp_passt",),
        guest=device("<interface type='user'><backend type='passt'/><model type='virtio'/></interface>"),
        stricter="passt's connections end at the source: none of them lives on",
    ),
    Case(
        "net-passt-gone-there",
        "the guest's second NIC is passt, which the destination has not",
        ("net_user_slirp_passt",),
        guest=device("<interface type='user'><backend type='passt'/><model type='virtio'/></interface>"),
        before={"hv2": away("/usr/bin/passt")},
        after=after(there=back("/usr/bin/passt")),
    ),
)

CASES: tuple[Case, ...] = _BRIDGES + _NETWORKS + _FILTERS + _TAPS
