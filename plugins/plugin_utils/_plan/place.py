# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Placing domains: first fit decreasing by memory, within what preflight allows. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    DomainSnapshot,
    Edit,
    Facts,
    Finding,
    HostSnapshot,
    Move,
    Stay,
    UnknownFact,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import (
    INACTIVE,
    Policy,
    Problem,
    judge,
    matching_controls,
    required_memory_mib,
)

from .address import migrate_uri, of_destination

DEFAULT_RESERVE_MIB = 512
"""Left free on every destination: for the host's own daemons, the page cache of its disks, and what guests that are
there already may still claim, since QEMU takes its guest's memory only when the guest first touches it."""

_MOVE_FACTS = ("persistent", "autostart")


@dataclass
class Room:
    """A destination, what is left on it in MiB (None: it is not known, and so nothing fits), and who comes to it."""

    name: str
    left_mib: int | None
    coming: list[str] = field(default_factory=list)

    def take(self, domain: str, needed_mib: int) -> None:
        self.coming.append(domain)
        if self.left_mib is not None:
            self.left_mib -= needed_mib


def rooms(hosts: t.Sequence[HostSnapshot], destinations: t.Sequence[str], reserve_mib: int) -> list[Room]:
    """In the order in which the destinations were given: that is the order in which they are filled."""
    snapshots = {host["name"]: host for host in hosts}
    found = []
    for name in dict.fromkeys(destinations):
        facts = Facts(f"host {name}", t.cast("dict[str, t.Any]", snapshots.get(name, {})))
        try:
            found.append(Room(name, facts.get("memory.available_mib") - reserve_mib))
        except UnknownFact:
            found.append(Room(name, None))
    return found


def place(
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[Room],
    findings: t.Sequence[Finding],
    policy: Policy,
) -> tuple[list[Move], list[Stay]]:
    """Moves in the order in which they were placed, the largest first; stays by name. Fills the rooms."""
    moves: list[Move] = []
    stays: list[Stay] = []
    blocking: dict[str | None, list[Finding]] = {}
    for finding in findings:
        if finding["blocks"]:
            blocking.setdefault(finding["domain"], []).append(finding)
    for domain in sorted(domains, key=_largest_first):
        of_it = [*blocking.get(None, []), *blocking.get(domain["name"], [])]
        of_it += _twins(domain, domains, of_it)
        room, reasons = _find_room(domain, destinations, of_it)
        if room is None:
            stays.append(_stay(domain, reasons))
        else:
            room.take(domain["name"], required_memory_mib(domain))
            edits = _edits(domain, room.name, findings)
            moves.append(_move(domain, room.name, edits, policy))
    return moves, sorted(stays, key=lambda stay: (stay["source"], stay["domain"]))


def _twins(domain: DomainSnapshot, domains: t.Sequence[DomainSnapshot], known: t.Sequence[Finding]) -> list[Finding]:
    """That a domain with its UUID runs on another source too, unless preflight has said so: then none of them moves."""
    check = "dst_domain_uuid_running"
    said = any(finding["check"] == check and _speaks_of(finding, domain, None) for finding in known)
    if said or domain.get("state") in INACTIVE:
        return []
    same = [other for other in domains if other["uuid"] == domain["uuid"] and other.get("state") not in INACTIVE]
    hosts = sorted({other["host"] for other in same} - {domain["host"]})
    if not hosts:
        return []
    what = f"UUID {domain['uuid']} is active on {' and '.join(hosts)} as well as on {domain['host']}"
    return [judge(check, domain, None, Problem(f"Domain {domain['name']}", what))]


def _largest_first(domain: DomainSnapshot) -> tuple[int, str, str]:
    return -_needed_mib(domain), domain["host"], domain["name"]


def _needed_mib(domain: DomainSnapshot) -> int:
    """0 where it is not known; then the domain stays, whatever its place in the order."""
    try:
        return required_memory_mib(domain)
    except KeyError:
        return 0


def _find_room(
    domain: DomainSnapshot, destinations: t.Sequence[Room], blocking: t.Sequence[Finding]
) -> tuple[Room | None, list[Finding]]:
    """The first room that takes the domain; or None and everything that speaks against each of them."""
    own = _own_reasons(domain, blocking)
    if domain.get("state") != "running":
        return None, own
    reasons = list(own)
    for room in destinations:
        if room.name == domain["host"]:
            continue
        against = [finding for finding in blocking if _speaks_of(finding, domain, room.name)]
        against += _capacity(domain, room, {finding["check"] for finding in against})
        against += _namesake(domain, room)
        if not own and not against:
            return room, []
        reasons += against
    if not reasons:
        problem = Problem(f"Destinations of domain {domain['name']}", "there is none but the host on which it runs")
        reasons.append(judge("host_not_same", domain, None, problem))
    return None, reasons


def _speaks_of(finding: Finding, domain: DomainSnapshot, destination: str | None) -> bool:
    """Of a finding about this domain or about all: whether it holds on its host and for this destination alone."""
    return finding["source"] in (None, domain["host"]) and finding["destination"] == destination


def _own_reasons(domain: DomainSnapshot, blocking: t.Sequence[Finding]) -> list[Finding]:
    """What holds whatever the destination is: found by preflight, or missing for a move."""
    reasons = [finding for finding in blocking if _speaks_of(finding, domain, None)]
    known = {finding["check"] for finding in reasons}
    if domain.get("state") != "running" and "guest_state" not in known:
        problem = Problem(f"Domain {domain['name']}", f"it is {domain.get('state')}")
        reasons.append(judge("guest_state", domain, None, problem))
    facts = Facts(f"domain {domain['name']}", t.cast("dict[str, t.Any]", domain))
    for check, needed in (("flags_persist_policy", _MOVE_FACTS), ("mem_capacity_dest", ("memory_mib", "vcpus"))):
        try:
            for fact in needed:
                facts.get(fact)
        except UnknownFact as reason:
            if check not in known:
                reasons.append(judge(check, domain, None, Problem("", str(reason), unknown=True)))
    return reasons


def _capacity(domain: DomainSnapshot, room: Room, known: t.Container[str]) -> list[Finding]:
    """That the room is too small, unless preflight has said so, or that its size is not known."""
    needed = _needed_mib(domain)
    if "mem_capacity_dest" in known or "host_daemon_alive" in known:
        return []
    if room.left_mib is None:
        unknown = Problem("", f"the available memory of {room.name} was not observed", unknown=True)
        return [judge("mem_capacity_dest", domain, room.name, unknown)]
    if room.left_mib >= needed:
        return []
    earlier = f", {len(room.coming)} earlier moves" if room.coming else ""
    problem = Problem(
        f"Memory of {room.name}",
        f"{max(room.left_mib, 0)} MiB are left after the reserve{earlier}",
        expected=f"{needed} MiB for domain {domain['name']}",
        remedy="add a destination, free memory there, or lower livemig_memory_reserve_mib",
    )
    return [judge("mem_capacity_dest", domain, room.name, problem)]


def _namesake(domain: DomainSnapshot, room: Room) -> list[Finding]:
    """That a domain of the same name, from another source, is to go to the same destination."""
    if domain["name"] not in room.coming:
        return []
    problem = Problem(f"Name {domain['name']}", f"a domain of that name from another host is to go to {room.name}")
    return [judge("dst_domain_name_conflict", domain, room.name, problem)]


def _edits(domain: DomainSnapshot, destination: str, findings: t.Sequence[Finding]) -> list[Edit]:
    """What is changed in the definition on its way there, each change once."""
    found: list[Edit] = []
    for finding in findings:
        edit = finding["edit"] if finding["status"] == "edited" and finding["domain"] == domain["name"] else None
        here = _speaks_of(finding, domain, destination) or _speaks_of(finding, domain, None)
        if edit is not None and here and edit not in found:
            found.append(edit)
    return found


def _move(domain: DomainSnapshot, destination: str, edits: list[Edit], policy: Policy) -> Move:
    return {
        "domain": domain["name"],
        "uuid": domain["uuid"],
        "source": domain["host"],
        "destination": destination,
        "destination_uri": of_destination(policy, "uris", destination),
        "migrate_uri": migrate_uri(of_destination(policy, "addresses", destination)),
        "persistent": domain["persistent"],
        "autostart": domain["autostart"],
        "memory_mib": domain["memory_mib"],
        "requires": {"available_mib": required_memory_mib(domain)},
        "edits": edits,
        "controls": matching_controls(policy.get("controls", ()), domain["uuid"], (domain["host"], destination)),
    }


def _stay(domain: DomainSnapshot, reasons: list[Finding]) -> Stay:
    return {
        "domain": domain["name"],
        "uuid": domain["uuid"],
        "source": domain["host"],
        "state": domain.get("state", "unknown"),
        "reasons": reasons,
    }
