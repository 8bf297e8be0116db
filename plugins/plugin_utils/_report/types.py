# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data type of the report, described for people in docs/data-types.md.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    Diagnosis,
    Downtime,
    Finding,
    Forecast,
    PolicyDecision,
    Proof,
    Stay,
)


class Row(t.TypedDict):
    """One domain that was to move. Figures are None where they were not measured, never 0.

    ``forecast``: of before the start; ``breach``: how ceiling or deadline were exceeded, or why nothing proves that the
    ceiling was kept; ``decisions``: those that changed something; ``vf_off_ms``: from the first virtual function that
    was taken off until all were back, None where none was, or one has not come back.
    """

    domain: str
    uuid: str
    source: str
    destination: str
    state: str
    running_on: str | None
    downtime: Downtime
    total_ms: int | None
    bytes: int | None
    iterations: int | None
    ceiling_ms: int | None
    breach: str | None
    forecast: Forecast | None
    decisions: list[PolicyDecision]
    vf_off_ms: int | None


class Failure(t.TypedDict):
    """What went wrong with one domain. ``proofs``: those that failed or are missing; ``diagnosis``: why it did not
    arrive, as far as that is known."""

    domain: str
    uuid: str
    source: str
    destination: str
    state: str
    running_on: str | None
    cause: str
    remedy: str
    last_phase: str | None
    proofs: list[Proof]
    diagnosis: Diagnosis | None


class LeftOut(t.TypedDict):
    """A domain that was active on a source when it was observed, and that nobody asked to move."""

    domain: str
    uuid: str
    source: str


class Summary(t.TypedDict):
    """Counts of domains. ``moved`` includes ``unproven``; ``failed`` is failed, refused and unknown together.
    ``breached``: over their ceilings or deadlines, or paused for nobody knows how long.

    ``hosts_emptied``: no guest runs on this source any more. False where that is not known.
    """

    planned: int
    moved: int
    unproven: int
    breached: int
    stayed: int
    failed: int
    hosts_emptied: dict[str, bool]


class Report(t.TypedDict):
    """``started`` and ``finished``: Unix seconds; None where the caller did not say.

    ``verified``: hosts were asked after the moves. ``findings``: those that are not the reason of a stay.
    """

    schema: int
    kind: str
    run_id: str
    plan_digest: str
    tls: str
    destinations: list[str]
    started: int | None
    finished: int | None
    verified: bool
    summary: Summary
    rows: list[Row]
    stays: list[Stay]
    left_out: list[LeftOut]
    failures: list[Failure]
    findings: list[Finding]
