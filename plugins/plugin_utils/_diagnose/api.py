# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnose: who failed first, why, and what an administrator does about it. The public face of the package.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Diagnosis, HostLog, Match, Outcome

from .classify import Seen, decisive, evidence, tells, who_failed_first
from .row import Row
from .rows import ROWS, recognised
from .text import paragraph

UNCERTAINTY_MS = 1000
"""How well the clocks of two hosts with NTP agree; nothing is concluded from less."""
_MATCHES = 20
_NOT_DIAGNOSED = ("moved", "already_there", "planned")

__all__ = ["ROWS", "UNCERTAINTY_MS", "Row", "diagnose", "recognised", "with_diagnoses", "with_logs"]


def with_logs(outcomes: t.Iterable[Outcome], logs: t.Sequence[t.Mapping[str, HostLog]]) -> list[Outcome]:
    """The outcomes, each with what every host's verify returned for its domain (domain UUID -> log) added."""
    return [
        {
            **outcome,
            "logs": [*outcome.get("logs", ()), *(host[outcome["uuid"]] for host in logs if outcome["uuid"] in host)],
        }
        for outcome in outcomes
    ]


def with_diagnoses(outcomes: t.Iterable[Outcome], skew_ms: int = 0) -> list[Outcome]:
    """The outcomes, each that did not end well with its diagnosis.

    What was refused says itself why, unless it quotes a message that is known.
    """
    return [{**outcome, "diagnosis": _for(outcome, skew_ms)} for outcome in outcomes]


def _for(outcome: Outcome, skew_ms: int) -> Diagnosis | None:
    if outcome["state"] in _NOT_DIAGNOSED:
        return None
    made = diagnose(outcome, skew_ms=skew_ms)
    return None if outcome["state"] == "refused" and made["id"] is None else made


def diagnose(outcome: Outcome, *, skew_ms: int = 0, uncertainty_ms: int = UNCERTAINTY_MS) -> Diagnosis:
    """Why the migration failed, from its error and both hosts' logs. Raises nothing.

    ``skew_ms``: how far the destination's clock is ahead of the source's; ``uncertainty_ms``: how exactly that is
    known.
    """
    sides = {outcome["source"]: "source", outcome["destination"]: "destination"}
    logs = {sides[log["host"]]: log for log in outcome.get("logs", ()) if log["host"] in sides}
    found = evidence(outcome["error"], logs, skew_ms)
    counted = decisive(found.seen)
    first = counted[0] if counted else None
    cause = first.row if first is not None and tells(first.row) else None
    who = who_failed_first(found, uncertainty_ms)
    retry = _retry(outcome, first)
    return {
        "id": None if cause is None else cause.id,
        "cause": None if cause is None else cause.cause,
        "who_failed_first": who,
        "advice": None if first is None else first.row.advice,
        "retry": retry,
        "matched": [_match(one) for one in (counted + [one for one in found.seen if one not in counted])[:_MATCHES]],
        "paragraph": paragraph(outcome, first, who, retry),
    }


def _retry(outcome: Outcome, first: Seen | None) -> str:
    if outcome["state"] == "unknown":
        return "resolve_first"
    if first is not None and first.row.retry == "resume":
        return "resume"
    return "unknown" if first is None or first.row.retry == "depends" or not tells(first.row) else first.row.retry


def _match(one: Seen) -> Match:
    return {"id": one.row.id, "side": one.side, "line": one.line, "role": one.row.role}
