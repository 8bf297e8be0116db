# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan's changes applied to definitions: the host side only, secrets kept, and refused where out of date."""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import edits
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import EDITS, Edit, LivemigError

XML = """\
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web1</name>
  <vcpu placement='static' cpuset='4-7'>2</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='4-7'/><vcpupin vcpu='1' cpuset='5'/><emulatorpin cpuset='4-7'/></cputune>
  <devices>
    <emulator>/usr/bin/qemu-kvm</emulator>
    <disk type='file' device='cdrom'><driver name='qemu'/><source file='/srv/x.iso' index='1'/><backingStore/>
      <target dev='sda'/><readonly/></disk>
    <disk type='file' device='disk'><source file='/srv/x.qcow2'/><target dev='vda'/></disk>
    <interface type='bridge'><source bridge='br0'/></interface>
    <interface type='network'><source network='lan' portid='1' bridge='br0'/></interface>
    <interface type='direct'><source dev='br0' mode='bridge'/></interface>
    <graphics type='vnc' listen='198.51.100.1' passwd='secret'>
      <listen type='address' address='198.51.100.1'/></graphics>
  </devices>
  <qemu:commandline><qemu:arg value='-global'/></qemu:commandline>
</domain>
"""


def edit(kind: str, old: str, new: str | None) -> Edit:
    return {"kind": kind, "item": None, "old": old, "new": new}


def texts(xml: str, *paths: str) -> list[str | None]:
    """Values at these paths, attributes as path@name."""
    root = ET.fromstring(xml)
    found: list[str | None] = []
    for path in paths:
        place, attribute = path.rsplit("@", 1) if "@" in path else (path, "")
        for element in root.findall(place):
            found.append(element.get(attribute) if attribute else element.text)
    return found


@pytest.mark.parametrize(
    ("change", "paths", "values"),
    [
        (
            edit("bridge", "br0", "br1"),
            ["devices/interface/source@bridge", "devices/interface/source@dev"],
            ["br1", "br0", None, None, None, "br0"],
        ),
        (
            edit("network", "lan", "wan"),
            ["devices/interface[@type='network']/source@network", "devices/interface[@type='network']/source@portid"],
            ["wan", None],
        ),
        (edit("parent", "br0", "eth1"), ["devices/interface[@type='direct']/source@dev"], ["eth1"]),
        (edit("emulator", "/usr/bin/qemu-kvm", "/usr/bin/q"), ["devices/emulator"], ["/usr/bin/q"]),
        (
            edit("listen", "198.51.100.1", "0.0.0.0"),
            ["devices/graphics@listen", "devices/graphics/listen@address", "devices/graphics@passwd"],
            ["0.0.0.0", "0.0.0.0", "secret"],
        ),
        (
            edit("cpuset", "4-7", "0-3"),
            ["vcpu@cpuset", "cputune/vcpupin@cpuset", "cputune/emulatorpin@cpuset"],
            ["0-3", "0-3", "5", "0-3"],
        ),
        (edit("cpuset", "4-7", None), ["vcpu@cpuset", "cputune/vcpupin@cpuset"], [None, None, "5"]),
        (
            edit("medium", "/srv/x.iso", None),
            ["devices/disk/source@file", "devices/disk/backingStore"],
            ["/srv/x.qcow2"],
        ),
    ],
)
def test_each_kind_of_change(change: Edit, paths: list[str], values: list[str | None]) -> None:
    assert texts(edits.edited(XML, [change], "web1"), *paths) == values


def test_nothing_else_is_changed() -> None:
    there_and_back = edits.edited(XML, [edit("bridge", "br0", "br1"), edit("bridge", "br1", "br0")], "web1")
    assert ET.canonicalize(there_and_back, rewrite_prefixes=True) == ET.canonicalize(XML, rewrite_prefixes=True)


def test_a_definition_without_the_old_value_refuses_the_move() -> None:
    with pytest.raises(LivemigError, match="it has no bridge br9 any more") as caught:
        edits.edited(XML, [edit("bridge", "br9", "br1")], "web1")
    assert "secret" not in str(caught.value)


def test_every_kind_can_be_applied() -> None:
    assert {*edits._PLACES, "medium"} == set(EDITS)


class Domain:
    def __init__(self, persistent: bool = True, inactive: str = XML) -> None:
        self._persistent, self._inactive, self.flags = persistent, inactive, []

    flags: list[int]

    def name(self) -> str:
        return "web1"

    def isPersistent(self) -> bool:
        return self._persistent

    def XMLDesc(self, flags: int) -> str:
        self.flags.append(flags)
        return self._inactive if flags & libvirt.VIR_DOMAIN_XML_INACTIVE else XML


def test_both_definitions_are_changed_and_read_with_their_secrets() -> None:
    domain: t.Any = Domain()
    made = edits.definitions(domain, [edit("bridge", "br0", "br1")])
    assert sorted(made) == ["destination_xml", "persistent_xml"]
    assert all("br1" in xml and "secret" in xml for xml in made.values())
    assert all(flags & libvirt.VIR_DOMAIN_XML_SECURE for flags in domain.flags)


def test_what_only_the_running_guest_has_needs_no_change_in_the_other() -> None:
    domain: t.Any = Domain(inactive=XML.replace("br0", "br5"))
    assert "br5" in edits.definitions(domain, [edit("bridge", "br0", "br1")])["persistent_xml"]


def test_a_transient_domain_has_one_definition_and_without_changes_there_is_none() -> None:
    transient: t.Any = Domain(persistent=False)
    assert list(edits.definitions(transient, [edit("bridge", "br0", "br1")])) == ["destination_xml"]
    assert edits.definitions(transient, []) == {}
    assert transient.flags and len(transient.flags) == 1
