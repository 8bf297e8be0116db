# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a migration has ended in any way: read both hosts, decide by the table, do the safe thing, read again.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import typing as t

from .._libvirt import error_text, find_domain, libvirt
from .._model.api import LivemigError
from . import intent, nics, offline, postcopy, verdict
from .case import Case, End, Rules
from .edits import edited
from .postcopy import HALVES
from .truth import (
    ABSENT,
    FENCED,
    NO_CONNECTION,
    PAUSED,
    PAUSED_MIGRATION,
    SILENT,
    Place,
    place,
)
from .watch import Watch

_ROUNDS = 8
_AGAIN_S = 2.0
_ABORTED_S = 60.0
_PAUSED_THERE = "it is paused at the destination; virsh domstate --reason says why"
_CHANGING = verdict.UNKNOWN._replace(meaning="the hosts' states keep changing, so nothing is done")


class Settled(t.NamedTuple):
    """``did``: the actions that were done, in their order; ``error``: why the last one could not be; ``notes``: what is
    right but should be known."""

    verdict: verdict.Verdict
    source: Place
    destination: Place
    did: tuple[str, ...]
    error: str | None
    notes: tuple[str, ...] = ()


def settle(case: Case, rules: Rules) -> Settled:
    """Brings the migration to its end as far as that is safe. Raises nothing that libvirt reports."""
    settled = _settle(case, rules)
    is_over = settled.error is None and settled.did[-1:] and settled.did[-1] in _LAST
    return settled if is_over or rules.look_only else settled._replace(error=nics.with_open(case, settled.error))


def _settle(case: Case, rules: Rules) -> Settled:
    did: list[str] = []
    waited = False
    judge = _JUDGES[case.state]
    for _round in range(_ROUNDS):
        source, destination, steady = look_twice(case, rules)
        found = judge(source, destination) if steady else _CHANGING
        stop = (verdict.NOTHING, *rules.leave, *((verdict.WAIT,) if waited else ()))
        if rules.look_only or found.action in stop:
            return Settled(found, source, destination, tuple(did), None)
        try:
            if found.action == verdict.WAIT:
                waited = not _wait(case, rules)
                continue
            notes = _ACTIONS[found.action](case) or ()
            did.append(found.action)
        except NO_CONNECTION as error:
            return Settled(found, source, destination, tuple(did), error_text(error))
        if found.action in _LAST:
            paused = found.action == verdict.RELEASE_DESTINATION and destination.word == PAUSED != case.state
            return Settled(found, source, destination, tuple(did), _PAUSED_THERE if paused else None, notes)
    return Settled(found, source, destination, tuple(did), f"it has not come to an end in {_ROUNDS} rounds")


def look_twice(case: Case, rules: Rules) -> tuple[Place, Place, bool]:
    """Source, destination, and whether they were the same at two looks. One look is enough with a job under way, and
    where nothing can change any more (``apart_s`` 0)."""
    before: tuple[Place, Place] | None = None
    for _again in range(_ROUNDS):
        now = case.look(case.source, rules, job=True), case.look(case.destination, rules)
        if now == before or now[0].job is not False or not rules.apart_s:
            return (*now, True)
        time.sleep(rules.apart_s)
        before = now
    return (*now, False)


def _wait(case: Case, rules: Rules) -> bool:
    """Until the source's job is over; False where it goes on for longer. Events wake it, and it looks for itself."""
    watch = Watch()
    end = time.monotonic() + rules.wait_s
    with case.open(case.source) as connection:
        watch.follow(connection, "source")
        timeline = watch.timeline(case.uuid)
        if rules.abort:
            connection.lookupByUUIDString(case.uuid).abortJob()
        while place(connection, case.uuid, job=True).job is not False:
            left = end - time.monotonic()
            if left <= 0 and not rules.abort:
                return False
            if left <= -_ABORTED_S:
                return False
            seen = len(timeline.events)
            timeline.wait_more(seen, min(_AGAIN_S, max(left, 0.1)))
    return True


def _resume_source(case: Case) -> None:
    if _is_elsewhere(case):
        raise LivemigError(
            f"Domain {case.intent.move['domain']}",
            value="it is on a third host",
            expected=f"{case.source.name} or {case.destination.name}",
            remedy=f"destroy the paused one on {case.source.name}, once you know which one is right",
        )
    with case.open(case.source) as connection:
        case.still(connection, case.source, {PAUSED_MIGRATION}).resume()
    case.released()


def _destroy_incoming(case: Case) -> None:
    with case.open(case.destination) as connection:
        case.still(connection, case.destination, {PAUSED_MIGRATION}).destroy()


def _finish_confirm(case: Case) -> None:
    """The source's half, which the destination no longer needs; its definition goes with the release."""
    paused = {PAUSED} if case.state == PAUSED else set()
    with case.open(case.source) as connection:
        case.still(connection, case.source, {PAUSED_MIGRATION, *HALVES, *paused}).destroy()


def _release_source(case: Case) -> tuple[str, ...]:
    """The domain is where it was: our traces go, and the definition that a failed Finish may have left over there."""
    with case.open(case.source) as connection:
        autostart(connection.lookupByUUIDString(case.uuid), case.intent.move["autostart"])
    if not case.destination.fenced:
        with case.open(case.destination) as there:
            leftover = find_domain(there, case.uuid)
            if leftover is not None and not leftover.isActive() and _is_ours(leftover, case):
                _undefine(leftover)
    notes = _unmark(case, case.source)
    _close(case, "failed")
    return notes


def autostart(domain: t.Any, wanted: bool) -> None:
    """Whether the domain starts with its host; a transient one never does."""
    if domain.isPersistent() and bool(domain.autostart()) != wanted:
        domain.setAutostart(int(wanted))


def _is_ours(domain: t.Any, case: Case) -> bool:
    found = intent.read(domain)
    return found is not None and found.run == case.intent.run


def _release_destination(case: Case) -> tuple[str, ...]:
    """Persistent and started with its host as it was; then the source's definition and our traces go."""
    move = case.intent.move
    with case.open(case.destination) as there:
        domain = there.lookupByUUIDString(case.uuid)
        if move["persistent"] and not domain.isPersistent():
            domain = there.defineXML(_definition(case, domain))
        autostart(domain, move["autostart"])
    if not case.source.fenced:
        with case.open(case.source) as connection:
            leftover = find_domain(connection, case.uuid)
            if leftover is not None and not leftover.isActive():
                _undefine(leftover)
    notes = _unmark(case, case.destination)
    _close(case, "moved")
    return notes


def _unmark(case: Case, end: End) -> tuple[str, ...]:
    """The intent goes once it is fulfilled. Returns what should be known. Raises LivemigError where a NIC is missing:
    then recover comes back."""
    with case.open(end) as connection:
        notes = nics.put_back(case, end, connection)
        intent.remove(connection.lookupByUUIDString(case.uuid))
    return notes


def _definition(case: Case, domain: t.Any) -> str:
    kept = case.records.definition(case.uuid)
    if kept is not None and kept.get("inactive"):
        return edited(kept["inactive"], case.intent.move["edits"], case.intent.move["domain"], strict=False)
    return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE))


def _release_ended(case: Case) -> None:
    """It has ended. A persistent domain must be defined somewhere: where it is, or else where it came from."""
    defined = False
    for end in (case.destination, case.source):
        if end.fenced:
            continue
        with case.open(end) as connection:
            domain = find_domain(connection, case.uuid)
            if domain is None:
                continue
            # It ended after it had arrived: what the source still has is what Confirm would have taken away.
            if defined and not domain.isActive():
                _undefine(domain)
            else:
                autostart(domain, case.intent.move["autostart"])
                intent.remove(domain)
            defined = True
    kept = case.records.definition(case.uuid)
    if not (defined or _is_elsewhere(case)) and kept is not None and kept.get("inactive") and not case.source.fenced:
        with case.open(case.source) as connection:
            domain = connection.defineXML(kept["inactive"])
            autostart(domain, case.intent.move["autostart"])
            intent.remove(domain)
    _close(case, "ended")


def _is_elsewhere(case: Case) -> bool:
    """Whether another host has it: somebody has moved it on. Raises LivemigError where one of them does not answer."""
    for end in case.others:
        word = case.look(end, Rules(return_s=0.0)).word
        if word == SILENT:
            raise LivemigError(
                f"Host {end.name}",
                value="it does not answer",
                expected="an answer: the domain is on neither of its hosts, and may have gone on to this one",
                remedy="make it answer, or name it in fenced_hosts if it is dead for certain; the definition is kept",
            )
        if word not in (ABSENT, FENCED):
            return True
    return False


def _undefine(domain: t.Any) -> None:
    names = ("VIR_DOMAIN_UNDEFINE_KEEP_NVRAM", "VIR_DOMAIN_UNDEFINE_KEEP_TPM", "VIR_DOMAIN_UNDEFINE_MANAGED_SAVE")
    domain.undefineFlags(sum(getattr(libvirt, name, 0) for name in names))


def _close(case: Case, how: str) -> None:
    case.records.note(case.intent.run, "ended", uuid=case.uuid, domain=case.intent.move["domain"], how=how)
    case.records.drop_definition(case.uuid)


_ACTIONS: t.Mapping[str, t.Callable[[Case], tuple[str, ...] | None]] = {
    verdict.RESUME_SOURCE: _resume_source,
    verdict.DESTROY_INCOMING: _destroy_incoming,
    verdict.FINISH_CONFIRM: _finish_confirm,
    verdict.RESUME_POSTCOPY: postcopy.resume,
    verdict.RELEASE_SOURCE: _release_source,
    verdict.RELEASE_DESTINATION: _release_destination,
    verdict.RELEASE_ENDED: _release_ended,
}
_JUDGES: t.Mapping[str, t.Callable[[Place, Place], verdict.Verdict]] = {
    "running": verdict.verdict,
    "paused": verdict.of_paused,
    "shutoff": offline.verdict,
}
_LAST = frozenset({verdict.RELEASE_SOURCE, verdict.RELEASE_DESTINATION, verdict.RELEASE_ENDED})
