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

_FAULTS: tuple[type[Exception], ...] = (ArithmeticError, AttributeError, LookupError, TypeError)
UNREADABLE: tuple[type[Exception], ...] = (OSError, ValueError, *_FAULTS, *LIBVIRT_ERRORS)
"""Errors that make a fact unknown: what cannot be read, and what is not of the form in which we know how to read it."""


def reason(error: Exception) -> str:
    """Why a fact is unknown; with the kind of error where its text alone says nothing."""
    return f"{type(error).__name__}: {error}" if isinstance(error, _FAULTS) else error_text(error)


class Collector:
    """Facts by name, and the names and reasons of those that could not be read."""

    def __init__(self) -> None:
        self.facts: dict[str, t.Any] = {}
        self.unknown: list[Unknown] = []

    def add(self, fact: str, read: t.Callable[[], t.Any]) -> None:
        try:
            self.facts[fact] = read()
        except UNREADABLE as error:
            self.unknown.append({"fact": fact, "reason": reason(error)})

    def add_below(self, area: str, fact: str, read: t.Callable[[], t.Any]) -> None:
        try:
            self.facts.setdefault(area, {})[fact] = read()
        except UNREADABLE as error:
            self.unknown.append({"fact": f"{area}.{fact}", "reason": reason(error)})

    def merge(self, facts: t.Mapping[str, t.Any]) -> None:
        self.facts.update(facts)
