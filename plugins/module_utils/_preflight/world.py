# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that was observed, asked and decided, and the views of it that checks are evaluated on.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import Answers, DomainSnapshot, Facts, HostSnapshot
from .check import Policy, View
from .fleet import Fleet

INACTIVE = frozenset(("shutoff", "crashed"))
"""States in which no process of the guest could be moved."""

_NO_SNAPSHOT = "no snapshot of it came"


class World:
    """The hosts by name, the domains to be judged, the hosts that may take them, the answers, and the policy."""

    def __init__(
        self,
        hosts: t.Mapping[str, HostSnapshot],
        domains: t.Sequence[DomainSnapshot],
        destinations: t.Sequence[str],
        answers: Answers,
        policy: Policy,
    ) -> None:
        self.hosts, self.domains, self.policy = hosts, domains, policy
        self.destinations = sorted(set(destinations))
        self._answers = answers
        self._facts = {
            name: Facts(f"host {name}", t.cast("dict[str, t.Any]", snapshot)) for name, snapshot in hosts.items()
        }
        self._fleet = Fleet(self._facts, domains)
        self._views: list[View] | None = None
        self._giving: set[str | None] | None = None
        self._between: dict[str | None, list[View]] = {}

    def facts(self, host: str) -> Facts:
        return self._facts.get(host) or Facts(f"host {host}", {})

    def silent(self, host: str) -> str | None:
        """Why nothing is known of the host, or None."""
        if host in self.hosts:
            return None
        return str(self.policy.get("unreachable", {}).get(host, _NO_SNAPSHOT))

    def sources(self) -> list[str]:
        """Hosts that would give domains away; of a silent host that is no destination nothing else could be meant."""
        silent = set(self.policy.get("unreachable", {})) - set(self.destinations) - set(self.hosts)
        return sorted({domain["host"] for domain in self.domains} | silent)

    def gives(self, source: str | None) -> bool:
        """Whether a domain that runs on this host is to be judged."""
        if self._giving is None:
            self._giving = {view.source_name for view in self.domain_views() if view.silent is None}
        return source in self._giving

    def view(self, **parts: t.Any) -> View:
        return View(self.policy, self._answers, fleet=self._fleet, **parts)

    def host_views(self) -> t.Iterator[View]:
        """A host that is both gets a view for each role, since its findings rule out other moves."""
        for role, names in (("source", self.sources()), ("destination", self.destinations)):
            for name in names:
                named = {f"{role}_name": name, "role": role, "silent": self.silent(name)}
                yield self.view(facts={"host": self.facts(name)}, **named)

    def link_views(self) -> t.Iterator[View]:
        for source in self.sources():
            for view in self.destination_views(source):
                if view.destination_name != source:
                    yield view

    def destination_views(self, source: str | None) -> list[View]:
        """A view of each destination, as seen from a source or, without one, from anywhere."""
        if source not in self._between:
            self._between[source] = [self.between(source, name) for name in self.destinations]
        return self._between[source]

    def between(self, source: str | None, destination: str) -> View:
        facts = {"destination": self.facts(destination)}
        silent = self.silent(destination)
        if source is not None:
            facts["source"] = self.facts(source)
            silent = self.silent(source) or silent
        return self.view(source_name=source, destination_name=destination, silent=silent, facts=facts)

    def domain_views(self) -> list[View]:
        if self._views is None:
            self._views = [self._domain_view(domain) for domain in self.domains]
        return self._views

    def _domain_view(self, domain: DomainSnapshot) -> View:
        state = domain.get("state")
        goes = state == "shutoff" and self.policy.get("migration", {}).get("offline", False)
        return self.view(
            domain_name=domain["name"],
            source_name=domain["host"],
            silent=f"it is {state}" if state in INACTIVE and not goes else None,
            facts={
                "domain": Facts(f"domain {domain['name']}", t.cast("dict[str, t.Any]", domain)),
                "source": self.facts(domain["host"]),
            },
        )
