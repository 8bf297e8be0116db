# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: judge every domain against every destination. Pure: no libvirt, no files, no clock. The public face.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import SCHEMA, Answers, DomainSnapshot, Finding, HostSnapshot, LivemigError, Question, Way
from . import controls, edits, engine
from . import questions as asking
from .check import AUTO, MIGRATION, Check, Policy, Problem, View
from .controls import label_words
from .functions import Offer
from .memory import Share, pages_at, required_memory_mib, required_pages
from .profile import profile_of
from .registry import CHECKS, registry
from .way import choose, gap_ms, is_movable, judged_as, offers, stall_ms, tcp_uri
from .world import INACTIVE, World

__all__ = [
    "AUTO",
    "CHECKS",
    "INACTIVE",
    "MIGRATION",
    "Check",
    "Offer",
    "Policy",
    "Problem",
    "Share",
    "choose",
    "edit_text",
    "findings",
    "gap_ms",
    "is_movable",
    "judge",
    "judged_as",
    "label_words",
    "matching_controls",
    "offers",
    "pages_at",
    "postcopy_obstacles",
    "profile_of",
    "questions",
    "registry",
    "require_snapshots",
    "required_memory_mib",
    "required_pages",
    "stall_ms",
    "tcp_uri",
    "volatile_findings",
]

edit_text = edits.text
matching_controls = controls.matching


def findings(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[str],
    answers: Answers,
    policy: Policy,
) -> list[Finding]:
    """What did not pass: failed, or could not be evaluated. The order depends on nothing but the names.

    A domain is judged against every destination but its own host. Of a host without a snapshot, and of a domain that
    does not run, the finding says just that, and it rules the moves out.
    """
    return engine.evaluate(_world(hosts, domains, destinations, answers, policy), CHECKS)


def questions(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[str],
    policy: Policy,
) -> dict[str, list[Question]]:
    """Host name -> what it must be asked, each thing once, sorted by key."""
    return asking.questions(_world(hosts, domains, destinations, {}, policy), CHECKS)


def volatile_findings(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[str],
    answers: Answers,
    policy: Policy,
) -> list[Finding]:
    """The same for the checks whose facts can have changed since the plan was made.

    They need no answers, and of the hosts nothing but what a libvirt connection tells.
    """
    world = _world(hosts, domains, destinations, answers, policy)
    return engine.evaluate(world, [check for check in CHECKS if check.volatile])


def postcopy_obstacles(
    domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, way: Way, policy: Policy
) -> list[str]:
    """Why post-copy would not be safe on this way: what failed, and what could not be evaluated. What the user has
    silenced is none."""
    migration = {**policy.get("migration", {}), "postcopy": True, "parallel": way["parallel"]}
    if way["vf"] != "none":
        migration["vf"] = way["vf"]
    world = _world([source, destination], [domain], [destination["name"]], {}, {**policy, "migration": migration})
    found = engine.evaluate(world, [check for check in CHECKS if check.id in _OF_POSTCOPY])
    return [f"{entry['check']}: {entry['value']}" for entry in found if entry["status"] in ("fail", "unknown")]


_OF_POSTCOPY = (
    "conv_postcopy_available",
    "conv_postcopy_blockers",
    "conv_postcopy_recovery",
    "flags_parallel_postcopy",
    "flags_postcopy_requires_live",
    "flags_tunnelled_conflicts",
    "hd_vfio_postcopy",
    "mem_hugepage_size_parity",
)
"""Of these a warning counts as well: where a broken post-copy cannot be resumed, the guest is lost."""


def judge(check: str, domain: DomainSnapshot, destination: str | None, problem: Problem) -> Finding:
    """A finding of a later room, by a check of this one: what only shows when moves are seen together."""
    view = View({}, domain_name=domain["name"], source_name=domain["host"], destination_name=destination)
    return engine.finding(registry()[check], view, problem)


def require_snapshots(kind: str, snapshots: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Raises LivemigError where one is not a snapshot of this kind and of this version's schema."""
    for snapshot in snapshots:
        if snapshot.get("kind") != kind or snapshot.get("schema") != SCHEMA:
            raise LivemigError(
                f"Snapshot {snapshot.get('name', '')} of a {kind}".replace("  ", " "),
                value=f"kind {snapshot.get('kind')}, schema {snapshot.get('schema')}",
                expected=f"kind {kind}, schema {SCHEMA}",
                remedy=f"pass what livemig.libvirt.{kind}_info of this version returns",
            )


def _world(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[str],
    answers: Answers,
    policy: Policy,
) -> World:
    return World({host["name"]: host for host in hosts}, domains, destinations, answers, policy)
