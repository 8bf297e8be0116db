# SPDX-License-Identifier: GPL-3.0-or-later

"""Small fleets for the audit's tests: made ones, and one of the recorded guests of tests/unit/preflight."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api as preflight
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import Problem, judge
from ansible_collections.livemig.libvirt.plugins.plugin_utils._audit import api
from tests.unit.plan.fleet import against, domain, host
from tests.unit.preflight.scene import RECORDED

HOSTS = ("hv1", "hv2", "hv3")
HOSTILE = "<script>alert(1)</script>"

__all__ = ["HOSTILE", "HOSTS", "against", "audit", "domain", "host", "of", "pair", "recorded", "told"]


def pair(name: str, destination: str, value: str, check: str = "net_bridge_exists", on: str = "hv1") -> t.Any:
    """A finding about a domain and a destination, of a check that blocks."""
    return judge(check, domain(name, on=on), destination, Problem("Network of domain {domain}", value))


def audit(
    domains: t.Sequence[t.Any],
    findings: t.Sequence[t.Any] = (),
    previous: t.Any = None,
    hosts: t.Sequence[str] = HOSTS,
    silent: t.Mapping[str, str] | None = None,
    **options: t.Any,
) -> api.Audit:
    """The audit of domains on hosts with much memory; ``silent``: hosts that do not answer, with the reason."""
    silent = silent or {}
    reasons: list[t.Any] = [
        {**against("host_daemon_alive", destination=name), "message": f"Host {name}: {why}", "source": None}
        for name, why in silent.items()
    ]
    snapshots: list[t.Any] = [
        {**host(name, 1 << 18), "domains": known(domains, name)} for name in hosts if name not in silent
    ]
    observed = api.Observed(list(hosts), snapshots, domains, [*findings, *reasons], silent)
    return api.make_audit(observed, previous, **options)


def known(domains: t.Iterable[t.Any], on: str) -> list[t.Any]:
    return [
        {"name": entry["name"], "uuid": entry["uuid"], "active": entry["state"] not in preflight.INACTIVE}
        for entry in domains
        if entry["host"] == on
    ]


def of(made: api.Audit, name: str) -> t.Any:
    """The domain of that name in an audit."""
    return next(entry for entry in made["domains"] if entry["name"] == name)


def told(differences: t.Iterable[t.Any]) -> list[tuple[str, list[str], list[str]]]:
    return [(entry["what"], entry["domains"], entry["destinations"]) for entry in differences]


def recorded() -> api.Audit:
    """hv1 and hv2 of the lab with web1, media1 and scratch, of which the last has a disk and a bridge of its own."""
    data = json.loads(json.dumps(RECORDED))
    names = [entry["name"] for entry in data["hosts"]]
    policy = {"tls": "required", "uris": data["uris"]}
    found = preflight.findings(data["hosts"], data["domains"], names, data["answers"], policy)
    return api.make_audit(api.Observed(names, data["hosts"], data["domains"], found, {}))
