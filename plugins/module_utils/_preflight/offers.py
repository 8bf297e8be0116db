# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a destination's hypervisor offers to guests of one kind, and what its host offers to all of them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import typing as t

from .._model.api import Facts, Question
from .check import View
from .questions import capabilities_question


class Kind(t.NamedTuple):
    """Guests for which a hypervisor has one answer."""

    emulator: str
    arch: str
    machine: str
    virt_type: str


def kind_of(domain: Facts) -> Kind:
    return Kind(*(domain.get(fact) for fact in Kind._fields))


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


@functools.lru_cache(maxsize=4096)
def cpus(text: str) -> frozenset[int]:
    """The CPUs of a list as libvirt and the kernel write it: ``0-3,^2,8``."""
    chosen: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _dash, last = part.lstrip("^").partition("-")
        numbers = range(int(first), int(last or first) + 1)
        chosen = chosen.difference(numbers) if part.startswith("^") else chosen.union(numbers)
    return frozenset(chosen)


def usable_cpus(view: View) -> frozenset[int]:
    """The destination's CPUs on which a guest can run."""
    return cpus(view.destination.get("cpu.online")) & cpus(view.destination.get("cpu.allowed"))


def kvm_sources(view: View) -> frozenset[str]:
    """The hosts of those guests that KVM runs; differences of the hosts' CPUs matter to no others."""

    def make(fleet: t.Any) -> frozenset[str]:
        return frozenset(entry["host"] for entry in fleet.domains if entry.get("virt_type") == "kvm")

    found: frozenset[str] = view.fleet.index("hosts with KVM guests", make)
    return found
