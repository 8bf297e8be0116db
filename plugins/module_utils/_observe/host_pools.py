# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: storage pools, and daemons that serve folders to guests.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import glob
import json
import os
import typing as t

from . import files
from .area import Fact, Facts, Host
from .xml import parse

_VHOST_USER = ("/etc/qemu/vhost-user/*.json", "/usr/share/qemu/vhost-user/*.json")


def pools(host: Host) -> list[dict[str, t.Any]]:
    found = []
    for pool in host.connection.listAllStoragePools():
        xml = parse(pool.XMLDesc(0))
        active = bool(pool.isActive())
        found.append(
            {
                "name": pool.name(),
                "type": xml.get("type"),
                "active": active,
                "path": xml.findtext("target/path"),
            }
        )
    return found


def folder_daemons(_host: Host) -> list[dict[str, t.Any]]:
    """What QEMU's descriptions of vhost-user daemons say of those for folders (type fs), links resolved."""
    found = {}
    for pattern in reversed(_VHOST_USER):
        for path in sorted(glob.glob(pattern)):
            entry = json.loads(files.read(path))
            if isinstance(entry, dict) and entry.get("type") == "fs":
                binary = os.path.realpath(str(entry.get("binary")))
                found[os.path.basename(path)] = {
                    "binary": binary,
                    "runs": _runs(binary),
                    "features": sorted(map(str, entry.get("features", []))),
                }
    return [found[name] for name in sorted(found)]


def _runs(binary: str) -> bool:
    """Whether it can be started: a package that was removed can leave its description behind."""
    return os.access(binary, os.X_OK)


FACTS: Facts = {
    "folder_daemons": Fact(folder_daemons, "virtiofsd and the like: binary, whether it can be started, features"),
    "pools": Fact(pools, "Storage pools: name, type, active, path of their target", by="libvirt"),
}
