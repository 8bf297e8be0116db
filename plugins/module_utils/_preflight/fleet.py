# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can only be seen over all hosts and domains together, found once and looked up by every check.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import DomainSnapshot, Facts, UnknownFact


class Fleet:
    """Indexes over everything that was observed, each made when it is first asked for."""

    def __init__(
        self, hosts: t.Mapping[str, Facts] | None = None, domains: t.Sequence[DomainSnapshot] | None = None
    ) -> None:
        self.hosts = hosts or {}
        self.domains = domains or ()
        self._made: dict[str, t.Any] = {}

    def index(self, name: str, make: t.Callable[[Fleet], t.Any]) -> t.Any:
        """What ``make`` finds in this fleet; it is called once for each name."""
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    def known_at(self, host: str, key: str) -> t.Mapping[str, t.Mapping[str, t.Any]]:
        """The domains that ``host`` knows, by their ``name`` or ``uuid``. Raises UnknownFact."""

        def make(fleet: Fleet) -> t.Any:
            return {domain[key]: domain for domain in fleet.hosts[host].get("domains")}

        found: t.Mapping[str, t.Mapping[str, t.Any]] = self.index(f"domains of {host} by {key}", make)
        return found

    def active(self, uuid: str) -> list[str]:
        """Names of the hosts on which a domain with this UUID is active, sorted; of those whose domains are known."""
        found: dict[str, list[str]] = self.index("hosts by active UUID", _active)
        return found.get(uuid, [])

    def unknown_domains(self) -> dict[str, str]:
        """Host name -> why it is not known which domains it has."""
        found: dict[str, str] = self.index("hosts without domains", _unknown_domains)
        return found


def _active(fleet: Fleet) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(set(fleet.hosts) - set(fleet.unknown_domains())):
        for domain in fleet.hosts[name].get("domains"):
            if domain["active"]:
                found.setdefault(domain["uuid"], []).append(name)
    return found


def _unknown_domains(fleet: Fleet) -> dict[str, str]:
    found = {}
    for name, host in sorted(fleet.hosts.items()):
        try:
            host.get("domains")
        except UnknownFact as reason:
            found[name] = str(reason)
    return found
