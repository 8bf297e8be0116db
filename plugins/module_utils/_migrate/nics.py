# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual functions of one move: planned before it begins, taken off before libvirt is asked, put back at its end.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, libvirt
from .._model.api import Edit, LivemigError, Outcome, Phase, way_of
from .._observe.api import parse_xml
from .._sriov.api import (
    FAILOVER,
    GONE,
    OFF,
    ON,
    QUIET,
    REPLUG,
    UNSEEN,
    Nic,
    Rules,
    Side,
    allocated_at_once,
    boot_id,
    placed,
    plan,
    same_instance,
    take_off,
)
from .._sriov.api import put_back as restore
from . import edits
from .case import Case, End
from .intent import of_kept
from .records import Records
from .watch import Event, Timeline

RULES = Rules()
_LOOK_S = 1.0
_FREE = "free a function of that port and run recover, which puts it back; the guest runs on without it meanwhile"
_ANSWER = "run recover once it has answered, or start the guest anew"
_PORT, _BELOW = "parent", "devices/interface[@type='direct']/source"


class _Journal:
    """The source's own, by which a guest that lets go late is known."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def last(self, *events: str) -> dict[str, t.Any]:
        """Alias -> the last entry about it, of these events."""
        entries = self._case.records.entries(self._case.intent.run)
        mine = (entry for entry in entries if entry.get("uuid") == self._case.uuid)
        return {entry["alias"]: entry for entry in mine if entry["event"] in (events or (OFF, GONE, ON))}

    def note(self, event: str, nic: Nic, instance: str, **values: t.Any) -> None:
        run, move = self._case.intent.run, self._case.intent.move
        about = {"uuid": move["uuid"], "domain": move["domain"], "alias": nic.alias, "instance": instance}
        self._case.records.note(run, event, **about, **values)

    def pending(self, nic: Nic, instance: str) -> bool:
        said = self.last().get(nic.alias)
        return said is not None and said["event"] == OFF and same_instance(said["instance"], instance)

    def unseen(self, nic: Nic, instance: str) -> bool:
        said = self.last(OFF, GONE, ON, UNSEEN).get(nic.alias)
        return said is not None and said["event"] == UNSEEN and same_instance(said["instance"], instance)


def promising(case: Case) -> t.ContextManager[None]:
    """Around ``planned`` and the journal's word of it: two moves at once would be promised the same function. Raises
    LivemigError."""
    if way_of(case.intent.move)["vf"] == "none":
        return contextlib.nullcontext()
    return case.records.promising(case.destination.name)


def planned(case: Case) -> Case:
    """With what each function is to get at the destination. Changes nothing. Raises LivemigError, and what libvirt
    raises."""
    move = case.intent.move
    if way_of(move)["vf"] == "none":
        return case
    ports = {edit["old"]: edit["new"] or "" for edit in move["edits"] if edit["kind"] == _PORT}
    claimed = _claimed(case)
    with case.open(case.source) as here, case.open(case.destination) as there:
        sides = _side(case, case.source, here), _side(case, case.destination, there)
        found = plan(*sides, ports, _rules(case), claimed, stays=way_of(move)["vf"] == "native")
    return case._replace(intent=case.intent._replace(nics=tuple(found)))


def _claimed(case: Case) -> list[Nic]:
    """By the other moves from here to the same destination that are not over, but for what is attached already: that
    shows there. What is claimed from elsewhere shows when it is attached."""
    others = {uuid: of_kept(*known) for uuid, known in case.records.open_moves().items() if uuid != case.uuid}
    there = case.destination.name
    return [
        nic
        for uuid, other in others.items()
        if other.move["destination"] == there
        for nic in other.nics
        if nic.alias not in _attached(case.records, other.run, uuid)
    ]


def _attached(records: Records, run: str, uuid: str) -> set[str]:
    """Aliases of the functions that a domain has got since its migration was begun for the last time."""
    found: set[str] = set()
    for entry in records.entries(run):
        if entry.get("uuid") == uuid and entry["event"] == "begun":
            found.clear()
        elif entry.get("uuid") == uuid and entry["event"] in (ON, UNSEEN):
            found.add(entry["alias"])
    return found


def detach(case: Case) -> None:
    """Where the way is replug; where QEMU does it (failover), that it will ask the guest is written down: one that does
    not answer may let go long after the migration has failed. Raises LivemigError, and what libvirt raises: then some
    may be off, and settling is due."""
    how, journal = way_of(case.intent.move)["vf"], _Journal(case)
    if not case.intent.nics or how not in (REPLUG, FAILOVER):
        return
    with case.open(case.source) as connection:
        side = _side(case, case.source, connection)
        if how == REPLUG:
            take_off(side, case.intent.nics, journal, _rules(case))
            return
        for nic in case.intent.nics:
            journal.note(OFF, nic, side.instance())


def unplug_s(case: Case) -> float | None:
    """How long QEMU may wait for the guest to let go, for which it has no limit itself (qemu_savevm_wait_unplug); None
    where it does not ask it."""
    return _rules(case).unplug_s if by_qemu(case) else None


def by_qemu(case: Case) -> bool:
    """Whether QEMU takes functions off and puts them on: of what it could not put on libvirt is told nothing."""
    return bool(case.intent.nics) and _rules(case).by_qemu


def waits_too_long(domain: t.Any, timeline: Timeline, limit_s: float, over: threading.Event) -> bool:
    """Returns True once QEMU has waited for so long for the guest to let go; False as soon as it waits no longer, or
    the migration is ``over``. What comes before it asks the guest does not count: Prepare, and the copying of disks."""
    waited_s, apart_s = 0.0, min(_LOOK_S, limit_s / 10)
    while waited_s < limit_s:
        if over.wait(apart_s):
            return False
        stats = _job_stats(domain, timeline)
        if _has_let_go(timeline, stats):
            return False
        waited_s += apart_s if _is_asked(timeline, stats) else 0.0
    return True


def _job_stats(domain: t.Any, timeline: Timeline) -> dict[str, t.Any]:
    """Nothing once the guest has been stopped: then nobody asks any more."""
    if not timeline.stopped():
        with contextlib.suppress(*LIBVIRT_ERRORS):
            return t.cast("dict[str, t.Any]", domain.jobStats(0))
    return {}


def _has_let_go(timeline: Timeline, stats: t.Mapping[str, t.Any]) -> bool:
    """Whether QEMU no longer waits for the guest to let go: it sends no page before that, and tells of none."""
    sent = stats.get("memory_normal") or stats.get("memory_constant")
    return bool(sent) or _past_unplug(timeline) is not None


def _is_asked(timeline: Timeline, stats: t.Mapping[str, t.Any]) -> bool:
    """Whether QEMU migrates memory, before which it asks the guest. It has told so; or the destination is prepared and
    no disk is being copied, since QEMU 11.1 tells of the end of the first pass only."""
    prepared = timeline.first("prepared") is not None and not stats.get("disk_remaining")
    return prepared or timeline.first("iteration") is not None


def _past_unplug(timeline: Timeline) -> Event | None:
    """What has told so in this attempt. The first pass is told of before the guest is asked, or at its end (QEMU 11.1),
    and after a cancelled migration QEMU may count on: neither the first event nor a number tells."""
    later = timeline.all("iteration")[1:]
    return next(iter([*later, *timeline.all("suspended"), *timeline.all("postcopy")]), None)


def note_let_go(case: Case, timeline: Timeline) -> None:
    """What QEMU has been told by the guest: then it owes no answer, and QEMU itself puts the functions on again."""
    event = _past_unplug(timeline) if unplug_s(case) is not None else None
    if event is None:
        return
    at = round(time.time() - (time.monotonic() - event.at), 3)
    journal, asked = _Journal(case), _Journal(case).last()
    with contextlib.suppress(LivemigError):  # then it is asked once more
        for nic in case.intent.nics:
            if nic.alias in asked:
                journal.note(GONE, nic, asked[nic.alias]["instance"], at=at)


def definitions(domain: t.Any, case: Case) -> dict[str, str]:
    """As edits.definitions, with the functions that were planned at the destination."""
    found = edits.definitions(domain, _of_definition(domain, case))
    flags = {"destination_xml": libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE}
    if domain.isPersistent():
        flags["persistent_xml"] = flags["destination_xml"] | libvirt.VIR_DOMAIN_XML_INACTIVE
    for name in flags if case.intent.nics else ():
        for nic in case.intent.nics:
            changed = placed(found.get(name) or domain.XMLDesc(flags[name]), nic, nic.planned)
            if changed is not None:
                found[name] = changed
    if case.intent.nics and way_of(case.intent.move)["vf_immediate"]:
        name = "destination_xml"
        found[name] = allocated_at_once(found.get(name) or domain.XMLDesc(flags[name]))
    return found


def _of_definition(domain: t.Any, case: Case) -> list[Edit]:
    """Without what is about the port of a function alone: no macvtap has that one below it."""
    wanted, ports = case.intent.move["edits"], {nic.port for nic in case.intent.nics}
    if not ports:
        return wanted
    below = {source.get("dev") for source in parse_xml(domain.XMLDesc(0)).findall(_BELOW)}
    return [edit for edit in wanted if edit["kind"] != _PORT or edit["old"] not in ports - below]


def put_back(case: Case, end: End, connection: Connection) -> tuple[str, ...]:
    """Returns what is right but should be known. Raises LivemigError where the guest is not what its intent says: which
    NIC, where, and what to do."""
    if not case.intent.nics:
        return ()
    side = _side(case, end, connection)
    if side.live() is None:
        return ()
    restored = restore(side, case.intent.nics, end == case.source, _Journal(case), _rules(case))
    if restored.left:
        raise LivemigError(
            f"NICs of domain {case.intent.move['domain']} on {end.name}",
            value="; ".join((*restored.left, *restored.notes)),
            expected="what it had before the migration",
            remedy=_FREE if restored.missing else _ANSWER,
        )
    return restored.notes


def with_open(case: Case, error: str | None) -> str | None:
    """The error with the functions that are not known to be back, as far as it does not name them."""
    last = _Journal(case).last() if case.intent.nics else {}
    off = [nic.called for nic in case.intent.nics if nic.alias in last and last[nic.alias]["event"] != ON]
    unsaid = [called for called in off if called not in (error or "")]
    text = (
        f"{', '.join(unsaid)} was being taken off and may be missing: run recover, which puts it back"
        if unsaid
        else None
    )
    return "; ".join(filter(None, (error, text))) or None


def with_phases(case: Case, result: Outcome, started: float) -> Outcome:
    """With what the journal tells of the functions. When QEMU had the guest's answer is not known to the moment.

    ``started``: on ``time.monotonic()``."""
    told = {OFF, ON, UNSEEN, QUIET} | (set() if _rules(case).by_qemu else {GONE})
    began = time.time() - (time.monotonic() - started)
    mine: list[Phase] = [
        {"name": entry["event"], "at_ms": round((entry["at"] - began) * 1000)}
        for entry in (case.records.entries(case.intent.run) if case.intent.nics else ())
        if entry["event"] in told and entry["uuid"] == case.uuid
    ]
    return {**result, "phases": sorted([*result["phases"], *mine], key=lambda phase: phase["at_ms"])}


def _side(case: Case, end: End, connection: Connection) -> Side:
    return Side(connection, case.uuid, end.name, boot_id() if end.name == case.here else None)


def _rules(case: Case) -> Rules:
    way = way_of(case.intent.move)
    return RULES._replace(gap=way["vf_gap"], by_qemu=way["vf"] == FAILOVER)
