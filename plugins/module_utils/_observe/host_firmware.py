# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: firmware and ROM files.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os

from . import area

# Where the packages of Debian, Fedora, RHEL, SUSE and Arch put what QEMU loads by name, in the order of its search.
FOLDERS = (
    "/usr/share/qemu",
    "/usr/share/qemu-kvm",
    "/usr/share/seabios",
    "/usr/share/seavgabios",
    "/usr/lib/ipxe/qemu",
    "/usr/share/ipxe/qemu",
    "/usr/share/ipxe",
)
_ENDS = (".rom", ".bin")
_STARTS = ("bios", "efi-", "pxe-", "vgabios")


def roms(_host: area.Host) -> dict[str, int]:
    """Name -> bytes of each BIOS and option ROM; the first folder that has it counts, as with QEMU."""
    found: dict[str, int] = {}
    for folder in FOLDERS:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, name)
            if name not in found and name.startswith(_STARTS) and name.endswith(_ENDS) and os.path.exists(path):
                found[name] = os.stat(path).st_size
    return found


FACTS: area.Facts = {
    "roms": area.Fact(roms, "Name -> bytes of the BIOS and option ROM files in the folders of QEMU's packages"),
}
