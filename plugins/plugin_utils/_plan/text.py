# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as text for people. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import textwrap
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Finding, Move, Plan, Stay

WIDTH = 110
_HEADINGS = ("domain", "from", "to", "memory MiB")


def table(plan: Plan) -> str:
    """What moves where, and who stays and why. No line is longer than 110 characters, unless a name is."""
    head = f"Plan {plan['digest'][:8]}: {len(plan['moves'])} to move, {len(plan['stays'])} to stay"
    lines = [head, *_moves(plan["moves"])]
    for names, block in _blocks(plan):
        lines += ["", *_wrap(names, "", "  "), *block]
    return "\n".join(lines)


def _moves(moves: t.Sequence[Move]) -> list[str]:
    if not moves:
        return []
    rows = [_HEADINGS, *((m["domain"], m["source"], m["destination"], str(m["memory_mib"])) for m in moves)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return ["", *(_row(row, widths) for row in rows)]


def _row(row: t.Sequence[str], widths: t.Sequence[int]) -> str:
    cells = [text.ljust(width) for text, width in zip(row[:-1], widths[:-1])]
    return "  " + "  ".join([*cells, row[-1].rjust(widths[-1])])


def _blocks(plan: Plan) -> list[tuple[str, list[str]]]:
    """Stays that have the same reasons share a block: (whose it is, its lines)."""
    sharing: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for stay in plan["stays"]:
        places = [name for name in plan["destinations"] if name != stay["source"]]
        key = (stay["source"], stay["state"], tuple(_reasons(stay, places)))
        sharing.setdefault(key, []).append(stay["domain"])
    return [
        (f"{', '.join(names)} ({state}) {'stays' if len(names) == 1 else 'stay'} on {source}:", list(lines))
        for (source, state, lines), names in sharing.items()
    ]


def _reasons(stay: Stay, places: t.Sequence[str]) -> list[str]:
    """The stay's reasons. One that several destinations share is said once, with their names."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in stay["reasons"]:
        groups.setdefault(_key(finding), []).append(finding)
    lines: list[str] = []
    for (check, message, remedy), findings in groups.items():
        names = [finding["destination"] for finding in findings if finding["destination"]]
        if len(findings) == 1:
            message, remedy = findings[0]["message"], findings[0]["remedy"]
        lines += _wrap(f"{_to(names, places)}{message} [{check}]", "  - ", "    ")
        lines += _wrap(f"Remedy: {remedy}.", "    ", "    ")
    return lines


def _key(finding: Finding) -> tuple[str, str, str]:
    """Equal for findings that say the same of different destinations."""
    name = finding["destination"]
    if name is None:
        return finding["check"], finding["message"], finding["remedy"]
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)")
    message, remedy = (word.sub("the destination", finding[part]) for part in ("message", "remedy"))
    return finding["check"], message, remedy


def _to(names: t.Sequence[str], places: t.Sequence[str]) -> str:
    if not names:
        return ""
    if len(places) > 1 and set(names) >= set(places):
        return "to every destination: "
    return f"to {', '.join(names)}: "


def _wrap(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
