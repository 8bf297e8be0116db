# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a block device is: what it lies on, the names that are its own all over the world, its size and its paths.

Read from sysfs, from udev's database and from the device's own first sectors; nothing is written. The forms of sysfs
are those of the kernel's Documentation/ABI (sysfs-block, sysfs-bus-scsi-devices, sysfs-block-dm, sysfs-bus-rbd).

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import struct
import typing as t

from .._model.types import BlockDevice, BlockLeaf
from . import drbd
from .child import bounded

SECTOR = 512
"""sysfs counts sizes in it, whatever the device's own sector is."""
_MAXIMUM_DEPTH = 8
_LABEL_BYTES = 128 * 1024
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.ENODEV)
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_INFO64 = 232

_TRANSPORTS = (
    (re.compile(r"/session\d+/"), "iscsi"),
    (re.compile(r"/rport-"), "fc"),
    (re.compile(r"/end_device-"), "sas"),
    (re.compile(r"/ata\d+/"), "ata"),
    (re.compile(r"/usb\d+/"), "usb"),
    (re.compile(r"/mmc_host/"), "mmc"),
    (re.compile(r"/nvme-fabrics/"), "fabrics"),
    (re.compile(r"/nvme/nvme\d+/"), "pcie"),
    (re.compile(r"/virtio\d+/"), "virtio"),
)
_KINDS = (
    (re.compile(r"loop\d+"), "loop"),
    (re.compile(r"md[\d_].*"), "md"),
    (re.compile(r"drbd\d+"), "drbd"),
    (re.compile(r"rbd\d+"), "rbd"),
    (re.compile(r"nbd\d+"), "nbd"),
    (re.compile(r"zd\d+"), "zvol"),
    (re.compile(r"z?ram\d+|pmem.*"), "ram"),
    (re.compile(r"sr\d+"), "cdrom"),
    (re.compile(r"fd\d+"), "floppy"),
    (re.compile(r"dm-\d+"), "dm"),
)
_DM_KINDS = {"LVM": "lvm", "mpath": "multipath", "CRYPT": "crypt"}
# Suffixes of the UUIDs of LVM's hidden layers (lvm2, lib/activate/dev_manager.c): what lies below tells what it is.
_LVM_LAYERS = {"tpool": "thin", "cow": "snapshot", "cpool": "cache", "cdata": "cache", "cvol": "cache", "vpool": "vdo"}
_LVM_UUID = len("LVM-") + 64


class Sysfs:
    """The kernel's and udev's files below ``root``."""

    def __init__(self, root: str = "/") -> None:
        self.root = root

    def path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    def text(self, *parts: str) -> str | None:
        """The file's content, None where the device has no such attribute. Raises OSError where it is not allowed."""
        try:
            with open(self.path(*parts), encoding="utf-8", errors="replace") as file:
                return file.read().strip("\0\n ")
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise

    def names(self, *parts: str) -> list[str]:
        try:
            return sorted(os.listdir(self.path(*parts)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def folder(self, device: str) -> str:
        """The real folder of ``8:16``. Raises OSError where sysfs does not know it."""
        folder = os.path.realpath(self.path("sys/dev/block", device))
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"no device {device} in sysfs")
        return folder


class Leaf(t.NamedTuple):
    device: str
    folder: str
    part: str


def describe(device: str, sysfs: Sysfs | None = None) -> BlockDevice:
    """Facts of the block device ``8:16`` from sysfs and udev alone. Raises OSError."""
    sysfs = sysfs or Sysfs()
    folder = sysfs.folder(device)
    whole, part = _whole(sysfs, folder)
    kind = kind_of(sysfs, whole)
    below = _below(sysfs, folder, 0)
    return {
        "kernel": os.path.basename(folder),
        "kind": kind,
        "own": _own(sysfs, whole, kind, part),
        "bytes": int(sysfs.text(folder, "size") or 0) * SECTOR,
        "sector": int(sysfs.text(whole, "queue/logical_block_size") or SECTOR),
        "readonly": sysfs.text(folder, "ro") == "1",
        "layer": _layer(sysfs, whole),
        "leaves": sorted((_leaf(sysfs, leaf) for leaf in below), key=lambda leaf: (leaf["ids"], leaf["kernel"])),
        "paths": _paths(sysfs, whole),
        "drbd": drbd.of_minor(int(device.rpartition(":")[2])) if kind == "drbd" else None,
    }


def _whole(sysfs: Sysfs, folder: str) -> tuple[str, str]:
    """The folder of the whole device, and which part of it: start and length in sectors; "" is all of it."""
    if sysfs.text(folder, "partition") is None:
        return folder, ""
    return os.path.dirname(folder), f"{sysfs.text(folder, 'start')}+{sysfs.text(folder, 'size')}"


def kind_of(sysfs: Sysfs, folder: str) -> str:
    name = os.path.basename(folder)
    kind = next((kind for form, kind in _KINDS if form.fullmatch(name)), "disk")
    if kind == "dm":
        return _DM_KINDS.get((sysfs.text(folder, "dm/uuid") or "").partition("-")[0], "dm")
    return kind


def _own(sysfs: Sysfs, folder: str, kind: str, part: str) -> str | None:
    """A name that the device has of itself and not from what it lies on; None where there is none."""
    uuid = sysfs.text(folder, "dm/uuid") or ""
    own: str | None = {
        "lvm": uuid[:_LVM_UUID],
        "crypt": "-".join(uuid.split("-")[:3]),
        "dm": uuid,
        "md": sysfs.text(folder, "md/uuid") or _udev(sysfs, folder).get("MD_UUID", ""),
        "rbd": _rbd(sysfs, folder) if kind == "rbd" else None,
    }.get(kind)
    return f"{own} part {part}" if own and part else own


def _rbd(sysfs: Sysfs, folder: str) -> str | None:
    """A mapped Ceph image: /sys/bus/rbd/devices/N has what it is mapped from."""
    number = os.path.basename(folder)[len("rbd") :]
    names = ("cluster_fsid", "pool", "pool_ns", "image_id", "current_snap")
    found = [sysfs.text("sys/bus/rbd/devices", number, name) for name in names]
    return "rbd " + "/".join(entry or "" for entry in found) if found[0] and found[3] else None


def _slaves(sysfs: Sysfs, folder: str) -> list[str]:
    return [os.path.realpath(sysfs.path(folder, "slaves", name)) for name in sysfs.names(folder, "slaves")]


def _below(sysfs: Sysfs, folder: str, depth: int) -> list[Leaf]:
    """The devices at the bottom. The paths of a multipath device are one device and count as that."""
    whole, part = _whole(sysfs, folder)
    slaves = _slaves(sysfs, whole)
    if not slaves or kind_of(sysfs, whole) == "multipath" or depth == _MAXIMUM_DEPTH:
        return [Leaf(sysfs.text(whole, "dev") or "", whole, part)]
    return [leaf for slave in slaves for leaf in _below(sysfs, slave, depth + 1)]


def _layer(sysfs: Sysfs, folder: str) -> str | None:
    for slave in _slaves(sysfs, folder):
        uuid = sysfs.text(slave, "dm/uuid") or ""
        if uuid.startswith("LVM-"):
            found = _LVM_LAYERS.get(uuid[_LVM_UUID:].strip("-"))
            if found:
                return found
    return None


def _leaf(sysfs: Sysfs, leaf: Leaf) -> BlockLeaf:
    kind = kind_of(sysfs, leaf.folder)
    return {
        "kernel": os.path.basename(leaf.folder),
        "kind": kind,
        "transport": _transport(sysfs, leaf.folder, kind),
        "ids": sorted(_ids(sysfs, leaf.folder, leaf.device, kind)),
        "part": leaf.part,
        "backing": sysfs.text(leaf.folder, "loop/backing_file") if kind == "loop" else None,
    }


def _transport(sysfs: Sysfs, folder: str, kind: str) -> str | None:
    if kind == "multipath":
        return next((found for slave in _slaves(sysfs, folder) if (found := _transport(sysfs, slave, "disk"))), None)
    if "/nvme-subsystem/" in folder:
        controllers = [sysfs.text(folder, "device", name, "transport") for name in _controllers(sysfs, folder)]
        return "pcie" if "pcie" in controllers else next((f"nvme-{name}" for name in controllers if name), None)
    return next((name for form, name in _TRANSPORTS if form.search(folder + "/")), None)


def _controllers(sysfs: Sysfs, folder: str) -> list[str]:
    return [name for name in sysfs.names(folder, "device") if re.fullmatch(r"nvme\d+", name)]


def _ids(sysfs: Sysfs, folder: str, device: str, kind: str) -> set[str]:
    found = {sysfs.text(folder, "wwid"), sysfs.text(folder, "device/wwid")}
    if kind == "multipath":
        found.add("mpath:" + (sysfs.text(folder, "dm/uuid") or "").partition("-")[2])
        for slave in _slaves(sysfs, folder):
            found |= {sysfs.text(slave, "wwid"), sysfs.text(slave, "device/wwid")}
    udev = _udev(sysfs, folder)
    found.add(udev.get("ID_WWN_WITH_EXTENSION") or udev.get("ID_WWN"))
    serial = sysfs.text(folder, "serial")
    if serial:
        found.add(f"serial.{serial}")
    ids = {normal(text) for text in found if text}
    return ids or _links(sysfs, os.path.basename(folder))


def _udev(sysfs: Sysfs, folder: str) -> dict[str, str]:
    """udev's properties of the device, from its database (lines E:KEY=VALUE); empty where there is none."""
    text = sysfs.text("run/udev/data", f"b{sysfs.text(folder, 'dev')}") or ""
    pairs = (line[2:].partition("=") for line in text.splitlines() if line.startswith("E:"))
    return {key: value for key, _equals, value in pairs}


def _links(sysfs: Sysfs, kernel: str) -> set[str]:
    """Names of /dev/disk/by-id, for hosts that keep no database of udev where it can be read."""
    found = set()
    for name in sysfs.names("dev/disk/by-id"):
        kind, _dash, text = name.partition("-")
        told = kind in ("wwn", "nvme") and text.startswith(("0x", "eui.", "uuid."))
        if told and os.path.basename(os.path.realpath(sysfs.path("dev/disk/by-id", name))) == kernel:
            found.add(normal(text))
    return found


def normal(text: str) -> str:
    """One form for a name that the kernel, udev and multipath write in three: naa.600…, 0x600… and 3600…"""
    text = re.sub(r"\s+", "_", text.strip())
    if text.startswith("mpath:"):
        text = text[len("mpath:") :]
        if re.fullmatch(r"3[0-9a-fA-F]{16,32}", text):
            text = f"naa.{text[1:]}"
        elif re.fullmatch(r"2[0-9a-fA-F]{16}", text):
            text = f"eui.{text[1:]}"
    elif text.startswith("0x"):
        text = f"naa.{text[2:]}"
    return text.lower() if text.startswith(("naa.", "eui.", "uuid.")) else text


def _paths(sysfs: Sysfs, folder: str) -> dict[str, int] | None:
    """How many paths lead to the device, and how many of them run. None: it has no paths that could fail one by one."""
    if "/nvme-subsystem/" in folder:
        states = [sysfs.text(folder, "device", name, "state") == "live" for name in _controllers(sysfs, folder)]
    elif kind_of(sysfs, folder) == "multipath":
        states = [sysfs.text(slave, "device/state") in ("running", "live") for slave in _slaves(sysfs, folder)]
    elif sysfs.text(folder, "device/state") is not None:
        states = [sysfs.text(folder, "device/state") in ("running", "live")]
    else:
        return None
    return {"running": sum(states), "total": len(states)}


class Backing(t.NamedTuple):
    """What a loop device lies on, as the kernel says: device and inode of the file, and which part of it."""

    device: int
    inode: int
    offset: int
    limit: int


def loop_status(path: str) -> Backing:
    """Raises OSError where the device may not be opened."""
    with open(path, "rb", buffering=0) as file:
        data = bytearray(_LOOP_INFO64)
        fcntl.ioctl(file, _LOOP_GET_STATUS64, data)
    device, inode, _rdevice, offset, limit = struct.unpack_from("=5Q", data)
    return Backing(device, inode, offset, limit)


def read_label(path: str) -> str:
    """See label; read past the page cache, so that this host keeps no copy of sectors that another host changes.

    Raises OSError where the device cannot be read, TimeoutError where it does not answer.
    """

    def work() -> str:
        file = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        memory = mmap.mmap(-1, _LABEL_BYTES)
        count = os.preadv(file, [memory], 0)
        return label(memory[:count])

    return str(bounded(work, f"reading the first sectors of {path}"))


_LABELS = (
    # name, where the magic is, the magic, where the identity is, its length
    ("mbr", 510, b"\x55\xaa", 440, 4),
    ("gpt", 512, b"EFI PART", 512 + 56, 16),
    ("gpt4k", 4096, b"EFI PART", 4096 + 56, 16),
    ("lvm", 512, b"LABELONE", 512 + 32, 32),
    ("luks", 0, b"LUKS\xba\xbe", 168, 36),
    ("xfs", 0, b"XFSB", 32, 16),
    ("ext", 1024 + 56, b"\x53\xef", 1024 + 104, 16),
    ("btrfs", 65536 + 64, b"_BHRfS_M", 65536 + 32, 16),
)


def label(data: bytes) -> str:
    """The identities that stand in the first sectors: partition table, LVM, LUKS, file system. "" where there are none.

    Nothing in it changes while a disk is used; it does when somebody partitions or formats it anew.
    """
    found = []
    for name, at, magic, start, length in _LABELS:
        identity = data[start : start + length]
        if data[at : at + len(magic)] == magic and any(identity):
            found.append(f"{name}:{identity.hex()}")
    return " ".join(found)
