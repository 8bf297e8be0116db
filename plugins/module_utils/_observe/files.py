# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts that only the host's own files hold: mounts, qemu.conf, ports, certificates. Standard library only.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import os
import re
import ssl
import stat
import typing as t
from dataclasses import dataclass

from .._model.api import Certificate, PathIdentity, Unknown
from . import blockdev
from .child import User, bounded

QEMU_CONF = "/etc/libvirt/qemu.conf"
CERTIFICATES = {
    "ca": "/etc/pki/CA/cacert.pem",
    "server": "/etc/pki/libvirt/servercert.pem",
    "client": "/etc/pki/libvirt/clientcert.pem",
}
QEMU_CERTIFICATES = {"qemu_ca": "ca-cert.pem", "qemu_server": "server-cert.pem", "qemu_client": "client-cert.pem"}
_LISTEN = "0A"
_SETTING = re.compile(r"""^\s*(?P<key>[a-z0-9_]+)\s*=\s*(?P<value>\[[^]]*\]|"[^"]*"|\S+)""", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]*)"')


def read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def parse_conf(text: str) -> dict[str, t.Any]:
    """libvirt's ``key = value`` files: strings, whole numbers and lists of strings.

    Of several settings with one name the first counts (virConfGetValue; tried with libvirt 11.3).
    """
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = reversed(list(_SETTING.finditer(text)))
    return {match["key"]: _conf_value(match["value"]) for match in found}


def _conf_value(text: str) -> t.Any:
    if text.startswith("["):
        return _QUOTED.findall(text)
    if text.startswith('"'):
        return text[1:-1]
    return int(text) if text.isdigit() else text


def qemu_conf(path: str = QEMU_CONF) -> dict[str, t.Any]:
    """Settings of qemu.conf; empty where there is no such file (all of libvirt's defaults hold).

    Raises OSError where the file is there and may not be read.
    """
    try:
        return parse_conf(read(path))
    except FileNotFoundError:
        return {}


@dataclass(frozen=True)
class Declared:
    """The folders that qemu.conf declares as shared; ``unreadable``: why that is not known."""

    folders: t.Sequence[str] = ()
    unreadable: str | None = None


def declared(path: str = QEMU_CONF) -> Declared:
    """Debian's qemu.conf is for root alone; a member of the group libvirt does not learn what it declares."""
    try:
        return Declared(tuple(qemu_conf(path).get("shared_filesystems", [])))
    except OSError as error:
        return Declared(unreadable=str(error))


def parse_mountinfo(text: str) -> list[tuple[str, str, str, str]]:
    """``/proc/self/mountinfo`` as (mount point, root inside the file system, type, source), later mounts last."""
    mounts = []
    for line in text.splitlines():
        left, _separator, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) > 4 and len(tail) > 1:
            mounts.append((_unescape(fields[4]), _unescape(fields[3]), tail[0], _unescape(tail[1])))
    return mounts


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def mount_of(path: str, mounts: list[tuple[str, str, str, str]]) -> tuple[str, str, str, str] | None:
    """The mount that holds ``path``: the longest mount point above it, and of equals the last one mounted."""
    found = None
    for mount in mounts:
        point = mount[0].rstrip("/") + "/"
        if (path + "/").startswith(point) and (found is None or len(mount[0]) >= len(found[0])):
            found = mount
    return found


# What answers from this host's own memory and disks. Everything else may wait for others: for a server, for the other
# members of a cluster (gfs2, ocfs2, gpfs), for a daemon (fuse), for a mount that only a look brings about (autofs).
_LOCAL = frozenset(
    (
        "bcachefs",
        "binfmt_misc",
        "bpf",
        "btrfs",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "erofs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "hugetlbfs",
        "iso9660",
        "jfs",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "pstore",
        "ramfs",
        "reiserfs",
        "rootfs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tmpfs",
        "tracefs",
        "udf",
        "vfat",
        "xfs",
        "zfs",
    )
)
_LINKS = 40  # MAXSYMLINKS of the kernel
_WITH_OPTIONS = frozenset(("cifs", "nfs", "nfs4", "smb3"))
_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISBLK, "block"), (stat.S_ISDIR, "dir"), (stat.S_ISCHR, "char"))


_SILENT: dict[str, str] = {}
_T = t.TypeVar("_T")


def looked(path: str, look: t.Callable[[], _T], what: str, user: User | None = None) -> _T:
    """What ``look`` returns, which looks at ``path``: a path of a user's, whose file system may not answer.

    What may wait for others is looked at in a child process, since a server that is gone lets nobody go; so the result
    is what JSON carries. Once such a mount has not answered, it is not asked again by this process. ``user``: as whom
    to look, always in a child. Raises OSError with the look's error, and TimeoutError where none answers.
    """
    point = waits_for(path, read("/proc/self/mountinfo"))
    if point is None:
        return look() if user is None else t.cast(_T, bounded(look, what, user))
    if point in _SILENT:
        raise TimeoutError(_SILENT[point])
    try:
        return t.cast(_T, bounded(look, what, user))
    except TimeoutError as error:
        _SILENT[point] = f"the mount {point} does not answer: {error}"
        raise


def waits_for(path: str, mountinfo: str, readlink: t.Callable[[str], str] = os.readlink) -> str | None:
    """The first mount that may not answer on the way to ``path``, links followed; None where all of it is local.

    Nothing on such a mount is touched, not even a link to it that leads on.
    """
    suspects = _suspects(mountinfo)
    if not suspects:
        return None
    place, ahead, links = "/", _parts(path), 0
    while ahead:
        name = ahead.pop()
        place = os.path.dirname(place) if name == ".." else os.path.join(place, name)
        if (place + "/").startswith(suspects):
            mount = mount_of(place, _mounts(mountinfo))
            if mount is not None and mount[2] not in _LOCAL:
                return mount[0]
        try:
            target = readlink(place)
        except OSError:
            continue  # no link, or nothing there: then the look says so
        links += 1
        if links > _LINKS:
            return None
        place = "/" if target.startswith("/") else os.path.dirname(place)
        ahead += _parts(target)
    return None


def _parts(path: str) -> list[str]:
    """The names in a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


@functools.lru_cache(maxsize=1)
def _mounts(mountinfo: str) -> list[tuple[str, str, str, str]]:
    """The text changes with a mount; else it is the same for path after path."""
    return parse_mountinfo(mountinfo)


@functools.lru_cache(maxsize=1)
def _suspects(mountinfo: str) -> tuple[str, ...]:
    """The beginnings of paths that may lie on a mount that waits for others."""
    return tuple(mount[0].rstrip("/") + "/" for mount in _mounts(mountinfo) if mount[2] not in _LOCAL)


def path_identity(path: str, shared: Declared) -> PathIdentity:
    """What this host knows of ``path``, links resolved.

    Raises OSError where the path may be there but cannot be looked at.
    """
    return looked(path, lambda: _path_identity(path, shared), f"looking at {path}")


def _path_identity(path: str, shared: Declared) -> PathIdentity:
    real = os.path.realpath(path)
    try:
        info = os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        return {"path": path, "exists": False}
    identity: PathIdentity = {
        "path": path,
        "exists": True,
        "kind": next((name for test, name in _KINDS if test(info.st_mode)), "other"),
        "inode": info.st_ino,
        "size": info.st_size,
    }
    unknown: list[Unknown] = []
    if shared.unreadable is None:
        folders = [folder.rstrip("/") + "/" for folder in shared.folders]
        identity["declared_shared"] = any((real + "/").startswith(folder) for folder in folders)
    else:
        unknown.append({"fact": "declared_shared", "reason": shared.unreadable})
    _add_mount(identity, real)
    identity["read_only"] = bool(os.statvfs(real).f_flag & os.ST_RDONLY)
    if identity["kind"] == "file":
        _add_space(identity, real, info.st_blocks)
    elif identity["kind"] == "block":
        unknown += _add_block(identity, real, info.st_rdev, shared)
    if unknown:
        identity["unknown"] = unknown
    return identity


def _add_mount(identity: PathIdentity, real: str) -> None:
    mountinfo = read("/proc/self/mountinfo")
    mount = mount_of(real, _mounts(mountinfo))
    if mount is not None:
        point, root, fs_type, source = mount
        identity["fs_type"] = fs_type
        identity["mount_source"] = source
        identity["relative"] = os.path.normpath(os.path.join(root, os.path.relpath(real, point)))
        identity["mount_options"] = mount_options(mountinfo, point) if fs_type in _WITH_OPTIONS else []


def _add_space(identity: PathIdentity, real: str, blocks: int) -> None:
    free = os.statvfs(real)
    identity["fs_size"] = free.f_blocks * free.f_frsize
    identity["fs_free"] = free.f_bavail * free.f_frsize
    identity["allocated"] = blocks * blockdev.SECTOR


def _add_block(identity: PathIdentity, real: str, number: int, shared: Declared) -> list[Unknown]:
    """Adds what is known of a block device; returns what could not be read."""
    unknown: list[Unknown] = []

    def add(fact: str, look: t.Callable[[], t.Any]) -> None:
        try:
            t.cast("dict[str, t.Any]", identity)[fact] = look()
        except (OSError, ValueError) as error:
            unknown.append({"fact": fact, "reason": str(error)})

    add("block", lambda: blockdev.describe(f"{os.major(number)}:{os.minor(number)}"))
    try:
        identity["label"], identity["read_error"] = blockdev.read_label(real), None
    except PermissionError as error:
        unknown += [{"fact": fact, "reason": str(error)} for fact in ("label", "read_error")]
    except OSError as error:
        identity["read_error"] = str(error)
        unknown.append({"fact": "label", "reason": str(error)})
    add("loop_file", lambda: _loop_file(identity, real, shared))
    return unknown


def _loop_file(identity: PathIdentity, real: str, shared: Declared) -> PathIdentity | None:
    """The file of a loop device. Raises OSError where the path that the kernel names is not that file here."""
    block = identity.get("block")
    if block is None or block["kind"] != "loop":
        return None
    status = blockdev.loop_status(real)
    path = block["leaves"][0]["backing"] or ""
    if looked(path, lambda: _number(path), f"looking at {path}") != [status.device, status.inode]:
        raise OSError(f"{path} is not the file of {real}, which was removed or is in another mount namespace")
    if status.offset or status.limit:
        raise OSError(f"{real} is a part of {path}, which this version does not compare")
    return path_identity(path, shared)


def _number(path: str) -> list[int]:
    info = os.stat(path)
    return [info.st_dev, info.st_ino]


def mount_options(mountinfo: str, point: str) -> list[str]:
    """Options of the mount and of its file system at this mount point; of several the last one counts."""
    found: list[str] = []
    for line in mountinfo.splitlines():
        left, _separator, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) > 5 and len(tail) > 2 and _unescape(fields[4]) == point:
            found = sorted({*fields[5].split(","), *tail[2].split(",")})
    return found


def listening_ports(*tables: str) -> set[int]:
    """Local TCP ports in state LISTEN, from the texts of ``/proc/net/tcp`` and ``tcp6``."""
    ports = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTEN:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def bridges(root: str = "/sys/class/net") -> list[str]:
    return sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name, "bridge")))


def available_mib(meminfo: str) -> int:
    """``MemAvailable`` of ``/proc/meminfo``. Raises KeyError where the kernel does not tell."""
    values = dict(re.findall(r"^(\w+):\s+(\d+) kB", meminfo, re.MULTILINE))
    return int(values["MemAvailable"]) // 1024


def certificate(path: str) -> Certificate:
    """Dates and names of the certificate at ``path``. Raises OSError or ValueError where it cannot be read."""
    if not os.path.exists(path):
        return {"path": path, "exists": False}
    # The standard library has no public way to look into a certificate that is not a CA's; this function has been in
    # CPython since 2.6 and its own test suite depends on it (Lib/test/test_ssl.py).
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    if decode is None:
        raise ValueError("this Python cannot decode certificates")
    facts = decode(path)
    return {
        "path": path,
        "exists": True,
        "issuer": _name(facts.get("issuer", ())),
        "not_before": ssl.cert_time_to_seconds(facts["notBefore"]),
        "not_after": ssl.cert_time_to_seconds(facts["notAfter"]),
        "names": [value for _kind, value in facts.get("subjectAltName", ())],
    }


def _name(parts: t.Iterable[t.Iterable[tuple[str, str]]]) -> str:
    return ", ".join(f"{key}={value}" for rdn in parts for key, value in rdn)
