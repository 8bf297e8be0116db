# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration of the stand-in kind: two hosts' domains in dictionaries, libvirt's events sent by hand.

It proves how the room reacts to what libvirt says; that libvirt says it is proven in the lab.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt

libvirt = _libvirt.libvirt
XML = (
    "<domain type='qemu'><name>web1</name>"
    "<uuid>11111111-2222-4333-8444-555555555555</uuid><memory unit='MiB'>256</memory><vcpu>1</vcpu>"
    "<os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>"
    "<devices><emulator>/usr/bin/qemu</emulator></devices></domain>"
)
CAPABILITIES = (
    "<capabilities><host><uuid>{uuid}</uuid><cpu><arch>x86_64</arch></cpu></host>"
    "<guest><arch name='x86_64'>"
    "<emulator>/usr/bin/qemu</emulator><machine>pc-q35-10.0</machine><domain type='qemu'/>"
    "</arch></guest></capabilities>"
)


class Domain:
    def __init__(self, host: Host, uuid: str) -> None:
        self.host, self._uuid = host, uuid
        self.auto = 0
        self.calls: list[str] = []
        self.where = (libvirt.VIR_DOMAIN_RUNNING, 0)
        self.resident_mib = 128
        self.limit_ms = 300
        self.refuses_limits = 0
        self.persistent = True
        self.notes: dict[str, str] = {}
        self.job = 0
        self.stats: dict[str, t.Any] = {}
        self.speed = 2**43
        self.abort: t.Callable[[Domain], None] | None = None
        self.migration: t.Callable[[Domain, str, dict[str, t.Any], int], None] | None = None

    @property
    def running(self) -> bool:
        return bool(self.where[0] == libvirt.VIR_DOMAIN_RUNNING)

    @running.setter
    def running(self, value: bool) -> None:
        self.where = (libvirt.VIR_DOMAIN_RUNNING, 0) if value else (libvirt.VIR_DOMAIN_SHUTOFF, 0)

    def become(self, state: str, reason: str | None = None) -> Domain:
        number = getattr(libvirt, f"VIR_DOMAIN_{state}")
        self.where = number, 0 if reason is None else getattr(libvirt, f"VIR_DOMAIN_{reason}")
        return self

    def name(self) -> str:
        return "web1"

    def UUIDString(self) -> str:
        return self._uuid

    def isActive(self) -> bool:
        return self.where[0] not in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)

    def isPersistent(self) -> bool:
        return self.persistent

    def autostart(self) -> int:
        return self.auto

    def setAutostart(self, value: int) -> None:
        self.auto = value

    def hasManagedSaveImage(self) -> int:
        return 0

    def snapshotNum(self, flags: int) -> int:
        return 0

    def listAllCheckpoints(self, flags: int) -> list[object]:
        return []

    def controlInfo(self) -> list[int]:
        return [0, 0, 0]

    def messages(self, flags: int) -> list[str]:
        return []

    def jobStats(self, _flags: int) -> dict[str, t.Any]:
        return self.stats

    def memoryStats(self) -> dict[str, int]:
        return {"rss": self.resident_mib * 1024}

    def migrateSetMaxDowntime(self, milliseconds: int, _flags: int = 0) -> None:
        self.calls.append(f"limit {milliseconds}")
        if self.refuses_limits > 0:
            self.refuses_limits -= 1
            raise libvirt.libvirtError("busy")
        self.limit_ms = milliseconds

    def migrateGetMaxDowntime(self, _flags: int = 0) -> int:
        return self.limit_ms

    def migrateGetMaxSpeed(self, _flags: int = 0) -> int:
        return self.speed

    def migrateSetMaxSpeed(self, mib_s: int, _flags: int = 0) -> None:
        self.calls.append(f"speed {mib_s}")
        self.speed = mib_s

    def migrateStartPostCopy(self, _flags: int = 0) -> None:
        self.calls.append("postcopy")

    def suspend(self) -> None:
        self.calls.append("suspend")
        self.become("PAUSED", "PAUSED_USER")

    def jobInfo(self) -> list[int]:
        return [self.job]

    def metadata(self, _kind: int, uri: str, _flags: int = 0) -> str:
        if uri not in self.notes:
            raise libvirt.libvirtError("no metadata", libvirt.VIR_ERR_NO_DOMAIN_METADATA)
        return self.notes[uri]

    def setMetadata(self, _kind: int, text: str | None, _key: str | None, uri: str, _flags: int) -> None:
        self.calls.append("unmark" if text is None else "mark")
        self.notes.pop(uri, None)
        if text is not None:
            self.notes[uri] = text

    def state(self) -> list[int]:
        return list(self.where)

    def resume(self) -> None:
        self.calls.append("resume")
        self.running = True
        self.host.send(self._uuid, "RESUMED", "RESUMED_UNPAUSED")

    def destroy(self) -> None:
        self.calls.append("destroy")
        if self.persistent:
            self.become("SHUTOFF")
        else:
            del self.host.domains[self._uuid]

    def undefineFlags(self, _flags: int) -> None:
        self.calls.append("undefine")
        assert not self.isActive()
        del self.host.domains[self._uuid]

    def XMLDesc(self, flags: int) -> str:
        return XML

    def abortJob(self) -> None:
        assert self.abort is not None
        self.abort(self)

    def migrateToURI3(self, uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        assert self.migration is not None
        self.migration(self, uri, parameters, flags)


class Host:
    """One host; ``connect`` is what the room is given. ``answers`` False makes every call fail like a dead daemon."""

    def __init__(self, name: str, number: int, available_mib: int = 4096) -> None:
        self.name = name
        self.uuid = f"{number:08d}-0000-4000-8000-000000000000"
        self.available_mib = available_mib
        self.domains: dict[str, Domain] = {}
        self.callbacks: list[tuple[int, t.Callable[..., None]]] = []
        self.answers = True

    def _alive(self) -> None:
        if not self.answers:
            raise libvirt.libvirtError("End of file while reading data: Input/output error", 38)

    def add(self, uuid: str) -> Domain:
        self.domains[uuid] = Domain(self, uuid)
        return self.domains[uuid]

    def defineXML(self, xml: str) -> Domain:
        uuid = ET.fromstring(xml).findtext("uuid") or ""
        domain = self.domains.get(uuid)
        if domain is None:
            domain = self.add(uuid).become("SHUTOFF")
        domain.persistent = True
        return domain

    def send(self, uuid: str, event: str, detail: str) -> None:
        domain = Domain(self, uuid)
        numbers = [getattr(libvirt, f"VIR_DOMAIN_EVENT_{name}") for name in (event, detail)]
        for kind, callback in self.callbacks:
            if kind == libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE:
                callback(self, domain, *numbers, None)

    def complete(self, uuid: str, statistics: dict[str, t.Any]) -> None:
        for kind, callback in self.callbacks:
            if kind == libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED:
                callback(self, Domain(self, uuid), statistics, None)

    def iterate(self, uuid: str, number: int) -> None:
        for kind, callback in self.callbacks:
            if kind == libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION:
                callback(self, Domain(self, uuid), number, None)

    # libvirt.virConnect
    def domainEventRegisterAny(self, _domain: None, kind: int, callback: t.Callable[..., None], _opaque: None) -> int:
        self.callbacks.append((kind, callback))
        return len(self.callbacks)

    def lookupByUUIDString(self, uuid: str) -> Domain:
        self._alive()
        if uuid not in self.domains:
            raise libvirt.libvirtError("Domain not found", libvirt.VIR_ERR_NO_DOMAIN)
        return self.domains[uuid]

    def listAllDomains(self) -> list[Domain]:
        self._alive()
        return list(self.domains.values())

    def listAllNetworks(self) -> list[object]:
        return []

    def getURI(self) -> str:
        return "qemu:///system"

    def getHostname(self) -> str:
        return self.name

    def getCapabilities(self) -> str:
        self._alive()
        return CAPABILITIES.format(uuid=self.uuid)

    def getLibVersion(self) -> int:
        return 11003000

    def getVersion(self) -> int:
        return 10000013

    def getMemoryStats(self, _cell: int) -> dict[str, int]:
        return {"total": 8192 * 1024, "free": self.available_mib * 1024, "buffers": 0, "cached": 0}

    def isAlive(self) -> int:
        return int(self.answers)

    def close(self) -> int:
        return 0
