# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's NIC that is a virtual function, and the XML of it: what it must have again, wherever it runs. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import copy
import typing as t
import xml.etree.ElementTree as ET

from .._observe.api import parse_xml

_PARTS = ("domain", "bus", "slot", "function")
_BONDS = ("bond", "team")
_USER_ALIAS = "ua-"
# What libvirt writes of the place where a device is, and what is another one's at the next place.
_OF_PLACE = ("target", "portid", "bridge")


class Nic(t.NamedTuple):
    """``alias``: libvirt's name of the device on the source, by which its removal is told; ``mac``: None where
    libvirt does not set it (a plain <hostdev>); ``xml``: the element, as it is attached again; ``kind``
    (vendor:device) and ``port`` (the PF's network device) of the function on the source; ``standby``: the host's
    network device of the NIC that carries the traffic meanwhile, empty where it is one of several, None where nothing
    does.

    ``planned``: the function's PCI address at the destination, ``planned_port``: the PF's network device there; None
    where a libvirt network gives one out, and before the destination was looked at.
    """

    alias: str
    mac: str | None
    xml: str
    kind: str | None = None
    port: str | None = None
    standby: str | None = None
    planned: str | None = None
    planned_port: str | None = None

    @property
    def network(self) -> str | None:
        """The libvirt network that gives out the function."""
        source = parse_xml(self.xml).find("source")
        return None if source is None else source.get("network")

    @property
    def address(self) -> str | None:
        """The function's PCI address on the source; None where a network gives it out."""
        return host_address(parse_xml(self.xml))

    @property
    def place(self) -> str | None:
        """Its PCI address in the guest, by which it is known where it has no MAC address."""
        return address_text(parse_xml(self.xml).find("address"))

    @property
    def managed(self) -> bool:
        """libvirt itself takes the function from its driver; a network of functions may do otherwise."""
        return parse_xml(self.xml).get("managed") == "yes" or self.network is not None

    @property
    def called(self) -> str:
        """For messages."""
        return f"VF {self.mac or self.alias}"


def address_text(element: ET.Element | None) -> str | None:
    """A PCI address as sysfs writes it; None where the element has none."""
    if element is None or any(element.get(part) is None for part in _PARTS[1:]):
        return None
    domain, bus, slot, function = (int(element.get(part, "0"), 0) for part in _PARTS)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def host_address(device: ET.Element) -> str | None:
    return address_text(device.find("source/address"))


def _mac(device: ET.Element) -> str | None:
    mac = device.find("mac")
    return None if mac is None else mac.get("address", "").lower()


def _alias(device: ET.Element) -> str:
    alias = device.find("alias")
    return "" if alias is None else alias.get("name", "")


def passed_through(root: ET.Element) -> list[ET.Element]:
    """The elements of all PCI devices of the host that a definition has. A network of functions shows in the live
    definition as the function that it has given out."""
    plain = [each for each in root.findall("devices/hostdev") if each.get("type") == "pci"]
    return [*(nic for nic in root.findall("devices/interface") if _is_function(nic)), *plain]


def _is_function(nic: ET.Element) -> bool:
    actual = nic.find("actual")
    return nic.get("type") == "hostdev" or (actual is not None and actual.get("type") == "hostdev")


def is_linked(live: str, device: str) -> bool:
    """Whether the definition has set up the link of the NIC whose network device on the host this is. libvirt gives a
    function none, also where it is a NIC of type hostdev."""
    for nic in parse_xml(live).findall("devices/interface"):
        target, link = nic.find("target"), nic.find("link")
        if target is not None and target.get("dev") == device:
            return link is None or link.get("state") != "down"
    return False


def nics_of(live: str, inactive: str | None) -> list[Nic]:
    """Every passed-through PCI device of a running domain. ``inactive``: its persistent definition, which alone says
    by which network a function was given out."""
    root = parse_xml(live)
    standbys = {_alias(nic): nic for nic in root.findall("devices/interface")}
    kept = None if inactive is None else parse_xml(inactive)
    return [_nic(device, standbys, kept) for device in passed_through(root)]


def bonded(links: t.Mapping[str, str], mac: str | None) -> bool:
    """Whether the guest has this function in a bond: the bond, the function and the other NIC have one MAC address.
    ``links``: its network devices, name -> MAC address."""
    same = [name for name, found in links.items() if found == mac]
    return len(same) > 2 and any(name.startswith(_BONDS) for name in same)


def with_bond(nic: Nic, live: str, links: t.Mapping[str, str]) -> Nic:
    """With the NIC of its bond as the standby, where it has no <teaming> and the guest shows a bond."""
    if nic.standby is not None or not bonded(links, nic.mac):
        return nic
    targets = [target.get("dev", "") for target in parse_xml(live).findall("devices/interface/target")]
    return nic._replace(standby=targets[0] if len(targets) == 1 else "")


def defined_nics(inactive: str, gives_out: t.Callable[[str], bool]) -> list[Nic]:
    """The same of a persistent definition. ``gives_out``: whether a network of this name gives out functions."""
    root = parse_xml(inactive)
    named = [
        nic
        for nic in root.findall("devices/interface")
        if nic.get("type") == "network" and gives_out(nic.find("source").get("network", ""))  # type: ignore[union-attr]
    ]
    return [_nic(device, {}, None) for device in [*passed_through(root), *named]]


def _nic(device: ET.Element, others: t.Mapping[str, ET.Element], kept: ET.Element | None) -> Nic:
    teaming = device.find("teaming")
    partner = None if teaming is None else others.get(teaming.get("persistent", ""))
    target = None if partner is None else partner.find("target")
    return Nic(
        alias=_alias(device),
        mac=_mac(device),
        xml=ET.tostring(_template(device, kept), encoding="unicode").strip(),
        standby=None if target is None else target.get("dev"),
    )


def _template(device: ET.Element, kept: ET.Element | None) -> ET.Element:
    """The device without what belongs to its present place. Its address in the guest stays, and so the guest's name
    of it."""
    found = copy.deepcopy(device)
    named = None if kept is None else _of_network(kept, device)
    if named is not None:
        found = copy.deepcopy(named)
        for address in found.findall("address"):
            found.remove(address)
        found.extend(copy.deepcopy(each) for each in device.findall("address"))
    for tag in ("target", "actual"):
        for element in found.findall(tag):
            found.remove(element)
    for source in found.findall("source"):
        for name in _OF_PLACE:
            source.attrib.pop(name, None)
    alias = found.find("alias")
    if alias is not None and not alias.get("name", "").startswith(_USER_ALIAS):
        found.remove(alias)
    return found


def _of_network(kept: ET.Element, device: ET.Element) -> ET.Element | None:
    """A standby has the same MAC address, and may be on a network too."""
    mac = _mac(device)
    for nic in kept.findall("devices/interface"):
        teaming = nic.find("teaming")
        is_standby = teaming is not None and teaming.get("type") == "persistent"
        if mac is not None and nic.get("type") == "network" and _mac(nic) == mac and not is_standby:
            return nic
    return None


def attach_xml(nic: Nic, address: str | None) -> str:
    """The element with the function at ``address``; None where a network gives one out."""
    device = parse_xml(nic.xml)
    _place(device, address)
    return ET.tostring(device, encoding="unicode")


def _place(device: ET.Element, address: str | None) -> None:
    element = device.find("source/address")
    if address is None or element is None:
        return
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    for name, value in zip(_PARTS, (domain, bus, slot, function)):
        element.set(name, f"0x{value}")


def find(xml: str, nic: Nic) -> ET.Element | None:
    """The device of a definition that is this NIC: by its MAC address, or else by its place in the guest."""
    return _found(parse_xml(xml), nic)


def _found(root: ET.Element, nic: Nic) -> ET.Element | None:
    place = nic.place
    for device in passed_through(root):
        if nic.mac is not None and _mac(device) == nic.mac:
            return device
        if nic.mac is None and place is not None and address_text(device.find("address")) == place:
            return device
    return None


def allocated_at_once(definition: str) -> str:
    """The definition with all memory allocated when QEMU starts. It is no part of what the guest sees."""
    root = parse_xml(definition)
    backing = root.find("memoryBacking")
    if backing is None:
        backing = ET.SubElement(root, "memoryBacking")
    allocation = backing.find("allocation")
    if allocation is None:
        allocation = ET.SubElement(backing, "allocation")
    allocation.set("mode", "immediate")
    return ET.tostring(root, encoding="unicode")


def placed(definition: str, nic: Nic, address: str | None) -> str | None:
    """The definition with this NIC's function at ``address``; None where nothing is to be changed in it."""
    root = parse_xml(definition)
    device = _found(root, nic)
    if device is None or address is None or host_address(device) in (None, address):
        return None
    _place(device, address)
    return ET.tostring(root, encoding="unicode")
