# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From snapshots and findings to the audit. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    SCHEMA,
    DomainSnapshot,
    Finding,
    HostSnapshot,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import INACTIVE
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api as plans

from .changes import single_changes
from .compare import since
from .obstacles import Catalogue, hidden
from .types import Audit, AuditDomain, AuditHost, AuditSummary, Note, Obstacle, Since, StoppedDomain, WayOut


class Observed(t.NamedTuple):
    """What an audit is made of. ``names``: all hosts; ``unreachable``: those that do not answer, and why."""

    names: t.Sequence[str]
    hosts: t.Sequence[HostSnapshot]
    domains: t.Sequence[DomainSnapshot]
    findings: t.Sequence[Finding]
    unreachable: t.Mapping[str, str]


def make_audit(
    observed: Observed,
    previous: Audit | None = None,
    *,
    memory_reserve_mib: int = plans.DEFAULT_RESERVE_MIB,
    started: int | None = None,
    finished: int | None = None,
) -> Audit:
    """Every active domain against every other host, each as if it alone were to move; and what that comes to."""
    catalogue = Catalogue()
    active = [domain for domain in observed.domains if domain.get("state") not in INACTIVE]
    twins = _places(observed)
    judged = plans.reasons(observed.hosts, active, observed.findings, observed.names, memory_reserve_mib)
    domains = [_domain(domain, reasons, catalogue, twins) for domain, reasons in judged]
    obstacles = catalogue.all()
    for domain in domains:
        domain["way_out"] = _way_out(domain, obstacles) if domain["trapped"] else None
    domains.sort(key=lambda domain: (domain["host"], domain["name"]))
    stopped = _stopped(observed.domains)
    audit: Audit = {
        "schema": SCHEMA,
        "kind": "audit",
        "started": started,
        "finished": finished,
        "memory_reserve_mib": memory_reserve_mib,
        "summary": t.cast(AuditSummary, {}),
        "hosts": [_host(name, observed, domains, stopped) for name in dict.fromkeys(observed.names)],
        "domains": domains,
        "stopped": stopped,
        "obstacles": obstacles,
        "changes": single_changes(domains, obstacles),
        "notes": _notes(observed.findings),
        "since": None,
    }
    compared = _compared(previous, audit)
    return {**audit, "summary": _summary(audit, compared), "since": compared}


def _compared(previous: Audit | None, audit: Audit) -> Since | None:
    """The same audit made again keeps what it was compared with; only a time tells it from one on the next day."""
    if previous is None:
        return None
    own = [key for key in audit if key not in ("summary", "since")]
    if audit["finished"] is not None and all(previous.get(key) == dict(audit)[key] for key in own):
        return previous["since"]
    return since(previous, audit)


def _domain(
    domain: DomainSnapshot, reasons: plans.Reasons, catalogue: Catalogue, places: t.Mapping[str, list[str]]
) -> AuditDomain:
    everywhere = _numbers(reasons.everywhere, catalogue)
    at = {host: _numbers(found, catalogue) for host, found in reasons.at.items()}
    destinations = [] if everywhere else [host for host, found in at.items() if not found]
    return {
        "name": domain["name"],
        "uuid": domain["uuid"],
        "host": domain["host"],
        "state": domain.get("state", "unknown"),
        "memory_mib": domain.get("memory_mib"),
        "trapped": not destinations,
        "twins": [host for host in places.get(domain["uuid"], ()) if host != domain["host"]],
        "destinations": destinations,
        "everywhere": everywhere,
        "blocked": {host: found for host, found in at.items() if everywhere or found},
        "way_out": None,
    }


def _numbers(findings: t.Iterable[Finding], catalogue: Catalogue) -> list[int]:
    return list(dict.fromkeys(catalogue.number(finding) for finding in findings))


def _places(observed: Observed) -> dict[str, list[str]]:
    """UUID -> the hosts on which a domain with it is active."""
    found: dict[str, set[str]] = {}
    for host in observed.hosts:
        for known in host.get("domains", ()):
            if known["active"]:
                found.setdefault(known["uuid"], set()).add(host["name"])
    for domain in observed.domains:
        if domain.get("state") not in INACTIVE:
            found.setdefault(domain["uuid"], set()).add(domain["host"])
    return {uuid: sorted(hosts) for uuid, hosts in found.items()}


def _way_out(domain: AuditDomain, obstacles: t.Sequence[Obstacle]) -> WayOut | None:
    """The fewest obstacles; of equally many the ones that were seen and not only could not be looked at."""

    def cost(entry: tuple[str, list[int]]) -> tuple[int, int]:
        numbers = [*domain["everywhere"], *entry[1]]
        return len(numbers), sum(hidden(obstacles[number]) for number in numbers)

    if not domain["blocked"]:
        return None
    destination, numbers = min(domain["blocked"].items(), key=cost)
    return {"destination": destination, "obstacles": [*domain["everywhere"], *numbers]}


def _stopped(domains: t.Iterable[DomainSnapshot]) -> list[StoppedDomain]:
    found: list[StoppedDomain] = [
        {"name": domain["name"], "uuid": domain["uuid"], "host": domain["host"], "state": domain["state"]}
        for domain in domains
        if domain.get("state") in INACTIVE
    ]
    return sorted(found, key=lambda domain: (domain["host"], domain["name"]))


def _host(
    name: str, observed: Observed, domains: t.Sequence[AuditDomain], stopped: t.Sequence[StoppedDomain]
) -> AuditHost:
    snapshot: HostSnapshot | None = next((host for host in observed.hosts if host["name"] == name), None)
    here = [domain for domain in domains if domain["host"] == name]
    silent = snapshot is None
    memory = None if snapshot is None else snapshot.get("memory")
    return {
        "name": name,
        "reason": observed.unreachable.get(name, "no snapshot of it came") if silent else None,
        "available_mib": None if memory is None else memory["available_mib"],
        "domains": None if silent else len(here),
        "stopped": None if silent else sum(domain["host"] == name for domain in stopped),
        "trapped": [domain["name"] for domain in here if domain["trapped"]],
    }


def _notes(findings: t.Iterable[Finding]) -> list[Note]:
    """What rules nothing out, check by check: errors first is not possible here, so warnings are."""
    found: dict[tuple[str, str, str], Note] = {}
    for finding in findings:
        if finding["blocks"]:
            continue
        key = finding["check"], finding["severity"], finding["status"]
        if key not in found:
            found[key] = {
                "check": finding["check"],
                "severity": finding["severity"],
                "status": finding["status"],
                "message": finding["message"],
                "remedy": finding["remedy"],
                "count": 0,
                "domains": [],
                "hosts": [],
            }
        note = found[key]
        note["count"] += 1
        _add(note["domains"], finding["domain"])
        _add(note["hosts"], finding["destination"] or finding["source"])
    order = ("error", "warning", "info")
    return sorted(found.values(), key=lambda note: (order.index(note["severity"]), -note["count"], note["check"]))


def _add(names: list[str], name: str | None) -> None:
    if name is not None and name not in names:
        names.append(name)


def _summary(audit: Audit, compared: Since | None) -> AuditSummary:
    domains = audit["domains"]
    return {
        "hosts": len(audit["hosts"]),
        "silent": sum(host["reason"] is not None for host in audit["hosts"]),
        "domains": len(domains),
        "movable": sum(not domain["trapped"] for domain in domains),
        "trapped": sum(domain["trapped"] for domain in domains),
        "stopped": len(audit["stopped"]),
        "twice": len({domain["uuid"] for domain in domains if domain["twins"]}),
        "ways": sum(len(domain["destinations"]) + len(domain["blocked"]) for domain in domains),
        "open": sum(len(domain["destinations"]) for domain in domains),
        "worse": None if compared is None else len(compared["worse"]),
        "better": None if compared is None else len(compared["better"]),
    }
