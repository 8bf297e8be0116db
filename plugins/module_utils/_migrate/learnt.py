# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of one migration is learnt for the forecast of the next, from its events. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._forecast.api import Guest, Sample
from .._model.api import Outcome
from .watch import Timeline

_SOON_S = 0.5
"""A guest that is stopped later after the beginning of a pass has left nobody knows how much."""
_LONG_S = 1.0
_MIB = 1024 * 1024


def left_mib(last: Sample, stopped_at: float, guest: Guest) -> float | None:
    """What was left to send when it was stopped: at the beginning of the pass, less what was sent since, and with what
    was written since, which is no more than its working set."""
    since_s = stopped_at - last.at_s
    if since_s > _SOON_S:
        return None
    left = last.remaining_mib + ((guest.dirty_mib_s or 0.0) - guest.link_mib_s) * since_s
    return max(0.0, min(left, max(last.remaining_mib, guest.working_set_mib or 0.0)))


def in_one_pass_mib(timeline: Timeline) -> float:
    """What was sent where there was one pass only; 0 otherwise."""
    completed = timeline.first("completed")
    if completed is None or len(timeline.all("iteration")) > 2 or timeline.first("postcopy") is not None:
        return 0.0
    return float(completed.data.get("memory_processed") or 0) / _MIB


def besides_ms(result: Outcome, timeline: Timeline, begun_at: float | None) -> float | None:
    """What it took besides the passes and the pause."""
    resumed = timeline.first("resumed")
    if begun_at is None or resumed is None or result["state"] != "moved" or result["total_ms"] is None:
        return None
    return max(0.0, result["total_ms"] - (resumed.at - begun_at) * 1000)


def carried_mib_s(timeline: Timeline, begun_at: float | None, stopped_at: float) -> float | None:
    """What the link carried in the only pass that there was, where that was long enough to tell. MiB/s."""
    completed = timeline.first("completed")
    if begun_at is None or completed is None or stopped_at - begun_at < _LONG_S:
        return None
    sent: int | None = completed.data.get("memory_processed")
    return None if not sent else sent / _MIB / (stopped_at - begun_at)
