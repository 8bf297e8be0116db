# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two hosts see the same block device: what is never taken for the same, and what is proven to be."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import identity, identity_block
from tests.unit.preflight.cases_disk import LUN, LVM, block, drbd, leaf, on_block
from tests.unit.preflight.scene import Scene

OTHER = "naa.600140599999999aaaaaaaabbbbbbbbc"
OTHER_VG = LVM.replace("Q8kzaTnV", "ZZZZaTnV")
OTHER_LV = LVM.replace("aB3cD5eF", "ZZZZD5eF")
FILE = {"path": "/f", "exists": True, "kind": "file", "inode": 5, "declared_shared": False, "relative": "/f"}
NFS = {**FILE, "fs_type": "nfs4", "mount_source": "store:/images"}
LOCAL = {**FILE, "fs_type": "ext4", "mount_source": "/dev/sda1"}


def lun(*ids: str, **changes: t.Any) -> dict[str, t.Any]:
    return block(leaves=[leaf(ids=list(ids), **changes)])


def lvm(own: str, *ids: str, **changes: t.Any) -> dict[str, t.Any]:
    return block(kind="lvm", own=own, leaves=[leaf(ids=[name], **changes) for name in ids])


def loop(*ids: str) -> dict[str, t.Any]:
    return block(kind="loop", kernel="loop0", leaves=[leaf(kind="loop", transport=None, ids=list(ids))])


VIRTIO = "serial.disk1"
DRBD = {"kind": "drbd", "leaves": [leaf(ids=[])]}
TABLE: dict[str, tuple[dict[str, t.Any], dict[str, t.Any], str]] = {
    "one LUN": (lun(LUN), lun(LUN), "same"),
    "one LUN, by multipath there": (lun(LUN), {**lun(LUN), "kind": "multipath", "kernel": "dm-3"}, "same"),
    "one LUN, under another name there": (lun(LUN), lun(LUN, kernel="sdz"), "same"),
    "one NVMe namespace over a fabric": (
        lun("uuid.6c1d0001-5a1b-4a6e-8b1e-2f0d0000d15c", transport="nvme-tcp"),
        lun("uuid.6c1d0001-5a1b-4a6e-8b1e-2f0d0000d15c", transport="nvme-rdma"),
        "same",
    ),
    "two LUNs": (lun(LUN), lun(OTHER), "different"),
    "two partitions of one LUN": (lun(LUN, part="2048+1024"), lun(LUN, part="4096+1024"), "unknown"),
    "a LUN and a part of it": (lun(LUN), lun(LUN, part="2048+1024"), "unknown"),
    "names of two families": (lun(LUN), lun("eui.0025385b71b0a1c3"), "unknown"),
    "no names": (lun(), lun(), "unknown"),
    "a serial number that somebody chose": (lun(VIRTIO), lun(VIRTIO), "unknown"),
    "two serial numbers": (lun(VIRTIO), lun("serial.disk2"), "unknown"),
    "QEMU's default": (lun("t10.ATA_QEMU_HARDDISK_QM00001"), lun("t10.ATA_QEMU_HARDDISK_QM00001"), "unknown"),
    "scsi_debug": (lun("naa.3333333000007d0"), lun("naa.3333333000007d0"), "unknown"),
    "a name without a company, as tgt gives it": (
        lun("naa.60000000000000000e00000000010001"),
        lun("naa.60000000000000000e00000000010001"),
        "unknown",
    ),
    "one name for two SATA disks": (lun(LUN, transport="ata"), lun(LUN, transport="ata"), "unknown"),
    "one name for two NVMe disks": (lun(LUN, transport="pcie"), lun(LUN, transport="pcie"), "unknown"),
    "one name for disks of two virtual machines": (
        lun(LUN, transport="virtio"),
        lun(LUN, transport="virtio"),
        "unknown",
    ),
    "a LUN here, a local disk there": (lun(LUN), lun(LUN, transport="usb"), "unknown"),
    "a volume on one LUN": (lvm(LVM, LUN), lvm(LVM, LUN), "same"),
    "a volume on two LUNs": (lvm(LVM, LUN, OTHER), lvm(LVM, OTHER, LUN), "same"),
    "a volume that has moved to another LUN in part": (lvm(LVM, LUN, OTHER), lvm(LVM, LUN), "unknown"),
    "a volume on a clone of the LUN": (lvm(LVM, LUN), lvm(LVM, OTHER), "different"),
    "a volume on a local clone": (
        lvm(LVM, VIRTIO, transport="virtio"),
        lvm(LVM, VIRTIO, transport="virtio"),
        "unknown",
    ),
    "volumes of local groups of one name": (
        lvm(LVM, VIRTIO, transport="virtio"),
        lvm(OTHER_VG, "serial.disk2", transport="virtio"),
        "different",
    ),
    "volumes of two groups, the disks of one name": (
        lvm(LVM, VIRTIO, transport="virtio"),
        lvm(OTHER_VG, VIRTIO, transport="virtio"),
        "unknown",
    ),
    "another volume of the group": (lvm(LVM, LUN), lvm(OTHER_LV, LUN), "unknown"),
    "a volume here, a plain LUN there": (lvm(LVM, LUN), lun(LUN), "unknown"),
    "device mapper without a name": (
        {**lun(LUN), "kind": "dm", "own": ""},
        {**lun(LUN), "kind": "dm", "own": ""},
        "unknown",
    ),
    "LUKS on one LUN": (
        {**lun(LUN), "kind": "crypt", "own": "CRYPT-LUKS2-ab"},
        {**lun(LUN), "kind": "crypt", "own": "CRYPT-LUKS2-ab"},
        "same",
    ),
    "one Ceph image": (block(kind="rbd", own="rbd f/p//i/-"), block(kind="rbd", own="rbd f/p//i/-"), "same"),
    "two Ceph images": (block(kind="rbd", own="rbd f/p//i/-"), block(kind="rbd", own="rbd f/p//j/-"), "different"),
    "a Ceph image that is not named": (block(kind="rbd", own=None), block(kind="rbd", own=None), "unknown"),
    "zvols": ({**lun(LUN), "kind": "zvol"}, {**lun(LUN), "kind": "zvol"}, "unknown"),
    "arrays": ({**lun(LUN), "kind": "md", "own": "md.1"}, {**lun(LUN), "kind": "md", "own": "md.1"}, "unknown"),
    "network block devices": ({**lun(), "kind": "nbd"}, {**lun(), "kind": "nbd"}, "unknown"),
    "memory": ({**lun(), "kind": "ram"}, {**lun(), "kind": "ram"}, "unknown"),
    "a DRBD pair": (block(**DRBD, drbd=drbd("hv1")), block(**DRBD, drbd=drbd("hv2")), "same"),
    "DRBD pairs of one name": (
        block(
            **DRBD, drbd=drbd("hv1", peers=[{"name": "a", "connection": "Connected", "role": "", "disk": "UpToDate"}])
        ),
        block(**DRBD, drbd=drbd("hv2")),
        "unknown",
    ),
    "a DRBD pair that is apart": (
        block(**DRBD, drbd=drbd("hv1", peers=[{"name": "hv2", "connection": "Connecting", "role": "", "disk": ""}])),
        block(**DRBD, drbd=drbd("hv2")),
        "unknown",
    ),
    "DRBD 8": (
        block(**DRBD, drbd=drbd("hv1", resource=None)),
        block(**DRBD, drbd=drbd("hv2", resource=None)),
        "unknown",
    ),
    "DRBD here, a LUN there": (block(**DRBD, drbd=drbd("hv1")), lun(LUN), "unknown"),
}


def _path(device: dict[str, t.Any], **changes: t.Any) -> dict[str, t.Any]:
    known = {"path": "/dev/x", "exists": True, "kind": "block", "block": device, "label": "", "loop_file": None}
    return {**known, **changes}


def _compare(here: dict[str, t.Any], there: dict[str, t.Any]) -> str:
    verdict, why = identity.compare(Facts("here", here), Facts("there", there))
    assert why
    return verdict


@pytest.mark.parametrize(("here", "there", "verdict"), TABLE.values(), ids=TABLE.keys())
def test_same_and_different_need_proof(here: dict[str, t.Any], there: dict[str, t.Any], verdict: str) -> None:
    assert _compare(_path(here), _path(there)) == verdict
    assert _compare(_path(there), _path(here)) == verdict


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [
        (NFS, NFS, "same"),
        (NFS, {**NFS, "inode": 6}, "different"),
        (LOCAL, LOCAL, "unknown"),
        (NFS, LOCAL, "unknown"),
    ],
)
def test_a_loop_device_is_the_file_behind_it(here: dict[str, t.Any], there: dict[str, t.Any], verdict: str) -> None:
    assert _compare(_path(loop(), loop_file=here), _path(loop(), loop_file=there)) == verdict
    # whatever else it is called
    assert _compare(_path(loop(LUN), loop_file=here), _path(loop(LUN), loop_file=there)) == verdict


def test_a_loop_device_whose_file_is_not_seen_needs_another_name() -> None:
    unseen = [{"fact": "loop_file", "reason": "No such file"}]
    assert _compare(_path(loop(), unknown=unseen), _path(loop(), unknown=unseen)) == "unknown"
    assert _compare(_path(loop(LUN), unknown=unseen), _path(loop(LUN), unknown=unseen)) == "same"


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [("gpt:01", "gpt:01", "same"), ("gpt:01", "gpt:02", "unknown"), ("", "gpt:02", "unknown")],
)
def test_first_sectors_that_differ_forbid_the_same(here: str, there: str, verdict: str) -> None:
    assert _compare(_path(lun(LUN), label=here), _path(lun(LUN), label=there)) == verdict


@pytest.mark.parametrize("labels", [("gpt:01", "gpt:01"), ("gpt:01", "gpt:02")])
def test_first_sectors_prove_neither(labels: tuple[str, str]) -> None:
    here, there = (_path(lun(), label=text) for text in labels)
    assert _compare(here, there) == "unknown"


def test_first_sectors_that_may_not_be_read_leave_the_names() -> None:
    unread = [{"fact": "label", "reason": "Permission denied"}]
    assert _compare(_path(lun(LUN), unknown=unread), _path(lun(LUN))) == "same"


@pytest.mark.parametrize(
    ("name", "unique"),
    [
        ("naa.5000c500a1b2c3d4", True),
        ("naa.5000000000000001", False),
        ("naa.60014051a2b3c4d5", False),
        (LUN, True),
        ("naa.2222222222222222", False),
        ("naa.3333333000007d0", False),
        ("eui.0025385b71b0a1c3", True),
        ("eui.0000000000000001", False),
        ("eui.36344730528013800025384500000001", True),
        ("uuid.00000000-0000-0000-0000-000000000000", False),
        ("nvme.1b36-6d79736572", False),
        ("t10.ATA     WDC", False),
        ("0QEMU_QEMU_HARDDISK_drive-scsi0", False),
    ],
)
def test_which_names_are_unique_in_the_world(name: str, unique: bool) -> None:
    assert identity_block.world_wide(name) is unique


def test_a_lun_that_both_hosts_have_passes_every_check_of_disks() -> None:

    scene = Scene()
    on_block()(scene)
    assert [finding["message"] for finding in scene.findings() if finding["category"] == "storage"] == []
