# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest's functions, put back wherever it runs, until it has all NICs of its intent; and what could not be done.

It takes nothing for granted but the intent and what libvirt says now, so that it ends what was interrupted anywhere:
after a success, a failure, or a crash, in the first process or in recover's.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t
import xml.etree.ElementTree as ET

from .._libvirt import LIBVIRT_ERRORS, error_text
from .._model.api import LivemigError
from .functions import usable, wanted_of, why_none
from .journal import GONE, OFF, ON, UNSEEN, Journal, Rules
from .nic import Nic, attach_xml, find, host_address, number_with, placed, shows
from .side import REFUSED, REMOVED, InUse, Side

_POLL_S = 0.5
# One that is in use may be followed by one that is not; what fails otherwise mostly fails for all, after a long pin.
_OTHER_ERRORS = 3
_REFUSALS: tuple[type[Exception], ...] = (InUse, *LIBVIRT_ERRORS)
_LATE = "it was asked to let go of it and has not answered, and may still do so"
_SILENT = "the guest did not show it when it was looked for, and its agent does not answer now"


class Restored(t.NamedTuple):
    """``done``: what was attached, with its place and seconds; ``missing``: what could not be; ``unsure``: what the
    guest may still let go of; ``notes``: what is right but should be known."""

    done: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[str, ...]:
        return (*self.missing, *self.unsure)

    def and_(self, other: Restored) -> Restored:
        return Restored(*((*mine, *others) for mine, others in zip(self, other)))


def put_back(side: Side, nics: t.Sequence[Nic], at_source: bool, journal: Journal, rules: Rules) -> Restored:
    """The guest, which is on this side, gets what its intent holds. Raises what libvirt raises."""
    each = (_restored(side, nic, at_source, journal, rules) for nic in nics)
    return functools.reduce(Restored.and_, each, Restored())


def _restored(side: Side, nic: Nic, at_source: bool, journal: Journal, rules: Rules) -> Restored:
    may_owe = at_source or rules.by_qemu
    if _has(side, nic):
        if not (may_owe and journal.pending(nic, side.instance())):
            _redefine(side, nic)
            found = _put_on_by_qemu(side, nic, journal, rules) if rules.by_qemu else Restored()
            if found is not None:
                return found
        said = _asked_again(side, nic, rules)
        if said == REFUSED:
            _note(journal, ON, nic, side)
            return Restored(notes=(_unseen(side, nic, rules) or ()) if rules.by_qemu else ())
        if said is None:
            return Restored(unsure=(f"{nic.called} of the guest on {side.name}: {_LATE}",))
    if may_owe and journal.pending(nic, side.instance()):
        _note(journal, GONE, nic, side)
    return _attached(side, nic, at_source, journal, rules)


def _put_on_by_qemu(side: Side, nic: Nic, journal: Journal, rules: Rules) -> Restored | None:
    """libvirt has it although QEMU may have failed to put it on, which fails no migration: the guest alone can tell.

    What its agent has shown before, and does not any more, is missing. None: an earlier look has found so too, so that
    it is taken off and put on, once, whatever the guest shows then."""
    notes = _unseen(side, nic, rules)
    if notes is None and nic.seen and journal.unseen(nic, side.instance()):
        return Restored(unsure=(f"{nic.called}: {_SILENT}",))
    if not notes or not nic.seen:
        _note(journal, UNSEEN if notes else ON, nic, side, host=side.name)
        return Restored(notes=notes or ())
    if journal.unseen(nic, side.instance()):
        _note(journal, OFF, nic, side, host=side.name)
        return None
    _note(journal, UNSEEN, nic, side, host=side.name)
    return Restored(
        unsure=tuple(f"{note}; recover takes it off and puts it on, unless it does so by then" for note in notes)
    )


def _note(journal: Journal, event: str, nic: Nic, side: Side, **values: t.Any) -> None:
    """A full disk must not cost the guest its NIC."""
    with contextlib.suppress(LivemigError):
        journal.note(event, nic, side.instance(), **values)


def _has(side: Side, nic: Nic) -> bool:
    live = side.live()
    return live is not None and find(live, nic) is not None


def _asked_again(side: Side, nic: Nic, rules: Rules) -> str | None:
    """A guest that was asked to let go may do so at any time, or was not reached by what died while it asked: the
    answer to one more request shows which."""
    with side.removals() as heard:
        device = find(side.live() or "<domain/>", nic)
        if device is None:
            return REMOVED
        said = side.ask(ET.tostring(device, encoding="unicode"), heard, rules.late_s)
        # What QEMU does not have, libvirt may: then nothing can be put on beside it.
        return REFUSED if said == REFUSED else (None if _has(side, nic) else REMOVED)


def _attached(side: Side, nic: Nic, at_source: bool, journal: Journal, rules: Rules) -> Restored:
    port = nic.port if at_source else nic.planned_port
    refused: list[str] = []
    other = 0
    for place in _places(side, nic, at_source, port):
        started = time.monotonic()
        try:
            side.attach(attach_xml(nic, place))
        except _REFUSALS as error:
            refused.append(f"{place or nic.network}: {error_text(error)}")
            other += not isinstance(error, InUse)
        # An error of libvirt's does not always mean that nothing was done.
        if _has(side, nic) or other >= _OTHER_ERRORS:
            break
    if not _has(side, nic):
        why = "; ".join(refused) or why_none(side.functions(), wanted_of(nic, port))
        return Restored(missing=(f"{nic.called} is missing on {side.name}: no function can be had ({why})",))
    seconds = time.monotonic() - started
    where = place or f"network {nic.network}"
    _note(journal, ON, nic, side, host=side.name, place=where, seconds=round(seconds, 1))
    _redefine(side, nic)
    notes = _unseen(side, nic, rules) or ()
    if notes:
        _note(journal, UNSEEN, nic, side, host=side.name)
    return Restored((f"{nic.called} at {where} of {side.name} in {seconds:.1f} s",), notes=notes)


def _places(side: Side, nic: Nic, at_source: bool, port: str | None) -> list[str | None]:
    """Addresses, the planned one first; None is what the network gives out.

    At the source the guest's own is tried whatever is said of it: the host may have set it up as soon as it was back.
    A plain <hostdev> gets no other one, which would have another MAC address.
    """
    if nic.network is not None:
        return [None]
    own = nic.address if at_source else None
    # Where the port is not known, any other one would be of a network that nobody knows.
    found = [] if port is None else usable(side.functions(), wanted_of(nic, port), own or nic.planned)
    found = [own, *(address for address in found if address != own)] if own is not None else found
    return [address for address in found if nic.mac is not None or address in (own, nic.planned)]


def _redefine(side: Side, nic: Nic) -> None:
    """The next start takes the function that the guest has now."""
    live, definition = side.live(), side.persistent(secrets=True)
    device = None if live is None else find(live, nic)
    if device is None or definition is None:
        return
    changed = placed(definition, nic, host_address(device))
    if changed is not None:
        side.define(changed)


def _unseen(side: Side, nic: Nic, rules: Rules) -> tuple[str, ...] | None:
    """What the guest itself says; None where it has no agent that tells. One that has not shown it, and says nothing
    any more, does not show it."""
    end = time.monotonic() + rules.verify_s
    has_told = False
    while nic.mac is not None:
        seen = side.links()
        if seen is None and not has_told:
            return None
        if seen is not None and shows(seen, nic, number_with(side.live() or "<domain/>", nic.mac)):
            break
        has_told = True
        if time.monotonic() >= end:
            return (f"{nic.called} is attached on {side.name}, but the guest does not show it yet",)
        time.sleep(min(_POLL_S, rules.verify_s))
    return ()
