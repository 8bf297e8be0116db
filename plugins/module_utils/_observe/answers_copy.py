# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about volumes, and about targets of storage copies.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import socket
import stat
import typing as t

from .._libvirt import error_code, libvirt
from .._model.api import Answer, Question
from . import files
from .area import Ask, Host
from .child import bounded

_CONNECT_S = 3.0
_QCOW2 = b"QFI\xfb"
_HEADER = 32


def volume(host: Host, question: Question) -> Answer:
    """Whether the pool is active and has the volume, and where."""
    pool, name = question["value"]
    try:
        found = host.connection.storagePoolLookupByName(pool)
        if not found.isActive():
            return {"pool": "inactive", "volume": False}
        path = found.storageVolLookupByName(name).path()
    except libvirt.libvirtError as error:
        if error_code(error) == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return {"pool": "missing", "volume": False}
        if error_code(error) == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return {"pool": "active", "volume": False}
        raise
    return {"pool": "active", "volume": True, "path": path}


def image(_host: Host, question: Question) -> Answer:
    """What there is in a disk image's place. ``capacity``: bytes that a guest would see, by the header of a qcow2."""
    path = question["path"]
    return files.looked(path, lambda: _image(path), f"reading {path}")


def _image(path: str) -> Answer:
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"exists": False}
    if stat.S_ISBLK(info.st_mode):  # a device whose path is dead lets nobody go either
        return t.cast(Answer, bounded(lambda: _header(path, info), f"reading {path}"))
    return _header(path, info)


def _header(path: str, info: os.stat_result) -> Answer:
    with open(path, "rb") as file:
        header = file.read(_HEADER)
        size = info.st_size if stat.S_ISREG(info.st_mode) else file.seek(0, os.SEEK_END)
    if header.startswith(_QCOW2):
        # docs/interop/qcow2.rst of QEMU: big endian, bytes 24 to 31
        return {"exists": True, "format": "qcow2", "capacity": int.from_bytes(header[24:32], "big")}
    return {"exists": True, "format": "raw", "capacity": size}


def space(_host: Host, question: Question) -> Answer:
    """Bytes that are free in the file system of a folder."""
    path = question["path"]
    return files.looked(path, lambda: _space(path), f"looking at {path}")


def _space(path: str) -> Answer:
    if not os.path.isdir(path):
        return {"exists": False}
    info = os.statvfs(path)
    return {"exists": True, "free": info.f_bavail * info.f_frsize}


def port(_host: Host, question: Question) -> Answer:
    """Whether somebody listens on the TCP port."""
    tables = [path for path in ("/proc/net/tcp", "/proc/net/tcp6") if os.path.exists(path)]
    return {"taken": question["value"] in files.listening_ports(*map(files.read, tables))}


def connect(_host: Host, question: Question) -> Answer:
    """Whether a TCP connection can be opened from here; it is closed at once and nothing is sent."""
    name, number = question["value"]
    try:
        socket.create_connection((name, number), _CONNECT_S).close()
    except OSError as error:
        return {"ok": False, "reason": str(error)}
    return {"ok": True}


ASKS: t.Mapping[str, Ask] = {
    "connect": connect,
    "image": image,
    "port": port,
    "space": space,
    "volume": volume,
}
