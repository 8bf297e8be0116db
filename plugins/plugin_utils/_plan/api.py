# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan: place the domains of the hosts to empty. Pure, controller only. The public face of the room.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    SCHEMA,
    DomainSnapshot,
    Finding,
    HostSnapshot,
    LivemigError,
    Plan,
    UnknownFact,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import Policy, choose

from .place import DEFAULT_RESERVE_MIB, Chosen, Reasons, each_alone, place, rooms
from .promise import mislabelled, promise, with_gap
from .stays import reworded, stay_lines
from .text import short_digest, table

__all__ = [
    "DEFAULT_RESERVE_MIB",
    "Reasons",
    "digest",
    "make_plan",
    "reasons",
    "reworded",
    "short_digest",
    "stay_lines",
    "table",
]


def make_plan(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    findings: t.Sequence[Finding],
    sources: t.Sequence[str],
    destinations: t.Sequence[str],
    policy: Policy,
) -> Plan:
    """Who goes where. Domains of other hosts than ``sources`` are left out; each of the rest moves or stays.

    policy: ``tls``, ``uris``, ``addresses``, ``networks``, ``migration``, ``memory_reserve_mib``, ``convergence`` (as
    _options makes it), ``history`` (what earlier runs on all hosts have shown) and ``answers`` (the hosts', to
    preflight). Raises LivemigError where nobody could move anywhere, or where the way to a destination that is used is
    not given.
    """
    if not destinations:
        raise LivemigError(
            "Destinations",
            value="none",
            expected="one or more hosts that may take domains",
            remedy="name them in destinations",
        )
    chosen = [domain for domain in domains if domain["host"] in sources]
    reserve = policy.get("memory_reserve_mib", DEFAULT_RESERVE_MIB)
    by_name = {host["name"]: host for host in hosts}

    def way(domain: DomainSnapshot, destination: str) -> Chosen:
        source, there = (by_name.get(name, _unseen(name)) for name in (domain["host"], destination))
        try:
            found = choose(domain, source, there, policy)
        except UnknownFact as reason:
            raise LivemigError(
                f"Way of domain {domain['name']}",
                value=str(reason),
                expected="facts that say what is to be copied",
                remedy="observe the domain again, or plan without copy_storage",
            ) from reason
        promised = promise(domain, source, there, found, policy)
        return with_gap(found, promised[1], domain, source, there, policy), promised

    findings = [*findings, *mislabelled(chosen, policy)]
    moves, stays = place(chosen, rooms(hosts, destinations, reserve, policy), findings, policy, way)
    plan: Plan = {
        "schema": SCHEMA,
        "kind": "plan",
        "digest": "",
        "tls": policy.get("tls", "required"),
        "sources": list(sources),
        "destinations": list(destinations),
        "moves": moves,
        "stays": stays,
    }
    return {**plan, "digest": digest(plan)}


def _unseen(name: str) -> HostSnapshot:
    return {"name": name}


def reasons(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    findings: t.Sequence[Finding],
    destinations: t.Sequence[str],
    memory_reserve_mib: int = DEFAULT_RESERVE_MIB,
) -> t.Iterator[tuple[DomainSnapshot, Reasons]]:
    """For every domain what speaks against each destination, as if it alone were to move: findings and capacity."""
    return each_alone(domains, rooms(hosts, destinations, memory_reserve_mib, {}), findings)


def digest(plan: Plan) -> str:
    """SHA-256 of the plan as canonical JSON (keys sorted, no spaces) without its digest."""
    rest = {key: value for key, value in plan.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
