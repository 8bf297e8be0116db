# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collecting facts one by one, so that what cannot be read is listed as unknown and stops nothing else.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._libvirt import LIBVIRT_ERRORS, error_text
from .._model.api import Unknown

UNREADABLE: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, *LIBVIRT_ERRORS)
"""Errors that make a fact unknown. Everything else is a fault of ours and must be seen."""


class Collector:
    """Facts by name, and the names and reasons of those that could not be read."""

    def __init__(self) -> None:
        self.facts: dict[str, t.Any] = {}
        self.unknown: list[Unknown] = []

    def add(self, fact: str, read: t.Callable[[], t.Any]) -> None:
        try:
            self.facts[fact] = read()
        except UNREADABLE as error:
            self.unknown.append({"fact": fact, "reason": error_text(error)})

    def add_below(self, area: str, fact: str, read: t.Callable[[], t.Any]) -> None:
        try:
            self.facts.setdefault(area, {})[fact] = read()
        except UNREADABLE as error:
            self.unknown.append({"fact": f"{area}.{fact}", "reason": error_text(error)})

    def merge(self, facts: t.Mapping[str, t.Any]) -> None:
        self.facts.update(facts)
