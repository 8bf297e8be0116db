# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cases leave open: changes that are mapped, the ways a NIC finds its bridge, and whose MAC address it is."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.preflight.case import device
from tests.unit.preflight.cases_device import _vnc
from tests.unit.preflight.cases_network import NETWORK, TAP, _bridge, _direct, _network, _on_network
from tests.unit.preflight.scene import Scene


def _mapped(scene: Scene, kind: str, old: str, new: str) -> None:
    scene.policy["edits"] = {"map": {"hv2": {kind: {old: new}}}, "allow": []}


def _lost_bridge(scene: Scene) -> None:
    scene.nic["source"] = scene.nic["more"]["bridge"] = "br7"


@pytest.mark.parametrize(
    ("check", "make", "edit"),
    [
        ("net_bridge_exists", _lost_bridge, ("bridge", "br7", "br0")),
        ("net_libvirt_network_active", _on_network("network"), ("network", "lan", "default")),
        ("net_macvtap_parent", _direct(), ("parent", "eth7", "eth0")),
        ("dev_graphics_listen", _vnc("198.51.100.1"), ("listen", "198.51.100.1", "198.51.100.2")),
    ],
)
def test_what_is_mapped_is_proposed_where_it_is_there(
    check: str, make: t.Callable[[Scene], t.Any], edit: tuple[str, str, str]
) -> None:
    kind, old, new = edit
    scene = Scene()
    make(scene)
    scene.destination["networks"][0]["active"] = True
    _mapped(scene, kind, old, new)
    (found,) = scene.of(check)
    assert found["edit"] == {"kind": kind, "item": None, "old": old, "new": new}
    wrong = "198.51.100.9" if kind == "listen" else "nowhere"
    _mapped(scene, kind, old, wrong)
    (found,) = scene.of(check)
    assert found["edit"] is None and found["blocks"]
    assert f"{wrong}, which is mapped for it, is not usable there either" in found["message"]


def test_other_checks_look_at_the_bridge_that_is_mapped() -> None:
    scene = Scene()
    _lost_bridge(scene)
    assert scene.of("net_stp_forward_delay") == []
    _mapped(scene, "bridge", "br7", "br0")
    scene.destination["net"]["bridges"]["br0"]["stp"] = True
    assert "Bridge br0 of hv2: STP is on" in scene.of("net_stp_forward_delay")[0]["message"]


def test_a_bridge_that_is_down_is_of_no_use() -> None:
    scene = Scene()
    scene.destination["net"]["links"]["br0"]["up"] = False
    (found,) = scene.of("net_bridge_exists")
    assert found["blocks"] and "its bridge br0 is down on hv2" in found["message"]


def test_a_bridge_of_the_other_kind_is_named() -> None:
    scene = Scene()
    _lost_bridge(scene)
    scene.destination["net"]["openvswitch"] = {"installed": True, "bridges": ["br7"]}
    assert "as a bridge of the kernel, but as one of Open vSwitch" in scene.of("net_bridge_exists")[0]["message"]


def test_the_bridge_of_a_network_must_be_there_too() -> None:
    scene = Scene()
    _on_network()(scene)
    _network("destination", bridge="br9")(scene)
    (found,) = scene.of("net_bridge_exists")
    assert "network lan of hv2 is on bridge br9, which is not there" in found["message"]
    scene.destination["net"]["networks"]["lan"] = {**NETWORK, "forward": "nat", "bridge": "virbr9"}
    assert scene.of("net_bridge_exists") == []


def test_a_network_decides_at_each_host_which_bridge_it_is() -> None:
    scene = Scene()
    _on_network()(scene)
    _network("destination", bridge="br9")(scene)
    _bridge("br9", stp=True)(scene)
    assert "Bridge br9 of hv2" in scene.of("net_stp_forward_delay")[0]["message"]


def test_a_guest_that_is_active_at_both_hosts_does_not_clash_with_itself() -> None:
    scene = Scene()
    scene.destination["net"]["links"]["vnet7"] = TAP
    scene.known_there()
    assert scene.of("net_mac_conflict") == []


def test_other_rules_in_a_filter_are_a_warning() -> None:
    from tests.unit.preflight.cases_network import _filter

    scene = Scene()
    _filter("4567")(scene)
    (found,) = scene.of("net_nwfilter_exists")
    assert not found["blocks"] and "hv2 has other rules in it" in found["message"]


def test_a_guest_that_demands_vhost_cannot_do_without() -> None:
    scene = Scene()
    scene.domain["virt_type"] = "kvm"
    scene.nic["more"]["driver"] = "vhost"
    (found,) = scene.of("dev_vhost_modules")
    assert found["blocks"] and "cannot start there" in found["message"]


def test_an_address_that_perhaps_comes_from_the_sources_conf_is_a_warning() -> None:
    """libvirt does not take its own default along, and the live XML does not tell whether it is one."""
    scene = Scene()
    _vnc("198.51.100.1")(scene)
    scene.source["net"]["consoles"]["vnc_listen"] = "198.51.100.1"
    (found,) = scene.of("dev_graphics_listen")
    assert not found["blocks"]


@pytest.mark.parametrize("active", [True, False])
def test_a_console_that_listens_on_a_network_needs_it_active(active: bool) -> None:
    scene = Scene()
    _vnc(listen_type="network", listen_network="lan")(scene)
    _network("destination", active=active)(scene)
    assert len(scene.of("dev_graphics_listen")) == (not active)


def test_tls_without_a_certificate_is_worse_than_a_difference() -> None:
    scene = Scene()
    _vnc()(scene)
    for host in (scene.source, scene.destination):
        host["net"]["consoles"].update(vnc_tls=1, vnc_certificate=host is scene.source)
    (found,) = scene.of("dev_graphics_tls_password")
    assert found["blocks"] and "there is no server-cert.pem" in found["message"]


def test_three_d_acceleration_speaks_against_every_destination() -> None:
    scene = Scene()
    scene.domain["devices"]["videos"].append(
        {"name": "video0", "model": "virtio", "accel3d": "yes", "rendernode": None, "driver": None}
    )
    (found,) = scene.of("dev_graphics_gl_rendernode")
    assert found["destination"] is None and "virgl" in found["message"]


def test_a_name_to_bind_to_is_not_looked_up() -> None:
    scene = Scene()
    _vnc("console.example.com")(scene)
    assert [finding["status"] for finding in scene.of("dev_graphics_listen")] == ["unknown"]


@pytest.mark.parametrize(("mode", "found"), [("host", 1), ("passthrough", 0)])
def test_a_smart_card_of_the_host_is_a_warning(mode: str, found: int) -> None:
    scene = Scene()
    device("smartcards", backend=mode)(scene)
    said = scene.of("dev_smartcard_input_passthrough")
    assert [finding["blocks"] for finding in said] == [False] * found


@pytest.mark.parametrize(("bridge", "found"), [("ovs0", 0), ("ovs1", 1)])
def test_a_network_of_open_vswitch_names_its_bridge_at_each_host(bridge: str, found: int) -> None:
    scene = Scene()
    _on_network()(scene)
    scene.nic["virtualport"] = "openvswitch"
    _network("destination", bridge=bridge, virtualport="openvswitch")(scene)
    scene.destination["net"]["openvswitch"] = {"installed": True, "bridges": ["ovs0"]}
    assert len(scene.of("net_ovs_bridge_exists")) == found


@pytest.mark.parametrize("kind", ["user", "vhostuser"])
def test_passt_must_be_installed_at_the_destination(kind: str) -> None:
    scene = Scene()
    scene.nic.update(type=kind, source="", target=None)
    scene.nic["more"].update(bridge=None, backend="passt")
    scene.destination["net"]["passt"] = False
    (found,) = scene.of("net_user_slirp_passt")
    assert found["blocks"] and "its backend is passt, which is not installed on hv2" in found["message"]
    del scene.destination["net"]["passt"]
    (found,) = scene.of("net_user_slirp_passt")
    assert found["status"] == "unknown" and not found["blocks"]
    scene.nic["type"], scene.nic["more"]["backend"] = "user", None
    (found,) = scene.of("net_user_slirp_passt")
    assert not found["blocks"] and "(QEMU's own)" in found["message"]
