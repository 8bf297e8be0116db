# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Placing domains: first fit decreasing by memory, within what preflight allows. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    DomainSnapshot,
    Edit,
    Facts,
    Finding,
    Forecast,
    HostSnapshot,
    Move,
    MoveProfile,
    Stay,
    UnknownFact,
    Way,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import (
    INACTIVE,
    Offer,
    Policy,
    Problem,
    Share,
    is_movable,
    judge,
    matching_controls,
    offers,
    pages_at,
    required_memory_mib,
    required_pages,
)

from .address import migrate_uri, of_destination

DEFAULT_RESERVE_MIB = 512
"""Left free on every destination: for the host's own daemons, the page cache of its disks, and what guests that are
there already may still claim, since QEMU takes its guest's memory only when the guest first touches it."""

Promise = tuple[MoveProfile, t.Optional[Forecast]]
Chosen = tuple[Way, Promise]
Choose = t.Callable[[DomainSnapshot, str], Chosen]
"""A domain and a destination -> the way of that move, what it may cost, and what it is expected to cost."""

_MOVE_FACTS = ("persistent", "autostart")

Index = dict[tuple[t.Optional[str], t.Optional[str], t.Optional[str]], list[tuple[int, Finding]]]
"""By domain, source and destination, each None for any: findings with their places in the order."""


class Need(t.NamedTuple):
    """What a domain takes of a destination: free memory, and huge pages of a size and of some of its nodes."""

    mib: int
    pages: tuple[Share, ...]


class Taken(t.NamedTuple):
    """Huge pages that a domain will take, from one of these nodes or from several (None: from any)."""

    size_kib: int
    needed: int
    nodes: tuple[int, ...] | None


Offers = t.Callable[[DomainSnapshot, t.Sequence[Edit]], t.Sequence[Offer]]
"""What a destination has for each need of virtual functions of a domain, whose ports may have other names there."""


def _no_offers(_domain: DomainSnapshot, _edits: t.Sequence[Edit]) -> t.Sequence[Offer]:
    return ()


@dataclass
class Room:
    """A destination, what is left on it in MiB (None: it is not known, and so nothing fits), and who comes to it.
    ``promised``: virtual functions that are to be theirs."""

    name: str
    left_mib: int | None
    host: Facts
    offers: Offers = _no_offers
    coming: set[str] = field(default_factory=set)
    taken: list[Taken] = field(default_factory=list)
    promised: set[str] = field(default_factory=set)

    def take(self, domain: DomainSnapshot, need: Need, edits: t.Sequence[Edit]) -> None:
        self.coming.add(domain["name"])
        for offer in self.offers(domain, edits):
            self.promised.update(self._unpromised(offer)[: offer.number])
        if self.left_mib is not None:
            self.left_mib -= need.mib
        for share in need.pages:
            self.taken.append(self._taken_by(share))

    def few_functions(self, domain: DomainSnapshot, edits: t.Sequence[Edit]) -> tuple[Offer, int] | None:
        """The first need of functions that would suffice without the earlier moves, and how many are left."""
        promised: set[str] = set()
        for offer in self.offers(domain, edits):
            left = [one for one in self._unpromised(offer) if one not in promised]
            if len(offer.free) >= offer.number > len(left):
                return offer, len(left)
            promised.update(left[: offer.number])
        return None

    def _unpromised(self, offer: Offer) -> list[str]:
        return [one for one in offer.free if one not in self.promised]

    def few_pages(self, need: Need) -> tuple[int, int, int] | None:
        """Size in KiB, pages left and pages needed of the first share that does not fit. Raises UnknownFact.

        From which of its nodes a guest takes its pages is up to the kernel, so all that it takes counts for each.
        """
        taken = list(self.taken)
        for share in need.pages:
            size, needed, free = pages_at(self.host, share)
            left = free - sum(entry.needed for entry in taken if entry.size_kib == size and _meet(entry, share))
            if not size or left < needed:
                return size, max(left, 0), needed
            taken.append(self._taken_by(share))
        return None

    def _taken_by(self, share: Share) -> Taken:
        pages = pages_at(self.host, share)
        return Taken(pages.size_kib, pages.needed, share.nodes)


def _meet(taken: Taken, share: Share) -> bool:
    return taken.nodes is None or share.nodes is None or not set(taken.nodes).isdisjoint(share.nodes)


def rooms(
    hosts: t.Sequence[HostSnapshot], destinations: t.Sequence[str], reserve_mib: int, policy: Policy
) -> list[Room]:
    """In the order in which the destinations were given: that is the order in which they are filled."""
    snapshots = {host["name"]: host for host in hosts}
    found = []
    for name in dict.fromkeys(destinations):
        facts = Facts(f"host {name}", t.cast("dict[str, t.Any]", snapshots.get(name, {})))
        offered = functools.partial(_offered, snapshots, name, policy)
        try:
            found.append(Room(name, facts.get("memory.available_mib") - reserve_mib, facts, offered))
        except UnknownFact:
            found.append(Room(name, None, facts, offered))
    return found


def _offered(
    hosts: t.Mapping[str, HostSnapshot], there: str, policy: Policy, domain: DomainSnapshot, edits: t.Sequence[Edit]
) -> t.Sequence[Offer]:
    here = domain["host"]
    if here not in hosts or there not in hosts:
        return ()
    kinds: dict[str, dict[str, str | None]] = {}
    for edit in edits:
        kinds.setdefault(edit["kind"], {})[edit["old"]] = edit["new"]
    return offers(domain, hosts[here], hosts[there], {**policy, "edits": {"map": {there: kinds}}})


class Known:
    """What is known of all domains, looked up instead of searched: findings that rule moves out, edits, twins."""

    def __init__(self, domains: t.Sequence[DomainSnapshot], findings: t.Sequence[Finding]) -> None:
        self._blocking: Index = {}
        self._edited: Index = {}
        self._active: dict[str, set[str]] = {}
        for position, finding in enumerate(findings):
            key = finding["domain"], finding["source"], finding["destination"]
            if finding["blocks"]:
                self._blocking.setdefault(key, []).append((position, finding))
            if finding["status"] == "edited":
                self._edited.setdefault(key, []).append((position, finding))
        for domain in domains:
            if domain.get("state") not in INACTIVE:
                self._active.setdefault(domain["uuid"], set()).add(domain["host"])

    def against(self, domain: DomainSnapshot, destination: str | None) -> list[Finding]:
        """What rules out its move to this destination alone (None: to all alike); what is about all domains first."""
        return [
            finding
            for name in (None, domain["name"])
            for finding in _in_order(self._blocking, name, domain["host"], (destination,))
        ]

    def edits(self, domain: DomainSnapshot, destination: str) -> list[Edit]:
        """What is changed in the definition on its way there, each change once."""
        found: list[Edit] = []
        for finding in _in_order(self._edited, domain["name"], domain["host"], (None, destination)):
            edit = finding["edit"]
            if edit is not None and edit not in found:
                found.append(edit)
        return found

    def twins(self, domain: DomainSnapshot) -> list[str]:
        """The other hosts on which a domain with its UUID is active, unless it is inactive itself."""
        if domain.get("state") in INACTIVE:
            return []
        return sorted(self._active.get(domain["uuid"], set()) - {domain["host"]})


def _in_order(
    index: Index, domain: str | None, source: str, destinations: t.Sequence[str | None]
) -> t.Iterator[Finding]:
    found = [
        entry for host in (None, source) for there in destinations for entry in index.get((domain, host, there), ())
    ]
    return (finding for _position, finding in sorted(found, key=lambda entry: entry[0]))


def place(
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[Room],
    findings: t.Sequence[Finding],
    policy: Policy,
    way: Choose,
) -> tuple[list[Move], list[Stay]]:
    """Moves in the order in which they were placed, the largest first; stays by name. Fills the rooms."""
    moves: list[Move] = []
    stays: list[Stay] = []
    known = Known(domains, findings)
    offline = policy.get("migration", {}).get("offline", False)
    wanted = [(domain, _need(domain)) for domain in domains]
    for domain, need in sorted(wanted, key=_largest_first):
        room, reasons = _find_room(domain, need, destinations, known, offline)
        if room is None:
            stays.append(_stay(domain, reasons))
        else:
            edits = known.edits(domain, room.name)
            room.take(domain, need, edits)
            moves.append(_move(domain, need, room.name, edits, policy, way(domain, room.name)))
    return moves, sorted(stays, key=lambda stay: (stay["source"], stay["domain"]))


def _twins(domain: DomainSnapshot, known: Known, said: t.Container[str]) -> list[Finding]:
    """That a domain with its UUID runs on another source too, unless preflight has said so: then none of them moves."""
    check = "dst_domain_uuid_running"
    hosts = known.twins(domain)
    if check in said or not hosts:
        return []
    what = f"UUID {domain['uuid']} is active on {' and '.join(hosts)} as well as on {domain['host']}"
    return [judge(check, domain, None, Problem(f"Domain {domain['name']}", what))]


def _largest_first(wanted: tuple[DomainSnapshot, Need]) -> tuple[int, str, str]:
    domain, need = wanted
    return -need.mib, domain["host"], domain["name"]


def _need(domain: DomainSnapshot) -> Need:
    """Nothing where it is not known; then the domain stays, whatever its place in the order."""
    try:
        return Need(required_memory_mib(domain), tuple(required_pages(domain)) if domain["hugepages"] else ())
    except UnknownFact:
        return Need(0, ())


def _find_room(
    domain: DomainSnapshot, need: Need, destinations: t.Sequence[Room], known: Known, offline: bool
) -> tuple[Room | None, list[Finding]]:
    """The first room that takes the domain; or None and everything that speaks against each of them."""
    own = _own_reasons(domain, known, offline)
    if not _movable(domain, offline):
        return None, own
    reasons = list(own)
    for room in destinations:
        if room.name == domain["host"]:
            continue
        against = _against(domain, need, room, known)
        if not own and not against:
            return room, []
        reasons += against
    if not reasons:
        problem = Problem(f"Destinations of domain {domain['name']}", "there is none but the host on which it runs")
        reasons.append(judge("host_not_same", domain, None, problem))
    return None, reasons


def _against(domain: DomainSnapshot, need: Need, room: Room, known: Known) -> list[Finding]:
    """What speaks against this destination alone: findings, and that there is no room left."""
    against = known.against(domain, room.name)
    said = {finding["check"] for finding in against}
    if "host_daemon_alive" not in said:
        against += [*_capacity(domain, need, room, said), *_pages(domain, need, room, said)]
        against += _functions(domain, room, known, said)
    return [*against, *_namesake(domain, room)]


class Reasons(t.NamedTuple):
    """What speaks against a domain's moves: whatever the destination, and at each of them, which may be nothing."""

    everywhere: list[Finding]
    at: dict[str, list[Finding]]


def each_alone(
    domains: t.Sequence[DomainSnapshot], destinations: t.Sequence[Room], findings: t.Sequence[Finding]
) -> t.Iterator[tuple[DomainSnapshot, Reasons]]:
    """Every domain against every destination, as if it alone were to move."""
    known = Known(domains, findings)
    for domain in domains:
        need = _need(domain)
        others = [room for room in destinations if room.name != domain["host"]]
        at = {room.name: _against(domain, need, room, known) for room in others}
        yield domain, Reasons(_own_reasons(domain, known), at)


def _movable(domain: DomainSnapshot, offline: bool) -> bool:
    try:
        return is_movable(_facts(domain), offline)
    except UnknownFact:
        return False


def _own_reasons(domain: DomainSnapshot, known: Known, offline: bool = False) -> list[Finding]:
    """What holds whatever the destination is: found by preflight, or missing for a move."""
    reasons = known.against(domain, None)
    said = {finding["check"] for finding in reasons}
    reasons += _twins(domain, known, said)
    if "guest_state" not in said and not _movable(domain, offline):
        problem = Problem(f"Domain {domain['name']}", f"it is {domain.get('state')}")
        reasons.append(judge("guest_state", domain, None, problem))
    for check, read in (("flags_persist_policy", _move_facts), ("mem_capacity_dest", required_memory_mib)):
        try:
            read(domain)
        except UnknownFact as reason:
            if check not in said:
                reasons.append(judge(check, domain, None, Problem("", str(reason), unknown=True)))
    return reasons


def _move_facts(domain: DomainSnapshot) -> None:
    facts = _facts(domain)
    for fact in _MOVE_FACTS:
        facts.get(fact)


def _facts(domain: DomainSnapshot) -> Facts:
    return Facts(f"domain {domain['name']}", t.cast("dict[str, t.Any]", domain))


def _capacity(domain: DomainSnapshot, need: Need, room: Room, said: t.Container[str]) -> list[Finding]:
    """That the room is too small, unless preflight has said so, or that its size is not known."""
    if "mem_capacity_dest" in said:
        return []
    if room.left_mib is None:
        unknown = Problem("", f"the available memory of {room.name} was not observed", unknown=True)
        return [judge("mem_capacity_dest", domain, room.name, unknown)]
    if room.left_mib >= need.mib:
        return []
    problem = Problem(
        f"Memory of {room.name}",
        f"{max(room.left_mib, 0)} MiB are left after the reserve{_earlier(room)}",
        expected=f"{need.mib} MiB for domain {domain['name']}",
        remedy="add a destination, free memory there, or lower livemig_memory_reserve_mib",
    )
    return [judge("mem_capacity_dest", domain, room.name, problem)]


def _pages(domain: DomainSnapshot, need: Need, room: Room, said: t.Container[str]) -> list[Finding]:
    """That the huge pages left do not suffice, unless preflight has said so, or that they are not known."""
    if "mem_hugepages_free" in said or not need.pages:
        return []
    try:
        few = room.few_pages(need)
    except UnknownFact as reason:
        unknown = judge("mem_hugepages_free", domain, room.name, Problem("", str(reason), unknown=True))
        return [{**unknown, "blocks": True}]
    if few is None:
        return []
    size, left, needed = few
    problem = Problem(
        f"Huge pages of {room.name}",
        f"{left} of {size} KiB each are left{_earlier(room)}",
        expected=f"{needed} for domain {domain['name']}",
    )
    return [judge("mem_hugepages_free", domain, room.name, problem)]


def _functions(domain: DomainSnapshot, room: Room, known: Known, said: t.Container[str]) -> list[Finding]:
    """That earlier moves are to get the virtual functions that it needs, unless preflight has spoken of them."""
    few = None if "hd_free_vf_dest" in said else room.few_functions(domain, known.edits(domain, room.name))
    if few is None:
        return []
    offer, left = few
    problem = Problem(
        f"Virtual functions {offer.called} of {room.name}",
        f"{left} of {len(offer.free)} free ones are left{_earlier(room)}",
        expected=f"{offer.number} for domain {domain['name']}",
        remedy="make more there, or add a destination",
    )
    return [judge("hd_free_vf_dest", domain, room.name, problem)]


def _earlier(room: Room) -> str:
    return f", {len(room.coming)} earlier moves" if room.coming else ""


def _namesake(domain: DomainSnapshot, room: Room) -> list[Finding]:
    """That a domain of the same name, from another source, is to go to the same destination."""
    if domain["name"] not in room.coming:
        return []
    problem = Problem(f"Name {domain['name']}", f"a domain of that name from another host is to go to {room.name}")
    return [judge("dst_domain_name_conflict", domain, room.name, problem)]


def _move(
    domain: DomainSnapshot, need: Need, destination: str, edits: list[Edit], policy: Policy, chosen: Chosen
) -> Move:
    way, promised = chosen
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
        "requires": {"available_mib": need.mib},
        "edits": edits,
        "controls": matching_controls(policy.get("controls", ()), domain["uuid"], (domain["host"], destination)),
        "way": way,
        "profile": promised[0],
        "forecast": promised[1],
    }


def _stay(domain: DomainSnapshot, reasons: list[Finding]) -> Stay:
    return {
        "domain": domain["name"],
        "uuid": domain["uuid"],
        "source": domain["host"],
        "state": domain.get("state", "unknown"),
        "reasons": reasons,
    }
