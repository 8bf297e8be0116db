# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue: every check of the collection, in the order in which findings name them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from . import (
    checks_block,
    checks_chardev,
    checks_config,
    checks_convergence,
    checks_copy,
    checks_cpu,
    checks_daemon,
    checks_device,
    checks_disk,
    checks_firmware,
    checks_guest,
    checks_host,
    checks_hostdev,
    checks_image,
    checks_label,
    checks_machine,
    checks_memory,
    checks_models,
    checks_network,
    checks_nic,
    checks_reach,
    checks_return,
    checks_security,
    checks_state,
    checks_storage,
    checks_store,
    checks_system,
    checks_vcpu,
    checks_virtual_network,
)
from .check import Check

_FORWARD: tuple[Check, ...] = (
    *checks_config.CHECKS,
    *checks_host.CHECKS,
    *checks_daemon.CHECKS,
    *checks_system.CHECKS,
    *checks_reach.CHECKS,
    *checks_machine.CHECKS,
    *checks_cpu.CHECKS,
    *checks_vcpu.CHECKS,
    *checks_guest.CHECKS,
    *checks_state.CHECKS,
    *checks_memory.CHECKS,
    *checks_firmware.CHECKS,
    *checks_storage.CHECKS,
    *checks_disk.CHECKS,
    *checks_image.CHECKS,
    *checks_block.CHECKS,
    *checks_copy.CHECKS,
    *checks_store.CHECKS,
    *checks_network.CHECKS,
    *checks_virtual_network.CHECKS,
    *checks_nic.CHECKS,
    *checks_device.CHECKS,
    *checks_chardev.CHECKS,
    *checks_models.CHECKS,
    *checks_hostdev.CHECKS,
    *checks_security.CHECKS,
    *checks_label.CHECKS,
    *checks_convergence.CHECKS,
)

CHECKS: tuple[Check, ...] = (*_FORWARD, checks_return.one_way_move(_FORWARD))


def registry() -> dict[str, Check]:
    """The checks by their id."""
    return {check.id: check for check in CHECKS}
