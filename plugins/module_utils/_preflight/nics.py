# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a NIC is attached to, at its source and at a destination.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._model.api import Facts
from .check import Problem, View, each
from .edits import mapped

_T = t.TypeVar("_T")

TAPS = ("bridge", "network", "ethernet", "direct")
"""Types of NICs behind which is a tap or a macvtap."""

_GUESTS = ("tap", "tun", "macvtap", "bridge")
"""Kinds of links that lead to guests, or nowhere."""


def each_nic(view: View, judge: t.Callable[[Facts], t.Iterable[_T]]) -> t.Iterator[_T | Problem]:
    """What the judge says of every NIC, equal needs once."""
    said: set[t.Any] = set()
    for found in each(view.domain.items("interfaces", "mac"), judge):
        if isinstance(found, Problem):
            yield found
        elif found not in said:
            said.add(found)
            yield found


def network_of(nic: Facts) -> str | None:
    """The libvirt network that the NIC names. The live XML of one that bridges shows type bridge or direct."""
    return nic.get("more.network") or (nic.get("source") if nic.get("type") == "network" else None)


def bridge_of(nic: Facts) -> str | None:
    """The bridge that the definition itself names, of the kernel or of Open vSwitch."""
    return nic.get("source") if nic.get("type") == "bridge" and network_of(nic) is None else None


def parent_of(nic: Facts) -> str | None:
    """The device below the macvtap that the definition itself names."""
    return nic.get("more.dev") if nic.get("type") == "direct" and network_of(nic) is None else None


def bridge_here(nic: Facts) -> str | None:
    """The kernel's bridge that the NIC is on at its source, whoever named it."""
    if nic.get("virtualport") is not None or nic.get("type") not in ("bridge", "network"):
        return None
    bridge: str | None = bridge_of(nic) or nic.get("more.bridge")
    return bridge


class Port(t.NamedTuple):
    """How a NIC finds its bridge: by a libvirt network or by its name."""

    network: str | None
    bridge: str


def port_of(nic: Facts) -> Port | None:
    bridge = bridge_here(nic)
    return None if bridge is None else Port(network_of(nic), bridge)


def bridge_there(view: View, port: Port) -> str | None:
    """The bridge at the destination that takes the NIC; None where there is none, of which other checks speak."""
    bridges = view.destination.get("bridges")
    for name in _candidates(view, port):
        if name in bridges:
            return name
    return None


def _candidates(view: View, port: Port) -> t.Iterator[str]:
    if port.network is None:
        yield port.bridge
        edit = mapped(view, "bridge", port.bridge)
    else:
        networks = view.destination.get("net.networks")
        if port.network in networks:
            yield networks[port.network]["bridge"] or ""
        edit = mapped(view, "network", port.network)
    new = edit["new"] if edit is not None else None
    if new and port.network is None:
        yield new
    elif new:
        yield view.destination.get("net.networks").get(new, {}).get("bridge") or ""


def on_bridge(links: t.Mapping[str, t.Mapping[str, t.Any]], bridge: str) -> dict[str, t.Mapping[str, t.Any]]:
    """The links that are ports of the bridge, by name."""
    return {name: link for name, link in links.items() if link["master"] == bridge}


def uplinks(links: t.Mapping[str, t.Mapping[str, t.Any]], bridge: str) -> dict[str, t.Mapping[str, t.Any]]:
    """The ports of the bridge that lead out of the host."""
    return {name: link for name, link in on_bridge(links, bridge).items() if link["kind"] not in _GUESTS}


def with_edit(view: View, kind: str, old: str, problem: Problem, there: t.Callable[[str], bool]) -> Problem:
    """The problem with the change that the user has mapped, where what it changes to is at the destination."""
    edit = mapped(view, kind, old)
    if edit is None or edit["new"] is None:
        return problem
    if there(edit["new"]):
        return dataclasses.replace(problem, edit=edit)
    value = f"{problem.value}, and {edit['new']}, which is mapped for it, is not usable there either"
    return dataclasses.replace(problem, value=value)
