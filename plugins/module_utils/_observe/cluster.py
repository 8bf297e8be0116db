# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which domains Pacemaker starts and stops, by the cluster's configuration on this host.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t
import xml.etree.ElementTree as ET

from . import area, files
from .xml import parse

_FOLDER = "/var/lib/pacemaker/cib"
_OFF = ("false", "no", "off", "0", "n")
_ON = ("true", "yes", "on", "1", "y")


def pacemaker(_host: area.Host) -> list[dict[str, t.Any]]:
    """Raises OSError where there is a configuration that may not be read."""
    if not os.path.isdir(os.path.dirname(_FOLDER)):
        return []
    try:
        text = files.read(f"{_FOLDER}/cib.xml")
    except FileNotFoundError:
        return []
    return virtual_domains(text, _domain_name)


def virtual_domains(cib: str, name_of: t.Callable[[str], str]) -> list[dict[str, t.Any]]:
    """The VirtualDomain resources of a CIB; ``name_of`` says whose definition is in the file that one names."""
    root = parse(cib)
    whole = _value(root.findall("configuration/crm_config/cluster_property_set"), "maintenance-mode")
    found: list[dict[str, t.Any]] = []
    resources = root.find("configuration/resources")
    if resources is not None:
        _collect(resources, str(whole).lower() not in _ON, name_of, found)
    return found


def _collect(
    element: ET.Element, managed: bool, name_of: t.Callable[[str], str], found: list[dict[str, t.Any]]
) -> None:
    """Goes down through groups and clones: what is set for one of these holds for what is in it."""
    for child in element:
        meta = child.findall("meta_attributes")
        kept = (
            managed
            and str(_value(meta, "is-managed")).lower() not in _OFF
            and str(_value(meta, "maintenance")).lower() not in _ON
        )
        if child.tag == "primitive" and child.get("type") == "VirtualDomain":
            path = _value(child.findall("instance_attributes"), "config")
            if path:
                found.append({"resource": child.get("id", ""), "domain": name_of(path), "managed": kept})
        elif child.tag in ("group", "clone", "master"):
            _collect(child, kept, name_of, found)


def _value(sets: t.Iterable[ET.Element], name: str) -> str | None:
    pairs = (pair for entry in sets for pair in entry.findall("nvpair"))
    return next((pair.get("value") for pair in pairs if pair.get("name") == name), None)


def _domain_name(path: str) -> str:
    """Of the definition in this file; by the file's own name, as libvirt calls its files, where it cannot be read."""
    try:
        name = parse(files.read(path)).findtext("name")
    except (OSError, ValueError):
        name = None
    return name or os.path.splitext(os.path.basename(path))[0]
