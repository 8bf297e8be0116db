# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's virtual functions as facts tell of them: what the choice of a strategy is made of.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import collections
import typing as t

from .._model.api import LivemigError, UnknownFact
from .._sriov.api import (
    FAILOVER,
    NATIVE,
    REPLUG,
    SEED_MIB_S,
    Asked,
    Choice,
    Device,
    Memory,
    bonded,
    choose,
    forecast_ms,
    pinned_mib_s,
)
from .check import View
from .controls import label_words
from .memory import page_kib_at, shares
from .profile import profile_of

GAP_WORD = "vf-gap"
"""In a domain's label: it may be without network while its virtual function is off."""
RATE_KEY = "fill:memory"
"""The question by which a destination measures its rate."""
_ADDRESS = ("domain", "bus", "slot", "function")
# QEMU's docs/devel/migration/vfio.rst: the protocol is no experiment since 8.1; libvirt's NEWS of 9.7.
_MIGRATES = (("qemu_version", 8001000, "QEMU 8.1"), ("libvirt_version", 9007000, "libvirt 9.7"))


def address_of(hostdev: t.Mapping[str, t.Any]) -> str | None:
    """The PCI address of the host as sysfs writes it; None where the definition has none."""
    parts = [hostdev["more"].get(name) for name in _ADDRESS]
    if hostdev["type"] != "pci" or any(part is None for part in parts[1:]):
        return None
    domain, bus, slot, function = (int(part or "0", 0) for part in parts)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def mac_of(hostdev: t.Mapping[str, t.Any]) -> str | None:
    """None of a plain <hostdev>, whose definition does not tell it."""
    return str(hostdev["description"]).rpartition(" ")[2].lower() if hostdev["mode"] == "interface" else None


def strategy(view: View, stall_ms: int | None = None) -> Choice:
    """Of a view with a domain. Right before the start nothing is known of node devices: what was decided then holds.
    Raises UnknownFact."""
    found = tuple(devices(view))
    if not found:
        return choose(Asked(view.option("vf"), ()))
    state, gap = view.domain.get("state"), has_gap(view)
    return choose(Asked(view.option("vf"), found, state, gap, stall_ms, ceiling_ms(view)))


def without_native(view: View) -> Choice:
    """The strategy where the destination's drivers can migrate nothing. Raises UnknownFact."""
    found = tuple(each._replace(native=False) for each in devices(view))
    return choose(Asked(view.option("vf"), found, view.domain.get("state"), has_gap(view), None, ceiling_ms(view)))


def has_gap(view: View) -> bool:
    """Whether its label allows it to be without network. Raises UnknownFact."""
    return GAP_WORD in label_words(view.domain.get("label"))


def ceiling_ms(view: View) -> int:
    """The longest pause that the guest's profile allows. Raises UnknownFact."""
    label = view.domain.get("label")
    try:
        return profile_of(view.domain_name or "", label, view.policy).ceiling_ms
    except LivemigError as error:
        raise UnknownFact(str(error)) from error


def devices(view: View) -> t.Iterator[Device]:
    for hostdev in view.domain.get("hostdevs"):
        if hostdev["type"] == "pci":
            yield Device(
                hostdev["description"],
                _is_function(view, hostdev),
                hostdev["teaming"] == "transient",
                _bonded(view, hostdev),
                _native(view, hostdev),
                hostdev["mode"] != "interface",
            )


def _is_function(view: View, hostdev: t.Mapping[str, t.Any]) -> bool | None:
    """libvirt takes nothing but virtual functions for an interface (virHostdevIsVirtualFunction)."""
    if hostdev["mode"] == "interface":
        return True
    entry = _entry(view, hostdev)
    return None if entry is None else bool(entry)


def _native(view: View, hostdev: t.Mapping[str, t.Any]) -> bool:
    entry = _entry(view, hostdev)
    if entry is None:
        return _decided(view, NATIVE)
    return bool(entry.get("migratable")) and _native_there(view, entry["kind"])


def _native_there(view: View, kind: str) -> bool:
    """The destination can take it so, where one is looked at. What is not known is no yes."""
    if "destination" not in view.facts:
        return True
    try:
        return not list(native_obstacles(view, kind, kinds_held(view)[kind]))
    except UnknownFact:
        return False


def kinds_held(view: View) -> collections.Counter[str]:
    """vendor:device -> how many virtual functions of it the domain has. Raises UnknownFact."""
    held = {address_of(hostdev) for hostdev in view.domain.get("hostdevs")}
    return collections.Counter(entry["kind"] for entry in view.source.get("nodedevs.vfs") if entry["address"] in held)


def native_obstacles(view: View, kind: str, number: int) -> t.Iterator[str]:
    """Why the destination cannot take that many of this kind by their drivers. Raises UnknownFact."""
    found = [entry for entry in view.destination.get("nodedevs.vfs") if entry["kind"] == kind]
    able = [entry for entry in found if entry["migratable"]]
    if len(able) < number:
        yield f"{len(able)} of {len(found)} have a driver that can migrate them"
    for fact, least, name in _MIGRATES:
        if view.destination.get(fact) < least:
            yield f"{view.there} has less than {name}"


def _decided(view: View, name: str) -> bool:
    """In the last look, which alone knows the move's state: _sriov/transaction.py looks for the rest itself."""
    return "state" in view.policy and view.option("vf") == name


def _entry(view: View, hostdev: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any] | None:
    """What the source knows of this function; empty where it is none, None where it does not tell."""
    try:
        found = view.source.get("nodedevs.vfs")
    except UnknownFact:
        return None
    address = address_of(hostdev)
    return next((each for each in found if each["address"] == address), {})


def _bonded(view: View, hostdev: t.Mapping[str, t.Any]) -> bool:
    if _decided(view, REPLUG):
        return True
    try:
        links = view.domain.get("agent").get("links") or {}
        others = [nic["mac"].lower() for nic in view.domain.get("interfaces") if nic["type"] != "hostdev"]
    except UnknownFact:
        return False
    functions = [mac_of(each) for each in view.domain.get("hostdevs") if each["type"] == "pci"]
    return bonded(links, mac_of(hostdev), functions, others)


def memory_of(view: View) -> tuple[Memory, ...]:
    """The guest's memory by the pages that it gets at the destination. ``page_kib`` 0: its default size of huge pages,
    which ``at`` fills in. Raises UnknownFact."""
    backing = view.domain.get("settings.memory_backing")
    allocated = backing["allocation"] == "immediate" or bool(backing["locked"]) or view.option("vf_immediate")
    return tuple(
        Memory(share.mib, {0: 4, None: 0}.get(share.page_kib, share.page_kib or 0), allocated)
        for share in shares(view.domain)
    )


def stall_at(view: View, memory: t.Iterable[Memory]) -> tuple[int, float]:
    """Milliseconds at the destination, and by which rate in MiB/s. Raises UnknownFact."""
    at = [each._replace(page_kib=each.page_kib or page_kib_at(view.destination, None) or 4) for each in memory]
    rate = _rate(view)
    return forecast_ms(at, rate), rate


def stall_ms(view: View, chosen: str) -> int:
    """How long the guest stands still for its devices on this way, 0 where it does not or that is not known."""
    try:
        return stall_at(view, memory_of(view))[0] if chosen == FAILOVER else 0
    except UnknownFact:
        return 0


def gap_pin_ms(view: View, chosen: str) -> int | None:
    """What attaching adds to the time for which a guest without a standby is without network; None for one that has a
    standby for each function, or keeps them. Raises UnknownFact."""
    if chosen != REPLUG or all(each.has_standby for each in devices(view)):
        return None
    return stall_at(view, memory_of(view))[0]


def _rate(view: View) -> float:
    """What the user has set; what was measured there; or that of the report that this began with."""
    wanted = view.option("vf_pin_mib_s")
    if wanted:
        return float(wanted)
    answer = view.answers.get(view.there, {}).get(RATE_KEY, {})
    measured = answer.get("mib_s")
    return pinned_mib_s(measured) if measured else SEED_MIB_S
