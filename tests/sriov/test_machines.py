# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machines are: VFs with an IOMMU group of their own, libvirt that knows them, Ansible that reaches them."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.lab.hosts import CONTROLLER, Host
from tests.sriov import enter, guests
from tests.sriov.hosts import HOSTS, VFS, places, vf_address, wire_address

EACH = pytest.mark.parametrize("host", HOSTS, ids=lambda host: str(host.name))
VF_DEVICE = "8086:10ca"


def said(host: Host, *argv: str) -> str:
    return enter.exec_on(host.name, argv).stdout


@EACH
def test_each_vf_is_there(sriov_lab: None, host: Host) -> None:
    found = [line.split()[0] for line in said(host, "lspci", "-D", "-n", "-d", VF_DEVICE).splitlines()]
    assert found == [vf_address(number) for number in range(VFS)]


@EACH
def test_the_pf_knows_its_vfs(sriov_lab: None, host: Host) -> None:
    (link,) = json.loads(said(host, "ip", "-json", "-details", "link", "show", "dev", "pf0"))
    assert [vf["vf"] for vf in link["vfinfo_list"]] == list(range(VFS))


@EACH
def test_each_vf_is_alone_in_its_iommu_group(sriov_lab: None, host: Host) -> None:
    for number in range(VFS):
        name = "pci_" + vf_address(number).replace(":", "_").replace(".", "_")
        device = ElementTree.fromstring(guests.virsh(host, "nodedev-dumpxml", name))
        members = device.findall("./capability/iommuGroup/address")
        assert len(members) == 1, name
        assert device.find("./capability/capability[@type='phys_function']") is not None


@EACH
def test_guests_may_use_hardware_virtualisation(sriov_lab: None, host: Host) -> None:
    assert "<domain type='kvm'/>" in guests.virsh(host, "capabilities")


@EACH
def test_the_wire_reaches_the_pf(sriov_lab: None, host: Host) -> None:
    assert enter.answers("tcp", wire_address(host.octet), 20)


def test_ansible_reaches_both(sriov_lab: None) -> None:
    where = places()
    argv = [str(where.venv / "bin" / "ansible"), "-i", str(where.inventory), "hypervisors", "-m", "ping", "-o"]
    done = enter.exec_on(CONTROLLER, argv)
    assert [host.name for host in HOSTS if f"{host.name} | SUCCESS" in done.stdout] == ["sr1", "sr2"], done.stdout
