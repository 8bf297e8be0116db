# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the checks that were there first."""

from __future__ import annotations

import typing as t

from tests.unit.preflight.case import Case, Edit, answered, both, certificate, put
from tests.unit.preflight.scene import Scene


def _silent(scene: Scene) -> None:
    scene.hosts.pop()
    scene.policy["unreachable"] = {"hv2": "ssh: no route to host"}


def _other_unreachable(scene: Scene) -> None:
    """A reason without effect: the host's snapshot came all the same."""
    scene.policy["unreachable"] = {"hv2": "slow"}


def _same(fact: str) -> Edit:
    return lambda scene: scene.destination.update({fact: scene.source[fact]})


def _ports(free: int) -> Edit:
    return put("destination", migration_ports={"first": 49152, "last": 49215, "in_use": 64 - free})


def _emulator_elsewhere(exists: bool) -> Edit:
    """Capabilities of a host with merged /usr name the other path, so that the host was asked."""

    def edit(scene: Scene) -> None:
        for emulator in scene.destination["emulators"]:
            emulator["path"] = emulator["path"].replace("/usr", "") + "-other"
        path = scene.domain["emulator"]
        scene.answers["hv2"][f"path:{path}"] = {"path": path, "exists": exists}

    return edit


def _emulators(**changes: t.Any) -> Edit:
    def edit(scene: Scene) -> None:
        for emulator in scene.destination["emulators"]:
            emulator.update(changes)

    return edit


def _nfs(**there: t.Any) -> Edit:
    """The disk on the same NFS export for both, except for what the destination says."""

    def edit(scene: Scene) -> None:
        scene.storage(fs_type="nfs4", mount_source="store:/images", relative="/web1.qcow2", declared_shared=False)
        scene.there.update(there)

    return edit


def _persistence_unknown(scene: Scene) -> None:
    del scene.domain["autostart"]
    scene.domain["unknown"].append({"fact": "autostart", "reason": "Cannot access autostart folder"})


def _old(scene: Scene) -> None:
    scene.source["qemu_version"] = 10001000


def _stable_update(scene: Scene) -> None:
    scene.source["qemu_version"] = scene.destination["qemu_version"]


def _rbd(scene: Scene) -> None:
    """One more disk: an RBD image whose cluster both hosts have in their ceph.conf."""
    more = {**scene.disk["more"], "rbd_config": None}
    image = {**scene.disk, "target": "vdb", "type": "network", "path": None, "protocol": "rbd", "hosts": []}
    scene.domain["disks"].append({**image, "more": more})
    for host in (scene.source, scene.destination):
        host["storage"]["ceph"] = {"/etc/ceph/ceph.conf": {"fsid": "0a1b2c3d", "mon_host": None}}


CASES: dict[str, Case] = {
    "host_daemon_alive": Case(_silent, "ssh: no route to host", _other_unreachable),
    "host_not_same": Case(_same("uuid"), "on both", put("destination", uuid="1" * 32)),
    "host_hostname_distinct": Case(
        _same("hostname"), "hv1 on both", put("destination", hostname="hv1.example.com"), blocks=False
    ),
    "version_libvirt_direction": Case(
        put("destination", libvirt_version=11002000),
        "11.2.0",
        put("destination", libvirt_version=11003001),
        blocks=False,
    ),
    "version_qemu_direction": Case(_old, "10.0.13", _stable_update),
    "host_migration_ports_free": Case(_ports(0), "49152 to 49215", _ports(1)),
    "dst_domain_uuid_running": Case(
        lambda scene: scene.known_there(name="renamed"),
        "is active on hv2 as well as on hv1",
        lambda scene: scene.known_there(active=False),
    ),
    "dst_domain_name_conflict": Case(
        lambda scene: scene.known_there(uuid="0" * 32, active=False),
        "another domain has it",
        lambda scene: scene.known_there(name="web10", uuid="0" * 32),
    ),
    "dst_domain_defined_differs": Case(
        lambda scene: scene.known_there(active=False),
        "has a definition of it already",
        lambda scene: scene.known_there(uuid="0" * 32, name="web10", active=False),
        blocks=False,
    ),
    "host_emulator_path": Case(
        _emulator_elsewhere(False), "there is no /usr/bin/qemu-system-x86_64 on hv2", _emulator_elsewhere(True)
    ),
    "version_driver_type_match": Case(
        put("domain", virt_type="kvm"),
        "it is kvm on x86_64, and hv2 offers qemu",
        _emulators(virt_types=["qemu", "kvm"]),
    ),
    "machine_type_supported": Case(
        _emulators(machines=["pc-q35-7.2"]), "has no pc-q35-10.0", _emulators(machines=["pc-q35-10.0"])
    ),
    "cpu_hypervisor_compare": Case(
        answered("hv2", "cpu:", result="incompatible", reason="missing features: avx512f"),
        "missing features: avx512f",
        answered("hv2", "cpu:", result="identical"),
    ),
    "guest_state": Case(
        put("domain", state="paused", state_reason=5),
        "it is paused by an I/O error",
        put("domain", state="paused", state_reason=1),
    ),
    "guest_job_active": Case(put("domain", job="unbounded"), "unbounded", put("domain", job="completed")),
    "snapshots_present": Case(put("domain", snapshots=2), ": 2;", put("domain", snapshots=0)),
    "checkpoints_present": Case(put("domain", checkpoints=1), ": 1;", put("domain", checkpoints=0), blocks=False),
    "flags_persist_policy": Case(
        _persistence_unknown, "Cannot access autostart folder", put("domain", persistent=False), status="unknown"
    ),
    "block_job_active": Case(put("disk", block_job=True), "Disk vda of domain web1", put("disk", block_job=False)),
    "disk_shared_fs_type": Case(lambda scene: scene.storage(declared_shared=False), "is on ext4 (/dev/vda)", _nfs()),
    "disk_path_exists_dest": Case(put("there", exists=False), "there is no /srv/shared", put("there", kind="file")),
    "disk_same_object": Case(_nfs(inode=7), "inode 1443376 here and 7 there", both(_nfs(), _rbd)),
    "disk_readonly_media_present": Case(
        lambda scene: scene.answers["hv2"][f"path:{scene.medium['path']}"].update(exists=False),
        "there is no /srv/shared/disks/media.iso on hv2",
        lambda scene: (
            scene.answers["hv2"][f"path:{scene.medium['path']}"].update(exists=False),
            scene.medium.update(startup_policy="optional"),
        ),
        domain="media1",
    ),
    "disk_cache_mode": Case(put("disk", cache="unsafe"), "cache=unsafe", put("disk", cache="directsync")),
    "disk_transient": Case(put("disk", transient=True), "it is transient", put("disk", transient=False)),
    "sec_tls_migration_certs": Case(
        certificate("destination", "qemu_server", exists=False),
        "there is no /etc/pki/qemu/server-cert.pem",
        certificate("destination", "qemu_client", exists=False),
    ),
    "sec_tls_cert_validity": Case(
        certificate("source", "client", not_after=1795208900),
        "it ended 2026-11-20 21:08:20 UTC",
        certificate("source", "server", not_after=1795208900),
    ),
    "sec_libvirt_remote_auth": Case(
        answered("hv1", "peer:", ok=False, reason="Host key verification failed."),
        "Host key verification failed.",
        answered("hv1", "peer:", reason="not looked at"),
    ),
}
