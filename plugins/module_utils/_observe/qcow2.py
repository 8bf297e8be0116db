# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The header of a qcow2 image (QEMU's docs/interop/qcow2.rst).

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from . import files

_MAGIC = b"QFI\xfb"
_LENGTH = 80
# Bit 2 of the incompatible features of version 3, at byte 72: the data is in another file.
_DATA_FILE = 1 << 2


def stands_alone(path: str) -> bool:
    """Whether no other image is below this one. Raises OSError where it cannot be read, ValueError for no qcow2."""
    return files.looked(path, lambda: is_alone(_head(path)), f"reading {path}")


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_LENGTH)


def is_alone(header: bytes) -> bool:
    """The same from the first 80 bytes. Raises ValueError."""
    if not header.startswith(_MAGIC) or len(header) < _LENGTH:
        raise ValueError("it is no qcow2 image")
    version, backing = int.from_bytes(header[4:8], "big"), int.from_bytes(header[8:16], "big")
    features = int.from_bytes(header[72:80], "big") if version >= 3 else 0
    return backing == 0 and not features & _DATA_FILE
