# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of copies of disks, and of what a domain has besides its disks' files."""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.questions import key_of
from tests.unit.preflight.case import Case, Edit, both, device, fact, migration, put
from tests.unit.preflight.scene import Scene

FORMATDOMAIN = "libvirt: docs/formatdomain.rst"
MIB = 1024**2


def _local(inode: int | None) -> Edit:
    """The disk on a local file system of each host. ``inode``: of what the destination has, None for nothing."""

    def edit(scene: Scene) -> None:
        scene.storage(declared_shared=False, fs_type="xfs")
        scene.there.update({"exists": False} if inode is None else {"inode": inode})

    return edit


def _answer(key: str, **answer: t.Any) -> Edit:
    return lambda scene: scene.answers["hv2"].update({key: answer})


def _about_disk(ask: str, **answer: t.Any) -> Edit:
    return lambda scene: scene.answers["hv2"].update({f"{ask}:{scene.disk['path']}": answer})


def _pool(path: str, active: bool = True) -> Edit:
    pool = {"name": "disks", "type": "dir", "active": active, "path": path}
    return lambda scene: scene.destination["pools"]["pools"].append(pool)


def _volume(folder: str) -> Edit:
    """The disk as a volume of a pool that both hosts have, at the destination for this folder."""

    def edit(scene: Scene) -> None:
        scene.disk.update(type="volume", path=None)
        scene.disk["more"].update(pool="disks", volume="web1.qcow2")
        for host, path in ((scene.source, "/srv/pool"), (scene.destination, folder)):
            host["pools"]["pools"] = [{"name": "disks", "type": "dir", "active": True, "path": path}]
        answer = {"pool": "active", "volume": True, "path": folder}
        scene.answers["hv2"][key_of("volume", ["disks", "web1.qcow2"])] = answer

    return edit


def _network(protocol: str, **changes: t.Any) -> Edit:
    return put("disk", type="network", path=None, protocol=protocol, hosts=["store.example.com"], **changes)


def _modules(*names: str) -> Edit:
    return fact("destination", "daemon.qemu_modules", list(names))


def _folder(driver: str | None, path: str, **there: t.Any) -> Edit:
    return both(
        device("filesystems", type="mount", driver=driver, source=path, target="data"),
        _answer(f"path:{path}", path=path, **there),
    )


def _busy(in_use: int) -> Edit:
    return put("destination", migration_ports={"first": 49152, "last": 49215, "in_use": in_use})


def _second_disk(*, copied: bool, inode: int) -> Edit:
    """One more disk on local storage; the first one is copied, and this one if so."""

    def edit(scene: Scene) -> None:
        path = "/var/lib/images/b.qcow2"
        identity = {**scene.disk["identity"], "path": path, "declared_shared": False, "fs_type": "xfs", "inode": 5}
        scene.domain["disks"].append({**scene.disk, "target": "vdb", "path": path, "identity": identity})
        scene.answers["hv2"][f"path:{path}"] = {**identity, "inode": inode}
        migration(copy_disks=["vda", "vdb"] if copied else ["vda"])(scene)

    return edit


_COPY = migration(copy_storage="all")
_LOCAL_COPY = both(_COPY, _local(None))
_SPACE = "space:/srv/shared/disks"

CASES: dict[str, Case] = {
    "managed_save_image": Case(
        put("domain", managed_save=True), "Saved state of domain web1", put("domain", managed_save=False), blocks=False
    ),
    "backup_job_active": Case(
        put("domain", job="unbounded", job_operation="backup"),
        "a backup",
        put("domain", job="unbounded", job_operation="migration_out"),
    ),
    "nonshared_disks_detected": Case(
        _second_disk(copied=False, inode=6),
        "it is not copied, and hv2 has another file: inode 5 of xfs here and 6 there",
        _second_disk(copied=True, inode=6),
        given=_LOCAL_COPY,
    ),
    "nonshared_never_copy_shared": Case(_COPY, "is one file for hv1 and hv2", _local(7), given=_COPY, status="fail"),
    "nonshared_space": Case(
        both(_answer(_SPACE, exists=True, free=63 * MIB), put("disk", allocation=64 * MIB)),
        "63 MiB free; expected 64 MiB for the copies of domain web1; 64 are in use now",
        _answer(_SPACE, exists=True, free=64 * MIB),
        given=both(_LOCAL_COPY, _answer(_SPACE, exists=True, free=640 * MIB)),
    ),
    "nonshared_precreate": Case(
        _pool("/srv/shared/disks", active=False),
        "no active pool for /srv/shared/disks",
        _pool("/srv/shared/disks/"),
        given=_LOCAL_COPY,
    ),
    "nonshared_target_stale": Case(
        _local(7), "is on hv2 already and would be overwritten", _local(None), given=_COPY, blocks=False
    ),
    "nonshared_target_size_equal": Case(
        _about_disk("image", exists=True, format="qcow2", capacity=32 * MIB),
        "on hv2 has 33554432 bytes, and the disk has 67108864",
        _about_disk("image", exists=True, format="qcow2", capacity=64 * MIB),
        given=both(_LOCAL_COPY, _about_disk("image", exists=False)),
    ),
    "nonshared_nbd_port": Case(_busy(63), "1 of 49152 to 49215 free", _busy(62), given=_COPY),
    "nonshared_tls_nbd": Case(
        both(migration(parallel=2), put("source", libvirt_version=10002000)),
        "with TLS and parallel, by libvirt 10.2.0",
        both(migration(parallel=2), put("source", libvirt_version=10003000)),
        given=both(_COPY, migration(parallel=2)),
        documented="libvirt: NEWS.rst, v10.3.0",
    ),
    "disk_pool_volume": Case(
        _volume("/srv/elsewhere"),
        "pool disks is /srv/pool on the source and /srv/elsewhere on hv2",
        _volume("/srv/pool"),
    ),
    "disk_network_driver_available": Case(
        both(_network("rbd"), _modules("block-curl")),
        "QEMU on hv2 has no block-rbd",
        both(_network("rbd"), _modules("block-rbd")),
    ),
    "disk_network_hosts_reachable": Case(
        both(
            _network("nbd"),
            lambda scene: scene.policy.update(probe=True),
            _answer("connect:store.example.com:10809", ok=False, reason="timed out"),
        ),
        "Server store.example.com of a disk of domain web1: hv2 cannot connect to port 10809: timed out",
        _network("nbd"),
    ),
    "disk_rbd_ready": Case(
        both(_network("rbd"), put("disk", hosts=[]), _answer("path:/etc/ceph/ceph.conf", exists=False)),
        "finds its monitors by /etc/ceph/ceph.conf, which is not on hv2",
        _network("rbd"),
        documented=f"{FORMATDOMAIN}, protocol rbd: host may be left out, then the cluster's configuration is used",
    ),
    "fs_virtiofs": Case(
        _folder("virtiofs", "/srv/data", exists=True, fs_type="xfs", declared_shared=False),
        "/srv/data is on xfs on hv2",
        _folder("virtiofs", "/srv/data", exists=True, fs_type="nfs4", declared_shared=False),
    ),
    "fs_9p_mounted": Case(
        both(_folder(None, "/srv/data", exists=True)),
        "9p of /srv/data",
        _folder("mtp", "/srv/data", exists=True),
        blocks=False,
    ),
}
