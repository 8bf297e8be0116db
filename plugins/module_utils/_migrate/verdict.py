# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an interrupted migration amounts to and what is safe to do about it: a table. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .truth import (
    ABSENT,
    CRASHED,
    FENCED,
    PAUSED,
    PAUSED_MIGRATION,
    PAUSED_POSTCOPY,
    POSTCOPY_FAILED,
    RUNNING,
    RUNNING_POSTCOPY,
    SHUTOFF,
    SHUTOFF_FAILED,
    SHUTOFF_MIGRATED,
    SILENT,
    Place,
)

# What is done. Everything but the first two changes something.
NOTHING, WAIT = "nothing", "wait"
RESUME_SOURCE, DESTROY_INCOMING = "resume_source", "destroy_incoming"
FINISH_CONFIRM, RESUME_POSTCOPY = "finish_confirm", "resume_postcopy"
RELEASE_SOURCE, RELEASE_DESTINATION, RELEASE_ENDED = "release_source", "release_destination", "release_ended"

_ANY = frozenset({RUNNING, PAUSED, PAUSED_MIGRATION, PAUSED_POSTCOPY, POSTCOPY_FAILED, RUNNING_POSTCOPY, SHUTOFF}) | {
    SHUTOFF_FAILED,
    SHUTOFF_MIGRATED,
    CRASHED,
    ABSENT,
    FENCED,
    SILENT,
}
_ALIVE = frozenset({RUNNING, PAUSED})
_ENDED = frozenset({SHUTOFF, SHUTOFF_FAILED, CRASHED})
_NEVER_RAN = frozenset({ABSENT, SHUTOFF_FAILED})
_GONE = frozenset({ABSENT, FENCED, SHUTOFF, SHUTOFF_FAILED, SHUTOFF_MIGRATED, CRASHED})
_HALF = frozenset({PAUSED_POSTCOPY, POSTCOPY_FAILED, RUNNING_POSTCOPY})


class Verdict(t.NamedTuple):
    """``name`` is public. ``outcome``: the state of the move's outcome if it stays so; ``on``: who runs the domain."""

    name: str
    action: str
    outcome: str
    on: t.Literal["source", "destination"] | None
    meaning: str


class _Row(t.NamedTuple):
    source: t.Collection[str]
    destination: t.Collection[str]
    job: bool | None
    verdict: Verdict


def _row(
    source: t.Collection[str],
    destination: t.Collection[str],
    verdict: Verdict,
    job: bool | None = None,
) -> _Row:
    return _Row(source, destination, job, verdict)


UNKNOWN = Verdict("unknown", NOTHING, "unknown", None, "a host that matters does not answer, so nothing is done")

# The first row that fits holds; docs/recover.md explains each. Source: libvirt's qemuProcessRecoverMigration.
_ROWS: tuple[_Row, ...] = (
    _row({SILENT}, _ANY, UNKNOWN),
    _row(_ANY, {SILENT}, UNKNOWN),
    _row(
        _ANY - {FENCED, ABSENT},
        _ANY,
        Verdict("under_way", WAIT, "unknown", None, "the migration is still under way; libvirt goes on with it"),
        job=True,
    ),
    _row(
        _HALF,
        {PAUSED},
        Verdict(
            "postcopy_paused",
            NOTHING,
            "unknown",
            None,
            "post-copy had begun, and the destination's guest is paused for a reason of its own, an I/O error for one: "
            "whether all of its memory is there cannot be told. Remove that reason, and run recover again",
        ),
    ),
    _row(
        _HALF,
        {RUNNING},
        Verdict(
            "confirm_lost",
            FINISH_CONFIRM,
            "moved",
            "destination",
            "post-copy is complete and the domain runs at the destination; only the source was not told",
        ),
    ),
    _row(
        _HALF,
        _HALF,
        Verdict(
            "postcopy_interrupted",
            RESUME_POSTCOPY,
            "recoverable",
            None,
            "post-copy was interrupted: the domain's memory is on both hosts, and neither may be stopped or resumed",
        ),
    ),
    _row(
        _HALF,
        _GONE | {PAUSED_MIGRATION},
        Verdict(
            "postcopy_lost",
            NOTHING,
            "unknown",
            None,
            "post-copy had begun, and the part of the domain that ran at the destination is gone",
        ),
    ),
    _row(
        _GONE,
        _HALF,
        Verdict(
            "postcopy_source_lost",
            NOTHING,
            "unknown",
            None,
            "post-copy had begun, and the source with the rest of the domain's memory is gone",
        ),
    ),
    _row(
        _ALIVE,
        _GONE,
        Verdict("rolled_back", RELEASE_SOURCE, "failed", "source", "the domain has stayed on its source"),
    ),
    _row(
        _ALIVE,
        {PAUSED_MIGRATION},
        Verdict(
            "stale_incoming",
            DESTROY_INCOMING,
            "failed",
            "source",
            "the domain has stayed on its source, and the destination waits for it in vain",
        ),
    ),
    _row(
        _ALIVE | {PAUSED_MIGRATION},
        _HALF,
        Verdict(
            "twice",
            NOTHING,
            "unknown",
            None,
            "the destination runs it in post-copy, of which the source knows nothing. Decide which one is right",
        ),
    ),
    _row(
        _ALIVE,
        _ALIVE,
        Verdict(
            "twice",
            NOTHING,
            "unknown",
            None,
            "the domain is active on both hosts: somebody has resumed one of them by hand. Decide which one is right "
            "and stop the other",
        ),
    ),
    _row(
        {PAUSED_MIGRATION},
        _NEVER_RAN,
        Verdict(
            "parked",
            RESUME_SOURCE,
            "failed",
            "source",
            "the source was paused for the switchover, and the domain has not run at the destination",
        ),
    ),
    _row(
        {PAUSED_MIGRATION},
        _GONE - _NEVER_RAN,
        Verdict(
            "ran_there",
            NOTHING,
            "unknown",
            None,
            "the domain may have run at the destination and has ended there; then the source's memory is older than "
            "the disk. Destroy it on the source and start it anew, or resume it if you know that it never ran there",
        ),
    ),
    _row(
        {PAUSED_MIGRATION},
        {PAUSED_MIGRATION},
        Verdict(
            "switchover_interrupted",
            DESTROY_INCOMING,
            "failed",
            "source",
            "both sides are paused for the switchover, and the destination has never run",
        ),
    ),
    _row(
        {PAUSED_MIGRATION},
        _ALIVE,
        Verdict(
            "confirm_lost",
            FINISH_CONFIRM,
            "moved",
            "destination",
            "the domain runs at the destination; only the source was not told",
        ),
    ),
    _row(
        _GONE,
        _ALIVE,
        Verdict("moved", RELEASE_DESTINATION, "moved", "destination", "the domain runs at the destination"),
    ),
    _row(
        _ENDED,
        {PAUSED_MIGRATION},
        Verdict(
            "stale_incoming",
            DESTROY_INCOMING,
            "ended",
            None,
            "the domain has ended on its source, and the destination waits for it in vain",
        ),
    ),
    _row(
        _GONE,
        {PAUSED_MIGRATION},
        Verdict(
            "stranded",
            NOTHING,
            "unknown",
            None,
            "the source no longer has the domain and the destination has it paused: it may be the only copy",
        ),
    ),
    _row(
        _GONE,
        _GONE,
        Verdict("ended", RELEASE_ENDED, "ended", None, "the domain runs on neither host: it has ended meanwhile"),
    ),
)


def verdict(source: Place, destination: Place) -> Verdict:
    """What the two places mean. A combination that the table does not have is unknown."""
    for row in _ROWS:
        if source.word not in row.source or destination.word not in row.destination:
            continue
        # A job that could not be asked about counts as one that runs.
        if row.job is None or row.job is (source.job is not False):
            return row.verdict
    return UNKNOWN._replace(meaning="libvirt does not describe such a state, so nothing is done")


def of_paused(source: Place, destination: Place) -> Verdict:
    """Of a guest that was paused before it was to move: where both hosts have it so, Finish was done there, since an
    incoming domain is paused for another reason until then."""
    if (source.word, destination.word, source.job) == (PAUSED, PAUSED, False):
        return _PAUSED_TWICE
    return verdict(source, destination)


_PAUSED_TWICE = Verdict(
    "confirm_lost",
    FINISH_CONFIRM,
    "moved",
    "destination",
    "the domain is at the destination, paused as it was; only the source was not told",
)
_SAID = {
    SILENT: "does not answer",
    ABSENT: "does not know the domain",
    FENCED: "is said to be dead (livemig_fenced_hosts)",
    RUNNING: "has it running",
    PAUSED: "has it paused",
    SHUTOFF: "has it shut off",
    SHUTOFF_MIGRATED: "has its definition only, since it was migrated",
    SHUTOFF_FAILED: "has its definition only, since it did not start",
    CRASHED: "has it crashed",
    PAUSED_MIGRATION: "has it paused for a migration",
    PAUSED_POSTCOPY: "has it paused in post-copy",
    POSTCOPY_FAILED: "has it in a failed post-copy",
    RUNNING_POSTCOPY: "has it running in post-copy",
}


def explain(source_name: str, source: Place, destination_name: str, destination: Place) -> str:
    """One sentence for a person who has to decide."""
    return f"{source_name} {_SAID[source.word]}; {destination_name} {_SAID[destination.word]}"


def commands(verdict: Verdict, domain: str, source_uri: str, destination_uri: str) -> list[str]:
    """What the action amounts to, as virsh commands: for people, who may type them instead."""
    here, there = f"virsh -c {source_uri}", f"virsh -c {destination_uri}"
    forget = f"metadata {domain} --uri urn:livemig:state:1 --remove"
    table = {
        WAIT: [f"{here} domjobinfo {domain}"],
        RESUME_SOURCE: [f"{here} resume {domain}"],
        DESTROY_INCOMING: [f"{there} destroy {domain}"],
        FINISH_CONFIRM: [f"{here} destroy {domain}", f"{here} undefine {domain} --keep-nvram --keep-tpm"],
        RESUME_POSTCOPY: [
            f"{here} migrate {domain} {destination_uri} --live --p2p --postcopy --postcopy-resume "
            "with the other options of the first try"
        ],
        RELEASE_SOURCE: [f"{here} {forget}"],
        RELEASE_DESTINATION: [f"{there} {forget}"],
        RELEASE_ENDED: [f"{here} start {domain} (yours to decide)"],
    }
    return table.get(verdict.action, [])
