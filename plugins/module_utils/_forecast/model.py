# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a guest's memory crosses a link, pass by pass: unique pages of a working set. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import math
import typing as t

BASE_MS = 60.0
"""Of every switchover, whatever is left to send: QEMU's own 20 to 50 ms on KVM, and libvirt's hop to the destination.
Earlier runs of a domain replace it (history.py)."""
POSTCOPY_MS = 100.0
"""Of every switch to post-copy: it also tells the destination which pages are stale, and sends the devices as one
package. 70 to 90 ms in the lab with QEMU 10.0, 95 to 155 ms with 11.1. Earlier runs replace it, too."""
_LOOK_S = 0.05
"""So long QEMU sends between two looks at what is left (MAX_WAIT, migration/ram.c). A pass ends somewhere within."""
_STEADY = 0.002
"""A pass that changes so little is the last one that is looked at."""
_PASSES = 40
"""More are not looked at: a guest that needs more passes is over every budget."""


class Guest(t.NamedTuple):
    """What the forecast is made of.

    ``touched_mib``: memory that must cross once: resident, not configured. ``link_mib_s``: what the link carries when
    nothing holds the migration back. ``dirty_mib_s``, ``working_set_mib``: how fast it writes, and over how much; None
    where it is not known. ``device_mib``, ``device_ms``: state of its devices, and how long it takes to save and load.
    ``setup_ms``: before the first pass and after the switchover, which earlier runs between two hosts tell.
    """

    touched_mib: float
    link_mib_s: float
    dirty_mib_s: float | None = None
    working_set_mib: float | None = None
    device_mib: float = 0.0
    device_ms: float = 0.0
    base_ms: float = BASE_MS
    postcopy_ms: float = POSTCOPY_MS
    setup_ms: float = 0.0


class Point(t.NamedTuple):
    """Where a migration is: seconds since its start, MiB that were sent, MiB that are left to send, passes done."""

    at_s: float
    sent_mib: float
    remaining_mib: float
    done: int


class Pass(t.NamedTuple):
    """The end of a pass: as a Point, and the pause if it were stopped there."""

    number: int
    at_s: float
    sent_mib: float
    remaining_mib: float
    blackout_ms: float


def unique_mib(window_s: float, dirty_mib_s: float, working_set_mib: float) -> float:
    """What of the working set is written at least once in a window, when pages are written at random."""
    if working_set_mib <= 0 or dirty_mib_s <= 0:
        return 0.0
    return -working_set_mib * math.expm1(-dirty_mib_s * window_s / working_set_mib)


def fixed_ms(guest: Guest) -> float:
    """The pause with nothing left to send but the devices."""
    return devices_ms(guest) + guest.base_ms


def postcopy_pause_ms(guest: Guest) -> float:
    """That of a switch to post-copy, whose memory follows later."""
    return devices_ms(guest) + guest.postcopy_ms


def devices_ms(guest: Guest) -> float:
    """What the devices take of a pause; where it is not known what the link carries, at least so much."""
    sending_s = guest.device_mib / guest.link_mib_s if guest.link_mib_s > 0 else 0.0
    return sending_s * 1000 + guest.device_ms


def blackout_ms(guest: Guest, remaining_mib: float) -> float:
    """The pause if the guest were stopped with so much left. A cap of the bandwidth does not hold then: QEMU lifts it
    (migration_completion)."""
    return remaining_mib / guest.link_mib_s * 1000 + fixed_ms(guest)


def unsent_mib(rate_mib_s: float, limit_ms: float) -> float:
    """What a pass leaves over: it ends as soon as QEMU could send the rest within its limit, and sees that late."""
    return max(0.0, rate_mib_s * (limit_ms / 1000 - _LOOK_S / 2))


def working_set(guest: Guest) -> float | None:
    """Where only a rate was sampled: four seconds of it, never more than there is.

    A rate over one second says little of how much a guest writes over; four seconds err on the side of more.
    """
    if guest.working_set_mib is not None or guest.dirty_mib_s is None:
        return guest.working_set_mib
    return min(guest.touched_mib, 4 * guest.dirty_mib_s)


def passes(guest: Guest, start: Point, limit_ms: float, rate_mib_s: float | None = None) -> list[Pass]:
    """The passes to come, up to the one after which QEMU switches over by itself, or nothing changes any more.

    ``limit_ms``: QEMU's downtime-limit. A pass ends when less than rate × limit is left (migration_iteration_run), so
    that much of the last one is part of the next. ``rate_mib_s``: of the copying, where it is less than the link's.
    """
    dirty, wide = guest.dirty_mib_s, working_set(guest)
    if dirty is None or wide is None:
        raise ValueError("a forecast of passes needs a rate and a working set")
    rate = rate_mib_s or guest.link_mib_s
    threshold = rate * limit_ms / 1000
    at_s, sent, remaining, found = start.at_s, start.sent_mib, start.remaining_mib, list[Pass]()
    for number in range(start.done + 1, start.done + 1 + _PASSES):
        if start.done and remaining <= threshold:
            break
        left = min(remaining, unsent_mib(rate, limit_ms))
        copied = remaining - left
        fresh = unique_mib(copied / rate, dirty, wide)
        # Of what was left some is written again. The rest of the first pass may lie anywhere in what was touched; later
        # ones lie in the working set: QEMU goes on where it was, an old rest first (ram_find_and_save_block).
        among = guest.touched_mib if number == 1 else wide
        before, remaining = remaining, left + fresh * (1 - min(1.0, left / among) if among else 0.0)
        at_s, sent = at_s + copied / rate, sent + copied
        found.append(Pass(number, at_s, sent, remaining, blackout_ms(guest, remaining)))
        if remaining <= threshold or (number > 1 and abs(before - remaining) < _STEADY * before):
            break
    return found
