# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and media whose files or devices are not the same on both hosts, or that do not move."""

from __future__ import annotations

from collections.abc import Callable

from tests.firing.provocation import replaced
from tests.integration.agreement.case import Case
from tests.integration.agreement.shell import (
    COMMON,
    HERE,
    NO_DISK,
    after,
    disk,
    filled,
    hidden,
    image,
    medium,
    reads,
)
from tests.lab import api as lab

HOSTS = ("hv1", "hv2")
NOT_SHARED = ("disk_shared_fs_type", "nonshared_disks_detected", "disk_path_exists_dest", "disk_same_object")
SAME = ("disk_same_object", "nonshared_disks_detected")
IMAGE = f"{COMMON}/disk.qcow2"
SECOND = f"{COMMON}/second"
LOCAL = f"{HERE}/second.raw"
ISO = f"{HERE}/medium.iso"
OWN = "/dev/livemig/b-own"
GONE = after(f"rm -rf {HERE} {COMMON}", f"umount {COMMON} 2>/dev/null; rm -rf {HERE}")
VDA = "/machine/peripheral/virtio-disk0/virtio-backend"


def devices(*hosts: str, size_mib: int = 64, same: bool = False) -> Callable[[], object]:
    return lambda: lab.disk(hosts, "b-own", size_mib=size_mib, same=same)


def no_devices() -> None:
    lab.disk_remove("b-own")


def _smaller_there() -> None:
    """Two devices under one path."""
    for host, size in (("hv1", 64), ("hv2", 32)):
        lab.disk([host], f"b-own-{host}", size_mib=size)
        lab.exec_on(host, ["ln", "-sfn", f"/dev/livemig/b-own-{host}", OWN], check=True)


def _no_two_sizes() -> None:
    for host in HOSTS:
        lab.exec_on(host, ["rm", "-f", OWN])
        lab.disk_remove(f"b-own-{host}")


# path, format, whether the format can be attached read-only as well
_FORMATS = ("qcow", "vdi", "vmdk", "vpc")
_CACHED = "the destination may read what its own cache has: that QEMU drops it is a best effort"
_BACKING = f"{HERE}/base.raw"
_OVERLAY = f"{COMMON}/overlay.qcow2"

_FILES: tuple[Case, ...] = (
    Case(
        "local-disk",
        "the disk is on a file system of the source's own",
        NOT_SHARED,
        wanted={"disk": "local"},
    ),
    Case(
        "local-second-disk",
        "the first disk is shared, the second is on the source's own file system",
        NOT_SHARED,
        guest=disk(LOCAL, "raw", target="vdb"),
        before={"hv1": image(LOCAL, "raw")},
        after=GONE,
    ),
    Case(
        "local-twin",
        "each host has an image at the same local path",
        NOT_SHARED,
        wanted=NO_DISK,
        guest=disk(f"{HERE}/disk.qcow2"),
        before=dict.fromkeys(HOSTS, image(f"{HERE}/disk.qcow2")),
        after=GONE,
    ),
    Case(
        "link-to-local",
        "the disk's path is on shared storage, but a link to a file of the source's own",
        NOT_SHARED,
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": f"{image(f'{HERE}/disk.qcow2')}; mkdir -p {COMMON}; ln -s {HERE}/disk.qcow2 {IMAGE}"},
        after=GONE,
    ),
    Case(
        "link-to-twins",
        "the disk's path is a link, and where it leads the destination has another file",
        SAME,
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={
            "hv1": f"mkdir -p {COMMON}/a; {image(f'{COMMON}/a/disk.qcow2')}; ln -s {COMMON}/a/disk.qcow2 {IMAGE}",
            "hv2": f"{hidden(f'{COMMON}/a')}; {image(f'{COMMON}/a/disk.qcow2')}",
        },
        after=after(f"rm -rf {COMMON}", f"umount {COMMON}/a"),
    ),
    Case(
        "image-gone-there",
        "the shared folder is not mounted at the destination: there is an empty one",
        ("disk_path_exists_dest", *SAME),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": hidden(COMMON)},
        after=GONE,
    ),
    Case(
        "other-image-there",
        "the shared folder is not mounted at the destination, which has another image at the disk's path",
        SAME,
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": f"{hidden(COMMON)}; {image(IMAGE)}"},
        after=GONE,
    ),
    Case(
        "other-raw-image-there",
        "the same with raw images, of which the destination's is smaller",
        SAME,
        wanted=NO_DISK,
        guest=disk(IMAGE, "raw"),
        before={"hv1": image(IMAGE, "raw"), "hv2": f"{hidden(COMMON)}; {image(IMAGE, 'raw', '32M')}"},
        after=GONE,
    ),
    Case(
        "stale-copy-there",
        "the destination has a copy of the image, made while the guest ran, and takes it for the shared one",
        SAME,
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": f"mkdir -p {HERE} {COMMON}"},
        then={"hv2": f"cp {IMAGE} {HERE}/copy; {hidden(COMMON)}; mv {HERE}/copy {IMAGE}"},
        after=GONE,
        stricter="what the guest wrote since the copy was made is lost, and from the move on there are two disks",
        risk={
            "hv1": f"a=$(qemu-io -U -r -c 'read -v 0 512' {IMAGE} | md5sum); sleep 4; "
            f"b=$(qemu-io -U -r -c 'read -v 0 512' {IMAGE} | md5sum); "
            '[ "$a" = "$b" ] && echo not written any more'
        },
        shows="not written any more",
    ),
    Case(
        "read-only-there",
        "the destination has the shared folder mounted read-only",
        ("disk_access_as_qemu_user", "disk_nfs_mount_options"),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={
            "hv1": image(IMAGE),
            "hv2": f"mkdir -p {COMMON}; mount --bind {COMMON} {COMMON}; mount -o remount,bind,ro {COMMON}",
        },
        after=GONE,
    ),
    Case(
        "no-direct-io-there",
        "the destination has a copy of the image on a file system that does not know O_DIRECT",
        ("disk_cache_direct_supported", *SAME),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": f"mkdir -p {COMMON}; mount -t ramfs ramfs {COMMON}; {image(IMAGE)}"},
        after=GONE,
    ),
    Case(
        "folder-for-file-there",
        "at the disk's path the destination has a folder",
        ("disk_path_exists_dest", *SAME),
        wanted=NO_DISK,
        guest=disk(IMAGE, "raw"),
        before={"hv1": image(IMAGE, "raw"), "hv2": f"{hidden(COMMON)}; mkdir {IMAGE}"},
        after=GONE,
    ),
    Case(
        "link-dangles-there",
        "the disk's path is a link, and what it leads to is not mounted at the destination",
        ("disk_path_exists_dest", *SAME),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={
            "hv1": f"{image(f'{COMMON}/a/disk.qcow2')}; ln -s a/disk.qcow2 {IMAGE}",
            "hv2": hidden(f"{COMMON}/a"),
        },
        after=after(f"rm -rf {COMMON}", f"umount {COMMON}/a"),
    ),
)

_CHAINS: tuple[Case, ...] = (
    Case(
        "backing-gone-there",
        "the disk is a shared overlay of a file that only the source has",
        ("disk_backing_chain_complete", "disk_path_exists_dest"),
        wanted=NO_DISK,
        guest=disk(_OVERLAY),
        before={"hv1": f"{filled(_BACKING, '0x11', '64M')}; {image(_OVERLAY, base=_BACKING)}"},
        after=GONE,
    ),
    Case(
        "backing-gone-there-written-out",
        "the same, with the chain written out in the guest's XML",
        ("disk_backing_chain_complete", "disk_path_exists_dest"),
        wanted=NO_DISK,
        guest=disk(
            _OVERLAY,
            more="<backingStore type='file'><format type='raw'/>"
            f"<source file='{_BACKING}'/><backingStore/></backingStore>",
        ),
        before={"hv1": f"{filled(_BACKING, '0x11', '64M')}; {image(_OVERLAY, base=_BACKING)}"},
        after=GONE,
    ),
    Case(
        "backing-other-there",
        "the disk is a shared overlay of a local file, of which each host has one with other contents",
        ("disk_backing_chain_complete", "disk_same_object"),
        wanted=NO_DISK,
        guest=disk(_OVERLAY),
        before={
            "hv1": f"{filled(_BACKING, '0x11', '64M')}; {image(_OVERLAY, base=_BACKING)}",
            "hv2": filled(_BACKING, "0x22", "64M"),
        },
        after=GONE,
        stricter="whatever the guest has not written since the overlay was made is another disk's at the destination",
        risk={"hv2": reads(VDA, "1M", "0x22")},
        shows=r"(?m)^read 512/512 bytes",
    ),
    Case(
        "backing-two-below-gone",
        "of a chain of three on shared storage the lowest is not to be seen at the destination",
        ("disk_backing_chain_complete", "disk_path_exists_dest", *SAME),
        wanted=NO_DISK,
        guest=disk(_OVERLAY),
        before={
            "hv1": f"{filled(f'{COMMON}/a/base.raw', '0x11', '64M')}; cd {COMMON}; "
            "qemu-img create -q -f qcow2 -b a/base.raw -F raw middle.qcow2; "
            "qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 overlay.qcow2",
            "hv2": hidden(f"{COMMON}/a"),
        },
        after=after(f"rm -rf {COMMON}", f"umount {COMMON}/a"),
    ),
    *(
        Case(
            f"format-{form}",
            f"the second disk is an image in the format {form}, which QEMU does not migrate",
            ("disk_format_migratable",),
            guest=disk(SECOND, form, target="vdb"),
            before={"hv1": image(SECOND, form, "8M")},
            after=GONE,
        )
        for form in _FORMATS
    ),
    Case(
        "format-vmdk-read-only",
        "the same with a read-only disk in the format vmdk",
        ("disk_format_migratable",),
        guest=disk(SECOND, "vmdk", target="vdb", more="<readonly/>"),
        before={"hv1": image(SECOND, "vmdk", "8M")},
        after=GONE,
    ),
    Case(
        "folder-as-disk-gone-there",
        "a folder that only the source has, shown to the guest as a read-only FAT disk",
        ("disk_path_exists_dest", "disk_readonly_media_present", "disk_format_migratable"),
        guest=disk(f"<source dir='{HERE}'/>", "fat", "dir", "vdb", "<readonly/>"),
        before={"hv1": f"mkdir -p {HERE}; echo here >{HERE}/file"},
        after=GONE,
    ),
    Case(
        "transient-disk",
        "what the guest writes to its disk is thrown away when it ends",
        ("disk_transient",),
        guest=replaced("<target dev='vda' bus='virtio'/>", "<target dev='vda' bus='virtio'/><transient/>"),
        after=after("rm -f /srv/shared/disks/{name}.qcow2.TRANSIENT*"),
    ),
    *(
        Case(
            f"cache-{mode}",
            f"a shared file with cache={mode}",
            ("disk_cache_mode",),
            guest=replaced("cache='none'", f"cache='{mode}'"),
            stricter=why,
        )
        for mode, why in (
            ("writeback", _CACHED),
            ("writethrough", _CACHED),
            ("unsafe", "QEMU ignores flushes: what the source wrote need not be there when the destination reads it"),
        )
    ),
    Case(
        "cache-shareable-writeback",
        "a shareable disk with cache=writeback, which libvirt takes for safe because it is shareable",
        ("disk_cache_mode", "disk_shareable_writers"),
        guest=disk(SECOND, "raw", target="vdb", more="<shareable/>", cache="writeback"),
        before={"hv1": image(SECOND, "raw", "8M")},
        after=GONE,
        stricter="several guests write to it, each through its host's cache",
    ),
)

_BLOCKS: tuple[Case, ...] = (
    Case(
        "block-look-alike",
        "each host has a block device of its own under the disk's path",
        ("disk_same_object", "disk_block_identity", "disk_zfs_zvol_local"),
        wanted=NO_DISK,
        guest=disk(OWN, "raw", "block"),
        act=devices("hv1", "hv2"),
        after=after(),
        undo=no_devices,
    ),
    Case(
        "block-gone-there",
        "the second disk is a block device that only the source has",
        ("disk_path_exists_dest", "disk_iscsi_fc_sessions"),
        guest=disk(OWN, "raw", "block", "vdb"),
        act=devices("hv1"),
        after=after(),
        undo=no_devices,
    ),
    Case(
        "block-smaller-there",
        "under the disk's path the destination has another device, half as large",
        ("disk_block_identity", "disk_same_object"),
        wanted=NO_DISK,
        guest=disk(OWN, "raw", "block"),
        act=_smaller_there,
        after=after(),
        undo=_no_two_sizes,
    ),
    Case(
        "block-file-there",
        "where the source has a block device, the destination has a file",
        ("disk_path_exists_dest", "disk_same_object", "disk_block_identity"),
        wanted=NO_DISK,
        guest=disk(OWN, "raw", "block"),
        act=devices("hv1"),
        before={"hv2": f"mkdir -p /dev/livemig; truncate -s 64M {OWN}"},
        after=after(there=f"rm -f {OWN}"),
        undo=no_devices,
    ),
    Case(
        "block-qcow2-twin",
        "each host has a block device of its own, with a qcow2 image in it",
        ("disk_same_object", "disk_block_identity", "disk_zfs_zvol_local"),
        wanted=NO_DISK,
        guest=disk(OWN, "qcow2", "block"),
        act=lambda: [
            devices("hv1", "hv2", size_mib=128)(),
            *(lab.exec_on(host, ["qemu-img", "create", "-q", "-f", "qcow2", OWN, "64M"]) for host in HOSTS),
        ],
        after=after(),
        undo=no_devices,
    ),
)

_MEDIA: tuple[Case, ...] = (
    Case(
        "medium-here-only",
        "the CD drive holds an image that only the source has",
        ("disk_readonly_media_present", "disk_path_exists_dest"),
        guest=medium(ISO),
        before={"hv1": filled(ISO, "0x11")},
        after=GONE,
    ),
    Case(
        "medium-other-there",
        "the destination has another image of the same size at the path of the CD drive's",
        ("disk_same_object", "disk_readonly_media_present"),
        guest=medium(ISO),
        before={"hv1": filled(ISO, "0x11"), "hv2": filled(ISO, "0x22")},
        after=GONE,
        stricter="the guest's medium is another one after the move, and nobody told it",
        risk={"hv2": reads("sata0-0-0", "0", "0x22")},
        shows=r"(?m)^read 512/512 bytes",
    ),
    Case(
        "medium-shorter-there",
        "the destination has a shorter image at the path of the CD drive's",
        ("disk_same_object", "disk_readonly_media_present"),
        guest=medium(ISO),
        before={"hv1": filled(ISO, "0x11"), "hv2": filled(ISO, "0x22", "512K")},
        after=GONE,
        stricter="the guest's medium is another one after the move, and nobody told it",
        risk={"hv2": reads("sata0-0-0", "0", "0x22")},
        shows=r"(?m)^read 512/512 bytes",
    ),
    Case(
        "medium-requisite-here-only",
        "the CD drive holds an image that only the source has, which libvirt may leave out only after a migration",
        (),
        guest=medium(ISO, policy=" startupPolicy='requisite'"),
        before={"hv1": filled(ISO, "0x11")},
        after=GONE,
    ),
    Case(
        "medium-optional-here-only",
        "the CD drive holds an image that only the source has, and libvirt may leave it out",
        (),
        guest=medium(ISO, policy=" startupPolicy='optional'"),
        before={"hv1": filled(ISO, "0x11")},
        after=GONE,
    ),
    Case(
        "floppy-here-only",
        "the floppy drive holds an image that only the source has",
        ("disk_readonly_media_present", "disk_path_exists_dest"),
        guest=medium(ISO, drive="floppy"),
        before={"hv1": filled(ISO, "0x11", "1440K")},
        after=GONE,
    ),
    Case(
        "read-only-disk-here-only",
        "a read-only disk is a file that only the source has",
        ("disk_readonly_media_present", "disk_path_exists_dest"),
        guest=disk(LOCAL, "raw", target="vdb", more="<readonly/>"),
        before={"hv1": filled(LOCAL, "0x11")},
        after=GONE,
    ),
    Case(
        "host-drive-gone-there",
        "the CD drive is the source's own /dev/sr0",
        ("disk_host_cdrom_passthrough", "disk_readonly_media_present", "disk_path_exists_dest"),
        guest=medium("/dev/sr0", "block"),
        act=lambda: (devices("hv1")(), lab.exec_on("hv1", ["ln", "-s", OWN, "/dev/sr0"], check=True)),
        after=after("rm -f /dev/sr0"),
        undo=no_devices,
    ),
    Case(
        "host-drive-other-there",
        "the CD drive is the host's own /dev/sr0, and each host has one, with a medium of its own",
        ("disk_host_cdrom_passthrough", "disk_same_object", "disk_block_identity"),
        guest=medium("/dev/sr0", "block"),
        act=lambda: (
            devices("hv1", "hv2")(),
            *(lab.exec_on(host, ["ln", "-s", OWN, "/dev/sr0"], check=True) for host in HOSTS),
        ),
        then={"hv2": f"qemu-io -f raw -c 'write -P 0x22 0 1M' {OWN} >/dev/null; sync"},
        after=after("rm -f /dev/sr0", "rm -f /dev/sr0"),
        undo=no_devices,
        stricter="the guest's medium is another one after the move, and nobody told it",
        risk={"hv2": reads("sata0-0-0", "0", "0x22")},
        shows=r"(?m)^read 512/512 bytes",
    ),
)

CASES: tuple[Case, ...] = (*_FILES, *_CHAINS, *_BLOCKS, *_MEDIA)
