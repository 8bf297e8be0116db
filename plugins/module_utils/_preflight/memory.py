# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much memory a domain needs at its destination, and where: the one place of the formulas.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model import cpuset
from .._model.api import DomainSnapshot, Facts, UnknownFact

_QEMU_MIB = 240
_PER_VCPU_MIB = 8
_RAM_PERCENT = 2
# A memory limit of libvirt's that means none (VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, in KiB).
_UNLIMITED_KIB = 9007199254740991
_KIB_PER_UNIT = {"k": 1, "kib": 1, "m": 1024, "mib": 1024, "g": 1024**2, "gib": 1024**2, "t": 1024**3, "tib": 1024**3}


def required_memory_mib(domain: DomainSnapshot) -> int:
    """MiB that must be free at the destination: the most the guest may have, and what QEMU needs besides.

    The maximum counts and not the balloon's current size: the guest may claim it at any time, and then the
    destination's OOM killer takes some guest. The overhead is an estimate with room: 240 MiB for QEMU's code, heap,
    display memory and I/O buffers; 8 MiB a vCPU for its thread (KubeVirt reckons with the same); 2 % of the RAM for
    page tables (0.2 % in each of two levels), dirty bitmaps and migration buffers. RAM on huge pages comes out of
    their pool and not out of free memory, so of it only the overhead is counted. Raises UnknownFact.
    """
    return needed_mib(_facts(domain))


def needed_mib(domain: Facts) -> int:
    """The same of a domain's facts."""
    memory_mib = domain.get("memory_mib")
    overhead = _QEMU_MIB + _PER_VCPU_MIB * domain.get("vcpus") - (-memory_mib * _RAM_PERCENT // 100)
    return int(overhead + (_plain_mib(domain, memory_mib) if domain.get("hugepages") else memory_mib))


def _plain_mib(domain: Facts, memory_mib: int) -> int:
    """What is not on huge pages. What may be plugged in later counts too, unless all cells are on huge pages."""
    divided = shares(domain)
    if all(share.page_kib != 0 for share in divided):
        return 0
    return max(memory_mib - sum(share.mib for share in divided if share.page_kib != 0), 0)


def _facts(domain: DomainSnapshot) -> Facts:
    return Facts(f"domain {domain['name']}", t.cast("dict[str, t.Any]", domain))


def hard_limit_mib(domain: Facts) -> int | None:
    """The limit of the domain's memory with all that QEMU needs besides; None where it has none."""
    memtune = domain.get("settings.memtune")
    if memtune["hard_limit"] is None:
        return None
    kib = size_kib(memtune["hard_limit"], memtune["hard_limit_unit"])
    return None if kib >= _UNLIMITED_KIB else kib // 1024


def lockable_mib(host: Facts) -> int | None:
    """What libvirt may let a QEMU of this host lock; None where nothing limits it. Raises UnknownFact."""
    memlock = host.get("ram.memlock")
    return None if memlock["raises"] else t.cast("int | None", memlock["limit_mib"])


class Share(t.NamedTuple):
    """A part of a guest's memory: MiB, the page size in KiB (0: plain pages, None: the default size of huge pages),
    and the host nodes that it is strictly bound to (None: to none)."""

    mib: int
    page_kib: int | None
    nodes: tuple[int, ...] | None


def required_pages(domain: DomainSnapshot) -> list[Share]:
    """The shares of a domain that come out of pools of huge pages. Raises UnknownFact."""
    return [share for share in shares(_facts(domain)) if share.page_kib != 0]


class Pages(t.NamedTuple):
    """Huge pages of a host: their size in KiB (0: it has no default size), how many a share needs, and how many are
    free where the share may take them."""

    size_kib: int
    needed: int
    free: int


def pages_at(host: Facts, share: Share) -> Pages:
    """What a share on huge pages needs of a host, and what is free there. Raises UnknownFact."""
    size = page_kib_at(host, share.page_kib)
    cells = [cell for cell in host.get("ram.cells") if share.nodes is None or cell["id"] in share.nodes]
    free = sum(pages["free"] for cell in cells for pages in cell["pages"] if pages["size_kib"] == size)
    return Pages(size, -(-share.mib * 1024 // size) if size else 0, free)


def page_kib_at(host: Facts, page_kib: int | None) -> int:
    """The page size of a share on huge pages, on this host; 0 where it has no default size."""
    return int(host.get("ram.hugepage_kib") or 0) if page_kib is None else page_kib


def shares(domain: Facts) -> list[Share]:
    """The guest's memory by page size and binding, equal ones added up; what may be plugged in later is left out."""
    numatune, cells = domain.get("settings.numatune"), domain.get("lists.numa_cells")
    pages, bound = domain.get("lists.hugepages"), _bound(domain.get("lists.memnodes"), numatune)
    huge = domain.get("settings.memory_backing.hugepages")
    if not cells:
        memory = domain.get("settings.memory")
        cells = [{"id": None, "memory": memory["memory"], "unit": memory["unit"]}]
    found: dict[tuple[int | None, tuple[int, ...] | None], int] = {}
    for cell in cells:
        number = None if cell["id"] is None else int(cell["id"])
        key = (_page_kib(pages, number) if huge else 0, bound.get(number, bound.get(None)))
        found[key] = found.get(key, 0) + size_mib(cell["memory"], cell["unit"])
    return [Share(mib, page, nodes) for (page, nodes), mib in found.items()]


def _bound(memnodes: t.Iterable[t.Mapping[str, t.Any]], numatune: t.Mapping[str, t.Any]) -> dict[int | None, t.Any]:
    """The guest's cell, None for all others -> host nodes that its memory must come from, None where it need not."""
    every = [(None, numatune), *((int(entry["cellid"]), entry) for entry in memnodes)]
    return {cell: _strict(entry["mode"], entry["nodeset"]) for cell, entry in every}


def _strict(mode: str | None, nodeset: str | None) -> tuple[int, ...] | None:
    """libvirt's default mode is strict; ``restrictive`` binds by cgroup alone, and as hard."""
    return node_set(nodeset) if nodeset and mode in (None, "strict", "restrictive") else None


def _page_kib(pages: t.Sequence[t.Mapping[str, t.Any]], cell: int | None) -> int | None:
    """0: the cell has plain pages, since all entries name other cells."""
    if not pages:
        return None
    for entry in sorted(pages, key=lambda entry: entry["nodeset"] is None):
        if entry["nodeset"] is None or (cell or 0) in node_set(entry["nodeset"]):
            return size_kib(entry["size"], entry["unit"])
    return 0


def size_kib(size: str | None, unit: str | None) -> int:
    """libvirt's number with its unit, KiB where it names none. Raises UnknownFact."""
    factor = _KIB_PER_UNIT.get((unit or "KiB").lower())
    if size is None or factor is None:
        raise UnknownFact(f"a size of {size} {unit} cannot be read")
    return int(size) * factor


def size_mib(size: str | None, unit: str | None) -> int:
    return -(-size_kib(size, unit) // 1024)


def node_set(text: str) -> tuple[int, ...]:
    """The nodes of one of libvirt's sets, in order. Raises UnknownFact."""
    try:
        return tuple(sorted(cpuset.numbers(text)))
    except ValueError as error:
        raise UnknownFact(f"a set of NUMA nodes cannot be read: {error}") from None


def ranges(members: t.Iterable[int]) -> str:
    return ", ".join(map(str, members))
