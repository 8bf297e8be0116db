# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running migration shows at the boundaries of its passes, and what follows about its guest. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from math import expm1 as _expm1

from .model import Guest, working_set

_MIB = 1024 * 1024
_RECENT = 3
"""Passes that an estimate is made of: guests change, and the median of three ignores one that stands out."""
_FULL = 0.25
"""A pass that has sent less than this part of what was there says nothing of the guest: its limit was raised."""
_SEEN = 0.2
"""At least so much of what is written shows beside what was left."""
_SAME = 1.1
"""Windows that differ by less than a tenth cannot tell rate and working set apart."""
_AGREES = 0.25
"""So near must the first pass be to what was known before, for that to be believed. Sampling is no better."""
_SATURATED = 4.0
"""A guest that writes all of its working set in every window writes faster than that shows; four times as fast is as
good as any more: it misses 2 % of the pages."""
_STEPS = 60


class Sample(t.NamedTuple):
    """A migration at the beginning of pass ``iteration``, numbered from 1 as libvirt does; ``at_s`` on any one clock.

    ``remaining_mib`` is exact only here: QEMU has just read the guest's dirty bitmap. ``sent_mib``: since the start.
    ``rate_mib_s``: QEMU's own measure of the last moments, by which it decides on the switchover; None: not reported.
    ``throttle``: percent of its time that auto-converge takes from the guest. ``held``: the migration was slowed down
    for a part of the pass that ends here, so that its rate is that of nothing.
    """

    iteration: int
    at_s: float
    remaining_mib: float
    sent_mib: float
    rate_mib_s: float | None = None
    throttle: int = 0
    held: bool = False


class Window(t.NamedTuple):
    """One pass: how long it took, what the guest has written meanwhile, and how fast it was copied."""

    seconds: float
    written_mib: float
    rate_mib_s: float


def sample(stats: t.Mapping[str, t.Any], at_s: float, earlier: int = 0, late_s: float = 0.0) -> Sample:
    """libvirt's statistics of a running job (``jobStats(0)`` after the event of an iteration) as a Sample.

    ``earlier``: the number that the counter stood at before this job; a cancelled one does not set it back (vdsm,
    lib/vdsm/virt/migration.py). ``late_s``: so long after the event was asked; what was sent meanwhile is undone.
    """
    rate = stats.get("memory_bps")
    meanwhile = (rate or 0) / _MIB * late_s
    return Sample(
        iteration=stats.get("memory_iteration", 0) - earlier,
        at_s=at_s,
        remaining_mib=stats.get("memory_remaining", 0) / _MIB + meanwhile,
        sent_mib=max(0.0, stats.get("memory_processed", 0) / _MIB - meanwhile),
        rate_mib_s=rate / _MIB if rate else None,
        throttle=stats.get("auto_converge_throttle", 0),
    )


def windows(samples: t.Sequence[Sample]) -> list[Window]:
    """The passes between neighbouring samples, without those that were cut short or slowed down, and those of which one
    was missed."""
    found = []
    wide = max((entry.remaining_mib for entry in samples if entry.iteration > 1), default=0.0)
    for before, after in zip(samples, samples[1:]):
        seconds, sent = after.at_s - before.at_s, after.sent_mib - before.sent_mib
        if after.iteration != before.iteration + 1 or after.held or seconds <= 0 or sent <= 0:
            continue
        # Of the first pass it is not known how much there was: what is all zeros crosses as a few bytes.
        if before.iteration > 1 and sent < _FULL * before.remaining_mib:
            continue
        left = max(0.0, before.remaining_mib - sent) if before.iteration > 1 else 0.0
        fresh = max(0.0, after.remaining_mib - left)
        # What was left is part of the working set, and some of it was written again: that does not show.
        written = min(after.remaining_mib, fresh / max(_SEEN, 1 - left / wide)) if wide else 0.0
        found.append(Window(seconds, written, sent / seconds))
    return found


def estimate(samples: t.Sequence[Sample], known: Guest) -> Guest | None:
    """``known`` with rate, working set and link as the passes have shown them; None while they show too little.

    One pass suffices where it agrees with what was known before, otherwise it takes two.
    """
    seen = windows(samples)[-_RECENT:]
    if not seen:
        return None
    if len(seen) == 1 and not _agrees(seen[0], known):
        return None
    # What was known is the rate of a guest that is not slowed down.
    fast = 0.0 if samples[-1].throttle else known.dirty_mib_s or 0.0
    wide, dirty = _prior(known, seen[0]) if len(seen) == 1 else _fit(seen, known.touched_mib, fast)
    return known._replace(dirty_mib_s=dirty, working_set_mib=wide)


def rate_mib_s(samples: t.Sequence[Sample], otherwise: float) -> float:
    """What the last pass was copied with. Not QEMU's own figure, which is one of the last moments."""
    seen = windows(samples)
    return seen[-1].rate_mib_s if seen else otherwise


def _agrees(window: Window, known: Guest) -> bool:
    wide, dirty = working_set(known), known.dirty_mib_s
    if not wide or not dirty:
        return False
    # From a writer in sequence to one at random: both are guests.
    most = min(wide, dirty * window.seconds)
    return most * (1 - _AGREES) * 0.63 <= window.written_mib <= most * (1 + _AGREES)


def _prior(known: Guest, window: Window) -> tuple[float, float]:
    wide, dirty = working_set(known) or 0.0, known.dirty_mib_s or 0.0
    return max(wide, window.written_mib), dirty


def _fit(seen: t.Sequence[Window], touched_mib: float, known_mib_s: float) -> tuple[float, float]:
    """Working set and rate of written = W × (1 - exp(-D × t / W)) through the longest and the shortest pass.

    ``known_mib_s``: the rate that was known before, which holds where it is more than the passes can show.
    """
    long, short = max(seen, key=_seconds), min(seen, key=_seconds)
    most = max(window.written_mib for window in seen)
    fastest = max(window.written_mib / window.seconds for window in seen)
    if not most:
        return 0.0, 0.0
    highest = max(_SATURATED * fastest, known_mib_s)
    if long.seconds < _SAME * short.seconds or long.written_mib <= short.written_mib:
        # It writes the same in every window: all of its working set, at least once.
        typical = sorted(window.written_mib for window in seen)[len(seen) // 2]
        return typical, highest
    ratio = long.written_mib / max(short.written_mib, 1e-9)
    if ratio >= long.seconds / short.seconds * 0.98:
        return max(touched_mib, most), fastest
    bend = _bisect(lambda x: _ratio(x, long.seconds, short.seconds) - ratio, 1e-6, 100.0 / short.seconds)
    wide = long.written_mib / -_expm1(-bend * long.seconds)
    return wide, min(bend * wide, highest)


def _seconds(window: Window) -> float:
    return window.seconds


def _ratio(bend: float, long_s: float, short_s: float) -> float:
    return _expm1(-bend * long_s) / _expm1(-bend * short_s)


def _bisect(falling: t.Callable[[float], float], low: float, high: float) -> float:
    for _step in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
