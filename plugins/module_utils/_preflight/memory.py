# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much memory a domain needs at its destination: the one place of the formula.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import DomainSnapshot

_QEMU_MIB = 240
_PER_VCPU_MIB = 8
_RAM_PERCENT = 2


def required_memory_mib(domain: DomainSnapshot) -> int:
    """MiB that must be free at the destination: the most the guest may have, and what QEMU needs besides.

    The maximum counts and not the balloon's current size: the guest may claim it at any time, and then the
    destination's OOM killer takes some guest. The overhead is an estimate with room: 240 MiB for QEMU's code, heap,
    display memory and I/O buffers; 8 MiB a vCPU for its thread (KubeVirt reckons with the same); 2 % of the RAM for
    page tables (0.2 % in each of two levels), dirty bitmaps and migration buffers. The RAM of a guest on huge pages
    comes out of their pool and not out of free memory, so only the overhead is counted.
    """
    return needed_mib(domain["memory_mib"], domain["vcpus"], domain["hugepages"])


def needed_mib(memory_mib: int, vcpus: int, hugepages: t.Any) -> int:
    overhead = _QEMU_MIB + _PER_VCPU_MIB * vcpus - (-memory_mib * _RAM_PERCENT // 100)
    return overhead if hugepages else memory_mib + overhead
