# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: what libvirt is told to do there by files of the administrator.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from . import files
from .area import Fact, Facts, Host

_HOOKS = "/etc/libvirt/hooks"
_FOLDERS = ("/etc/libvirt/qemu", "/var/lib/libvirt/qemu")


def hooks(_host: Host) -> list[dict[str, t.Any]]:
    """The hooks of the QEMU driver. ``digest`` is None where the file may not be read."""
    paths = [f"{_HOOKS}/qemu"] if "qemu" in _listed(_HOOKS) else []
    if "qemu.d" in _listed(_HOOKS):
        paths += [f"{_HOOKS}/qemu.d/{name}" for name in _listed(f"{_HOOKS}/qemu.d")]
    return [
        {"path": path, "executable": _executable(path), "digest": _digest(path)}
        for path in paths
        if os.path.isfile(path)
    ]


def _listed(folder: str) -> list[str]:
    """Raises OSError for others than root where only root may look."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _executable(path: str) -> bool:
    """By the file's mode: the daemon runs as root, whoever looks."""
    return bool(os.stat(path).st_mode & 0o111)


def _digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]
    except PermissionError:
        return None


def state_folders(_host: Host) -> list[t.Any]:
    """The folders in which the daemon keeps definitions and state, each as a PathIdentity."""
    shared = files.declared()
    return [files.path_identity(path, shared) for path in _FOLDERS]


def nic_speed(_host: Host, root: str = "/sys/class/net") -> int | None:
    """Mbit/s of the fastest NIC; None where none tells. Bridges and taps are left out: their speed is made up."""
    real, other = [0], [0]
    for name in os.listdir(root):
        folder = os.path.join(root, name)
        if any(os.path.exists(os.path.join(folder, entry)) for entry in ("bridge", "tun_flags")):
            continue
        speeds = real if any(os.path.exists(os.path.join(folder, entry)) for entry in ("device", "bonding")) else other
        try:
            speeds.append(int(files.read(os.path.join(folder, "speed"))))
        except (OSError, ValueError):  # a device that is down or has no speed says EINVAL
            continue
    fastest = max(real) if max(real) > 0 else max(other)
    return fastest if fastest > 0 else None


FACTS: Facts = {
    "hooks": Fact(hooks, "Hooks of the QEMU driver: path, executable, digest of the content"),
    "nic_speed": Fact(nic_speed, "Mbit/s of the fastest NIC; null where none tells"),
    "state_folders": Fact(state_folders, "/etc/libvirt/qemu and /var/lib/libvirt/qemu, each as a PathIdentity"),
}
