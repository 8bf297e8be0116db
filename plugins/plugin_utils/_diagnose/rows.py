# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All diagnoses, and the rows of one line: pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from . import rows_device, rows_guest, rows_host, rows_network, rows_processor, rows_security, rows_storage
from .row import Message, Row, message

ROWS: tuple[Row, ...] = (
    *rows_storage.ROWS,
    *rows_processor.ROWS,
    *rows_device.ROWS,
    *rows_network.ROWS,
    *rows_security.ROWS,
    *rows_host.ROWS,
    *rows_guest.ROWS,
)

_MESSAGES: tuple[Message, ...] = tuple(message(row, template) for row in ROWS for template in row.messages)


def recognised(line: str) -> Row | None:
    """What the line says: the heaviest message in it. A wrapper counts only where nothing else is recognised."""
    small = line.lower()
    found = [known for known in _MESSAGES if known.fragment in small and known.regex.search(line)]
    return max(found, key=lambda known: (known.row.role != "wrapper", known.weight)).row if found else None
