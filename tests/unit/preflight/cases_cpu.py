# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the checks of CPUs, machine types and versions.

The lab has no KVM: what only KVM guests show has the form that libvirt documents (formatdomain, formatdomaincaps).
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.questions import capabilities_question
from tests.unit.preflight.case import Case, Edit, both, fact, listed, put
from tests.unit.preflight.scene import Scene

_FORMAT = "https://libvirt.org/formatdomain.html"
_CAPS = "https://libvirt.org/formatcaps.html"
_OFFERS = "https://libvirt.org/formatdomaincaps.html"
_CPUINFO = "/proc/cpuinfo of the lab's hosts, edited"
_NEWS = "https://libvirt.org/news.html"


def _kvm(scene: Scene) -> None:
    """The guest runs with KVM, and both hosts could run it."""
    scene.domain.update(virt_type="kvm")
    for host in scene.hosts:
        for emulator in host["emulators"]:
            emulator["virt_types"] = ["qemu", "kvm"]


def _offers(path: str, value: t.Any) -> Edit:
    """What the destination answers about guests of this kind: as it was recorded, with one change."""

    def edit(scene: Scene) -> None:
        recorded = next(answer for key, answer in scene.answers["hv2"].items() if key.startswith("capabilities:"))
        asked = (scene.domain[name] for name in ("emulator", "arch", "machine", "virt_type"))
        answer = dict(recorded)
        scene.answers["hv2"][capabilities_question(*asked)["key"]] = answer
        *folders, name = path.split(".")
        place = answer
        for folder in folders:
            place[folder] = dict(place[folder])
            place = place[folder]
        place[name] = value

    return edit


def _cpu(**changes: t.Any) -> Edit:
    return lambda scene: scene.domain["settings"]["cpu"].update(changes)


def _feature(name: str, policy: str = "require") -> Edit:
    return listed("cpu_features", feature=name, policy=policy)


def _hyperv(*features: str) -> Edit:
    return both(*(listed("hyperv", feature=feature, state="on") for feature in features))


def _tsc(hz: str) -> Edit:
    return listed("timers", timer="tsc", frequency=hz)


def _identity(host: str, **changes: str) -> Edit:
    return lambda scene: getattr(scene, host)["cpu"]["identity"].update(changes)


def _flags_gone(*names: str) -> Edit:
    def edit(scene: Scene) -> None:
        flags = scene.destination["cpu"]["flags"]
        scene.destination["cpu"]["flags"] = [flag for flag in flags if flag not in names]

    return edit


def _parameter(host: str, name: str, value: str) -> Edit:
    return lambda scene: getattr(scene, host)["cpu"]["kvm"].update({name: value})


def _versions(source: tuple[int, int], destination: tuple[int, int]) -> Edit:
    """(libvirt, QEMU) of both."""
    return both(
        put("source", libvirt_version=source[0], qemu_version=source[1]),
        put("destination", libvirt_version=destination[0], qemu_version=destination[1]),
    )


_vmx = both(_kvm, _feature("vmx"))
_events = both(_kvm, listed("perf_events", event="cpu_cycles", enabled="yes"))
_cachetune = both(_kvm, listed("cachetunes", vcpus="0"))


def _own_file(here: bool, there: bool) -> Edit:
    """A file that only QEMU's own arguments name."""

    def edit(scene: Scene) -> None:
        scene.domain["lists"]["qemu_files"] = ["/srv/own.raw"]
        for host, exists in (("hv1", here), ("hv2", there)):
            scene.answers.setdefault(host, {})["path:/srv/own.raw"] = {"path": "/srv/own.raw", "exists": exists}

    return edit


CASES: dict[str, Case] = {
    "cpu_host_passthrough": Case(
        both(_kvm, _cpu(mode="host-passthrough", model=None), _flags_gone("avx512f")),
        "the kernel of hv2 does not name avx512f",
        both(_kvm, _cpu(mode="host-passthrough", model=None)),
        documented=_CPUINFO,
    ),
    "cpu_vendor_match": Case(
        both(_kvm, _cpu(model="Skylake-Server"), _identity("destination", vendor_id="AuthenticAMD")),
        "AuthenticAMD on hv2, GenuineIntel on hv1",
        both(_kvm, _identity("destination", vendor_id="AuthenticAMD")),
        documented=_CPUINFO,
    ),
    "cpu_migratable_off": Case(
        both(_kvm, _cpu(mode="host-passthrough", migratable="off")),
        "migratable='off'",
        _cpu(mode="maximum", migratable="off"),
        documented=_FORMAT,
    ),
    "cpu_invtsc_needs_tsc_frequency": Case(
        both(_kvm, _feature("invtsc")),
        "it has invtsc",
        both(_kvm, _feature("invtsc"), _tsc("2600000000")),
        documented=_FORMAT,
    ),
    "cpu_tsc_frequency": Case(
        both(_kvm, _tsc("2600000000"), fact("destination", "cpu.tsc", {"frequency": 2599000000, "scaling": False})),
        "2600000000 Hz, and hv2 runs at 2599000000 Hz",
        both(_kvm, _tsc("2600000000"), fact("destination", "cpu.tsc", {"frequency": 2599500000, "scaling": False})),
        documented=_CAPS,
    ),
    "cpu_hv_passthrough": Case(
        both(_kvm, fact("domain", "settings.features.hyperv_mode", "passthrough")),
        "mode='passthrough'",
        both(_kvm, fact("domain", "settings.features.hyperv_mode", "custom")),
        documented=_FORMAT,
    ),
    "cpu_hv_features_supported": Case(
        both(_kvm, _hyperv("relaxed", "evmcs"), _offers("features.hyperv.features", ["relaxed", "vapic"])),
        "hv2 lacks evmcs",
        both(_kvm, _hyperv("relaxed"), _offers("features.hyperv.features", ["relaxed", "vapic"])),
        documented=_OFFERS,
    ),
    "cpu_hv_reenlightenment_tsc": Case(
        both(_kvm, _hyperv("reenlightenment")),
        "reenlightenment is on without a TSC frequency",
        both(_kvm, _hyperv("reenlightenment"), _tsc("2600000000")),
        blocks=False,
        documented=_FORMAT,
    ),
    "cpu_phys_bits": Case(
        both(_kvm, _cpu(maxphysaddr_mode="emulate", maxphysaddr_bits="49")),
        "49, and hv2 has 48",
        both(_kvm, _cpu(maxphysaddr_mode="emulate", maxphysaddr_bits="48")),
        documented=_FORMAT,
    ),
    "cpu_microcode_delta": Case(
        both(_kvm, _flags_gone("rtm", "hle")),
        "without hle, rtm",
        both(_kvm, _flags_gone("rtm", "hle"), _identity("destination", stepping="2")),
        blocks=False,
        documented=_CPUINFO,
    ),
    "cpu_kvm_module_params": Case(
        both(_kvm, _parameter("destination", "kvm.ignore_msrs", "Y")),
        "kvm.ignore_msrs of hv2: Y",
        _parameter("destination", "kvm.ignore_msrs", "Y"),
        blocks=False,
        documented=_FORMAT,
    ),
    "cpu_nested_guest": Case(
        both(_vmx, _parameter("destination", "kvm_intel.nested", "N")),
        "kvm_intel on hv2 has nested=N",
        both(_vmx, _parameter("destination", "kvm_intel.nested", "Y")),
        documented=_FORMAT,
    ),
    "cpu_pmu_parity": Case(
        both(_kvm, fact("domain", "settings.features.pmu", "on"), fact("destination", "cpu.smt", True)),
        "SMT is on on hv2 and off on hv1",
        both(_kvm, fact("domain", "settings.features.pmu", "off"), fact("destination", "cpu.smt", True)),
        blocks=False,
        documented=_FORMAT,
    ),
    "cpu_model_known_to_dest": Case(
        _cpu(model="GraniteRapids-v9"), "GraniteRapids-v9, which hv2 does not know", _cpu(model="EPYC")
    ),
    "cpu_vcpu_limit_machine": Case(put("domain", vcpus=4097), "hv2 allows 4096", put("domain", vcpus=4096)),
    "cpu_vcpus_vs_host_cpus": Case(
        put("domain", vcpus=3), "3; CPUs for guests on hv2: 2", fact("destination", "cpu.online", "0-1"), blocks=False
    ),
    "cpu_pinning_valid": Case(
        both(listed("vcpupins", vcpu="0", cpuset="1"), fact("destination", "cpu.allowed", "0")),
        "CPUs 1, none of them usable; hv2 has 0-1",
        both(listed("vcpupins", vcpu="0", cpuset="1"), fact("destination", "cpu.allowed", "1")),
    ),
    "cpu_realtime_sched": Case(
        both(listed("vcpuscheds", scheduler="fifo", vcpus="0"), fact("destination", "cpu.rt_runtime_us", 0)),
        "hv2 lets no real-time task run",
        both(listed("vcpuscheds", scheduler="batch", vcpus="0"), fact("destination", "cpu.rt_runtime_us", 0)),
    ),
    "cpu_cachetune_resctrl": Case(
        _cachetune,
        "hv2 has no resctrl mounted",
        both(_cachetune, fact("destination", "cpu.resctrl", {"mounted": True, "free_groups": 1})),
        documented=_FORMAT,
    ),
    "cpu_perf_events": Case(
        _events,
        "hv2 has no counters for them",
        both(_events, fact("destination", "cpu.pmus", ["breakpoint", "cpu_core", "software"])),
        documented=_FORMAT,
    ),
    "machine_type_deprecated": Case(
        put("domain", machine="pc-q35-5.2"),
        "calls pc-q35-5.2 deprecated",
        put("domain", machine="pc-q35-9.2"),
        blocks=False,
    ),
    "machine_qemu_commandline": Case(
        _own_file(here=True, there=False),
        "of domain web1: it names /srv/own.raw, which is not on hv2",
        _own_file(here=False, there=False),
    ),
    "machine_qemu_override": Case(
        both(listed("qemu_overrides", alias="net0"), put("destination", qemu_version=10000014)),
        "properties of net0, and hv2 has QEMU 10.0.14, hv1 10.0.13",
        listed("qemu_overrides", alias="net0"),
        blocks=False,
    ),
    "version_tcg_dirty_bits": Case(
        put("source", qemu_version=7002022),
        "QEMU on hv1 is 7.2.22",
        both(_kvm, put("source", qemu_version=7002022)),
    ),
    "version_known_bad_pairs": Case(
        both(_vmx, _versions((9009000, 8002000), (10001000, 8002000))),
        "from libvirt 9.9.0 and QEMU 8.2.0 to libvirt 10.1.0",
        both(_vmx, _versions((9009000, 8002000), (10002000, 8002000))),
        documented=_NEWS,
    ),
    "version_kernel_kvm_delta": Case(
        both(put("source", kernel="6.12.9-amd64"), put("destination", kernel="6.1.0-40-amd64")),
        "Kernel of hv2: 6.1.0-40-amd64; expected 6.12.9-amd64",
        both(put("source", kernel="6.12.9-amd64"), put("destination", kernel="6.12.3-amd64")),
        blocks=False,
    ),
    "version_running_binary_replaced": Case(
        fact("source", "qemu.replaced", ["web1"]),
        "started: web1",
        fact("destination", "qemu.replaced", ["db1"]),
        blocks=False,
    ),
    "one_way_move": Case(
        put("destination", qemu_version=10001000),
        "The way home, QEMU of hv1: 10.0.13; expected 10.1.0, as on hv2, or newer",
        put("destination", qemu_version=10000014),
        blocks=False,
    ),
}
