# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as text for people. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Move, Plan, Way, plain_way, way_of
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import edit_text
from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import WIDTH, wrap

from .stays import stay_lines

DIGEST_DIGITS = 8
_STATES = {"paused": "its guest paused", "shutoff": "its definition only"}
_HEADINGS = ("domain", "from", "to", "memory MiB", "pause ms", "ceiling ms", "total s", "forecast")
_TEXTS = ("domain", "from", "to", "forecast")
_UNKNOWN = "-"
_VERDICTS = {
    "needs_blackout": "arrives with a longer pause than QEMU's own limit",
    "needs_postcopy": "arrives by post-copy only",
    "cannot": "is not expected to arrive",
}


def table(plan: Plan) -> str:
    """What moves where, and who stays and why. No line is longer than 110 characters, unless a name is."""
    head = f"Plan {short_digest(plan['digest'])}: {len(plan['moves'])} to move, {len(plan['stays'])} to stay"
    moves = plan["moves"]
    lines = [head, *_moves(moves), *_forecasts(moves), *_edits(moves), *_ways(moves)]
    if plan["stays"]:
        lines += ["", *stay_lines(plan["stays"], plan["destinations"])]
    return "\n".join(lines)


def _edits(moves: t.Sequence[Move]) -> list[str]:
    """The changes of definitions, said below the moves."""
    lines = []
    for move in moves:
        if move["edits"]:
            what = "; ".join(edit_text(edit) for edit in move["edits"])
            lines += wrap(f"{move['domain']} is changed on its way: {what}.", WIDTH, "  ", "    ")
    return ["", *lines] if lines else []


def _ways(moves: t.Sequence[Move]) -> list[str]:
    """What is special about the way of a move; moves with the same are said together."""
    same: dict[str, list[str]] = {}
    for move in moves:
        same.setdefault(_way_text(way_of(move)), []).append(move["domain"])
    lines = []
    for said, names in same.items():
        if said:
            lines += wrap(f"{', '.join(names)} {'goes' if len(names) == 1 else 'go'} {said}.", WIDTH, "  ", "    ")
    return ["", *lines] if lines else []


def _way_text(way: Way) -> str:
    usual = plain_way()
    said = {name: value for name, value in way.items() if value != usual[name]}  # type: ignore[literal-required]
    state, reason = said.pop("state", None), said.pop("vf_reason", None)
    words = [_STATES[state]] if state in _STATES else []
    words += [f"{name} {_value(value)}" for name, value in said.items()]
    words += [f"because {reason}"] if reason else []
    return f"with {', '.join(words)}" if words else ""


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return "on" if value is True else str(value)


def short_digest(digest: str) -> str:
    """As much of a plan's digest as people are shown, and as names of runs carry."""
    return digest[:DIGEST_DIGITS]


def _moves(moves: t.Sequence[Move]) -> list[str]:
    if not moves:
        return []
    rows = [_HEADINGS, *map(_cells, moves)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return ["", *(_row(row, widths) for row in rows)]


def _cells(move: Move) -> tuple[str, ...]:
    """A forecast that is not known is shown as such, and the ceiling always: that is the promise."""
    forecast, ceiling = move["forecast"], move["profile"].get("ceiling_ms")
    runs = way_of(move)["state"] == "running"
    total = None if forecast is None or forecast["total_ms"] is None else round(forecast["total_ms"] / 1000)
    return (
        move["domain"],
        move["source"],
        move["destination"],
        str(move["memory_mib"]),
        _known(None if forecast is None else forecast["blackout_ms"]),
        _known(ceiling if runs else None),
        _known(total),
        _UNKNOWN if forecast is None else forecast["verdict"],
    )


def _known(value: int | None) -> str:
    return _UNKNOWN if value is None else str(value)


def _forecasts(moves: t.Sequence[Move]) -> list[str]:
    """Why those are expected not to switch over by themselves."""
    lines = []
    for move in moves:
        forecast = move["forecast"]
        if forecast is not None and forecast["verdict"] not in ("converges", "unknown"):
            text = f"{move['domain']} {_VERDICTS[forecast['verdict']]}: {forecast['reason']}."
            lines += wrap(text, WIDTH, "  ", "    ")
    return ["", *lines] if lines else []


def _row(row: t.Sequence[str], widths: t.Sequence[int]) -> str:
    cells = [
        text.ljust(width) if name in _TEXTS else text.rjust(width) for name, text, width in zip(_HEADINGS, row, widths)
    ]
    return ("  " + "  ".join(cells)).rstrip()
