# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what a disk is by its definition: formats, kinds and settings that QEMU or libvirt does not migrate.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ..._model.api import Facts
from ..check import Check, Evaluate, Problem, Requirement, View, each
from ..disks import Image, ask_path, each_disk, each_image, is_copied, is_media, there_of, what_of
from ..questions import ASKED_PATHS

# libvirt's names; in QEMU's block drivers these set a migration blocker when a node is opened, read-only or not.
_BLOCKING = {
    "qcow": "qcow",
    "vdi": "VDI",
    "vmdk": "VMDK",
    "vpc": "VPC",
    "vhd": "VHD",
    "vhdx": "VHDX",
    "ploop": "Parallels",
    "fat": "a folder shown as a FAT disk",
}
_HOST_DRIVE = re.compile(r"/dev/(sr\d+|scd\d+|fd\d+|cdrom\d*|dvd\d*|floppy\d*)")
_PAUSED_IOERROR = 5  # virDomainPausedReason
_STOPPING = frozenset((None, "stop", "enospace"))


def column_is(column: str, bad: t.Container[object], says: str) -> Evaluate:
    """No disk has one of these values in a column of ``more``; ``says`` tells it, with ``{value}``."""

    def judge(_view: View, disk: Facts) -> t.Iterator[Problem]:
        value = disk.get(f"more.{column}")
        if value in bad:
            yield Problem(what_of(disk), says.format(value=value))

    return each_disk(judge)


class Anything:
    """Contains everything but None and False: whatever a column has."""

    def __contains__(self, value: object) -> bool:
        return value is not None and value is not False


def _format(view: View, image: Image) -> t.Iterator[Problem]:
    blocking = _BLOCKING.get(image.get("format"))
    if blocking:
        yield Problem(image.what, f"it is {blocking}, whose driver in QEMU refuses every migration")


def _nvme(view: View, disk: Facts) -> t.Iterator[Problem]:
    if disk.get("type") == "nvme" and not is_copied(view, disk):
        yield Problem(what_of(disk), "an NVMe device of the source, driven by QEMU itself")


class Socket(t.NamedTuple):
    what: str
    kind: str
    path: str


def _backends(_view: View, disk: Facts) -> t.Iterator[Socket]:
    if disk.get("type") in ("vhostuser", "vhostvdpa"):
        path = disk.get("more.vhost_path") if disk.get("type") == "vhostuser" else disk.get("more.vdpa")
        yield Socket(what_of(disk), disk.get("type"), path or "")


def _backend_there(view: View, need: Socket) -> t.Iterator[Problem]:
    if not there_of(view, need.path).get("exists"):
        yield Problem(need.what, f"there is no {need.path} on {view.there}")
        return
    yield Problem(
        need.what,
        f"{need.kind} at {need.path}, and nobody tells whether the one on {view.there} serves the same data",
        severity="warning",
    )


def _drive(_view: View, disk: Facts) -> t.Iterator[Problem]:
    if disk.get("type") != "block":
        return
    path = disk.get("path")
    if _HOST_DRIVE.fullmatch(path) or _kind(disk) in ("cdrom", "floppy"):
        yield Problem(what_of(disk), f"the host's drive {path}")


def _kind(disk: Facts) -> str | None:
    here = Facts(f"{disk.get('path')} of the source", disk.get("identity"))
    return here.get("block")["kind"] if here.get("exists") and here.get("kind") == "block" else None


def _errors(view: View) -> t.Iterator[Problem]:
    if view.domain.get("state") == "paused" and view.domain.get("state_reason") == _PAUSED_IOERROR:
        disks = [disk.get("target") for disk in view.domain.items("disks", "target") if _stops(disk)]
        yield Problem("Domain {domain}", f"it was paused by an I/O error of {' or '.join(disks) or 'a disk'}")


def _stops(disk: Facts) -> bool:
    return not is_media(disk) and disk.get("more.error_policy") in _STOPPING


class MayMiss(t.NamedTuple):
    what: str
    path: str
    policy: str
    media: bool


def _optional(_view: View, disk: Facts) -> t.Iterator[MayMiss]:
    policy = disk.get("startup_policy")
    if policy in ("optional", "requisite") and disk.get("type") in ASKED_PATHS:
        yield MayMiss(what_of(disk), disk.get("path"), policy, is_media(disk))


def _dropped(view: View, need: MayMiss) -> t.Iterator[Problem]:
    if not there_of(view, need.path).get("exists"):
        what = "the medium will be gone" if need.media else "the disk will be gone, and the guest with it"
        yield Problem(
            need.what,
            f"there is no {need.path} on {view.there}; with startupPolicy='{need.policy}' {what}",
            severity=None if need.media else "error",
        )


def _shareable(view: View, disk: Facts) -> t.Iterator[Problem]:
    if not disk.get("shareable"):
        return
    if is_copied(view, disk):
        yield Problem(what_of(disk), "it is shareable and would be copied from under its other users", severity="error")
    else:
        yield Problem(what_of(disk), "it is shareable: other guests may write to it at any time")


def _throttled(view: View, disk: Facts) -> t.Iterator[Problem]:
    if is_copied(view, disk) and (disk.get("more.iotune") or disk.get("more.throttle_groups")):
        yield Problem(what_of(disk), "its I/O is throttled, and the copy with it")


def _lun(_view: View, disk: Facts) -> t.Iterator[Problem]:
    if disk.get("more.reservations") is not None or disk.get("more.reservations_path") is not None:
        yield Problem(what_of(disk), "the guest makes persistent reservations, which stay with the path of the source")
    elif disk.get("device") == "lun":
        yield Problem(
            what_of(disk), "the guest sends SCSI commands to the LUN, and its reservations stay with the source"
        )


class Lease(t.NamedTuple):
    what: str
    path: str


def _leases(view: View) -> t.Iterable[Lease | Problem]:
    def judge(lease: Facts) -> t.Iterator[Lease]:
        yield Lease(f"Lease {lease.get('key')} of domain {{domain}}", lease.get("path") or "")

    return each(view.domain.items("devices.leases", "name"), judge)


def _lease_there(view: View, need: Lease) -> t.Iterator[Problem]:
    """libvirt looks at a lease only where it has a lock manager; without one such a guest starts (seen with 11.3)."""
    if not there_of(view, need.path).get("exists"):
        taken = view.destination.get("storage.lock_manager") != "nop"
        yield Problem(need.what, f"there is no {need.path} on {view.there}", severity=None if taken else "warning")


CHECKS: tuple[Check, ...] = (
    Check(
        id="disk_format_migratable",
        category="storage",
        severity="error",
        scope="domain",
        title="QEMU migrates guests with images of this format",
        expected="raw, qcow2, qed or luks",
        remedy="copy the disk into another image while the guest runs (virsh blockcopy --format qcow2 --pivot), or "
        "convert it while it is shut off (qemu-img convert)",
        evaluate=each_image(_format),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="disk_errors",
        category="storage",
        severity="error",
        scope="domain",
        title="No disk of the domain has an I/O error",
        expected="a guest whose disks work: QEMU could not hand them over at the switchover",
        remedy="see virsh domblkerror, repair the path to the disk or free space, then virsh resume",
        evaluate=_errors,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="disk_host_cdrom_passthrough",
        category="storage",
        severity="error",
        scope="domain",
        title="No drive of the host is attached",
        expected="an image, or an empty drive: the destination's drive has another medium",
        remedy="eject it (virsh change-media DOMAIN TARGET --eject)",
        evaluate=each_disk(_drive),
    ),
    Check(
        id="disk_startup_policy",
        category="storage",
        severity="info",
        scope="pair",
        title="The destination drops no disk that may be missing",
        expected="the same path there, so that nothing is dropped",
        remedy="make the path available there, or accept the loss",
        requires=Requirement(each_disk(_optional), _dropped, ask_path),
        evidence="lab",
    ),
    Check(
        id="disk_nvme_passthrough",
        category="storage",
        severity="error",
        scope="domain",
        title="No disk is an NVMe device that QEMU drives itself",
        expected="a disk that both hosts reach, or one that is copied (copy_storage)",
        remedy="move it to shared storage, or migrate with copy_storage",
        evaluate=each_disk(_nvme),
        volatile=True,
    ),
    Check(
        id="disk_emulated_nvme_bus",
        category="storage",
        severity="error",
        scope="domain",
        title="No disk is on an emulated NVMe controller",
        expected="another bus: QEMU marks this controller as not migratable",
        remedy="put the disk on virtio, scsi or sata and power-cycle the guest",
        evaluate=column_is("bus", ("nvme",), "it is on bus {value}"),
        volatile=True,
    ),
    Check(
        id="disk_vhostuser_vdpa",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has the backend of a vhost-user or vDPA disk",
        expected="a backend under the same path that serves the same volume and logs dirty memory",
        remedy="start the backend there on the same volume; nothing copies such a disk",
        requires=Requirement(each_disk(_backends), _backend_there, ask_path),
        evidence="lab",
    ),
    Check(
        id="disk_fdgroup",
        category="storage",
        severity="error",
        scope="domain",
        title="No disk was handed over as a file descriptor",
        expected="a disk with a path: nobody hands a descriptor to the destination",
        remedy="power-cycle the guest with the disk's path instead of fdgroup",
        evaluate=column_is("fdgroup", Anything(), "it is the file descriptor group {value}"),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="disk_shareable_writers",
        category="storage",
        severity="info",
        scope="domain",
        title="No other guest writes to the disk",
        expected="cache=none and a cluster file system in all guests that share it; it is never copied",
        remedy="leave it out of copy_disks",
        evaluate=each_disk(_shareable),
        evidence="lab",
    ),
    Check(
        id="disk_iotune_throttle",
        category="storage",
        severity="info",
        scope="domain",
        title="No throttle slows the copy of a disk",
        expected="no throttle while the disk is copied",
        remedy="lift it for the migration (virsh blkdeviotune --live)",
        evaluate=each_disk(_throttled),
        evidence="lab",
    ),
    Check(
        id="disk_lun_and_reservations",
        category="storage",
        severity="warning",
        scope="domain",
        title="No disk holds reservations through the source's paths",
        expected="a guest that registers anew after the move, or a disk without reservations",
        remedy="tell the guest's cluster software; on the destination qemu-pr-helper must run",
        evaluate=each_disk(_lun),
    ),
    Check(
        id="disk_leases",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has the domain's leases",
        expected="the same lease file on both hosts, in a lockspace that both have joined",
        remedy="mount the folder of the leases there and join the lockspace (sanlock client status)",
        requires=Requirement(_leases, _lease_there, ask_path),
        evidence="lab",
    ),
)
