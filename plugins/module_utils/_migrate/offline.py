# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it amounts to when only a definition was to move, since the domain does not run: a table as that of verdict.py.

One definition is left in every row, and none is touched on a host where the domain has been started meanwhile.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .truth import ABSENT, FENCED, PAUSED, RUNNING, SHUTOFF, SHUTOFF_MIGRATED, SILENT, Place
from .verdict import NOTHING, RELEASE_DESTINATION, RELEASE_ENDED, RELEASE_SOURCE, UNKNOWN, Verdict

_NONE = frozenset({ABSENT, FENCED})
_DEFINED = frozenset({SHUTOFF, SHUTOFF_MIGRATED})
_ACTIVE = frozenset({RUNNING, PAUSED})

_KEPT = Verdict("rolled_back", RELEASE_SOURCE, "failed", "source", "the definition has stayed on its source")
_MOVED = Verdict("moved", RELEASE_DESTINATION, "moved", "destination", "the definition is at the destination")
_TWICE = Verdict(
    "twice",
    NOTHING,
    "unknown",
    None,
    "both hosts have the definition, and the destination has started the domain. Undefine it on the source",
)
_LOST = Verdict(
    "definition_lost",
    RELEASE_ENDED,
    "failed",
    "source",
    "neither host had the definition, so the kept one was put back",
)

# The first row that fits holds.
_ROWS: tuple[tuple[t.Collection[str], t.Collection[str], Verdict], ...] = (
    (_DEFINED | _ACTIVE, _NONE | _DEFINED, _KEPT),
    (_DEFINED | _ACTIVE, _ACTIVE, _TWICE),
    (_NONE, _DEFINED | _ACTIVE, _MOVED),
    # Not where the source is dead: then the definition is on its disk.
    ({ABSENT}, _NONE, _LOST),
)


def verdict(source: Place, destination: Place) -> Verdict:
    """What the two places mean. A combination that the table does not have is unknown, as a silent host is."""
    if SILENT in (source.word, destination.word):
        return UNKNOWN
    for here, there, found in _ROWS:
        if source.word in here and destination.word in there:
            return found
    return UNKNOWN._replace(meaning="no move of a definition leaves this behind, so nothing is done")
