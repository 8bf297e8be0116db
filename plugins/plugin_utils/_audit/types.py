# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data type of the audit, described for people in docs/data-types.md.

Obstacles are numbered by their place in ``Audit.obstacles``, since one of them can stand in a hundred thousand ways.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t


class Obstacle(t.TypedDict):
    """Something that rules moves out, once for all whom it concerns; ``{domain}`` stands for the domain's name.

    ``domain``: of what is wrong with one domain, wherever it is to go; ``source`` and ``destination``: where it is,
    None for any.
    """

    check: str
    status: str
    domain: str | None
    source: str | None
    destination: str | None
    message: str
    value: str
    remedy: str


class AuditHost(t.TypedDict):
    """``reason``: why it does not answer, None where it does. ``domains``: how many are active there; None where that
    is not known, as is ``available_mib``. ``trapped``: names."""

    name: str
    reason: str | None
    available_mib: int | None
    domains: int | None
    stopped: int | None
    trapped: list[str]


class WayOut(t.TypedDict):
    """The destination that the fewest obstacles keep a domain from, and all of them."""

    destination: str
    obstacles: list[int]


class AuditDomain(t.TypedDict):
    """An active domain. ``everywhere``: obstacles whatever the destination; ``blocked``: host -> the rest of them.

    ``twins``: other hosts on which it is active too. ``way_out``: of a trapped one, where there is a way at all.
    """

    name: str
    uuid: str
    host: str
    state: str
    memory_mib: int | None
    trapped: bool
    twins: list[str]
    destinations: list[str]
    everywhere: list[int]
    blocked: dict[str, list[int]]
    way_out: WayOut | None


class StoppedDomain(t.TypedDict):
    name: str
    uuid: str
    host: str
    state: str


class SingleChange(t.TypedDict):
    """What one action at one place would do: ``frees`` names trapped domains that would get a destination, ``opens``
    counts ways (domain, destination). Not ``sure``: what is behind it could not be looked at, so this is the most."""

    check: str
    host: str | None
    domain: str | None
    problem: str
    remedy: str
    sure: bool
    frees: list[str]
    opens: int


class Note(t.TypedDict):
    """Findings that rule nothing out and differ only by names."""

    check: str
    severity: str
    status: str
    message: str
    remedy: str
    count: int
    domains: list[str]
    hosts: list[str]


class Difference(t.TypedDict):
    """One thing that is not as in the audit before, for all domains that it concerns alike.

    ``what``: see compare.py. ``obstacles``: why, of those in this audit.
    """

    what: str
    domains: list[str]
    uuids: list[str]
    host: str | None
    destinations: list[str]
    obstacles: list[int]
    message: str


class Since(t.TypedDict):
    """``finished``: when the audit before ended. ``changed`` is neither better nor worse."""

    finished: int | None
    worse: list[Difference]
    better: list[Difference]
    changed: list[Difference]


class AuditSummary(t.TypedDict):
    """Counts. ``ways``: pairs of an active domain and another host; ``open``: those that it could go."""

    hosts: int
    silent: int
    domains: int
    movable: int
    trapped: int
    stopped: int
    twice: int
    ways: int
    open: int
    worse: int | None
    better: int | None


class Audit(t.TypedDict):
    """``started`` and ``finished``: Unix seconds; None where the caller did not say. ``since``: None without an
    earlier audit."""

    schema: int
    kind: str
    started: int | None
    finished: int | None
    memory_reserve_mib: int
    summary: AuditSummary
    hosts: list[AuditHost]
    domains: list[AuditDomain]
    stopped: list[StoppedDomain]
    obstacles: list[Obstacle]
    changes: list[SingleChange]
    notes: list[Note]
    since: Since | None
