# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type of the lab."""

from __future__ import annotations


class LabError(Exception):
    """What a user of the lab sees when something is wrong.

    value is what was found ("x is v"), expected what should have been there, remedy what a person does about it.
    """

    def __init__(self, value: str, expected: str, remedy: str) -> None:
        super().__init__(f"{value}; expected {expected}. Remedy: {remedy}")
        self.value = value
        self.expected = expected
        self.remedy = remedy
