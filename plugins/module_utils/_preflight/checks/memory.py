# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of memory: whether the destination has enough, and of the kind that the guest is on.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts, Question
from ..check import Check, Evaluate, Problem, Requirement, View, each
from ..memory import (
    Share,
    hard_limit_mib,
    lockable_mib,
    needed_mib,
    node_set,
    page_kib_at,
    pages_at,
    ranges,
    shares,
)
from ..questions import path_key, path_question

_SWAPPED_PERCENT = 5
_PMEM = ("nvdimm", "virtio-pmem")


def _needed(view: View) -> t.Iterator[int]:
    yield needed_mib(view.domain)


def _capacity(view: View, need: int) -> t.Iterator[Problem]:
    available = view.destination.get("memory.available_mib")
    if available < need:
        yield Problem(
            f"Memory of {view.there}", f"{available} MiB available", expected=f"{need} MiB for domain {{domain}}"
        )


def _overcommit(view: View, need: int) -> t.Iterator[Problem]:
    overcommit = view.destination.get("ram.overcommit")
    left = overcommit["left_mib"]
    if overcommit["mode"] == 2 and left is not None and left < need:
        yield Problem(
            f"Memory that {view.there} may still promise",
            f"{left} MiB, since vm.overcommit_memory is 2",
            expected=f"{need} MiB for domain {{domain}}",
        )


class Partition(t.NamedTuple):
    paths: tuple[str, ...]
    needed_mib: int


def _partition(view: View) -> t.Iterator[Partition]:
    name = view.domain.get("settings.resource.partition") or "/machine"
    for needed in _needed(view):
        yield Partition(partition_paths(name), needed)


def partition_paths(partition: str) -> tuple[str, ...]:
    """The groups that libvirt makes of a partition, with those above it: by systemd's names and by its own."""
    parts = partition.strip("/").split("/")
    slices, own = [], []
    for count in range(1, len(parts) + 1):
        slices.append("/".join("-".join(parts[: size + 1]) + ".slice" for size in range(count)))
        own.append("/".join([parts[0], *(f"{part}.partition" for part in parts[1:count])]))
    return (*slices, *own)


def _partition_limit(view: View, need: Partition) -> t.Iterator[Problem]:
    for group in view.destination.get("ram.groups"):
        left = group["limit_mib"] - group["used_mib"]
        if group["path"] in need.paths and left < need.needed_mib:
            yield Problem(
                f"Memory limit of {group['path']} on {view.there}",
                f"{left} of {group['limit_mib']} MiB left",
                expected=f"{need.needed_mib} MiB for domain {{domain}}",
            )


def _swapped(view: View) -> t.Iterator[Problem]:
    memory, mib = view.domain.get("memory_mib"), view.source.get("ram.swapped").get(view.domain_name, 0)
    if mib * 100 > memory * _SWAPPED_PERCENT:
        yield Problem(f"Memory of domain {view.domain_name}", f"{mib} of {memory} MiB are in swap")


def _locked(view: View) -> t.Iterator[tuple[int | None]]:
    """libvirt lets QEMU lock as much as hard_limit, whatever else is set, or anything where memory is locked without.

    Seen in the lab with 11.3: a guest with a hard_limit does not start where the daemon may not raise the limit.
    """
    locked, limit = view.domain.get("settings.memory_backing.locked"), hard_limit_mib(view.domain)
    if locked or limit is not None:
        yield (limit,)


def _may_lock(view: View, need: tuple[int | None]) -> t.Iterator[Problem]:
    limit, wanted = lockable_mib(view.destination), need[0]
    if limit is not None and (wanted is None or limit < wanted):
        yield Problem(
            "Domain {domain}",
            f"it must be able to lock memory, and libvirt on {view.there} may lock {limit} MiB and cannot raise that",
            expected="no limit" if wanted is None else f"{wanted} MiB",
        )


def _hard_limit(view: View) -> t.Iterator[Problem]:
    limit = hard_limit_mib(view.domain)
    if limit is None:
        return
    for needed in _needed(view):
        if limit < needed:
            yield Problem(
                f"Memory limit of domain {view.domain_name}",
                f"hard_limit is {limit} MiB",
                expected=f"{needed} MiB or more: its memory and what QEMU needs besides while it migrates",
            )


def _huge(view: View) -> t.Iterator[Share]:
    return (share for share in shares(view.domain) if share.page_kib != 0)


def _pages_free(view: View, share: Share) -> t.Iterator[Problem]:
    size, needed, free = pages_at(view.destination, share)
    if free < needed or not size:
        where = "" if share.nodes is None else f" on NUMA nodes {ranges(share.nodes)}"
        yield Problem(
            f"Huge pages of {view.there}",
            f"{free} free of {size} KiB each{where}",
            expected=f"{needed} for domain {{domain}}",
        )


def _mounted_sizes(view: View) -> t.Iterator[int | None]:
    if view.domain.get("settings.memory_backing.source") != "memfd":
        yield from dict.fromkeys(share.page_kib for share in _huge(view))


def _mounted(view: View, need: int | None) -> t.Iterator[Problem]:
    size = page_kib_at(view.destination, need)
    mounts = {mount["size_kib"] for mount in view.destination.get("ram.hugetlbfs")}
    if size not in mounts:
        has = ", ".join(f"{mount} KiB" for mount in sorted(mounts)) or "none"
        yield Problem(
            f"Mounts of huge pages on {view.there}", has, expected=f"one for pages of {size} KiB, for domain {{domain}}"
        )


def _page_kinds(view: View) -> t.Iterator[str]:
    """Explicit sizes are part of the definition, which is the same on both sides."""
    sizes = {share.page_kib for share in shares(view.domain)}
    if view.option("postcopy"):
        yield from (fact for size, fact in ((0, "page_kib"), (None, "hugepage_kib")) if size in sizes)


def _same_pages(view: View, fact: str) -> t.Iterator[Problem]:
    here, there = view.source.get(f"ram.{fact}"), view.destination.get(f"ram.{fact}")
    if here != there:
        what = "Default huge pages" if fact == "hugepage_kib" else "Memory pages"
        yield Problem(
            f"{what} of {view.there}",
            f"{there} KiB",
            expected=f"{here} KiB, as on {view.source_name}: post-copy needs it",
        )


def _nodes(view: View) -> t.Iterator[tuple[int, ...]]:
    domain = view.domain
    sets = [domain.get("settings.numatune.nodeset")]
    sets += [entry["nodeset"] for entry in domain.get("lists.memnodes")]
    sets += [device["nodemask"] for device in domain.get("devices.memories")]
    yield from dict.fromkeys(node_set(text) for text in sets if text)


def _nodes_there(view: View, need: tuple[int, ...]) -> t.Iterator[Problem]:
    there = [cell["id"] for cell in view.destination.get("ram.cells")]
    missing = [node for node in need if node not in there]
    if missing:
        yield Problem(
            "Memory of domain {domain}",
            f"it is to come from NUMA nodes {ranges(need)}, and {view.there} has no node {ranges(missing)}",
            expected=f"some of {ranges(there)}",
        )


def _strict(view: View) -> t.Iterator[Share]:
    return (share for share in shares(view.domain) if share.nodes is not None and share.page_kib == 0)


def _node_capacity(view: View, share: Share) -> t.Iterator[Problem]:
    cells = view.destination.get("ram.cells_available")
    available = sum(cell["available_mib"] for cell in cells if cell["id"] in (share.nodes or ()))
    if available < share.mib:
        yield Problem(
            f"Memory of NUMA nodes {ranges(share.nodes or ())} of {view.there}",
            f"{available} MiB available",
            expected=f"{share.mib} MiB, to which domain {{domain}} is strictly bound",
        )


def _automatic(view: View) -> t.Iterator[str]:
    placements = view.domain.get("settings.vcpu.placement"), view.domain.get("settings.numatune.placement")
    if "auto" in placements:
        yield "numad"


def _numad(view: View, _need: str) -> t.Iterator[Problem]:
    if not view.destination.get("ram.numad"):
        yield Problem("Placement of domain {domain}", f"it is automatic, and {view.there} has no numad")


def _in_files(view: View) -> t.Iterator[int]:
    if view.domain.get("settings.memory_backing.source") == "file":
        plain = sum(share.mib for share in shares(view.domain) if share.page_kib == 0)
        if plain:
            yield plain


def _room_for_files(view: View, need: int) -> t.Iterator[Problem]:
    backing = view.destination.get("ram.backing")
    if backing["free_mib"] < need:
        yield Problem(
            f"Folder {backing['path']} on {view.there}",
            f"{backing['free_mib']} MiB free",
            expected=f"{need} MiB for the memory of domain {{domain}}, which is in files",
        )


def _each_device(
    models: t.Container[str], judge: t.Callable[[str, t.Mapping[str, t.Any]], t.Iterable[Problem]]
) -> Evaluate:
    """The judge over every memory device of one of the models, with its name."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        for device in view.domain.get("devices.memories"):
            if device["model"] in models:
                yield from judge(f"Memory device {device['name']} of domain {view.domain_name}", device)

    return evaluate


def _address(what: str, device: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    missing = [part for part in ("slot", "base") if device[part] is None]
    if missing:
        yield Problem(what, f"libvirt names no {' and no '.join(missing)} of it")


def _enclave(what: str, _device: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    yield Problem(what, "it is SGX memory, whose contents cannot be read and copied")


def _plugged(what: str, device: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    if device["current"] is not None and device["current"] != device["requested"]:
        yield Problem(
            what, f"the guest has taken {device['current']} of {device['requested']} KiB that it was asked for"
        )


class Persistent(t.NamedTuple):
    name: str
    path: str


def _persistent(view: View) -> t.Iterator[Persistent | Problem]:
    def judge(device: Facts) -> t.Iterator[Persistent]:
        if device.get("model") in _PMEM and device.get("path"):
            yield Persistent(device.get("name"), device.get("path"))

    return each(view.domain.items("devices.memories", "name"), judge)


def _ask_persistent(_view: View, need: Persistent) -> t.Iterator[Question]:
    yield path_question(need.path)


def _persistent_there(view: View, need: Persistent) -> t.Iterator[Problem]:
    """QEMU would make a file; libvirt looks for it first and refuses (tried in the lab with 11.3)."""
    if not view.answer(view.destination_name, path_key(need.path)).get("exists"):
        yield Problem(f"Memory device {need.name} of domain {{domain}}", f"there is no {need.path} on {view.there}")


def _thp(view: View) -> t.Iterator[Problem]:
    here, there = view.source.get("ram.thp"), view.destination.get("ram.thp")
    if here != there:
        yield Problem(
            f"Transparent huge pages of {view.there}", str(there), expected=f"{here}, as on {view.source_name}"
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="mem_capacity_dest",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has the memory",
        expected="the guest's maximum and what QEMU needs besides",
        remedy="free memory there or choose another destination",
        requires=Requirement(_needed, _capacity),
        on_unknown="stop",
        volatile=True,
        evidence="lab",
    ),
    Check(
        id="mem_overcommit_policy",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination's kernel lets QEMU have the memory",
        expected="enough below CommitLimit, or vm.overcommit_memory 0 or 1",
        remedy="raise vm.overcommit_ratio there or add swap, or choose another destination",
        requires=Requirement(_needed, _overcommit),
        evidence="recorded",
    ),
    Check(
        id="mem_cgroup_slice_limit",
        category="memory",
        severity="error",
        scope="pair",
        title="The cgroup of the guests at the destination has room for the domain",
        expected="room for the guest's maximum and what QEMU needs besides",
        remedy="raise it (systemctl set-property machine.slice MemoryMax=...), or choose another destination",
        requires=Requirement(_partition, _partition_limit),
        evidence="lab",
    ),
    Check(
        id="mem_source_swapped",
        category="memory",
        severity="warning",
        scope="domain",
        title="The guest's memory is not in swap",
        expected="5 % or less: a migration reads all of it back",
        remedy="free memory on the source first, or move other guests away before this one",
        evaluate=_swapped,
        evidence="recorded",
    ),
    Check(
        id="mem_locked_limit",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination may lock the guest's memory",
        expected="a daemon that may raise the limit of locked memory, or a limit that is high enough",
        remedy="let the daemon have CAP_SYS_RESOURCE there, or raise LimitMEMLOCK of its service",
        requires=Requirement(_locked, _may_lock),
        evidence="lab",
    ),
    Check(
        id="mem_hard_limit_overhead",
        category="memory",
        severity="warning",
        scope="domain",
        title="The guest's own memory limit leaves room for a migration",
        expected="no hard_limit, or one with room: beyond it the kernel kills the guest",
        remedy="raise it (virsh memtune --hard-limit)",
        evaluate=_hard_limit,
        volatile=True,
        evidence="lab",
    ),
    Check(
        id="mem_hugepages_mount",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has a mount for the guest's huge pages",
        expected="a mount of hugetlbfs with that page size",
        remedy="mount it there (mount -t hugetlbfs -o pagesize=2M hugetlbfs /dev/hugepages) and restart the libvirt "
        "daemon, which reads the mounts when it starts",
        requires=Requirement(_mounted_sizes, _mounted),
        evidence="recorded",
    ),
    Check(
        id="mem_hugepages_free",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has the free huge pages",
        expected="enough free pages of the guest's size on its NUMA nodes",
        remedy="allocate more there (virsh allocpages), or choose another destination; pages of 1 GiB must mostly be "
        "reserved at boot",
        requires=Requirement(_huge, _pages_free),
        evidence="recorded",
        volatile=True,
    ),
    Check(
        id="mem_hugepage_size_parity",
        category="memory",
        severity="error",
        scope="pair",
        title="Memory pages have the same size on both hosts",
        expected="the same size: post-copy needs it",
        remedy="migrate without post-copy, or choose another destination",
        requires=Requirement(_page_kinds, _same_pages, uses_source=True),
        evidence="recorded",
    ),
    Check(
        id="mem_numatune_nodes_exist",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has the NUMA nodes that the guest's memory is bound to",
        expected="those nodes",
        remedy="change it (virsh numatune --nodeset, or in the definition), or choose another destination",
        requires=Requirement(_nodes, _nodes_there),
        evidence="recorded",
        volatile=True,
    ),
    Check(
        id="mem_numatune_capacity",
        category="memory",
        severity="error",
        scope="pair",
        title="The NUMA nodes that the guest is bound to have the memory",
        expected="the guest's memory on those nodes",
        remedy="free memory on them, bind the guest to others, or use mode preferred",
        requires=Requirement(_strict, _node_capacity),
        evidence="lab",
    ),
    Check(
        id="mem_numad_auto",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has numad for automatic placement",
        expected="numad, which libvirt asks for placement='auto'",
        remedy="install numad there",
        requires=Requirement(_automatic, _numad),
        evidence="lab",
    ),
    Check(
        id="mem_backing_file",
        category="memory",
        severity="error",
        scope="pair",
        title="The folder for memory in files has room",
        expected="room for the guest's memory: when it is full QEMU is killed",
        remedy="enlarge the file system there, or set another memory_backing_dir in its qemu.conf",
        requires=Requirement(_in_files, _room_for_files),
        evidence="lab",
    ),
    Check(
        id="mem_dimm_addresses",
        category="memory",
        severity="error",
        scope="domain",
        title="Every DIMM has a slot and an address",
        expected="both: libvirt does not migrate it otherwise",
        remedy="detach and attach the DIMM",
        evaluate=_each_device(("dimm", "nvdimm"), _address),
        volatile=True,
    ),
    Check(
        id="mem_nvdimm_pmem",
        category="memory",
        severity="error",
        scope="pair",
        title="The destination has the storage of the guest's persistent memory",
        expected="the same path on both hosts",
        remedy="make it there, of the same size and on persistent memory if the guest relies on it",
        requires=Requirement(_persistent, _persistent_there, _ask_persistent),
        evidence="lab",
    ),
    Check(
        id="mem_virtio_mem",
        category="memory",
        severity="warning",
        scope="domain",
        title="The guest has taken the virtio-mem memory that it was asked for",
        expected="current and requested size alike: while they differ the size may change during the migration",
        remedy="wait until they are (virsh dumpxml), or ask for what it has (virsh update-memory-device)",
        evaluate=_each_device(("virtio-mem",), _plugged),
        volatile=True,
        evidence="lab",
    ),
    Check(
        id="mem_sgx_epc",
        category="memory",
        severity="error",
        scope="domain",
        title="The guest has no SGX memory",
        expected="none: it cannot be migrated",
        remedy="detach it: shut the guest down and remove the device",
        evaluate=_each_device(("sgx-epc",), _enclave),
        volatile=True,
    ),
    Check(
        id="mem_thp_parity",
        category="memory",
        severity="info",
        scope="link",
        title="Both hosts use transparent huge pages alike",
        expected="the same on both hosts: the guest may be slower afterwards",
        remedy="set /sys/kernel/mm/transparent_hugepage/enabled alike",
        evaluate=_thp,
        evidence="recorded",
    ),
)
