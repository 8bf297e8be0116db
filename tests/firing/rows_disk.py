# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions of disks, images and block devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.firing.provocation import Provocation, XmlEdit, device, replaced
from tests.lab import api as lab
from tests.lab.places import places

HOSTS = ("hv1", "hv2")
LOCAL = "/srv/p-local"
IMAGE = f"{LOCAL}/image"
ONLY_HERE = f"mkdir -p {LOCAL} && truncate -s 1M {IMAGE}"
GONE = f"rm -rf {LOCAL}"
SHARED = "/srv/shared/disks/p-extra"
CONF = "/etc/libvirt/qemu.conf"
KEEP_CONF = f"cp {CONF} {CONF}.p-kept"
RESTORE_CONF = f"mv {CONF}.p-kept {CONF}"
RESTART = "/etc/init.d/libvirtd restart"


def disk(source: str, form: str = "raw", kind: str = "file", more: str = "", **driver: str) -> XmlEdit:
    """The edit that adds a disk vdb; ``more``: elements in it."""
    attribute = "dev" if kind == "block" else "file"
    words = "".join(f" {name}='{value}'" for name, value in {"cache": "none", **driver}.items())
    return device(
        f"<disk type='{kind}' device='disk'><driver name='qemu' type='{form}'{words}/><source {attribute}='{source}'/>"
        f"<target dev='vdb' bus='virtio'/>{more}</disk>"
    )


def cdrom(source: str, kind: str = "file", policy: str = "") -> XmlEdit:
    attribute = "dev" if kind == "block" else "file"
    return device(
        f"<disk type='{kind}' device='cdrom'><driver name='qemu' type='raw'/><source {attribute}='{source}'{policy}/>"
        "<target dev='sda' bus='sata'/><readonly/></disk>"
    )


def device_path(name: str) -> str:
    return f"/dev/livemig/{name}"


def alike(name: str, and_then: Callable[[], object] = list) -> Callable[[], object]:
    """Look-alikes on both hosts, and something done to them."""

    def act() -> None:
        lab.disk(HOSTS, name)
        and_then()

    return act


def removed(*names: str) -> Callable[[], object]:
    return lambda: [lab.disk_remove(name) for name in names]


def _emptied() -> None:
    """What the loop device on hv2 lies on is cut off: every read of it is an I/O error from now on."""
    with Path(places().blocks, "p-dead", "hv2.img").open("r+b") as file:
        file.truncate(0)


def _two_sizes() -> None:
    for host, size in (("hv1", 64), ("hv2", 32)):
        lab.disk([host], f"p-size-{host}", size_mib=size)
        lab.exec_on(host, ["ln", "-sfn", device_path(f"p-size-{host}"), device_path("p-size")], check=True)


def _on_gluster() -> None:
    lab.store_up()
    lab.exec_on("hv1", ["truncate", "--size=1M", "/srv/gluster/p-extra"], check=True)


def _off_gluster() -> None:
    lab.exec_on("hv1", ["rm", "-f", "/srv/gluster/p-extra"])
    lab.store_down()


def _one_size() -> None:
    for host in HOSTS:
        lab.exec_on(host, ["rm", "-f", device_path("p-size")])
        lab.disk_remove(f"p-size-{host}")


LOOP = f"""\
{ONLY_HERE}
loop=$(losetup --find | cut -d ' ' -f 1)
[ -e $loop ] || mknod $loop b 7 ${{loop#/dev/loop}}
losetup $loop {IMAGE}
ln -s $loop /dev/p-loop
"""
NO_LOOP = f"""\
loop=$(readlink /dev/p-loop)
losetup --detach $loop
rm -f /dev/p-loop $loop
{GONE}
"""
DAEMON = f"""\
{ONLY_HERE}
qemu-storage-daemon --daemonize --pidfile /run/p-vhost.pid \\
    --blockdev driver=file,filename={IMAGE},node-name=image \\
    --export type=vhost-user-blk,id=export,node-name=image,writable=on,addr.type=unix,addr.path=/run/p-vhost.sock
"""
VHOST = (
    "<disk type='vhostuser' device='disk'><driver name='qemu' type='raw'/>"
    "<source type='unix' path='/run/p-vhost.sock'/><target dev='vdb' bus='virtio'/></disk></devices>"
)
SHARED_MEMORY = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking><devices>"


FAIL = f"""\
truncate -s 0 {IMAGE}
virsh --quiet resume p-disk-errors
for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    virsh domstate --reason p-disk-errors | grep -q 'I/O error' && exit
    sleep 1
done
virsh domstate --reason p-disk-errors
exit 1
"""
HANDED_OVER = f"""\
cat >{LOCAL}/disk.xml <<EOF
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{IMAGE}' fdgroup='p'/>
<target dev='vdb' bus='virtio'/></disk>
EOF
virsh --quiet "dom-fd-associate p-disk-fdgroup p --pass-fds 3; attach-device p-disk-fdgroup {LOCAL}/disk.xml --live" \
    3<>{IMAGE}
"""
DECLARE = (
    f'{KEEP_CONF}; sed -i \'s|^shared_filesystems = .*|shared_filesystems = [ "/srv/shared", "/srv/gluster" ]|\' {CONF}'
)


def _boots_from_it(xml: str) -> str:
    """The firmware reads the disk, no kernel."""
    words = dict.fromkeys(line for line in xml.splitlines() if line.startswith(("<kernel>", "<cmdline>")))
    for line in words:
        xml = xml.replace(line, "</os>" if line.startswith("<cmdline>") else "")
    stops = disk("/dev/p-loop", kind="block", more="<boot order='1'/>", error_policy="stop", rerror_policy="stop")
    return stops(xml)


def _vhost(xml: str) -> str:
    return replaced("</devices>", VHOST)(replaced("<devices>", SHARED_MEMORY)(xml))


ROWS: tuple[Provocation, ...] = (
    Provocation(
        "disk_shared_fs_type",
        "a disk on the source's own file system",
        f"{IMAGE} is on overlay",
        guest=disk(IMAGE),
        before={"hv1": ONLY_HERE},
        after={"hv1": GONE},
    ),
    Provocation(
        "disk_path_exists_dest",
        "a disk that only the source has",
        f"there is no {IMAGE} on hv2",
        guest=disk(IMAGE),
        before={"hv1": ONLY_HERE},
        after={"hv1": GONE},
    ),
    Provocation(
        "disk_same_object",
        "block devices of the same path and size on both hosts, each with a name of its own",
        "have different objects there: they are naa.6001405",
        guest=disk(device_path("p-alike"), kind="block"),
        act=alike("p-alike"),
        undo=removed("p-alike"),
    ),
    Provocation(
        "disk_readonly_media_present",
        "a medium that only the source has",
        f"there is no {IMAGE} on hv2",
        guest=cdrom(IMAGE),
        before={"hv1": ONLY_HERE},
        after={"hv1": GONE},
    ),
    Provocation(
        "disk_startup_policy",
        "a medium with startupPolicy='optional' that only the source has",
        "the medium will be gone",
        guest=cdrom(IMAGE, policy=" startupPolicy='optional'"),
        before={"hv1": ONLY_HERE},
        after={"hv1": GONE},
    ),
    Provocation(
        "disk_cache_mode",
        "a disk with cache=unsafe",
        "cache=unsafe",
        guest=replaced("cache='none'", "cache='unsafe'"),
    ),
    Provocation(
        "disk_transient",
        "a transient disk",
        "it is transient",
        guest=replaced("<target dev='vda' bus='virtio'/>", "<target dev='vda' bus='virtio'/><transient/>"),
    ),
    Provocation(
        "disk_access_as_qemu_user",
        "QEMU run as libvirt-qemu on hv2, whose libvirt may not change owners",
        "libvirt-qemu, who runs QEMU on hv2, may not write",
        guest=lambda xml: xml,
        before={
            "hv2": f'{KEEP_CONF}; sed -i \'s/^user = .*/user = "libvirt-qemu"/; s/^group = .*/group = "kvm"/\' {CONF}'
            f"; echo 'dynamic_ownership = 0' >>{CONF}; {RESTART}"
        },
        after={"hv2": f"{RESTORE_CONF}; {RESTART}"},
    ),
    Provocation(
        "disk_cache_direct_supported",
        "a disk with cache=none whose folder is a ramfs on hv2",
        f"the file system of {IMAGE} on hv2 does not know O_DIRECT",
        guest=disk(IMAGE),
        before={"hv1": ONLY_HERE, "hv2": f"mkdir -p {LOCAL} && mount -t ramfs ramfs {LOCAL} && {ONLY_HERE}"},
        after={"hv1": GONE, "hv2": f"umount {LOCAL}; {GONE}"},
    ),
    Provocation(
        "disk_image_locks",
        "a process on hv2 that reads the disk",
        "tail (",
        guest=disk(SHARED),
        before={
            "hv1": f"truncate -s 1M {SHARED}",
            "hv2": f"setsid tail -f {SHARED} >/dev/null 2>&1 & echo $! >/run/p-tail.pid",
        },
        after={"hv2": f"kill $(cat /run/p-tail.pid); rm -f /run/p-tail.pid {SHARED}"},
    ),
    Provocation(
        "disk_dead_path_probe",
        "a block device of hv2 whose reads fail",
        "hv2 cannot read it",
        guest=disk(device_path("p-dead"), kind="block"),
        act=alike("p-dead", _emptied),
        undo=removed("p-dead"),
    ),
    Provocation(
        "disk_io_pressure_space",
        "a growing image on a tmpfs of 70 MiB that is nearly full",
        f"MiB of 70 are free where {LOCAL}/image.qcow2 is",
        guest=disk(f"{LOCAL}/image.qcow2", "qcow2"),
        before={
            "hv1": f"mkdir -p {LOCAL} && mount -t tmpfs -o size=70m tmpfs {LOCAL}"
            f" && qemu-img create -q -f qcow2 {LOCAL}/image.qcow2 64M && fallocate -l 67M {LOCAL}/other"
        },
        after={"hv1": f"umount {LOCAL}; {GONE}"},
    ),
    Provocation(
        "disk_lock_manager_match",
        "lock_manager = lockd in qemu.conf of hv2",
        "nop and lockd",
        before={"hv2": f"{KEEP_CONF}; echo 'lock_manager = \"lockd\"' >>{CONF}"},
        after={"hv2": RESTORE_CONF},
    ),
    Provocation(
        "disk_format_migratable",
        "a VDI image",
        "it is VDI",
        guest=disk(SHARED, "vdi"),
        before={"hv1": f"qemu-img create -q -f vdi {SHARED} 1M"},
        after={"hv1": f"rm -f {SHARED}"},
    ),
    Provocation(
        "disk_host_cdrom_passthrough",
        "a block device called /dev/sr0",
        "the host's drive /dev/sr0",
        guest=cdrom("/dev/sr0", "block"),
        act=alike("p-drive", lambda: lab.exec_on("hv1", ["ln", "-sfn", device_path("p-drive"), "/dev/sr0"])),
        undo=removed("p-drive"),
        after={"hv1": "rm -f /dev/sr0"},
        faked=True,
    ),
    Provocation(
        "disk_vhostuser_vdpa",
        "a vhost-user disk of a qemu-storage-daemon on hv1",
        "there is no /run/p-vhost.sock on hv2",
        guest=_vhost,
        before={"hv1": DAEMON},
        after={"hv1": f"kill $(cat /run/p-vhost.pid); rm -f /run/p-vhost.*; {GONE}"},
    ),
    Provocation(
        "disk_shareable_writers",
        "a shareable disk",
        "other guests may write to it",
        guest=disk(SHARED, more="<shareable/>"),
        before={"hv1": f"truncate -s 1M {SHARED}"},
        after={"hv1": f"rm -f {SHARED}"},
    ),
    Provocation(
        "disk_iotune_throttle",
        "a throttled disk, and a migration that copies it",
        "its I/O is throttled",
        guest=replaced(
            "<target dev='vda' bus='virtio'/>",
            "<target dev='vda' bus='virtio'/><iotune><total_bytes_sec>1000000</total_bytes_sec></iotune>",
        ),
        policy={"migration": {"copy_storage": "all"}},
    ),
    Provocation(
        "disk_leases",
        "a lease in a file that only the source has",
        f"there is no {IMAGE} on hv2",
        guest=device(f"<lease><lockspace>p</lockspace><key>p</key><target path='{IMAGE}'/></lease>"),
        before={"hv1": ONLY_HERE},
        after={"hv1": GONE},
    ),
    Provocation(
        "disk_block_identity",
        "block devices of the same path and different sizes",
        "has 67108864 bytes on hv1 and 33554432 on hv2",
        guest=disk(device_path("p-size"), kind="block"),
        act=_two_sizes,
        undo=_one_size,
    ),
    Provocation(
        "disk_zfs_zvol_local",
        "a loop device over a file of the source's own file system",
        f"/dev/p-loop is a loop device of {IMAGE}, which is on overlay",
        guest=disk("/dev/p-loop", kind="block"),
        before={"hv1": LOOP},
        after={"hv1": NO_LOOP},
    ),
    Provocation(
        "disk_errors",
        "a guest whose firmware meets an I/O error on a disk with error_policy='stop'",
        "it was paused by an I/O error of",
        guest=_boots_from_it,
        before={"hv1": LOOP},
        then={"hv1": FAIL},
        after={"hv1": NO_LOOP},
    ),
    Provocation(
        "disk_fdgroup",
        "a disk that virsh handed over as a file descriptor",
        "it is the file descriptor group p",
        guest=lambda xml: xml,
        before={"hv1": ONLY_HERE},
        then={"hv1": HANDED_OVER},
        after={"hv1": GONE},
    ),
    Provocation(
        "disk_shared_filesystems_option",
        "shared_filesystems of hv1 lists a GlusterFS mount",
        "hv1 has it in shared_filesystems",
        guest=disk("/srv/gluster/p-extra"),
        before={"hv1": DECLARE},
        act=_on_gluster,
        undo=_off_gluster,
        after={"hv1": RESTORE_CONF},
    ),
)
