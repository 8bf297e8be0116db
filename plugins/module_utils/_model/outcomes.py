# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What travels from a migration on: its progress, its outcome, and what recover found of one that was interrupted.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

OUTCOMES: t.Mapping[str, str] = {
    "moved": "it runs at the destination",
    "already_there": "it ran there before: an earlier run has moved it",
    "planned": "check mode: nothing was done",
    "failed": "it has stayed on its source",
    "refused": "nothing was begun",
    "ended": "the guest itself has ended meanwhile: shut down, crashed, or its QEMU killed",
    "recoverable": "a post-copy was interrupted, and recover can resume it; nothing may be stopped meanwhile",
    "unknown": "not proven where it runs; nothing further was done",
}
"""States of an outcome."""
EXPLAINED = ("failed", "ended", "recoverable", "unknown")
"""Of these the logs tell why."""


class Phase(t.TypedDict):
    """``at_ms`` counts from the start of this domain's migration, on the source's monotonic clock."""

    name: str
    at_ms: int


class Downtime(t.TypedDict):
    """Milliseconds. ``compute_ms``: vCPUs stopped here until they ran there, from events on one clock;
    ``libvirt_ms``: libvirt's own figure (wall clocks of two hosts); ``network_ms``: as seen from a third place."""

    compute_ms: int | None
    libvirt_ms: int | None
    network_ms: int | None


class Proof(t.TypedDict):
    """One thing verify looked at."""

    check: str
    host: str
    ok: bool
    message: str


class HostLog(t.TypedDict):
    """The end of what one host's QEMU log says about one domain since ``since_s``, in Unix seconds, without secrets.

    ``cut``: lines before these were left out; ``unread``: why there are none, None where the log was read.
    """

    host: str
    path: str
    since_s: int
    lines: list[str]
    cut: bool
    unread: str | None


class Match(t.TypedDict):
    """A line that was recognised as the diagnosis ``id``. ``side``: source or destination for the host's log, error
    for what libvirt reported; ``role``: cause, wrapper or consequence."""

    id: str
    side: str
    line: str
    role: str


class Diagnosis(t.TypedDict):
    """Why a migration failed. ``id`` and ``cause`` are None where no cause was recognised, and ``advice``
    where no message was.

    ``who_failed_first``: source, destination, network, client, policy or unknown; ``retry``: yes, after_fix,
    other_host, no, resume, resolve_first or unknown.
    """

    id: str | None
    cause: str | None
    who_failed_first: str
    advice: str | None
    retry: str
    matched: list[Match]
    paragraph: str


class Progress(t.TypedDict):
    """What one domain of a run is at. ``state``: waiting, migrating, switching over, over; ``outcome``: once over.

    ``percent``: of what is known to be sent so far, so it can fall; ``silent_s``: so long has libvirt not answered.
    """

    domain: str
    uuid: str
    destination: str
    memory_mib: int
    state: str
    outcome: str | None
    percent: int
    remaining_mib: float | None
    rate_mib_s: float | None
    dirty_mib_s: float | None
    iteration: int | None
    elapsed_s: float | None
    silent_s: int


class Recovery(t.TypedDict):
    """What recover found of one migration. ``verdict``: a name of docs/recover.md; ``state``: as an outcome's.

    ``meaning``: of the verdict; ``places``: what both hosts say; ``commands``: what is, or would be, done next, for
    virsh; ``did``: the actions that were done; ``error``: why the last one could not be; ``sentence``: all of it.
    """

    domain: str
    uuid: str
    run: str
    source: str
    destination: str
    verdict: str
    state: str
    running_on: str | None
    meaning: str
    places: str
    commands: list[str]
    did: list[str]
    error: str | None
    sentence: str


class Unheard(t.TypedDict):
    """A run that ended without the controller that was to watch it."""

    run: str
    outcomes: list[Outcome]
    sentence: str


class PassForecast(t.TypedDict):
    """Where a pass ends, and the pause if the guest were stopped there. ``at_ms`` counts from the start."""

    number: int
    at_ms: int
    sent_mib: float
    remaining_mib: float
    blackout_ms: int


class Forecast(t.TypedDict):
    """``verdict``: one of VERDICTS of the room. ``total_ms``, ``sent_mib``, ``blackout_ms``: of the whole, from the
    start, on the way that the verdict names; None where there is none. ``after_pass``: it stops there."""

    verdict: str
    reason: str
    total_ms: int | None
    sent_mib: float | None
    blackout_ms: int | None
    after_pass: int | None
    touched_mib: float
    dirty_mib_s: float | None
    working_set_mib: float | None
    link_mib_s: float
    passes: list[PassForecast]


class PassSample(t.TypedDict):
    """What the migration showed at the beginning of a pass. ``attempt``: 2 after it was begun again; ``throttle``:
    percent of its time that auto-converge takes from the guest. ``verdict``, ``blackout_ms`` and ``total_ms``: the
    forecast of that moment, the time from the start."""

    attempt: int
    iteration: int
    at_ms: int
    remaining_mib: float
    sent_mib: float
    rate_mib_s: float | None
    throttle: int
    verdict: str
    blackout_ms: int | None
    total_ms: int | None


class PolicyDecision(t.TypedDict):
    """``action``: one of the policy's; ``reason``: with the figures that it was made of. ``max_downtime_ms``: QEMU's
    limit as it was set; ``parameters``: libvirt's, with which it was begun again."""

    action: str
    reason: str
    after_pass: int
    max_downtime_ms: int | None
    parameters: dict[str, int]


class Convergence(t.TypedDict):
    """What one migration has shown of its guest and of its link, for the next forecast. ``resident_mib``: of QEMU,
    before the start; ``touched_mib``: what of it had to cross; ``setup_ms``: what it took before its first pass and
    after its switchover; ``device_ms``: what its devices were thought to take of the pause."""

    resident_mib: float | None
    touched_mib: float | None
    dirty_mib_s: float | None
    working_set_mib: float | None
    link_mib_s: float | None
    stopped_with_mib: float | None
    postcopy: bool
    setup_ms: int | None
    device_ms: int


class Outcome(t.TypedDict):
    """What became of one domain. ``state``: one of OUTCOMES.

    ``logs``: of the source and of the destination, as far as they were read after a failure; ``diagnosis``: made of
    them by the report, None before and where there is nothing to explain. ``forecast``: from before the start;
    ``breach``: how ceiling or deadline were exceeded, or why nothing proves that the ceiling was kept; None where both
    were, and where nothing was begun.
    """

    schema: int
    kind: str
    domain: str
    uuid: str
    source: str
    destination: str
    state: str
    running_on: str | None
    error: str | None
    downtime: Downtime
    total_ms: int | None
    bytes: int | None
    iterations: int | None
    ceiling_ms: int | None
    breach: str | None
    forecast: Forecast | None
    samples: list[PassSample]
    decisions: list[PolicyDecision]
    convergence: Convergence | None
    phases: list[Phase]
    proofs: list[Proof]
    logs: list[HostLog]
    diagnosis: Diagnosis | None
