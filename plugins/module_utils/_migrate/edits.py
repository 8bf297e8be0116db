# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan's edits, applied to a definition that was read freshly, with its secrets, at the moment of use. Pure.

Only what the host provides is changed; everything else is the guest's ABI, which libvirt compares
(qemuDomainCheckABIStability). What libvirt's XML calls the same thing twice is changed in both places.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t
import xml.etree.ElementTree as ET

from .._libvirt import libvirt
from .._model.api import Edit, LivemigError
from .._observe.api import parse_xml

# kind -> (path of elements, attribute; "" is their text). The console's address stands in <graphics> and in <listen>.
_PLACES: t.Mapping[str, t.Sequence[tuple[str, str]]] = {
    "bridge": (("devices/interface[@type='bridge']/source", "bridge"),),
    "network": (("devices/interface[@type='network']/source", "network"),),
    "parent": (("devices/interface[@type='direct']/source", "dev"),),
    "emulator": (("devices/emulator", ""),),
    "listen": (("devices/graphics", "listen"), ("devices/graphics/listen", "address")),
    "cpuset": (
        ("cputune/vcpupin", "cpuset"),
        ("cputune/emulatorpin", "cpuset"),
        ("cputune/iothreadpin", "cpuset"),
        ("vcpu", "cpuset"),
    ),
}
_MEDIA = ("cdrom", "floppy")
# What describes the medium that goes, and libvirt's record of the port on the old bridge or network.
_OF_MEDIUM = ("source", "backingStore")
_OF_NETWORK = ("portid", "bridge")


def definitions(domain: t.Any, edits: t.Sequence[Edit]) -> dict[str, str]:
    """``destination_xml`` and, of a persistent domain, ``persistent_xml`` as migrateToURI3 takes them.

    Empty where nothing is to be changed: then libvirt takes its own. Both hold secrets, and must be shown to nobody.
    Raises LivemigError where the running definition no longer has what is to be changed.
    """
    if not edits:
        return {}
    live = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    found = {"destination_xml": edited(domain.XMLDesc(live), edits, domain.name())}
    if domain.isPersistent():
        # What is not in it, a medium that was inserted since the start for one, needs no change there.
        inactive = domain.XMLDesc(live | libvirt.VIR_DOMAIN_XML_INACTIVE)
        found["persistent_xml"] = edited(inactive, edits, domain.name(), strict=False)
    return found


def edited(xml: str, edits: t.Sequence[Edit], name: str, strict: bool = True) -> str:
    """The document with all edits applied. Raises LivemigError where one finds no place and ``strict`` is on."""
    root = parse_xml(xml)
    for edit in edits:
        places = _eject(root, edit) if edit["kind"] == "medium" else _replace(root, edit)
        if strict and not places:
            raise LivemigError(
                f"Definition of domain {name}",
                value=f"it has no {edit['kind']} {edit['old']} any more",
                expected="what it had when the plan was made",
                remedy="make a new plan: run the evacuation again",
            )
    return ET.tostring(root, encoding="unicode")


def _replace(root: ET.Element, edit: Edit) -> int:
    places = 0
    for path, attribute in _PLACES[edit["kind"]]:
        for element in root.findall(path):
            if edit["old"] not in _values(element, attribute):
                continue
            places += 1
            _set(element, attribute, edit["new"])
            if edit["kind"] == "network":
                for known in _OF_NETWORK:
                    element.attrib.pop(known, None)
    return places


def _values(element: ET.Element, attribute: str) -> t.Sequence[str | None]:
    """What stands there; of a path in a text, where it leads too, since a snapshot names that."""
    if attribute:
        return (element.get(attribute),)
    path = (element.text or "").strip()
    return path, os.path.realpath(path)


def _set(element: ET.Element, attribute: str, new: str | None) -> None:
    if not attribute:
        element.text = new
    elif new is None:
        element.attrib.pop(attribute, None)
    else:
        element.set(attribute, new)


def _eject(root: ET.Element, edit: Edit) -> int:
    places = 0
    for disk in root.findall("devices/disk"):
        source = disk.find("source")
        if disk.get("device") not in _MEDIA or source is None or edit["old"] not in source.attrib.values():
            continue
        places += 1
        for name in _OF_MEDIUM:
            for element in disk.findall(name):
                disk.remove(element)
    return places
