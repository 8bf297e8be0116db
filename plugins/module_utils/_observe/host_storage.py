# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: how it locks and opens disks.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from . import area, files
from .area import Fact

IO_URING = "/proc/sys/kernel/io_uring_disabled"
NO_LOCK_MANAGER = "nop"
CEPH = "/etc/ceph"
_REMARK = re.compile(r"(^|\s)[#;].*")


def lock_manager(host: area.Host) -> str:
    return str(host.qemu_conf().get("lock_manager", NO_LOCK_MANAGER))


def io_uring_disabled(_host: area.Host, path: str = IO_URING) -> int:
    try:
        return int(files.read(path))
    except FileNotFoundError:
        return 0


def ceph(_host: area.Host, folder: str = CEPH) -> dict[str, dict[str, t.Any]]:
    """Raises OSError where a file may not be read."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    except FileNotFoundError:
        return {}
    return {os.path.join(folder, name): ceph_cluster(files.read(os.path.join(folder, name))) for name in names}


def ceph_cluster(text: str) -> dict[str, t.Any]:
    """``fsid`` and ``mon_host`` (sorted addresses) of a ceph.conf; None where it says nothing, or not only one thing.

    Ceph takes "mon host", "mon-host" and "mon_host" for one name (doc/rados/configuration/ceph-conf.rst).
    """
    found: dict[str, set[str]] = {"fsid": set(), "mon_host": set()}
    section = "global"
    for line in text.replace("\\\n", " ").splitlines():
        line = _REMARK.sub("", line).strip()
        if line.startswith("["):
            section = line.strip("[] \t").partition(".")[0]
        name, equals, value = line.partition("=")
        key = re.sub(r"[\s_-]+", "_", name.strip())
        if equals and section in ("global", "client") and key in found:
            found[key].add(" ".join(sorted(value.strip().strip("\"'").replace(",", " ").split())))
    fsid, mon_host = (values.pop() if len(values) == 1 else "" for values in found.values())
    return {"fsid": fsid.lower() or None, "mon_host": mon_host.split() or None}


FACTS: area.Facts = {
    "ceph": Fact(
        ceph,
        "Path of each /etc/ceph/*.conf -> fsid and mon_host (a list) of the cluster that it names, or None",
    ),
    "lock_manager": Fact(lock_manager, "lock_manager of qemu.conf: lockd, sanlock or nop"),
    "io_uring_disabled": Fact(
        io_uring_disabled, "kernel.io_uring_disabled: 0 for all users, 1 for those with privileges, 2 for nobody"
    ),
}
