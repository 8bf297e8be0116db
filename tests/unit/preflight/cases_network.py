# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the networks and NICs of a domain."""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.questions import key_of
from tests.unit.preflight.case import Case, Edit, both, fact, more, put
from tests.unit.preflight.scene import Scene

_OVS = "ovs-vsctl(8) and the XML of libvirt's formatdomain, virtualport"
_MAC = "52:54:00:4c:4d:0b"

# as recorded of libvirt 11.3
NETWORK: dict[str, t.Any] = {
    "forward": "bridge",
    "devs": [],
    "bridge": "br0",
    "mtu": None,
    "inbound_kib": None,
    "addresses": [],
    "reservations": {},
    "portgroups": {"staff": {"vlans": [], "virtualport": None}},
    "vlans": [],
    "virtualport": None,
    "floor_used_kib": 0,
}
TAP: dict[str, t.Any] = {
    "kind": "tap",
    "mac": "fe:54:00:4c:4d:0b",
    "mtu": 1500,
    "up": True,
    "carrier": True,
    "master": "br0",
    "lower": [],
}


def _network(part: str, name: str = "lan", active: bool = True, **changes: t.Any) -> Edit:
    """One more libvirt network on a host."""

    def edit(scene: Scene) -> None:
        host = getattr(scene, part)
        host["networks"].append({"name": name, "active": active, "bridge": "br0"})
        host["net"]["networks"][name] = {**NETWORK, **changes}

    return edit


def _on_network(kind: str = "bridge", portgroup: str | None = None, name: str = "lan") -> Edit:
    """The NIC in the live XML where it is in a network: of type bridge if that network bridges, else network."""
    nic = put("nic", type=kind, source="br0" if kind == "bridge" else name)
    return both(nic, more("nic", network=name, portgroup=portgroup, bridge="br0"))


def _bridge(name: str, part: str = "destination", link: t.Any = None, **changes: t.Any) -> Edit:
    """One more bridge on a host."""

    def edit(scene: Scene) -> None:
        host = getattr(scene, part)
        host["bridges"].append(name)
        host["net"]["bridges"][name] = {**host["net"]["bridges"]["br0"], **changes}
        host["net"]["links"][name] = {**host["net"]["links"]["br0"], **(link or {})}

    return edit


def _link(part: str, name: str, **changes: t.Any) -> Edit:
    def edit(scene: Scene) -> None:
        links = getattr(scene, part)["net"]["links"]
        links[name] = {**links.get(name, TAP), **changes}

    return edit


def _filter(there: str | None) -> Edit:
    def edit(scene: Scene) -> None:
        scene.source["net"]["filters"]["clean"] = "0123"
        scene.nic["more"]["filter"] = "clean"
        scene.answers["hv2"][key_of("nwfilter", "clean")] = {"digest": there}

    return edit


def _path(path: str, exists: bool) -> Edit:
    return lambda scene: scene.answers["hv2"].update({f"path:{path}": {"path": path, "exists": exists}})


def _direct(mode: str = "bridge", link: t.Any = None) -> Edit:
    """A macvtap on eth7, which the destination has where ``link`` says something of it."""

    def edit(scene: Scene) -> None:
        scene.nic.update(type="direct", source="eth7")
        scene.nic["more"].update(dev="eth7", source_mode=mode, bridge=None)
        if link is not None:
            scene.destination["net"]["links"]["eth7"] = {**TAP, "kind": "physical", "master": None, **link}

    return edit


def _ethernet(**changes: t.Any) -> Edit:
    return both(put("nic", type="ethernet", source="", target="tap7"), more("nic", bridge=None, **changes))


def _vhostuser(path: str, mode: str) -> Edit:
    return both(
        put("nic", type="vhostuser", source="", target=None),
        more("nic", bridge=None, source_path=path, source_mode=mode),
    )


CASES: dict[str, Case] = {
    "net_bridge_exists": Case(
        both(put("nic", source="br7"), more("nic", bridge="br7")),
        "its bridge br7 is not on hv2",
        both(put("nic", source="br7"), more("nic", bridge="br7"), _bridge("br7")),
    ),
    "net_ovs_bridge_exists": Case(
        both(put("nic", virtualport="openvswitch", source="ovs0"), more("nic", bridge="ovs0")),
        "hv2 has no ovs-vsctl",
        both(
            put("nic", virtualport="openvswitch", source="ovs0"),
            more("nic", bridge="ovs0"),
            fact("destination", "net.openvswitch", {"installed": True, "bridges": ["ovs0"]}),
        ),
        documented=_OVS,
    ),
    "net_libvirt_network_active": Case(
        both(_on_network(), _network("destination", active=False)),
        "its network lan is not active on hv2",
        both(_on_network(), _network("destination")),
    ),
    "net_network_equivalent": Case(
        both(_on_network(), _network("source"), _network("destination", vlans=[7])),
        "VLANs of network lan: 7 on hv2; expected none",
        both(_on_network(), _network("source"), _network("destination", bridge="br1")),
        blocks=False,
    ),
    "net_nat_or_isolated": Case(
        both(_on_network("network"), _network("source", forward="nat")),
        "its forward mode is nat, so that it ends at hv1",
        both(_on_network(), _network("source")),
        blocks=False,
    ),
    "net_portgroup_exists": Case(
        both(_on_network(portgroup="guests"), _network("destination")),
        "network lan has no port group guests on hv2, it has staff",
        both(_on_network(portgroup="staff"), _network("destination")),
    ),
    "net_vlan_support": Case(
        both(more("nic", vlan="42"), fact("destination", "net.bridges.br0.vlan_filtering", False)),
        "it wants a VLAN tag on bridge br0, and that of hv2 does not filter VLANs",
        both(more("nic", vlan="42"), fact("destination", "net.bridges.br0.vlan_filtering", True)),
        documented="sysfs-class-net, bridge/vlan_filtering: the lab's kernel has no VLANs",
    ),
    "net_l2_equivalence": Case(
        _link("destination", "eth0", master=None),
        "nothing but guests is on bridge br0 of hv2",
        both(_link("destination", "eth0", master=None), _link("source", "eth0", master=None)),
        blocks=False,
    ),
    "net_mtu": Case(
        both(_link("source", "br0", mtu=9000), _link("source", "eth0", mtu=9000)),
        "MTU on hv2: br0 has 1500, eth0 has 1500; expected 9000",
        _link("source", "br0", mtu=9000),
        blocks=False,
    ),
    "net_nwfilter_exists": Case(_filter(None), "clean is not on hv2", _filter("0123")),
    "net_bandwidth_floor": Case(
        both(
            _on_network("network"),
            more("nic", floor="200"),
            _network("destination", inbound_kib=1000, floor_used_kib=900),
        ),
        "network lan of hv2 has promised 900 of 1000 KiB/s; expected 200 KiB/s left",
        both(
            _on_network("network"),
            more("nic", floor="200"),
            _network("destination", inbound_kib=1000, floor_used_kib=800),
        ),
        documented="formatnetwork and formatdomain, bandwidth: the lab's kernel has no sfq queue",
    ),
    "net_stp_forward_delay": Case(
        fact("destination", "net.bridges.br0.stp", True),
        "STP is on, so that a new port is silent for 30 s",
        both(
            fact("destination", "net.bridges.br0.stp", True), fact("destination", "net.bridges.br0.forward_delay_s", 0)
        ),
        blocks=False,
    ),
    "net_dhcp_reservation": Case(
        both(
            _on_network("network"),
            _network("source", reservations={_MAC: "198.51.100.77"}),
            _network("destination", reservations={_MAC: "198.51.100.78"}),
        ),
        f"hv2 has 198.51.100.78 for {_MAC}; expected 198.51.100.77",
        both(_on_network("network"), _network("source"), _network("destination")),
        blocks=False,
    ),
    "net_macvtap_parent": Case(_direct(), "there is no eth7 on hv2", _direct(link={"up": True})),
    "net_ethernet_unmanaged": Case(
        _ethernet(managed="no"),
        "nobody has made its tap tap7 on hv2",
        both(_ethernet(managed="no", script="/etc/up.sh"), _link("destination", "tap7"), _path("/etc/up.sh", True)),
    ),
    "net_target_dev_conflict": Case(
        both(put("nic", target="web1-lan"), _link("destination", "web1-lan")),
        "hv2 has a device web1-lan already, of kind tap",
        both(put("nic", target="vnet0"), _link("destination", "vnet0", mac="fe:54:00:00:00:99")),
    ),
    "net_user_slirp_passt": Case(
        both(put("nic", type="user", source="", target=None), more("nic", bridge=None, backend="passt")),
        "user-mode networking (passt)",
        _direct(),
        blocks=False,
    ),
    "net_vhostuser": Case(
        both(_vhostuser("/run/dpdk/web1.sock", "server"), _path("/run/dpdk", False)),
        "there is no /run/dpdk on hv2, the folder for its socket",
        both(_vhostuser("/run/dpdk/web1.sock", "client"), _path("/run/dpdk/web1.sock", True)),
        documented="formatdomain, vhost-user interface",
    ),
    "net_vdpa": Case(
        both(put("nic", type="vdpa", source="/dev/vhost-vdpa-0", target=None), more("nic", dev="/dev/vhost-vdpa-0")),
        "vDPA (/dev/vhost-vdpa-0)",
        _direct(),
        documented="formatdomain, vDPA devices",
    ),
    "net_vhost_feature_parity": Case(
        put("destination", kernel="6.1.0-38-amd64"),
        "Kernel of hv2: 6.1.0-38-amd64; expected 6.2 or newer",
        put("destination", kernel="6.2.0"),
        blocks=False,
    ),
    "net_mac_conflict": Case(
        _link("destination", "vnet7"),
        f"MAC address {_MAC} of web1: vnet7 on br0 of hv2 has it too",
        _link("destination", "vnet7", master="virbr0"),
    ),
}
