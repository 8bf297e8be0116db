# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Aligning and wrapping text for a terminal, by the columns that characters take there: pure. Plan and report use it.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import unicodedata

__all__ = ["WIDTH", "Column", "chunks", "columns_of", "grid", "printable", "wrap"]

WIDTH = 110
GAP = "  "
_NARROWEST = 8


class Column(t.NamedTuple):
    """``group`` stands above neighbours that share it. A column that ``wraps`` gives way when space is short."""

    title: str
    group: str = ""
    wraps: bool = False


def columns_of(text: str) -> int:
    """Terminal columns that ``text`` takes: East Asian wide characters two, combining marks none."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def printable(text: str) -> str:
    """One line without control characters: names and libvirt's messages come from outside."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def chunks(text: str, width: int) -> list[str]:
    """``text`` cut into pieces of at most ``width`` columns; nothing is left out."""
    pieces, piece = [], ""
    for character in text:
        if columns_of(piece + character) > width:
            pieces.append(piece)
            piece = ""
        piece += character
    return [*pieces, piece]


def wrap(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken at spaces; ``hanging`` indents all but the first."""
    rest = indent if hanging is None else hanging
    lines, line, blank = [], indent, True
    for word in printable(text).split(" "):
        for piece in chunks(word, width - max(columns_of(indent), columns_of(rest))):
            if not blank and columns_of(line) + 1 + columns_of(piece) > width:
                lines.append(line)
                line, blank = rest, True
            line += piece if blank else f" {piece}"
            blank = False
    return [*lines, line]


def grid(columns: t.Sequence[Column], rows: t.Sequence[t.Sequence[str]], width: int) -> list[str]:
    """A table of at most ``width`` columns: text to the left, numbers to the right, long names on several lines."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = _widths(columns, rows, width)
    lines = [_groups(columns, widths), _line([column.title for column in columns], columns, widths)]
    lines.append(GAP.join("-" * size for size in widths))
    for row in rows:
        lines += _row(row, columns, widths)
    return [line.rstrip() for line in lines if line.strip()]


def _widths(columns: t.Sequence[Column], rows: t.Sequence[t.Sequence[str]], width: int) -> list[int]:
    widths = [max(map(columns_of, (column.title, *cells))) for column, *cells in zip(columns, *rows)]
    available = width - len(GAP) * (len(columns) - 1)
    while sum(widths) > available:
        widest = max((i for i, column in enumerate(columns) if column.wraps), key=lambda i: widths[i])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _groups(columns: t.Sequence[Column], widths: t.Sequence[int]) -> str:
    """The line above the titles. A group begins where its first title begins."""
    line, previous, at = "", "", 0
    for column, size in zip(columns, widths):
        if column.group and column.group != previous:
            line = line.ljust(at + size - columns_of(column.title)) + column.group
        previous, at = column.group, at + size + len(GAP)
    return line


def _row(row: t.Sequence[str], columns: t.Sequence[Column], widths: t.Sequence[int]) -> list[str]:
    cells = [chunks(cell, size) for cell, size in zip(row, widths)]
    height = max(map(len, cells))
    filled = [cell + [""] * (height - len(cell)) for cell in cells]
    return [_line(line, columns, widths) for line in zip(*filled)]


def _line(cells: t.Sequence[str], columns: t.Sequence[Column], widths: t.Sequence[int]) -> str:
    padded = []
    for cell, column, size in zip(cells, columns, widths):
        padding = " " * (size - columns_of(cell))
        padded.append(cell + padding if column.wraps else padding + cell)
    return GAP.join(padded)
