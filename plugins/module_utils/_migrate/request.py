# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of libvirt for one move: flags and typed parameters. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._libvirt import libvirt
from .._model.api import Move

# libvirt's own defaults are kept where the policy says nothing: an option that is not set is not sent.
_ALWAYS = ("VIR_MIGRATE_LIVE", "VIR_MIGRATE_PEER2PEER")
_PERSISTENT = ("VIR_MIGRATE_PERSIST_DEST", "VIR_MIGRATE_UNDEFINE_SOURCE")


def flag_names(move: Move, tls: str) -> list[str]:
    """A transient domain stays transient; a persistent one is defined there and no longer here."""
    names = [*_ALWAYS, *(_PERSISTENT if move["persistent"] else ())]
    if tls == "required":
        names.append("VIR_MIGRATE_TLS")
    return names


def flags(move: Move, tls: str) -> int:
    result = 0
    for name in flag_names(move, tls):
        result |= getattr(libvirt, name)
    return result


def parameters(move: Move, definitions: t.Mapping[str, str]) -> dict[str, t.Any]:
    """``definitions``: the changed ones, if any.

    ``migrate_uri`` is always given: without it libvirt takes the destination's own host name, which the source may
    resolve to another address or not at all (libvirt, qemuMigrationDstPrepareDirect).
    """
    return {"migrate_uri": move["migrate_uri"], **definitions}
