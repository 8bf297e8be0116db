# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of where a guest's vCPUs run: how many, on which CPUs, with which scheduler and shares.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model import cpuset
from ..._model.api import Question, UnknownFact
from ..check import Check, Problem, Requirement, View
from ..edits import mapped
from ..offers import Kind, ask, kind_of, offers, usable_cpus

_REAL_TIME = frozenset(("fifo", "rr"))
# perf events that count in the CPU (enum virPerfEventType); the others count in the kernel, which always can.
_IN_THE_CPU = frozenset(
    (
        "branch_instructions",
        "branch_misses",
        "bus_cycles",
        "cache_misses",
        "cache_references",
        "cpu_cycles",
        "instructions",
        "ref_cpu_cycles",
        "stalled_cycles_backend",
        "stalled_cycles_frontend",
    )
)


class Vcpus(t.NamedTuple):
    kind: Kind
    vcpus: int


def _vcpus_need(view: View) -> t.Iterator[Vcpus]:
    yield Vcpus(kind_of(view.domain), view.domain.get("vcpus"))


def _vcpu_limit(view: View, need: Vcpus) -> t.Iterator[Problem]:
    found = offers(view, need.kind)
    if found is not None:
        most = found.get("vcpu_max")
        if most is not None and most < need.vcpus:
            yield Problem(
                "vCPUs of domain {domain}",
                f"{need.vcpus}, and {view.there} allows {most} with machine type {need.kind.machine}",
            )


def _running_vcpus(view: View) -> t.Iterator[int]:
    yield int(view.domain.get("settings.vcpu.current") or view.domain.get("vcpus"))


def _enough_cpus(view: View, vcpus: int) -> t.Iterator[Problem]:
    usable = len(usable_cpus(view))
    if usable < vcpus:
        yield Problem("vCPUs of domain {domain}", f"{vcpus}; CPUs for guests on {view.there}: {usable}")


class Pin(t.NamedTuple):
    what: str
    cpuset: str


def _pins(view: View) -> t.Iterator[Pin]:
    domain = view.domain
    places: list[tuple[str, str | None]] = [
        ("vCPUs", domain.get("settings.vcpu.cpuset")),
        ("emulator", domain.get("settings.cputune.emulatorpin")),
        *((f"vCPU {entry['vcpu']}", entry["cpuset"]) for entry in domain.get("lists.vcpupins")),
        *((f"I/O thread {entry['iothread']}", entry["cpuset"]) for entry in domain.get("lists.iothreadpins")),
    ]
    named: dict[str, list[str]] = {}
    for what, pinned in places:
        if pinned:
            named.setdefault(pinned, []).append(what)
    for pinned, whats in named.items():
        yield Pin(", ".join(whats), pinned)


def _pinning(view: View, pin: Pin) -> t.Iterator[Problem]:
    wanted, usable = cpuset.numbers(pin.cpuset), usable_cpus(view)
    missing = sorted(wanted - usable)
    if not missing:
        return
    allowed = cpuset.text(usable) or "none"
    where = f"{view.there} has {view.destination.get('cpu.online')}, of which guests may use {allowed}"
    what = f"Pinning of domain {{domain}} ({pin.what})"
    edit = mapped(view, "cpuset", pin.cpuset)
    if edit is not None and edit["new"] is not None and not cpuset.numbers(edit["new"]) <= usable:
        edit = None
    if wanted & usable:
        # The kernel narrows the mask without a word (sched_setaffinity(2)).
        yield Problem(what, f"CPUs {pin.cpuset}; {where}", severity="warning", edit=edit)
    else:
        yield Problem(what, f"CPUs {pin.cpuset}, none of them usable; {where}", edit=edit)


def _schedulers(view: View) -> t.Iterator[str | Problem]:
    used = {
        str(entry["scheduler"])
        for family in ("vcpuscheds", "iothreadscheds", "emulatorscheds")
        for entry in view.domain.get(f"lists.{family}")
    }
    real_time = sorted(used & _REAL_TIME)
    if real_time and view.option("postcopy"):
        yield Problem(
            f"Scheduler of domain {view.domain_name}",
            f"{real_time[0]}, and post-copy lets a vCPU wait for the network whenever it needs a page",
            expected="no post-copy for a guest that must answer in time",
            remedy="migrate it without post-copy",
            severity="warning",
        )
    yield from real_time


def _real_time(view: View, scheduler: str) -> t.Iterator[Problem]:
    runtime = view.destination.get("cpu.rt_runtime_us")
    if runtime is None:
        raise UnknownFact(f"the kernel of {view.there} does not tell whether it lets real-time tasks run")
    if runtime == 0:
        yield Problem("Scheduler of domain {domain}", f"{scheduler}, and {view.there} lets no real-time task run")


def _tunes(view: View) -> t.Iterator[int]:
    count = len(view.domain.get("lists.cachetunes")) + len(view.domain.get("lists.memorytunes"))
    if count:
        yield count


def _resctrl(view: View, groups: int) -> t.Iterator[Problem]:
    found = view.destination.get("cpu.resctrl")
    if not found["mounted"]:
        yield Problem("Cache or bandwidth allocation of domain {domain}", f"{view.there} has no resctrl mounted")
    elif found["free_groups"] < groups:
        yield Problem(
            "Cache or bandwidth allocation of domain {domain}",
            f"{groups} groups, and {view.there} can make {found['free_groups']} more",
            remedy="choose another destination, or end guests there that have such groups",
        )


def _perf_need(view: View) -> t.Iterator[str]:
    on = {entry["event"] for entry in view.domain.get("lists.perf_events") if entry["enabled"] == "yes"}
    found = sorted(on & _IN_THE_CPU)
    if found:
        yield ", ".join(found)


def _perf(view: View, events: str) -> t.Iterator[Problem]:
    if not any(name.startswith("cpu") for name in view.destination.get("cpu.pmus")):
        yield Problem("perf events of domain {domain}", f"{events}, and {view.there} has no counters for them")


def _ask(view: View, need: Vcpus) -> t.Iterable[Question]:
    return ask(view, need.kind)


CHECKS: tuple[Check, ...] = (
    Check(
        id="cpu_vcpu_limit_machine",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination allows as many vCPUs",
        expected="the guest's maximum or more with its machine type (virsh domcapabilities --machine)",
        remedy="choose a destination with a newer QEMU or kernel",
        requires=Requirement(_vcpus_need, _vcpu_limit, _ask),
        evidence="recorded",
    ),
    Check(
        id="cpu_vcpus_vs_host_cpus",
        category="cpu",
        severity="warning",
        scope="pair",
        title="The destination has as many CPUs as the guest",
        expected="at least one CPU for each vCPU: they wait for each other otherwise",
        remedy="choose a larger destination, or switch vCPUs off (virsh setvcpus)",
        requires=Requirement(_running_vcpus, _enough_cpus),
        evidence="lab",
    ),
    Check(
        id="cpu_pinning_valid",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination has the CPUs to which the guest is pinned",
        expected="all of them online there and allowed to guests",
        remedy="pin the guest to other CPUs (virsh vcpupin, emulatorpin, iothreadpin), or map the set for this "
        "destination in the policy's edits",
        requires=Requirement(_pins, _pinning),
        evidence="lab",
    ),
    Check(
        id="cpu_realtime_sched",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination lets real-time tasks run",
        expected="a kernel.sched_rt_runtime_us other than 0",
        remedy="set it there (sysctl kernel.sched_rt_runtime_us=950000), or choose another destination",
        requires=Requirement(_schedulers, _real_time),
        evidence="lab",
    ),
    Check(
        id="cpu_cachetune_resctrl",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination can allocate cache and memory bandwidth",
        expected="/sys/fs/resctrl with enough free groups",
        remedy="mount it there (mount -t resctrl resctrl /sys/fs/resctrl) and restart the libvirt daemon, or choose "
        "another destination",
        requires=Requirement(_tunes, _resctrl),
    ),
    Check(
        id="cpu_perf_events",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination can count the guest's perf events",
        expected="hardware counters of the CPU: libvirt does not start the guest without",
        remedy="switch the events off on the source (virsh perf --disable), or choose another destination",
        requires=Requirement(_perf_need, _perf),
    ),
)
