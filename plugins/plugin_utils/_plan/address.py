# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a destination is reached: its libvirt URI and the address of the migration stream. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import tcp_uri


def of_destination(policy: t.Mapping[str, t.Any], option: str, destination: str) -> str:
    """The destination's entry of ``uris`` or ``addresses``. Raises LivemigError where there is none."""
    value = policy.get(option, {}).get(destination)
    if not value:
        raise LivemigError(
            f"Option {option}",
            value=f"nothing for {destination}",
            expected=f"an entry for every destination: {destination} is one of them",
            remedy=f"add {destination} to {option}, or leave it out of destinations",
        )
    return str(value)


def migrate_uri(address: str) -> str:
    """``tcp://`` and the address; an IPv6 one in brackets. libvirt chooses the port from the destination's range."""
    return tcp_uri(address)
