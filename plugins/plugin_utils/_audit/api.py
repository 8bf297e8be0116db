# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit: where every domain of a fleet can go, and why not elsewhere. Controller only. The public face of the room.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import typing as t

from .build import Observed, make_audit
from .compare import not_an_audit, read_audit
from .page import page
from .text import summary_line, table
from .types import Audit, AuditSummary

__all__ = [
    "Audit",
    "AuditSummary",
    "Observed",
    "as_json",
    "make_audit",
    "page",
    "parse",
    "summary_line",
    "table",
]


def as_json(audit: Audit) -> str:
    """JSON with a line for each element of a list: small, and still readable by ``diff``."""
    parts = [f"{json.dumps(key)}: {_lines(value)}" for key, value in audit.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: t.Any) -> str:
    if not isinstance(value, list) or not value:
        return _compact(value)
    return "[\n" + ",\n".join(f" {_compact(entry)}" for entry in value) + "\n]"


def _compact(value: t.Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parse(path: str, text: str) -> Audit:
    """An earlier audit from the text of its file. Raises LivemigError where it is none of this version."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise not_an_audit(path, f"no JSON: {error}") from None
    return read_audit(path, value)
