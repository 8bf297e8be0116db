# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast a host allocates memory in plain pages, measured: what a guest waits for that gets a device of the host.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import mmap
import time
import typing as t

from . import area

MADV_NOHUGEPAGE, MADV_POPULATE_WRITE = 15, 23  # linux/mman.h; the second since 5.14
_SAMPLE_MIB = 256
_ROUNDS = 3


def fill_mib_s(mib: int = _SAMPLE_MIB, clock: t.Callable[[], float] = time.perf_counter) -> float:
    """MiB/s, the median of three rounds, each with ``mib`` of memory for about 0.2 s. The pinning comes on top of it.
    Raises OSError where the kernel is older than 5.14."""
    seconds = sorted(_fill_s(mib, clock) for _round in range(_ROUNDS))
    return mib / max(seconds[_ROUNDS // 2], 1e-6)


def _fill_s(mib: int, clock: t.Callable[[], float]) -> float:
    with mmap.mmap(-1, mib * 1024**2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        # What transparent huge pages save is not counted on: nobody knows how many there are.
        memory.madvise(MADV_NOHUGEPAGE)
        started = clock()
        memory.madvise(MADV_POPULATE_WRITE)
        return clock() - started


def fill(_host: area.Host, _question: t.Any) -> dict[str, t.Any]:
    return {"mib_s": round(fill_mib_s())}


ASKS: t.Mapping[str, area.Ask] = {"fill": fill}
