# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual functions that a domain needs of a destination, and what is free for it there. Pure.

What stands in the way of a function is decided by the table of _sriov/functions.py, as when the migration begins.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import collections
import typing as t

from .._model.api import Facts, UnknownFact
from .._sriov.api import Function, Wanted, obstacle
from .check import View
from .edits import mapped
from .vf import address_of

_UP = "up"
_RUNNING = "that runs there"
_SAID = 5
"""Reasons in one message: a card may have hundreds of functions."""


class Functions(t.NamedTuple):
    """``number`` of them for ``domain``. ``port``: the PF's network device on the source, as the destination's is
    expected to be called, None where it has none; ``managed``: libvirt takes them from their driver itself; ``trust``,
    ``spoof_check``: how the PF on the source treats them, None where it does not tell."""

    domain: str | None
    kind: str
    port: str | None
    managed: bool
    number: int
    trust: bool | None
    spoof_check: bool | None


class Pool(t.NamedTuple):
    """``number`` of those that a libvirt network of functions gives out."""

    network: str
    number: int


class Offer(t.NamedTuple):
    """``number`` of ``free``: addresses, or a number of each that a network has left."""

    called: str
    number: int
    free: tuple[str, ...]


def pool_of(view: View, hostdev: t.Mapping[str, t.Any]) -> str | None:
    """The network that has given out this function of the source. Raises UnknownFact."""
    name: str | None = hostdev["more"].get("network")
    if hostdev["mode"] != "interface" or name is None:
        return None
    gives = view.source.get("net.networks").get(name, {}).get("functions")
    return None if gives is None else name


def pools(view: View) -> t.Iterator[Pool]:
    names = filter(None, (pool_of(view, hostdev) for hostdev in view.domain.get("hostdevs")))
    yield from (Pool(name, count) for name, count in sorted(collections.Counter(names).items()))


def functions(view: View) -> t.Iterator[Functions]:
    """Of a view with domain and source, but for those that a network has given out. Raises UnknownFact."""
    managed = {
        address: hostdev["more"].get("managed") == "yes"
        for hostdev in view.domain.get("hostdevs")
        if (address := address_of(hostdev)) is not None and pool_of(view, hostdev) is None
    }
    held = [entry for entry in view.source.get("nodedevs.vfs") if entry["address"] in managed] if managed else []
    columns = ("kind", "port", "trust", "spoof_check")
    counted = collections.Counter((managed[entry["address"]], *(entry[name] for name in columns)) for entry in held)
    for (is_managed, kind, port, trust, spoof_check), count in sorted(counted.items(), key=str):
        yield Functions(view.domain_name, kind, port, is_managed, count, trust, spoof_check)


def port_there(view: View, need: Functions) -> str | None:
    """The port of the same physical network: what the user has mapped for it, or that of the same name."""
    edit = None if need.port is None else mapped(view, "parent", need.port)
    return need.port if edit is None or edit["new"] is None else edit["new"]


def wanted(view: View, need: Functions) -> Wanted:
    return Wanted(need.kind, port_there(view, need), need.managed)


def found_at(host: Facts, domain: str | None) -> list[Function]:
    """Every function of the host, and who has it; what ``domain`` itself is defined with there does not count.
    Raises UnknownFact."""
    entries = host.get("nodedevs.vfs")
    if not entries:
        return []
    held, defined, given = set(host.get("nodedevs.held")), host.get("nodedevs.defined"), _given_out(host)
    return [
        Function(
            entry["address"],
            entry["kind"],
            entry["driver"],
            entry.get("port"),
            entry["pf_link"],
            tuple(entry["others"]),
            entry["net"] if entry.get("net_link") == _UP else None,
            next((name for name in defined.get(entry["address"], ()) if name != domain), None)
            or (_RUNNING if entry["address"] in held else None),
            given.get(entry["address"]),
        )
        for entry in entries
    ]


def _given_out(host: Facts) -> dict[str, str]:
    return {
        address: name
        for name, network in host.get("net.networks").items()
        for address in _active(network.get("functions")).get("addresses", ())
    }


def _active(gives: t.Mapping[str, t.Any] | None) -> t.Mapping[str, t.Any]:
    return gives if gives is not None and gives.get("active", True) else {}


def free(view: View, need: Functions, **but: t.Any) -> list[Function]:
    """What can be had at the destination; ``but``: fields of a function as they would have to be, so that what these
    are is no obstacle. Raises UnknownFact."""
    asked = wanted(view, need)
    found = found_at(view.destination, need.domain)
    return [each for each in found if obstacle(each._replace(**but), asked) is None]


def why_not(view: View, need: Functions) -> str:
    """What stands against the functions of the destination, by how many."""
    asked = wanted(view, need)
    said = collections.Counter(obstacle(each, asked) for each in found_at(view.destination, need.domain))
    told = [f"{count} of them: {reason}" for reason, count in said.most_common() if reason is not None]
    more = [f"and {len(told) - _SAID} more reasons"] if len(told) > _SAID else []
    return "; ".join([*told[:_SAID], *more])


def spare(host: Facts, network: str) -> int | None:
    """How many functions a network has left; None where it has none, is not there or not active. Raises
    UnknownFact."""
    gives = _active(host.get("net.networks").get(network, {}).get("functions"))
    return int(gives["total"]) - int(gives["used"]) if gives else None


def offers(view: View) -> list[Offer]:
    """For each need of the domain what the destination has for it; nothing where that is not known."""
    try:
        plain = [Offer(_called(view, need), need.number, _addresses(view, need)) for need in functions(view)]
        given = [Offer(f"network {each.network}", each.number, _numbers(view, each)) for each in pools(view)]
    except UnknownFact:
        return []
    return [*plain, *given]


def _called(view: View, need: Functions) -> str:
    return f"{need.kind} at {port_there(view, need)}"


def _addresses(view: View, need: Functions) -> tuple[str, ...]:
    return tuple(each.address for each in free(view, need)) if need.port is not None else ()


def _numbers(view: View, need: Pool) -> tuple[str, ...]:
    return tuple(f"{need.network} {number}" for number in range(spare(view.destination, need.network) or 0))
