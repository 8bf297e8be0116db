# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a migration has ended in any way: read both hosts, decide by the table, do the safe thing, read again.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connect, Connection, error_text, find_domain, libvirt
from .._model.api import LivemigError, way_of
from . import intent, offline, verdict
from .edits import edited
from .guard import HELD
from .intent import Intent
from .records import Records
from .request import flags, parameters
from .truth import (
    ABSENT,
    APART_S,
    FENCED,
    NO_CONNECTION,
    PAUSED,
    PAUSED_MIGRATION,
    PAUSED_POSTCOPY,
    POSTCOPY_FAILED,
    SILENT,
    Place,
    look,
    place,
)
from .watch import Watch

_ROUNDS = 8
_AGAIN_S = 2.0
_ABORTED_S = 60.0
_PAUSED_THERE = "it is paused at the destination; virsh domstate --reason says why"
_CHANGING = verdict.UNKNOWN._replace(meaning="the hosts' states keep changing, so nothing is done")
_HALVES = frozenset({PAUSED_POSTCOPY, POSTCOPY_FAILED})
# (first, beyond the last) version of a destination's libvirtd that dies when a failed post-copy is resumed (NEWS 11.4).
_DIES_OF_RESUME = (11_002_000, 11_004_000)


class End(t.NamedTuple):
    """One host of a migration. ``uri``: by which this process reaches it; None: it has no way there."""

    name: str
    uri: str | None
    fenced: bool = False


class Rules(t.NamedTuple):
    """``wait_s``: how long a job that is under way is waited for; then, or at once where it is 0, it is left alone.

    ``abort``: it is aborted instead. ``return_s``: how long a daemon may be silent. ``apart_s``: between two looks.
    ``leave``: actions that are not done. ``look_only``: none is.
    """

    wait_s: float = 0.0
    abort: bool = False
    return_s: float = 15.0
    apart_s: float = APART_S
    leave: t.Collection[str] = ()
    look_only: bool = False


class Settled(t.NamedTuple):
    """``did``: the actions that were done, in their order; ``error``: why the last one could not be."""

    verdict: verdict.Verdict
    source: Place
    destination: Place
    did: tuple[str, ...]
    error: str | None


class Case(t.NamedTuple):
    """One migration and everything that is needed to end it. ``others``: hosts to which the domain may have gone on."""

    intent: Intent
    source: End
    destination: End
    connect: Connect
    records: Records
    others: tuple[End, ...] = ()

    @property
    def uuid(self) -> str:
        return self.intent.move["uuid"]

    @property
    def state(self) -> str:
        """The domain's when it was planned to move: running, paused or shutoff."""
        return way_of(self.intent.move)["state"]

    @contextlib.contextmanager
    def open(self, end: End) -> t.Iterator[Connection]:
        if end.uri is None:
            raise LivemigError(
                f"Host {end.name}",
                value="no URI",
                expected="the URI of its libvirt",
                remedy="name it in the option uris of livemig.libvirt.recover",
            )
        connection = self.connect(end.uri)
        try:
            yield connection
        finally:
            with contextlib.suppress(*LIBVIRT_ERRORS):
                connection.close()

    @property
    def held(self) -> bool:
        """The source was paused by guard.py, and not by a user."""
        entries = [entry for entry in self.records.entries(self.intent.run) if entry.get("uuid") == self.uuid]
        return bool(entries) and entries[-1]["event"] == HELD

    def look(self, end: End, rules: Rules, job: bool = False) -> Place:
        if end.fenced:
            return Place(FENCED)
        if end.uri is None:
            return Place(SILENT)
        found = look(self.connect, end.uri, self.uuid, rules.return_s, job)
        if found.word == PAUSED and end == self.source and self.held:
            return found._replace(word=PAUSED_MIGRATION)
        return found


def settle(case: Case, rules: Rules) -> Settled:
    """Brings the migration to its end as far as that is safe. Raises nothing that libvirt reports."""
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
            _ACTIONS[found.action](case)
            did.append(found.action)
        except NO_CONNECTION as error:
            return Settled(found, source, destination, tuple(did), error_text(error))
        if found.action in _LAST:
            paused = found.action == verdict.RELEASE_DESTINATION and destination.word == PAUSED != case.state
            return Settled(found, source, destination, tuple(did), _PAUSED_THERE if paused else None)
    return Settled(found, source, destination, tuple(did), f"it has not come to an end in {_ROUNDS} rounds")


def look_twice(case: Case, rules: Rules) -> tuple[Place, Place, bool]:
    """Source, destination, and whether they were the same at two looks; with a job under way one look is enough."""
    before: tuple[Place, Place] | None = None
    for _again in range(_ROUNDS):
        now = case.look(case.source, rules, job=True), case.look(case.destination, rules)
        if now == before or now[0].job is not False:
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


def _still(connection: Connection, case: Case, end: End, words: t.Collection[str]) -> t.Any:
    """The domain, read once more right before it is acted upon. Raises LivemigError where it is something else now."""
    now = place(connection, case.uuid)
    domain = find_domain(connection, case.uuid)
    mark = None if domain is None else intent.read(domain)
    if mark is not None and mark.run != case.intent.run:
        raise LivemigError(
            f"Domain {case.intent.move['domain']} on {end.name}",
            value=f"it bears the mark of run {mark.run}",
            expected=f"that of run {case.intent.run}, or none",
            remedy="run recover again on all hosts: it has begun to move once more since",
        )
    held = now.word == PAUSED and end == case.source and case.held
    if not held and now.word not in words:
        raise LivemigError(
            f"Domain {case.intent.move['domain']} on {end.name}",
            value=now.word,
            expected=" or ".join(sorted(words)),
            remedy="run recover again: the hosts have changed meanwhile",
        )
    return domain


def _resume_source(case: Case) -> None:
    if _is_elsewhere(case):
        raise LivemigError(
            f"Domain {case.intent.move['domain']}",
            value="it is on a third host",
            expected=f"{case.source.name} or {case.destination.name}",
            remedy=f"destroy the paused one on {case.source.name}, once you know which one is right",
        )
    with case.open(case.source) as connection:
        _still(connection, case, case.source, {PAUSED_MIGRATION}).resume()


def _destroy_incoming(case: Case) -> None:
    with case.open(case.destination) as connection:
        _still(connection, case, case.destination, {PAUSED_MIGRATION}).destroy()


def _finish_confirm(case: Case) -> None:
    """The source's half, which the destination no longer needs; its definition goes with the release."""
    paused = {PAUSED} if case.state == PAUSED else set()
    with case.open(case.source) as connection:
        _still(connection, case, case.source, {PAUSED_MIGRATION, *_HALVES, *paused}).destroy()


def _resume_postcopy(case: Case) -> None:
    move = case.intent.move
    with case.open(case.destination) as there:
        version = there.getLibVersion()
    first, beyond = _DIES_OF_RESUME
    if first <= version < beyond:
        raise LivemigError(
            f"libvirt of {case.destination.name}",
            value=f"{version // 1_000_000}.{version // 1000 % 1000}, whose daemon dies when a post-copy is resumed",
            expected="11.4 or newer, or older than 11.2",
            remedy="update libvirt there and restart its daemon (the domain's two halves wait meanwhile), then recover",
        )
    with case.open(case.source) as connection:
        domain = _still(connection, case, case.source, _HALVES)
        wanted = flags(move, case.intent.tls) | libvirt.VIR_MIGRATE_POSTCOPY | libvirt.VIR_MIGRATE_POSTCOPY_RESUME
        domain.migrateToURI3(move["destination_uri"], parameters(move, {}, case.intent.tls), wanted)


def _release_source(case: Case) -> None:
    """The domain is where it was: our traces go, and the definition that a failed Finish may have left over there."""
    with case.open(case.source) as connection:
        domain = connection.lookupByUUIDString(case.uuid)
        autostart(domain, case.intent.move["autostart"])
        intent.remove(domain)
    if not case.destination.fenced:
        with case.open(case.destination) as there:
            leftover = find_domain(there, case.uuid)
            if leftover is not None and not leftover.isActive() and _is_ours(leftover, case):
                _undefine(leftover)
    _close(case, "failed")


def autostart(domain: t.Any, wanted: bool) -> None:
    """Whether the domain starts with its host; a transient one never does."""
    if domain.isPersistent() and bool(domain.autostart()) != wanted:
        domain.setAutostart(int(wanted))


def _is_ours(domain: t.Any, case: Case) -> bool:
    found = intent.read(domain)
    return found is not None and found.run == case.intent.run


def _release_destination(case: Case) -> None:
    """Persistent and started with its host as it was; then the source's definition and our traces go."""
    move = case.intent.move
    with case.open(case.destination) as there:
        domain = there.lookupByUUIDString(case.uuid)
        if move["persistent"] and not domain.isPersistent():
            domain = there.defineXML(_definition(case, domain))
        autostart(domain, move["autostart"])
        intent.remove(domain)
    if not case.source.fenced:
        with case.open(case.source) as connection:
            leftover = find_domain(connection, case.uuid)
            if leftover is not None and not leftover.isActive():
                _undefine(leftover)
    _close(case, "moved")


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


_ACTIONS: t.Mapping[str, t.Callable[[Case], None]] = {
    verdict.RESUME_SOURCE: _resume_source,
    verdict.DESTROY_INCOMING: _destroy_incoming,
    verdict.FINISH_CONFIRM: _finish_confirm,
    verdict.RESUME_POSTCOPY: _resume_postcopy,
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
