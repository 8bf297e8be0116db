# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest never loses a NIC: find a function at the destination, then take the guest's off.

    plan        nothing is touched: a usable function there, a guest that can let go, a standby that is up
    take_off    write down, ask, wait for libvirt's event, ask again; then the standby must carry packets
    put_back    of restore.py, on every path that follows

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import typing as t
import xml.etree.ElementTree as ET

from .._model.api import LivemigError
from .functions import Function, usable, wanted_of, why_none
from .journal import GONE, OFF, ON, QUIET, Journal, Rules
from .nic import Nic, find, is_linked, nics_of, number_with, shows, with_bond
from .side import REFUSED, REMOVED, Removals, Side

_POLL_S = 0.1
_ON_ITS_WAY = "on its way here"
_NO_HOTPLUG = "see that its operating system is up and handles PCI hotplug (acpiphp, pciehp), or choose to stop it"
_AS_NIC = "define it as <interface type='hostdev'> with its MAC address and VLAN, and start the guest anew"


def plan(
    source: Side,
    destination: Side,
    ports: t.Mapping[str, str],
    rules: Rules,
    claimed: t.Sequence[Nic] = (),
    stays: bool = False,
) -> list[Nic]:
    """The guest's functions with what each is to get. Changes nothing. Raises LivemigError where one cannot have it.

    ``ports``: the PF's network device on the source -> the one of the same physical network at the destination, where
    it has another name there. ``claimed``: what other guests on their way are to get there. ``stays``: the function
    goes along, so that nothing lets go and nothing stands in.
    """
    live = source.live()
    if live is None or not (stays or source.runs()):
        raise _cannot(source, "it does not run", "a guest that runs", "resume it, or detach its VF before it is moved")
    found = nics_with_standby(source, live)
    here = {each.address: each for each in source.functions()} if found else {}
    there = destination.functions() if found else []
    links = (source.links() or {}) if rules.by_qemu and found else {}
    found = [nic._replace(seen=nic.mac is not None and shows(links, nic, number_with(live, nic.mac))) for nic in found]
    planned: list[Nic] = []
    for nic in found:
        if not stays:
            _require_mac(source, nic)
            require_standby(source, nic, live, rules)
        if nic.network is not None:
            _require_spare(destination, nic, sum(each.network == nic.network for each in (*claimed, *found)))
            planned.append(nic)
        else:
            planned.append(_with_function(nic, here, there, ports, [*claimed, *planned], source, destination))
    return planned


def nics_with_standby(side: Side, live: str, off: t.Sequence[Nic] = ()) -> list[Nic]:
    """The guest's functions, and those that are ``off``, each with its standby as far as <teaming> or the guest's agent
    tell of one."""
    found = [*nics_of(live, side.persistent(), side.gives_out), *off]
    links = (side.links() or {}) if any(nic.standby is None for nic in found) else {}
    return [with_bond(nic, live, links) for nic in found]


def _require_mac(source: Side, nic: Nic) -> None:
    """Of a plain <hostdev> libvirt sets neither, so that another function would be another NIC."""
    if nic.mac is None:
        value = f"{nic.called} is a plain <hostdev>, whose MAC address and VLAN libvirt gives to no other function"
        raise _cannot(source, value, "a NIC that another function can stand in for", _AS_NIC)


def require_standby(source: Side, nic: Nic, live: str, rules: Rules) -> None:
    """Raises LivemigError where nothing would carry the guest's traffic, and no gap is allowed."""
    if nic.standby is None:
        if rules.gap:
            return
        wanted = f"a standby (<teaming>, or a bond in the guest), or {rules.gap_by}"
        remedy = f"give it one, or allow the gap by {rules.gap_by}"
        raise _cannot(source, f"{nic.called} has no standby", wanted, remedy)
    if nic.standby and not is_linked(live, nic.standby):
        remedy = "set its link up (virsh domif-setlink)"
        raise _cannot(
            source, f"the standby {nic.standby} of {nic.called} has its link down", "a standby that is up", remedy
        )


def _require_spare(destination: Side, nic: Nic, needed: int) -> None:
    network = nic.network or ""
    spare = destination.spare(network)
    if spare is None or spare < needed:
        there = "is not there, not active or has no functions" if spare is None else f"has {spare} functions left"
        raise LivemigError(
            f"Network {network} of {destination.name} for {nic.called}",
            value=there,
            expected=f"{needed} free functions",
            remedy="define and start it there, or make more functions; nothing was touched",
        )


def _with_function(
    nic: Nic,
    here: t.Mapping[str, Function],
    there: t.Sequence[Function],
    ports: t.Mapping[str, str],
    others: t.Sequence[Nic],
    source: Side,
    destination: Side,
) -> Nic:
    own = here.get(nic.address or "")
    if own is None or own.port is None:
        what = "no virtual function" if own is None else "of a PF without a network device"
        expected = "a virtual function whose port is known"
        raise _cannot(source, f"{nic.called} at {nic.address} is {what}", expected, "detach it before the migration")
    nic = nic._replace(kind=own.kind, port=own.port, planned_port=ports.get(own.port, own.port))
    wanted = wanted_of(nic, nic.planned_port)
    taken = {each.planned for each in others}
    there = [each._replace(user=each.user or _ON_ITS_WAY) if each.address in taken else each for each in there]
    free = usable(there, wanted, first=nic.address)
    if not free:
        raise LivemigError(
            f"Virtual functions of {destination.name} for {nic.called}",
            value=why_none(there, wanted),
            expected=f"a free one of port {nic.planned_port} with a link",
            remedy="make more there (sriov_numvfs), or choose another destination; nothing was touched",
        )
    return nic._replace(planned=free[0])


def _cannot(source: Side, value: str, expected: str, remedy: str) -> LivemigError:
    return LivemigError(f"VF of a guest on {source.name}", value=value, expected=expected, remedy=remedy)


def take_off(source: Side, nics: t.Sequence[Nic], journal: Journal, rules: Rules) -> None:
    """The guest is without its functions when this returns, and its standbys carry. Raises LivemigError, and what
    libvirt raises: then some may be off, and ``put_back`` is due."""
    instance = source.instance()
    with source.removals() as heard:
        for nic in nics:
            _detach(source, heard, nic, journal, instance, rules)
    for standby, nic in {nic.standby: nic for nic in nics if nic.standby and rules.carries_s}.items():
        came, went = _passed(source, standby, rules.carries_s)
        if went and not came:
            value = f"without {nic.called} it sends over its standby {standby}, and nothing has come back within "
            remedy = (
                "see that the standby's network is that of the VF, with the same VLAN; a guest that has just booted "
                "may only have announced itself: run this again a minute later"
            )
            raise _cannot(source, f"{value}{rules.carries_s:g} s", "a standby that carries its traffic", remedy)
        if not went:
            journal.note(QUIET, nic, instance)


def _detach(source: Side, heard: Removals, nic: Nic, journal: Journal, instance: str, rules: Rules) -> None:
    # Before it is asked: whoever finds the device later must know that the guest may still let go of it.
    journal.note(OFF, nic, instance)
    for _attempt in range(rules.attempts):
        xml = source.live()
        device = None if xml is None else find(xml, nic)
        if device is None:
            break
        said = source.ask(ET.tostring(device, encoding="unicode"), heard, rules.detach_s)
        # An error can say so while libvirt still has it.
        if said == REMOVED and find(source.live() or "<domain/>", nic) is None:
            break
        if said == REFUSED:
            journal.note(ON, nic, instance)
            raise _cannot(source, f"it refuses to let go of {nic.called}", "a guest that hot-unplugs", _NO_HOTPLUG)
    else:
        if find(source.live() or "<domain/>", nic) is not None:
            waited = f"{rules.attempts} times {rules.detach_s:g} s"
            value = f"it has not let go of {nic.called} in {waited}"
            raise _cannot(source, value, "a guest that hot-unplugs", _NO_HOTPLUG)
    journal.note(GONE, nic, instance)


def _passed(source: Side, standby: str, seconds: float) -> tuple[bool, bool]:
    """Whether packets have come to the guest by its standby and have gone out, as soon as both did or time is over."""
    before, end = source.passed(standby), time.monotonic() + seconds
    while True:
        now = source.passed(standby)
        came, went = now[0] > before[0], now[1] > before[1]
        if (came and went) or time.monotonic() >= end:
            return came, went
        time.sleep(min(_POLL_S, seconds))
