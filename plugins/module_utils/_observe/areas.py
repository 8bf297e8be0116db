# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All tables of a host's facts.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from . import (
    area,
    host_config,
    host_cpu,
    host_daemon,
    host_firmware,
    host_net,
    host_nodedevs,
    host_pools,
    host_qemu,
    host_ram,
    host_security,
    host_storage,
    host_system,
)

AREAS: t.Mapping[str, area.Facts] = {
    "config": host_config.FACTS,
    "cpu": host_cpu.FACTS,
    "daemon": host_daemon.FACTS,
    "firmware": host_firmware.FACTS,
    "net": host_net.FACTS,
    "nodedevs": host_nodedevs.FACTS,
    "pools": host_pools.FACTS,
    "qemu": host_qemu.FACTS,
    "ram": host_ram.FACTS,
    "security": host_security.FACTS,
    "storage": host_storage.FACTS,
    "system": host_system.FACTS,
}
"""Key of HostSnapshot -> its facts, by name."""
