# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the ceiling was kept, over all attempts: what the timeline tells of each pause, and what nobody saw. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._model.api import Downtime, Outcome
from .._policy import api as policy
from .outcome import pauses_ms
from .watch import Timeline

UNHEARD, ADOPTED = "unheard", "adopted"
"""Events of a timeline: the source's daemon was lost meanwhile; an earlier run was interrupted with this domain."""
_NOT_PROVEN = ("unknown", "recoverable")
_UNMEASURED: Downtime = {"compute_ms": None, "libvirt_ms": None, "network_ms": None}


def worst(result: Outcome, timeline: Timeline, ceiling_ms: int) -> policy.Breach | None:
    """The worst of all pauses, also of those after which it went on where it was; and what was not measured."""
    moved, told = result["state"] == "moved", {event.name for event in timeline.events}
    stood: list[Downtime] = [
        {"compute_ms": ms, "libvirt_ms": None, "network_ms": None}
        for ms in pauses_ms(timeline, moved)
        if ms is not None or not moved
    ]
    if moved:
        stood.append(result["downtime"])
    elif result["state"] in _NOT_PROVEN or UNHEARD in told:
        stood.append(_UNMEASURED)
    found = [policy.breach(pause, ceiling_ms) for pause in stood]
    if ADOPTED in told:
        found.append(policy.unmeasured(ceiling_ms, "an earlier run, which was interrupted, has paused it"))
    return max((breach for breach in found if breach), key=lambda breach: breach.by_ms or 0, default=None)
