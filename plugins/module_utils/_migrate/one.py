# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The move of one domain: last look, migration, what follows at the destination, and the truth after an error.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, error_code, error_text, libvirt
from .._model.api import Finding, LivemigError, Move, Outcome
from .._observe.api import domain_snapshot, remote_snapshot
from .._preflight.api import volatile_findings
from .edits import definitions
from .outcome import measured, outcome
from .request import flags, parameters
from .truth import Place, explain, verdict
from .watch import Timeline, Watch

# How long after libvirt's return the events may still be on their way through the event thread.
_EVENTS_S = 5.0
_ABORT_AGAIN_S = 0.2


class Options(t.NamedTuple):
    """``tls``: required or off; ``timeout_s``: a migration that takes longer is aborted."""

    tls: str
    timeout_s: int


class Link(t.NamedTuple):
    """Two connections of one move. The source's is its own: libvirt serves few calls at once on one connection.

    ``look`` asks a host where the domain is, over a connection that is alive: look("source", uuid).
    """

    source: Connection
    destination: Connection
    look: t.Callable[[str, str], Place]


def move_domain(link: Link, move: Move, options: Options, watch: Watch) -> Outcome:
    """Moves one domain and returns what became of it. Raises nothing that libvirt reports: it is in the outcome."""
    try:
        domain = _find(link, move)
        if domain is None:
            return _elsewhere(link, move)
        refused = [finding for finding in last_look(link, domain, move, options) if finding["blocks"]]
    except LIBVIRT_ERRORS as error:
        return outcome(move, "refused", running_on=None, error=error_text(error))
    if refused:
        reasons = " ".join(f"[{f['check']}] {f['message']} Remedy: {f['remedy'].rstrip('.')}." for f in refused)
        return outcome(move, "refused", running_on=move["source"], error=reasons)
    return _migrate(link, domain, move, options, watch.timeline(move["uuid"]))


def last_look(link: Link, domain: t.Any, move: Move, options: Options) -> list[Finding]:
    """The checks whose facts can have changed since the plan was made, from both hosts as they are now."""
    # The source's own host facts play no part in a volatile check beyond its identity.
    hosts = [remote_snapshot(link.source, move["source"]), remote_snapshot(link.destination, move["destination"])]
    policy = _policy(move, options)
    return volatile_findings(hosts, [domain_snapshot(domain, move["source"])], [move["destination"]], {}, policy)


def _policy(move: Move, options: Options) -> dict[str, t.Any]:
    """What was decided when the plan was made: its edits, and nothing else, are allowed."""
    kinds: dict[str, dict[str, str | None]] = {}
    for edit in move["edits"]:
        kinds.setdefault(edit["kind"], {})[edit["old"]] = edit["new"]
    return {
        "tls": options.tls,
        "uris": {move["destination"]: move["destination_uri"]},
        "controls": move["controls"],
        "edits": {"allow": list(kinds), "map": {move["destination"]: kinds}},
    }


def _find(link: Link, move: Move) -> t.Any:
    try:
        return link.source.lookupByUUIDString(move["uuid"])
    except libvirt.libvirtError as error:
        if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _elsewhere(link: Link, move: Move) -> Outcome:
    """The source does not know the domain: either an earlier run has moved it, or the plan is out of date."""
    if link.look("destination", move["uuid"]).running:
        return _arrived(link, outcome(move, "already_there", running_on=move["destination"]), move)
    error = LivemigError(
        f"Domain {move['domain']}",
        value=f"UUID {move['uuid']} is neither on {move['source']} nor running on {move['destination']}",
        expected=f"a domain of {move['source']}",
        remedy="make a new plan: run the evacuation again",
    )
    return outcome(move, "refused", error=str(error))


def _migrate(link: Link, domain: t.Any, move: Move, options: Options, timeline: Timeline) -> Outcome:
    started = time.monotonic()
    error = None
    with _aborted_after(options.timeout_s, domain) as late:
        try:
            wanted = parameters(move, definitions(domain, move["edits"]))
            domain.migrateToURI3(move["destination_uri"], wanted, flags(move, options.tls))
        except LivemigError as changed:
            return outcome(move, "refused", running_on=move["source"], error=str(changed))
        except libvirt.libvirtError as caught:
            error = error_text(caught)
            if late.is_set():
                error = f"aborted after {options.timeout_s} s (timeout_s): {error}"
    ended = time.monotonic()
    result = _ended(link, move, error)
    if result["state"] == "moved":
        timeline.wait(("suspended", "resumed", "completed"), _EVENTS_S)
    return measured(result, timeline, started, ended)


@contextlib.contextmanager
def _aborted_after(timeout_s: int, domain: t.Any) -> t.Iterator[threading.Event]:
    """Aborts the domain's job when the block takes longer. The event says that this was tried."""
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        if done.wait(timeout_s):
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


def _arrived(link: Link, result: Outcome, move: Move) -> Outcome:
    """Gives the domain its autostart flag there: libvirt does not migrate it, it is a link in the host's file system.

    It is set and cleared, since an old definition there may have left another one.
    """
    if not move["persistent"]:
        return result
    try:
        domain = link.destination.lookupByUUIDString(move["uuid"])
        if bool(domain.autostart()) != move["autostart"]:
            domain.setAutostart(int(move["autostart"]))
    except libvirt.libvirtError as error:
        text = f"it is there, but its autostart flag could not be set: {error_text(error)}"
        result["error"] = "; ".join(filter(None, (result["error"], text)))
    return result


def _ended(link: Link, move: Move, error: str | None) -> Outcome:
    """Without an error libvirt vouches for the move; after one only the two hosts do."""
    if error is None:
        return _arrived(link, outcome(move, "moved", running_on=move["destination"]), move)
    source, destination = link.look("source", move["uuid"]), link.look("destination", move["uuid"])
    state, running_on = verdict(move, source, destination)
    result = outcome(move, state, running_on=running_on, error=f"{error} ({explain(move, source, destination)})")
    return _arrived(link, result, move) if state == "moved" else result
