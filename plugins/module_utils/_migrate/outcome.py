# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a timeline to an outcome: pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import SCHEMA, Downtime, Move, Outcome, Phase
from .guard import HELD
from .watch import Event, Timeline

_NO_DOWNTIME: Downtime = {"compute_ms": None, "libvirt_ms": None, "network_ms": None}
_STOPS, _RUNS = ("suspended", "postcopy"), ("rolled_back", "unpaused")


def outcome(move: Move, state: str, *, running_on: str | None = None, error: str | None = None) -> Outcome:
    """An outcome without measurements: nothing was migrated."""
    return {
        "schema": SCHEMA,
        "kind": "outcome",
        "domain": move["domain"],
        "uuid": move["uuid"],
        "source": move["source"],
        "destination": move["destination"],
        "state": state,
        "running_on": running_on,
        "error": error,
        "downtime": _NO_DOWNTIME,
        "total_ms": None,
        "bytes": None,
        "iterations": None,
        "ceiling_ms": None,
        "breach": None,
        "forecast": None,
        "samples": [],
        "decisions": [],
        "convergence": None,
        "phases": [],
        "proofs": [],
        "logs": [],
        "diagnosis": None,
    }


def measured(result: Outcome, timeline: Timeline, started: float, ended: float) -> Outcome:
    """``result`` with what the events tell. A figure that was not reported stays None."""
    completed = timeline.first("completed")
    statistics: dict[str, t.Any] = {} if completed is None else completed.data
    return {
        **result,
        "downtime": {
            "compute_ms": compute_downtime_ms(timeline),
            "libvirt_ms": statistics.get("downtime"),
            "network_ms": None,
        },
        "total_ms": round((ended - started) * 1000),
        "bytes": statistics.get("data_processed"),
        "iterations": _iterations(timeline, statistics),
        "phases": phases(timeline, started),
    }


def compute_downtime_ms(timeline: Timeline) -> int | None:
    """From the source's SUSPENDED, whose detail tells post-copy, to the destination's RESUMED.

    Both arrive at the source host and are timed by its monotonic clock; the error is the time that the destination's
    event takes over the network.
    """
    stopped = timeline.first("suspended") or timeline.first("postcopy")
    resumed = timeline.first("resumed")
    if stopped is None or resumed is None:
        return None
    return round((resumed.at - stopped.at) * 1000)


def pauses_ms(timeline: Timeline, there: bool) -> list[int | None]:
    """How long the guest stood still each time that it was stopped, over all attempts; None: it was not seen to run
    again. ``there``: it has gone on at the destination; otherwise what may have run there for a moment is lost. What
    ran for a moment on the source, and was then held by guard.py, did not run either."""
    runs = (*_RUNS, "resumed") if there else _RUNS
    found: list[tuple[Event, Event | None]] = []
    for event in timeline.events:
        since, until = found[-1] if found else (event, event)
        if event.name in _STOPS and until is not None:
            found.append((event, None))
        elif event.name in runs and until is None:
            found[-1] = since, event
        elif event.name == HELD and found and until is not None and until.name == "rolled_back":
            found[-1] = since, None
    return [None if until is None else round((until.at - since.at) * 1000) for since, until in found]


def _iterations(timeline: Timeline, statistics: dict[str, t.Any]) -> int | None:
    numbers = [event.data for event in timeline.all("iteration")]
    return statistics.get("memory_iteration") or (max(numbers) if numbers else None)


def phases(timeline: Timeline, started: float) -> list[Phase]:
    """The events in the order in which they came, iterations numbered."""
    return [
        {
            "name": f"iteration {event.data}" if event.name == "iteration" else event.name,
            "at_ms": round((event.at - started) * 1000),
        }
        for event in timeline.events
        if event.at >= started
    ]
