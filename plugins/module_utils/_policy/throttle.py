# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a guest is slowed down (QEMU's auto-converge), and whether that gets it there. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._forecast.api import Guest, Pass, Point, converging, fixed_ms, passes, stopping, usable_ms
from .profiles import Profile, limits

MOST = 85
"""Percent, above which it is aborted. QEMU lets a vCPU run for 10 ms at a time and sleep for the rest: 57 ms at 85 %,
90 ms at 90 %, 323 ms at 97 %. In the lab guests did not answer for more than a second at 90 % and at 97 %, which
breaks a ceiling as a pause does. QEMU itself goes on to 99 % (max-cpu-throttle)."""
_FIRST = (20, 80)
"""Percent. QEMU's own first step, and what leaves a guest alive enough to answer."""
_INCREMENT = 2
"""The first step is to suffice; QEMU's own 10 would be at 90 % after one or two more."""


def throttle_parameters(guest: Guest) -> dict[str, int]:
    """So much that it writes half of what the link carries: then every pass halves what is left."""
    dirty = guest.dirty_mib_s or 0.0
    percent = 100 * (1 - 0.5 * guest.link_mib_s / dirty) if dirty > 0 else 0.0
    lowest, highest = _FIRST
    return {
        "auto_converge.initial": round(min(max(percent, lowest), highest)),
        "auto_converge.increment": _INCREMENT,
    }


def enough(guest: Guest, profile: Profile, at_s: float = 0.0) -> int | None:
    """The percent that gets it there, None where what is kept to does not. ``at_s``: what has gone of the deadline
    before."""
    first = throttle_parameters(guest)["auto_converge.initial"]
    # With an end set, what QEMU begins with must do: it takes more passes to go further.
    percent = first if profile.deadline_s else first + (MOST - first) // _INCREMENT * _INCREMENT
    return None if _slowed(guest, profile, at_s, percent) is None else percent


def _slowed(guest: Guest, profile: Profile, at_s: float, percent: int) -> Pass | None:
    """Where it would end when slowed down so far, within ceiling, budget and deadline."""
    if guest.dirty_mib_s is None or guest.link_mib_s <= 0:
        return None
    slow = guest._replace(dirty_mib_s=guest.dirty_mib_s * (1 - percent / 100))
    bounds = limits(profile, profile.target_ms)
    start = Point(at_s, 0.0, guest.touched_mib, 0)
    coming = passes(slow, start, min(profile.target_ms, max(1.0, usable_ms(bounds) - fixed_ms(guest))))
    return stopping(slow, bounds, coming) or converging(slow, bounds, coming)
