# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from tests.unit.preflight.case import Case

CASES: dict[str, Case] = {}
