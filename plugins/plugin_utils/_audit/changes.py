# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which single action would open the most: obstacles with one cause at one place, and what they alone keep shut. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .obstacles import CHECKS, hidden, hostless, named
from .types import AuditDomain, Obstacle, SingleChange


class _Cause(t.NamedTuple):
    """The same check, at the same place, with the same value.

    ``kind``: host; source, of what stands between two hosts; domain; demand, of what several destinations lack alike.
    """

    kind: t.Literal["host", "source", "domain", "demand"]
    place: str
    owner: str
    check: str
    problem: str


_RANK = ("host", "source", "domain", "demand")
_DEMAND = "do without it in the domain's definition; or at each destination: {}"


def single_changes(domains: t.Sequence[AuditDomain], obstacles: t.Sequence[Obstacle]) -> list[SingleChange]:
    """Those that open a way, the ones that free most trapped domains first; those that are not sure come last."""
    opened: dict[_Cause, set[tuple[int, str]]] = {}
    remedies: dict[_Cause, str] = {}
    unsure: set[_Cause] = set()
    for index, domain in enumerate(domains):
        for destination, there in domain["blocked"].items():
            numbers = [*domain["everywhere"], *there]
            for cause in _shared(numbers, obstacles, domain, destination):
                opened.setdefault(cause, set()).add((index, destination))
                remedies.setdefault(cause, obstacles[numbers[0]]["remedy"])
                if any(hidden(obstacles[number]) for number in numbers):
                    unsure.add(cause)
    made = [
        _change(cause, ways, domains, remedies[cause], sure=cause not in unsure) for cause, ways in _distinct(opened)
    ]
    return sorted(made, key=lambda change: (not change["sure"], -len(change["frees"]), -change["opens"], _text(change)))


def _shared(
    numbers: t.Sequence[int], obstacles: t.Sequence[Obstacle], domain: AuditDomain, destination: str
) -> set[_Cause]:
    """The causes that all obstacles of a way have: where one of them is removed, it is open."""
    common: set[_Cause] | None = None
    for number in numbers:
        causes = _causes(obstacles[number], domain, destination)
        common = causes if common is None else common & causes
        if not common:
            return set()
    return common or set()


def _causes(obstacle: Obstacle, domain: AuditDomain, destination: str) -> set[_Cause]:
    check, value = obstacle["check"], obstacle["value"]
    who = domain["uuid"], domain["host"]
    if obstacle["domain"] is not None:
        return {_Cause("domain", domain["name"], "@".join(who), check, value)}
    source, there = obstacle["source"], obstacle["destination"]
    if source is not None and there is not None:
        return {
            _Cause("host", there, "", check, hostless(value, source, "its source")),
            _Cause("source", source, "", check, hostless(value, there, "the destination")),
        }
    if source is not None:
        return {_Cause("host", source, "", check, value)}
    found = {_Cause("host", destination, "", check, value)}
    if CHECKS[check].scope == "pair":
        demand = hostless(named(value, [domain["name"]]), destination, "the destination")
        found.add(_Cause("demand", domain["name"], "@".join(who), check, demand))
    return found


def _distinct(
    opened: t.Mapping[_Cause, set[tuple[int, str]]],
) -> list[tuple[_Cause, set[tuple[int, str]]]]:
    """Of two causes that open the same, the one nearer to the problem; a demand only where it spans destinations."""
    found: dict[tuple[str, frozenset[tuple[int, str]]], _Cause] = {}
    for cause in sorted(opened, key=lambda cause: (_RANK.index(cause.kind), cause)):
        if cause.kind != "demand" or len(opened[cause]) > 1:
            found.setdefault((cause.check, frozenset(opened[cause])), cause)
    return [(cause, set(ways)) for (_check, ways), cause in found.items()]


def _change(
    cause: _Cause, ways: set[tuple[int, str]], domains: t.Sequence[AuditDomain], remedy: str, *, sure: bool
) -> SingleChange:
    of_host = cause.kind in ("host", "source")
    names = {domains[index]["name"] for index, _destination in ways}
    freed = sorted({index for index, _destination in ways if domains[index]["trapped"]})
    texts = [cause.problem, _DEMAND.format(remedy) if cause.kind == "demand" else remedy]
    problem, remedy = (named(text, sorted(names)) for text in texts)
    return {
        "check": cause.check,
        "host": cause.place if of_host else None,
        "domain": None if of_host else cause.place,
        "problem": problem,
        "remedy": remedy,
        "sure": sure,
        "frees": [domains[index]["name"] for index in freed],
        "opens": len(ways),
    }


def _text(change: SingleChange) -> tuple[str, str, str]:
    return change["host"] or "", change["domain"] or "", change["check"] + change["problem"]
