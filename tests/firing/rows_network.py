# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and NICs: bridges, libvirt networks, taps and filters that differ between two hosts."""

from __future__ import annotations

from tests.firing.provocation import Provocation, XmlEdit, device, element, replaced

_BR0 = '<source bridge="br0"/>'
_MAC = "52:54:00:4c:4d:fa"
_NIC = "<interface type='bridge'><source bridge='br0'/>"
_BRIDGE = "ip link add br-p type bridge; ip link set br-p up"
_NO_BRIDGE = "ip link del br-p"
_FILTER = "<filter name='p-filter' chain='root'><rule action='accept' direction='inout' priority='500'/></filter>"
_STUB = "/usr/bin/ovs-vsctl"
_TWIN = f"""<domain type='qemu'><name>p-twin</name><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='bridge'><source bridge='br0'/><mac address='{_MAC}'/><model type='virtio'/></interface>
<memballoon model='none'/></devices></domain>"""

# A macvtap is a device node too, which udev would make: the lab has none, and the number is not known before.
_NODES = """major=$(sed -n 's/ macvtap$//p' /proc/devices | tr -d ' ')
last=$(ip -o link | sed -n '$s/:.*//p')
for n in $(seq 1 40); do mknod /dev/tap$((last + n)) c $major 1; done"""


# As much of a vhost-user backend as QEMU needs to start: it answers to GET_FEATURES (docs/interop/vhost-user).
_BACKEND = """mkdir /srv/p-sockets; cat > /tmp/p-backend.py <<"X"
import socket, struct
listening = socket.socket(socket.AF_UNIX)
listening.bind("/srv/p-sockets/lan")
listening.listen()
while True:
    peer, _address = listening.accept()
    while header := peer.recv(12, socket.MSG_WAITALL):
        request, _flags, size = struct.unpack("=3I", header)
        if size:
            peer.recv(size, socket.MSG_WAITALL)
        if request == 1:
            peer.sendall(struct.pack("=3IQ", 1, 5, 8, 1 << 32))
X
setsid python3 /tmp/p-backend.py </dev/null >/dev/null 2>&1 & echo $! > /tmp/p-backend.pid
for n in $(seq 50); do [ -S /srv/p-sockets/lan ] && break; sleep 0.1; done"""
_NO_BACKEND = "kill $(cat /tmp/p-backend.pid); rm -rf /tmp/p-backend* /srv/p-sockets"
_VHOSTUSER = """<interface type='vhostuser'><source type='unix' path='/srv/p-sockets/lan' mode='client'/>
<model type='virtio'/></interface>"""
_SHARED = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"


def _instead(xml: str) -> XmlEdit:
    """The plain guest with another NIC in place of its own."""

    def edit(plain: str) -> str:
        start = plain.index("<interface")
        end = plain.index("</interface>") + len("</interface>")
        return plain[:start] + xml + plain[end:]

    return edit


def _bridge(extra: str = "") -> XmlEdit:
    return replaced(_BR0, f'<source bridge="br-p"/>{extra}')


def _in_network(extra: str = "", inner: str = "") -> XmlEdit:
    mac = f"<mac address='{_MAC}'/><model type='virtio'/>{inner}"
    return _instead(f"<interface type='network'><source network='p-net'{extra}/>{mac}</interface>")


def _network(inner: str) -> str:
    """Shell commands that define and start a libvirt network."""
    file = "/tmp/p-net.xml"
    xml = f"<network><name>p-net</name>{inner}</network>"
    return f'cat > {file} <<"X"\n{xml}\nX\nvirsh -q net-define {file}; rm {file}; virsh -q net-start p-net'


_NO_NETWORK = "virsh -q net-destroy p-net; virsh -q net-undefine p-net"
_BRIDGED = "<forward mode='bridge'/><bridge name='br0'/>"
_ISOLATED = "<bridge name='virbr7'/>"
_LIMITED = "<bandwidth><inbound average='1000' peak='2000' burst='100'/></bandwidth>"
_NO_TC = "mv /usr/sbin/tc /usr/sbin/tc.p; printf '#!/bin/sh\\nexit 0\\n' > /usr/sbin/tc; chmod 755 /usr/sbin/tc"
_TC = "mv /usr/sbin/tc.p /usr/sbin/tc"
_DHCP = (
    "<bridge name='virbr7'/><ip address='198.51.100.129' netmask='255.255.255.240'><dhcp>"
    "<range start='198.51.100.130' end='198.51.100.134'/>{}</dhcp></ip>"
)

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "net_bridge_exists",
        "a guest on a bridge that only the source has",
        "its bridge br-p is not on hv2",
        guest=_bridge(),
        before={"hv1": _BRIDGE},
        after={"hv1": _NO_BRIDGE},
    ),
    Provocation(
        "net_ovs_bridge_exists",
        "a guest on a bridge of Open vSwitch, which is a stub at the source and is not there at the destination",
        "hv2 has no ovs-vsctl",
        guest=replaced(_BR0, f"{_BR0}<virtualport type='openvswitch'/>"),
        before={"hv1": f"printf '#!/bin/sh\\nexit 0\\n' > {_STUB}; chmod 755 {_STUB}"},
        after={"hv1": f"rm {_STUB}"},
        faked=True,
    ),
    Provocation(
        "net_libvirt_network_active",
        "a guest in a libvirt network that only the source has",
        "its network p-net does not exist on hv2",
        guest=_in_network(),
        before={"hv1": _network(_BRIDGED)},
        after={"hv1": _NO_NETWORK},
    ),
    Provocation(
        "net_network_equivalent",
        "a network that bridges at the source and is isolated at the destination",
        "Forward mode of network p-net: isolated on hv2; expected bridge",
        guest=_in_network(),
        before={"hv1": _network(_BRIDGED), "hv2": _network(_ISOLATED)},
        after={"hv1": _NO_NETWORK, "hv2": _NO_NETWORK},
    ),
    Provocation(
        "net_nat_or_isolated",
        "a guest in an isolated network",
        "its forward mode is isolated, so that it ends at hv1",
        guest=_in_network(),
        before={"hv1": _network(_ISOLATED)},
        after={"hv1": _NO_NETWORK},
    ),
    Provocation(
        "net_portgroup_exists",
        "a port group that only the source's network has",
        "network p-net has no port group p-group on hv2, it has none",
        guest=_in_network(" portgroup='p-group'"),
        before={"hv1": _network(f"{_BRIDGED}<portgroup name='p-group'/>"), "hv2": _network(_BRIDGED)},
        after={"hv1": _NO_NETWORK, "hv2": _NO_NETWORK},
    ),
    Provocation(
        "net_l2_equivalence",
        "a bridge that has an uplink at the source and none at the destination",
        "nothing but guests is on bridge br-p of hv2",
        guest=_bridge(),
        before={
            "hv1": f"{_BRIDGE}; ip link add p-up type veth peer name p-far; ip link set p-up master br-p up",
            "hv2": _BRIDGE,
        },
        after={"hv1": f"ip link del p-up; {_NO_BRIDGE}", "hv2": _NO_BRIDGE},
    ),
    Provocation(
        "net_mtu",
        "a bridge with jumbo frames at the source alone",
        "br-p has 1500; expected 9000",
        guest=_bridge(),
        before={"hv1": f"{_BRIDGE}; ip link set br-p mtu 9000", "hv2": _BRIDGE},
        after={"hv1": _NO_BRIDGE, "hv2": _NO_BRIDGE},
    ),
    Provocation(
        "net_nwfilter_exists",
        "a network filter that only the source defines",
        "p-filter is not on hv2",
        guest=replaced(_BR0, f"{_BR0}<filterref filter='p-filter'/>"),
        before={"hv1": f'echo "{_FILTER}" > /tmp/p.xml; virsh -q nwfilter-define /tmp/p.xml; rm /tmp/p.xml'},
        after={"hv1": "virsh -q nwfilter-undefine p-filter"},
    ),
    Provocation(
        "net_stp_forward_delay",
        "a bridge with STP at the destination",
        "Bridge br-p of hv2: STP is on, so that a new port is silent for 30 s",
        guest=_bridge(),
        before={"hv1": _BRIDGE, "hv2": f"{_BRIDGE}; ip link set br-p type bridge stp_state 1"},
        after={"hv1": _NO_BRIDGE, "hv2": _NO_BRIDGE},
    ),
    Provocation(
        "net_dhcp_reservation",
        "an address that only the source's network reserves",
        f"hv2 has none for {_MAC}; expected 198.51.100.131",
        guest=_in_network(),
        before={
            "hv1": _network(_DHCP.format(f"<host mac='{_MAC}' ip='198.51.100.131'/>")),
            "hv2": _network(_DHCP.format("")),
        },
        after={"hv1": _NO_NETWORK, "hv2": _NO_NETWORK},
    ),
    Provocation(
        "net_macvtap_parent",
        "a macvtap on a device that only the source has",
        "there is no p-up on hv2, on which its macvtap would be",
        guest=_instead("<interface type='direct'><source dev='p-up' mode='bridge'/><model type='virtio'/></interface>"),
        before={"hv1": f"ip link add p-up type veth peer name p-far; ip link set p-up up; {_NODES}"},
        after={"hv1": "ip link del p-up; rm -f /dev/tap[0-9]*"},
    ),
    Provocation(
        "net_ethernet_unmanaged",
        "a tap of the administrator's own at the source alone",
        "nobody has made its tap p-tap on hv2",
        guest=_instead(
            "<interface type='ethernet'><target dev='p-tap' managed='no'/><model type='virtio'/></interface>"
        ),
        before={"hv1": "ip tuntap add p-tap mode tap"},
        after={"hv1": "ip link del p-tap"},
    ),
    Provocation(
        "net_target_dev_conflict",
        "a tap with a fixed name that a device of the destination has",
        "hv2 has a device p-tap already",
        guest=replaced(_BR0, f"{_BR0}<target dev='p-tap'/>"),
        before={"hv2": "ip tuntap add p-tap mode tap"},
        after={"hv2": "ip link del p-tap"},
    ),
    Provocation(
        "net_user_slirp_passt",
        "a guest with user-mode networking",
        "user-mode networking (QEMU's own)",
        guest=device("<interface type='user'><model type='virtio'/></interface>"),
    ),
    Provocation(
        "net_vhostuser",
        "a vhost-user NIC whose backend is at the source alone",
        "there is no /srv/p-sockets/lan on hv2, the socket of its backend",
        guest=lambda plain: element(_SHARED)(_instead(_VHOSTUSER)(plain)),
        before={"hv1": _BACKEND},
        after={"hv1": _NO_BACKEND},
    ),
    Provocation(
        "net_bandwidth_floor",
        "a floor in a network that limits its bandwidth at the source alone; tc is a stub, for want of a queue",
        "network p-net of hv2 limits no bandwidth, so that none is promised",
        guest=_in_network(inner="<bandwidth><inbound average='200' floor='100'/></bandwidth>"),
        before={
            "hv1": f"{_NO_TC}; {_network(_ISOLATED + _LIMITED)}",
            "hv2": _network(_ISOLATED),
        },
        after={"hv1": f"{_NO_NETWORK}; {_TC}", "hv2": _NO_NETWORK},
        faked=True,
    ),
    Provocation(
        "net_mac_conflict",
        "a guest at the destination with the same MAC address on the same bridge",
        f"MAC address {_MAC} of p-net-mac-conflict",
        guest=replaced(_BR0, _BR0),
        before={"hv2": f'cat > /tmp/p.xml <<"X"\n{_TWIN}\nX\nvirsh -q create --paused /tmp/p.xml; rm /tmp/p.xml'},
        after={"hv2": "virsh -q destroy p-twin"},
    ),
)
