# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of CPUs: what the guest sees of them, and where it may run.

QEMU without KVM emulates CPUs, time and enlightenments itself, so that what two hosts differ in does not reach such
guests; checks of the CPU's features look at KVM guests only.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import Facts, UnknownFact
from .check import Check, Problem, Requirement, View
from .edits import mapped
from .offers import Kind, ask, cpus, kind_of, kvm_sources, offers, usable_cpus

_PASSTHROUGH = ("host-passthrough", "maximum")
_WANTED = ("require", "force", None)
# Named models of QEMU that are no vendor's: target/i386/cpu.c, and x86-64-v1 to v4 of newer versions.
_NEUTRAL = ("qemu", "kvm", "x86-64-", "486", "max", "base")
_TOLERANCE_PPM = 250  # of the kernel and of libvirt: virHostCPUGetTscInfo, tsc_tolerance_ppm of the module kvm
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


def _kvm(domain: Facts) -> bool:
    return bool(domain.get("virt_type") == "kvm")


def _wanted_features(domain: Facts) -> frozenset[str]:
    return frozenset(
        entry["feature"] for entry in domain.get("lists.cpu_features") if entry["policy"] in _WANTED and entry["feature"]
    )


def _tsc_hz(domain: Facts) -> int | None:
    for timer in domain.get("lists.timers"):
        if timer["timer"] == "tsc" and timer["frequency"]:
            return int(timer["frequency"])
    return None


class Passthrough(t.NamedTuple):
    mode: str
    kvm: bool


def _passthrough(view: View) -> t.Iterator[Passthrough]:
    mode = view.domain.get("settings.cpu.mode")
    if mode in _PASSTHROUGH:
        yield Passthrough(mode, _kvm(view.domain))


def _same_cpu(view: View, need: Passthrough) -> t.Iterator[Problem]:
    """Such a guest sees what QEMU finds, at each start anew: libvirt records nothing that it could compare."""
    what = f"CPU of domain {{domain}}, of mode {need.mode}"
    here, there = view.source, view.destination
    hard, soft = _qemu_differs(view)
    if need.kvm:
        if here.get("cpu.identity") != there.get("cpu.identity"):
            yield Problem(what, f"{view.there} has another CPU: {_cpu(there)}; {view.source_name} has {_cpu(here)}")
            return
        gone = set(here.get("cpu.flags")) - set(there.get("cpu.flags"))
        if gone:
            hard.append(f"{view.there} lacks {', '.join(sorted(gone))}")
        for fact, name in (("cpu.microcode", "microcode"), ("kernel", "kernel")):
            if here.get(fact) != there.get(fact):
                soft.append(f"{name} {there.get(fact)} there and {here.get(fact)} here")
    if hard:
        yield Problem(what, "; ".join(hard))
    elif soft:
        yield Problem(what, "; ".join(soft), severity="warning")


def _qemu_differs(view: View) -> tuple[list[str], list[str]]:
    """What speaks against the move for certain, and what may."""
    here, there = view.source.get("qemu_version"), view.destination.get("qemu_version")
    said = [f"QEMU {_version(there)} there and {_version(here)} here"]
    return (said, []) if there // 1000 < here // 1000 else ([], said if there // 1000 != here // 1000 else [])


def _version(version: int) -> str:
    return f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}"


def _cpu(host: Facts) -> str:
    return " ".join(str(value) for value in host.get("cpu.identity").values())


def _vendor_need(view: View) -> t.Iterator[str]:
    domain = view.domain
    if not _kvm(domain) or domain.get("settings.cpu.mode") != "custom":
        return
    model = domain.get("settings.cpu.model") or ""
    if model and not model.startswith(_NEUTRAL):
        yield model


def _vendor(view: View, model: str) -> t.Iterator[Problem]:
    here, there = _vendor_of(view.source), _vendor_of(view.destination)
    if here != there:
        yield Problem(
            "CPU vendor for domain {domain}", f"{there} on {view.there}, {here} on {view.source_name}, model {model}"
        )


def _vendor_of(host: Facts) -> str:
    identity = host.get("cpu.identity")
    vendor = identity.get("vendor_id") or identity.get("CPU implementer")
    if vendor is None:
        raise UnknownFact(f"the kernel of {host.who} names no vendor of its CPU")
    return str(vendor)


def _not_migratable(view: View) -> t.Iterator[Problem]:
    if view.domain.get("settings.cpu.migratable") == "off" and _kvm(view.domain):
        yield Problem(f"CPU of domain {view.domain_name}", "migratable='off'")


def _invtsc(view: View) -> t.Iterator[Problem]:
    if "invtsc" in _wanted_features(view.domain) and _tsc_hz(view.domain) is None:
        yield Problem(f"CPU of domain {view.domain_name}", "it has invtsc, and no frequency of the TSC is set")


def _tsc_need(view: View) -> t.Iterator[int]:
    wanted = _tsc_hz(view.domain)
    if wanted is not None and _kvm(view.domain):
        yield wanted


def _tsc(view: View, wanted: int) -> t.Iterator[Problem]:
    tsc = view.destination.get("cpu.tsc")
    if tsc is None:
        raise UnknownFact(f"libvirt on {view.there} does not tell the frequency of the TSC")
    if not tsc["scaling"] and abs(tsc["frequency"] - wanted) * 1000000 > wanted * _TOLERANCE_PPM:
        yield Problem(
            "TSC of domain {domain}", f"{wanted} Hz, and {view.there} runs at {tsc['frequency']} Hz and cannot scale"
        )


def _hv_passthrough(view: View) -> t.Iterator[Problem]:
    if view.domain.get("settings.features.hyperv_mode") == "passthrough" and _kvm(view.domain):
        yield Problem(f"Hyper-V enlightenments of domain {view.domain_name}", "mode='passthrough'")


class Enlightened(t.NamedTuple):
    kind: Kind
    features: tuple[str, ...]


def _hv_need(view: View) -> t.Iterator[Enlightened]:
    on = sorted(entry["feature"] for entry in view.domain.get("lists.hyperv") if entry["state"] == "on")
    if on and _kvm(view.domain):
        yield Enlightened(kind_of(view.domain), tuple(on))


def _hv(view: View, need: Enlightened) -> t.Iterator[Problem]:
    found = offers(view, need.kind)
    if found is None:
        return
    known = found.get("features").get("hyperv", {}).get("features")
    if known is None:
        raise UnknownFact(f"libvirt on {view.there} does not tell which enlightenments it has (9.0 and newer do)")
    missing = sorted(set(need.features) - set(known))
    if missing:
        yield Problem("Hyper-V enlightenments of domain {domain}", f"{view.there} lacks {', '.join(missing)}")


def _reenlightenment(view: View) -> t.Iterator[Problem]:
    on = [entry["feature"] for entry in view.domain.get("lists.hyperv") if entry["state"] == "on"]
    if "reenlightenment" in on and _kvm(view.domain) and _tsc_hz(view.domain) is None:
        yield Problem(
            f"Hyper-V enlightenments of domain {view.domain_name}", "reenlightenment is on without a TSC frequency"
        )


class Physical(t.NamedTuple):
    mode: str
    bits: int | None
    limit: int | None


def _bits_need(view: View) -> t.Iterator[Physical]:
    cpu = view.domain.get("settings.cpu")
    if cpu["maxphysaddr_mode"] in ("emulate", "passthrough") and _kvm(view.domain):
        yield Physical(cpu["maxphysaddr_mode"], _number(cpu["maxphysaddr_bits"]), _number(cpu["maxphysaddr_limit"]))


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _bits(view: View, need: Physical) -> t.Iterator[Problem]:
    there = _host_bits(view.destination)
    if need.mode == "emulate":
        if need.bits and need.bits > there:
            yield Problem("Physical address bits of domain {domain}", f"{need.bits}, and {view.there} has {there}")
        return
    here = _host_bits(view.source)
    if need.limit:
        here, there = min(here, need.limit), min(there, need.limit)
    if here != there:
        yield Problem(
            "Physical address bits of domain {domain}",
            f"passed through: {there} on {view.there} and {here} on {view.source_name}",
        )


def _host_bits(host: Facts) -> int:
    bits = host.get("cpu.phys_bits")
    if bits is None:
        raise UnknownFact(f"the kernel of {host.who} does not tell its physical address bits")
    return int(bits)


def _flags_gone(view: View) -> t.Iterator[Problem]:
    """Between different CPUs that is no news: there the comparison of each guest's CPU decides."""
    if view.source_name not in kvm_sources(view):
        return
    if view.source.get("cpu.identity") != view.destination.get("cpu.identity"):
        return
    gone = sorted(set(view.source.get("cpu.flags")) - set(view.destination.get("cpu.flags")))
    if gone:
        codes = f"microcode {view.destination.get('cpu.microcode')}, {view.source.get('cpu.microcode')} here"
        yield Problem(
            f"CPU of {view.there}", f"the same as that of {view.source_name}, but without {', '.join(gone)} ({codes})"
        )


def _kvm_parameters(view: View) -> t.Iterator[Problem]:
    if view.source_name not in kvm_sources(view):
        return
    here, there = view.source.get("cpu.kvm"), view.destination.get("cpu.kvm")
    for name in sorted(set(here) & set(there)):
        # whether nested guests are possible matters to guests that can have some: cpu_nested_guest
        if here[name] != there[name] and not name.endswith(".nested"):
            yield Problem(
                f"Parameter {name} of {view.there}", there[name], expected=f"{here[name]}, as on {view.source_name}"
            )


def _nested_need(view: View) -> t.Iterator[str]:
    if _kvm(view.domain):
        yield from sorted(_wanted_features(view.domain) & {"vmx", "svm"})


def _nested(view: View, feature: str) -> t.Iterator[Problem]:
    module = {"vmx": "kvm_intel", "svm": "kvm_amd"}[feature]
    nested = view.destination.get("cpu.kvm").get(f"{module}.nested")
    if nested is None:
        raise UnknownFact(f"{view.there} has no parameter nested of the module {module}")
    if nested == "N":
        yield Problem(
            "Nested virtualisation of domain {domain}",
            f"its CPU has {feature}, and {module} on {view.there} has nested=N",
            severity="error",
        )


class Pmu(t.NamedTuple):
    why: str


def _pmu_need(view: View) -> t.Iterator[Pmu]:
    if not _kvm(view.domain):
        return
    state, mode = view.domain.get("settings.features.pmu"), view.domain.get("settings.cpu.mode")
    if state == "on":
        yield Pmu("pmu state='on'")
    elif state is None and mode == "host-passthrough":
        yield Pmu("on, by host-passthrough")


def _pmu(view: View, need: Pmu) -> t.Iterator[Problem]:
    """The counters of a core are shared between its threads, so that their number changes with SMT."""
    here, there = view.source.get("cpu.smt"), view.destination.get("cpu.smt")
    if here != there:
        words = {True: "on", False: "off", None: "unknown to the kernel"}
        yield Problem(
            "Performance counters of domain {domain}",
            f"{need.why}, and SMT is {words[there]} on {view.there} and {words[here]} on {view.source_name}",
        )


class Model(t.NamedTuple):
    kind: Kind
    model: str


def _model_need(view: View) -> t.Iterator[Model]:
    domain = view.domain
    if domain.get("settings.cpu.mode") == "custom" and domain.get("settings.cpu.model"):
        yield Model(kind_of(domain), domain.get("settings.cpu.model"))


def _model(view: View, need: Model) -> t.Iterator[Problem]:
    """Whether the model is usable is not looked at: libvirt means the model without what this guest has switched off."""
    found = offers(view, need.kind)
    if found is None:
        return
    models = found.get("cpu_models")
    if not models:
        raise UnknownFact(f"libvirt on {view.there} names no CPU models for {need.kind.arch} guests")
    if need.model not in models:
        yield Problem("CPU model of domain {domain}", f"{need.model}, which {view.there} does not know")


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
        yield Problem("vCPUs of domain {domain}", f"{vcpus}, and {view.there} has {usable} CPUs for guests")


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
    for what, cpuset in places:
        if cpuset:
            named.setdefault(cpuset, []).append(what)
    for cpuset, whats in named.items():
        yield Pin(", ".join(whats), cpuset)


def _pinning(view: View, pin: Pin) -> t.Iterator[Problem]:
    wanted, usable = cpus(pin.cpuset), usable_cpus(view)
    missing = sorted(wanted - usable)
    if not missing:
        return
    where = f"{view.there} has {view.destination.get('cpu.online')}, of which guests may use {_text(usable)}"
    what = f"Pinning of domain {{domain}} ({pin.what})"
    edit = mapped(view, "cpuset", pin.cpuset)
    if wanted & usable:
        # The kernel narrows the mask without a word (sched_setaffinity(2)).
        yield Problem(what, f"CPUs {pin.cpuset}; {where}", severity="warning", edit=edit)
    else:
        yield Problem(what, f"CPUs {pin.cpuset}, none of them usable; {where}", edit=edit)


def _text(numbers: t.Iterable[int]) -> str:
    return ",".join(str(number) for number in sorted(numbers)) or "none"


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
