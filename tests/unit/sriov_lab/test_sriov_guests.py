# SPDX-License-Identifier: GPL-3.0-or-later
"""Nested guests of the SR-IOV lab: their definitions, and what they say."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.lab.errors import LabError
from tests.sriov import domain, guests, machine
from tests.sriov.domain import Guest

WEB = Guest("web")


def definition(guest: Guest, octet: int = 11) -> ElementTree.Element:
    return ElementTree.fromstring(domain.domain_xml(guest, octet))


def interfaces(guest: Guest) -> list[ElementTree.Element]:
    return definition(guest).findall("./devices/interface")


def attribute(element: ElementTree.Element, path: str, name: str) -> str | None:
    found = element.find(path)
    return None if found is None else found.get(name)


def test_teaming_ties_the_vf_to_its_standby() -> None:
    standby, vf = interfaces(WEB)
    assert attribute(standby, "teaming", "type") == "persistent"
    assert attribute(vf, "teaming", "persistent") == attribute(standby, "alias", "name") == domain.STANDBY_ALIAS
    assert attribute(standby, "mac", "address") == attribute(vf, "mac", "address")
    assert (standby.get("type"), vf.get("type"), vf.get("managed")) == ("direct", "hostdev", "yes")


@pytest.mark.parametrize(("nics", "types"), [("virtio", ["direct"]), ("vf", ["hostdev"])])
def test_alone_there_is_no_teaming(nics: str, types: list[str]) -> None:
    found = interfaces(replace(WEB, nics=nics))
    assert [each.get("type") for each in found] == types
    assert [each.find("teaming") for each in found] == [None]


def test_the_vf_is_that_of_its_number() -> None:
    _standby, vf = interfaces(replace(WEB, vf=1))
    address = vf.find("source/address")
    assert address is not None
    expected = {"type": "pci", "domain": "0x0000", "bus": "0x01", "slot": "0x10", "function": "0x2"}
    assert address.attrib == expected


@pytest.mark.parametrize("pci", ["01:10.0", "0000:01:10.8", "", "0000:01:10.0'/>"])
def test_a_bad_address_is_refused(pci: str) -> None:
    with pytest.raises(LabError, match="0000:01:10.0"):
        domain.vf_xml(11, pci)


@pytest.mark.parametrize(
    ("backing", "path"),
    [("immediate", "memoryBacking/allocation[@mode='immediate']"), ("hugepages", "memoryBacking/hugepages")],
)
def test_backing(backing: str, path: str) -> None:
    assert definition(replace(WEB, backing=backing)).find(path) is not None
    assert definition(WEB).find("memoryBacking") is None


def test_it_boots_what_the_machine_has() -> None:
    found = definition(replace(WEB, dirty="50@10"))
    assert found.findtext("os/kernel") == machine.GUEST_KERNEL
    assert found.findtext("os/initrd") == machine.GUEST_INITRAMFS
    line = (found.findtext("os/cmdline") or "").split()
    assert "octet=11" in line and "dirty=50@10" in line
    assert attribute(found, "devices/serial/source", "append") == "on"


def test_the_same_guest_is_the_same_on_both_machines() -> None:
    assert definition(WEB).findtext("uuid") == definition(replace(WEB, vf=1)).findtext("uuid")
    assert definition(WEB).findtext("uuid") != definition(Guest("other")).findtext("uuid")


def test_there_is_a_port_for_a_vf_that_comes_later() -> None:
    ports = definition(WEB).findall("devices/controller[@model='pcie-root-port']")
    assert len(ports) > len(interfaces(WEB)) + 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "A b"}, "A b"),
        ({"memory_mib": 64}, "64"),
        ({"vf": 2}, "0 to 1"),
        ({"vf": -1}, "0 to 1"),
        ({"nics": "bond"}, "teaming"),
        ({"backing": "file"}, "immediate"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], word: str) -> None:
    domain.validate(WEB)
    with pytest.raises(LabError, match=word):
        domain.validate(Guest(**{"name": "web", **change}))  # type: ignore[arg-type]


def test_the_last_word_about_links_counts() -> None:
    text = (
        "LINKS 2.10 eth0:virtio_net:up eth1:virtio_net:up lo::unknown\r\n"
        "TICK x\r\n"
        "LINKS 5.00 eth0:virtio_net:up eth1:virtio_net:up eth2:igbvf:up lo::unknown\r\n"
        "LINKS 9.00 eth0:virt"
    )
    found = guests.links(text)
    assert found["eth2"] == ("igbvf", "up")
    assert found["lo"] == ("", "unknown")
    assert guests.links("") == {}


def test_huge_pages_are_those_of_the_guests_that_use_them() -> None:
    entries = {
        "a": {"memory_mib": 1024, "backing": "hugepages"},
        "b": {"memory_mib": 257, "backing": "hugepages"},
        "c": {"memory_mib": 2048, "backing": "none"},
    }
    assert guests.huge_pages(entries) == 512 + 129
    assert guests.huge_pages({}) == 0
