# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user writes about what a migration may cost: the option of that name. Pure, controller only.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._policy.api import DEFAULT, profile

WHERE = "livemig_convergence"


def convergence(wanted: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """``profile``, ``link_mib_s`` (0: not known beforehand) and ``settings``, each checked. Raises LivemigError."""
    settings = dict(wanted)
    name = settings.pop("profile", DEFAULT)
    link = settings.pop("link_mib_s", 0)
    try:
        link_mib_s = -1.0 if isinstance(link, bool) else float(link)
    except (TypeError, ValueError, OverflowError):
        link_mib_s = -1.0
    if not math.isfinite(link_mib_s) or link_mib_s < 0:
        raise LivemigError(
            f"{WHERE}: link_mib_s",
            value=link,
            expected="a number of MiB/s, or 0 where it is not known beforehand",
            remedy="correct it",
        )
    profile(str(name), settings, WHERE)
    return {"profile": str(name), "link_mib_s": link_mib_s, "settings": settings}
