# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policy: what a migration may cost, and what is done so that it does not cost more. Pure. The public face.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .breach import Breach, breach, overrun, unmeasured
from .decide import ACTIONS, QEMU_LIMIT_MS, Start, State, again, begin, now, shown, step, watch
from .profiles import DEFAULT, PROFILES, SETTINGS, Profile, from_label, limits, profile

__all__ = [
    "ACTIONS",
    "DEFAULT",
    "PROFILES",
    "QEMU_LIMIT_MS",
    "SETTINGS",
    "Breach",
    "Profile",
    "Start",
    "State",
    "again",
    "begin",
    "breach",
    "from_label",
    "limits",
    "now",
    "overrun",
    "profile",
    "shown",
    "step",
    "unmeasured",
    "watch",
]
