# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of block devices: size and kind, paths, volumes that only one host may have.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ..._model.api import Facts, UnknownFact
from ..._model.types import BlockDevice, DrbdState
from ..check import Check, Problem, Requirement, View
from ..disks import Image, ask_path, each_image, is_image_copied, there_of
from ..identity import NETWORK_FS
from ..identity_block import LOCAL

_KERNEL_NAME = re.compile(r"/dev/(sd[a-z]+\d*|x?vd[a-z]+\d*|nvme\d+n\d+(p\d+)?|dm-\d+|md\d+|mapper/mpath[a-z]+)")
_ONE_HOST = {
    "zvol": "a volume of a ZFS pool of the source",
    "ram": "memory of the source",
    "md": "an array that the source assembles",
}
_LAYERS = {
    "thin": "a thin volume, whose pool only one host may have active",
    "snapshot": "a snapshot or the origin of one, which only one host may have active",
    "cache": "a cached volume, whose cache the destination does not have",
    "vdo": "a VDO volume, whose pool only one host may have active",
}


class Device(t.NamedTuple):
    """A block device that a disk or an image below it needs, as the source has it."""

    what: str
    path: str
    source: str
    bytes: int
    sector: int
    written: bool


class Paths(t.NamedTuple):
    what: str
    path: str
    running: int
    total: int


class Replica(t.NamedTuple):
    what: str
    path: str
    resource: str


def _block(view: View, image: Image) -> BlockDevice | None:
    """The block device that the image is on the source, None where it is none or is not needed there."""
    if image.get("type") != "block" or is_image_copied(view, image):
        return None
    identity = image.identity(view.source_name)
    if not identity.get("exists") or identity.get("kind") != "block":
        return None
    device: BlockDevice = identity.get("block")
    return device


def _device_there(there: Facts) -> BlockDevice | None:
    if not there.get("exists") or there.get("kind") != "block":
        return None  # disk_path_exists_dest says so
    device: BlockDevice = there.get("block")
    return device


def _devices(view: View, image: Image) -> t.Iterator[Device]:
    device = _block(view, image)
    if device is not None:
        written = image.top and not image.get("readonly")
        yield Device(image.what, image.path, view.source_name or "", device["bytes"], device["sector"], written)


def _differs(view: View, need: Device) -> t.Iterator[Problem]:
    there = _device_there(there_of(view, need.path))
    if there is None:
        return
    for here, other, unit in (
        (need.bytes, there["bytes"], "bytes"),
        (need.sector, there["sector"], "bytes per sector"),
    ):
        if here != other:
            yield Problem(need.what, f"{need.path} has {here} {unit} on {need.source} and {other} on {view.there}")
    if need.written and there["readonly"]:
        yield Problem(
            need.what,
            f"{need.path} is read-only on {view.there}",
            expected="a device that can be written",
            remedy="make it writable there (blockdev --setrw), or correct the LUN's mapping",
        )
    if _KERNEL_NAME.fullmatch(need.path):
        yield Problem(
            need.what,
            f"{need.path} is a name that each host gives out in the order of discovery",
            expected="a name that stays, below /dev/disk/by-id or of LVM",
            remedy="change the definition to a name below /dev/disk/by-id at the next power-cycle",
            severity="warning",
        )


def _local(view: View, image: Image) -> t.Iterator[Problem]:
    device = _block(view, image)
    if device is None:
        return
    why = _ONE_HOST.get(device["kind"]) or _local_leaf(device)
    if device["kind"] == "loop" and why is None:
        why = _local_file(image.identity(view.source_name))
    if why:
        yield Problem(image.what, f"{image.path} is {why}")


def _local_leaf(device: BlockDevice) -> str | None:
    for leaf in device["leaves"]:
        if leaf["kind"] in _ONE_HOST:
            return f"on {_ONE_HOST[leaf['kind']]}"
        if leaf["transport"] in LOCAL - {"virtio"}:
            return f"on {leaf['kernel']}, a disk attached by {leaf['transport']}"
    return None


def _local_file(identity: Facts) -> str | None:
    try:
        file = Facts("the loop device's file", identity.get("loop_file"))
        if file.get("fs_type") in NETWORK_FS or file.get("declared_shared"):
            return None
    except UnknownFact:
        return None  # disk_same_object stops where nothing else proves the two to be one
    return f"a loop device of {file.get('path')}, which is on {file.get('fs_type')} ({file.get('mount_source')})"


def _volumes(view: View, image: Image) -> t.Iterator[Problem]:
    device = _block(view, image)
    if device is not None and device["layer"] in _LAYERS:
        yield Problem(image.what, f"{image.path} is {_LAYERS[device['layer']]}")


def _pathed(view: View, image: Image) -> t.Iterator[Paths]:
    device = _block(view, image)
    if device is not None and device["paths"] is not None:
        yield Paths(image.what, image.path, device["paths"]["running"], device["paths"]["total"])


def _paths_there(view: View, need: Paths) -> t.Iterator[Problem]:
    there = _device_there(there_of(view, need.path))
    if there is None or there["paths"] is None:
        return
    paths = there["paths"]
    if not paths["running"]:
        yield Problem(need.what, f"none of the {paths['total']} paths to {need.path} on {view.there} runs")
    elif paths["running"] < need.running:
        yield Problem(
            need.what,
            f"{paths['running']} paths to {need.path} run on {view.there}, {need.running} on the source",
            severity="warning",
        )


def _replicas(view: View, image: Image) -> t.Iterator[Replica]:
    device = _block(view, image)
    if device is not None and device["drbd"] is not None:
        yield Replica(image.what, image.path, device["drbd"]["resource"] or image.path)


def _replica_there(view: View, need: Replica) -> t.Iterator[Problem]:
    there = _device_there(there_of(view, need.path))
    if there is None:
        return
    state = there["drbd"]
    if state is None:
        yield Problem(need.what, f"{need.path} is no DRBD device on {view.there}")
        return
    if state["disk"] != "UpToDate":
        yield Problem(need.what, f"its replica on {view.there} is {state['disk']}")
    if not any(peer["connection"] == "Connected" for peer in state["peers"]):
        yield Problem(need.what, f"its replica on {view.there} is not connected")
    if not _may_be_primary(state):
        yield Problem(need.what, f"{need.resource} is {state['role']} on {view.there} and does not allow two primaries")


def _may_be_primary(state: DrbdState) -> bool:
    """What DRBD 8 allows is not told; there two primaries are what was set up, or the destination is one already."""
    return state["role"] == "Primary" or state["two_primaries"] is not False


CHECKS: tuple[Check, ...] = (
    Check(
        id="disk_block_identity",
        category="storage",
        severity="error",
        scope="pair",
        title="Both hosts have the block device in the same size and kind",
        expected="the same size, sector size and right to write on both hosts",
        remedy="make the host look again (echo 1 >/sys/block/NAME/device/rescan, multipathd resize map NAME, lvchange "
        "--refresh), or correct the device's name",
        requires=Requirement(each_image(_devices), _differs, ask_path),
        evidence="lab",
    ),
    Check(
        id="disk_zfs_zvol_local",
        category="storage",
        severity="error",
        scope="domain",
        title="The block device is no local one",
        # libvirt looks at no block device at all (qemuMigrationSrcIsSafe): a local one of the same name on the
        # destination would be started on.
        expected="a device that other hosts reach, or one that is copied (copy_storage)",
        remedy="migrate with copy_storage, or move the disk to shared storage",
        evaluate=each_image(_local),
        evidence="lab",
    ),
    Check(
        id="disk_lvm_activation",
        category="storage",
        severity="error",
        scope="domain",
        title="The logical volume may be active on two hosts",
        expected="a plain logical volume: during a migration both hosts have it active",
        remedy="migrate with copy_storage, or convert it to a plain volume while the guest is shut off",
        evaluate=each_image(_volumes),
    ),
    Check(
        id="disk_iscsi_fc_sessions",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has working paths to the LUN",
        expected="as many running paths as on the source",
        remedy="log in to the target or repair the path there (iscsiadm -m session, multipath -ll, nvme list-subsys)",
        requires=Requirement(each_image(_pathed), _paths_there, ask_path),
    ),
    Check(
        id="disk_drbd_dual_primary",
        category="storage",
        severity="error",
        scope="pair",
        title="DRBD lets the destination open its replica",
        expected="a connected replica that is UpToDate, and allow-two-primaries while the guest moves",
        remedy="wait for the resync; drbdadm net-options --allow-two-primaries=yes RESOURCE on both hosts, and back to "
        "no afterwards",
        requires=Requirement(each_image(_replicas), _replica_there, ask_path),
    ),
)
