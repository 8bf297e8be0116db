# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt's networks and network filters as their host defines them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import hashlib
import typing as t
import xml.etree.ElementTree as ET

from .._libvirt import libvirt
from .area import Host
from .host_nodedevs import address_of
from .xml import parse


def networks(host: Host) -> dict[str, dict[str, t.Any]]:
    """Every network by name; see ``network``. ``floor_used_kib``: what is promised to guests already."""
    found = {}
    for entry in host.connection.listAllNetworks():
        facts = network(parse(entry.XMLDesc(0)))
        if facts["functions"] is not None:
            facts["functions"]["active"] = bool(entry.isActive())
        used = bool(facts["inbound_kib"] and entry.isActive())
        facts["floor_used_kib"] = sum(map(_floor, entry.listAllPorts())) if used else 0
        found[entry.name()] = facts
    return found


def network(root: ET.Element) -> dict[str, t.Any]:
    """``forward``: libvirt's mode, or isolated; ``devs``: uplinks it names; ``addresses``: the host's own in it."""
    forward, bridge = root.find("forward"), root.find("bridge")
    return {
        "forward": "isolated" if forward is None else forward.get("mode", "nat"),
        "devs": sorted(_devs(forward)),
        "bridge": None if bridge is None else bridge.get("name"),
        "mtu": _number(root.find("mtu"), "size"),
        "inbound_kib": _number(root.find("bandwidth/inbound"), "average"),
        "addresses": [ip.get("address", "") for ip in root.findall("ip")],
        "functions": _functions(root, forward),
        "reservations": {
            entry.get("mac", "").lower(): entry.get("ip", "") for entry in root.findall("ip/dhcp/host[@mac]")
        },
        "portgroups": {group.get("name", ""): _segment(group) for group in root.findall("portgroup")},
        **_segment(root),
    }


def _functions(root: ET.Element, forward: ET.Element | None) -> dict[str, t.Any] | None:
    """Of a network of functions: how many it has, how many of them are given out, and their addresses. None of all
    others."""
    if forward is None or forward.get("mode") != "hostdev":
        return None
    found = [address_of(each.attrib) for each in forward.findall("address")]
    used = int(root.get("connections", "0"))
    return {"total": len(found), "used": used, "addresses": [each for each in found if each is not None]}


def _segment(element: ET.Element) -> dict[str, t.Any]:
    port = element.find("virtualport")
    return {
        "vlans": sorted(int(tag.get("id", "0")) for tag in element.findall("vlan/tag")),
        "virtualport": None if port is None else port.get("type"),
    }


def _devs(forward: ET.Element | None) -> set[str]:
    if forward is None:
        return set()
    found = {forward.get("dev", ""), *(entry.get("dev", "") for entry in forward.findall("interface"))}
    return found - {""}


def _number(element: ET.Element | None, name: str) -> int | None:
    text = None if element is None else element.get(name)
    return None if text is None else int(text)


def _floor(port: t.Any) -> int:
    return _number(parse(port.XMLDesc(0)).find("bandwidth/inbound"), "floor") or 0


def filters(host: Host) -> dict[str, str | None]:
    """Every network filter by name, with the digest of its rules where a guest here uses it."""
    known = [entry.name() for entry in host.connection.listAllNWFilters()]
    used = {binding.filterName() for binding in host.connection.listAllNWFilterBindings()}
    return {name: filter_digest(host, name) if name in used else None for name in sorted(known)}


def filter_digest(host: Host, name: str) -> str | None:
    """The digest of a filter's rules and of all that it includes, the same on hosts that define it alike."""
    texts: dict[str, str] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in texts:
            continue
        try:
            root = parse(host.connection.nwfilterLookupByName(current).XMLDesc(0))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_NWFILTER or current != name:
                raise
            return None
        for uuid in root.findall("uuid"):
            root.remove(uuid)
        texts[current] = ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)
        waiting += [reference.get("filter", "") for reference in root.iter("filterref")]
    return hashlib.sha256("\n".join(texts[key] for key in sorted(texts)).encode()).hexdigest()[:16]
