# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From findings to obstacles: each once, with numbers in its place, whomever it concerns. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import re
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Finding
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import registry

from .types import Obstacle

CHECKS = registry()
DOMAIN = "{domain}"
"""Stands for the name of the domain in texts that several domains share."""


def nameless(text: str, domain: str) -> str:
    """``text`` with the mark in place of the domain's name, in paths and after the word "domain".

    Elsewhere a word of the text could be somebody's name: there are domains called "a", "db" and "test".
    """
    return _name(r"(?<=/){}|(?<=omain ){}", domain).sub(DOMAIN, text) if domain and domain in text else text


def hostless(text: str, host: str, noun: str) -> str:
    """``text`` with what the host is in place of its name, where that is not a part of a longer one."""
    return _name(r"(?<![\w.-]){}", host).sub(noun, text) if host and host in text else text


@functools.lru_cache(maxsize=4096)
def _name(before: str, name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{before.replace('{}', re.escape(name))})(?![\w-])")


class Catalogue:
    """Obstacles in the order in which they were first met."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[t.Any, ...], int] = {}
        self._first: list[Finding] = []
        self._made: list[Obstacle] = []

    def number(self, finding: Finding) -> int:
        """The obstacle's number. What destinations lack is one obstacle for all domains that find the same there."""
        of_pair = finding["domain"] is not None and finding["destination"] is not None
        name = finding["domain"] or ""
        value = nameless(finding["value"], name)
        owner = (None, None) if of_pair else (finding["domain"], finding["source"])
        key = (finding["check"], finding["status"], *owner, finding["destination"], value)
        number = self._numbers.setdefault(key, len(self._made))
        if number == len(self._made):
            self._first.append(finding)
            self._made.append(_obstacle(finding, owner, value))
        elif of_pair:
            self._share(number, finding)
        return number

    def _share(self, number: int, finding: Finding) -> None:
        """Where two findings of an obstacle differ in more than names, its message says what they have in common."""
        first, made, name = self._first[number], self._made[number], finding["domain"] or ""
        if made["message"] in (_common(made, None), nameless(finding["message"], name)):
            return
        same = nameless(finding["expected"], name) == nameless(first["expected"], first["domain"] or "")
        made["message"] = _common(made, nameless(first["expected"], first["domain"] or "") if same else None)

    def all(self) -> list[Obstacle]:
        return self._made


def _obstacle(finding: Finding, owner: tuple[str | None, str | None], value: str) -> Obstacle:
    name = finding["domain"] or ""
    return {
        "check": finding["check"],
        "status": finding["status"],
        "domain": owner[0],
        "source": owner[1],
        "destination": finding["destination"],
        "message": nameless(finding["message"], name),
        "value": value,
        "remedy": nameless(finding["remedy"], name),
    }


def _common(obstacle: Obstacle, expected: str | None) -> str:
    value = obstacle["value"]
    text = f"unknown, since {value}" if obstacle["status"] == "unknown" else value
    return text[:1].upper() + text[1:] + (f"; expected {expected}." if expected else ".")


def hidden(obstacle: Obstacle) -> bool:
    """Whether it hides something: where it is removed, more may come to light."""
    return obstacle["status"] == "unknown" or obstacle["check"] == "host_daemon_alive"


def named(text: str, domains: t.Sequence[str]) -> str:
    """The text of an obstacle for one domain, or in words for several or for whomever it concerns."""
    if len(domains) == 1:
        return text.replace(DOMAIN, domains[0])
    words = text.replace(f"domain {DOMAIN}", "the domain").replace(f"Domain {DOMAIN}", "The domain")
    return words.replace(DOMAIN, "NAME")
