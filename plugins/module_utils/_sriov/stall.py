# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long QEMU stands still when it gets a device of the host: all memory of the guest is allocated and pinned then.

With failover the guest is paused meanwhile, with replug it runs, and what needs QEMU's main loop waits. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

SEED_MIB_S = 2450
"""128 GiB in 53.4 s: from the log of a libvirt-users report of 2025 (libvirt 9.0, QEMU 7.2, 4 KiB pages)."""

PINNING = 1.5
"""So many times as long as allocating alone, which is what a host measures, allocating and pinning takes: the median of
what the SR-IOV lab has shown (docs/benchmarks/sriov.md), whose IOMMU is emulated."""


class Memory(t.NamedTuple):
    """``page_kib``: of the destination's pages; ``allocated``: at once, when QEMU starts (immediate allocation,
    locked)."""

    mib: int
    page_kib: int = 4
    allocated: bool = False


# Part of the time of a 4 KiB page that is left where the memory is there already or comes in larger pages: measured in
# nested hosts, 1 and 2 GiB (immediate 1/10 to 1/14 of the whole switchover, huge pages 1/10); 1 GiB pages by the number
# of faults alone. Rounded up, since the forecast must not be too short.
_LEFT: tuple[tuple[t.Callable[[Memory], bool], float], ...] = (
    (lambda memory: memory.page_kib >= 1024**2, 0.01),
    (lambda memory: memory.page_kib >= 2048, 0.1),
    (lambda memory: memory.allocated, 0.1),
    (lambda memory: True, 1.0),
)


def forecast_ms(shares: t.Iterable[Memory], mib_s: float) -> int:
    """For the destination's rate of allocating and pinning 4 KiB pages in MiB/s."""
    return round(sum(memory.mib / mib_s * 1000 * _left(memory) for memory in shares))


def pinned_mib_s(allocated_mib_s: float) -> float:
    """The rate of allocating and pinning, from that of allocating alone."""
    return allocated_mib_s / PINNING


def _left(memory: Memory) -> float:
    return next(part for fits, part in _LEFT if fits(memory))
