# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of its host that a guest was started with: firmware, kernel, ROMs. What the destination has is asked by path.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

from .collector import Collector

_OF_OS = ("loader", "nvram", "nvram_source", "kernel", "initrd", "dtb", "acpi_table")


def paths(facts: t.Mapping[str, t.Any]) -> list[str]:
    """Absolute paths in the facts of a domain's XML, each once, in their order."""
    boot = facts["settings"]["os"]
    named = [boot[fact] for fact in _OF_OS]
    named += facts["lists"]["roms"]
    named += [entry["file"] for entry in facts["lists"]["fwcfg_entries"]]
    return [path for path in dict.fromkeys(named) if path and path.startswith("/")]


def add(collector: Collector) -> None:
    """Adds ``boot_files``: ``path`` and ``size`` in bytes, None where there is none any more."""
    if "settings" not in collector.facts:
        collector.unknown.append({"fact": "boot_files", "reason": "the domain's XML could not be read"})
        return
    found: list[dict[str, t.Any]] = []
    for path in paths(collector.facts):
        entry: dict[str, t.Any] = {"path": path}
        try:
            entry["size"] = os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            entry["size"] = None
        except OSError as error:
            collector.unknown.append({"fact": f"boot_files.{path}.size", "reason": str(error)})
        found.append(entry)
    collector.facts["boot_files"] = found
