# SPDX-License-Identifier: GPL-3.0-or-later

"""Text as a terminal shows it."""

from __future__ import annotations

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import Column, grid, printable, wrap


def test_wide_characters_are_counted_as_the_terminal_shows_them() -> None:
    lines = grid((Column("name", wraps=True), Column("n")), [["ab", "1"], ["数据", "2"], ["e\u0301", "3"]], 40)
    assert lines == ["name  n", "----  -", "ab    1", "数据  2", "e\u0301     3"]


def test_control_characters_are_replaced() -> None:
    assert printable("a\x1b[31mb\nc\td") == "a?[31mb c d"


@pytest.mark.parametrize("width", [20, 30, 110])
def test_wrapping_keeps_every_word_and_the_width(width: int) -> None:
    text = "one two three " * 20 + "x" * 150
    lines = wrap(text, width, "  ", "      ")
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines[0].startswith("  one")
    assert all(line.startswith("      ") for line in lines[1:])
