# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a domain's XML to the facts of its snapshot: pure functions over libvirt's documents.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import copy
import typing as t
import xml.etree.ElementTree as ET

from .._model.api import POLICY_URI, Disk, Hostdev, Interface
from .._model.types import Layer
from . import definition
from .xml import parse as parse_xml

_SOURCE_ATTRIBUTES = ("file", "dev", "dir", "volume", "name")
_LOCAL = ("file", "block", "dir")
_WITHOUT_BACKING = ("raw",)
_BYTES_PER_UNIT = {
    "b": 1,
    "bytes": 1,
    "k": 1024,
    "kib": 1024,
    "m": 1024**2,
    "mib": 1024**2,
    "g": 1024**3,
    "gib": 1024**3,
}


FACTS = (
    "virt_type",
    "memory_mib",
    "vcpus",
    "hugepages",
    "arch",
    "machine",
    "emulator",
    "cpu_xml",
    "disks",
    "interfaces",
    "hostdevs",
    "label",
    "devices",
    "lists",
    "settings",
)
"""What comes out of the document: all of it or, where it cannot be read, nothing."""


def parse(xml: str) -> dict[str, t.Any]:
    """The facts of a live ``XMLDesc(0)`` that need nothing but the document. Keys as in FACTS.

    Raises ValueError where it is not a document that libvirt would write.
    """
    root = parse_xml(xml)
    os_type = root.find("os/type")
    return {
        "virt_type": root.get("type", ""),
        "memory_mib": memory_mib(root),
        "vcpus": int((root.findtext("vcpu") or "1").strip()),
        "hugepages": root.find("memoryBacking/hugepages") is not None,
        "arch": "" if os_type is None else os_type.get("arch", ""),
        "machine": "" if os_type is None else os_type.get("machine", ""),
        "emulator": (root.findtext("devices/emulator") or "").strip(),
        "cpu_xml": _cpu_text(root.find("cpu")),
        "disks": [_disk(disk) for disk in root.findall("devices/disk")],
        "interfaces": [_interface(nic) for nic in root.findall("devices/interface")],
        "hostdevs": [*map(_hostdev, root.findall("devices/hostdev")), *_interface_hostdevs(root)],
        "label": _element_text(root.find(f"metadata/{{{POLICY_URI}}}*")),
        **definition.read(root),
    }


def memory_mib(root: ET.Element) -> int:
    """The most memory the guest may ever have, rounded up: ``maxMemory`` (hotplug) or else ``memory``."""
    element = root.find("maxMemory")
    if element is None:
        element = root.find("memory")
    if element is None:
        return 0
    size = int((element.text or "0").strip()) * _BYTES_PER_UNIT[element.get("unit", "KiB").lower()]
    return -(-size // 1024**2)


def _element_text(element: ET.Element | None) -> str | None:
    if element is None:
        return None
    return ET.tostring(element, encoding="unicode").strip()


def _cpu_text(cpu: ET.Element | None) -> str | None:
    """What a hypervisor must provide: without what QEMU makes of the guest's own topology, wherever it runs.

    That is ``ht`` too: libvirt lists it as required once a socket has several threads, and then says of every host that
    emulates that it does not provide it (seen with libvirt 11.3 and QEMU 10.0; the guest moves all the same).
    """
    if cpu is None:
        return None
    rest = copy.deepcopy(cpu)
    for child in list(rest):
        if child.tag in ("topology", "numa") or (child.tag == "feature" and child.get("name") == "ht"):
            rest.remove(child)
    return _element_text(rest)


def _disk(disk: ET.Element) -> Disk:
    source, driver, target = disk.find("source"), disk.find("driver"), disk.find("target")
    form = None if driver is None else driver.get("type")
    found: Disk = {
        "target": "" if target is None else target.get("dev", ""),
        "device": disk.get("device", "disk"),
        "type": disk.get("type", ""),
        "path": _path(disk),
        "protocol": None if source is None else source.get("protocol"),
        "hosts": _servers(source),
        "format": form,
        "cache": "default" if driver is None else driver.get("cache", "default"),
        "readonly": disk.find("readonly") is not None,
        "shareable": disk.find("shareable") is not None,
        "transient": disk.find("transient") is not None,
        "startup_policy": "mandatory" if source is None else source.get("startupPolicy", "mandatory"),
    }
    found["more"] = definition.more(disk, "disks")
    chain = [] if source is None else _below(disk, form)
    if chain is not None:
        for number, layer in enumerate(chain, start=1):
            layer["layer"] = number
        found["backing"] = chain
    return found


def _path(image: ET.Element) -> str | None:
    """The local path of a disk or of a layer; None where it has none."""
    source = image.find("source")
    if source is None or image.get("type") not in _LOCAL:
        return None
    return next((value for value in (source.get(name) for name in _SOURCE_ATTRIBUTES) if value), None)


def _servers(source: ET.Element | None) -> list[str]:
    hosts = [] if source is None else source.findall("host")
    return [host.get("name", "") or host.get("socket", "") for host in hosts]


def _below(image: ET.Element, form: str | None) -> list[Layer] | None:
    """The layers below a disk or a layer, from the top down. None: the document does not say.

    libvirt nests them in the XML of a running domain and ends the chain with an empty ``<backingStore/>``
    (virDomainDiskBackingStoreFormat). A qcow2 data file, a ``<dataStore>`` (seen with 11.3), counts as one more.
    """
    backing, data = image.find("backingStore"), image.find("source/dataStore")
    if backing is None and form not in _WITHOUT_BACKING:
        return None
    found: list[Layer] = []
    for element in (data, backing):
        if element is None or not element.get("type"):
            continue
        layer = _layer(element)
        # What a data file holds is raw; libvirt ends its chain nowhere.
        below = [] if element is data else _below(element, layer["format"])
        if below is None:
            return None
        found += [layer, *below]
    return found


def _layer(element: ET.Element) -> Layer:
    source, form = element.find("source"), element.find("format")
    return {
        "type": element.get("type", ""),
        "path": _path(element),
        "protocol": None if source is None else source.get("protocol"),
        "hosts": _servers(source),
        "format": None if form is None else form.get("type"),
    }


def _interface(nic: ET.Element) -> Interface:
    mac, source, target = nic.find("mac"), nic.find("source"), nic.find("target")
    link, teaming, port = nic.find("link"), nic.find("teaming"), nic.find("virtualport")
    kind = nic.get("type", "")
    return {
        "mac": "" if mac is None else mac.get("address", ""),
        "type": kind,
        "source": "" if source is None else source.get(kind, "") or source.get("dev", ""),
        "virtualport": None if port is None else port.get("type"),
        "target": None if target is None else target.get("dev"),
        "link": "up" if link is None else link.get("state", "up"),
        "teaming": None if teaming is None else teaming.get("type"),
        "more": definition.more(nic, "interfaces"),
    }


def _hostdev(hostdev: ET.Element) -> Hostdev:
    kind, teaming = hostdev.get("type", ""), hostdev.find("teaming")
    address = hostdev.find("source/address")
    where = "" if address is None else " ".join(f"{key}={value}" for key, value in sorted(address.attrib.items()))
    return {
        "type": kind,
        "mode": hostdev.get("mode", ""),
        "description": f"{kind} {where}".strip(),
        "teaming": None if teaming is None else teaming.get("type"),
        "more": definition.more(hostdev, "hostdevs"),
    }


def networks_of(hostdevs: t.Sequence[Hostdev], inactive: str) -> None:
    """Adds to each function the network that its persistent definition names: the live one of a network of functions
    shows what it has given out instead (virDomainActualNetDefContentsFormat). A standby has the same MAC address, and
    another place in the guest; whether the network gives out functions is another fact."""
    named = [nic for nic in parse_xml(inactive).findall("devices/interface") if nic.get("type") == "network"]
    for hostdev in hostdevs:
        for nic in named:
            facts, here, there = _interface(nic), hostdev["more"], definition.more(nic, "hostdevs")
            same_place = None in (here["guest_bus"], there["guest_bus"]) or here["guest_bus"] == there["guest_bus"]
            is_other = facts["teaming"] == "persistent" or hostdev["description"] != f"interface {facts['mac']}"
            if same_place and not is_other:
                here["network"] = facts["source"]


def _interface_hostdevs(root: ET.Element) -> list[Hostdev]:
    """``<interface type='hostdev'>`` is a PCI passthrough too; a network of VFs shows as ``actual`` in the live XML."""
    found: list[Hostdev] = []
    for nic in root.findall("devices/interface"):
        actual = nic.find("actual")
        if nic.get("type") != "hostdev" and (actual is None or actual.get("type") != "hostdev"):
            continue
        facts = _interface(nic)
        found.append(
            {
                "type": "pci",
                "mode": "interface",
                "description": f"interface {facts['mac']}",
                "teaming": facts["teaming"],
                "more": definition.more(nic, "hostdevs"),
            }
        )
    return found
