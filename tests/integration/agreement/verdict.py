# SPDX-License-Identifier: GPL-3.0-or-later
"""Our verdict about a case's guest: what the product says before anything is tried. Pure, so it can be given anew."""

from __future__ import annotations

from typing import Any

from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api as plans
from tests.firing.stage import Seen
from tests.lab.hosts import BY_NAME

_KEPT = ("check", "status", "severity")


def cut(seen: Seen, guest: str) -> Seen:
    """What was seen, with no other domain but the guest."""
    domains = [entry for entry in seen.domains if entry["name"] == guest]
    return Seen(seen.hosts, domains, seen.answers, seen.policy)


def verdict(seen: Seen, guest: str, source: str, destination: str) -> dict[str, Any]:
    """{"refused", "reasons": what rules the move out, "others": what was found besides}, as the plan has it."""
    addresses = {name: BY_NAME[name].address for name in (source, destination)}
    policy = {"addresses": addresses, "uris": {}, **seen.policy}
    findings = [entry for entry in seen.findings() if entry["domain"] in (None, guest)]
    silent = seen.policy.get("unreachable", {})
    domains = [entry for entry in seen.domains if entry["name"] == guest]
    plan = plans.make_plan(seen.hosts, domains, findings, [source], [destination], policy)
    reasons = [reason for stay in plan["stays"] for reason in stay["reasons"]]
    # A host that takes part and does not answer stops the run, whatever else was found.
    reasons += [entry for entry in findings if entry["blocks"] and silent and entry not in reasons]
    others = [entry for entry in findings if entry not in reasons]
    return {
        "refused": len(plan["moves"]) != 1 or bool(silent),
        "reasons": [{**_short(entry), "message": entry["message"]} for entry in reasons],
        "others": [_short(entry) for entry in others],
    }


def _short(finding: Any) -> dict[str, Any]:
    return {key: finding[key] for key in _KEPT}
