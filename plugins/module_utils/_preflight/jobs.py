# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt is doing with a domain right now.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._model.api import Facts, UnknownFact

NO_JOB = ("none", "completed", "failed", "cancelled")
"""Values of ``job`` that hold nobody up."""

# virDomainPausedReason: VIR_DOMAIN_PAUSED_MIGRATION (also the incoming side) and VIR_DOMAIN_PAUSED_POSTCOPY
_PAUSED_BY_MIGRATION = (2, 12)


def migration_under_way(domain: Facts) -> bool:
    """Whether a second, paused instance on another host may be libvirt's own. False where it is not known."""
    try:
        if domain.get("state") == "paused" and domain.get("state_reason") in _PAUSED_BY_MIGRATION:
            return True
        return domain.get("job") not in NO_JOB
    except UnknownFact:
        return False
