# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about files and disks: whether QEMU could open them, and who has them open.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import stat
import typing as t

from .._model.api import Answer, Question
from . import area, files
from .child import User
from .collector import Collector

_END_BYTES = 65536  # holds the volume descriptors of ISO 9660, which carry the time when it was made
_SMALL_BYTES = 8 << 20  # floppies, and what cloud-init is given
_DYNAMIC_OWNERSHIP = 1  # dynamic_ownership's default in qemu.conf


def qemu_user(host: area.Host, label: str | None = None) -> User:
    """The user as whom QEMU runs here: of the domain's own ``+107:+107``, or libvirt's. Raises ValueError."""
    if label is None:
        for model in host.capabilities().findall("host/secmodel"):
            if model.findtext("model") == "dac":
                label = model.findtext("baselabel[@type='qemu']") or model.findtext("baselabel[@type='kvm']")
    uid, _colon, gid = (label or "").partition(":")
    try:
        entry = pwd.getpwuid(int(uid)) if uid.lstrip("+").isdigit() else pwd.getpwnam(uid)
        return User(entry.pw_name, entry.pw_uid, int(gid) if gid.lstrip("+").isdigit() else entry.pw_gid)
    except KeyError as error:
        raise ValueError(f"libvirt runs QEMU as {label}, and there is no such user: {error}") from error


def openable(host: area.Host, question: Question) -> Answer:
    """Whether QEMU's user can read and write the path, and whether it can be opened past the page cache.

    ``value``: a label that the domain's definition fixes, or None. Answered are:
    access: user, read, write, and folder, the first one above it that this user cannot enter, or None;
    dynamic: whether libvirt changes the file's owner first; direct: whether O_DIRECT works; open_by: processes of this
    host that have it open. What cannot be told is listed as ``unknown``.
    """
    path = question["path"]
    found = files.looked(path, lambda: _real(path), f"looking at {path}")
    if found is None:
        return {"exists": False}
    real, is_block = found
    collector = Collector()
    collector.merge({"exists": True})
    collector.add("access", lambda: _access_as(qemu_user(host, question["value"]), real))
    collector.add("dynamic", lambda: bool(int(host.qemu_conf().get("dynamic_ownership", _DYNAMIC_OWNERSHIP))))
    collector.add("direct", lambda: is_block or files.looked(real, lambda: _direct(real), f"opening {real}"))
    collector.add("open_by", lambda: host.once("open files", _open_files).get(real, []))
    return {**collector.facts, "unknown": collector.unknown}


def _real(path: str) -> list[t.Any] | None:
    """The path with links resolved, and whether it is a block device, which all know O_DIRECT; None: nothing there."""
    real = os.path.realpath(path)
    try:
        return [real, stat.S_ISBLK(os.stat(real).st_mode)]
    except (FileNotFoundError, NotADirectoryError):
        return None


def _access_as(user: User, path: str) -> dict[str, t.Any]:
    other = None if user.uid == os.getuid() else user
    found = files.looked(path, lambda: _access(path), f"opening {path} as {user.name}", other)
    return {**found, "user": user.name}


def _access(path: str) -> dict[str, t.Any]:
    folder = next((above for above in _folders(path) if not os.access(above, os.X_OK)), None)
    return {"folder": folder, "read": os.access(path, os.R_OK), "write": os.access(path, os.W_OK)}


def _folders(path: str) -> list[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _direct(path: str) -> bool:
    """Whether the file system knows O_DIRECT; nothing is read."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def _open_files(proc: str = "/proc") -> dict[str, list[str]]:
    """Path -> who has it open. Raises PermissionError where a process may not be looked at.

    The links below /proc are read and not followed: a file on a dead server would let nobody go.
    """
    found: dict[str, list[str]] = {}
    for pid in os.listdir(proc):
        if pid.isdigit():
            for path in _held(os.path.join(proc, pid, "fd")):
                found.setdefault(path, []).append(f"{_command(os.path.join(proc, pid, 'comm'))} ({pid})")
    return {path: sorted(names) for path, names in found.items()}


def _held(folder: str) -> set[str]:
    held = set()
    try:
        for name in os.listdir(folder):
            held.add(os.readlink(os.path.join(folder, name)))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended, or closed the file, meanwhile
    return held


def _command(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "?"


def ends(_host: area.Host, question: Question) -> Answer:
    """A digest of how the file ``path`` begins and ends, and of all of a small one: digest, None without a file."""
    path = question["path"]
    return {"digest": files.looked(path, lambda: _digest(path), f"reading {path}")}


def _digest(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    found = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _SMALL_BYTES:
            found.update(file.read(_SMALL_BYTES))
        else:
            found.update(file.read(_END_BYTES))
            file.seek(size - _END_BYTES)
            found.update(file.read(_END_BYTES))
    return found.hexdigest()[:32]


ASKS: t.Mapping[str, area.Ask] = {"ends": ends, "open": openable}
