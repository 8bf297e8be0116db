# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SR-IOV: a guest's virtual functions through a migration. The public face.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .functions import Function, Wanted, obstacle
from .journal import GONE, OFF, ON, QUIET, UNSEEN, Journal, Rules, same_instance
from .nic import Nic, allocated_at_once, bonded, defined_nics, find, host_address, placed, shown
from .restore import Restored, put_back
from .side import Side, boot_id
from .stall import SEED_MIB_S, Memory, forecast_ms, pinned_mib_s
from .strategy import AUTO, FAILOVER, NATIVE, NONE, REFUSE, REPLUG, STRATEGIES, Asked, Choice, Device, choose
from .transaction import nics_with_standby, plan, require_standby, take_off

__all__ = [
    "AUTO",
    "FAILOVER",
    "GONE",
    "NATIVE",
    "NONE",
    "OFF",
    "ON",
    "QUIET",
    "REFUSE",
    "REPLUG",
    "SEED_MIB_S",
    "STRATEGIES",
    "UNSEEN",
    "Asked",
    "Choice",
    "Device",
    "Function",
    "Journal",
    "Memory",
    "Nic",
    "Restored",
    "Rules",
    "Side",
    "Wanted",
    "allocated_at_once",
    "bonded",
    "boot_id",
    "choose",
    "defined_nics",
    "find",
    "forecast_ms",
    "host_address",
    "nics_with_standby",
    "obstacle",
    "pinned_mib_s",
    "placed",
    "plan",
    "put_back",
    "require_standby",
    "same_instance",
    "shown",
    "take_off",
]
