# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long QEMU stands still when it gets a device of the host: all memory of the guest is allocated and pinned then.

With failover the guest is paused meanwhile, with replug it runs, and what needs QEMU's main loop waits. Pure, but for
``fill_mib_s``, which measures.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import mmap
import time
import typing as t

SEED_MIB_S = 2450
"""128 GiB in 53.4 s: from the log of a libvirt-users report of 2025 (libvirt 9.0, QEMU 7.2, 4 KiB pages)."""
_MADV_POPULATE_WRITE = 23  # linux/mman.h, since 5.14
_SAMPLE_MIB = 256
_ROUNDS = 3


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


def _left(memory: Memory) -> float:
    return next(part for fits, part in _LEFT if fits(memory))


def fill_mib_s(mib: int = _SAMPLE_MIB, clock: t.Callable[[], float] = time.perf_counter) -> float:
    """This host's rate of allocating 4 KiB pages, without the pinning: an upper limit. Uses ``mib`` of memory for about
    0.2 s, the median of three rounds. Raises OSError where the kernel is older than 5.14."""
    seconds = sorted(_fill_s(mib, clock) for _round in range(_ROUNDS))
    return mib / max(seconds[_ROUNDS // 2], 1e-6)


def _fill_s(mib: int, clock: t.Callable[[], float]) -> float:
    with mmap.mmap(-1, mib * 1024**2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        # As QEMU's memory without huge pages: what transparent ones save is not counted on.
        memory.madvise(getattr(mmap, "MADV_NOHUGEPAGE", 15))
        started = clock()
        memory.madvise(_MADV_POPULATE_WRITE)
        return clock() - started
