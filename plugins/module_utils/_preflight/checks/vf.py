# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what becomes of virtual functions in a migration: which strategy, how long it stands still, who lets go.

The strategy itself is chosen by _sriov/strategy.py.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Question
from ..._sriov.api import FAILOVER, NATIVE, NONE, REFUSE, REPLUG, Memory, shown
from ..check import Check, Problem, Requirement, View, unknown, version_text
from ..functions import pools
from ..vf import (
    RATE_KEY,
    ceiling_ms,
    kinds_held,
    mac_of,
    memory_of,
    native_obstacles,
    stall_at,
    strategy,
    without_native,
)

_LONG_MS = 5000
"""As long as libvirt itself waits for an unplug; a monitor that is silent for longer shows."""
# 12.1: libvirt's NEWS of 12.2.
_CRASHES = 12001
# net_failover's own device, the standby and the virtual function.
_TEAM = 3
_NO_HOTPLUG_MACHINES = ("pc-q35", "q35", "virt")


def _strategy(view: View) -> t.Iterator[Problem]:
    choice = strategy(view)
    if choice.name == REFUSE:
        yield Problem(f"Domain {view.domain_name}", choice.reason)


def _told(view: View) -> t.Iterator[Problem]:
    choice = strategy(view)
    if choice.name in (NONE, REFUSE):
        return
    text = f"{choice.name}: {choice.reason}"
    other = without_native(view) if choice.name == NATIVE else None
    if other is not None and other.name != REFUSE:
        text += f"; where the destination's cannot, {other.name}: {other.reason}"
    yield Problem(f"Virtual functions of domain {view.domain_name}", text)


def _postcopy(view: View) -> t.Iterator[Problem]:
    for hostdev in view.domain.get("hostdevs"):
        stays = hostdev["type"] == "mdev" or (hostdev["type"] == "pci" and strategy(view).name != REPLUG)
        if stays and view.option("postcopy"):
            yield Problem(f"Domain {view.domain_name}", f"it holds {hostdev['description']}")


class Stall(t.NamedTuple):
    strategy: str
    memory: tuple[Memory, ...]
    ceiling_ms: int


def _stall(view: View) -> t.Iterator[Stall]:
    if not view.domain.get("hostdevs"):
        return
    chosen = strategy(view).name
    if chosen in (REPLUG, FAILOVER):
        yield Stall(chosen, memory_of(view), ceiling_ms(view))


def _ask_rate(view: View, _need: Stall) -> t.Iterator[Question]:
    if view.policy.get("probe") and not view.option("vf_pin_mib_s"):
        yield {"key": RATE_KEY, "ask": "fill"}


def _pins(view: View, need: Stall) -> t.Iterator[Problem]:
    milliseconds, rate = stall_at(view, need.memory)
    size = sum(each.mib for each in need.memory)
    figure = f"about {milliseconds} ms ({size} MiB, 4 KiB pages at {rate:.0f} MiB/s)"
    if need.strategy == FAILOVER and milliseconds > min(_LONG_MS, need.ceiling_ms):
        yield Problem(
            "Domain {domain}",
            f"with failover it stands still for {figure} while {view.there} allocates and pins its memory",
            expected=f"{min(_LONG_MS, need.ceiling_ms)} ms at most",
            remedy="choose replug (migration.vf), which pins while the guest runs; or put its memory on huge pages, or "
            "allocate it at once",
            severity="error" if milliseconds > need.ceiling_ms else None,
        )
    elif need.strategy == REPLUG and milliseconds > _LONG_MS:
        yield Problem(
            "QEMU of domain {domain}",
            f"its main loop is busy for {figure} on {view.there} when the function is attached",
            expected=f"{_LONG_MS} ms at most: the guest runs meanwhile, but its monitor, consoles and disks without an "
            "I/O thread wait",
        )


class Functions(t.NamedTuple):
    """``instead``: what is done where the destination cannot take them by their drivers."""

    kind: str
    number: int
    instead: str


def _migrates(view: View) -> t.Iterator[Functions]:
    if view.domain.get("hostdevs") and strategy(view).name == NATIVE:
        instead = without_native(view).name
        yield from (Functions(kind, count, instead) for kind, count in sorted(kinds_held(view).items()))


def _migrates_there(view: View, need: Functions) -> t.Iterator[Problem]:
    what = f"Virtual functions {need.kind} of {view.there} for domain {{domain}}"
    for text in native_obstacles(view, need.kind, need.number):
        if need.instead == REFUSE:
            yield Problem(what, text)
        else:
            yield Problem(what, f"{text}, so that {need.instead} is taken", severity="info")


class Given(t.NamedTuple):
    network: str


def _given(view: View) -> t.Iterator[Given]:
    if view.domain.get("hostdevs") and strategy(view).name == REPLUG:
        yield from (Given(each.network) for each in pools(view))


def _crashes(view: View, need: Given) -> t.Iterator[Problem]:
    """It is attached at the destination, or at the source where the migration fails."""
    for name, host in ((view.there, view.destination), (view.source_name, view.source)):
        if host.get("libvirt_version") // 1000 == _CRASHES:
            yield Problem(
                f"libvirt {version_text(host.get('libvirt_version'))} of {name}",
                f"it crashes when domain {{domain}} is given a function of network {need.network} again",
            )


def _leaves(view: View) -> t.Iterator[Problem]:
    """QEMU plugs nothing into or out of the root complex of a PCI Express machine."""
    for hostdev in view.domain.get("hostdevs"):
        if hostdev["type"] != "pci" or strategy(view).name not in (REPLUG, FAILOVER):
            continue
        express = any(word in view.domain.get("machine") for word in _NO_HOTPLUG_MACHINES)
        bus = hostdev["more"].get("guest_bus")
        what = f"{hostdev['description']} of domain {view.domain_name}"
        if express and bus is not None and int(bus, 0) == 0:
            yield Problem(what, "it is on bus 0 of the guest, which has no hotplug", severity="error")
        agent = view.domain.get("agent")
        if agent["asked"] and not agent["answers"]:
            yield Problem(what, f"the guest may not be up to let go: its agent says nothing ({agent['reason']})")


def _guest_ready(view: View) -> t.Iterator[Problem]:
    for hostdev in view.domain.get("hostdevs"):
        if hostdev["type"] != "pci" or hostdev["teaming"] != "transient":
            continue
        links = view.domain.get("agent").get("links")
        if links is None:
            yield unknown(f"no agent tells which network devices domain {view.domain_name} has")
            continue
        names = shown(links, mac_of(hostdev))
        if len(names) < _TEAM:
            yield Problem(
                f"Team of {hostdev['description']} in domain {view.domain_name}",
                f"the guest has {', '.join(names) or 'no device'} with this MAC address",
            )


CHECKS: tuple[Check, ...] = (
    Check(
        id="hd_pci_plain",
        category="hostdev",
        severity="error",
        scope="domain",
        title="Every PCI device that is passed through can be taken off, or moves",
        expected="none, or virtual functions with a standby that carries the traffic meanwhile",
        remedy="give it a standby (<teaming>), and define a plain <hostdev> as <interface type='hostdev'>; or detach "
        "the device before the migration",
        evaluate=_strategy,
        volatile=True,
    ),
    Check(
        id="hd_vf_strategy",
        category="hostdev",
        severity="info",
        scope="domain",
        title="What becomes of virtual functions in a migration",
        expected="nothing to be done",
        remedy="choose another one by migration.vf, if this is not what you want",
        evaluate=_told,
    ),
    Check(
        id="hd_vfio_postcopy",
        category="hostdev",
        severity="error",
        scope="domain",
        title="Post-copy is not used while a passed-through device is there",
        expected="no post-copy: the device may write to any page at any time, so that all must be there",
        remedy="leave post-copy out for this domain, or detach the device first",
        evaluate=_postcopy,
        volatile=True,
    ),
    Check(
        id="hd_vfio_pin_time",
        category="hostdev",
        severity="warning",
        scope="pair",
        title="Pinning the guest's memory takes no longer than it may",
        # hw/net/virtio-net.c: failover_add_primary runs while the guest is paused; VFIO_IOMMU_MAP_DMA pins all of it.
        expected="less",
        remedy="put its memory on huge pages, or allocate it at once (<allocation mode='immediate'/>)",
        requires=Requirement(_stall, _pins, _ask_rate),
    ),
    Check(
        id="hd_vfio_migratable",
        category="hostdev",
        severity="error",
        scope="pair",
        title="The destination's driver can migrate the device too",
        expected="as many as the domain holds, QEMU 8.1 and libvirt 9.7 or newer",
        remedy="load the vendor's VFIO driver there, or give the domain a standby and choose replug (migration.vf)",
        requires=Requirement(_migrates, _migrates_there),
    ),
    Check(
        id="hd_vf_network_crash",
        category="hostdev",
        severity="error",
        scope="pair",
        title="libvirt survives that a function of a network is attached",
        expected="another version than 12.1 on both hosts; it is mended in 12.2",
        remedy="update libvirt there, or define the function itself (<interface type='hostdev'>) and not its network",
        requires=Requirement(_given, _crashes, uses_source=True),
    ),
    Check(
        id="hd_unplug_ack_possible",
        category="hostdev",
        severity="warning",
        scope="domain",
        title="The guest can let go of its device",
        expected="a guest whose system is up, and a device below a PCIe root port",
        remedy="see that the guest is up; a device on bus 0 must be given another address, and the guest a power cycle",
        evaluate=_leaves,
    ),
    Check(
        id="hd_teaming_guest_ready",
        category="hostdev",
        severity="warning",
        scope="domain",
        title="The guest has brought the team together",
        expected="three: net_failover, its standby and the virtual function",
        remedy="see that the guest has the driver net_failover (Linux 4.18 or newer) and that it is loaded",
        evaluate=_guest_ready,
    ),
)
