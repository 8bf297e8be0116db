# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file systems libvirt takes for shared.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._model.api import Facts, UnknownFact

# From virFileIsSharedFSType() in libvirt's src/util/virfile.c; the same in 9.0.0 and 11.3.0 but for BeeGFS (NEWS 9.6).
SHARED = frozenset(("acfs", "afs", "ceph", "fuse.glusterfs", "fuse.quobyte", "gfs2", "gpfs", "nfs", "nfs4", "ocfs2"))
_BEEGFS_SINCE = 9006000
# libvirt knows SMB by the magic number of protocol 1 only; mountinfo does not tell the protocol.
_SMB = frozenset(("cifs", "smb3"))
# shared_filesystems of qemu.conf is not in 9.0.0; NEWS of 11.5 speaks of it for 11.1.
_DECLARED_NOT_IN, _DECLARED_SINCE = 9000000, 11001000


def takes_for_shared(host: Facts, path: Facts) -> bool:
    """Whether libvirt on this host does, for a path of it (a PathIdentity). Raises UnknownFact."""
    fs_type = path.get("fs_type")
    if fs_type in SHARED:
        return True
    version = host.get("libvirt_version")
    if fs_type == "beegfs" and version >= _BEEGFS_SINCE:
        return True
    # What this libvirt does not read need not be known.
    if version > _DECLARED_NOT_IN and path.get("declared_shared"):
        if version >= _DECLARED_SINCE:
            return True
        raise UnknownFact(
            "whether this libvirt has shared_filesystems in qemu.conf is not known of versions below 11.1"
        )
    if fs_type in _SMB:
        raise UnknownFact(f"libvirt takes {fs_type} for shared or not, depending on the protocol version of the mount")
    return False
