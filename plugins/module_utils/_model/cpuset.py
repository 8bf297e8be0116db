# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of CPUs as the kernel and libvirt write them: ``0-3,^2,8``.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import typing as t

_MAX = 65535
"""More than any kernel counts CPUs or nodes: a longer range is a mistake, or meant to exhaust the reader."""


@functools.lru_cache(maxsize=4096)
def numbers(text: str) -> frozenset[int]:
    """The numbers in the set. Raises ValueError."""
    chosen: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _dash, last = part.lstrip("^").partition("-")
        if int(last or first) > _MAX:
            raise ValueError(f"{part} in a set of CPUs; expected {_MAX} at most")
        meant = range(int(first), int(last or first) + 1)
        chosen = chosen.difference(meant) if part.startswith("^") else chosen.union(meant)
    return frozenset(chosen)


def text(chosen: t.Iterable[int]) -> str:
    """The set as text, in ranges."""
    ranges: list[list[int]] = []
    for number in sorted(set(chosen)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
