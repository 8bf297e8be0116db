# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The move of one domain: last look, intent, migration, and the truth about how it ended.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, error_text, find_domain, libvirt
from .._model.api import Finding, HostSnapshot, LivemigError, Move, Outcome, way_of
from .._observe.api import domain_snapshot, remote_snapshot
from .._preflight.api import judged_as, volatile_findings
from . import intent, nics, verdict
from .case import Case, Rules
from .ceiling import ADOPTED, UNHEARD
from .converge import Pilot
from .guard import guarded, heard
from .outcome import measured, outcome
from .progress import Board
from .records import Busy
from .request import flags, parameters, require_versions
from .settle import Settled, autostart, settle
from .shares import Shares
from .stall import CUT, Connections
from .truth import NO_CONNECTION
from .watch import Timeline, Watch

# How long after libvirt's return the events may still be on their way through the event thread.
_EVENTS_S = 5.0
_ABORT_AGAIN_S = 0.2
_CUT_SAID = (
    "the destination was out of reach at the switchover, so QEMU's connections were ended for the guest to go on here"
)
_HELD_SAID = "the guest has not let go of its functions within {:g} s, and QEMU's failover would wait for ever"
# Right after a failure the way that failed is not tried again: recover does that, once it has been seen to.
_LEFT_TO_RECOVER = (verdict.RESUME_POSTCOPY,)


class Options(t.NamedTuple):
    """``tls``: required or off; ``timeout_s``: a migration that takes longer is aborted.

    ``return_s``: how long a daemon may be silent after an error. ``apart_s``: between two looks at both hosts.
    """

    tls: str
    timeout_s: int
    return_s: float = 15.0
    apart_s: float = 2.0


class Link(t.NamedTuple):
    """The connections of one move. ``source`` is its own, since the migration keeps it busy: libvirt serves few calls
    at once on one connection. ``asks``: another one to the source, by which is asked meanwhile."""

    source: Connection
    destination: Connection
    asks: Connection


class Run(t.NamedTuple):
    """What the moves of one run have in common. ``history``: what earlier ones have shown (Records.history)."""

    options: Options
    watch: Watch
    board: Board
    shares: Shares
    history: t.Sequence[t.Mapping[str, t.Any]] = ()


def move_domain(link: Link, case: Case, run: Run) -> Outcome:
    """Moves one domain and returns what became of it. Raises nothing that libvirt reports: it is in the outcome."""
    move = case.intent.move
    try:
        with case.records.lock(case.uuid):
            return _locked(link, case, run)
    except Busy as busy:
        return outcome(move, "refused", running_on=move["source"], error=str(busy))
    except LivemigError as error:
        return outcome(move, "refused", running_on=None, error=str(error))


def _locked(link: Link, case: Case, run: Run) -> Outcome:
    move, options = case.intent.move, run.options
    try:
        mark = _mark(link, case)
        unfinished = None if mark is None else _earlier(link, case, options, mark)
        if unfinished is not None:
            return unfinished
        domain = find_domain(link.source, case.uuid)
        if domain is None:
            return _elsewhere(case, options)
        refused = [finding for finding in last_look(link, domain, move, options) if finding["blocks"]]
    except LIBVIRT_ERRORS as error:
        return outcome(move, "refused", running_on=None, error=error_text(error))
    if refused:
        reasons = " ".join(f"[{f['check']}] {f['message']} Remedy: {f['remedy'].rstrip('.')}." for f in refused)
        return outcome(move, "refused", running_on=move["source"], error=reasons)
    timeline = run.watch.fresh(case.uuid)
    if mark is not None:
        timeline.add(ADOPTED)
    with contextlib.ExitStack() as promised:
        return _planned(link, domain, case, run, timeline, promised)


def _planned(
    link: Link, domain: t.Any, case: Case, run: Run, timeline: Timeline, promised: contextlib.ExitStack
) -> Outcome:
    """``promised``: held until the journal tells what the domain was promised at the destination."""
    move = case.intent.move
    try:
        promised.enter_context(nics.promising(case))
        case = nics.planned(case)
        asks = link.asks.lookupByUUIDString(case.uuid)
        runs = way_of(move)["state"] == "running"
        pilot = Pilot(asks, move, timeline, run.shares, run.history) if runs else None
        if pilot is not None and pilot.refused is not None:
            return pilot.kept(outcome(move, "refused", running_on=move["source"], error=pilot.refused))
        run.board.started(case.uuid, asks, timeline)
    except LivemigError as error:
        return outcome(move, "refused", running_on=move["source"], error=str(error))
    except LIBVIRT_ERRORS as error:
        return outcome(move, "refused", running_on=None, error=error_text(error))
    return _migrate(link, domain, _as_it_starts(domain, case), run, timeline, pilot, promised)


def _as_it_starts(domain: t.Any, case: Case) -> Case:
    """With the domain's own autostart flag, which is what it gets back: the plan may be older, or not know it."""
    if not domain.isPersistent():
        return case
    move: Move = {**case.intent.move, "autostart": bool(domain.autostart())}
    return case._replace(intent=case.intent._replace(move=move))


def _mark(link: Link, case: Case) -> intent.Intent | None:
    """Of an earlier run that was interrupted with this domain."""
    domain = find_domain(link.source, case.uuid)
    mark = None if domain is None else intent.read(domain)
    known = case.records.open_moves().get(case.uuid) if mark is None else None
    return mark if known is None else intent.of_kept(*known)


def _earlier(link: Link, case: Case, options: Options, mark: intent.Intent) -> Outcome | None:
    """Ends what an earlier run with this domain was interrupted in; None where the domain can be moved after that."""
    if mark.move["source"] != case.source.name:
        text = f"its migration from {mark.move['source']} (run {mark.run}) has not come to its end. Remedy: run recover"
        return outcome(case.intent.move, "refused", running_on=case.source.name, error=text)
    ends = case.source, case.destination._replace(name=mark.move["destination"], uri=mark.move["destination_uri"])
    earlier = Case(mark, *ends, case.connect, case.records, case.here)
    rules = _rules(options)
    if find_domain(link.source, case.uuid) is None:
        rules = rules._replace(leave=(*rules.leave, verdict.RELEASE_ENDED))
    settled = settle(earlier, rules)
    lost = settled.verdict.name == "moved" and nics.by_qemu(earlier) and settled.notes
    if settled.error is None and settled.verdict.name in ("rolled_back", "moved", "ended") and not lost:
        return None
    return conclude(earlier, settled, f"run {mark.run} was interrupted with this domain")


def last_look(link: Link, domain: t.Any, move: Move, options: Options) -> list[Finding]:
    """The checks whose facts can have changed since the plan was made, from both hosts as they are now."""
    # The source's own host facts play no part in a volatile check beyond its identity.
    hosts = [remote_snapshot(link.source, move["source"]), remote_snapshot(link.destination, move["destination"])]
    require_versions(move, options.tls, _versions(hosts))
    policy = _policy(move, options)
    return volatile_findings(hosts, [domain_snapshot(domain, move["source"])], [move["destination"]], {}, policy)


def _versions(hosts: t.Sequence[HostSnapshot]) -> dict[str, int]:
    return {host["name"]: host["libvirt_version"] for host in hosts if "libvirt_version" in host}


def _policy(move: Move, options: Options) -> dict[str, t.Any]:
    """What was decided when the plan was made: its edits, and nothing else, are allowed."""
    kinds: dict[str, dict[str, str | None]] = {}
    for edit in move["edits"]:
        kinds.setdefault(edit["kind"], {})[edit["old"]] = edit["new"]
    return {
        "tls": options.tls,
        "uris": {move["destination"]: move["destination_uri"]},
        "controls": move["controls"],
        "migration": judged_as(move),
        "state": way_of(move)["state"],
        "edits": {"allow": list(kinds), "map": {move["destination"]: kinds}},
    }


def _elsewhere(case: Case, options: Options) -> Outcome:
    """The source does not know the domain: either an earlier run has moved it, or the plan is out of date."""
    move = case.intent.move
    # It may be on a third host, so no definition of it is put back here.
    settled = settle(case, _rules(options)._replace(leave=(*_LEFT_TO_RECOVER, verdict.RELEASE_ENDED)))
    if settled.verdict.name == "moved":
        return _with(outcome(move, "already_there", running_on=move["destination"]), settled.error)
    error = LivemigError(
        f"Domain {move['domain']}",
        value=f"UUID {move['uuid']} is neither on {move['source']} nor running on {move['destination']}",
        expected=f"a domain of {move['source']}",
        remedy="make a new plan: run the evacuation again",
    )
    return outcome(move, "refused", error=str(error))


def _migrate(
    link: Link,
    domain: t.Any,
    case: Case,
    run: Run,
    timeline: Timeline,
    pilot: Pilot | None,
    promised: contextlib.ExitStack,
) -> Outcome:
    """One attempt, or two where the policy wants that. ``pilot``: None for a guest that does not run."""
    options, started = run.options, time.monotonic()
    until = started + options.timeout_s
    error_said: str | None
    while True:
        going = case if pilot is None else case.going(pilot.way(way_of(case.intent.move)))
        try:
            request = _request(domain, going, options, {} if pilot is None else pilot.parameters(), promised)
        except NO_CONNECTION as error:
            if going.intent.nics:
                settled, error_said = settle(going, _rules(options, sure=True)), error_text(error)
                break
            forget(domain, going)
            refused = outcome(case.intent.move, "refused", running_on=case.source.name, error=error_text(error))
            return refused if pilot is None else pilot.kept(refused)
        settled, error_said = _attempt(link, domain, going, options, timeline, run.shares, pilot, request, until)
        back = settled.verdict.name == "rolled_back" and settled.error is None and time.monotonic() < until
        if error_said is None or not back or pilot is None or not pilot.again():
            break
        try:
            promised.enter_context(nics.promising(case))
            case = nics.planned(case)
        except NO_CONNECTION as error:
            error_said = f"{error_said}; it was not tried again: {error_text(error)}"
            break
    ended = time.monotonic()
    result = conclude(case, settled, error_said)
    if result["state"] == "moved" and way_of(case.intent.move)["state"] == "running":
        timeline.wait(("resumed", "completed"), _EVENTS_S)
    if not link.asks.isAlive():
        timeline.add(UNHEARD)
    elif verdict.RESUME_SOURCE in settled.did:
        timeline.wait(("unpaused",), _EVENTS_S)
    result = nics.with_phases(case, measured(result, timeline, started, ended), started)
    return result if pilot is None else pilot.kept(result)


def _request(
    domain: t.Any,
    case: Case,
    options: Options,
    more: t.Mapping[str, t.Any],
    promised: t.ContextManager[object],
) -> tuple[dict[str, t.Any], int]:
    """Parameters and flags, with everything on the disk. Raises NO_CONNECTION: then nothing is to be started."""
    move = case.intent.move
    with promised:
        wanted_flags = flags(move, options.tls)
        begin(domain, case)
    nics.detach(case)
    # Read after the intent was written, since what is sent instead of libvirt's own must hold it too.
    return {**parameters(move, nics.definitions(domain, case), options.tls), **more}, wanted_flags


def _attempt(
    link: Link,
    domain: t.Any,
    case: Case,
    options: Options,
    timeline: Timeline,
    shares: Shares,
    pilot: Pilot | None,
    request: tuple[dict[str, t.Any], int],
    until: float,
) -> tuple[Settled, str | None]:
    """What became of it, and what libvirt said of it."""
    move, error_said, sure = case.intent.move, None, True
    note = functools.partial(case.records.note, case.intent.run, uuid=case.uuid, domain=move["domain"])
    connections = Connections(move["domain"], move["migrate_uri"])
    guard = guarded(case.uuid, link.asks, link.destination, timeline, note, connections)
    steering = _unsteered(case, shares) if pilot is None else pilot.steering()
    # In this order: the policy ends before what stands guard over it.
    with contextlib.ExitStack() as stack:
        stack.enter_context(guard)
        late = stack.enter_context(_aborted_after(until - time.monotonic(), domain))
        held = stack.enter_context(_unplugged(case, domain, timeline))
        stack.enter_context(steering)
        try:
            domain.migrateToURI3(move["destination_uri"], *request)
        except libvirt.libvirtError as caught:
            error_said, sure = error_text(caught), False
            if late.is_set():
                error_said = f"aborted after {options.timeout_s} s (timeout_s): {error_said}"
            if held.is_set():
                error_said = f"aborted, since {_HELD_SAID.format(nics.unplug_s(case))}: {error_said}"
            heard(timeline)
            if timeline.first(CUT) is not None:
                error_said = f"{_CUT_SAID}: {error_said}"
    nics.note_let_go(case, timeline)
    if error_said is not None and pilot is not None and pilot.gave_up is not None and not late.is_set():
        error_said = f"aborted by its policy: {pilot.gave_up}: {error_said}"
        # Nothing was started there, and libvirt has ended its half before it told us.
        sure = not timeline.stopped()
    return settle(case, _rules(options, sure)), error_said


def _unsteered(case: Case, shares: Shares) -> t.ContextManager[None]:
    """Of a guest that is shut off nothing but its definition is sent."""
    return shares.using(case.uuid) if case.state == "paused" else contextlib.nullcontext()


def begin(domain: t.Any, case: Case) -> None:
    """Everything that is needed to end this migration is on the disk and in the domain before anything is touched.

    It no longer starts with this host: a host that goes down now must not come back with a second instance.
    """
    move = case.intent.move
    secure = libvirt.VIR_DOMAIN_XML_SECURE
    inactive = secure | libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    definition = {
        "run": case.intent.run,
        "live": domain.XMLDesc(secure),
        "inactive": domain.XMLDesc(inactive) if domain.isPersistent() else None,
    }
    case.records.keep_definition(case.uuid, definition)
    kept = intent.kept_nics(case.intent.nics)
    case.records.note(
        case.intent.run, "begun", uuid=case.uuid, domain=move["domain"], move=move, tls=case.intent.tls, nics=kept
    )
    intent.write(domain, case.intent)
    autostart(domain, False)


def forget(domain: t.Any, case: Case) -> None:
    """Takes back what ``begin`` has done, where nothing was started."""
    with contextlib.suppress(*LIBVIRT_ERRORS):
        autostart(domain, case.intent.move["autostart"])
        intent.remove(domain)
    case.records.drop_definition(case.uuid)
    with contextlib.suppress(LivemigError):  # then nothing of its beginning was noted either
        case.records.note(case.intent.run, "ended", uuid=case.uuid, domain=case.intent.move["domain"], how="refused")


def _rules(options: Options, sure: bool = False) -> Rules:
    """``sure``: it is known how it has ended, so that one look is enough to find what is left to do."""
    return Rules(
        wait_s=options.timeout_s,
        return_s=options.return_s,
        apart_s=0.0 if sure else options.apart_s,
        leave=_LEFT_TO_RECOVER,
    )


def conclude(case: Case, settled: Settled, error: str | None) -> Outcome:
    """The outcome of a migration that was settled. ``error``: what libvirt had said of it."""
    move, found = case.intent.move, settled.verdict
    running_on = None if found.on is None else move[found.on]
    if found.name == "under_way":
        found = found._replace(meaning=f"{found.meaning}; it was waited for in vain")
    if error is None and found.name == "unknown":
        # libvirt vouches for the move; a host has fallen silent since.
        left = f"it has moved, but {found.meaning}: recover does what is left to do"
        left = "; ".join(filter(None, (left, settled.error)))
        return outcome(move, "moved", running_on=move["destination"], error=left)
    if error is not None:
        places = verdict.explain(move["source"], settled.source, move["destination"], settled.destination)
        error = f"{error} ({places})"
    elif found.outcome != "moved":
        error = found.meaning
    if settled.error is not None:
        error = "; ".join(filter(None, (error, f"what is left to do could not be done: {settled.error}")))
    if nics.by_qemu(case):  # what libvirt itself has attached is there, however late the guest shows it
        error = "; ".join(filter(None, (error, *settled.notes))) or None
    return outcome(move, found.outcome, running_on=running_on, error=error)


def _with(result: Outcome, error: str | None) -> Outcome:
    result["error"] = "; ".join(filter(None, (result["error"], error))) or None
    return result


def _unplugged(case: Case, domain: t.Any, timeline: Timeline) -> t.ContextManager[threading.Event]:
    """Aborts a migration in which QEMU waits for too long for the guest to let go of its functions."""
    limit_s = nics.unplug_s(case)
    if limit_s is None:
        return contextlib.nullcontext(threading.Event())
    return _aborted_when(lambda over: nics.waits_too_long(domain, timeline, limit_s, over), domain)


def _aborted_after(timeout_s: float, domain: t.Any) -> t.ContextManager[threading.Event]:
    """Aborts the domain's job when the block takes longer."""
    return _aborted_when(lambda over: not over.wait(timeout_s), domain)


@contextlib.contextmanager
def _aborted_when(due: t.Callable[[threading.Event], bool], domain: t.Any) -> t.Iterator[threading.Event]:
    """Aborts the domain's job when that is due, of which the function that is given the end of the block returns
    whether it is. The event says that this was tried."""
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        if not due(done):
            return
        late.set()
        # libvirt refuses to abort while the migration is still being prepared or is being confirmed.
        while not done.is_set():
            with contextlib.suppress(libvirt.libvirtError):
                domain.abortJob()
            done.wait(_ABORT_AGAIN_S)

    watcher = threading.Thread(target=watch, name=f"timeout of {domain.name()}", daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        done.set()
        # It may hang in an abort that waits for the job which has just ended.
        watcher.join(_ABORT_AGAIN_S * 10)
