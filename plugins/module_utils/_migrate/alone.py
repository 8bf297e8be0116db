# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's virtual functions taken off and put on where it is, without a migration. The definition says what it has.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from .._libvirt import Connection, error_text
from .._model.api import LivemigError
from .._sriov.api import (
    GONE,
    OFF,
    ON,
    QUIET,
    Nic,
    Restored,
    Rules,
    Side,
    boot_id,
    defined_nics,
    find,
    host_address,
    nics_with_standby,
    put_back,
    require_standby,
    same_instance,
    take_off,
)
from . import intent
from .records import BY_HAND, Records
from .truth import NO_CONNECTION

ATTACHED, DETACHED = "attached", "detached"
_ASKED = "it was asked to let go of {} and has not answered: it is asked once more"
_ANSWER = "run this again once the guest has answered, or start the guest anew"
_NOT_HERE = "{} is defined with {}, which is no virtual function here"
_NO_PORT = "nobody knows of which network {} is: the PF of {} has no network device on this host"
_NO_FUNCTION = "{} of its definition is not attached, and {} is no virtual function here: it is left alone"
_NOT_KNOWN = "whether the standby of {} carries is not known: the guest has sent nothing over it"


class Wanted(t.NamedTuple):
    """``domain``: its name; ``macs``: only these NICs, None: all; ``state``: ATTACHED or DETACHED."""

    domain: str
    state: str
    macs: t.Collection[str] | None
    rules: Rules


class Shown(t.TypedDict):
    """``address``: of the function, while it is attached and known."""

    mac: str | None
    state: str
    address: str | None


class Result(t.NamedTuple):
    before: list[Shown]
    after: list[Shown]
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Journal:
    """One of this host's for each domain: the definition says what to put back, but not what the guest may still let
    go of."""

    def __init__(self, records: Records, domain: t.Any) -> None:
        self._records, self._uuid, self._domain = records, domain.UUIDString(), domain.name()
        self.notes: list[str] = []

    @property
    def _run(self) -> str:
        return f"{BY_HAND}{self._uuid}"

    def note(self, event: str, nic: Nic, instance: str, **values: t.Any) -> None:
        about = {"uuid": self._uuid, "domain": self._domain, "nic": nic.key, "instance": instance}
        about["function"] = nic.address
        if event == QUIET:
            self.notes.append(_NOT_KNOWN.format(nic.called))
        self._records.note(self._run, event, **about, **values)

    def pending(self, nic: Nic, instance: str) -> bool:
        return self._last(nic, instance).get("event") == OFF

    def taken(self, nic: Nic, instance: str) -> bool:
        """This function was taken off here, from this guest, so that it was its own."""
        said = self._last(nic, instance)
        return said.get("event") in (OFF, GONE) and said.get("function") == nic.address

    def _last(self, nic: Nic, instance: str) -> dict[str, t.Any]:
        entries = [each for each in self._records.entries(self._run) if each["event"] in (OFF, GONE, ON)]
        said = next((each for each in reversed(entries) if each["nic"] == nic.key), None)
        return said if said is not None and same_instance(said["instance"], instance) else {}

    def unseen(self, _nic: Nic, _instance: str) -> bool:
        """QEMU puts nothing on by itself."""
        return False


def vf(connection: Connection, host: str, wanted: Wanted, records: Records, look_only: bool) -> Result:
    """Raises LivemigError where it cannot be done, and what libvirt raises."""
    domain = connection.lookupByName(wanted.domain)
    is_here = urlsplit(connection.getURI()).hostname is None
    side = Side(connection, domain.UUIDString(), host, boot_id() if is_here else None)
    if look_only:
        return _changed(side, domain, wanted, records, look_only)
    records.ready()
    with records.lock(domain.UUIDString()):
        return _changed(side, domain, wanted, records, look_only)


def _changed(side: Side, domain: t.Any, wanted: Wanted, records: Records, look_only: bool) -> Result:
    _require_free(domain, wanted, records)
    journal, instance = _Journal(records, domain), side.instance()
    found = _all(side)
    nics = _chosen([nic for nic in found if _is_function(nic) or journal.taken(nic, instance)], wanted)
    missing = [nic for nic in found if nic not in nics and not _is_function(nic) and not _is_there(side, nic)]
    alien = tuple(_NO_FUNCTION.format(nic.called, nic.address) for nic in missing)
    before = [_shown(side, nic) for nic in nics]
    there = [nic for nic, shown in zip(nics, before) if shown["state"] == ATTACHED]
    asked = [nic for nic in there if wanted.state == ATTACHED and journal.pending(nic, instance)]
    due = [nic for nic, shown in zip(nics, before) if shown["state"] != wanted.state or nic in asked]
    if wanted.state == DETACHED:
        _require_leaving(side, due, wanted)
    else:
        _require_ports(side, due, wanted, [nic for nic in due if journal.taken(nic, instance)])
    if look_only:
        kept = [shown["address"] if nic not in due else None for nic, shown in zip(nics, before)]
        after: list[Shown] = [{"mac": nic.mac, "state": wanted.state, "address": at} for nic, at in zip(nics, kept)]
        return Result(before, after, notes=(*(_ASKED.format(nic.called) for nic in asked), *alien))
    if wanted.state == DETACHED:
        _take_off(side, due, journal, wanted.rules)
        return Result(before, [_shown(side, nic) for nic in nics], notes=(*journal.notes, *alien))
    restored = _put_on(side, due, journal, wanted.rules)
    if restored.left:
        raise _failed(wanted, side, "; ".join(restored.left), "" if restored.missing else _ANSWER)
    return Result(before, [_shown(side, nic) for nic in nics], restored.done, (*restored.notes, *alien))


def _require_free(domain: t.Any, wanted: Wanted, records: Records) -> None:
    if not (domain.isActive() and domain.isPersistent()):
        raise LivemigError(
            f"Domain {wanted.domain}",
            value="it does not run" if domain.isPersistent() else "it is transient",
            expected="a domain that runs and whose definition says what it has",
            remedy="start it, or define it (virsh define)",
        )
    # A definition that somebody has replaced does not bear the mark any more; the journal still knows of it.
    if intent.read(domain) is not None or domain.UUIDString() in records.open_moves():
        raise LivemigError(
            f"Domain {wanted.domain}",
            value="a migration of it has not come to its end",
            expected="none: that one takes its functions off and puts them on",
            remedy="run livemig.libvirt.recover",
        )


def _all(side: Side) -> list[Nic]:
    """What the guest has, and what its definition says besides; with the port of each, as far as that is known."""
    live, definition = side.live() or "<domain/>", side.persistent() or "<domain/>"
    off = [nic for nic in defined_nics(definition, live, side.gives_out) if find(live, nic) is None]
    found = nics_with_standby(side, live, off)
    functions = {each.address: each for each in side.functions()} if found else {}
    return [
        nic if (own := functions.get(nic.address or "")) is None else nic._replace(kind=own.kind, port=own.port)
        for nic in found
    ]


def _is_there(side: Side, nic: Nic) -> bool:
    return find(side.live() or "<domain/>", nic) is not None


def _is_function(nic: Nic) -> bool:
    """A plain <hostdev> may be any device."""
    return nic.mac is not None or nic.kind is not None


def _chosen(nics: t.Sequence[Nic], wanted: Wanted) -> list[Nic]:
    if wanted.macs is None:
        return list(nics)
    macs = [mac.lower() for mac in wanted.macs]
    unknown = sorted(set(macs) - {nic.mac for nic in nics if nic.mac is not None})
    if unknown:
        raise LivemigError(
            f"Virtual functions of domain {wanted.domain}",
            value=f"none has the MAC address {', '.join(unknown)}",
            expected=", ".join(sorted(nic.mac for nic in nics if nic.mac is not None)) or "none: it has no such device",
            remedy="correct macs, or leave it out for all of them",
        )
    return [nic for nic in nics if nic.mac in macs]


def _require_ports(side: Side, nics: t.Sequence[Nic], wanted: Wanted, own: t.Collection[Nic] = ()) -> None:
    """Without its port nobody knows which functions lead to the same network; ``own``: those that get their own."""
    for nic in nics:
        text = _NOT_HERE if nic.kind is None else (_NO_PORT if nic.port is None and nic not in own else None)
        if nic.network is None and text is not None:
            raise _failed(wanted, side, text.format(nic.called, nic.address))


def _require_leaving(side: Side, nics: t.Sequence[Nic], wanted: Wanted) -> None:
    """Nothing is taken off that could not be put back, or without what stands in for it."""
    live, definition = side.live() or "<domain/>", side.persistent() or "<domain/>"
    defined = defined_nics(definition, live, side.gives_out)
    _require_ports(side, nics, wanted)
    for nic in nics:
        if not any(map(nic.is_nic, defined)):
            raise LivemigError(
                f"{nic.called} of domain {wanted.domain}",
                value="its definition does not have it",
                expected="a function that the definition tells how to put back",
                remedy="define it too (virsh attach-device --config)",
            )
        require_standby(side, nic, live, wanted.rules)
    if nics and not side.runs():
        raise LivemigError(
            f"Guest on {side.name}", value="it is paused", expected="one that runs", remedy="resume it: it lets go then"
        )


def _shown(side: Side, nic: Nic) -> Shown:
    device = find(side.live() or "<domain/>", nic)
    if device is None:
        return {"mac": nic.mac, "state": DETACHED, "address": None}
    return {"mac": nic.mac, "state": ATTACHED, "address": host_address(device)}


def _take_off(side: Side, nics: t.Sequence[Nic], journal: _Journal, rules: Rules) -> None:
    """All of them, or as before."""
    try:
        take_off(side, nics, journal, rules)
    except NO_CONNECTION as error:
        left = put_back(side, nics, True, journal, rules).left
        text = "; ".join((error_text(error), *left))
        raise LivemigError(
            f"Virtual functions on {side.name}",
            value=text,
            expected="a guest that lets go of them",
            remedy="run this module again with state attached" if left else "they are as before",
        ) from error


def _put_on(side: Side, nics: t.Sequence[Nic], journal: _Journal, rules: Rules) -> Restored:
    """What was not taken off here has no function of its own here: whatever stands against the defined one counts."""
    instance = side.instance()
    own = [nic for nic in nics if journal.taken(nic, instance)]
    others = [nic._replace(planned=nic.address, planned_port=nic.port) for nic in nics if nic not in own]
    return put_back(side, own, True, journal, rules).and_(put_back(side, others, False, journal, rules))


def _failed(wanted: Wanted, side: Side, text: str, remedy: str = "") -> LivemigError:
    return LivemigError(
        f"NICs of domain {wanted.domain} on {side.name}",
        value=text,
        expected="what its definition says",
        remedy=remedy or "do what is said there, then run this again",
    )
