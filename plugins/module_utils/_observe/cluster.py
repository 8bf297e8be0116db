# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which domains Pacemaker starts and stops, by the cluster's configuration on this host.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import glob
import os
import typing as t
import xml.etree.ElementTree as ET

from . import area, files
from .xml import parse

_FOLDER = "/var/lib/pacemaker/cib"
_AUTHKEY = "/etc/pacemaker/authkey"
_DAEMONS = "pacemaker"
"""pacemakerd, or pacemaker-remoted (pacemaker_remoted before 2.0)."""
_OFF = ("false", "no", "off", "0", "n")
_ON = ("true", "yes", "on", "1", "y")
_NO_TEMPLATE = ET.Element("template")


def pacemaker(_host: area.Host) -> list[dict[str, t.Any]]:
    """Raises OSError where there is a configuration that may not be read, or that this node does not have."""
    try:
        text = files.read(f"{_FOLDER}/cib.xml")
    except FileNotFoundError:
        sign = _sign_of_a_node()
        if sign is not None:
            raise OSError(
                f"this host belongs to a Pacemaker cluster ({sign}), and there is no {_FOLDER}/cib.xml that tells "
                "which guests the cluster starts and stops"
            ) from None
        return []
    return virtual_domains(text, _domain_name)


def _sign_of_a_node() -> str | None:
    """What a host without a configuration of the cluster has where it is in one all the same, as remote nodes are.

    None: Pacemaker is not installed, or was never configured. Raises OSError where that cannot be seen.
    """
    with contextlib.suppress(FileNotFoundError):
        left = sorted(os.listdir(_FOLDER))
        if left:
            return f"{left[0]} in {_FOLDER}"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.stat(_AUTHKEY)
        return _AUTHKEY
    running = sorted(name for name in _commands() if name.startswith(_DAEMONS))
    return f"{running[0]} runs" if running else None


def _commands() -> t.Iterator[str]:
    """Of all processes of this host; the kernel cuts a name off after 15 letters."""
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield files.read(path).strip()


def virtual_domains(cib: str, name_of: t.Callable[[str], str]) -> list[dict[str, t.Any]]:
    """The VirtualDomain resources of a CIB; ``name_of`` says whose definition is in the file that one names."""
    root = parse(cib)
    whole = _value(root.findall("configuration/crm_config/cluster_property_set"), "maintenance-mode")
    found: list[dict[str, t.Any]] = []
    resources = root.find("configuration/resources")
    if resources is not None:
        templates = {template.get("id", ""): template for template in resources.findall("template")}
        _collect(resources, str(whole).lower() not in _ON, templates, name_of, found)
    return found


def _collect(
    element: ET.Element,
    managed: bool,
    templates: t.Mapping[str, ET.Element],
    name_of: t.Callable[[str], str],
    found: list[dict[str, t.Any]],
) -> None:
    """Goes down through groups and clones: what is set for one of these holds for what is in it.

    A primitive of a template has no type of its own, and what it does not set itself is what the template sets.
    """
    for child in element:
        template = templates.get(child.get("template", ""), _NO_TEMPLATE)
        meta = [*child.findall("meta_attributes"), *template.findall("meta_attributes")]
        kept = (
            managed
            and str(_value(meta, "is-managed")).lower() not in _OFF
            and str(_value(meta, "maintenance")).lower() not in _ON
        )
        if child.tag == "primitive" and child.get("type", template.get("type")) == "VirtualDomain":
            sets = [*child.findall("instance_attributes"), *template.findall("instance_attributes")]
            path = _value(sets, "config")
            if path:
                found.append({"resource": child.get("id", ""), "domain": name_of(path), "managed": kept})
        elif child.tag in ("group", "clone", "master"):
            _collect(child, kept, templates, name_of, found)


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
