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
from .._model.api import SCHEMA, Disk, DomainSnapshot, LivemigError
from .._model.types import Layer
from . import boot_files, control, domain_xml, files, qcow2, writes
from .agent import NOT_ASKED, Agents
from .collector import UNREADABLE, Collector, reason

# virDomainState and virDomainJobType, in the order of libvirt's numbers
STATES = ("nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")
JOBS = ("none", "bounded", "unbounded", "completed", "failed", "cancelled")
# virDomainJobOperation
OPERATIONS = (
    "unknown",
    "start",
    "save",
    "restore",
    "migration_in",
    "migration_out",
    "snapshot",
    "snapshot_revert",
    "dump",
    "backup",
    "snapshot_delete",
)
_NO_CHAIN = "libvirt does not say which images are below it (the domain's XML has no complete <backingStore>)"

_KIB = 1024
_HANGS = "QEMU does not answer libvirt, which would wait for it"

Reads = t.Mapping[str, t.Callable[[], t.Any]]
Sizes = t.Mapping[str, tuple[int, int]]
"""Target of a disk -> bytes that the guest sees, and bytes that the image uses up to its highest write."""


def domain_snapshots(
    connection: Connection,
    host: str,
    names: t.Sequence[str] | None = None,
    agents: Agents | None = None,
    dirty_rate_s: int = 0,
) -> list[DomainSnapshot]:
    """Snapshots of all domains of the host, or of those named; sorted by name.

    ``agents``: ask the agents in the guests too. ``dirty_rate_s``: see for so long how fast they write; 0: not at all.
    A domain that is gone when it is looked at is left out. Raises LivemigError when a named domain is not there.
    """
    domains = {domain.name(): domain for domain in connection.listAllDomains()}
    shared = files.declared()
    bulk = _Bulk(connection)
    if dirty_rate_s:
        bulk.sample([domain for name, domain in domains.items() if not names or name in names], dirty_rate_s)
    found: list[DomainSnapshot] = []
    for name in sorted(set(names or domains) & set(domains)):
        try:
            found.append(_snapshot(domains[name], host, shared, bulk.of(domains[name]), agents))
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
    return _snapshot(domain, host, files.declared() if shared is None else shared, _single(domain))


def _single(domain: t.Any) -> Reads:
    return {
        "state": lambda: tuple(domain.state()[:2]),
        "control": lambda: control.of(domain),
        "persistent": lambda: bool(domain.isPersistent()),
        "autostart": lambda: bool(domain.isPersistent() and domain.autostart()),
        "managed_save": lambda: bool(domain.hasManagedSaveImage()),
        "snapshots": lambda: domain.snapshotNum(0),
        "checkpoints": lambda: len(domain.listAllCheckpoints(0)),
        "sizes": lambda: _sizes(domain.connect().domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_BLOCK, 0)),
    }


class _Bulk:
    """The same for all domains of a host: a call for each question, however many domains there are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, t.Any] = {}
        self._monitors = control.Monitors(connection)
        self._written: dict[str, int] = {}

    def of(self, domain: t.Any) -> Reads:
        uuid = domain.UUIDString()

        def has(flag: str) -> bool:
            return uuid in self._once(flag, lambda: self._listed(flag))

        def count(flag: str, single: t.Callable[[], int]) -> int:
            return single() if has(flag) else 0

        return {
            "state": lambda: self._once("states", self._states).get(uuid) or tuple(domain.state()[:2]),
            "control": lambda: self._monitors.of(domain),
            "persistent": lambda: has("PERSISTENT"),
            "autostart": lambda: has("AUTOSTART"),
            "managed_save": lambda: has("MANAGEDSAVE"),
            "snapshots": lambda: count("HAS_SNAPSHOT", lambda: domain.snapshotNum(0)),
            "checkpoints": lambda: count("HAS_CHECKPOINT", lambda: len(domain.listAllCheckpoints(0))),
            "sizes": lambda: self._once("sizes", self._all_sizes).get(uuid, {}),
            "resident_mib": lambda: self._once("resident", self._all_resident).get(uuid),
            "dirty_mib_s": lambda: self._written.get(uuid),
        }

    def sample(self, domains: t.Sequence[t.Any], seconds: int) -> None:
        """Of those that run, are large enough, answer and have no job."""
        self._written = writes.sampled(self._connection, [each for each in domains if self._writes(each)], seconds)

    def _writes(self, domain: t.Any) -> bool:
        try:
            if self.of(domain)["state"]()[0] != libvirt.VIR_DOMAIN_RUNNING:
                return False
            idle = (self._monitors.of(domain) or {}).get("state") == "ok" and JOBS[domain.jobInfo()[0]] == "none"
            return idle and domain.maxMemory() // _KIB >= writes.SMALLEST_MIB
        except UNREADABLE:
            return False

    def _once(self, name: str, ask: t.Callable[[], t.Any]) -> t.Any:
        if name not in self._known:
            try:
                self._known[name] = ask()
            except UNREADABLE as error:
                self._known[name] = error
        if isinstance(self._known[name], Exception):
            raise self._known[name]
        return self._known[name]

    def _listed(self, flag: str) -> set[str]:
        flags = getattr(libvirt, f"VIR_CONNECT_LIST_DOMAINS_{flag}")
        return {domain.UUIDString() for domain in self._connection.listAllDomains(flags)}

    def _states(self) -> dict[str, tuple[int, int]]:
        stats = self._connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
        return {
            domain.UUIDString(): (facts["state.state"], facts["state.reason"])
            for domain, facts in stats
            if "state.state" in facts
        }

    def _all_resident(self) -> dict[str, int]:
        """Domains that do not run have none."""
        stats = self._monitors.stats()
        return {entry[0].UUIDString(): entry[1]["balloon.rss"] // _KIB for entry in stats if "balloon.rss" in entry[1]}

    def _all_sizes(self) -> dict[str, Sizes]:
        """A domain that does not answer is left out."""
        stats = self._monitors.stats()
        return {entry[0].UUIDString(): _sizes([entry]) for entry in stats}


def _sizes(stats: t.Sequence[tuple[t.Any, t.Mapping[str, t.Any]]]) -> Sizes:
    """The sizes of the disks of the only domain in what libvirt returned."""
    found: dict[str, tuple[int, int]] = {}
    for _domain, facts in stats:
        for number in range(facts.get("block.count", 0)):
            start = f"block.{number}."
            capacity, allocation = facts.get(f"{start}capacity"), facts.get(f"{start}allocation")
            if capacity is not None and allocation is not None:
                found[facts[f"{start}name"]] = capacity, allocation
    return found


def _snapshot(
    domain: t.Any, host: str, shared: files.Declared, reads: Reads, agents: Agents | None = None
) -> DomainSnapshot:
    collector = Collector()
    collector.merge(
        {"schema": SCHEMA, "kind": "domain", "host": host, "name": domain.name(), "uuid": domain.UUIDString()}
    )
    _state(collector, reads["state"])
    collector.add("control", reads["control"])
    # While one call waits for QEMU, libvirt lets neither virsh dumpxml nor domjobinfo through (seen with 11.3).
    hangs = control.hangs(collector.facts.get("control"))
    if hangs:
        collector.unknown += [{"fact": fact, "reason": _HANGS} for fact in (*domain_xml.FACTS, "job")]
    else:
        _definition(collector, domain)
    active = collector.facts.get("state") not in ("shutoff", "crashed")
    for fact, read in reads.items():
        if fact not in ("state", "control", "sizes"):
            collector.add(fact, read)
    if not hangs:
        collector.add("job", lambda: JOBS[domain.jobInfo()[0]] if active else "none")
    collector.add("job_operation", lambda: _operation(domain, collector.facts["job"]))
    collector.add("messages", lambda: control.messages(domain) if active else [])
    collector.add("agent", lambda: _agent(domain, collector.facts, agents if active else None))
    disks = collector.facts.get("disks", [])
    for disk in disks:
        _complete_disk(collector, domain, active, disk, shared)
    if active and disks:
        _add_sizes(collector, disks, reads["sizes"])
    boot_files.add(collector)
    collector.merge({"unknown": collector.unknown})
    return t.cast(DomainSnapshot, collector.facts)


def _agent(domain: t.Any, facts: t.Mapping[str, t.Any], agents: Agents | None) -> dict[str, t.Any]:
    """Raises KeyError where it is not known whether the guest has a channel for one."""
    if agents is None:
        return dict(NOT_ASKED)
    passed = any(each["type"] == "pci" for each in facts["hostdevs"])
    return agents.of(domain, facts["devices"]["channels"], links=passed)


def _operation(domain: t.Any, job: str) -> str | None:
    """What the job does; None where there is none. Raises KeyError where it is not known whether there is one."""
    if job in ("none", "completed", "failed", "cancelled"):
        return None
    operation = domain.jobStats().get("operation", 0)
    return OPERATIONS[operation] if operation < len(OPERATIONS) else str(operation)


def _add_sizes(collector: Collector, disks: t.Sequence[Disk], read: t.Callable[[], Sizes]) -> None:
    """Adds ``capacity`` and ``allocation``; they are None where libvirt says nothing, as of an empty drive."""
    try:
        sizes = read()
    except UNREADABLE as error:
        for disk in disks:
            for fact in ("capacity", "allocation"):
                collector.unknown.append({"fact": f"disks.{disk['target']}.{fact}", "reason": reason(error)})
        return
    for disk in disks:
        disk["capacity"], disk["allocation"] = sizes.get(disk["target"], (None, None))


def _state(collector: Collector, read: t.Callable[[], t.Any]) -> None:
    try:
        state, why = read()
    except UNREADABLE as error:
        _unless_gone(error)
        collector.unknown += [{"fact": fact, "reason": reason(error)} for fact in ("state", "state_reason")]
    else:
        collector.merge({"state": STATES[state] if state < len(STATES) else str(state), "state_reason": why})


def _unless_gone(error: Exception) -> None:
    """Raises the error where it says that the domain is not there any more: then there is no snapshot."""
    if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN:
        raise error


def _definition(collector: Collector, domain: t.Any) -> None:
    """The facts of the document; where it cannot be read each of them is unknown, and the other domains are not."""
    try:
        facts = domain_xml.parse(domain.XMLDesc(0))
        functions = [each for each in facts["hostdevs"] if each["mode"] == "interface"]
        if functions and domain.isActive() and domain.isPersistent():
            domain_xml.networks_of(functions, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    except UNREADABLE as error:
        _unless_gone(error)
        collector.unknown += [{"fact": fact, "reason": reason(error)} for fact in domain_xml.FACTS]
        return
    collector.merge({**facts, "emulator": os.path.realpath(facts["emulator"])})


def _complete_disk(collector: Collector, domain: t.Any, active: bool, disk: Disk, shared: files.Declared) -> None:
    """Adds what the XML does not say. Unknowns carry the disk's target: ``disks.vda.identity``."""
    fact = f"disks.{disk['target']}"
    try:
        disk["block_job"] = bool(active and domain.blockJobInfo(disk["target"], 0))
    except UNREADABLE as error:
        disk["block_job"] = None
        collector.unknown.append({"fact": f"{fact}.block_job", "reason": str(error)})
    if "backing" not in disk and not active and _stands_alone(disk):
        # libvirt shows the chain of a running domain only.
        disk["backing"] = []
    if "backing" not in disk:
        collector.unknown.append({"fact": f"{fact}.backing", "reason": _NO_CHAIN})
    _identify(collector, disk, fact, shared)
    for layer in disk.get("backing", []):
        _identify(collector, layer, f"{fact}.backing.{layer['layer']}", shared)


def _stands_alone(disk: Disk) -> bool:
    path = disk.get("path")
    if not path or disk["format"] != "qcow2":
        return False
    try:
        return qcow2.stands_alone(path)
    except (OSError, ValueError):
        return False


def _identify(collector: Collector, image: Disk | Layer, fact: str, shared: files.Declared) -> None:
    path = image.get("path")
    if path:
        try:
            image["identity"] = files.path_identity(path, shared)
        except OSError as error:
            collector.unknown.append({"fact": f"{fact}.identity", "reason": str(error)})
