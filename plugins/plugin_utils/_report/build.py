# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From plan, outcomes and findings to the report: pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    SCHEMA,
    Downtime,
    Finding,
    HostSnapshot,
    Move,
    Outcome,
    Plan,
    Proof,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.api import OFF, ON
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import short_digest

from .types import Failure, LeftOut, Report, Row, Summary

ARRIVED = ("moved", "already_there")
NOT_FAILED = (*ARRIVED, "planned")
INACTIVE = ("shutoff", "crashed")

_NO_DOWNTIME: Downtime = {"compute_ms": None, "libvirt_ms": None, "network_ms": None}
_LOOK_FIRST = (
    "do not start this domain anywhere by hand before you know where it runs: ask {source} and {destination} with"
    " 'virsh list --all', then run the evacuation again"
)
_REMEDIES = {
    "failed": "the domain still runs on {running_on}: correct the cause, then run the evacuation again",
    "refused": "nothing was changed for this domain: correct the cause, then run the evacuation again",
    "unknown": _LOOK_FIRST,
    "ended": "the guest itself has ended: see its log on {source} and {destination}, and start it where it is defined",
    "recoverable": "do not stop or resume this domain anywhere: correct the network, then run the playbook recover",
    "moved": "the domain runs on {running_on}: look there at what is named here and correct it by hand",
    "already_there": "the domain runs on {running_on}: look there at what is named here and correct it by hand",
}


def make_report(
    plan: Plan,
    outcomes: t.Sequence[Outcome] | None,
    findings: t.Sequence[Finding],
    run_id: str | None = None,
    started: int | None = None,
    finished: int | None = None,
    *,
    hosts: t.Sequence[HostSnapshot] = (),
    verified: bool = False,
    said: t.Mapping[str, str] | None = None,
) -> Report:
    """The report on one run. Proofs are read from the outcomes: see with_proofs.

    ``outcomes`` None says that nothing was tried yet: every move is reported as planned. A list, even an empty one,
    says that the run took place: a move without an outcome is then unknown, and counts as failed.
    ``verified`` says that hosts were asked after the moves: what has no proof then is not proven.
    ``said``: source -> what its task said, for moves without an outcome.
    ``started`` and ``finished`` in Unix seconds. ``hosts``, as they were before the run, tell which domains were left
    out.
    """
    results = _results(plan["moves"], outcomes, said or {})
    verified = verified or any(result["proofs"] for result in results)
    left_out = _left_out(plan, hosts)
    judged = [(result, _doubts(result, verified)) for result in results]
    explained = {_identity(reason) for stay in plan["stays"] for reason in stay["reasons"]}
    return {
        "schema": SCHEMA,
        "kind": "report",
        "run_id": run_id or default_run_id(plan),
        "plan_digest": plan["digest"],
        "tls": plan["tls"],
        "destinations": list(plan["destinations"]),
        "started": started,
        "finished": finished,
        "verified": verified,
        "summary": _summary(plan, judged, left_out, verified),
        "rows": [_row(result) for result in results],
        "stays": list(plan["stays"]),
        "left_out": left_out,
        "failures": [_failure(result, doubts) for result, doubts in judged if _troubled(result, doubts)],
        "findings": [finding for finding in findings if _identity(finding) not in explained],
    }


def with_proofs(outcomes: t.Sequence[Outcome], proofs: t.Iterable[t.Mapping[str, t.Sequence[Proof]]]) -> list[Outcome]:
    """The outcomes, each with what every host's verify returned for its domain (domain UUID -> proofs) added."""
    by_host = list(proofs)
    return [
        {**outcome, "proofs": [*outcome["proofs"], *(p for host in by_host for p in host.get(outcome["uuid"], ()))]}
        for outcome in outcomes
    ]


def problems(report: Report) -> list[str]:
    """One sentence for each domain that is not where it should be, or was not proven to be there."""
    return [
        f"Domain {failure['domain']}: {failure['state']}; {failure['cause'].rstrip('.')}. {_explained(failure)}"
        f"Remedy: {failure['remedy']}."
        for failure in report["failures"]
    ]


def _explained(failure: Failure) -> str:
    """The diagnosis in one sentence, where there is one that names a cause."""
    diagnosis = failure["diagnosis"]
    if diagnosis is None or diagnosis["cause"] is None:
        return ""
    return f"Diagnosis: {diagnosis['cause']}. What to do: {diagnosis['advice']}. "


def default_run_id(plan: Plan) -> str:
    """The same plan always gets the same id, so that a report written twice is the same file."""
    return f"plan-{short_digest(plan['digest'])}"


def _results(moves: t.Sequence[Move], outcomes: t.Sequence[Outcome] | None, said: t.Mapping[str, str]) -> list[Outcome]:
    """Every outcome in the plan's order, one made up for each move that has none, then outcomes of no move."""
    by_uuid: dict[str, list[Outcome]] = {}
    for outcome in outcomes or ():
        by_uuid.setdefault(outcome["uuid"], []).append(outcome)
    results: list[Outcome] = []
    for move in moves:
        results += by_uuid.pop(move["uuid"], []) or [
            _without_outcome(move, tried=outcomes is not None, said=said.get(move["source"], ""))
        ]
    return [*results, *(outcome for rest in by_uuid.values() for outcome in rest)]


def _without_outcome(move: Move, *, tried: bool, said: str) -> Outcome:
    missing = f"{move['source']} did not say what became of this domain: its task failed or was killed"
    missing += f" ({said})" if said else ""
    ceiling_ms = (move.get("profile") or {}).get("ceiling_ms")
    promised = tried and ceiling_ms is not None
    return {
        "schema": SCHEMA,
        "kind": "outcome",
        "domain": move["domain"],
        "uuid": move["uuid"],
        "source": move["source"],
        "destination": move["destination"],
        "state": "unknown" if tried else "planned",
        "running_on": None if tried else move["source"],
        "error": missing if tried else None,
        "downtime": _NO_DOWNTIME,
        "total_ms": None,
        "bytes": None,
        "iterations": None,
        "ceiling_ms": ceiling_ms,
        "breach": f"{move['source']} did not say how long it was paused" if promised else None,
        "forecast": move.get("forecast"),
        "samples": [],
        "decisions": [],
        "convergence": None,
        "phases": [],
        "proofs": [],
        "logs": [],
        "diagnosis": None,
    }


def _left_out(plan: Plan, hosts: t.Iterable[HostSnapshot]) -> list[LeftOut]:
    planned = {entry["uuid"] for entry in (*plan["moves"], *plan["stays"])}
    return [
        {"domain": domain["name"], "uuid": domain["uuid"], "source": host["name"]}
        for host in hosts
        if host["name"] in plan["sources"]
        for domain in host.get("domains", ())
        if domain["active"] and domain["uuid"] not in planned
    ]


def _identity(finding: Finding) -> str:
    return json.dumps(finding, sort_keys=True)


def _row(result: Outcome) -> Row:
    return {
        "domain": result["domain"],
        "uuid": result["uuid"],
        "source": result["source"],
        "destination": result["destination"],
        "state": result["state"],
        "running_on": result["running_on"],
        "downtime": result["downtime"],
        "total_ms": result["total_ms"],
        "bytes": result["bytes"],
        "iterations": result["iterations"],
        # What an earlier version wrote has none of these.
        "ceiling_ms": result.get("ceiling_ms"),
        "breach": result.get("breach"),
        "forecast": result.get("forecast"),
        "decisions": [decision for decision in result.get("decisions", []) if decision["action"] != "continue"],
        "vf_off_ms": _vf_off_ms(result),
    }


def _vf_off_ms(result: Outcome) -> int | None:
    """From the first function that was taken off until each has one again; None where none was, or one is missing."""
    off, on = ([phase["at_ms"] for phase in result["phases"] if phase["name"] == name] for name in (OFF, ON))
    return max(on) - min(off) if off and len(on) >= len(off) else None


def _doubts(result: Outcome, verified: bool) -> list[Proof]:
    """What speaks against an arrival: proofs that failed, and hosts that gave none although the run was verified.

    For a domain that did not arrive there is nothing to prove: its state says what is known.
    """
    if result["state"] not in ARRIVED:
        return []
    failed = [proof for proof in result["proofs"] if not proof["ok"]]
    heard = {proof["host"] for proof in result["proofs"]}
    silent = [host for host in (result["source"], result["destination"]) if verified and host not in heard]
    return [*failed, *(_silence(host) for host in silent)]


def _silence(host: str) -> Proof:
    return {"check": "verified", "host": host, "ok": False, "message": "did not say what it sees of this domain"}


def _troubled(result: Outcome, doubts: t.Sequence[Proof]) -> bool:
    """A domain that did not arrive, or arrived with an error or a doubt."""
    return result["state"] not in NOT_FAILED or bool(result["error"]) or bool(doubts)


def _failure(result: Outcome, doubts: list[Proof]) -> Failure:
    texts = [result["error"], *(f"{proof['host']}: {proof['check']}: {proof['message']}" for proof in doubts)]
    phases = result["phases"]
    proven = result["running_on"] is not None or result["state"] == "refused"
    remedy = _REMEDIES.get(result["state"], _LOOK_FIRST) if proven else _LOOK_FIRST
    return {
        "domain": result["domain"],
        "uuid": result["uuid"],
        "source": result["source"],
        "destination": result["destination"],
        "state": result["state"],
        "running_on": result["running_on"],
        "cause": "; ".join(text for text in texts if text) or "no cause was reported",
        "remedy": remedy.format(**{key: result[key] for key in ("source", "destination", "running_on")}),
        "last_phase": phases[-1]["name"] if phases else None,
        "proofs": doubts,
        "diagnosis": result.get("diagnosis"),
    }


def _summary(
    plan: Plan, judged: t.Sequence[tuple[Outcome, list[Proof]]], left_out: t.Sequence[LeftOut], verified: bool
) -> Summary:
    states = [result["state"] for result, _doubts in judged]
    occupied = {entry["source"] for entry in left_out} | {
        stay["source"] for stay in plan["stays"] if stay["state"] not in INACTIVE
    }
    arrived = [(result, doubts) for result, doubts in judged if result["state"] in ARRIVED]
    return {
        "planned": states.count("planned"),
        "moved": len(arrived),
        "unproven": sum(not verified or _troubled(result, doubts) for result, doubts in arrived),
        "breached": sum(result.get("breach") is not None for result, _doubts in judged),
        "stayed": len(plan["stays"]),
        "failed": sum(state not in NOT_FAILED for state in states),
        "hosts_emptied": {
            host: host not in occupied
            and all(_left(result, doubts, host) for result, doubts in judged if result["source"] == host)
            for host in plan["sources"]
        },
    }


def _left(result: Outcome, doubts: t.Sequence[Proof], host: str) -> bool:
    """It runs elsewhere, and nothing that verify saw on ``host`` speaks against it."""
    elsewhere = result["state"] in ARRIVED and result["running_on"] not in (None, host)
    return elsewhere and not any(proof["host"] == host for proof in doubts)
