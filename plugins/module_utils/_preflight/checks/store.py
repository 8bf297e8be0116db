# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what a domain has besides its disks' files: jobs, snapshots, pools, secrets, servers, folders.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts, Question
from ..check import Check, Problem, Requirement, View, each, fact_in, unknown, version_text
from ..disks import ask_path, each_disk, there_of, what_of
from ..jobs import NO_JOB
from ..questions import key_of
from .copy import LOCAL_FS
from .storage import CEPH_CONF

_OTHER_JOBS = {
    "backup": "a pull backup lasts until its client has ended it: end it there, or with virsh domjobabort",
    "dump": "wait until it has ended (virsh domjobinfo), or end it with virsh domjobabort",
    "save": "wait: the guest stops when it has ended",
    "snapshot": "wait until it has ended (virsh domjobinfo)",
    "snapshot_delete": "wait until it has ended (virsh domjobinfo)",
}
# Protocol of a disk -> QEMU's module for it, where distributions pack it by itself.
_MODULES = {
    "ftp": "curl",
    "ftps": "curl",
    "gluster": "gluster",
    "http": "curl",
    "https": "curl",
    "iscsi": "iscsi",
    "nfs": "nfs",
    "rbd": "rbd",
    "ssh": "ssh",
}
_PORTS = {"ftp": 21, "ftps": 990, "gluster": 24007, "http": 80, "https": 443, "iscsi": 3260, "nbd": 10809, "ssh": 22}
# qemuMigrationSrcIsAllowed: 9.0.0 refuses every virtiofs, 11.3.0 goes by what virtiofsd says of itself.
_VIRTIOFS_NOT_IN, _VIRTIOFS_SINCE = 9000000, 11003000
_PRECOPY = "migrate-precopy"
_SOCKET = "virtiofs by a socket"


def _block_jobs(view: View) -> t.Iterator[Problem]:
    def judge(disk: Facts) -> t.Iterator[Problem]:
        if disk.get("block_job"):
            yield Problem(f"Disk {disk.get('target')} of domain {view.domain_name}", "a block job is active")

    return each(view.domain.items("disks", "target"), judge)


def _other_job(view: View) -> t.Iterator[Problem]:
    if view.domain.get("job") in NO_JOB:
        return
    operation = view.domain.get("job_operation")
    if operation in _OTHER_JOBS:
        yield Problem(f"Job of domain {view.domain_name}", f"a {operation}", remedy=_OTHER_JOBS[operation])


class Volume(t.NamedTuple):
    what: str
    pool: str
    volume: str
    folder: str | None

    @property
    def key(self) -> str:
        return key_of("volume", [self.pool, self.volume])


def _volumes(view: View, disk: Facts) -> t.Iterator[Volume]:
    if disk.get("type") == "volume":
        pool = disk.get("more.pool")
        paths = {entry["name"]: entry["path"] for entry in view.source.get("pools.pools")}
        yield Volume(what_of(disk), pool, disk.get("more.volume"), paths.get(pool))


def _ask_volume(_view: View, need: Volume) -> t.Iterator[Question]:
    yield t.cast(Question, {"key": need.key, "ask": "volume", "value": [need.pool, need.volume]})


def _volume(view: View, need: Volume) -> t.Iterator[Problem]:
    there = view.answer(view.destination_name, need.key)
    pool = there.get("pool")
    if pool != "active":
        yield Problem(need.what, f"its pool {need.pool} is {pool} on {view.there}")
        return
    if not there.get("volume"):
        remedy = f"refresh the pool there (virsh pool-refresh {need.pool}), or mount its storage"
        yield Problem(need.what, f"pool {need.pool} has no volume {need.volume} on {view.there}", remedy=remedy)
        return
    folders = {entry["name"]: entry["path"] for entry in view.destination.get("pools.pools")}
    if folders.get(need.pool) != need.folder:
        said = f"pool {need.pool} is {need.folder} on the source and {folders.get(need.pool)} on {view.there}"
        yield Problem(need.what, said)


class Server(t.NamedTuple):
    protocol: str
    name: str
    port: int

    @property
    def key(self) -> str:
        return f"connect:{self.name}:{self.port}"


def _drivers(_view: View, disk: Facts) -> t.Iterator[tuple[str, str]]:
    if disk.get("type") == "network" and disk.get("protocol") in _MODULES:
        yield what_of(disk), disk.get("protocol")


def _driver(view: View, need: tuple[str, str]) -> t.Iterator[Problem]:
    """Where the source needs a module the destination does; where it has the driver built in nothing is said."""
    what, protocol = need
    module = f"block-{_MODULES[protocol]}"
    if module not in (view.source.get("daemon.qemu_modules") or ()):
        return
    if module not in (view.destination.get("daemon.qemu_modules") or ()):
        yield Problem(what, f"its protocol is {protocol}, and QEMU on {view.there} has no {module}")


def _servers(view: View, disk: Facts) -> t.Iterator[Server]:
    """Only on request: it is a connection to somebody else's server."""
    if view.policy.get("probe") and disk.get("type") == "network" and disk.get("protocol") in _PORTS:
        port = disk.get("more.port")
        for name in disk.get("hosts"):
            if name and not name.startswith("/"):
                yield Server(disk.get("protocol"), name, int(port) if port else _PORTS[disk.get("protocol")])


def _ask_server(_view: View, need: Server) -> t.Iterator[Question]:
    yield t.cast(Question, {"key": need.key, "ask": "connect", "value": [need.name, need.port]})


def _server(view: View, need: Server) -> t.Iterator[Problem]:
    there = view.answer(view.destination_name, need.key)
    if not there.get("ok"):
        said = f"{view.there} cannot connect to port {need.port}: {there.get('reason')}"
        yield Problem(f"Server {need.name} of a disk of domain {{domain}}", said)


class Conf(t.NamedTuple):
    what: str
    path: str


def _ceph(_view: View, disk: Facts) -> t.Iterator[Conf]:
    if disk.get("protocol") == "rbd":
        conf = disk.get("more.rbd_config")
        if conf or not any(disk.get("hosts")):
            yield Conf(what_of(disk), conf or CEPH_CONF)


def _conf_there(view: View, need: Conf) -> t.Iterator[Problem]:
    if not there_of(view, need.path).get("exists"):
        yield Problem(need.what, f"it finds its monitors by {need.path}, which is not on {view.there}")


class Folder(t.NamedTuple):
    what: str
    path: str
    driver: str


def _folders(driver: str) -> t.Callable[[View], t.Iterator[Facts]]:
    """The domain's folders with this driver; libvirt's own is called path."""

    def found(view: View) -> t.Iterator[Facts]:
        for entry in view.domain.items("devices.filesystems", "name"):
            if (entry.get("driver") or "path") == driver:
                yield entry

    return found


_virtiofs, _p9 = _folders("virtiofs"), _folders("path")


def _what_folder(entry: Facts) -> str:
    return f"Folder {entry.get('target')} of domain {{domain}}"


def _virtiofs_needs(view: View) -> t.Iterator[Folder | Problem]:
    for entry in _virtiofs(view):
        what = _what_folder(entry)
        version = view.source.get("libvirt_version")
        if _VIRTIOFS_NOT_IN < version < _VIRTIOFS_SINCE:
            yield unknown(f"it is not known whether libvirt {version_text(version)} migrates virtiofs", what)
        elif version < _VIRTIOFS_SINCE:
            yield Problem(what, f"virtiofs, and libvirt {version_text(version)} does not migrate it", remedy=_UNPLUG)
        elif entry.get("socket") is not None:
            yield Folder(what, entry.get("socket"), _SOCKET)
        else:
            if not any(_PRECOPY in daemon["features"] for daemon in view.source.get("pools.folder_daemons")):
                yield Problem(what, "virtiofs, and no virtiofsd on the source says that it can migrate", remedy=_UNPLUG)
            yield Folder(what, entry.get("source"), "virtiofs")


def _virtiofs_there(view: View, need: Folder) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists"):
        remedy = _START_DAEMON if need.driver == _SOCKET else None
        yield Problem(need.what, f"there is no {need.path} on {view.there}", remedy=remedy)
    elif need.driver == _SOCKET:
        return  # whoever runs the daemon runs it on both hosts, and answers for what it serves
    elif not any(_PRECOPY in daemon["features"] for daemon in view.destination.get("pools.folder_daemons")):
        yield Problem(need.what, f"no virtiofsd on {view.there} says that it can migrate", remedy=_NEWER)
    elif not any(daemon.get("runs", True) for daemon in view.destination.get("pools.folder_daemons")):
        daemon, *_others = view.destination.get("pools.folder_daemons")
        yield Problem(need.what, f"{daemon['binary']} on {view.there} cannot be started", remedy=_NEWER)
    elif there.get("fs_type") in LOCAL_FS and not there.get("declared_shared"):
        said = f"{need.path} is on {there.get('fs_type')} on {view.there}, which the source cannot share"
        yield Problem(need.what, said)


def _p9_needs(view: View) -> t.Iterator[Folder]:
    for entry in _p9(view):
        yield Folder(_what_folder(entry), entry.get("source"), "9p")


def _p9_there(view: View, need: Folder) -> t.Iterator[Problem]:
    if not there_of(view, need.path).get("exists"):
        said = f"9p of {need.path}, which is not on {view.there}"
        yield Problem(need.what, said, expected="the same folder on both hosts", remedy="mount it there")
    else:
        yield Problem(need.what, f"9p of {need.path}", severity="warning")


_UNPLUG = "unmount it in the guest, detach it (virsh detach-device), and attach it again after the move"
_START_DAEMON = "start virtiofsd with this socket there before the move, for the same folder"
_NEWER = "install virtiofsd 1.11 or newer there"

CHECKS: tuple[Check, ...] = (
    Check(
        id="snapshots_present",
        category="storage",
        severity="error",
        scope="domain",
        title="The domain has no libvirt snapshots",
        expected="0: libvirt does not migrate a domain with snapshots",
        remedy="delete them, or save their XML and make libvirt forget them (virsh snapshot-delete --metadata)",
        evaluate=fact_in("domain", "snapshots", (0,), "Snapshots of {who}"),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="checkpoints_present",
        category="storage",
        severity="warning",
        scope="domain",
        title="The domain has no checkpoints",
        expected="0: libvirt does not carry them to the destination",
        remedy="make a full backup after the move, since incremental ones start anew",
        evaluate=fact_in("domain", "checkpoints", (0,), "Checkpoints of {who}"),
        evidence="lab",
    ),
    Check(
        id="managed_save_image",
        category="storage",
        severity="warning",
        scope="domain",
        title="No saved state of the running domain is left on its host",
        expected="none: its next start here would go back to that state, on disks that went on",
        remedy="delete it (virsh managedsave-remove)",
        evaluate=fact_in("domain", "managed_save", (False,), "Saved state of {who} is there"),
        evidence="lab",
    ),
    Check(
        id="block_job_active",
        category="storage",
        severity="error",
        scope="domain",
        title="No block job is active",
        expected="none: libvirt does not migrate a domain with a block job",
        remedy="wait until it has ended, or end it with virsh blockjob --abort",
        evaluate=_block_jobs,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="backup_job_active",
        category="storage",
        severity="error",
        scope="domain",
        title="No backup, dump, save or snapshot is under way",
        expected="none: libvirt waits 30 s for it and then refuses the migration",
        remedy="wait until it has ended",
        evaluate=_other_job,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="disk_pool_volume",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has the disk's pool and volume",
        expected="an active pool of that name for the same folder, with the volume",
        remedy="define, start and refresh the pool there (virsh pool-define, pool-start, pool-refresh)",
        requires=Requirement(each_disk(_volumes), _volume, _ask_volume),
        evidence="lab",
    ),
    Check(
        id="disk_network_driver_available",
        category="storage",
        severity="error",
        scope="pair",
        title="QEMU at the destination has the driver of the network disk",
        expected="the module that the source has",
        remedy="install it there: qemu-block-extra (Debian), qemu-kvm-block-* (RHEL), qemu-block-* (Fedora, SUSE)",
        requires=Requirement(each_disk(_drivers), _driver, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="disk_network_hosts_reachable",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination reaches the servers of network disks",
        expected="a TCP connection (looked at only with probe: true)",
        remedy="open the way: address, route, VLAN of the storage, firewall, name resolution",
        requires=Requirement(each_disk(_servers), _server, _ask_server),
        evidence="lab",
    ),
    Check(
        id="disk_rbd_ready",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination can find the Ceph monitors of an RBD disk",
        expected="monitors in the definition, or the file that names them",
        remedy="install the cluster's ceph.conf there, or write the monitors into the definition",
        requires=Requirement(each_disk(_ceph), _conf_there, ask_path),
    ),
    Check(
        id="fs_virtiofs",
        category="storage",
        severity="error",
        scope="pair",
        title="The guest's virtiofs folders can go with it",
        expected="libvirt 11.3 and virtiofsd 1.11 or newer, and one folder shared by both hosts",
        remedy="share the folder between the hosts, or take it off before the move and attach it again afterwards",
        requires=Requirement(_virtiofs_needs, _virtiofs_there, ask_path),
        evidence="lab",
    ),
    Check(
        id="fs_9p_mounted",
        category="storage",
        severity="error",
        scope="pair",
        title="The guest has no 9p folder",
        expected="none that is mounted: QEMU refuses the migration while the guest has it mounted",
        remedy="unmount it in the guest before the move, and mount it again afterwards",
        requires=Requirement(_p9_needs, _p9_there, ask_path),
        evidence="lab",
    ),
)
