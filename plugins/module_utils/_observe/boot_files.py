# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of its host that a guest was started with: firmware, kernel, ROMs. What the destination has is asked by path.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

from .._model.api import Answer, Question
from . import area, files
from .collector import Collector

_QCOW2 = b"QFI\xfb"
_FORMATS = {"loader": "loader_format", "nvram": "nvram_format", "nvram_source": "nvram_format"}
_OF_OS = ("loader", "nvram", "nvram_source", "kernel", "initrd", "dtb", "acpi_table")


def paths(facts: t.Mapping[str, t.Any]) -> list[str]:
    """Absolute paths in the facts of a domain's XML, each once, in their order."""
    boot = facts["settings"]["os"]
    named = [boot[fact] for fact in _OF_OS]
    named += facts["lists"]["roms"]
    named += [entry["file"] for entry in facts["lists"]["fwcfg_entries"]]
    return [path for path in dict.fromkeys(named) if path and path.startswith("/")]


def add(collector: Collector) -> None:
    """Adds ``boot_files``: ``path`` and ``size`` in bytes as the guest sees it, None where there is none any more."""
    if "settings" not in collector.facts:
        collector.unknown.append({"fact": "boot_files", "reason": "the domain's XML could not be read"})
        return
    formats = _formats(collector.facts["settings"]["os"])
    found: list[dict[str, t.Any]] = []
    for path in paths(collector.facts):
        entry: dict[str, t.Any] = {"path": path}
        try:
            entry["size"] = guest_size(path, formats.get(path))
        except (FileNotFoundError, NotADirectoryError):
            entry["size"] = None
        except (OSError, ValueError) as error:
            collector.unknown.append({"fact": f"boot_files.{path}.size", "reason": str(error)})
        found.append(entry)
    collector.facts["boot_files"] = found


def _formats(boot: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {boot[name]: boot[fact] for name, fact in _FORMATS.items() if boot[name] and boot[fact]}


def guest_size(path: str, image_format: str | None) -> int:
    """Bytes of the firmware that a guest sees in an image of this format; None is raw.

    Raises OSError, and ValueError where the size cannot be told from the file.
    """
    return files.looked(path, lambda: _guest_size(path, image_format), f"looking at {path}")


def _guest_size(path: str, image_format: str | None) -> int:
    if image_format in (None, "raw"):
        return os.stat(path).st_size
    if image_format != "qcow2":
        raise ValueError(f"{path} is of format {image_format}, whose size is not known")
    with open(path, "rb") as file:
        header = file.read(32)
    # docs/interop/qcow2.rst of QEMU: bytes 24 to 31 are the virtual size, big-endian
    if not header.startswith(_QCOW2) or len(header) < 32:
        raise ValueError(f"{path} is not of format qcow2")
    return int.from_bytes(header[24:], "big")


def firmware_size(_host: area.Host, question: Question) -> Answer:
    """``value``: path and format. ``exists``, and ``size`` as guest_size tells it."""
    path, image_format = question["value"]
    try:
        return {"exists": True, "size": guest_size(path, image_format)}
    except (FileNotFoundError, NotADirectoryError):
        return {"exists": False}


ASKS: t.Mapping[str, area.Ask] = {"firmware_size": firmware_size}
