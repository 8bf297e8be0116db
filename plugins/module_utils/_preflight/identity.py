# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two hosts see the same file or device under a path. Both "same" and "different" need positive proof.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re

from .._model.api import Facts
from . import identity_block

NETWORK_FS = frozenset(("ceph", "cifs", "fuse.glusterfs", "lustre", "nfs", "nfs4", "smb3"))
"""File systems whose mount source names a server or a cluster, the same one for every host that writes it so.

Not among them: gfs2 and ocfs2 (a block device, whose name says nothing on another host), gpfs (the name of a file
system, not of its cluster), and those that show no source at all, such as beegfs, afs and ceph-fuse.
"""

# No server at all, or the host itself: "localhost:/export" is another server on every host.
_LOOPBACK = re.compile(r"^(|localhost|127\.\d+\.\d+\.\d+|\[?::1\]?):|^//(localhost|127\.\d+\.\d+\.\d+)/")

# Without serverino each client counts up inode numbers of its own (mount.cifs(8)); a client that notices that the
# server's are not unique shows noserverino from then on.
_SMB = frozenset(("cifs", "smb3"))
_SERVER_INODES = "serverino"

# GlusterFS takes the inode from the file's random gfid, so that equal ones mean the same file whoever is asked.
_GLOBAL_INODES = frozenset(("fuse.glusterfs",))


def compare(source: Facts, destination: Facts) -> tuple[str, str]:
    """("same" | "different" | "unknown", why) for two PathIdentity of the same path. Raises UnknownFact.

    Sizes and times are not looked at: those of a file in use differ from one look to the next.
    """
    if not source.get("exists"):
        return "unknown", "the source does not find the path itself: the guest may hold a deleted file"
    kinds = {source.get("kind"), destination.get("kind")}
    if kinds == {"block"}:
        return identity_block.compare(source, destination, compare)
    if kinds != {"file"}:
        return "unknown", "only two files or two block devices can be compared, and this is " + _and(kinds)
    if any(_invents_inodes(identity) for identity in (source, destination)):
        return "unknown", f"it is on {_place(source)}, mounted without {_SERVER_INODES}: its inodes prove nothing"
    inodes = source.get("inode"), destination.get("inode")
    if _same_export(source, destination):
        if inodes[0] != inodes[1]:
            return "different", f"{source.get('mount_source')} shows inode {inodes[0]} here and {inodes[1]} there"
        if source.get("relative") == destination.get("relative"):
            return "same", f"inode {inodes[0]} of {source.get('mount_source')}"
    if source.get("declared_shared") and destination.get("declared_shared"):
        if inodes[0] == inodes[1]:
            return "same", f"inode {inodes[0]} of a folder that both hosts declare as shared"
        return "unknown", f"both hosts declare the folder as shared, but the inodes are {inodes[0]} and {inodes[1]}"
    return "unknown", (
        f"it is on {_place(source)} here and on {_place(destination)} there, and nothing proves that they are one"
    )


def _and(kinds: set[str]) -> str:
    return " and ".join(sorted(kinds))


def _same_export(source: Facts, destination: Facts) -> bool:
    fs_types = {source.get("fs_type"), destination.get("fs_type")}
    if not fs_types <= NETWORK_FS or source.get("mount_source") != destination.get("mount_source"):
        return False
    return fs_types <= _GLOBAL_INODES or not _LOOPBACK.match(source.get("mount_source"))


def _invents_inodes(identity: Facts) -> bool:
    return identity.get("fs_type") in _SMB and _SERVER_INODES not in identity.get("mount_options")


def _place(identity: Facts) -> str:
    return f"{identity.get('fs_type')} ({identity.get('mount_source')})"
