# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's NIC that is a virtual function, and the XML of it: what it must have again, wherever it runs. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import collections
import copy
import typing as t
import xml.etree.ElementTree as ET

from .._observe.api import parse_xml

GivesOut = t.Callable[[str], bool]
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
    does. ``twin``: another function of the guest has the same MAC address. ``seen``: the guest's agent has shown it
    before it was touched; looked at only where QEMU puts it on (failover).

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
    twin: bool = False
    seen: bool = False

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
        return f"VF {self.mac} ({self.alias or self.place})" if self.twin else f"VF {self.mac or self.alias}"

    @property
    def key(self) -> str:
        """Tells it from the guest's other functions, also while it is off."""
        if self.mac is not None and not self.twin:
            return self.mac
        return f"{self.mac or ''} {self.alias if self.alias.startswith(_USER_ALIAS) else self.place}".strip()

    def is_device(self, device: ET.Element) -> bool:
        """Whether the element is this NIC: by its MAC address, and where that does not tell by its place as well."""
        known = self.mac is not None and not self.twin
        return _mac(device) == self.mac and (known or _same_place(parse_xml(self.xml), device))

    def is_nic(self, other: Nic) -> bool:
        return self.is_device(parse_xml(other.xml))


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


def _same_place(one: ET.Element, other: ET.Element) -> bool:
    """By the user's alias, where both have one, or else by the address in the guest."""
    aliases = _alias(one), _alias(other)
    if all(alias.startswith(_USER_ALIAS) for alias in aliases):
        return aliases[0] == aliases[1]
    places = address_text(one.find("address")), address_text(other.find("address"))
    return places[0] is not None and places[0] == places[1]


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


def _no_network(_name: str) -> bool:
    return False


def nics_of(live: str, inactive: str | None, gives_out: GivesOut = _no_network) -> list[Nic]:
    """Every passed-through PCI device of a running domain. ``inactive``: its persistent definition, which alone says
    by which network a function was given out. ``gives_out``: whether a network of this name gives out functions."""
    root, kept = parse_xml(live), parse_xml(inactive or "<domain/>")
    shared = _shared((root, kept), gives_out)
    return [_nic(device, _of_network(kept, device, gives_out), root, shared) for device in passed_through(root)]


def defined_nics(inactive: str, live: str, gives_out: GivesOut) -> list[Nic]:
    """The same of a persistent definition. ``live``: the running domain, which has the standbys."""
    root, running = parse_xml(inactive), parse_xml(live)
    shared = _shared((root, running), gives_out)
    return [_nic(device, None, running, shared) for device in _functions(root, gives_out)]


def _functions(root: ET.Element, gives_out: GivesOut) -> list[ET.Element]:
    """With those that a network is still to give out."""
    named = [
        nic
        for nic in root.findall("devices/interface")
        if nic.get("type") == "network" and not _is_function(nic) and gives_out(_network(nic))
    ]
    return [*passed_through(root), *named]


def _network(nic: ET.Element) -> str:
    source = nic.find("source")
    return "" if source is None else source.get("network", "")


def _shared(roots: t.Iterable[ET.Element], gives_out: GivesOut) -> set[str | None]:
    """MAC addresses that several functions of one definition have."""
    counted = [collections.Counter(map(_mac, _functions(root, gives_out))) for root in roots]
    return {mac for each in counted for mac, number in each.items() if mac is not None and number > 1}


def _nic(device: ET.Element, named: ET.Element | None, live: ET.Element, shared: t.Collection[str | None]) -> Nic:
    """``named``: what the definition has instead of the device, where a network has given that out."""
    teaming = device.find("teaming")
    others = {_alias(nic): nic for nic in live.findall("devices/interface")}
    partner = None if teaming is None else others.get(teaming.get("persistent", ""))
    target = None if partner is None else partner.find("target")
    return Nic(
        alias=_alias(device),
        mac=_mac(device),
        xml=ET.tostring(_template(device, named), encoding="unicode").strip(),
        standby=None if target is None else target.get("dev"),
        twin=_mac(device) in shared,
    )


def number_with(live: str, mac: str | None) -> int:
    """How many functions the guest has with this MAC address."""
    return [_mac(device) for device in passed_through(parse_xml(live))].count(mac)


def shown(links: t.Mapping[str, str], mac: str | None) -> list[str]:
    """The guest's network devices with this MAC address, without VLANs on top of them, which have it too (eth0.42).
    ``links``: its network devices, name -> MAC address."""
    return sorted(name for name, found in links.items() if found == mac and "." not in name)


def shows(links: t.Mapping[str, str], nic: Nic, functions: int) -> bool:
    """Whether the guest has so many functions with the NIC's MAC address, beside what else has it: the master of
    net_failover, or the bond, and the standby."""
    names = shown(links, nic.mac)
    others = 2 if nic.standby is not None else sum(map(is_bond, names))
    return len(names) >= functions + others


def is_bond(name: str) -> bool:
    return name.startswith(_BONDS)


def may_be_in_bond(links: t.Mapping[str, str], bond: str | None, mac: str | None) -> bool:
    """What is in a bond shows the bond's MAC address, and its own, by which its definition calls it, no more."""
    return mac == bond or mac not in links.values()


def bonded(
    links: t.Mapping[str, str], mac: str | None, functions: t.Iterable[str | None], others: t.Iterable[str | None]
) -> bool:
    """Whether the guest has this function in a bond with a NIC that is none: the bond has more members than functions.
    ``functions``, ``others``: the MAC addresses of the guest's functions, None where not known, and other NICs."""
    same = shown(links, mac)
    members = [name for name in same if not is_bond(name)]
    taken = [each for each in functions if may_be_in_bond(links, mac, each)]
    return len(same) > len(members) > len(taken) and any(may_be_in_bond(links, mac, each) for each in others)


def with_bond(nic: Nic, live: str, links: t.Mapping[str, str]) -> Nic:
    """With the NIC of its bond as the standby, where it has no <teaming> and the guest shows a bond."""
    root = parse_xml(live)
    others = [each for each in root.findall("devices/interface") if not _is_function(each)]
    functions = map(_mac, passed_through(root))
    if nic.standby is not None or not bonded(links, nic.mac, functions, map(_mac, others)):
        return nic
    named = [each for each in others if _mac(each) == nic.mac]
    members = named or [each for each in others if may_be_in_bond(links, nic.mac, _mac(each))]
    targets = [target.get("dev", "") for target in (each.find("target") for each in members) if target is not None]
    return nic._replace(standby=targets[0] if len(targets) == 1 else "")


def _template(device: ET.Element, named: ET.Element | None) -> ET.Element:
    """The device without what belongs to its present place. Its address in the guest stays, and so the guest's name
    of it."""
    found = copy.deepcopy(device)
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


def _of_network(kept: ET.Element, device: ET.Element, gives_out: GivesOut) -> ET.Element | None:
    """What the definition has instead of a function that a network has given out. A standby has the same MAC address,
    and may be on a network too."""
    mac = _mac(device)
    found = [
        nic
        for nic in kept.findall("devices/interface")
        if mac is not None and nic.get("type") == "network" and _mac(nic) == mac and not _is_standby(nic)
    ]
    same = [nic for nic in found if _same_place(nic, device)]
    return next(iter(same or [nic for nic in found if gives_out(_network(nic))]), None)


def _is_standby(nic: ET.Element) -> bool:
    teaming = nic.find("teaming")
    return teaming is not None and teaming.get("type") == "persistent"


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
    """The device of a definition that is this NIC."""
    return _found(parse_xml(xml), nic)


def _found(root: ET.Element, nic: Nic) -> ET.Element | None:
    return next((device for device in passed_through(root) if nic.is_device(device)), None)


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
