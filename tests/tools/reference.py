# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tools that write pages of docs/ from tables share."""

from __future__ import annotations

from pathlib import Path


def escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("_", "\\_").replace("|", "\\|")


def keep(path: Path, wanted: str, arguments: list[str], usage: str) -> int:
    """Writes the page, or with --check compares it: 0 where it is as it should be."""
    if arguments == ["--check"]:
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            print(f"{path.name}: up to date")
            return 0
        print(f"{path.name}: out of date. Remedy: make docs")
        return 1
    if arguments:
        print(usage)
        return 2
    path.write_text(wanted, encoding="utf-8")
    return 0
