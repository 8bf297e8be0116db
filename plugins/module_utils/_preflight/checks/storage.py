# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of disks.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ..._model.api import Facts, Question, UnknownFact
from .. import identity
from ..check import Check, Problem, Requirement, View, unknown
from ..disks import (
    Image,
    Needed,
    ask_path,
    each_disk,
    each_image,
    is_copied,
    is_image_copied,
    is_media,
    needed,
    there_of,
    what_of,
)
from ..edits import mapped
from ..questions import ASKED_PATHS
from ..shared_fs import takes_for_shared

# From virFileIsClusterFS(): libvirt and the file system itself keep the caches of the hosts coherent.
_CLUSTER_FS = frozenset(("ceph", "fuse.glusterfs", "gfs2", "ocfs2"))
DIRECT = frozenset(("none", "directsync"))
# Without a name libvirt and QEMU mean the host itself.
_LOCAL_SERVER = re.compile(
    r"|localhost[\w.]*|ip6-(localhost|loopback)|127(\.\d+)+|0\.0\.0\.0|\[?([0:]+:0*1?|::ffff:127[\d.]+)\]?|/.*",
    re.IGNORECASE,
)
_PORT = re.compile(r"(?<=[\w\]])(:\d+)?(/\d+)?\]?$")
CEPH_CONF = "/etc/ceph/ceph.conf"
_MAY_BE_MISSING = frozenset(("optional", "requisite"))


def _shared_fs(view: View, disk: Facts) -> t.Iterator[Problem]:
    kind = disk.get("type")
    if disk.get("readonly") or kind in ("network", "block", "nvme", "vhostuser", "vhostvdpa", "dir"):
        return
    if is_copied(view, disk):
        return
    if kind != "file":
        raise UnknownFact(f"the file system behind disk {disk.get('target')} of type {kind} is not observed")
    here = Facts(f"{disk.get('path')} on {view.source_name}", disk.get("identity"))
    if not takes_for_shared(view.source, here):
        yield Problem(what_of(disk), f"{disk.get('path')} is on {here.get('fs_type')} ({here.get('mount_source')})")


class Path(t.NamedTuple):
    what: str
    path: str
    kind: str


def _paths(view: View, image: Image) -> t.Iterator[Path]:
    if is_image_copied(view, image):
        return
    if not image.media and image.get("type") in ASKED_PATHS:
        yield Path(image.what, image.path, image.get("type"))


def _path_exists(view: View, need: Path) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists"):
        yield Problem(need.what, f"there is no {need.path} on {view.there}")
    elif there.get("kind") not in (need.kind, "block"):
        yield Problem(need.what, f"{need.path} is a {there.get('kind')} on {view.there}")


def _media(view: View, disk: Facts) -> t.Iterator[Needed]:
    if is_media(disk) and disk.get("type") in ASKED_PATHS and disk.get("startup_policy") not in _MAY_BE_MISSING:
        yield needed(view, what_of(disk), disk, disk.get("path"))


def _media_present(view: View, need: Needed) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists"):
        edit = mapped(view, "medium", need.path)
        yield Problem(need.what, f"there is no {need.path} on {view.there}", edit=edit)
        return
    here = need.here()
    if not here.get("exists") or {here.get("kind"), there.get("kind")} != {"file"}:
        return
    if identity.compare(here, there)[0] != "same" and not _same_medium(view, need, here, there):
        yield Problem(
            need.what,
            f"{need.path} on {view.there} is another medium than on {need.source}",
            expected="the same medium on both hosts: the guest would go on reading from the other one",
            remedy="copy it there, or eject it (virsh change-media --eject)",
            edit=mapped(view, "medium", need.path),
        )


def _same_medium(view: View, need: Needed, here: Facts, there: Facts) -> bool:
    """Two copies of one medium have the same size, and begin and end alike."""
    if here.get("size") != there.get("size"):
        return False
    key = _ends(need.path)["key"]
    here_digest, there_digest = (view.answer(host, key).get("digest") for host in (need.source, view.there))
    return here_digest is not None and bool(here_digest == there_digest)


def _ends(path: str) -> Question:
    return {"key": f"ends:{path}", "ask": "ends", "path": path}


def _ask_medium(view: View, need: Needed) -> t.Iterator[Question]:
    yield from ask_path(view, need)
    yield _ends(need.path)


def _ask_medium_here(_view: View, need: Needed) -> t.Iterator[Question]:
    yield _ends(need.path)


class Object(t.NamedTuple):
    """``below_copy``: of an image below one that is copied alone, which may be on a copy of this one."""

    what: str
    path: str
    needed: Needed
    below_copy: bool


class Cluster(t.NamedTuple):
    """The Ceph cluster of an image that names no monitors, as the source's file says. ``monitors``: or ()."""

    what: str
    path: str
    fsid: str | None
    monitors: tuple[str, ...]


def _objects(view: View, image: Image) -> t.Iterator[Object | Cluster | Problem]:
    if (image.media and image.get("readonly")) or is_image_copied(view, image):
        return
    kind = image.get("type")
    if kind == "network":
        local = [host or "(none)" for host in image.get("hosts") if _LOCAL_SERVER.fullmatch(host)]
        if local:
            yield unknown(f"its server {', '.join(local)} is another one on every host", image.what)
        elif image.get("protocol") == "rbd" and not image.get("hosts"):
            yield _cluster(view, image)
        return
    if kind not in ASKED_PATHS:
        yield unknown(f"disks of type {kind} cannot be compared in this version", image.what)
        return
    below_copy = is_copied(view, image.disk)
    yield Object(image.what, image.path, needed(view, image.what, image.facts, image.path), below_copy)


def _cluster(view: View, image: Image) -> Cluster | Problem:
    if not image.top:
        return unknown("it is an RBD image without monitors, and its configuration file is not observed", image.what)
    path = image.get("more.rbd_config") or CEPH_CONF
    named = view.source.get("storage.ceph").get(path)
    if named is None:
        return unknown(f"{view.source_name} was not seen to have {path}", image.what, _CLUSTER_REMEDY)
    return Cluster(image.what, path, named["fsid"], tuple(named["mon_host"] or ()))


def _ask_object(view: View, need: Object | Cluster) -> t.Iterator[Question]:
    if isinstance(need, Object):
        yield from ask_path(view, need)


def _same_object(view: View, need: Object | Cluster) -> t.Iterator[Problem]:
    yield from _same_cluster(view, need) if isinstance(need, Cluster) else _same_path(view, need)


def _same_cluster(view: View, need: Cluster) -> t.Iterator[Problem]:
    """Another fsid is another cluster; other addresses may be other monitors of the same."""
    named = view.destination.get("storage.ceph").get(need.path)
    if named is None:
        yield unknown(f"{view.there} was not seen to have {need.path}", need.what, _CLUSTER_REMEDY)
    elif need.fsid and named["fsid"]:
        if need.fsid != named["fsid"]:
            said = f"{need.path} names cluster {need.fsid} on the source and {named['fsid']} on {view.there}"
            yield Problem(need.what, said, remedy=_CLUSTER_REMEDY)
    elif not need.monitors or any(map(_is_own_monitor, need.monitors)) or named["mon_host"] != list(need.monitors):
        said = f"nothing in {need.path} of the source and of {view.there} proves that both name one cluster"
        yield unknown(said, need.what, _CLUSTER_REMEDY)


def _is_own_monitor(text: str) -> bool:
    """Forms of mon_host: 192.0.2.1, 192.0.2.1:6789, [v2:192.0.2.1:3300/0, v1:[::1]:6789/0]."""
    address = re.sub(r"^\[?v[12]:", "", text)
    return bool(_LOCAL_SERVER.fullmatch(address) or _LOCAL_SERVER.fullmatch(_PORT.sub("", address)))


def _same_path(view: View, need: Object) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists"):
        return  # disk_path_exists_dest says so, and disk_readonly_media_present of media
    verdict, why = identity.compare(need.needed.here(), there)
    if verdict == "different" and not need.below_copy:
        yield Problem(need.what, f"{need.needed.source} and {view.there} have different objects there: {why}")
    elif verdict != "same":
        yield unknown(f"{need.path}: {why}", need.what, _SAME_REMEDY)


def _cache_mode(view: View, disk: Facts) -> t.Iterator[Problem]:
    cache = disk.get("cache")
    if disk.get("readonly") or cache in DIRECT or is_copied(view, disk):
        return
    if cache == "unsafe":
        yield Problem(what_of(disk), "cache=unsafe, so that QEMU ignores the guest's flushes")
        return
    kind = disk.get("type")
    if disk.get("shareable") or kind == "network" or (kind == "file" and disk.get("identity.fs_type") in _CLUSTER_FS):
        return
    yield Problem(what_of(disk), f"cache={cache}, which uses the host's page cache", severity="warning")


def _transient(view: View, disk: Facts) -> t.Iterator[Problem]:
    if disk.get("transient"):
        yield Problem(what_of(disk), "it is transient")


_CLUSTER_REMEDY = (
    "install the cluster's ceph.conf with its fsid below /etc/ceph on both hosts, or write the monitors into the "
    "disk's definition"
)
_SAME_REMEDY = (
    "of files: mount the same export under the same server name on both hosts; where the file system has no such name, "
    "and both hosts really share it, list its folder in shared_filesystems of qemu.conf on both (libvirt 11.1). "
    "Of block devices: give both hosts the same LUN, with a name that is unique in the world (multipath -ll, lsblk -o "
    "NAME,WWN). A local disk moves with the migration when copy_storage is set"
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="disk_shared_fs_type",
        category="storage",
        severity="error",
        scope="domain",
        title="libvirt takes the disk's file system for shared",
        expected="shared storage: NFS, CephFS, GlusterFS, GFS2, OCFS2, GPFS, AFS, Quobyte, ACFS, BeeGFS (libvirt 9.6), "
        "or a folder in shared_filesystems of qemu.conf (libvirt 11.1)",
        remedy="move the disk to shared storage; if it is on shared storage that libvirt does not know, list its "
        "folder in shared_filesystems of qemu.conf on all hosts",
        evaluate=each_disk(_shared_fs),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="disk_path_exists_dest",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has the paths of the disk and of the images below it",
        expected="the same path on both hosts",
        remedy="mount the storage there, activate the volume or log in to the target",
        requires=Requirement(each_image(_paths), _path_exists, ask_path),
        evidence="lab",
    ),
    Check(
        id="disk_same_object",
        category="storage",
        severity="error",
        scope="pair",
        title="Both hosts see the same disk, and the same images below it",
        expected="proof that both hosts see the same object",
        remedy="mount the storage of the source there; the file that is there now would be taken for the guest's disk",
        requires=Requirement(each_image(_objects), _same_object, _ask_object),
        on_unknown="stop",
        evidence="lab",
    ),
    Check(
        id="disk_readonly_media_present",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has the domain's media",
        expected="the same path on both hosts, or startupPolicy='optional'",
        remedy="eject it (virsh change-media --eject), or copy it there",
        requires=Requirement(
            each_disk(_media), _media_present, _ask_medium, asks_source=_ask_medium_here, uses_source=True
        ),
        evidence="lab",
    ),
    Check(
        id="disk_cache_mode",
        category="storage",
        severity="error",
        scope="domain",
        title="The disk's cache mode is safe for a migration",
        # libvirt refused these modes itself until QEMU could drop its caches at the switchover (QEMU 4.0); since then
        # its rule never fires (qemuMigrationSrcIsSafe), and dropping is best effort: mapped and locked pages stay.
        expected="cache=none or directsync",
        remedy="set it in the domain's definition and power-cycle the guest",
        evaluate=each_disk(_cache_mode),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="disk_transient",
        category="storage",
        severity="error",
        scope="domain",
        title="No disk is transient",
        expected="disks whose changes are kept: libvirt does not migrate others",
        remedy="power-cycle the guest without <transient/>, or leave it here",
        evaluate=each_disk(_transient),
        evidence="lab",
        volatile=True,
    ),
)
