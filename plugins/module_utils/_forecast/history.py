# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What earlier runs of a domain teach about the next one. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import statistics
import typing as t

from .._model.api import Convergence
from .model import Guest, devices_ms

RUNS = 10
"""The last ones; what a guest did long ago says little about today."""
_CAUTION = 0.8
"""Of what a guest has written, the figure that four runs of five stayed below: planning with the middle would be wrong
every other time."""

_VOTES = 3
_MEMORY_MOST_MS = 300.0
"""Of a pause that was longer for its memory, a part of the memory's is as large as what is looked for: what was left is
known within some percent."""
_BASE_LEAST_MS = 20.0
"""No switchover takes less (model.py); where a run seems to have, more was left at the stop than there was."""


def with_history(
    guest: Guest,
    outcomes: t.Sequence[t.Mapping[str, t.Any]],
    destination: str | None = None,
    source: str | None = None,
    uuid: str | None = None,
) -> Guest:
    """``guest`` with what was measured before, where nothing fresher is known.

    ``outcomes``: oldest first, each with ``convergence`` as ``remember`` makes it; others are ignored. Rate, working
    set and base are those of this domain (``uuid``; None: all are), the base of its moves to ``destination``, or while
    there are few of them of anybody's. What the link carries, and what a migration takes besides, is known from
    whatever has gone from ``source`` to ``destination`` (None: from anywhere, to anywhere).
    """
    found = [(outcome, outcome["convergence"]) for outcome in outcomes if outcome.get("convergence")]
    own = [entry for entry in found if uuid is None or entry[0].get("uuid") == uuid]
    others = [entry for entry in found if uuid is not None and entry[0].get("uuid") != uuid]
    dirty = _cautious([kept["dirty_mib_s"] for _outcome, kept in own[-RUNS:]])
    wide = _cautious([kept["working_set_mib"] for _outcome, kept in own[-RUNS:]])
    if guest.dirty_mib_s is None and dirty is not None:
        # Both or none: one without the other would mix two guests.
        guest = guest._replace(
            dirty_mib_s=dirty, working_set_mib=None if wide is None else min(wide, guest.touched_mib)
        )
    ends = {"source": source, "destination": destination}
    links = [kept["link_mib_s"] for outcome, kept in found if kept["link_mib_s"] and _between(outcome, ends)]
    if links and not guest.link_mib_s:
        guest = guest._replace(link_mib_s=statistics.median(links[-RUNS:]))
    setups = [kept["setup_ms"] for outcome, kept in found if kept.get("setup_ms") and _between(outcome, ends)]
    if setups and not guest.setup_ms:
        guest = guest._replace(setup_ms=statistics.median(setups[-RUNS:]))
    mine, theirs = (
        [entry for entry in entries if _between(entry[0], {"destination": destination})] for entries in (own, others)
    )
    plain = guest._replace(device_mib=0.0, device_ms=0.0)
    base_ms, postcopy_ms = (
        _voted(_bases(guest, mine, postcopy), _voted(_bases(plain, theirs, postcopy), otherwise_ms))
        for otherwise_ms, postcopy in ((guest.base_ms, False), (guest.postcopy_ms, True))
    )
    return guest._replace(base_ms=base_ms, postcopy_ms=postcopy_ms)


def _voted(bases_ms: t.Sequence[float], otherwise_ms: float) -> float:
    """The median. One switchover of a busy host says little: two of them outvote what holds otherwise."""
    return statistics.median([*bases_ms, *[otherwise_ms] * (_VOTES - len(bases_ms))])


def touched_mib(
    resident_mib: float | None,
    memory_mib: float,
    outcomes: t.Sequence[t.Mapping[str, t.Any]] = (),
    uuid: str | None = None,
) -> float:
    """What of a guest's memory must cross: what is resident (None: not known, so all of it), and of that the part that
    had to in its earlier runs, for QEMU itself and pages of zeros do not. Never more than it has (0: not known)."""
    resident = float(memory_mib if resident_mib is None else resident_mib)
    kept = [outcome["convergence"] for outcome in outcomes if outcome.get("convergence") and outcome["uuid"] == uuid]
    parts = [min(1.0, run["touched_mib"] / run["resident_mib"]) for run in kept[-RUNS:] if _crossed(run)]
    touched = resident * (statistics.median(parts) if parts else 1.0)
    return min(touched, memory_mib) if memory_mib else touched


def _crossed(kept: t.Mapping[str, t.Any]) -> bool:
    return bool(kept.get("touched_mib") and kept.get("resident_mib"))


def _between(outcome: t.Mapping[str, t.Any], ends: t.Mapping[str, str | None]) -> bool:
    return all(name is None or outcome.get(end) == name for end, name in ends.items())


def remember(
    guest: Guest,
    stopped_with_mib: float | None,
    setup_ms: float | None = None,
    resident_mib: float | None = None,
    postcopy: bool = False,
) -> Convergence:
    """What an outcome keeps for the next run. ``guest``: with what had to cross as ``touched_mib``, 0 where that was
    not seen; ``stopped_with_mib``: sent while it was stopped; ``setup_ms``: what the migration took
    before its first pass and after its switchover; ``resident_mib``: before the start; None: not known.
    ``postcopy``: whether it was switched over to that."""
    return {
        "resident_mib": _rounded(resident_mib),
        "touched_mib": _rounded(guest.touched_mib or None),
        "dirty_mib_s": _rounded(guest.dirty_mib_s),
        "working_set_mib": _rounded(guest.working_set_mib),
        "link_mib_s": _rounded(guest.link_mib_s or None),
        "stopped_with_mib": _rounded(stopped_with_mib),
        "postcopy": postcopy,
        "setup_ms": None if setup_ms is None else round(setup_ms),
        "device_ms": round(devices_ms(guest)),
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)


def _cautious(figures: t.Sequence[float | None]) -> float | None:
    known = sorted(figure for figure in figures if figure is not None)
    return known[min(len(known) - 1, int(_CAUTION * len(known)))] if known else None


def _bases(
    guest: Guest, entries: t.Sequence[tuple[t.Mapping[str, t.Any], t.Mapping[str, t.Any]]], postcopy: bool
) -> list[float]:
    """``postcopy``: of the switchovers to that, or of all others."""
    found = [_base_ms(guest, outcome, kept) for outcome, kept in entries if bool(kept.get("postcopy")) == postcopy]
    return [base for base in found if base is not None][-RUNS:]


def _base_ms(guest: Guest, outcome: t.Mapping[str, t.Any], kept: t.Mapping[str, t.Any]) -> float | None:
    """What of the measured pause is explained neither by memory nor by devices: what these were thought to take then
    (an earlier version did not keep it), or are now, where the label came later."""
    measured: int | None = (outcome.get("downtime") or {}).get("compute_ms")
    if measured is None or not kept["link_mib_s"] or (kept["stopped_with_mib"] is None and not kept.get("postcopy")):
        return None
    memory_ms: float = (kept["stopped_with_mib"] or 0.0) / kept["link_mib_s"] * 1000
    if memory_ms > _MEMORY_MOST_MS:
        return None
    planned_ms: float = max(kept.get("device_ms") or 0, devices_ms(guest._replace(link_mib_s=kept["link_mib_s"])))
    return max(_BASE_LEAST_MS, measured - memory_ms - planned_ms)
