# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a move may cost, by the user's profile and the domain's own label, and what it is expected to cost. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Guest, touched_mib, with_history
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    DomainSnapshot,
    Finding,
    Forecast,
    HostSnapshot,
    LivemigError,
    MoveProfile,
    UnknownFact,
    Way,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._policy.api import begin
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import (
    Policy,
    Problem,
    gap_ms,
    judge,
    postcopy_obstacles,
    profile_of,
    stall_ms,
)

_CHECK = "guest_migration_policy_tag"


def mislabelled(domains: t.Sequence[DomainSnapshot], policy: Policy) -> list[Finding]:
    """A domain whose label names a setting that is not there stays: what was meant is not known."""
    found = []
    for domain in domains:
        try:
            profile_of(domain["name"], domain.get("label"), policy)
        except LivemigError as error:
            problem = Problem(error.what, str(error.value), expected=error.expected, remedy=error.remedy)
            found.append(judge(_CHECK, domain, None, problem))
    return found


def promise(
    domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, way: Way, policy: Policy
) -> tuple[MoveProfile, Forecast | None]:
    """Profile and forecast of one move; no forecast for a guest that does not run."""
    chosen = profile_of(domain["name"], domain.get("label"), policy)
    obstacles = _obstacles(domain, source, destination, way, policy) if chosen.postcopy else []
    stall = stall_ms(domain, source, destination, way, policy)
    # QEMU's failover pins the guest's memory while it stands still: that is of its devices, and no pass tells of it.
    chosen = chosen._replace(device_ms=chosen.device_ms + stall)
    promised = t.cast(MoveProfile, {**chosen._asdict(), "obstacles": obstacles})
    if way["state"] != "running":
        return promised, None
    guest = expected(domain, destination["name"], way, policy)._replace(device_ms=chosen.device_ms)
    _state, start = begin(guest, chosen, 0.0, obstacles=obstacles, capped=bool(way["bandwidth_mib_s"]))
    if not stall:
        return promised, start.forecast
    reason = f"{start.forecast['reason']}; of that pause about {stall} ms are for pinning its memory (failover)"
    return promised, {**start.forecast, "reason": reason}


def with_gap(
    way: Way,
    forecast: Forecast | None,
    domain: DomainSnapshot,
    source: HostSnapshot,
    destination: HostSnapshot,
    policy: Policy,
) -> Way:
    """With how long a guest without a standby is expected to be without network: for the whole migration, and until
    its function is attached."""
    if not way["vf_gap"]:
        return way
    total_ms, pin_ms = (None if forecast is None else forecast["total_ms"]), None
    with contextlib.suppress(UnknownFact):
        pin_ms = gap_ms(domain, source, destination, way, policy)
        if pin_ms is None:
            return way
    text = (
        f"about {total_ms + pin_ms} ms, of which {pin_ms} ms are for pinning its memory"
        if total_ms is not None and pin_ms is not None
        else "for how long is not known"
    )
    return {**way, "vf_reason": f"{way['vf_reason']}: {text}"}


def expected(domain: DomainSnapshot, destination: str, way: Way, policy: Policy) -> Guest:
    """What is known of the guest: from its snapshot, from earlier runs, and of the link from the user."""
    history = policy.get("history", ())
    resident = None if domain["hugepages"] else domain.get("resident_mib")
    touched = touched_mib(resident, domain["memory_mib"], history, domain["uuid"])
    chosen = profile_of(domain["name"], domain.get("label"), policy)
    guest = Guest(
        touched,
        0.0,
        dirty_mib_s=domain.get("dirty_mib_s"),
        device_mib=chosen.device_mib,
        device_ms=chosen.device_ms,
    )
    guest = with_history(guest, history, destination, domain["host"], domain["uuid"])
    said = policy.get("convergence", {}).get("link_mib_s") or way["bandwidth_mib_s"]
    return guest if guest.link_mib_s else guest._replace(link_mib_s=float(said))


def _obstacles(
    domain: DomainSnapshot, source: HostSnapshot, destination: HostSnapshot, way: Way, policy: Policy
) -> list[str]:
    found = postcopy_obstacles(domain, source, destination, way, policy)
    return [*found, *(["its disks are copied along"] if way["copy_disks"] else [])]
