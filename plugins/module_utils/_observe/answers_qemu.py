# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about QEMU and firmware.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from .._model.api import Answer, Question
from . import area
from .xml import parse


def capabilities(host: area.Host, question: Question) -> Answer:
    """What this hypervisor offers to guests of one emulator, architecture, machine type and virt type.

    Asked once for each such combination, however many domains have it; the shape is that of ``read_capabilities``.
    """
    asked = (question["emulator"], question["arch"], question["machine"], question["virt_type"])
    return read_capabilities(parse(host.connection.getDomainCapabilities(*asked, 0)))


def read_capabilities(root: ET.Element) -> Answer:
    """libvirt's domain capabilities without what no check reads.

    ``vcpu_max``: of the machine type, or None. ``cpu_modes``: names of supported modes. ``cpu_models``: name of each
    named model -> yes, no or unknown, whether all its features are there. ``devices``: kind (disk, video, tpm...) ->
    {"supported": bool, enum: [values]}. ``features``: the same for features of the hypervisor (hyperv, sev...).
    ``os``: the same for firmware and its loader, the paths of firmware among it as ``loader.values``. ``iothreads``:
    whether they are supported.
    """
    vcpu = root.find("vcpu")
    iothreads = root.find("iothreads")
    return {
        "machine": root.findtext("machine"),
        "vcpu_max": None if vcpu is None else int(vcpu.get("max", "0")) or None,
        "iothreads": _supported(iothreads),
        "cpu_modes": [mode.get("name", "") for mode in root.findall("cpu/mode") if _supported(mode)],
        "cpu_models": {
            model.text or "": model.get("usable", "unknown") for model in root.findall("cpu/mode[@name='custom']/model")
        },
        "os": {**_offers(root.find("os")), "loader": _offers(root.find("os/loader"))},
        "devices": {device.tag: _offers(device) for device in root.findall("devices/*")},
        "features": {feature.tag: _offers(feature) for feature in root.findall("features/*")},
    }


def _supported(element: ET.Element | None) -> bool:
    return element is not None and element.get("supported") == "yes"


def _offers(element: ET.Element | None) -> dict[str, t.Any]:
    """Whether it is supported, the values of each enum, and its own values where it has some."""
    if element is None:
        return {"supported": False}
    enums = {enum.get("name", ""): _values(enum) for enum in element.findall("enum")}
    own = {"values": _values(element)} if element.find("value") is not None else {}
    return {"supported": _supported(element), **own, **enums}


def _values(element: ET.Element) -> list[str]:
    return [value.text or "" for value in element.findall("value")]


ASKS: t.Mapping[str, area.Ask] = {"capabilities": capabilities}
