# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of copies of disks to a destination that does not share them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

from ..._model.api import Facts, Question, UnknownFact
from .. import identity
from ..check import Check, Problem, Requirement, View, each, unknown, version_text
from ..disks import Needed, ask_path, each_disk, is_copied, needed, there_of, what_of
from ..questions import ASKED_PATHS, open_key, open_question, path_question
from ..way import NBD_NAME_LIBVIRT

_MIB = 1024**2
# Mounted by one host at a time: two hosts that see different inodes there do not see one file.
LOCAL_FS = frozenset(("btrfs", "ext2", "ext3", "ext4", "overlay", "tmpfs", "xfs", "zfs"))


def _copying(view: View) -> bool:
    return bool(view.option("copy_storage") != "none")


def _copied(view: View) -> t.Iterator[Facts]:
    if _copying(view):
        yield from (disk for disk in view.domain.items("disks", "target") if is_copied(view, disk))


def _left_out(view: View, disk: Facts) -> t.Iterator[Needed]:
    """Copies are wanted, and this disk gets none: then it must be shared, of whatever kind its file system is."""
    if _copying(view) and not is_copied(view, disk) and not disk.get("readonly") and disk.get("type") == "file":
        yield needed(view, what_of(disk), disk, disk.get("path"))


def _not_shared(view: View, need: Needed) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists"):
        yield Problem(need.what, f"it is not copied, and there is no {need.path} on {view.there}")
        return
    verdict, why = compared(need.here(), there)
    if verdict == "different":
        yield Problem(need.what, f"it is not copied, and {view.there} has another file: {why}")


def compared(here: Facts, there: Facts) -> tuple[str, str]:
    """As identity.compare, and with what local file systems tell: one file has one inode, whoever looks."""
    verdict, why = identity.compare(here, there)
    if verdict != "unknown" or not (here.get("exists") and here.get("kind") == there.get("kind") == "file"):
        return verdict, why
    inodes = here.get("inode"), there.get("inode")
    if {here.get("fs_type"), there.get("fs_type")} <= LOCAL_FS and inodes[0] != inodes[1]:
        return "different", f"inode {inodes[0]} of {here.get('fs_type')} here and {inodes[1]} there"
    return verdict, why


def _copy_targets(view: View) -> t.Iterator[Needed | Problem]:
    def judge(disk: Facts) -> t.Iterator[Needed]:
        if disk.get("type") in ASKED_PATHS:
            yield needed(view, what_of(disk), disk, disk.get("path"))
        else:
            raise UnknownFact(f"where the copy of disk {disk.get('target')} of type {disk.get('type')} would go")

    return each(_copied(view), judge)


def _onto_itself(view: View, need: Needed) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists"):
        return
    verdict, why = compared(need.here(), there)
    if verdict == "same":
        yield Problem(need.what, f"{need.path} is one file for {need.source} and {view.there}: {why}")
    elif verdict == "unknown":
        yield unknown(f"{need.path} is there on {view.there} too, and {why}", need.what)


def _stale(view: View, need: Needed) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if view.option("copy_storage") != "all" or not there.get("exists") or there.get("kind") != "file":
        return
    if compared(need.here(), there)[0] != "different":
        return
    users = view.answer(view.destination_name, open_key(need.path)).get("open_by")
    if users:
        yield Problem(need.what, f"{', '.join(users)} on {view.there} has {need.path} open", severity="error")
    else:
        yield Problem(need.what, f"{need.path} is on {view.there} already and would be overwritten")


def _ask_stale(view: View, need: Needed) -> t.Iterator[Question]:
    yield from ask_path(view, need)
    yield open_question(need.path)


class Target(t.NamedTuple):
    """A disk that is to be copied, with the size that the guest sees (bytes, None where libvirt does not say)."""

    what: str
    path: str
    kind: str
    capacity: int | None


def _targets(view: View) -> t.Iterator[Target | Problem]:
    def judge(disk: Facts) -> t.Iterator[Target]:
        if disk.get("type") in ASKED_PATHS:
            yield Target(what_of(disk), disk.get("path"), disk.get("type"), disk.get("capacity"))

    return each(_copied(view), judge)


def _image_question(path: str) -> Question:
    return t.cast(Question, {"key": f"image:{path}", "ask": "image", "path": path})


def _ask_image(_view: View, need: Target) -> t.Iterator[Question]:
    yield _image_question(need.path)


def _size(view: View, need: Target) -> t.Iterator[Problem]:
    image = view.answer(view.destination_name, f"image:{need.path}")
    if not image.get("exists"):
        return
    if need.capacity is None:
        raise UnknownFact(f"libvirt does not tell the size of {need.what}")
    if image.get("capacity") != need.capacity:
        yield Problem(
            need.what,
            f"{need.path} on {view.there} has {image.get('capacity')} bytes, and the disk has {need.capacity}",
        )


def _precreate(view: View, need: Target) -> t.Iterator[Problem]:
    if there_of(view, need.path).get("exists"):
        return
    if view.option("copy_storage") == "inc":
        yield Problem(need.what, f"there is no {need.path} on {view.there}, and copy_storage is inc")
    elif need.kind == "block":
        yield Problem(need.what, f"there is no {need.path} on {view.there}, and libvirt makes no block device")
    else:
        folder = os.path.dirname(need.path)
        paths = [pool["path"] for pool in view.destination.get("pools.pools") if pool["active"]]
        if folder not in [path and path.rstrip("/") for path in paths]:
            yield Problem(need.what, f"there is no {need.path} on {view.there}, and no active pool for {folder}")


def _ask_target(_view: View, need: Target) -> t.Iterator[Question]:
    yield path_question(need.path)


class Space(t.NamedTuple):
    """What a domain's copies need in one folder: (path, bytes that are used, bytes that the guest can fill)."""

    folder: str
    files: tuple[tuple[str, int, int], ...]


def _spaces(view: View) -> t.Iterator[Space]:
    folders: dict[str, list[tuple[str, int, int]]] = {}
    for disk in _copied(view):
        if disk.get("type") == "file":
            sizes = disk.get("allocation"), disk.get("capacity")
            if None in sizes:
                raise UnknownFact(f"libvirt does not tell the size of disk {disk.get('target')}")
            path = disk.get("path")
            folders.setdefault(os.path.dirname(path), []).append((path, min(sizes), sizes[1]))
    for folder, entries in sorted(folders.items()):
        yield Space(folder, tuple(sorted(entries)))


def _ask_space(_view: View, need: Space) -> t.Iterator[Question]:
    yield t.cast(Question, {"key": f"space:{need.folder}", "ask": "space", "path": need.folder})
    for path, _used, _size in need.files:
        yield path_question(path)


def _space(view: View, need: Space) -> t.Iterator[Problem]:
    there = view.answer(view.destination_name, f"space:{need.folder}")
    if not there.get("exists"):
        return  # nonshared_precreate says so
    # A target that is there is written over: what it takes up already counts.
    targets = [(there_of(view, path), used, size) for path, used, size in need.files]
    has = [target.get("allocated") if target.get("exists") else 0 for target, _used, _size in targets]
    used = sum(max(0, entry[1] - taken) for entry, taken in zip(targets, has))
    full = sum(max(0, entry[2] - taken) for entry, taken in zip(targets, has))
    free = there.get("free")
    if free < full:
        yield Problem(
            f"Space in {need.folder} on {view.there}",
            f"{free // _MIB} MiB free",
            expected=f"{-(-full // _MIB)} MiB for the copies of domain {{domain}}; {-(-used // _MIB)} are in use now",
            severity=None if free < used else "warning",
        )


def _ports(view: View) -> t.Iterator[Problem]:
    """QEMU takes copies of disks at a port of its own: with the migration's one more of the range, or the fixed one."""
    if not _copying(view) or view.option("tunnelled") or view.option("disks_uri").startswith("unix:"):
        return
    fixed = view.option("disks_port")
    if fixed:
        if view.answer(view.destination_name, f"port:{fixed}").get("taken"):
            yield Problem(f"Port {fixed} of {view.destination_name}", "somebody listens there")
        return
    ports = {name: view.destination.get(f"migration_ports.{name}") for name in ("first", "last", "in_use")}
    free = ports["last"] - ports["first"] + 1 - ports["in_use"]
    if free < 2:
        yield Problem(
            f"Migration ports of {view.destination_name}", f"{free} of {ports['first']} to {ports['last']} free"
        )


def _ask_port(view: View) -> t.Iterator[tuple[str, Question]]:
    fixed = view.option("disks_port")
    if _copying(view) and fixed:
        yield view.there, t.cast(Question, {"key": f"port:{fixed}", "ask": "port", "value": fixed})


def _tls_name(view: View) -> t.Iterator[Problem]:
    if not (_copying(view) and view.tls and (view.option("parallel") or view.option("postcopy"))):
        return
    version = view.source.get("libvirt_version")
    if version < NBD_NAME_LIBVIRT:
        how = "parallel" if view.option("parallel") else "postcopy"
        yield Problem(
            f"Copies of disks from {view.source_name} to {view.destination_name}",
            f"with TLS and {how}, by libvirt {version_text(version)}",
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="nonshared_disks_detected",
        category="storage",
        severity="error",
        scope="pair",
        title="A disk that is not shared is copied",
        expected="a copy, or shared storage",
        remedy="add it to copy_disks, or leave copy_disks empty for all disks",
        requires=Requirement(each_disk(_left_out), _not_shared, ask_path),
        on_unknown="stop",
        evidence="lab",
    ),
    Check(
        id="nonshared_never_copy_shared",
        category="storage",
        severity="error",
        scope="pair",
        title="No disk is copied onto itself",
        expected="another file, or none, in the place of the copy",
        remedy="leave it out of copy_disks: both hosts have it already, and the copy would destroy it",
        requires=Requirement(_copy_targets, _onto_itself, ask_path),
        on_unknown="stop",
        evidence="lab",
    ),
    Check(
        id="nonshared_space",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination has the space for the copies",
        expected="room for the disks as large as the guest sees them",
        remedy="make room there, or choose another destination; several moves at a time need the sum",
        requires=Requirement(_spaces, _space, _ask_space),
        evidence="lab",
    ),
    Check(
        id="nonshared_precreate",
        category="storage",
        severity="error",
        scope="pair",
        title="There is something to copy into, or libvirt can make it",
        expected="the target itself, or with copy_storage all an active pool for its folder",
        remedy="make the target with the size that the guest sees (qemu-img create, lvcreate), or start such a pool",
        requires=Requirement(_targets, _precreate, _ask_target),
        evidence="lab",
    ),
    Check(
        id="nonshared_target_stale",
        category="storage",
        severity="warning",
        scope="pair",
        title="Nothing is overwritten by a copy",
        expected="no such file, or one that was made for this copy",
        remedy="look whose it is (fuser, virsh domblklist of the domains there), and delete what is left over",
        requires=Requirement(_copy_targets, _stale, _ask_stale),
        evidence="lab",
    ),
    Check(
        id="nonshared_target_size_equal",
        category="storage",
        severity="error",
        scope="pair",
        title="A target that is there has the disk's size",
        expected="the same size to the byte: QEMU ends the copy at once otherwise",
        remedy="make it anew with the size that virsh domblkinfo shows as capacity",
        requires=Requirement(_targets, _size, _ask_image),
        evidence="lab",
    ),
    Check(
        id="nonshared_nbd_port",
        category="storage",
        severity="error",
        scope="link",
        title="A port is free for the copies of disks",
        expected="the fixed port free, or two of the range: one for the memory, one for the disks",
        remedy="choose another disks_port, or widen migration_port_min and migration_port_max in qemu.conf there",
        evaluate=_ports,
        asks=_ask_port,
        evidence="lab",
    ),
    Check(
        id="nonshared_tls_nbd",
        category="storage",
        severity="error",
        scope="link",
        title="libvirt can verify the destination when it copies disks",
        expected="libvirt 10.3 or newer on the source, or no parallel and no postcopy",
        remedy="leave parallel and postcopy out, or update libvirt: older ones give QEMU an empty name to verify",
        evaluate=_tls_name,
        evidence="lab",
        volatile=True,
    ),
)
