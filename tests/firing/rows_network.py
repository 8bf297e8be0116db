# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from tests.firing.provocation import Provocation, replaced

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "net_bridge_exists",
        "a guest on a bridge that only the source has",
        "its bridge br-p is not on hv2",
        guest=replaced('<source bridge="br0"/>', '<source bridge="br-p"/>'),
        before={"hv1": "ip link add br-p type bridge"},
        after={"hv1": "ip link del br-p"},
    ),
)
