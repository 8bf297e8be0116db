# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what the guest sees of the CPU.

QEMU without KVM emulates CPUs, time and enlightenments itself, so that what two hosts differ in does not reach such
guests; checks of the CPU's features look at KVM guests only.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts, Question, UnknownFact
from ..check import Check, Problem, Requirement, View, version_text
from ..offers import Kind, ask, has_kvm_guests, kind_of, offers

_PASSTHROUGH = ("host-passthrough", "maximum")
_WANTED = ("require", "force", None)
# Named models of QEMU that are no vendor's: target/i386/cpu.c, and x86-64-v1 to v4 of newer versions.
_NEUTRAL = ("qemu", "kvm", "x86-64-", "486", "max", "base")
_TOLERANCE_PPM = 250  # of the kernel and of libvirt: virHostCPUGetTscInfo, tsc_tolerance_ppm of the module kvm


def _kvm(domain: Facts) -> bool:
    return bool(domain.get("virt_type") == "kvm")


def _wanted_features(domain: Facts) -> frozenset[str]:
    return frozenset(
        entry["feature"]
        for entry in domain.get("lists.cpu_features")
        if entry["policy"] in _WANTED and entry["feature"]
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
            # Each version of the kernel names flags that others do not, of one and the same CPU.
            same = here.get("kernel") == there.get("kernel")
            (hard if same else soft).append(f"the kernel of {view.there} does not name {', '.join(sorted(gone))}")
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
    said = [f"QEMU {version_text(there)} there and {version_text(here)} here"]
    return (said, []) if there // 1000 < here // 1000 else ([], said if there // 1000 != here // 1000 else [])


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
    if not has_kvm_guests(view):
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
    if not has_kvm_guests(view):
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
    """Whether libvirt calls the model usable is not looked at: this guest may have switched off what is missing."""
    found = offers(view, need.kind)
    if found is None:
        return
    models = found.get("cpu_models")
    if not models:
        raise UnknownFact(f"libvirt on {view.there} names no CPU models for {need.kind.arch} guests")
    if need.model not in models:
        yield Problem("CPU model of domain {domain}", f"{need.model}, which {view.there} does not know")


def _ask(view: View, need: Enlightened | Model) -> t.Iterable[Question]:
    return ask(view, need.kind)


CHECKS: tuple[Check, ...] = (
    Check(
        id="cpu_host_passthrough",
        category="cpu",
        severity="error",
        scope="pair",
        title="What the guest takes over from the host is the same at the destination",
        expected="the same CPU, flags, microcode, kernel and QEMU: libvirt compares nothing of such a guest",
        remedy="choose a destination with the same CPU, firmware and versions, or give the guest host-model or a named "
        "model and power-cycle it",
        requires=Requirement(_passthrough, _same_cpu, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="cpu_vendor_match",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination's CPU is of the same vendor",
        expected="the same vendor, or a guest with a CPU model of no vendor (qemu64, kvm64, x86-64-v2...)",
        remedy="choose a destination of the same vendor",
        requires=Requirement(_vendor_need, _vendor, uses_source=True),
    ),
    Check(
        id="cpu_migratable_off",
        category="cpu",
        severity="error",
        scope="domain",
        title="The guest's CPU may migrate",
        expected="a CPU without migratable='off', which lets features in that QEMU cannot migrate (invtsc)",
        remedy="remove the attribute from the definition (virsh edit) and power-cycle the guest",
        evaluate=_not_migratable,
    ),
    Check(
        id="cpu_invtsc_needs_tsc_frequency",
        category="cpu",
        severity="error",
        scope="domain",
        title="A guest with invtsc has a TSC frequency",
        expected="a frequency in the definition, without which libvirt refuses to migrate it",
        remedy="add <timer name='tsc' frequency='HZ'/> below <clock> (virsh edit) and power-cycle the guest",
        evaluate=_invtsc,
    ),
    Check(
        id="cpu_tsc_frequency",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination provides the guest's TSC frequency",
        expected=f"a host whose TSC scales, or runs within {_TOLERANCE_PPM} ppm of it",
        remedy="choose a destination with the same frequency or with TSC scaling (virsh capabilities, <counter>)",
        requires=Requirement(_tsc_need, _tsc),
    ),
    Check(
        id="cpu_hv_passthrough",
        category="cpu",
        severity="error",
        scope="domain",
        title="Hyper-V enlightenments are named one by one",
        expected="mode='custom': QEMU does not migrate a guest that has whatever its host offers",
        remedy="name the enlightenments in the definition (virsh edit) and power-cycle the guest",
        evaluate=_hv_passthrough,
    ),
    Check(
        id="cpu_hv_features_supported",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination has the guest's Hyper-V enlightenments",
        expected="all of them (virsh domcapabilities, <hyperv>): QEMU does not start without",
        remedy="choose a destination with a newer kernel and QEMU",
        requires=Requirement(_hv_need, _hv, _ask),
    ),
    Check(
        id="cpu_hv_reenlightenment_tsc",
        category="cpu",
        severity="warning",
        scope="domain",
        title="A guest with re-enlightenment has a TSC frequency",
        expected="a frequency in the definition: the destination refuses the guest once it uses re-enlightenment, as "
        "Windows with Hyper-V of its own does",
        remedy="add <timer name='tsc' frequency='HZ'/> below <clock> (virsh edit) and power-cycle the guest",
        evaluate=_reenlightenment,
    ),
    Check(
        id="cpu_phys_bits",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination has the guest's physical address bits",
        expected="as many or more where they are emulated, the same where they are passed through",
        remedy="choose another destination, or set <maxphysaddr mode='emulate' bits='N'/> to what all hosts have and "
        "power-cycle the guest; memory encryption in the firmware takes bits away",
        requires=Requirement(_bits_need, _bits, uses_source=True),
    ),
    Check(
        id="cpu_microcode_delta",
        category="cpu",
        severity="warning",
        scope="link",
        title="Hosts with the same CPU have the same flags",
        expected="all flags of the source: with other microcode, firmware settings or mitigations some disappear",
        remedy="bring firmware, microcode and kernel options of both hosts to one state and reboot the one that lags",
        evaluate=_flags_gone,
    ),
    Check(
        id="cpu_kvm_module_params",
        category="cpu",
        severity="warning",
        scope="link",
        title="KVM has the same parameters on both hosts",
        expected="the source's value",
        remedy="set it in /etc/modprobe.d on one of the hosts and load the module anew when no guest runs there",
        evaluate=_kvm_parameters,
    ),
    Check(
        id="cpu_nested_guest",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination lets the guest run guests of its own",
        expected="nested=Y, since the guest's CPU has vmx or svm",
        remedy="set nested=1 for the module in /etc/modprobe.d there and load it anew, or choose another destination",
        requires=Requirement(_nested_need, _nested),
    ),
    Check(
        id="cpu_pmu_parity",
        category="cpu",
        severity="warning",
        scope="pair",
        title="The guest's performance counters are the same at the destination",
        expected="SMT on or off on both hosts: the number of counters depends on it, and QEMU fails to restore those "
        "that are missing",
        remedy="choose a destination with the same setting, or set <pmu state='off'/> and power-cycle the guest",
        requires=Requirement(_pmu_need, _pmu, uses_source=True),
    ),
    Check(
        id="cpu_model_known_to_dest",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination knows the guest's CPU model",
        expected="a model that libvirt lists there (virsh domcapabilities)",
        remedy="choose a destination with a newer libvirt and QEMU",
        requires=Requirement(_model_need, _model, _ask),
        evidence="lab",
    ),
)
