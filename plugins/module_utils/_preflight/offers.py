# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a destination's hypervisor offers to guests of one kind, and what its host offers to all of them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import Facts, Question, UnknownFact
from .._model.cpuset import numbers
from .check import View
from .fleet import Fleet
from .questions import capabilities_question
from .world import INACTIVE


class Kind(t.NamedTuple):
    """Guests for which a hypervisor has one answer."""

    emulator: str
    arch: str
    machine: str
    virt_type: str


def kind_of(domain: Facts) -> Kind:
    return Kind(*(domain.get(fact) for fact in Kind._fields))


def asked_kind(question: Question) -> Kind:
    return Kind(question["emulator"], question["arch"], question["machine"], question["virt_type"])


def runs(view: View, kind: Kind) -> bool:
    """Whether the destination runs such guests at all. If not, other checks say so, and nothing more can be said."""
    return any(
        emulator["arch"] == kind.arch
        and kind.machine in emulator["machines"]
        and kind.virt_type in emulator["virt_types"]
        for emulator in view.destination.get("emulators")
    )


def ask(view: View, kind: Kind) -> t.Iterator[Question]:
    if runs(view, kind):
        yield capabilities_question(*kind)


def offers(view: View, kind: Kind) -> Facts | None:
    """The destination's answer; None where it does not run such guests. Raises UnknownFact."""
    if not runs(view, kind):
        return None
    return view.answer(view.destination_name, capabilities_question(*kind)["key"])


def usable_cpus(view: View) -> frozenset[int]:
    """The destination's CPUs on which a guest can run."""
    return numbers(view.destination.get("cpu.online")) & numbers(view.destination.get("cpu.allowed"))


def running_on(view: View, host: str | None) -> list[Facts]:
    """The domains to be judged that run on this host."""

    def make(fleet: Fleet) -> dict[str, list[Facts]]:
        found: dict[str, list[Facts]] = {}
        for entry in fleet.domains:
            if entry.get("state") not in INACTIVE:
                facts = Facts(f"domain {entry['name']}", t.cast("dict[str, t.Any]", entry))
                found.setdefault(entry["host"], []).append(facts)
        return found

    index: dict[str, list[Facts]] = view.fleet.index("running domains by host", make)
    return index.get(host or "", [])


def has_kvm_guests(view: View) -> bool:
    """Whether KVM runs guests of the source: to no others it matters what the CPUs of the hosts differ in.

    Raises UnknownFact where that is not known.
    """

    def make(_fleet: Fleet) -> bool:
        unread: list[UnknownFact] = []
        for domain in running_on(view, view.source_name):
            try:
                if domain.get("virt_type") == "kvm":
                    return True
            except UnknownFact as reason:
                unread.append(reason)
        if unread:
            raise unread[0]
        return False

    found: bool = view.fleet.index(f"KVM guests on {view.source_name}", make)
    return found
