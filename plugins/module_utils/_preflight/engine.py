# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluating checks: every check over every view of its scope, and what comes out as findings.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._model.api import SCHEMA, Finding
from . import controls
from .check import NOT_EVALUATED, Check, Problem, Requirement, View, not_evaluated
from .world import World

_SCOPES = ("host", "link", "domain", "pair")
_UNKNOWN_REMEDY = "remove the cause that is named here, observe the hosts again and evaluate once more"


_Key = tuple[t.Any, ...]
_Found = list[tuple[_Key, Finding]]


def evaluate(world: World, checks: t.Sequence[Check]) -> list[Finding]:
    """What did not pass, in an order that depends on nothing but the names."""
    found: _Found = []
    for scope, views in (("host", world.host_views), ("link", world.link_views), ("domain", world.domain_views)):
        rows = [(index, check) for index, check in enumerate(checks) if check.scope == scope]
        for view in views() if rows else ():
            for index, check in rows:
                if view.silent is None or check.first:
                    _note(found, index, check, view, _problems(check, view))
    for index, check in enumerate(checks):
        if check.requires is not None:
            _pairs(found, world, index, check, check.requires)
    return [entry for _key, entry in sorted(found, key=lambda pair: pair[0])]


def _note(found: _Found, index: int, check: Check, view: View, problems: t.Iterable[Problem]) -> None:
    where = (view.domain_name or "", view.source_name or "", view.destination_name or "")
    for number, problem in enumerate(problems):
        found.append(((_SCOPES.index(check.scope), *where, index, number), finding(check, view, problem)))


def _problems(check: Check, view: View) -> t.Iterator[Problem]:
    try:
        if check.evaluate is not None:
            yield from check.evaluate(view)
    except NOT_EVALUATED as reason:
        yield not_evaluated(reason)


def _pairs(found: _Found, world: World, index: int, check: Check, requires: Requirement) -> None:
    """Equal needs are looked at once for each destination; only what a destination lacks is spread over the domains."""
    for (source, need), owners in needs(world, requires, lambda view, said: _note(found, index, check, view, said)):
        for view in world.destination_views(source):
            if view.silent is None:
                problems = list(_lacking(requires, view, need))
                for owner in owners if problems else ():
                    if owner.source_name != view.destination_name:
                        _note(found, index, check, _of_pair(owner, view), problems)


def _lacking(requires: Requirement, view: View, need: t.Any) -> t.Iterator[Problem]:
    try:
        yield from requires.lacks(view, need)
    except NOT_EVALUATED as reason:
        yield not_evaluated(reason)


def _of_pair(owner: View, view: View) -> View:
    return replace(owner, destination_name=view.destination_name)


def needs(
    world: World, requires: Requirement, say: t.Callable[[View, list[Problem]], None]
) -> t.Iterable[tuple[tuple[str | None, t.Any], list[View]]]:
    """((source, need), views of the domains that have it) pairs; the source is None where it does not matter.

    ``say`` hears of what speaks against all destinations of a domain, at most once for each domain.
    """
    owners: dict[tuple[str | None, t.Any], list[View]] = {}
    for view in world.domain_views():
        if view.silent is not None or world.silent(view.source_name or "") is not None:
            continue
        against: list[Problem] = []
        try:
            for need in requires.needs(view):
                if isinstance(need, Problem):
                    against.append(need)
                    continue
                same = owners.setdefault((view.source_name if requires.uses_source else None, need), [])
                if not same or same[-1] is not view:  # two disks may need the same
                    same.append(view)
        except NOT_EVALUATED as reason:
            against.append(not_evaluated(reason))
        if against:
            say(view, against)
    return owners.items()


def finding(check: Check, view: View, problem: Problem) -> Finding:
    """One problem of a check as the finding that leaves the room, after what the user has decided about it."""
    severity = problem.severity or check.severity
    expected = problem.expected or check.expected
    what = problem.what or check.title
    value = f"unknown, since {problem.value}" if problem.unknown else problem.value
    remedy = problem.remedy or (_UNKNOWN_REMEDY if problem.unknown else check.remedy)
    found: Finding = {
        "schema": SCHEMA,
        "check": check.id,
        "category": check.category,
        "severity": severity,
        "status": "unknown" if problem.unknown else "fail",
        "scope": check.scope,
        "domain": view.domain_name,
        "source": view.source_name,
        "destination": view.destination_name,
        "blocks": check.on_unknown == "stop" if problem.unknown else severity == "error",
        "message": _named(f"{what}: {value}; expected {expected}.", view),
        "value": _named(problem.value, view),
        "expected": _named(expected, view),
        "remedy": _named(remedy, view),
        "evidence": check.evidence,
        "edit": problem.edit,
        "decision": None,
    }
    return controls.apply(found, check, view)


def _named(text: str, view: View) -> str:
    return text.replace("{domain}", view.domain_name or "")
