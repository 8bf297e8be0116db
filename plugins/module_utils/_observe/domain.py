# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshots of a host's domains.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

from .._libvirt import Connection, error_code, libvirt
from .._model.api import POLICY_URI, SCHEMA, Disk, DomainSnapshot, LivemigError
from .._model.types import Layer
from . import files
from .collector import UNREADABLE, Collector
from .domain_xml import parse

# virDomainState and virDomainJobType, in the order of libvirt's numbers
STATES = ("nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")
JOBS = ("none", "bounded", "unbounded", "completed", "failed", "cancelled")
_NO_CHAIN = "libvirt does not say which images are below it (the domain's XML has no complete <backingStore>)"


def domain_snapshots(connection: Connection, host: str, names: t.Sequence[str] | None = None) -> list[DomainSnapshot]:
    """Snapshots of all domains of the host, or of those named; sorted by name.

    A domain that is gone when it is looked at is left out. Raises LivemigError when a named domain is not there.
    """
    domains = {domain.name(): domain for domain in connection.listAllDomains()}
    shared = files.declared()
    found: list[DomainSnapshot] = []
    for name in sorted(set(names or domains) & set(domains)):
        try:
            found.append(domain_snapshot(domains[name], host, shared))
        except libvirt.libvirtError as error:
            if error_code(error) != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            del domains[name]
    missing = sorted(set(names or ()) - set(domains))
    if missing:
        raise LivemigError(
            f"Domain on host {host}",
            value=", ".join(missing),
            expected="one of " + (", ".join(sorted(domains)) or "none: the host has no domains"),
            remedy="correct the name, or the host on which it is looked for",
        )
    return found


def domain_snapshot(domain: t.Any, host: str, shared: files.Declared | None = None) -> DomainSnapshot:
    """One domain of this host. The XML is read without VIR_DOMAIN_XML_SECURE: a snapshot never holds a secret.

    ``shared``: what qemu.conf declares as shared; read from this host's when left out.
    """
    collector = Collector()
    shared = files.declared() if shared is None else shared
    state, reason = domain.state()[:2]
    collector.merge(
        {
            "schema": SCHEMA,
            "kind": "domain",
            "host": host,
            "name": domain.name(),
            "uuid": domain.UUIDString(),
            "state": STATES[state] if state < len(STATES) else str(state),
            "state_reason": reason,
        }
    )
    collector.merge(parse(domain.XMLDesc(0)))
    collector.facts["emulator"] = os.path.realpath(collector.facts["emulator"])
    reads: dict[str, t.Callable[[], t.Any]] = {
        "persistent": lambda: bool(domain.isPersistent()),
        "autostart": lambda: bool(domain.isPersistent() and domain.autostart()),
        "managed_save": lambda: bool(domain.hasManagedSaveImage()),
        "snapshots": lambda: domain.snapshotNum(0),
        "checkpoints": lambda: len(domain.listAllCheckpoints(0)),
        "job": lambda: JOBS[domain.jobInfo()[0]] if domain.isActive() else "none",
        "label": lambda: _label(domain),
    }
    for fact, read in reads.items():
        collector.add(fact, read)
    for disk in collector.facts["disks"]:
        _complete_disk(collector, domain, disk, shared)
    collector.merge({"unknown": collector.unknown})
    return t.cast(DomainSnapshot, collector.facts)


def _complete_disk(collector: Collector, domain: t.Any, disk: Disk, shared: files.Declared) -> None:
    """Adds what the XML does not say. Unknowns carry the disk's target: ``disks.vda.identity``."""
    fact = f"disks.{disk['target']}"
    try:
        disk["block_job"] = bool(domain.isActive() and domain.blockJobInfo(disk["target"], 0))
    except UNREADABLE as error:
        disk["block_job"] = None
        collector.unknown.append({"fact": f"{fact}.block_job", "reason": str(error)})
    if "backing" not in disk:
        collector.unknown.append({"fact": f"{fact}.backing", "reason": _NO_CHAIN})
    _identify(collector, disk, fact, shared)
    for layer in disk.get("backing", []):
        _identify(collector, layer, f"{fact}.backing.{layer['layer']}", shared)


def _identify(collector: Collector, image: Disk | Layer, fact: str, shared: files.Declared) -> None:
    path = image.get("path")
    if path:
        try:
            image["identity"] = files.path_identity(path, shared)
        except OSError as error:
            collector.unknown.append({"fact": f"{fact}.identity", "reason": str(error)})


def _label(domain: t.Any) -> str | None:
    """The user's own label, or None where the domain carries none."""
    try:
        return t.cast(str, domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, POLICY_URI, 0))
    except libvirt.libvirtError as error:
        if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
