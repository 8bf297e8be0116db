# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import qemu_arguments
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.domain_xml import networks_of, parse

DOMAIN = """
<domain type='kvm' id='3'>
  <name>web1</name>
  <memory unit='GiB'>2</memory>
  <currentMemory unit='GiB'>1</currentMemory>
  <vcpu placement='static'>4</vcpu>
  <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>
  <cpu mode='custom' match='exact'><model fallback='forbid'>Skylake-Server</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/><source file='/srv/images/web1.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='rbd' name='pool/web1-data'><host name='mon1' port='6789'/></source>
      <target dev='vdb' bus='virtio'/><shareable/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='/srv/iso/install.iso' startupPolicy='optional'/><target dev='sda' bus='sata'/><readonly/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:01'/><source bridge='br0'/><target dev='vnet3'/><link state='down'/>
    </interface>
    <interface type='network'>
      <mac address='52:54:00:00:00:02'/><source network='lan' portid='x' bridge='virbr7'/><target dev='vnet4'/>
    </interface>
    <interface type='hostdev'>
      <mac address='52:54:00:00:00:03'/>
      <source><address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></source>
      <teaming type='transient' persistent='ua-net0'/>
    </interface>
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='4'/></source></hostdev>
  </devices>
</domain>
"""


@pytest.fixture
def facts() -> dict[str, object]:
    return parse(DOMAIN)


def test_memory_is_the_maximum_and_not_the_balloon(facts: dict[str, object]) -> None:
    assert facts["memory_mib"] == 2048


def test_max_memory_of_hotplug_counts() -> None:
    assert (
        parse(DOMAIN.replace("<memory ", "<maxMemory slots='4' unit='MiB'>4096</maxMemory><memory "))["memory_mib"]
        == 4096
    )


@pytest.mark.parametrize(("unit", "size", "mib"), [("KiB", 1025, 2), ("b", 1048576, 1), ("MiB", 3, 3)])
def test_units_are_read_and_rounded_up(unit: str, size: int, mib: int) -> None:
    text = DOMAIN.replace("<memory unit='GiB'>2<", f"<memory unit='{unit}'>{size}<")
    assert parse(text)["memory_mib"] == mib


def test_disks(facts: dict[str, object]) -> None:
    disks = {disk["target"]: disk for disk in parse(DOMAIN)["disks"]}
    assert disks["vda"]["path"] == "/srv/images/web1.qcow2"
    assert disks["vda"]["cache"] == "none"
    assert (disks["vdb"]["path"], disks["vdb"]["protocol"], disks["vdb"]["shareable"]) == (None, "rbd", True)
    assert disks["vdb"]["cache"] == "default"
    assert (disks["sda"]["device"], disks["sda"]["readonly"]) == ("cdrom", True)
    assert disks["sda"]["startup_policy"] == "optional"
    assert disks["sdb"]["path"] is None


CHAIN = """
<backingStore type='file' index='3'>
  <format type='qcow2'/><source file='/srv/images/mid.qcow2'/>
  <backingStore type='network' index='2'>
    <format type='qcow2'/><source protocol='nbd' name='base'><host name='store' port='10809'/></source>
    <backingStore type='block' index='1'><format type='raw'/><source dev='/dev/vg/base'/><backingStore/></backingStore>
  </backingStore>
</backingStore>
"""


def _backing(inside: str, form: str = "qcow2", source: str = "<source file='/a'/>") -> t.Any:
    """``backing`` of a disk with these elements. None: it is not known."""
    disk = f"<disk type='file'><driver type='{form}'/>{source}<target dev='vda'/>{inside}</disk>"
    return parse(f"<domain><devices>{disk}</devices></domain>")["disks"][0].get("backing")


def test_the_whole_backing_chain_is_read() -> None:
    found = [
        (layer["layer"], layer["type"], layer["path"], layer["protocol"], layer["hosts"], layer["format"])
        for layer in _backing(CHAIN)
    ]
    assert found == [
        (1, "file", "/srv/images/mid.qcow2", None, [], "qcow2"),
        (2, "network", None, "nbd", ["store"], "qcow2"),
        (3, "block", "/dev/vg/base", None, [], "raw"),
    ]


@pytest.mark.parametrize(
    ("inside", "form", "backing"),
    [
        ("<backingStore/>", "qcow2", []),
        ("", "raw", []),
        ("", "qcow2", None),
        ("", "luks", None),
        ("<backingStore type='file'><format type='qcow2'/><source file='/b'/></backingStore>", "qcow2", None),
        ("<backingStore type='file'><source file='/b'/></backingStore>", "qcow2", None),
    ],
)
def test_a_chain_that_does_not_end_is_not_known(inside: str, form: str, backing: t.Any) -> None:
    assert _backing(inside, form) == backing


def test_a_raw_layer_ends_the_chain_and_an_empty_drive_has_none() -> None:
    inside = "<backingStore type='file'><format type='raw'/><source file='/b'/></backingStore>"
    assert [layer["path"] for layer in _backing(inside)] == ["/b"]
    assert _backing("", source="") == []


def test_a_data_file_is_one_more_layer() -> None:
    source = "<source file='/a'><dataStore type='file'><format type='raw'/><source file='/data'/></dataStore></source>"
    assert [layer["path"] for layer in _backing("<backingStore/>", source=source)] == ["/data"]


def test_interfaces_name_what_they_are_attached_to(facts: dict[str, object]) -> None:
    nics = {nic["mac"][-2:]: nic for nic in parse(DOMAIN)["interfaces"]}
    assert (nics["01"]["source"], nics["01"]["target"], nics["01"]["link"]) == ("br0", "vnet3", "down")
    assert (nics["02"]["source"], nics["02"]["link"]) == ("lan", "up")
    assert nics["03"]["teaming"] == "transient"


def test_a_vf_interface_is_a_pci_hostdev(facts: dict[str, object]) -> None:
    hostdevs = parse(DOMAIN)["hostdevs"]
    assert [(device["type"], device["teaming"]) for device in hostdevs] == [("usb", None), ("pci", "transient")]


def test_a_vf_of_a_network_shows_as_actual() -> None:
    text = DOMAIN.replace("portid='x' bridge='virbr7'/>", "/><actual type='hostdev'/>")
    assert "interface 52:54:00:00:00:02" in [device["description"] for device in parse(text)["hostdevs"]]


FUNCTION = (
    "<domain><memory unit='MiB'>1</memory><devices><interface type='{}'>"
    "<mac address='52:54:00:00:00:03'/><source {}='{}'/>{}<address type='pci' bus='0x0{}'/></interface></devices>"
    "</domain>"
)


@pytest.mark.parametrize(
    ("inactive", "network"),
    [
        (FUNCTION.format("network", "network", "vfs", "", 2), "vfs"),
        (FUNCTION.format("network", "network", "vfs", "", 3), None),
        (FUNCTION.format("network", "network", "lan", "<teaming type='persistent'/>", 2), None),
        (FUNCTION.format("network", "network", "vfs", "", 2).replace("03'", "04'"), None),
        (FUNCTION.format("hostdev", "dev", "x", "", 2), None),
    ],
    ids=["its own", "at another place", "its standby", "another one", "no network"],
)
def test_the_network_of_a_function_stands_in_the_definition_alone(inactive: str, network: str | None) -> None:
    found = parse(FUNCTION.format("hostdev", "dev", "x", "", 2))["hostdevs"]
    networks_of(found, inactive)
    assert [each["more"]["network"] for each in found] == [network]


def test_cpu_is_the_guests_own_definition(facts: dict[str, object]) -> None:
    assert "Skylake-Server" in str(facts["cpu_xml"])
    assert parse(DOMAIN.replace("<cpu ", "<x ").replace("</cpu>", "</x>"))["cpu_xml"] is None


def test_what_qemu_makes_of_the_topology_is_not_asked_of_a_host() -> None:
    extra = "<topology sockets='2' cores='1' threads='2'/><numa><cell id='0' cpus='0'/></numa><feature name='ht'/>"
    assert parse(DOMAIN.replace("</cpu>", f"{extra}</cpu>"))["cpu_xml"] == parse(DOMAIN)["cpu_xml"]
    assert "avx" in str(parse(DOMAIN.replace("</cpu>", "<feature name='avx'/></cpu>"))["cpu_xml"])


def test_of_qemus_arguments_the_drivers_are_kept_and_no_values() -> None:
    words = ("-device", "nvme,serial=7f3a", "-device", '{"driver": "rocker", "name": "7f3a"}', "-name", "7f3a")
    text = "".join(f"<q:arg value='{word}'/>" for word in words)
    document = f"<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>{text}</q:commandline></domain>"
    lists = parse(DOMAIN.replace("</domain>", document))["lists"]
    assert lists["qemu_devices"] == ["nvme", "rocker"]
    assert "7f3a" not in str(lists)


@pytest.mark.parametrize(
    ("option", "value", "files"),
    [
        ("-drive", "if=none,id=own,format=raw,file=/run/own.raw", ["/run/own.raw"]),
        ("-drive", "driver=qcow2,file.filename=/run/a,,b.qcow2", ["/run/a,b.qcow2"]),
        ("-drive", "file=nbd://store.example.com/own", []),
        ("-blockdev", '{"driver": "raw", "file": {"driver": "file", "filename": "/run/own.raw"}}', ["/run/own.raw"]),
        ("-blockdev", '{"filename": ', []),
        ("-fw_cfg", "name=opt/own,file=/run/own", ["/run/own"]),
        ("-fw_cfg", "name=opt/own,string=/run/own", []),
        ("-chardev", "socket,id=own,path=/run/own.sock,server=on", []),
    ],
)
def test_files_that_qemus_own_arguments_need(option: str, value: str, files: list[str]) -> None:
    found = qemu_arguments.read([option, value])
    assert (found["qemu_arguments"], found["qemu_files"]) == ([option, ""], files)
