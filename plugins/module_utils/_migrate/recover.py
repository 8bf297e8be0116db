# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the migrations that were interrupted, as far as this host knows of them, and ends each.

It knows of those whose intent one of its domains bears, here as the source or as the destination, and of those that
its own journal says were begun here.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connect, error_text
from .._model.api import Recovery
from .._observe.api import redacted
from . import intent, verdict
from .case import Case, End, Rules
from .intent import Intent
from .records import Busy, Records
from .settle import Settled, settle
from .truth import NO_CONNECTION

_FAILURES: tuple[type[Exception], ...] = (*NO_CONNECTION, OSError)


class Asked(t.NamedTuple):
    """``name``: this host; ``uri``: its own libvirt; ``uris``: host -> how this host reaches its libvirt.

    ``fenced``: hosts that are dead, and known not to come back with guests running. ``domains``: only these, by name;
    None: all. ``hosts``: only those from or to these hosts; None: all.
    """

    name: str
    uri: str
    uris: t.Mapping[str, str]
    fenced: t.Collection[str] = ()
    domains: t.Collection[str] | None = None
    hosts: t.Collection[str] | None = None


def recover(asked: Asked, rules: Rules, connect: Connect, records: Records) -> list[Recovery]:
    """What was found and what was done, by domain name. Raises LivemigError where this host's libvirt is not there."""
    found = _found(asked, connect, records)
    wanted = [each for each in found if _is_wanted(each, asked)]
    wanted.sort(key=lambda each: (each.move["domain"], each.move["uuid"]))
    return [_recover(each, asked, rules, connect, records) for each in wanted]


def _is_wanted(each: Intent, asked: Asked) -> bool:
    ends = {each.move["source"], each.move["destination"]}
    return (asked.domains is None or each.move["domain"] in asked.domains) and (
        asked.hosts is None or bool(ends.intersection(asked.hosts))
    )


def _found(asked: Asked, connect: Connect, records: Records) -> list[Intent]:
    """A domain's own intent counts more than the journal: a later run may have replaced what that one knew."""
    intents: dict[str, Intent] = {}
    for uuid, known in records.open_moves().items():
        intents[uuid] = intent.of_kept(*known)
    connection = connect(asked.uri)
    try:
        for domain in connection.listAllDomains():
            with contextlib.suppress(*LIBVIRT_ERRORS):
                own = intent.read(domain)
                if own is not None:
                    intents[own.move["uuid"]] = own
    finally:
        connection.close()
    return list(intents.values())


def _recover(each: Intent, asked: Asked, rules: Rules, connect: Connect, records: Records) -> Recovery:
    move = each.move
    source, destination = (_end(asked, move[side]) for side in ("source", "destination"))
    if destination.uri is None and not destination.fenced:
        destination = End(destination.name, move["destination_uri"])
    others = [_end(asked, name) for name in (asked.name, *asked.uris) if name not in (source.name, destination.name)]
    case = Case(each, source, destination, connect, records, asked.name, tuple(dict.fromkeys(others)))
    try:
        if rules.look_only:
            return _said(case, settle(case, rules))
        records.ready()
        with records.lock(move["uuid"], rules.wait_s):
            return _said(case, settle(case, rules))
    except Busy as busy:
        return _entry(case, "in_hands", "unknown", str(busy), None)
    except _FAILURES as error:
        return _entry(case, "unknown", "unknown", error_text(error), None)


def _end(asked: Asked, name: str) -> End:
    return End(name, asked.uri if name == asked.name else asked.uris.get(name), name in asked.fenced)


def _entry(case: Case, name: str, state: str, meaning: str, error: str | None) -> Recovery:
    move = case.intent.move
    return {
        "domain": move["domain"],
        "uuid": move["uuid"],
        "run": case.intent.run,
        "source": move["source"],
        "destination": move["destination"],
        "verdict": name,
        "state": state,
        "running_on": None,
        "meaning": meaning,
        "places": "",
        "commands": [],
        "did": [],
        "error": None if error is None else redacted(error),
        "sentence": redacted(f"{move['domain']}: {name}: {meaning}."),
    }


def _said(case: Case, settled: Settled) -> Recovery:
    move, found = case.intent.move, settled.verdict
    meaning = "; ".join((found.meaning, *settled.notes))
    entry = _entry(case, found.name, found.outcome, meaning, settled.error)
    entry["running_on"] = None if found.on is None else move[found.on]
    entry["places"] = verdict.explain(move["source"], settled.source, move["destination"], settled.destination)
    uris = [end.uri or f"(no URI of {end.name})" for end in (case.source, case.destination)]
    # Whoever takes the mark away by hand takes away what says which NICs are missing.
    entry["commands"] = [] if case.intent.nics and settled.error else verdict.commands(found, move["domain"], *uris)
    entry["did"] = list(settled.did)
    entry["sentence"] = _sentence(entry)
    return entry


def _sentence(entry: Recovery) -> str:
    done = f" Done: {', '.join(entry['did'])}." if entry["did"] else ""
    wrong = f" Not done: {entry['error']}." if entry["error"] else ""
    last = entry["did"][-1:] if not entry["error"] else []
    by_hand = f" By hand: {'; '.join(entry['commands'])}." if entry["commands"] and not last else ""
    return f"{entry['domain']}: {entry['verdict']}: {entry['meaning']}. {entry['places']}.{done}{wrong}{by_hand}"
