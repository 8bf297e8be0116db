# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluating checks: every check over every view of its scope, and what comes out as findings.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._model.api import SCHEMA, Answers, DomainSnapshot, Facts, Finding, HostSnapshot, UnknownFact
from .check import Check, Policy, Problem, View, unknown
from .questions import INACTIVE

_SCOPES = ("host", "link", "domain", "pair")
_NO_SNAPSHOT = "no snapshot of it came"
_UNKNOWN_REMEDY = "remove the cause that is named here, observe the hosts again and evaluate once more"


@dataclass(frozen=True)
class World:
    """Everything that was observed, asked and decided."""

    hosts: t.Mapping[str, HostSnapshot]
    domains: t.Sequence[DomainSnapshot]
    destinations: t.Sequence[str]
    answers: Answers
    policy: Policy

    def facts(self, host: str) -> Facts:
        return Facts(f"host {host}", t.cast("dict[str, t.Any]", self.hosts.get(host, {})))

    def silent(self, host: str) -> str | None:
        """Why nothing is known of the host, or None."""
        if host in self.hosts:
            return None
        return str(self.policy.get("unreachable", {}).get(host, _NO_SNAPSHOT))

    def sources(self) -> list[str]:
        """Hosts that would give domains away; of a silent host that is no destination nothing else could be meant."""
        silent = set(self.policy.get("unreachable", {})) - set(self.destinations) - set(self.hosts)
        return sorted({domain["host"] for domain in self.domains} | silent)


def evaluate(world: World, checks: t.Sequence[Check]) -> list[Finding]:
    """What did not pass, in an order that depends on nothing but the names."""
    found: list[tuple[tuple[t.Any, ...], Finding]] = []
    for scope in _SCOPES:
        rows = [(index, check) for index, check in enumerate(checks) if check.scope == scope]
        for view in _VIEWS[scope](world):
            for index, check in rows:
                if view.silent is None or check.first:
                    for number, problem in enumerate(_problems(check, view)):
                        where = (view.domain_name or "", view.source_name or "", view.destination_name or "")
                        found.append(((_SCOPES.index(scope), *where, index, number), finding(check, view, problem)))
    return [entry for _key, entry in sorted(found, key=lambda pair: pair[0])]


def _problems(check: Check, view: View) -> t.Iterator[Problem]:
    try:
        yield from check.evaluate(view)
    except UnknownFact as reason:
        yield unknown(reason)


def finding(check: Check, view: View, problem: Problem) -> Finding:
    """One problem of a check as the finding that leaves the room."""
    severity = problem.severity or check.severity
    expected = problem.expected or check.expected
    what = problem.what or check.title
    value = f"unknown, since {problem.value}" if problem.unknown else problem.value
    return {
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
        "message": f"{what}: {value}; expected {expected}.",
        "value": problem.value,
        "expected": expected,
        "remedy": problem.remedy or (_UNKNOWN_REMEDY if problem.unknown else check.remedy),
        "evidence": check.evidence,
    }


def _hosts(world: World) -> t.Iterator[View]:
    """A host that is both gets a view for each role, since its findings rule out other moves."""
    for role, names in (("source", world.sources()), ("destination", sorted(set(world.destinations)))):
        for name in names:
            view = View(world.policy, world.answers, role=role, silent=world.silent(name))
            named = replace(view, source_name=name) if role == "source" else replace(view, destination_name=name)
            yield replace(named, facts={"host": world.facts(name)})


def _links(world: World) -> t.Iterator[View]:
    for source in world.sources():
        for destination in sorted(set(world.destinations) - {source}):
            yield View(
                world.policy,
                world.answers,
                source_name=source,
                destination_name=destination,
                silent=world.silent(source) or world.silent(destination),
                facts={"source": world.facts(source), "destination": world.facts(destination)},
            )


def _domains(world: World) -> t.Iterator[View]:
    for domain in world.domains:
        state = domain.get("state")
        yield View(
            world.policy,
            world.answers,
            domain_name=domain["name"],
            source_name=domain["host"],
            silent=f"it is {state}" if state in INACTIVE else None,
            facts={
                "domain": Facts(f"domain {domain['name']}", t.cast("dict[str, t.Any]", domain)),
                "source": world.facts(domain["host"]),
            },
            others={name: world.facts(name) for name in sorted(set(world.hosts) - {domain["host"]})},
        )


def _pairs(world: World) -> t.Iterator[View]:
    for view in _domains(world):
        for name in sorted(set(world.destinations) - {view.source_name}):
            silent = view.silent or world.silent(view.source_name or "") or world.silent(name)
            facts = {**view.facts, "destination": world.facts(name)}
            yield replace(view, destination_name=name, silent=silent, facts=facts)


_VIEWS: dict[str, t.Callable[[World], t.Iterator[View]]] = {
    "host": _hosts,
    "link": _links,
    "domain": _domains,
    "pair": _pairs,
}
