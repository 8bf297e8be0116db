# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue: every check of the collection, in the order in which findings name them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from . import checks_guest, checks_host, checks_security, checks_storage
from .check import Check

CHECKS: tuple[Check, ...] = (
    *checks_host.CHECKS,
    *checks_guest.CHECKS,
    *checks_storage.CHECKS,
    *checks_security.CHECKS,
)


def registry() -> dict[str, Check]:
    """The checks by their id."""
    return {check.id: check for check in CHECKS}
