# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of the guest itself: its state, its jobs and its network.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..check import Check, Problem, View
from ..jobs import NO_JOB
from ..way import is_movable

# virDomainPausedReason: why, and what to do about it. Where nothing stands here the check's remedy holds.
_PAUSED: t.Mapping[int, tuple[str, str | None]] = {
    2: ("for a migration", "wait for its end (virsh domjobinfo); resume it only when it is active nowhere else"),
    3: ("for a save", "wait until it is saved"),
    4: ("for a dump", "wait until the dump has ended"),
    5: ("by an I/O error", "see virsh domblkerror, repair its storage, then virsh resume"),
    6: ("by its watchdog", None),
    8: ("while it shuts down", "wait until it is off"),
    10: ("since it crashed", "look at its console; virsh reset starts it anew"),
    11: ("while it starts", "wait until it has started"),
    12: ("in a post-copy migration", "touch neither of its two sides: wait for the end of the migration"),
    13: ("in a post-copy migration that failed", "do not resume or destroy it: see guest_postcopy_failed_state"),
}


def _state(view: View) -> t.Iterator[Problem]:
    """``state`` of the policy: in the last look, the one for which the plan was made."""
    state, planned = view.domain.get("state"), view.policy.get("state")
    if is_movable(view.domain, view.option("offline")):
        if planned not in (None, state):
            said = f"it is {state}, and the plan was made when it was {planned}"
            yield Problem(f"Domain {view.domain_name}", said, expected=planned, remedy="run again, with a new plan")
        elif state == "shutoff":
            yield from _stays_behind(view)
        return
    why, remedy = _PAUSED.get(view.domain.get("state_reason"), ("", None)) if state == "paused" else ("", None)
    if view.silent is not None:
        remedy = (
            "nothing is wrong with it: start it to have it moved, or let definitions move too (livemig_offline: move)"
        )
    yield Problem(f"Domain {view.domain_name}", f"it is {state} {why}".strip(), remedy=remedy)


def _stays_behind(view: View) -> t.Iterator[Problem]:
    """What belongs to a domain that does not run and does not go with its definition (qemuMigrationSrcBeginPhase: an
    offline migration hands over XML alone)."""
    domain = view.domain
    tpms = [entry for entry in domain.get("devices.tpms") if entry["backend"] == "emulator"]
    left = (
        (domain.get("managed_save"), "a saved state (virsh managedsave)"),
        (domain.get("settings.os.nvram") or domain.get("settings.os.firmware") == "efi", "its firmware's NVRAM"),
        (tpms, "the state of its TPM"),
    )
    for there, what in left:
        if there:
            yield Problem(
                f"Domain {view.domain_name}",
                f"it is shutoff, and {what} would stay here",
                expected="a definition that is all there is of it",
                remedy="start it to have it moved, or copy what stays here by hand",
            )


def _job(view: View) -> t.Iterator[Problem]:
    job = view.domain.get("job")
    if job not in NO_JOB:
        what = f"Job of domain {view.domain_name}"
        yield Problem(what, f"{job}, perhaps a migration that an earlier run has started and that is still under way")


CHECKS: tuple[Check, ...] = (
    Check(
        id="guest_state",
        category="guest",
        severity="error",
        scope="domain",
        title="The domain is in a state in which it can be moved",
        expected="running, or paused by its user; or shut off, where livemig_offline is move",
        remedy="find out why it does not run (virsh domstate --reason) and resume it",
        evaluate=_state,
        evidence="recorded",
        volatile=True,
        first=True,
    ),
    Check(
        id="guest_job_active",
        category="guest",
        severity="error",
        scope="domain",
        title="No other job holds the domain",
        expected="no job: libvirt runs one at a time",
        remedy="wait until it has ended (virsh domjobinfo shows how far it is), then run again; if it is a backup or a "
        "dump that hangs, and no migration, virsh domjobabort ends it",
        evaluate=_job,
        evidence="lab",
        volatile=True,
    ),
)
