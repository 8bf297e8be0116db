# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of the guest itself: its state, its jobs, its memory, its network and its passed-through devices.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import Facts, UnknownFact
from .check import Check, Problem, Requirement, View, each, fact_in
from .jobs import NO_JOB
from .memory import needed_mib

# virDomainPausedReason: why, and what to do about it. Where nothing stands here the check's remedy holds.
_PAUSED: t.Mapping[int, tuple[str, str | None]] = {
    1: ("by its user", None),
    2: ("for a migration", "wait for its end (virsh domjobinfo); resume it only when it is active nowhere else"),
    3: ("for a save", "wait until it is saved"),
    4: ("for a dump", "wait until the dump has ended"),
    5: ("by an I/O error", "see virsh domblkerror, repair its storage, then virsh resume"),
    6: ("by its watchdog", None),
    8: ("while it shuts down", "wait until it is off"),
    10: ("since it crashed", "look at its console; virsh reset starts it anew"),
    11: ("while it starts", "wait until it has started"),
    12: ("in a post-copy migration", "touch neither of its two sides: wait for the end of the migration"),
    13: ("in a post-copy migration that failed", "do not resume or destroy it: see guest_postcopy_failed_state"),
}


def _state(view: View) -> t.Iterator[Problem]:
    state = view.domain.get("state")
    if state == "running":
        return
    why, remedy = _PAUSED.get(view.domain.get("state_reason"), ("", None)) if state == "paused" else ("", None)
    if view.silent is not None:
        remedy = "nothing is wrong with it: start it to have it moved, or define it on another host by hand"
    yield Problem(f"Domain {view.domain_name}", f"it is {state} {why}".strip(), remedy=remedy)


def _job(view: View) -> t.Iterator[Problem]:
    job = view.domain.get("job")
    if job not in NO_JOB:
        what = f"Job of domain {view.domain_name}"
        yield Problem(what, f"{job}, perhaps a migration that an earlier run has started and that is still under way")


def _definition(view: View) -> t.Iterator[Problem]:
    """Finds nothing where both facts are known: they go into the move."""
    view.domain.get("persistent")
    view.domain.get("autostart")
    return iter(())


def _block_jobs(view: View) -> t.Iterator[Problem]:
    def judge(disk: Facts) -> t.Iterator[Problem]:
        if disk.get("block_job"):
            yield Problem(f"Disk {disk.get('target')} of domain {view.domain_name}", "a block job is active")

    return each(view.domain.items("disks", "target"), judge)


def _no_hostdev(kind: str, name: str) -> t.Callable[[View], t.Iterator[Problem]]:
    def evaluate(view: View) -> t.Iterator[Problem]:
        for hostdev in view.domain.get("hostdevs"):
            if hostdev["type"] == kind:
                yield Problem(f"Domain {view.domain_name}", f"it holds the {name} {hostdev['description']}")

    return evaluate


class Memory(t.NamedTuple):
    needed_mib: int
    hugepages: bool


def _memory(view: View) -> t.Iterator[Memory]:
    domain = view.domain
    hugepages = domain.get("hugepages")
    yield Memory(needed_mib(domain.get("memory_mib"), domain.get("vcpus"), hugepages), bool(hugepages))


def _capacity(view: View, need: Memory) -> t.Iterator[Problem]:
    available = view.destination.get("memory.available_mib")
    if available < need.needed_mib:
        yield Problem(
            f"Memory of {view.destination_name}",
            f"{available} MiB available",
            expected=f"{need.needed_mib} MiB for domain {{domain}}",
        )
    if need.hugepages:
        yield Problem(
            "Memory of domain {domain}",
            f"it is on huge pages, and those of {view.destination_name} are not counted in this version",
            expected="enough free huge pages there",
            remedy="look at HugePages_Free in /proc/meminfo of the destination",
            severity="warning",
        )


def _bridge_names(view: View) -> t.Iterator[str | Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        if nic.get("type") == "bridge":
            bridge, port = nic.get("source"), nic.get("virtualport")
            if port is not None:
                raise UnknownFact(f"bridge {bridge} of NIC {nic.get('mac')} belongs to {port}, which is not observed")
            yield bridge

    return each(view.domain.items("interfaces", "mac"), judge)


def _bridges(view: View, bridge: str) -> t.Iterator[Problem]:
    if bridge not in view.destination.get("bridges"):
        yield Problem("Network of domain {domain}", f"its bridge {bridge} is not on {view.there}")


def _network_names(view: View) -> t.Iterator[str | Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        if nic.get("type") == "network":
            yield nic.get("source")

    return each(view.domain.items("interfaces", "mac"), judge)


def _networks(view: View, name: str) -> t.Iterator[Problem]:
    active = {network["name"]: network["active"] for network in view.destination.get("networks")}
    if not active.get(name):
        how = "is not active" if name in active else "does not exist"
        yield Problem("Network of domain {domain}", f"its network {name} {how} on {view.there}")


CHECKS: tuple[Check, ...] = (
    Check(
        id="guest_state",
        category="guest",
        severity="error",
        scope="domain",
        title="The domain is running",
        expected="running: this version moves only running domains",
        remedy="find out why it does not run (virsh domstate --reason) and resume it",
        evaluate=_state,
        evidence="recorded",
        volatile=True,
        first=True,
    ),
    Check(
        id="guest_job_active",
        category="guest",
        severity="error",
        scope="domain",
        title="No other job holds the domain",
        expected="no job: libvirt runs one at a time",
        remedy="wait until it has ended (virsh domjobinfo shows how far it is), then run again; if it is a backup or a "
        "dump that hangs, and no migration, virsh domjobabort ends it",
        evaluate=_job,
        evidence="recorded",
        volatile=True,
    ),
    Check(
        id="snapshots_present",
        category="storage",
        severity="error",
        scope="domain",
        title="The domain has no libvirt snapshots",
        expected="0: libvirt does not migrate a domain with snapshots",
        remedy="delete them, or save their XML and make libvirt forget them (virsh snapshot-delete --metadata)",
        evaluate=fact_in("domain", "snapshots", (0,), "Snapshots of {who}"),
        evidence="recorded",
        volatile=True,
    ),
    Check(
        id="checkpoints_present",
        category="storage",
        severity="warning",
        scope="domain",
        title="The domain has no checkpoints",
        expected="0: libvirt does not carry them to the destination",
        remedy="make a full backup after the move, since incremental ones start anew",
        evaluate=fact_in("domain", "checkpoints", (0,), "Checkpoints of {who}"),
        evidence="recorded",
    ),
    Check(
        id="flags_persist_policy",
        category="config",
        severity="error",
        scope="domain",
        title="It is known whether the domain is persistent and starts with its host",
        expected="both facts, so that the definition and the autostart flag arrive with the guest",
        remedy="look at virsh dominfo on the source",
        evaluate=_definition,
        on_unknown="stop",
        evidence="recorded",
    ),
    Check(
        id="block_job_active",
        category="storage",
        severity="error",
        scope="domain",
        title="No block job is active",
        expected="none: libvirt does not migrate a domain with a block job",
        remedy="wait until it has ended, or end it with virsh blockjob --abort",
        evaluate=_block_jobs,
        evidence="recorded",
        volatile=True,
    ),
    Check(
        id="hd_pci_plain",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No PCI device is passed through",
        # QEMU lets a VF with <teaming type='transient'> pass. But the destination realizes it while the guest is paused
        # (hw/net/virtio-net.c: failover_add_primary), and nothing in this version puts it back when that fails.
        expected="none: this version takes no PCI device off and puts none back, also not a VF with <teaming>",
        remedy="detach it before the migration and attach one at the destination afterwards",
        evaluate=_no_hostdev("pci", "PCI device"),
        volatile=True,
    ),
    Check(
        id="hd_mdev",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No mediated device is passed through",
        expected="none",
        remedy="detach it before the migration and attach one at the destination afterwards",
        evaluate=_no_hostdev("mdev", "mediated device"),
        volatile=True,
    ),
    Check(
        id="hd_usb",
        category="hostdev",
        severity="warning",
        scope="domain",
        title="No USB device is passed through",
        expected="none: the guest sees it unplugged, and the destination needs one like it",
        remedy="detach it before the migration, or plug such a device in at the destination",
        evaluate=_no_hostdev("usb", "USB device"),
    ),
    Check(
        id="hd_scsi_generic",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No SCSI device is passed through",
        expected="none",
        remedy="detach it before the migration, or give the LUN to the guest as a disk on shared storage",
        evaluate=_no_hostdev("scsi", "SCSI device"),
        volatile=True,
    ),
    Check(
        id="hd_scsi_host",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No vhost-scsi target is passed through",
        expected="none",
        remedy="detach it before the migration",
        evaluate=_no_hostdev("scsi_host", "vhost-scsi target"),
        volatile=True,
    ),
    Check(
        id="mem_capacity_dest",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has the memory",
        expected="the guest's maximum and what QEMU needs besides",
        remedy="free memory there or choose another destination",
        requires=Requirement(_memory, _capacity),
        on_unknown="stop",
        evidence="recorded",
        volatile=True,
    ),
    Check(
        id="net_bridge_exists",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the domain's bridges",
        expected="a bridge of the same name on both hosts",
        remedy="create the bridge there, connected to the same network",
        requires=Requirement(_bridge_names, _bridges),
        evidence="lab",
    ),
    Check(
        id="net_libvirt_network_active",
        category="network",
        severity="error",
        scope="pair",
        title="The domain's libvirt networks are active at the destination",
        expected="an active network of the same name on both hosts",
        remedy="define and start it there (virsh net-define, net-start, net-autostart)",
        requires=Requirement(_network_names, _networks),
        evidence="recorded",
        volatile=True,
    ),
)
