# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe: read one host and its domains, change nothing. The public face of the room.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .agent import Agents
from .answers import answers
from .domain import domain_snapshot, domain_snapshots
from .domain_xml import parse as parse_domain
from .host import host_snapshot, migration_ports, remote_snapshot
from .logs import Mark, log_mark, log_path, log_since, log_since_mark, stamp_ms
from .redact import redacted
from .xml import parse as parse_xml

__all__ = [
    "Agents",
    "Mark",
    "answers",
    "domain_snapshot",
    "domain_snapshots",
    "host_snapshot",
    "log_mark",
    "log_path",
    "log_since",
    "log_since_mark",
    "migration_ports",
    "parse_domain",
    "parse_xml",
    "redacted",
    "remote_snapshot",
    "stamp_ms",
]
