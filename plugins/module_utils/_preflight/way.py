# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which of libvirt's means a domain goes to a destination: what the user says, and facts where nothing is said.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._model import cpuset
from .._model.api import DomainSnapshot, Facts, HostSnapshot, Move, UnknownFact, Way, plain_way, way_of
from .._sriov.api import FAILOVER, NONE, REFUSE, REPLUG
from . import functions, vf
from .check import AUTO, MIGRATION, Policy, View
from .disks import is_copied
from .functions import Offer
from .tls_name import tls_name

# virDomainPausedReason: VIR_DOMAIN_PAUSED_USER
_PAUSED_BY_USER = 1
# One stream of QEMU's is bound to one CPU, which sends about so much; encrypting takes more of it.
_PLAIN_MBIT_S, _TLS_MBIT_S = 10_000, 4_000
_FAST_MBIT_S = 10_000
_FEWEST, _MOST = 2, 8
# NEWS of libvirt 5.2 and QEMU 4.0 (multifd without the x- of an experiment); NEWS of libvirt 8.0
_PARALLEL_LIBVIRT, _PARALLEL_QEMU = 5_002_000, 4_000_000
_SYNCHRONOUS_LIBVIRT = 8_000_000
POSTCOPY_QEMU = 10_001_000
"""QEMU's migration/options.c: 10.0 refuses post-copy with multifd, 7.2 takes it without having been tried with it."""
NBD_NAME_LIBVIRT = 10_003_000
"""NEWS of libvirt 10.3: with parallel connections or post-copy QEMU was given an empty name to verify."""

# What the user says for all domains alike, and is handed on as it is.
_AS_SAID = ("zerocopy", "compression", "bandwidth_mib_s", "auto_converge", "abort_on_error", "unsafe")
_ADDRESSES = ("listen_address", "tls_destination")
_COPYING = ("disks_port", "disks_uri")


def choose(domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, policy: Policy) -> Way:
    """The way of this move. ``policy``: ``tls``, ``migration``, and ``networks``: destination name -> its address in
    the migration network, which takes the place of ``listen_address`` and ``disks_uri``. Raises UnknownFact."""
    view = _view(domain, source, destination, policy)
    state = view.domain.get("state")
    way: dict[str, t.Any] = {**plain_way(), "state": state}
    if state == "shutoff":
        return t.cast(Way, way)
    address = policy.get("networks", {}).get(destination["name"], "")
    for name in (*_AS_SAID, *_ADDRESSES):
        way[name] = view.option(name)
    way["listen_address"] = address or way["listen_address"]
    if view.tls:
        with contextlib.suppress(UnknownFact):
            way["tls_destination"] = tls_name(view)
    way["postcopy"] = view.option("postcopy") and state != "paused"
    way["parallel"] = connections(view)
    # Where it is not known what the domain has, the last look sees it, and refuses what the way is not made for.
    with contextlib.suppress(UnknownFact):
        chosen, reason = vf.strategy(view)
        if chosen not in (NONE, REFUSE):
            way["vf"], way["vf_reason"] = chosen, reason
        way["vf_immediate"] = chosen in (REPLUG, FAILOVER) and view.option("vf_immediate")
        way["vf_gap"] = chosen == REPLUG and vf.has_gap(view)
    copied = [disk.get("target") for disk in _disks(view) if is_copied(view, disk)]
    if copied:
        way["copy_storage"], way["copy_disks"] = view.option("copy_storage"), copied
        way["synchronous_writes"] = _both(view, "libvirt_version", _SYNCHRONOUS_LIBVIRT)
        for name in _COPYING:
            way[name] = view.option(name)
        if address and not way["disks_port"]:
            way["disks_uri"] = way["disks_uri"] or tcp_uri(address)
    return t.cast(Way, way)


def stall_ms(domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, way: Way, policy: Policy) -> int:
    """What failover adds to the pause, in milliseconds; ``policy``: ``answers`` has what the hosts have measured."""
    return vf.stall_ms(_view(domain, source, destination, policy), way["vf"])


def gap_ms(
    domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, way: Way, policy: Policy
) -> int | None:
    """How long a guest without a standby is without network beyond its migration, in milliseconds; None where it is
    not. Raises UnknownFact."""
    return vf.gap_pin_ms(_view(domain, source, destination, policy), way["vf"])


def offers(domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, policy: Policy) -> list[Offer]:
    """What the destination has for the virtual functions of a domain that is to run there."""
    if not domain.get("hostdevs") or domain.get("state") == "shutoff":
        return []
    return functions.offers(_view(domain, source, destination, policy))


def is_movable(domain: Facts, offline: bool) -> bool:
    """Whether libvirt can move a domain in its state, and it is then what it was: one that its user has paused is
    paused there; one that does not run is defined there, where ``offline`` allows that. Raises UnknownFact."""
    state = domain.get("state")
    if state == "paused":
        return bool(domain.get("state_reason") == _PAUSED_BY_USER)
    return state == "running" or (state == "shutoff" and offline)


def judged_as(move: Move) -> dict[str, t.Any]:
    """The way of a move as the ``migration`` of a policy, for the last look: what is sent is what is judged."""
    way = way_of(move)
    judged = {name: value for name, value in way.items() if name in MIGRATION}
    return {**judged, "paused": way["state"] == "paused", "offline": way["state"] == "shutoff"}


def tcp_uri(address: str) -> str:
    """An IPv6 address in brackets; without a port libvirt chooses one of the destination's range."""
    return f"tcp://[{address}]" if ":" in address else f"tcp://{address}"


def connections(view: View) -> int:
    """How many connections the memory of a guest goes over; 0 is one stream.

    What the user says; and where that is ``auto`` as many as the slower of the two fastest NICs can be filled with,
    at most half of the cores. One stream where any of that is not known, and where something else excludes more.
    """
    wanted = view.policy.get("migration", {}).get("parallel", AUTO)
    if wanted != AUTO:
        return int(wanted)
    try:
        return _by_facts(view)
    except UnknownFact:
        return 0


def _by_facts(view: View) -> int:
    if _excluded(view):
        return 0
    hosts = view.source, view.destination
    speeds = [host.get("config.nic_speed") for host in hosts]
    if None in speeds or min(speeds) < _FAST_MBIT_S:
        return 0
    of_one = _TLS_MBIT_S if view.tls else _PLAIN_MBIT_S
    by_link = max(_FEWEST, -(-min(speeds) // of_one))
    found = min(by_link, _MOST, *(len(cpuset.numbers(host.get("cpu.online"))) // 2 for host in hosts))
    return found if found >= _FEWEST else 0


def _excluded(view: View) -> bool:
    old = not (_both(view, "libvirt_version", _PARALLEL_LIBVIRT) and _both(view, "qemu_version", _PARALLEL_QEMU))
    nameless = view.tls and view.option("copy_storage") != "none"
    return bool(
        old
        or view.option("tunnelled")
        or view.option("transport") != "tcp"
        or view.option("compression")
        or (view.option("postcopy") and not _both(view, "qemu_version", POSTCOPY_QEMU))
        or (nameless and view.source.get("libvirt_version") < NBD_NAME_LIBVIRT)
    )


def _both(view: View, fact: str, since: int) -> bool:
    try:
        return bool(view.source.get(fact) >= since and view.destination.get(fact) >= since)
    except UnknownFact:
        return False


def _disks(view: View) -> list[Facts]:
    return view.domain.items("disks", "target") if view.option("copy_storage") != "none" else []


def _view(domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, policy: Policy) -> View:
    parts = {"domain": domain, "source": source, "destination": destination}
    facts = {
        part: Facts(
            f"{'domain' if part == 'domain' else 'host'} {snapshot['name']}", t.cast("dict[str, t.Any]", snapshot)
        )
        for part, snapshot in parts.items()
    }
    return View(
        policy,
        policy.get("answers", {}),
        domain_name=domain["name"],
        source_name=source["name"],
        destination_name=destination["name"],
        facts=facts,
    )
