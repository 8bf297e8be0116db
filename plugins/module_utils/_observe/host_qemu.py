# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: what its QEMU can do, by libvirt's capabilities, and what runs of it.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t
import xml.etree.ElementTree as ET

from . import area, files

RUN = "/run/libvirt/qemu"
_DELETED = " (deleted)"


def deprecated_machines(capabilities: ET.Element) -> dict[str, list[str]]:
    """Architecture -> machine types that this QEMU calls deprecated, sorted."""
    found: dict[str, list[str]] = {}
    for arch in capabilities.findall("guest/arch"):
        listed = [*arch.findall("machine"), *arch.findall("domain/machine")]
        names = {machine.text or "" for machine in listed if machine.get("deprecated") == "yes"}
        found[arch.get("name", "")] = sorted(names | set(found.get(arch.get("name", ""), ())))
    return found


def replaced(run: str = RUN, proc: str = "/proc") -> list[str]:
    """Names of running domains whose QEMU is no longer the file that is at its path. Raises OSError."""
    return sorted(name for name, pid in _running(run) if _is_replaced(os.path.join(proc, pid, "exe")))


def _running(run: str) -> t.Iterator[tuple[str, str]]:
    for entry in os.listdir(run) if os.path.isdir(run) else ():
        name, suffix = os.path.splitext(entry)
        # libvirt writes the domain's process number beside its status, <name>.xml.
        if suffix == ".pid" and os.path.exists(os.path.join(run, f"{name}.xml")):
            yield name, files.read(os.path.join(run, entry)).strip()


def _is_replaced(exe: str) -> bool:
    try:
        path, running = os.readlink(exe), os.stat(exe)
    except FileNotFoundError:
        return False  # it has ended meanwhile
    if not path.endswith(_DELETED):
        return False
    try:
        there = os.stat(path[: -len(_DELETED)])
    except FileNotFoundError:
        return True
    return (there.st_dev, there.st_ino) != (running.st_dev, running.st_ino)


FACTS: area.Facts = {
    "deprecated_machines": area.Fact(
        lambda host: deprecated_machines(host.capabilities()),
        "Architecture: machine types that QEMU calls deprecated",
        by="libvirt",
    ),
    "replaced": area.Fact(
        lambda _host: replaced(), "Names of running domains whose QEMU binary was replaced since they started"
    ),
}
