# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as text for people. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Move, Plan
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import edit_text
from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import WIDTH, wrap

from .stays import stay_lines

DIGEST_DIGITS = 8
_HEADINGS = ("domain", "from", "to", "memory MiB")


def table(plan: Plan) -> str:
    """What moves where, and who stays and why. No line is longer than 110 characters, unless a name is."""
    head = f"Plan {short_digest(plan['digest'])}: {len(plan['moves'])} to move, {len(plan['stays'])} to stay"
    lines = [head, *_moves(plan["moves"]), *_edits(plan["moves"])]
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


def short_digest(digest: str) -> str:
    """As much of a plan's digest as people are shown, and as names of runs carry."""
    return digest[:DIGEST_DIGITS]


def _moves(moves: t.Sequence[Move]) -> list[str]:
    if not moves:
        return []
    rows = [_HEADINGS, *((m["domain"], m["source"], m["destination"], str(m["memory_mib"])) for m in moves)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return ["", *(_row(row, widths) for row in rows)]


def _row(row: t.Sequence[str], widths: t.Sequence[int]) -> str:
    cells = [text.ljust(width) for text, width in zip(row[:-1], widths[:-1])]
    return "  " + "  ".join([*cells, row[-1].rjust(widths[-1])])
