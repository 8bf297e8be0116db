# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check is, what it looks at, and the evaluators of the common shapes.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._model.api import Answers, Facts, UnknownFact
from .._model.types import Scope, Severity

Policy = t.Mapping[str, t.Any]
"""``tls``: required (the default) or off; ``uris``: destination name -> URI by which the sources reach it;
``unreachable``: host name -> why no snapshot of it came."""


@dataclass(frozen=True)
class Problem:
    """What a check found: ``what``: ``value``; expected ``expected``. What is left out is taken from the check.

    ``unknown``: it could not be evaluated, and ``value`` is the reason.
    """

    what: str
    value: str
    expected: str | None = None
    remedy: str | None = None
    severity: Severity | None = None
    unknown: bool = False


@dataclass(frozen=True)
class View:
    """What one evaluation of a check may look at. Which parts are there depends on the scope:

    ``domain``: domain, source, others; ``host``: host, role; ``link``: source, destination; ``pair``: all but host and
    role. ``others`` are the hosts that were observed, without the domain's own.
    """

    policy: Policy
    answers: Answers = field(default_factory=dict)
    domain_name: str | None = None
    source_name: str | None = None
    destination_name: str | None = None
    role: str = ""
    silent: str | None = None
    facts: t.Mapping[str, Facts] = field(default_factory=dict)
    others: t.Mapping[str, Facts] = field(default_factory=dict)

    @property
    def domain(self) -> Facts:
        return self.facts["domain"]

    @property
    def host(self) -> Facts:
        return self.facts["host"]

    @property
    def source(self) -> Facts:
        return self.facts["source"]

    @property
    def destination(self) -> Facts:
        return self.facts["destination"]

    @property
    def link(self) -> str:
        return f"{self.source_name} to {self.destination_name}"

    @property
    def tls(self) -> bool:
        return bool(self.policy.get("tls", "required") == "required")

    def answer(self, host: str | None, key: str) -> Facts:
        """What ``host`` answered to a question. Raises UnknownFact where it was not asked or could not tell."""
        answer = self.answers.get(host or "", {}).get(key)
        if answer is None:
            raise UnknownFact(f"host {host} was not asked about {key}")
        if "error" in answer:
            raise UnknownFact(f"host {host} could not tell about {key}: {answer['error']}")
        return Facts(f"{key} on host {host}", answer)


Evaluate = t.Callable[[View], t.Iterable[Problem]]


@dataclass(frozen=True)
class Check:
    """One row of the catalogue. ``id`` is public and never changes its meaning.

    on_unknown: ``stop`` rules the move out, and is used only where a double run, data loss or the loss of a guest is
    possible; otherwise ``warn``.
    evidence: ``lab`` (agrees with what real migrations did), ``nested lab``, ``recorded`` (its facts were recorded on
    real hosts), ``source`` (read in the source of libvirt or QEMU).
    volatile: looked at again right before the start; it reads nothing of the hosts but what libvirt tells.
    first: decides whether anything else can be said; it alone is evaluated for a host that does not answer or a domain
    that does not run.
    """

    id: str
    category: str
    severity: Severity
    scope: Scope
    title: str
    expected: str
    remedy: str
    evaluate: Evaluate
    on_unknown: t.Literal["stop", "warn"] = "warn"
    evidence: t.Literal["lab", "nested lab", "recorded", "source"] = "source"
    volatile: bool = False
    first: bool = False


def unknown(reason: object, what: str = "", remedy: str | None = None) -> Problem:
    return Problem(what, str(reason), remedy=remedy, unknown=True)


def each(items: t.Iterable[Facts], judge: t.Callable[[Facts], t.Iterable[Problem]]) -> t.Iterator[Problem]:
    """The problems of every item; what cannot be said of one does not hide what is said of the next."""
    for item in items:
        try:
            yield from judge(item)
        except UnknownFact as reason:
            yield unknown(reason)


def fact_in(part: str, path: str, good: t.Container[object], what: str) -> Evaluate:
    """The fact has one of the good values. ``what`` names the thing, ``{who}`` its owner."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        facts = view.facts[part]
        value = facts.get(path)
        if value not in good:
            yield Problem(what.format(who=facts.who), str(value))

    return evaluate


def facts_differ(path: str, what: str) -> Evaluate:
    """Source and destination do not have the same value."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        value = view.source.get(path)
        if value == view.destination.get(path):
            yield Problem(f"{what} of {view.source_name} and {view.destination_name}", f"{value} on both")

    return evaluate


def version_text(version: int) -> str:
    """libvirt's integer as people write it: 11003000 is 11.3.0."""
    return f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}"


def version_not_less(path: str, what: str, hard_below: int | None = None) -> Evaluate:
    """The destination's version is not older. Where it differs by less than ``hard_below`` it is only a warning."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        here, there = view.source.get(path), view.destination.get(path)
        if there >= here:
            return
        soft = hard_below is not None and here // hard_below == there // hard_below
        yield Problem(
            f"{what} of {view.destination_name}",
            version_text(there),
            expected=f"{version_text(here)}, as on {view.source_name}, or newer",
            severity="warning" if soft else None,
        )

    return evaluate
