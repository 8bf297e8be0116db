# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Report: what happened, as plain JSON and as text for a terminal. The public face of the room.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .build import make_report, problems, with_proofs
from .files import Change, as_diff, as_json, changes, read, write
from .text import table
from .types import Failure, LeftOut, Report, Row, Summary

__all__ = [
    "Change",
    "Failure",
    "LeftOut",
    "Report",
    "Row",
    "Summary",
    "as_diff",
    "as_json",
    "changes",
    "make_report",
    "problems",
    "read",
    "table",
    "with_proofs",
    "write",
]
