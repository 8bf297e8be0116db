# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is not as it was in the audit before. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import SCHEMA, LivemigError

from .types import Audit, AuditDomain, AuditHost, Difference, Since

WORSE = ("silent", "twice", "trapped", "lost")
BETTER = ("answers", "once", "freed", "gained")
CHANGED = ("new", "gone", "unseen", "moved", "stopped", "started", "host_new", "host_gone")
_SHOWN_NAMES = 8

_TEXTS: t.Mapping[str, str] = {
    "silent": "Host {host} does not answer any more",
    "twice": "{domains}: active on two hosts now",
    "trapped": "{domains}: can go nowhere now",
    "lost": "{domains}: can no longer go to {destinations}",
    "answers": "Host {host} answers again",
    "once": "{domains}: active on one host only again",
    "freed": "{domains}: can go to {destinations} now, and could go nowhere",
    "gained": "{domains}: can go to {destinations} too now",
    "new": "{domains}: new on {host}",
    "gone": "{domains}: no longer there, last seen on {host}",
    "unseen": "{domains}: not seen, since host {host} does not answer",
    "moved": "{domains}: on {host} now",
    "stopped": "{domains}: stopped on {host}",
    "started": "{domains}: started on {host}",
    "host_new": "Host {host} is new",
    "host_gone": "Host {host} is not in this audit",
}


class _Known(t.NamedTuple):
    """What an audit says of one UUID. ``domain``: None of a stopped one; the first one where several have it."""

    name: str
    host: str
    domain: AuditDomain | None


class _Event(t.NamedTuple):
    """A difference before those that are alike are put together."""

    what: str
    name: str = ""
    uuid: str = ""
    host: str | None = None
    destinations: tuple[str, ...] = ()
    obstacles: tuple[int, ...] = ()


def read_audit(path: str, value: t.Any) -> Audit:
    """An earlier audit as it was read from JSON. Raises LivemigError where it is none of this version."""
    whole = isinstance(value, dict)
    kind, schema = (value.get("kind"), value.get("schema")) if whole else (None, None)
    if kind != "audit" or schema != SCHEMA:
        said = f"kind {kind}, schema {schema}" if whole else f"JSON, but a {type(value).__name__}"
        raise not_an_audit(path, said)
    try:
        for entry in value["domains"]:
            _read(entry)
        _known(value)
        _hosts(value)
        int(value["finished"] or 0)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise not_an_audit(path, f"an audit without {error}" if isinstance(error, KeyError) else str(error)) from None
    return t.cast(Audit, value)


def _read(domain: AuditDomain) -> tuple[t.Any, ...]:
    """What a comparison reads of a domain. Raises where it is not there."""
    return domain["trapped"], list(domain["twins"]), [str(host) for host in domain["destinations"]]


def not_an_audit(path: str, said: str) -> LivemigError:
    return LivemigError(
        f"Earlier audit {path}",
        value=said,
        expected=f"kind audit, schema {SCHEMA}, as livemig.libvirt.audit of this version wrote it",
        remedy="move the file away, and the next audit is a first one; or keep audits in another directory. "
        "Nothing was overwritten",
    )


def since(before: Audit, now: Audit) -> Since:
    """What became worse, better, or just different since the audit ``before``."""
    events = [*_of_hosts(before, now), *_of_domains(before, now)]
    return {
        "finished": before["finished"],
        "worse": _together(events, WORSE),
        "better": _together(events, BETTER),
        "changed": _together(events, CHANGED),
    }


def _hosts(audit: Audit) -> dict[str, str | None]:
    return {host["name"]: host["reason"] for host in audit["hosts"]}


def _known(audit: Audit) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for domain in audit["domains"]:
        found.setdefault(domain["uuid"], _Known(domain["name"], domain["host"], domain))
    for stopped in audit["stopped"]:
        found.setdefault(stopped["uuid"], _Known(stopped["name"], stopped["host"], None))
    return found


def _of_hosts(before: Audit, now: Audit) -> t.Iterator[_Event]:
    old, new = _hosts(before), _hosts(now)
    for name in sorted({*old, *new}):
        if name not in new:
            yield _Event("host_gone", host=name)
            continue
        if name not in old:
            yield _Event("host_new", host=name)
        if new[name] is not None and old.get(name) is None:
            yield _Event("silent", host=name)
        elif new[name] is None and old.get(name) is not None:
            yield _Event("answers", host=name)


def _of_domains(before: Audit, now: Audit) -> t.Iterator[_Event]:
    old, new, silent = _known(before), _known(now), _silent(now)
    # Of a host that was not looked at then, nothing is known that could have become worse.
    unseen = _silent(before) | ({*_hosts(now)} - {*_hosts(before)})
    for uuid in sorted({*old, *new}, key=lambda uuid: (new.get(uuid) or old[uuid])[:2]):
        was, is_ = old.get(uuid), new.get(uuid)
        if is_ is None and was is not None:
            yield _Event("unseen" if was.host in silent else "gone", was.name, uuid, was.host)
        elif is_ is not None and was is None and is_.host in unseen:
            yield _Event("new", is_.name, uuid, is_.host)
        elif is_ is not None:
            yield from _of_domain(was, is_, uuid)


def _silent(audit: Audit) -> set[str]:
    return {host["name"] for host in audit["hosts"] if _is_silent(host)}


def _is_silent(host: AuditHost) -> bool:
    return host["reason"] is not None


def _of_domain(was: _Known | None, now: _Known, uuid: str) -> t.Iterator[_Event]:
    """``was``: None of a new one."""
    name = now.name
    if was is None:
        yield _Event("new", name, uuid, now.host)
    elif was.host != now.host:
        yield _Event("moved", name, uuid, now.host)
    before, after = None if was is None else was.domain, now.domain
    if after is None:
        if before is not None:
            yield _Event("stopped", name, uuid, now.host)
        return
    if was is not None and before is None:
        yield _Event("started", name, uuid, now.host)
    yield from _of_twins(before, after, uuid)
    yield from _of_ways(before, after, uuid)


def _of_twins(before: AuditDomain | None, after: AuditDomain, uuid: str) -> t.Iterator[_Event]:
    twice = bool(before and before["twins"])
    if bool(after["twins"]) != twice:
        yield _Event("twice" if after["twins"] else "once", after["name"], uuid, after["host"])


def _of_ways(before: AuditDomain | None, after: AuditDomain, uuid: str) -> t.Iterator[_Event]:
    name = after["name"]
    if after["trapped"] and not (before and before["trapped"]):
        places = before["destinations"] if before else list(after["blocked"])
        yield _Event("trapped", name, uuid, after["host"], (), _against(after, places))
        return
    if before is None:
        return
    if before["trapped"] and not after["trapped"]:
        yield _Event("freed", name, uuid, None, tuple(after["destinations"]))
        return
    had, has = set(before["destinations"]), set(after["destinations"])
    lost, gained = sorted(had - has - {after["host"]}), sorted(has - had - {before["host"]})
    if lost:
        yield _Event("lost", name, uuid, None, tuple(lost), _against(after, lost))
    if gained:
        yield _Event("gained", name, uuid, None, tuple(gained))


def _against(domain: AuditDomain, destinations: t.Iterable[str]) -> tuple[int, ...]:
    at = [number for host in destinations for number in domain["blocked"].get(host, ())]
    return tuple(dict.fromkeys([*domain["everywhere"], *at]))


def _together(events: t.Iterable[_Event], kinds: t.Sequence[str]) -> list[Difference]:
    groups: dict[tuple[t.Any, ...], list[_Event]] = {}
    for event in events:
        if event.what in kinds:
            groups.setdefault((event.what, event.host, event.destinations, event.obstacles), []).append(event)
    return [_difference(same) for same in sorted(groups.values(), key=lambda same: kinds.index(same[0].what))]


def _difference(same: t.Sequence[_Event]) -> Difference:
    first, names = same[0], [event.name for event in same if event.name]
    texts = {"host": first.host or "", "destinations": shortened(first.destinations), "domains": shortened(names)}
    return {
        "what": first.what,
        "domains": names,
        "uuids": [event.uuid for event in same if event.uuid],
        "host": first.host,
        "destinations": list(first.destinations),
        "obstacles": list(first.obstacles),
        "message": _TEXTS[first.what].format(**texts),
    }


def shortened(names: t.Sequence[str], shown: int = _SHOWN_NAMES) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
