# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One hypervisor's snapshot, in a few bulk calls on one connection.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import os
import time
import typing as t
import xml.etree.ElementTree as ET

from .._libvirt import Connection, error_code, libvirt
from .._model.api import SCHEMA, Certificate, Emulator, HostSnapshot, Network
from .._model.types import HostMemory, KnownDomain, MigrationPorts
from . import cgroups, files, host_ram, pki
from .area import Fact, Host
from .areas import AREAS
from .collector import Collector
from .xml import parse

# qemu.conf's defaults, from libvirt's src/qemu/qemu.conf.in
_FIRST_PORT, _LAST_PORT = 49152, 49215
_NOT_NOW = "it is not read right before a start, when a host is asked through libvirt from another one"


def host_snapshot(connection: Connection, name: str) -> HostSnapshot:
    """The facts of the host behind ``connection``, a local one; ``name`` is what the inventory calls it."""
    collector = Collector()
    collector.merge({"schema": SCHEMA, "kind": "host", "name": name, "time": int(time.time())})
    host = Host(connection)
    reads = {**_libvirt_facts(host), "memory": lambda: memory_here(connection), **_FILE_FACTS}
    for fact, read in reads.items():
        collector.add(fact, read)
    _add_areas(collector, host)
    for emulator in collector.facts.get("emulators", []):
        # libvirt takes the first of PATH: on a merged /usr /bin/... or /usr/bin/..., depending on who started it.
        emulator["path"] = os.path.realpath(emulator["path"])
    collector.merge({"unknown": collector.unknown})
    return t.cast(HostSnapshot, collector.facts)


def _libvirt_facts(host: Host) -> dict[str, t.Callable[[], t.Any]]:
    connection = host.connection
    return {
        "hostname": connection.getHostname,
        "uuid": lambda: host.capabilities().findtext("host/uuid"),
        "arch": lambda: host.capabilities().findtext("host/cpu/arch"),
        "emulators": lambda: emulators(host.capabilities()),
        "libvirt_version": connection.getLibVersion,
        "qemu_version": connection.getVersion,
        "memory": lambda: memory(connection),
        "networks": lambda: networks(connection),
        "domains": lambda: known_domains(connection),
    }


def remote_snapshot(connection: Connection, name: str) -> HostSnapshot:
    """What a libvirt connection alone tells of a host, for the last look right before a start.

    Facts that are not looked at are listed as unknown, never left out.
    """
    collector = Collector()
    collector.merge({"schema": SCHEMA, "kind": "host", "name": name})
    host = Host(connection)
    for fact, read in _libvirt_facts(host).items():
        collector.add(fact, read)
    _add_areas(collector, host, lambda row: row.last_look)
    left_out = [*_FILE_FACTS, *(f"{area}.{fact}" for area, fact, row in _rows() if not row.last_look)]
    collector.merge({"unknown": [*collector.unknown, *({"fact": fact, "reason": _NOT_NOW} for fact in left_out)]})
    return t.cast(HostSnapshot, collector.facts)


def _rows() -> t.Iterator[tuple[str, str, Fact]]:
    for area, facts in AREAS.items():
        for fact, row in facts.items():
            yield area, fact, row


def _add_areas(collector: Collector, host: Host, wanted: t.Callable[[Fact], bool] = lambda _row: True) -> None:
    """Adds the facts of the tables, each below its area; those that cannot be read are unknown as ``area.fact``."""
    collector.merge({area: {} for area in AREAS})
    for area, fact, row in _rows():
        if wanted(row):
            collector.add_below(area, fact, functools.partial(row.read, host))


def emulators(capabilities: ET.Element) -> list[Emulator]:
    """Each emulator of the capabilities with its virt types and machine types, aliases and canonical names alike."""
    found: dict[tuple[str, str], Emulator] = {}
    for arch in capabilities.findall("guest/arch"):
        for domain in arch.findall("domain"):
            path = domain.findtext("emulator") or arch.findtext("emulator") or ""
            key = (path, arch.get("name", ""))
            entry = found.setdefault(key, {"path": path, "arch": key[1], "virt_types": [], "machines": []})
            entry["virt_types"].append(domain.get("type", ""))
            listed = [*arch.findall("machine"), *domain.findall("machine")]
            names = {m.text for m in listed if m.text} | {m.get("canonical", "") for m in listed}
            entry["machines"] = sorted((set(entry["machines"]) | names) - {""})
    return list(found.values())


def memory(connection: Connection) -> HostMemory:
    """MiB in all and MiB that a new guest can have at most without anything being swapped out.

    ``getFreeMemory`` leaves out the page cache, which a long-running host fills; so free + buffers + cached is taken,
    as libvirt reads them from /proc/meminfo of its own host. That is an upper bound: ``cached`` counts tmpfs and other
    shared memory too, which is not given back, and libvirt does not tell MemAvailable.
    """
    stats = connection.getMemoryStats(-1)
    available = sum(stats.get(key, 0) for key in ("free", "buffers", "cached"))
    return {"total_mib": stats["total"] // 1024, "available_mib": available // 1024}


def memory_here(connection: Connection) -> HostMemory:
    """The same for this host, with the kernel's own estimate: MemAvailable counts no tmpfs and no shared memory.

    A limit on a control group that the guests would be in, such as a container's, may leave less.
    """
    available = files.available_mib(files.read("/proc/meminfo"))
    left = cgroups.left_mib(host_ram.daemon())
    return {**memory(connection), "available_mib": available if left is None else min(available, left)}


def networks(connection: Connection) -> list[Network]:
    found: list[Network] = []
    for network in connection.listAllNetworks():
        bridge = parse(network.XMLDesc(0)).find("bridge")
        found.append(
            {
                "name": network.name(),
                "active": bool(network.isActive()),
                "bridge": None if bridge is None else bridge.get("name"),
            }
        )
    return found


def known_domains(connection: Connection) -> list[KnownDomain]:
    """All domains but those that are gone when they are looked at."""
    found: list[KnownDomain] = []
    for domain in connection.listAllDomains():
        try:
            found.append({"name": domain.name(), "uuid": domain.UUIDString(), "active": bool(domain.isActive())})
        except libvirt.libvirtError as error:
            if error_code(error) != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    return found


def migration_ports() -> MigrationPorts:
    conf = files.qemu_conf()
    first = int(conf.get("migration_port_min", _FIRST_PORT))
    last = int(conf.get("migration_port_max", _LAST_PORT))
    listening = files.listening_ports(*map(files.read, _tcp_tables()))
    return {"first": first, "last": last, "in_use": sum(first <= port <= last for port in listening)}


def _tcp_tables() -> list[str]:
    return [path for path in ("/proc/net/tcp", "/proc/net/tcp6") if os.path.exists(path)]


def certificates() -> dict[str, Certificate]:
    conf = files.qemu_conf()
    folder = pki.folder(conf, "migrate")
    paths = {**files.CERTIFICATES, **{k: os.path.join(folder, v) for k, v in files.QEMU_CERTIFICATES.items()}}
    return {name: files.certificate(path) for name, path in paths.items()}


_FILE_FACTS: dict[str, t.Callable[[], t.Any]] = {
    "kernel": lambda: files.read("/proc/sys/kernel/osrelease").strip(),
    "bridges": files.bridges,
    "migration_ports": migration_ports,
    "shared_filesystems": lambda: list(files.qemu_conf().get("shared_filesystems", [])),
    "tls": certificates,
}
