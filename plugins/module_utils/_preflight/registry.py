# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue: every check of the collection, in the order in which findings name them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .check import Check
from .checks import (
    block,
    chardev,
    config,
    convergence,
    copy,
    cpu,
    daemon,
    device,
    disk,
    firmware,
    guest,
    host,
    hostdev,
    image,
    label,
    machine,
    memory,
    models,
    network,
    nic,
    reach,
    security,
    state,
    storage,
    store,
    system,
    vcpu,
    vf,
    virtual_network,
    way_back,
)

_FORWARD: tuple[Check, ...] = (
    *config.CHECKS,
    *host.CHECKS,
    *daemon.CHECKS,
    *system.CHECKS,
    *reach.CHECKS,
    *machine.CHECKS,
    *cpu.CHECKS,
    *vcpu.CHECKS,
    *guest.CHECKS,
    *state.CHECKS,
    *memory.CHECKS,
    *firmware.CHECKS,
    *storage.CHECKS,
    *disk.CHECKS,
    *image.CHECKS,
    *block.CHECKS,
    *copy.CHECKS,
    *store.CHECKS,
    *network.CHECKS,
    *virtual_network.CHECKS,
    *nic.CHECKS,
    *device.CHECKS,
    *chardev.CHECKS,
    *models.CHECKS,
    *hostdev.CHECKS,
    *vf.CHECKS,
    *security.CHECKS,
    *label.CHECKS,
    *convergence.CHECKS,
)

CHECKS: tuple[Check, ...] = (*_FORWARD, way_back.one_way_move(_FORWARD))


def registry() -> dict[str, Check]:
    """The checks by their id."""
    return {check.id: check for check in CHECKS}
