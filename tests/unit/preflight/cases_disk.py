# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the checks of disks, images and block devices."""

from __future__ import annotations

import typing as t

from tests.unit.preflight.case import Case, Edit, both, device, fact, migration, more, put
from tests.unit.preflight.scene import Scene

LUN = "naa.60014051a2b3c4d5e6f708192a3b4c5d"
SYSFS = "the kernel's Documentation/ABI (sysfs-block, sysfs-block-dm, sysfs-bus-scsi-devices)"
LIBVIRT = "libvirt's docs/formatdomain.rst"
LVM = "LVM-" + "Q8kzaTnV0yP5rW2bC4dE6fG8hJ0kL1mN" + "aB3cD5eF7gH9iJ1kL3mN5oP7qR9sT1uV"


def leaf(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "kernel": "sdb",
        "kind": "disk",
        "transport": "iscsi",
        "ids": [LUN],
        "part": "",
        "backing": None,
        **changes,
    }


def block(**changes: t.Any) -> dict[str, t.Any]:
    """What a host knows of an iSCSI LUN."""
    return {
        "kernel": "sdb",
        "kind": "disk",
        "own": None,
        "bytes": 67108864,
        "sector": 512,
        "readonly": False,
        "layer": None,
        "leaves": [leaf()],
        "paths": {"running": 1, "total": 1},
        "drbd": None,
        **changes,
    }


def drbd(node: str, **changes: t.Any) -> dict[str, t.Any]:
    peer = {"name": "hv2" if node == "hv1" else "hv1", "connection": "Connected", "role": "Primary", "disk": "UpToDate"}
    return {
        "node": node,
        "resource": "r0",
        "volume": 0,
        "role": "Primary" if node == "hv1" else "Secondary",
        "disk": "UpToDate",
        "peers": [peer],
        "two_primaries": True,
        **changes,
    }


def on_block(here: dict[str, t.Any] | None = None, there: dict[str, t.Any] | None = None, **path: t.Any) -> Edit:
    """The guest's disk on a block device; ``here`` and ``there`` are what the two hosts know of it (see block)."""

    def edit(scene: Scene) -> None:
        old, new = scene.disk["path"], "/dev/disk/by-id/wwn-0x60014051a2b3c4d5e6f708192a3b4c5d"
        answers = scene.answers["hv2"]
        answers[f"open:{new}"] = answers[f"open:{old}"]
        answers[f"path:{new}"] = answers[f"path:{old}"]
        scene.disk.update(type="block", path=new, format="raw")
        common = {"path": new, "kind": "block", "label": "gpt:01", "read_error": None, "loop_file": None}
        scene.disk["identity"].update(common, block=block(**(here or {})))
        scene.there.update(common, block=block(**(here or {} if there is None else there)), **path)

    return edit


def opened(**changes: t.Any) -> Edit:
    """What the destination answered about opening the guest's disk."""
    return lambda scene: scene.answers["hv2"][f"open:{scene.disk['path']}"].update(changes)


def _locked(manager: str) -> Edit:
    return lambda scene: scene.destination["storage"].update(lock_manager=manager)


def access(**changes: t.Any) -> Edit:
    return lambda scene: scene.answers["hv2"][f"open:{scene.disk['path']}"]["access"].update(changes)


def mounted_read_only(scene: Scene) -> None:
    scene.there.update(read_only=True)


def nfs(here: t.Sequence[str], there: t.Sequence[str]) -> Edit:
    def edit(scene: Scene) -> None:
        scene.storage(fs_type="nfs4", mount_source="store:/images")
        scene.disk["identity"]["mount_options"] = ["hard", "rw", "vers=4.2", *here]
        scene.there["mount_options"] = ["hard", "rw", "vers=4.2", *there]

    return edit


def startup(exists: bool) -> Edit:
    def edit(scene: Scene) -> None:
        scene.medium["startup_policy"] = "optional"
        scene.answers["hv2"][f"path:{scene.medium['path']}"]["exists"] = exists

    return edit


def asked(path: str, exists: bool) -> Edit:
    return lambda scene: scene.answers["hv2"].update({f"path:{path}": {"path": path, "exists": exists}})


def space(free_mib: int) -> Edit:
    return lambda scene: scene.disk["identity"].update(fs_size=100 << 30, fs_free=free_mib << 20)


_SOCKET = "/var/lib/libvirt/images/vhost.sock"
CASES: dict[str, Case] = {
    "disk_access_as_qemu_user": Case(
        both(access(write=False), opened(dynamic=False)),
        "may not write",
        both(access(write=False), opened(dynamic=False), put("disk", readonly=True)),
    ),
    "disk_cache_direct_supported": Case(
        opened(direct=False),
        "does not know O_DIRECT",
        both(opened(direct=False), put("disk", cache="writeback"), more("disk", io="io_uring")),
    ),
    "disk_image_locks": Case(
        opened(open_by=["qemu-nbd (77)"]),
        "qemu-nbd (77) on hv2 has",
        both(opened(open_by=["qemu-nbd (77)"]), put("disk", shareable=True)),
        blocks=False,
    ),
    "disk_dead_path_probe": Case(
        both(on_block(read_error="reading: Input/output error")),
        "hv2 cannot read it: reading: Input/output error",
        on_block(),
        documented=SYSFS,
    ),
    "disk_nfs_mount_options": Case(
        nfs([], ["local_lock=all"]),
        "is mounted local_lock=all",
        nfs([], ["local_lock=none"]),
        blocks=False,
        documented="nfs(5), and super options as in proc(5)",
    ),
    "disk_shared_filesystems_option": Case(
        nfs([], []),
        "hv1 has it in shared_filesystems",
        both(nfs([], []), lambda scene: scene.storage(declared_shared=False)),
        blocks=False,
    ),
    "disk_io_pressure_space": Case(
        space(4000), "4000 MiB of 102400 are free", both(space(4000), put("disk", readonly=True)), blocks=False
    ),
    "disk_lock_manager_match": Case(
        fact("destination", "storage.lock_manager", "lockd"),
        "nop and lockd",
        both(
            fact("destination", "storage.lock_manager", "lockd"),
            fact("source", "storage.lock_manager", "lockd"),
        ),
    ),
    "disk_format_migratable": Case(put("disk", format="vdi"), "it is VDI", put("disk", format="qed")),
    "disk_errors": Case(
        both(put("domain", state="paused", state_reason=5)),
        "paused by an I/O error of vda",
        put("domain", state="paused", state_reason=1),
    ),
    "disk_host_cdrom_passthrough": Case(
        lambda scene: scene.medium.update(type="block", path="/dev/sr0"),
        "the host's drive /dev/sr0",
        lambda scene: scene.medium.update(type="block", path="/dev/srv/iso"),
        domain="media1",
        documented=LIBVIRT,
    ),
    "disk_startup_policy": Case(
        startup(False), "the medium will be gone", startup(True), blocks=False, domain="media1"
    ),
    "disk_nvme_passthrough": Case(
        put("disk", type="nvme"),
        "an NVMe device of the source",
        both(put("disk", type="nvme"), migration(copy_storage="all")),
        documented=LIBVIRT,
    ),
    "disk_emulated_nvme_bus": Case(more("disk", bus="nvme"), "bus nvme", more("disk", bus="sata"), documented=LIBVIRT),
    "disk_vhostuser_vdpa": Case(
        both(put("disk", type="vhostuser"), more("disk", vhost_path=_SOCKET), asked(_SOCKET, False)),
        f"there is no {_SOCKET} on hv2",
        both(more("disk", vhost_path=_SOCKET), asked(_SOCKET, False)),
        documented=LIBVIRT,
    ),
    "disk_fdgroup": Case(more("disk", fdgroup="g1"), "group g1", more("disk", fdgroup=None), documented=LIBVIRT),
    "disk_shareable_writers": Case(
        put("disk", shareable=True), "other guests may write", put("disk", shareable=False), blocks=False
    ),
    "disk_iotune_throttle": Case(
        both(more("disk", iotune=True), migration(copy_storage="all")),
        "its I/O is throttled",
        more("disk", iotune=True),
        blocks=False,
    ),
    "disk_lun_and_reservations": Case(
        put("disk", device="lun"), "sends SCSI commands", put("disk", device="disk"), blocks=False, documented=LIBVIRT
    ),
    "disk_leases": Case(
        both(device("leases", key="vm1", path="/leases/vm1"), asked("/leases/vm1", False), _locked("lockd")),
        "there is no /leases/vm1 on hv2",
        both(device("leases", key="vm1", path="/leases/vm1"), asked("/leases/vm1", True)),
    ),
    "disk_block_identity": Case(
        on_block(there={"bytes": 33554432}),
        "has 67108864 bytes on hv1 and 33554432 on hv2",
        on_block(there={"kernel": "sdc"}),
    ),
    "disk_zfs_zvol_local": Case(
        on_block({"kind": "zvol", "kernel": "zd0"}),
        "a volume of a ZFS pool of the source",
        both(on_block({"kind": "zvol", "kernel": "zd0"}), migration(copy_storage="all")),
        documented=SYSFS,
    ),
    "disk_lvm_activation": Case(
        on_block({"kind": "lvm", "own": LVM, "layer": "thin"}),
        "a thin volume",
        on_block({"kind": "lvm", "own": LVM}),
        documented=SYSFS,
    ),
    "disk_iscsi_fc_sessions": Case(
        on_block({"paths": {"running": 2, "total": 2}}, {"paths": {"running": 0, "total": 2}}),
        "none of the 2 paths",
        on_block({"paths": {"running": 2, "total": 2}}),
        documented=SYSFS,
    ),
    "disk_drbd_dual_primary": Case(
        on_block(
            {"kind": "drbd", "drbd": drbd("hv1")},
            {"kind": "drbd", "drbd": drbd("hv2", two_primaries=False)},
        ),
        "r0 is Secondary on hv2 and does not allow two primaries",
        on_block({"kind": "drbd", "drbd": drbd("hv1")}, {"kind": "drbd", "drbd": drbd("hv2")}),
        documented="drbdsetup(8), status --json and show",
    ),
}
