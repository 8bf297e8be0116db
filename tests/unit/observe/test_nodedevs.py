# SPDX-License-Identifier: GPL-3.0-or-later

"""Devices in a sysfs as the kernel makes it: an igb with two virtual functions."""

from __future__ import annotations

import os
import pathlib
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import host_nodedevs

PF, FIRST, SECOND = "0000:01:00.0", "0000:01:10.0", "0000:01:10.2"
XML = """<domain><devices>
<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x01' slot='0x10' function='0x2'/></source>
</hostdev>
<hostdev mode='subsystem' type='usb'><source><vendor id='0x0951'/><address bus='1' device='4'/></source></hostdev>
<interface type='hostdev'><source><address type='pci' domain='0' bus='0x01' slot='0x10' function='0x0'/></source>
</interface><interface type='bridge'><source bridge='br0'/></interface></devices></domain>"""


def _pci(root: pathlib.Path, address: str, kind: str, driver: str | None, group: str) -> None:
    folder, shared = root / address, root.parent / "groups" / group
    (shared / "devices").mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    vendor, device = kind.split(":")
    (folder / "vendor").write_text(f"0x{vendor}\n")
    (folder / "device").write_text(f"0x{device}\n")
    (shared / "devices" / address).symlink_to(folder)
    (folder / "iommu_group").symlink_to(shared)
    if driver:
        (root.parent / driver).mkdir(exist_ok=True)
        (folder / "driver").symlink_to(root.parent / driver)


@pytest.fixture
def sysfs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name in ("_ip_link", "_aliases"):
        monkeypatch.setattr(host_nodedevs, name, lambda *_given: "")
    root = tmp_path / "devices"
    root.mkdir()
    _pci(root, PF, "8086:10c9", "igb", "6")
    _pci(root, FIRST, "8086:10ca", "vfio-pci", "7")
    _pci(root, SECOND, "8086:10ca", None, "6")
    for address in (FIRST, SECOND):
        (root / address / "physfn").symlink_to(root / PF)
    (root / PF / "net" / "eth1").mkdir(parents=True)
    (root / PF / "net" / "eth1" / "operstate").write_text("down\n")
    return root


def test_virtual_functions(sysfs: pathlib.Path) -> None:
    same: dict[str, t.Any] = {
        **{"kind": "8086:10ca", "pf": PF, "pf_link": "down", "port": "eth1", "net": None, "migratable": False},
        "net_link": None,
        **{"vlan": None, "trust": None, "spoof_check": None},
    }
    assert host_nodedevs.virtual_functions(str(sysfs)) == [
        {**same, "address": FIRST, "driver": "vfio-pci", "others": []},
        {**same, "address": SECOND, "driver": None, "others": ["0000:01:00.0 (igb)"]},
    ]


def test_a_device_of_the_hosts_own_and_its_link(sysfs: pathlib.Path) -> None:
    (sysfs / SECOND / "net" / "eth7").mkdir(parents=True)
    (sysfs / SECOND / "net" / "eth7" / "operstate").write_text("up\n")
    found = host_nodedevs.virtual_functions(str(sysfs))
    assert [(each["net"], each["net_link"]) for each in found] == [(None, None), ("eth7", "up")]


# The form that iproute2's ip/ipaddress.c gives it (print_vfinfo); the second as older versions write trust.
IP_LINK = (
    '[{"ifindex":3,"ifname":"eth1","operstate":"UP","vfinfo_list":['
    '{"vf":0,"mac":"52:54:00:aa:00:01","vlan_list":[{"vlan":42,"qos":0}],"spoofchk":true,"link_state":"auto",'
    '"trust":false},{"vf":1,"mac":"00:00:00:00:00:00","spoofchk":false,"link_state":"auto","trust":"on"}]}]'
)
ALIASES = (
    "alias pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_core\n"
    "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci\n"
    "alias vfio_pci:v00008086d000010CAsv*sd*bc*sc*i* some_vfio_pci\n"
)


def test_how_the_port_treats_each_function(sysfs: pathlib.Path) -> None:
    for number, address in enumerate((FIRST, SECOND)):
        (sysfs / PF / f"virtfn{number}").symlink_to(sysfs / address)
    with mock.patch.object(host_nodedevs, "_ip_link", return_value=IP_LINK) as asked:
        found = host_nodedevs.virtual_functions(str(sysfs))
    assert [(each["vlan"], each["trust"], each["spoof_check"]) for each in found] == [
        (42, False, True),
        (0, True, False),
    ]
    assert asked.call_count == 1, "once for each port"


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '[{"ifname":"eth1"}]'])
def test_a_port_that_does_not_tell(text: str) -> None:
    assert host_nodedevs.vf_settings(text) == {}


def test_drivers_that_can_migrate_a_device(sysfs: pathlib.Path) -> None:
    assert host_nodedevs.variant_kinds(ALIASES) == {"15b3:101e", "8086:10ca"}
    with mock.patch.object(host_nodedevs, "_aliases", return_value=ALIASES):
        assert [each["migratable"] for each in host_nodedevs.virtual_functions(str(sysfs))] == [
            False,
            True,
        ], "the first is bound to vfio-pci, which cannot"
    (sysfs / FIRST / "driver").unlink()
    (sysfs.parent / "mlx5_vfio_pci").mkdir()
    (sysfs / FIRST / "driver").symlink_to(sysfs.parent / "mlx5_vfio_pci")
    assert [each["migratable"] for each in host_nodedevs.virtual_functions(str(sysfs))] == [True, False]


def test_which_domains_are_defined_with_a_function() -> None:
    host = mock.Mock(once=mock.Mock(return_value=[{"address": FIRST}]))
    domains = [mock.Mock(XMLDesc=mock.Mock(return_value=XML)) for _number in range(2)]
    for domain, name in zip(domains, ("b", "a"), strict=True):
        domain.name.return_value = name
    host.connection.listAllDomains.return_value = domains
    assert host_nodedevs.defined(host) == {FIRST: ["a", "b"], SECOND: ["a", "b"]}


def test_a_host_without_pci(tmp_path: pathlib.Path) -> None:
    assert host_nodedevs.virtual_functions(str(tmp_path / "none")) == []
    assert host_nodedevs.usb_devices(str(tmp_path / "none")) == []


@pytest.mark.parametrize(("known", "held"), [([{"address": FIRST}], [FIRST, SECOND]), ([], [])])
def test_what_domains_hold_is_looked_for_only_where_there_are_functions(known: list[t.Any], held: list[str]) -> None:
    host = mock.Mock(once=mock.Mock(return_value=known))
    host.connection.listAllDomains.return_value = [mock.Mock(XMLDesc=mock.Mock(return_value=XML))]
    assert host_nodedevs.held(host) == held
    assert host.connection.listAllDomains.called is bool(known)


def test_usb_devices(tmp_path: pathlib.Path) -> None:
    for name, text in (("idVendor", "0951"), ("idProduct", "1666"), ("busnum", "1"), ("devnum", "10")):
        (tmp_path / "1-1").mkdir(exist_ok=True)
        (tmp_path / "1-1" / name).write_text(f"{text}\n")
    os.mkdir(tmp_path / "1-1:1.0")
    assert host_nodedevs.usb_devices(str(tmp_path)) == [{"kind": "0951:1666", "bus": 1, "device": 10}]


# From /proc of a libvirtd in the lab, and of one that systemd started with LimitMEMLOCK=infinity
LAB = "Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         8388608              8388608              bytes\n"  # noqa: E501
UNLIMITED = "Max locked memory         unlimited            unlimited            bytes\n"


@pytest.mark.parametrize(
    ("limits", "capabilities", "expected"),
    [
        (LAB, "000001fffeffffff", {"limit": 8388608, "may_raise": False}),
        (LAB, "000001ffffffffff", {"limit": 8388608, "may_raise": True}),
        (UNLIMITED, "0000000000000000", {"limit": None, "may_raise": False}),
    ],
)
def test_the_limit_of_locked_memory(limits: str, capabilities: str, expected: dict[str, t.Any]) -> None:
    assert host_nodedevs.limit_of(limits, f"Name:\tlibvirtd\nCapEff:\t{capabilities}\n") == expected


def test_a_limit_that_proc_does_not_tell() -> None:
    with pytest.raises(ValueError, match="limits"):
        host_nodedevs.limit_of("", "")
