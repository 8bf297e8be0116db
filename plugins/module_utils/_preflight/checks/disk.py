# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of how a disk is opened and used: rights, O_DIRECT, locks, mounts, space, dead devices.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import typing as t

from ..._model.api import Facts, Question
from ..check import Check, Problem, Requirement, View
from ..disks import Image, ask_path, each_disk, each_image, is_image_copied, is_media, there_of, what_of
from ..identity import NETWORK_FS
from ..questions import ASKED_PATHS, open_key, open_question, path_question
from ..shared_fs import SHARED
from .storage import DIRECT

_NFS = frozenset(("nfs", "nfs4"))
_SOFT = frozenset(("soft", "softerr"))
_LOCAL_LOCKS = frozenset(("local_lock=all", "local_lock=posix", "nolock"))
_VERSIONS = ("vers=", "nfsvers=")
_FULL_PART = 20  # a twentieth free: 5 %
_ENOUGH_BYTES = 20 << 30
_MIB = 1 << 20


class Opened(t.NamedTuple):
    """A path that QEMU will open on the destination. ``label``: of the definition, where that fixes QEMU's user."""

    what: str
    path: str
    label: str
    relabels: bool
    network: bool
    written: bool
    alone: bool
    direct: bool
    io_uring: bool

    @property
    def key(self) -> str:
        return open_key(self.path, self.label)


def _opened(view: View, image: Image) -> t.Iterator[Opened]:
    if image.get("type") not in ASKED_PATHS or is_image_copied(view, image):
        return
    label, relabels = _label(view)
    written = image.top and not image.get("readonly")
    yield Opened(
        image.what,
        image.path,
        label,
        relabels,
        image.get("type") == "file" and image.identity(view.source_name).get("fs_type") in NETWORK_FS,
        written,
        written and not image.disk.get("shareable"),
        image.disk.get("cache") in DIRECT,
        image.disk.get("more.io") == "io_uring",
    )


def _label(view: View) -> tuple[str, bool]:
    """QEMU's user by the definition, "" where each host decides, and whether libvirt gives it the files."""
    for label in view.domain.items("lists.seclabels", "name"):
        if label.get("model") == "dac" and label.get("type") == "static":
            return label.get("label") or "", label.get("relabel") != "no"
    return "", True


def _ask_open(_view: View, need: Opened) -> t.Iterator[Question]:
    yield path_question(need.path)
    yield open_question(need.path, need.label)


def _open_there(view: View, need: Opened) -> Facts | None:
    """None where the path is not there, which disk_path_exists_dest says."""
    answer = view.answer(view.destination_name, need.key)
    return answer if answer.get("exists") else None


def _access(view: View, need: Opened) -> t.Iterator[Problem]:
    there = _open_there(view, need)
    if there is None:
        return
    access = there.get("access")
    user, folder = access["user"], access["folder"]
    if folder is not None:
        yield Problem(need.what, f"{user}, who runs QEMU on {view.there}, may not enter {folder}")
        return
    if need.written and there_of(view, need.path).get("read_only"):
        yield Problem(
            need.what,
            f"the file system of {need.path} is mounted read-only on {view.there}",
            expected="a file system that is mounted for reading and writing",
            remedy="mount it there as the source has it (mount -o remount,rw), or correct the export",
        )
        return
    wanted = "write" if need.written else "read"
    if access["read"] and (access["write"] or not need.written):
        return
    if not (there.get("dynamic") and need.relabels):
        yield Problem(need.what, f"{user}, who runs QEMU on {view.there}, may not {wanted} {need.path}")
    elif need.network:
        yield Problem(
            need.what,
            f"{user}, who runs QEMU on {view.there}, may not {wanted} {need.path} unless the server lets libvirt "
            "change its owner",
            severity="warning",
        )


def _direct(view: View, need: Opened) -> t.Iterator[Problem]:
    if not need.direct and not need.io_uring:
        return
    there = _open_there(view, need)
    if there is None:
        return
    if need.direct and not there.get("direct"):
        yield Problem(need.what, f"the file system of {need.path} on {view.there} does not know O_DIRECT")
    if need.io_uring and view.destination.get("storage.io_uring_disabled"):
        yield Problem(
            need.what,
            f"it uses io_uring, and kernel.io_uring_disabled is "
            f"{view.destination.get('storage.io_uring_disabled')} on {view.there}",
            expected="0, so that QEMU may use io_uring",
            remedy="sysctl kernel.io_uring_disabled=0 there, or another io= in the disk's definition",
        )


def _in_use(view: View, need: Opened) -> t.Iterator[Problem]:
    there = _open_there(view, need) if need.alone else None
    if there is not None and there.get("open_by"):
        yield Problem(need.what, f"{', '.join(there.get('open_by'))} on {view.there} has {need.path} open")


class Mounted(t.NamedTuple):
    what: str
    path: str
    written: bool
    options: str


def _nfs(view: View, image: Image) -> t.Iterator[Mounted | Problem]:
    if image.get("type") != "file" or is_image_copied(view, image):
        return
    identity = image.identity(view.source_name)
    if not identity.get("exists") or identity.get("fs_type") not in _NFS:
        return
    options = identity.get("mount_options")
    for why in _bad_options(options):
        yield Problem(image.what, f"{identity.get('mount_source')} is mounted {why} on {view.source_name}")
    yield Mounted(image.what, image.path, image.top and not image.get("readonly"), json.dumps(options))


def _bad_options(options: t.Sequence[str]) -> t.Iterator[str]:
    given = set(options)
    if given & _SOFT:
        yield f"{', '.join(sorted(given & _SOFT))}, so that a slow server becomes an I/O error in the guest"
    if given & _LOCAL_LOCKS:
        yield f"{', '.join(sorted(given & _LOCAL_LOCKS))}, so that another host does not see QEMU's image locks"


def _nfs_there(view: View, need: Mounted) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if not there.get("exists") or there.get("fs_type") not in _NFS:
        return
    options, source = there.get("mount_options"), there.get("mount_source")
    for why in _bad_options(options):
        yield Problem(need.what, f"{source} is mounted {why} on {view.there}")
    if need.written and "ro" in options:
        yield Problem(need.what, f"{source} is mounted read-only on {view.there}", severity="error")
    versions = [_version(entry) for entry in (json.loads(need.options), options)]
    if versions[0][:1] != versions[1][:1]:
        yield Problem(
            need.what, f"{source} is mounted with NFS {versions[0]} on the source and {versions[1]} on {view.there}"
        )


def _version(options: t.Sequence[str]) -> str:
    return next((entry.partition("=")[2] for entry in options if entry.startswith(_VERSIONS)), "")


def _declared(view: View, disk: Facts) -> t.Iterator[Problem]:
    if disk.get("type") != "file":
        return
    here = Facts(f"{disk.get('path')} on {view.source_name}", disk.get("identity"))
    if here.get("exists") and here.get("fs_type") in SHARED and here.get("declared_shared"):
        yield Problem(
            what_of(disk),
            f"{disk.get('path')} is on {here.get('fs_type')}, and {view.source_name} has it in shared_filesystems",
        )


def _lock_managers(view: View) -> t.Iterator[Problem]:
    here, there = (host.get("storage.lock_manager") for host in (view.source, view.destination))
    if here != there:
        yield Problem(
            f"lock_manager of {view.source_name} and {view.destination_name}",
            f"{here} and {there}",
        )


def _space(view: View, disk: Facts) -> t.Iterator[Problem]:
    if disk.get("type") != "file" or disk.get("readonly") or is_media(disk):
        return
    here = Facts(f"{disk.get('path')} on {view.source_name}", disk.get("identity"))
    if not here.get("exists"):
        return
    free, size = here.get("fs_free"), here.get("fs_size")
    full = free * _FULL_PART < size and free < _ENOUGH_BYTES
    grows = disk.get("format") != "raw" or here.get("allocated") < here.get("size")
    if full and grows:
        yield Problem(what_of(disk), f"{free // _MIB} MiB of {size // _MIB} are free where {disk.get('path')} is")


class Device(t.NamedTuple):
    what: str
    path: str


def _readable(view: View, image: Image) -> t.Iterator[Device | Problem]:
    if image.get("type") != "block":
        return
    here = image.identity(view.source_name)
    if not here.get("exists") or here.get("kind") != "block" or here.get("block")["kind"] == "drbd":
        return
    error = here.get("read_error")
    if error:
        yield Problem(image.what, f"{view.source_name} cannot read it: {error}", severity="warning")
    if not is_image_copied(view, image):
        yield Device(image.what, image.path)


def _readable_there(view: View, need: Device) -> t.Iterator[Problem]:
    there = there_of(view, need.path)
    if there.get("exists") and there.get("kind") == "block":
        error = there.get("read_error")
        if error:
            yield Problem(need.what, f"{view.there} cannot read it: {error}")


CHECKS: tuple[Check, ...] = (
    Check(
        id="disk_access_as_qemu_user",
        category="storage",
        severity="error",
        scope="pair",
        title="The user who runs QEMU on the destination may open the disk",
        expected="the right to read and write it, and to enter the folders above it",
        remedy="correct owner, mode or ACL there (namei -l PATH, getfacl PATH), or the export (root_squash)",
        requires=Requirement(each_image(_opened), _access, _ask_open),
        evidence="lab",
    ),
    Check(
        id="disk_cache_direct_supported",
        category="storage",
        severity="error",
        scope="pair",
        title="The destination can open the disk as it is cached",
        expected="a file system with O_DIRECT, as cache=none and directsync need it",
        remedy="mount the storage there as on the source, or give the disk another cache mode at the next power-cycle",
        requires=Requirement(each_image(_opened), _direct, _ask_open),
        evidence="lab",
    ),
    Check(
        id="disk_image_locks",
        category="storage",
        severity="warning",
        scope="pair",
        title="Nobody on the destination has the disk open",
        expected="nobody but the guest's own QEMU on the source",
        remedy="end that process there (qemu-nbd, qemu-img, a backup, another guest)",
        requires=Requirement(each_image(_opened), _in_use, _ask_open),
        evidence="lab",
    ),
    Check(
        id="disk_dead_path_probe",
        category="storage",
        severity="error",
        scope="pair",
        title="The disk's first sectors can be read",
        expected="an answer from the device within 5 s",
        remedy="repair the path to the device (dmesg, multipath -ll, iscsiadm -m session), or detach the disk",
        requires=Requirement(each_image(_readable), _readable_there, ask_path),
        evidence="lab",
    ),
    Check(
        id="disk_nfs_mount_options",
        category="storage",
        severity="warning",
        scope="pair",
        title="NFS is mounted for virtual machines",
        expected="hard, rw, locks at the server, and the same protocol version on both hosts",
        remedy="correct the options (fstab or the pool's mount_opts) and mount it anew while no guest uses it",
        requires=Requirement(each_image(_nfs), _nfs_there, ask_path),
    ),
    Check(
        id="disk_shared_filesystems_option",
        category="storage",
        severity="warning",
        scope="domain",
        title="shared_filesystems lists only what libvirt does not take for shared by itself",
        expected="only folders of a local file system that other hosts mount from here",
        remedy="take the folder out of shared_filesystems in qemu.conf of this host, which only mounts it",
        evaluate=each_disk(_declared),
        evidence="lab",
    ),
    Check(
        id="disk_io_pressure_space",
        category="storage",
        severity="warning",
        scope="domain",
        title="The disk's file system has room for the guest's writes",
        expected="5 % or 20 GiB free: a full one pauses the guest, also in the middle of a migration",
        remedy="free space there, or enlarge it",
        evaluate=each_disk(_space),
        evidence="lab",
    ),
    Check(
        id="disk_lock_manager_match",
        category="storage",
        severity="error",
        scope="link",
        title="Both hosts have the same lock manager",
        expected="the same on both (nop is none)",
        remedy="set lock_manager in qemu.conf alike on both hosts and restart libvirt's daemon",
        evaluate=_lock_managers,
        evidence="lab",
    ),
)
