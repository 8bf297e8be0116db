# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: how it locks and opens disks.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from . import area, files
from .area import Fact

IO_URING = "/proc/sys/kernel/io_uring_disabled"
NO_LOCK_MANAGER = "nop"


def lock_manager(host: area.Host) -> str:
    return str(host.qemu_conf().get("lock_manager", NO_LOCK_MANAGER))


def io_uring_disabled(_host: area.Host, path: str = IO_URING) -> int:
    try:
        return int(files.read(path))
    except FileNotFoundError:
        return 0


FACTS: area.Facts = {
    "lock_manager": Fact(lock_manager, "lock_manager of qemu.conf: lockd, sanlock or nop"),
    "io_uring_disabled": Fact(
        io_uring_disabled, "kernel.io_uring_disabled: 0 for all users, 1 for those with privileges, 2 for nobody"
    ),
}
