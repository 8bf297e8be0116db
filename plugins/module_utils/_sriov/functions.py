# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual functions of a host as its libvirt lists them, and which of them a guest can have. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from .._observe.api import parse_xml
from .nic import Nic, address_text, host_address, passed_through

# Drivers beside which vfio-pci works in one group (vfio_dev_driver_allowed in drivers/vfio/vfio_main.c of Linux).
_HARMLESS = frozenset(("vfio-pci", "pci-stub", "pcieport"))
_VFIO = "vfio-pci"
_DOWN = "down"


class Function(t.NamedTuple):
    """One virtual function. ``kind``: vendor:device; ``port``: the PF's network device, ``link`` its state (up, down...
    or None where it is not told); ``others``: devices of its IOMMU group that drivers of the host have; ``net``: the
    host's own network device on it, where that is up; ``user``: the domain that has it, running or defined;
    ``network``: the libvirt network that gives it out.
    """

    address: str
    kind: str
    driver: str | None
    port: str | None
    link: str | None
    others: tuple[str, ...] = ()
    net: str | None = None
    user: str | None = None
    network: str | None = None


class _Net(t.NamedTuple):
    name: str
    state: str | None


def functions(devices: t.Sequence[str], users: t.Mapping[str, str], networks: t.Mapping[str, str]) -> list[Function]:
    """From libvirt's node devices (PCI and net). ``users``, ``networks``: PCI address -> the domain that has it, the
    network that gives it out."""
    roots = [parse_xml(text) for text in devices]
    nets = {
        root.findtext("parent", ""): _net(root) for root in roots if root.find("capability[@type='net']") is not None
    }
    pci = {address: root for root in roots if (address := _address(root)) is not None}
    found = []
    for address, root in sorted(pci.items()):
        physical = address_text(root.find("capability/capability[@type='phys_function']/address"))
        if physical is not None:
            port = nets.get(pci[physical].findtext("name", "")) if physical in pci else None
            one = _function(address, root, port, nets, pci)
            found.append(one._replace(user=users.get(address), network=networks.get(address)))
    return found


def _function(
    address: str, root: ET.Element, port: _Net | None, nets: t.Mapping[str, _Net], pci: t.Mapping[str, ET.Element]
) -> Function:
    own = nets.get(root.findtext("name", ""))
    members = {address_text(each) for each in root.findall("capability/iommuGroup/address")} - {address}
    drivers = {other: _driver(device) for other, device in pci.items() if other in members}
    return Function(
        address,
        _kind(root),
        _driver(root),
        None if port is None else port.name,
        None if port is None else port.state,
        tuple(f"{other} ({driver})" for other, driver in drivers.items() if driver and driver not in _HARMLESS),
        own.name if own is not None and own.state == "up" else None,
    )


def _net(root: ET.Element) -> _Net:
    link = root.find("capability/link")
    return _Net(root.findtext("capability/interface", ""), None if link is None else link.get("state"))


def _address(root: ET.Element) -> str | None:
    capability = root.find("capability[@type='pci']")
    if capability is None:
        return None
    domain, bus, slot, function = (int(capability.findtext(p, "0"), 0) for p in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _kind(root: ET.Element) -> str:
    ids = [root.find(f"capability/{name}") for name in ("vendor", "product")]
    return ":".join("?" if each is None else each.get("id", "?").replace("0x", "") for each in ids)


def _driver(root: ET.Element) -> str | None:
    return root.findtext("driver/name")


def users(definitions: t.Mapping[str, t.Sequence[str]]) -> dict[str, str]:
    """PCI address -> domain. ``definitions``: the definitions of each domain, live and persistent."""
    found: dict[str, str] = {}
    for name, texts in definitions.items():
        for text in texts:
            for device in passed_through(parse_xml(text)):
                address = host_address(device)
                if address is not None:
                    found.setdefault(address, name)
    return found


def given_out(networks: t.Iterable[str]) -> dict[str, str]:
    """PCI address -> network, from the XML of active networks. Taken by other means, it would fail there: a network
    does not know which of its functions are in use elsewhere (networkAllocatePort)."""
    roots = [parse_xml(text) for text in networks]
    return {
        address: root.findtext("name", "")
        for root in roots
        for element in root.findall("forward[@mode='hostdev']/address")
        if (address := address_text(element)) is not None
    }


class Wanted(t.NamedTuple):
    """What a NIC needs: ``kind`` and ``port``, None for any; ``managed``: libvirt takes it from its driver itself."""

    kind: str | None
    port: str | None
    managed: bool


_OBSTACLES: tuple[tuple[t.Callable[[Function, Wanted], t.Any], str], ...] = (
    (lambda each, wanted: wanted.port not in (None, each.port), "it is of port {each.port}, not {wanted.port}"),
    (lambda each, wanted: wanted.kind not in (None, each.kind), "it is a {each.kind}, not a {wanted.kind}"),
    (lambda each, _wanted: each.user, "domain {each.user} has it"),
    (lambda each, _wanted: each.network, "network {each.network} gives it out"),
    (lambda each, _wanted: each.net, "the host itself uses it as {each.net}"),
    (lambda each, _wanted: each.link == _DOWN, "its port {each.port} has no link"),
    (lambda each, _wanted: each.others, "drivers of the host have {each.others[0]} of its IOMMU group"),
    (lambda each, wanted: not wanted.managed and each.driver != _VFIO, "its driver is {each.driver}, not vfio-pci"),
)


def obstacle(each: Function, wanted: Wanted) -> str | None:
    """Why this function cannot be had; None: it can."""
    for is_so, text in _OBSTACLES:
        if is_so(each, wanted):
            return text.format(each=each, wanted=wanted)
    return None


def usable(found: t.Sequence[Function], wanted: Wanted, first: str | None = None) -> list[str]:
    """Addresses of what can be had, ``first`` before the others."""
    free = [each.address for each in found if obstacle(each, wanted) is None]
    return sorted(free, key=lambda address: address != first)


def why_none(found: t.Sequence[Function], wanted: Wanted) -> str:
    """What stands against each function, for a message."""
    said = [f"{each.address}: {obstacle(each, wanted)}" for each in found]
    return "; ".join(said) or "it has no virtual functions"


def wanted_of(nic: Nic, port: str | None) -> Wanted:
    return Wanted(nic.kind, port, nic.managed)
