# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of checks of how a migration is made, and of libvirt's files."""

from __future__ import annotations

from tests.unit.preflight.case import Case, Edit, both, fact, migration, put
from tests.unit.preflight.scene import Scene

MIGRATION_H = "libvirt: include/libvirt/libvirt-domain.h, virDomainMigrateFlags"


def _tls(word: str) -> Edit:
    return lambda scene: scene.policy.update(tls=word)


def _hook(host: str, **changes: object) -> Edit:
    hook = {"path": "/etc/libvirt/hooks/qemu", "executable": True, "digest": "0123456789abcdef", **changes}

    def edit(scene: Scene) -> None:
        getattr(scene, host)["config"]["hooks"].append(hook)

    return edit


def _exports(*servers: str) -> Edit:
    """The folder of the definitions on NFS, for the source and the destination."""

    def edit(scene: Scene) -> None:
        for host, server in zip((scene.source, scene.destination), servers, strict=True):
            host["config"]["state_folders"][0].update(fs_type="nfs4", mount_source=f"{server}:/etc", inode=7)

    return edit


CASES: dict[str, Case] = {
    "flags_tunnelled_conflicts": Case(
        migration(tunnelled=True, postcopy=True), "tunnelled with postcopy", migration(tunnelled=True, unsafe=True)
    ),
    "flags_postcopy_requires_live": Case(
        migration(postcopy=True, paused=True), "postcopy with paused", migration(postcopy=True)
    ),
    "flags_zerocopy_requirements": Case(
        both(_tls("off"), migration(zerocopy=True)),
        "zerocopy without parallel",
        both(_tls("off"), migration(zerocopy=True, parallel=2)),
        given=fact("source", "ram.memlock", {"limit_mib": 8, "raises": True}),
    ),
    "flags_compression_conflicts": Case(
        migration(compression=["xbzrle"], parallel=2), "xbzrle with parallel", migration(compression=["xbzrle"])
    ),
    "flags_parallel_postcopy": Case(
        both(migration(parallel=2, postcopy=True), put("destination", qemu_version=10001000)),
        "Migration from hv1: parallel with postcopy, and QEMU there is 10.0.",
        both(
            migration(parallel=2, postcopy=True),
            put("source", qemu_version=10001000),
            put("destination", qemu_version=10001000),
        ),
    ),
    "flags_migrate_disks_valid": Case(
        migration(copy_storage="all", copy_disks=["vdx"]),
        "vdx, and it has vda",
        migration(copy_storage="all", copy_disks=["vda"]),
    ),
    "flags_offline_combination": Case(
        migration(offline=True, persist=False), "offline without persist", migration(offline=True)
    ),
    "flags_rdma_hard_limit": Case(
        migration(transport="rdma"),
        "none, and the transport is rdma",
        both(migration(transport="rdma"), fact("domain", "settings.memtune.hard_limit", "1048576")),
    ),
    "flags_tls_forced": Case(
        both(_tls("off"), fact("destination", "daemon.qemu_conf.migrate_tls_force", 1)),
        "migrate_tls_force in qemu.conf of hv2: 1",
        both(_tls("required"), fact("destination", "daemon.qemu_conf.migrate_tls_force", 1)),
    ),
    "flags_unix_transport": Case(
        both(_tls("off"), migration(transport="unix", copy_storage="all")),
        "disks_uri is no unix socket",
        both(_tls("off"), migration(transport="unix", copy_storage="all", disks_uri="unix:///run/d.sock")),
    ),
    "flags_p2p_choice": Case(migration(peer2peer=False), "without peer2peer", migration(peer2peer=True), blocks=False),
    "flags_persist_policy": Case(
        migration(persist=False),
        "deleted here and not kept there",
        both(migration(persist=False), put("domain", persistent=False)),
    ),
    "flags_unsafe_requested": Case(migration(unsafe=True), "unsafe:", migration(unsafe=False), blocks=False),
    "flags_abort_on_error": Case(
        both(migration(abort_on_error=True), put("domain", state="paused", state_reason=5)),
        "paused by an I/O error",
        both(migration(abort_on_error=True), put("domain", state="paused", state_reason=1)),
    ),
    "flags_bandwidth_sane": Case(
        migration(bandwidth_mib_s=1193),
        "1193 MiB/s, and its fastest NIC does 1192 MiB/s (10000 Mbit/s)",
        migration(bandwidth_mib_s=1192),
        blocks=False,
    ),
    "flags_max_downtime_sane": Case(
        migration(max_downtime_ms=3001), "3001 ms", migration(max_downtime_ms=3000), blocks=False
    ),
    "hook_script_destination": Case(
        _hook("destination"),
        "there, and not on hv1",
        both(_hook("source"), _hook("destination")),
        blocks=False,
    ),
    "libvirt_etc_not_shared": Case(
        _exports("store", "store"), "one folder: inode 7 of store:/etc", _exports("store", "other")
    ),
}
