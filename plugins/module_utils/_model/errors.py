# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error type of the collection.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations


class LivemigError(Exception):
    """Something a person has to act on: what was found, what was expected, and the remedy.

    ``str(error)`` is one sentence group, fit for ``fail_json(msg=...)``.
    """

    def __init__(self, what: str, *, value: object, expected: str, remedy: str) -> None:
        self.what = what
        self.value = value
        self.expected = expected
        self.remedy = remedy
        super().__init__(f"{what}: {value}; expected {expected}. Remedy: {remedy}")
