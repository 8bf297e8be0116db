# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about files and disks: whether QEMU could open them, and who has them open.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
import typing as t

from .._model.api import Answer, Question
from . import area
from .child import User, bounded

_OWNER_KEEPS = 1  # dynamic_ownership's default in qemu.conf


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
    folder: the first folder above it that this user cannot enter, or None; dynamic: whether libvirt changes the file's
    owner first; direct: whether O_DIRECT works; open_by: processes of this host that have it open.
    """
    real = os.path.realpath(question["path"])
    user = qemu_user(host, question["value"])
    found = bounded(lambda: _access(real), f"opening {real} as {user.name}", user)
    return t.cast(
        Answer,
        {
            **found,
            "user": user.name,
            "dynamic": bool(int(host.qemu_conf().get("dynamic_ownership", _OWNER_KEEPS))),
            "direct": bounded(lambda: _direct(real), f"opening {real}"),
            "open_by": host.once("open files", _open_files).get(_key(os.stat(real)), []),
        },
    )


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


def _key(info: os.stat_result) -> tuple[int, int]:
    return (0, info.st_rdev) if stat.S_ISBLK(info.st_mode) else (info.st_dev, info.st_ino)


def _open_files(proc: str = "/proc") -> dict[tuple[int, int], list[str]]:
    """(device, inode) -> who has it open. Raises PermissionError where a process may not be looked at."""
    found: dict[tuple[int, int], list[str]] = {}
    for pid in os.listdir(proc):
        if pid.isdigit():
            for key in _held(os.path.join(proc, pid, "fd")):
                found.setdefault(key, []).append(f"{_command(os.path.join(proc, pid, 'comm'))} ({pid})")
    return {key: sorted(set(names)) for key, names in found.items()}


def _held(folder: str) -> set[tuple[int, int]]:
    held = set()
    try:
        for name in os.listdir(folder):
            info = os.stat(os.path.join(folder, name))
            if stat.S_ISREG(info.st_mode) or stat.S_ISBLK(info.st_mode):
                held.add(_key(info))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended, or closed the file, meanwhile
    return held


def _command(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "?"


ASKS: t.Mapping[str, area.Ask] = {"open": openable}
