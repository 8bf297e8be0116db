# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's virtual functions taken off and put on where it is, without a migration. The definition says what it has.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._libvirt import Connection, error_text
from .._model.api import LivemigError
from .._sriov.api import (
    OFF,
    Nic,
    Rules,
    Side,
    defined_nics,
    find,
    host_address,
    nics_with_standby,
    put_back,
    require_standby,
    take_off,
)
from . import intent
from .records import Records
from .truth import NO_CONNECTION

ATTACHED, DETACHED = "attached", "detached"


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


class _Memory:
    """A journal that lasts as long as this process: the definition is what outlives it."""

    def __init__(self) -> None:
        self._last: dict[str | None, str] = {}

    def note(self, event: str, nic: Nic, instance: int, **values: t.Any) -> None:
        self._last[nic.mac or nic.alias] = event

    def pending(self, nic: Nic, instance: int) -> bool:
        return self._last.get(nic.mac or nic.alias) == OFF


def vf(connection: Connection, host: str, wanted: Wanted, records: Records, look_only: bool) -> Result:
    """Raises LivemigError where it cannot be done, and what libvirt raises."""
    domain = connection.lookupByName(wanted.domain)
    side = Side(connection, domain.UUIDString(), host)
    if look_only:
        return _changed(side, domain, wanted, look_only)
    records.ready()
    with records.lock(domain.UUIDString()):
        return _changed(side, domain, wanted, look_only)


def _changed(side: Side, domain: t.Any, wanted: Wanted, look_only: bool) -> Result:
    _require_free(domain, wanted)
    nics = _chosen(_all(side), wanted)
    before = [_shown(side, nic) for nic in nics]
    due = [nic for nic, shown in zip(nics, before) if shown["state"] != wanted.state]
    require = _require_leaving if wanted.state == DETACHED else _require_ports
    require(side, due, wanted)
    if look_only:
        kept = [shown["address"] if nic not in due else None for nic, shown in zip(nics, before)]
        after: list[Shown] = [{"mac": nic.mac, "state": wanted.state, "address": at} for nic, at in zip(nics, kept)]
        return Result(before, after)
    if wanted.state == DETACHED:
        _take_off(side, due, wanted.rules)
        return Result(before, [_shown(side, nic) for nic in nics])
    restored = put_back(side, due, True, _Memory(), wanted.rules)
    if restored.left:
        raise _failed(wanted, side, "; ".join(restored.left))
    return Result(before, [_shown(side, nic) for nic in nics], restored.done, restored.notes)


def _require_free(domain: t.Any, wanted: Wanted) -> None:
    if not (domain.isActive() and domain.isPersistent()):
        raise LivemigError(
            f"Domain {wanted.domain}",
            value="it does not run" if domain.isPersistent() else "it is transient",
            expected="a domain that runs and whose definition says what it has",
            remedy="start it, or define it (virsh define)",
        )
    if intent.read(domain) is not None:
        raise LivemigError(
            f"Domain {wanted.domain}",
            value="a migration of it has not come to its end",
            expected="none: that one takes its functions off and puts them on",
            remedy="run livemig.libvirt.recover",
        )


def _all(side: Side) -> list[Nic]:
    """What the guest has, and what its definition says besides; with the port of each, as far as that is known."""
    live, definition = side.live() or "<domain/>", side.persistent() or "<domain/>"
    found = nics_with_standby(side, live)
    found += [nic for nic in defined_nics(definition, _gives_out(side)) if find(live, nic) is None]
    functions = {each.address: each for each in side.functions()} if found else {}
    return [
        nic if (own := functions.get(nic.address or "")) is None else nic._replace(kind=own.kind, port=own.port)
        for nic in found
    ]


def _gives_out(side: Side) -> t.Callable[[str], bool]:
    return lambda network: side.spare(network) is not None


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


def _require_ports(side: Side, nics: t.Sequence[Nic], wanted: Wanted) -> None:
    """Without its port nobody knows which functions lead to the same network."""
    for nic in nics:
        if nic.network is None and nic.port is None:
            raise _failed(
                wanted, side, f"{nic.called} is defined with {nic.address}, which is no virtual function here"
            )


def _require_leaving(side: Side, nics: t.Sequence[Nic], wanted: Wanted) -> None:
    """Nothing is taken off that could not be put back, or without what stands in for it."""
    live, definition = side.live() or "<domain/>", side.persistent() or "<domain/>"
    defined = {nic.mac or nic.place for nic in defined_nics(definition, _gives_out(side))}
    for nic in nics:
        if (nic.mac or nic.place) not in defined:
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


def _take_off(side: Side, nics: t.Sequence[Nic], rules: Rules) -> None:
    """All of them, or as before."""
    journal = _Memory()
    try:
        take_off(side, nics, journal, rules)
    except NO_CONNECTION as error:
        left = put_back(side, nics, True, journal, rules).left
        text = "; ".join((error_text(error), *left))
        raise LivemigError(
            f"Virtual functions on {side.name}",
            value=text,
            expected="a guest that lets go of them",
            remedy="run this module again with state attached, if one goes later" if left else "they are as before",
        ) from error


def _failed(wanted: Wanted, side: Side, text: str) -> LivemigError:
    return LivemigError(
        f"NICs of domain {wanted.domain} on {side.name}",
        value=text,
        expected="what its definition says",
        remedy="do what is said there, then run this again",
    )
