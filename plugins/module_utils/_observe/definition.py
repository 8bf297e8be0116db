# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a domain's XML beside disks, NICs and hostdevs: a table, from which docs/facts.md is made too.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from . import qemu_arguments

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"


@dataclass(frozen=True)
class Family:
    """A kind of element and what is read of each: ``columns`` maps a fact to its place below the element.

    A place is ``@attribute``, ``child/@attribute``, ``child`` (its text), ``child?`` (whether it is there), ``.`` (the
    element's own text) or ``tag()``. What is not in the document is None, or False for ``?``.
    """

    path: str
    about: str
    columns: t.Mapping[str, str]


def _char(path: str, about: str) -> Family:
    places = {
        "type": "@type",
        "path": "source/@path",
        "mode": "source/@mode",
        "bind_host": "source[@mode='bind']/@host",
        "bind_service": "source[@mode='bind']/@service",
        "connect_host": "source[@mode='connect']/@host",
        "connect_service": "source[@mode='connect']/@service",
        "reconnect": "source[@mode='connect']/reconnect/@enabled",
        "tls": "source/@tls",
        "log": "log/@file",
        "target_type": "target/@type",
        "target_name": "target/@name",
        "target_state": "target/@state",
    }
    return Family(path, about, places)


DEVICES: t.Mapping[str, Family] = {
    "audios": Family(
        "devices/audio", "Audio backends", {"type": "@type", "id": "@id", "path": "@path", "server": "@serverName"}
    ),
    "channels": _char("devices/channel", "Channels between guest and host"),
    "consoles": _char("devices/console", "Consoles"),
    "controllers": Family(
        "devices/controller",
        "Controllers",
        {"type": "@type", "model": "@model", "target": "target/@index"},
    ),
    "cryptos": Family("devices/crypto", "Cryptographic devices", {"model": "@model", "backend": "backend/@model"}),
    "filesystems": Family(
        "devices/filesystem",
        "Folders of the host in the guest",
        {
            "type": "@type",
            "driver": "driver/@type",
            "source": "source/@dir",
            "socket": "source/@socket",
            "target": "target/@dir",
            "readonly": "readonly?",
        },
    ),
    "graphics": Family(
        "devices/graphics",
        "Graphical consoles",
        {
            "type": "@type",
            "port": "@port",
            "autoport": "@autoport",
            "tls_port": "@tlsPort",
            "websocket": "@websocket",
            "listen": "@listen",
            "listen_type": "listen/@type",
            "listen_address": "listen/@address",
            "listen_network": "listen/@network",
            "socket": "listen/@socket",
            "own_socket": "@socket",
            "rendernode": "gl/@rendernode",
        },
    ),
    "inputs": Family(
        "devices/input",
        "Input devices",
        {"type": "@type", "bus": "@bus", "model": "@model", "evdev": "source/@evdev", "dev": "source/@dev"},
    ),
    "iommus": Family("devices/iommu", "The guest's IOMMU", {"model": "@model"}),
    "leases": Family(
        "devices/lease",
        "Leases of a lock manager",
        {"key": "key", "path": "target/@path"},
    ),
    "memories": Family(
        "devices/memory",
        "Memory devices: DIMM, NVDIMM, virtio-mem, virtio-pmem, SGX",
        {
            "model": "@model",
            "access": "@access",
            "size": "target/size",
            "node": "target/node",
            "requested": "target/requested",
            "current": "target/current",
            "path": "source/path",
            "nodemask": "source/nodemask",
            "address": "address/@type",
            "slot": "address/@slot",
            "base": "address/@base",
        },
    ),
    "panics": Family("devices/panic", "Panic devices", {"model": "@model"}),
    "parallels": _char("devices/parallel", "Parallel ports"),
    "redirdevs": _char("devices/redirdev", "USB redirection"),
    "rngs": Family(
        "devices/rng",
        "Random number generators",
        {
            "model": "@model",
            "backend": "backend/@model",
            "source": "backend",
            "type": "backend/@type",
            "connect_host": "backend/source[@mode='connect']/@host",
            "connect_service": "backend/source[@mode='connect']/@service",
            "reconnect": "backend/source[@mode='connect']/reconnect/@enabled",
        },
    ),
    "serials": _char("devices/serial", "Serial ports"),
    "shmems": Family(
        "devices/shmem",
        "Shared memory between guests",
        {"shm": "@name", "role": "@role", "model": "model/@type", "size": "size", "server": "server/@path"},
    ),
    "smartcards": Family(
        "devices/smartcard",
        "Smart cards",
        {**_char("", "").columns, "backend": "@mode"},
    ),
    "sounds": Family("devices/sound", "Sound cards", {"model": "@model"}),
    "tpms": Family(
        "devices/tpm",
        "TPM",
        {
            "model": "@model",
            "backend": "backend/@type",
            "version": "backend/@version",
            "device": "backend/device/@path",
            "secret": "backend/encryption/@secret",
            "source_path": "backend/source/@path",
        },
    ),
    "videos": Family(
        "devices/video",
        "Video cards",
        {
            "model": "model/@type",
            "accel3d": "model/acceleration/@accel3d",
            "rendernode": "model/acceleration/@rendernode",
            "driver": "driver/@name",
        },
    ),
    "vsocks": Family("devices/vsock", "vsock", {"model": "@model", "cid": "cid/@address", "auto": "cid/@auto"}),
    "watchdogs": Family("devices/watchdog", "Watchdogs", {"model": "@model", "action": "@action"}),
}
"""Fact below ``devices`` -> the family. Each entry has ``name`` too: libvirt's alias, or tag and number."""

LISTS: t.Mapping[str, Family] = {
    "cachetunes": Family("cputune/cachetune", "Cache allocation", {"vcpus": "@vcpus"}),
    "cpu_features": Family("cpu/feature", "CPU features", {"feature": "@name", "policy": "@policy"}),
    "emulatorscheds": Family("cputune/emulatorsched", "Scheduler of the emulator", {"scheduler": "@scheduler"}),
    "fwcfg_entries": Family("sysinfo/entry", "Blobs for the guest's firmware", {"entry": "@name", "file": "@file"}),
    "hugepages": Family(
        "memoryBacking/hugepages/page", "Huge pages", {"size": "@size", "unit": "@unit", "nodeset": "@nodeset"}
    ),
    "hyperv": Family("features/hyperv/*", "Hyper-V enlightenments", {"feature": "tag()", "state": "@state"}),
    "iothreadpins": Family(
        "cputune/iothreadpin", "Pinning of I/O threads", {"iothread": "@iothread", "cpuset": "@cpuset"}
    ),
    "iothreadscheds": Family("cputune/iothreadsched", "Scheduler of I/O threads", {"scheduler": "@scheduler"}),
    "memnodes": Family(
        "numatune/memnode",
        "Host nodes of the guest's NUMA cells",
        {"cellid": "@cellid", "mode": "@mode", "nodeset": "@nodeset"},
    ),
    "memorytunes": Family("cputune/memorytune", "Memory bandwidth allocation", {"vcpus": "@vcpus"}),
    "numa_cells": Family(
        "cpu/numa/cell",
        "The guest's NUMA cells",
        {"id": "@id", "memory": "@memory", "unit": "@unit", "access": "@memAccess"},
    ),
    "perf_events": Family("perf/event", "Perf events", {"event": "@name", "enabled": "@enabled"}),
    "qemu_capabilities": Family(f"{QEMU}capabilities/*", "Changed QEMU capabilities", {"capability": "@capability"}),
    "qemu_overrides": Family(f"{QEMU}override/{QEMU}device", "Overridden device properties", {"alias": "@alias"}),
    "seclabels": Family(
        "seclabel",
        "Security labels",
        {
            "type": "@type",
            "model": "@model",
            "relabel": "@relabel",
            "label": "label",
        },
    ),
    "secrets": Family(
        "devices//secret",
        "Secrets that devices refer to, never their values",
        {"type": "@type", "uuid": "@uuid", "usage": "@usage"},
    ),
    "timers": Family(
        "clock/timer",
        "Timers",
        {"timer": "@name", "frequency": "@frequency"},
    ),
    "vcpupins": Family("cputune/vcpupin", "Pinning of vCPUs", {"vcpu": "@vcpu", "cpuset": "@cpuset"}),
    "vcpuscheds": Family("cputune/vcpusched", "Scheduler of vCPUs", {"scheduler": "@scheduler", "vcpus": "@vcpus"}),
}
"""Fact below ``lists`` -> elements that are no devices. Each entry has ``name`` too: tag and number."""

SETTINGS: t.Mapping[str, Family] = {
    "clock": Family(
        "clock",
        "Clock",
        {
            "offset": "@offset",
            "timezone": "@timezone",
        },
    ),
    "cpu": Family(
        "cpu",
        "The guest's CPU",
        {
            "mode": "@mode",
            "migratable": "@migratable",
            "model": "model",
            "maxphysaddr_mode": "maxphysaddr/@mode",
            "maxphysaddr_bits": "maxphysaddr/@bits",
            "maxphysaddr_limit": "maxphysaddr/@limit",
        },
    ),
    "cputune": Family(
        "cputune",
        "CPU tuning",
        {
            "shares": "shares",
            "emulatorpin": "emulatorpin/@cpuset",
        },
    ),
    "features": Family(
        "features",
        "Features of the hypervisor",
        {
            "pmu": "pmu/@state",
            "hyperv_mode": "hyperv/@mode",
        },
    ),
    "launch_security": Family("launchSecurity", "Memory encryption", {"type": "@type", "policy": "policy"}),
    "memory": Family(
        ".",
        "Sizes of memory",
        {
            "memory": "memory",
            "unit": "memory/@unit",
            "current": "currentMemory",
            "maximum": "maxMemory",
        },
    ),
    "memory_backing": Family(
        "memoryBacking",
        "Where the guest's memory comes from",
        {
            "hugepages": "hugepages?",
            "locked": "locked?",
            "source": "source/@type",
            "access": "access/@mode",
            "allocation": "allocation/@mode",
            "threads": "allocation/@threads",
        },
    ),
    "memtune": Family(
        "memtune",
        "Limits of memory",
        {
            "hard_limit": "hard_limit",
            "hard_limit_unit": "hard_limit/@unit",
        },
    ),
    "numatune": Family(
        "numatune",
        "Host nodes of the guest's memory",
        {"mode": "memory/@mode", "nodeset": "memory/@nodeset", "placement": "memory/@placement"},
    ),
    "os": Family(
        "os",
        "Firmware and boot",
        {
            "firmware": "@firmware",
            "loader": "loader",
            "loader_format": "loader/@format",
            "nvram": "nvram",
            "nvram_format": "nvram/@format",
            "nvram_type": "nvram/@type",
            "nvram_source": "nvram/source/@file",
            "nvram_template": "nvram/@template",
            "nvram_template_format": "nvram/@templateFormat",
            "kernel": "kernel",
            "initrd": "initrd",
            "dtb": "dtb",
            "acpi_table": "acpi/table",
        },
    ),
    "resource": Family(
        "resource",
        "cgroup",
        {
            "partition": "partition",
        },
    ),
    "vcpu": Family(
        "vcpu", "vCPUs", {"count": ".", "current": "@current", "placement": "@placement", "cpuset": "@cpuset"}
    ),
}
"""Fact below ``settings`` -> the first such element; all None or False where the document has none."""


def read(root: ET.Element) -> dict[str, t.Any]:
    """The facts ``devices``, ``lists``, ``settings``, and those that need more than a place."""
    lists: dict[str, t.Any] = {fact: _entries(root, family) for fact, family in LISTS.items()}
    return {
        "devices": {fact: _entries(root, family) for fact, family in DEVICES.items()},
        "lists": {**lists, **_words(root)},
        "settings": {fact: _columns(_first(root, family.path), family) for fact, family in SETTINGS.items()},
    }


def _first(root: ET.Element, path: str) -> ET.Element | None:
    return root if path == "." else root.find(path)


def _entries(root: ET.Element, family: Family) -> list[dict[str, t.Any]]:
    found = []
    for number, element in enumerate(root.findall(family.path), start=1):
        alias = element.find("alias")
        name = alias.get("name") if alias is not None else None
        local = element.tag.rpartition("}")[2]
        found.append({"name": name or f"{local}{number}", **_columns(element, family)})
    return found


def _columns(element: ET.Element | None, family: Family) -> dict[str, t.Any]:
    return {fact: _value(element, place) for fact, place in family.columns.items()}


def _value(element: ET.Element | None, place: str) -> str | bool | None:
    if place.endswith("?"):
        return element is not None and element.find(place[:-1]) is not None
    if element is None:
        return None
    if place == "tag()":
        return element.tag.rpartition("}")[2]
    path, at, attribute = place.rpartition("@")
    if at:
        owner = element.find(path.rstrip("/")) if path else element
        return None if owner is None else owner.get(attribute)
    text = element.text if place == "." else element.findtext(place)
    return (text.strip() or None) if text else None


WORDS = ("metadata", *qemu_arguments.WORDS, "qemu_environment", "roms")
"""Facts below ``lists`` that are plain words."""


def _words(root: ET.Element) -> dict[str, list[str]]:
    """Lists of plain words: what others have put into the definition. Values, which may be secret, are left out."""
    arguments = [argument.get("value", "") for argument in root.findall(f"{QEMU}commandline/{QEMU}arg")]
    metadata = root.find("metadata")
    return {
        **qemu_arguments.read(arguments),
        "qemu_environment": [entry.get("name", "") for entry in root.findall(f"{QEMU}commandline/{QEMU}env")],
        "metadata": (
            sorted({child.tag[1:].partition("}")[0] for child in metadata if child.tag[:1] == "{"})
            if metadata is not None
            else []
        ),
        "roms": [rom.get("file", "") for rom in root.findall("devices/*/rom") if rom.get("file")],
    }


_DISK = Family(
    "",
    "Of each disk",
    {
        "bus": "target/@bus",
        "model": "@model",
        "snapshot": "@snapshot",
        "io": "driver/@io",
        "error_policy": "driver/@error_policy",
        "iothread": "driver/@iothread",
        "source_mode": "source/@mode",
        "pool": "source/@pool",
        "volume": "source/@volume",
        "fdgroup": "source/@fdgroup",
        "rbd_config": "source/config/@file",
        "auth_type": "source/auth/secret/@type",
        "encryption": "source/encryption/@format",
        "reservations": "source/reservations/@managed",
        "reservations_path": "source/reservations/source/@path",
        "vhost_path": "source/@path",
        "vdpa": "source/@dev",
        "port": "source/host/@port",
        "socket": "source/host/@socket",
        "iotune": "iotune?",
        "throttle_groups": "throttlefilters?",
    },
)

_INTERFACE = Family(
    "",
    "Of each NIC",
    {
        "model": "model/@type",
        "driver": "driver/@name",
        "mtu": "mtu/@size",
        "network": "source/@network",
        "portgroup": "source/@portgroup",
        "bridge": "source/@bridge",
        "dev": "source/@dev",
        "source_mode": "source/@mode",
        "source_path": "source/@path",
        "address": "source/@address",
        "port": "source/@port",
        "filter": "filterref/@filter",
        "managed": "target/@managed",
        "script": "script/@path",
        "downscript": "downscript/@path",
        "backend": "backend/@type",
        "vlan": "vlan/tag/@id",
        "floor": "bandwidth/inbound/@floor",
        "isolated": "port/@isolated",
        "teaming_persistent": "teaming/@persistent",
        "alias": "alias/@name",
        "rom": "rom/@file",
        "rom_bar": "rom/@bar",
        "rom_enabled": "rom/@enabled",
    },
)

_HOSTDEV = Family(
    "",
    "Of each passed-through device",
    {
        "managed": "@managed",
        "model": "@model",
        "driver": "driver/@name",
        "domain": "source/address/@domain",
        "bus": "source/address/@bus",
        "slot": "source/address/@slot",
        "function": "source/address/@function",
        "device": "source/address/@device",
        "uuid": "source/address/@uuid",
        "vendor": "source/vendor/@id",
        "product": "source/product/@id",
        "guest_bus": "address/@bus",
        "vlan": "vlan/tag/@id",
        "startup_policy": "source/@startupPolicy",
        "missing": "source/@missing",
        "protocol": "source/@protocol",
        "iscsi_name": "source/@name",
        "char": "source/char",
        "block": "source/block",
        "interface": "source/interface",
        "network": "source/@network",
        "teaming_persistent": "teaming/@persistent",
        "alias": "alias/@name",
        "rom": "rom/@file",
    },
)

MORE: t.Mapping[str, Family] = {"disks": _DISK, "interfaces": _INTERFACE, "hostdevs": _HOSTDEV}
"""Fact -> what each of its entries has under ``more``."""


def more(element: ET.Element, fact: str) -> dict[str, t.Any]:
    return _columns(element, MORE[fact])
