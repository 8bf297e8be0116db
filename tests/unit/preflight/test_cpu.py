# SPDX-License-Identifier: GPL-3.0-or-later

"""CPUs, pinning, versions and the way home: what goes beyond one firing and one near miss."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Finding
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.checks.machine import BAD_PAIRS
from tests.unit.preflight.case import Edit, both, fact, listed, put
from tests.unit.preflight.cases_cpu import _cpu, _flags_gone, _identity, _kvm, _parameter, _tsc, _versions
from tests.unit.preflight.scene import Scene


def said(check: str, *edits: Edit) -> list[Finding]:
    scene = Scene()
    both(*edits)(scene)
    return scene.of(check)


def only(check: str, *edits: Edit) -> Finding:
    (found,) = said(check, *edits)
    return found


def pinned(cpuset: str) -> Edit:
    return listed("vcpupins", vcpu="0", cpuset=cpuset)


def test_a_mask_that_the_kernel_would_narrow_is_a_warning() -> None:
    found = only("cpu_pinning_valid", pinned("0-3,^2"))
    assert (found["severity"], found["blocks"]) == ("warning", False)
    assert "CPUs 0-3,^2; hv2 has 0-1" in found["message"]


def test_equal_masks_are_one_finding() -> None:
    threads = listed("iothreadpins", iothread="1", cpuset="7")
    found = only("cpu_pinning_valid", pinned("7"), fact("domain", "settings.cputune.emulatorpin", "7"), threads)
    assert "(emulator, vCPU 0, I/O thread 1): CPUs 7, none of them usable" in found["message"]


def test_pinning_can_be_mapped_to_what_the_destination_has() -> None:
    def mapped(scene: Scene) -> None:
        scene.policy["edits"] = {"map": {"hv2": {"cpuset": {"7": "1"}}}, "allow": ["cpuset"]}

    found = only("cpu_pinning_valid", pinned("7"), mapped)
    assert (found["status"], found["blocks"]) == ("edited", False)
    assert found["edit"] == {"kind": "cpuset", "item": None, "old": "7", "new": "1"}


def test_vcpus_that_are_switched_off_need_no_cpu() -> None:
    current = fact("domain", "settings.vcpu.current", "2")
    assert said("cpu_vcpus_vs_host_cpus", put("domain", vcpus=8), current) == []


def test_postcopy_and_real_time_do_not_go_together() -> None:
    scheduled = listed("vcpuscheds", scheduler="rr", vcpus="0")
    postcopy: Edit = lambda scene: scene.policy.update(migration={"postcopy": True})  # noqa: E731
    assert "post-copy lets a vCPU wait" in only("cpu_realtime_sched", scheduled, postcopy)["message"]
    assert said("cpu_realtime_sched", scheduled) == []


PASSTHROUGH = both(_kvm, _cpu(mode="host-passthrough", model=None))


@pytest.mark.parametrize(
    ("edit", "severity", "text"),
    [
        (_identity("destination", model="85"), "error", "hv2 has another CPU: GenuineIntel 6 85 1"),
        (fact("destination", "cpu.microcode", "0x2"), "warning", "microcode 0x2 there and 0x1 here"),
        (put("destination", kernel="6.1.0"), "warning", "kernel 6.1.0 there"),
        (_flags_gone("avx512f"), "error", "the kernel of hv2 does not name avx512f"),
        (both(_flags_gone("avx512f"), put("destination", kernel="6.1.0")), "warning", "does not name avx512f"),
        (put("destination", qemu_version=10001000), "warning", "QEMU 10.1.0 there"),
        (put("destination", qemu_version=9002000), "error", "QEMU 9.2.0 there"),
    ],
)
def test_what_a_guest_takes_over_from_the_host_must_be_there_too(edit: Edit, severity: str, text: str) -> None:
    found = only("cpu_host_passthrough", PASSTHROUGH, edit)
    assert found["severity"] == severity
    assert text in found["message"]


def test_what_qemu_emulates_does_not_depend_on_the_host() -> None:
    other = both(_identity("destination", model="85"), _flags_gone("avx512f"), put("destination", kernel="6.1.0"))
    assert said("cpu_host_passthrough", _cpu(mode="maximum", model=None), other) == []


def test_an_unknown_tsc_is_unknown_and_a_scaling_one_is_good() -> None:
    wanted = both(_kvm, _tsc("2600000000"))
    assert only("cpu_tsc_frequency", wanted)["status"] == "unknown"
    scaling = fact("destination", "cpu.tsc", {"frequency": 1000000000, "scaling": True})
    assert said("cpu_tsc_frequency", wanted, scaling) == []


def test_physical_bits_that_are_passed_through_must_be_equal_up_to_the_limit() -> None:
    more = both(_kvm, _cpu(maxphysaddr_mode="passthrough"), fact("destination", "cpu.phys_bits", 52))
    assert "52 on hv2 and 48 on hv1" in only("cpu_phys_bits", more)["message"]
    assert said("cpu_phys_bits", more, _cpu(maxphysaddr_limit="46")) == []


def test_a_module_without_the_parameter_is_unknown() -> None:
    vmx = listed("cpu_features", feature="vmx", policy="require")
    assert only("cpu_nested_guest", _kvm, vmx)["status"] == "unknown"
    off = listed("cpu_features", feature="vmx", policy="disable")
    assert said("cpu_nested_guest", _kvm, off, _parameter("destination", "kvm_intel.nested", "N")) == []


def test_without_kvm_guests_the_cpus_of_the_hosts_do_not_matter() -> None:
    differ = both(_flags_gone("rtm"), _parameter("destination", "kvm.ignore_msrs", "Y"))
    assert said("cpu_microcode_delta", differ) == said("cpu_kvm_module_params", differ) == []


@pytest.mark.parametrize(
    ("trait", "bad", "good"),
    [
        ("vmx", ((10000000, 8002000), (9009000, 8002000)), ((10000000, 8002000), (10002000, 8002000))),
        ("vmx", ((10002000, 8002000), (10001000, 8002000)), ((9009000, 8002000), (10002000, 8002000))),
        ("vmx_off", ((11000000, 9002000), (10004000, 9002000)), ((11000000, 9002000), (10005000, 9002000))),
        ("threads", ((10000000, 9002000), (11003000, 10000000)), ((10000000, 9002000), (11010000, 10000000))),
    ],
)
def test_known_bad_pairs(trait: str, bad: t.Any, good: t.Any) -> None:
    guests = {
        "vmx": listed("cpu_features", feature="vmx", policy="require"),
        "vmx_off": listed("cpu_features", feature="vmx-ept", policy="disable"),
        "threads": put("domain", vcpus=4),
    }
    (row,) = [row for row in BAD_PAIRS if row.trait == trait]
    single = put("domain", vcpus=1)
    found = only("version_known_bad_pairs", _kvm, single, guests[trait], _versions(*bad))
    assert (found["severity"], row.failure in found["message"]) == (row.severity, True)
    assert said("version_known_bad_pairs", _kvm, single, guests[trait], _versions(*good)) == []
    assert said("version_known_bad_pairs", _kvm, single, _versions(*bad)) == []


def _upgraded(scene: Scene) -> None:
    """The source's QEMU was upgraded while the guest ran, and no longer has its machine type."""
    scene.domain["machine"] = "pc-q35-2.4"
    for emulator in scene.source["emulators"]:
        emulator["machines"] = [name for name in emulator["machines"] if name != "pc-q35-2.4"]


def test_a_machine_type_that_the_source_has_no_more_does_not_come_home() -> None:
    message = only("one_way_move", _upgraded)["message"]
    assert "machine type pc-q35-2.4: hv1 has it no more, and these run with it: web1" in message


def test_what_speaks_against_the_way_there_is_not_said_of_the_way_home() -> None:
    same = put("destination", uuid=Scene().source["uuid"])
    assert said("host_not_same", same) != []
    assert said("one_way_move", same) == []


def test_what_is_not_known_of_the_way_home_is_one_finding() -> None:
    def unread(scene: Scene) -> None:
        reason = "no right to read it"
        scene.source["unknown"] += [{"fact": fact, "reason": reason} for fact in ("qemu_version", "hostname", "uuid")]

    found = only("one_way_move", unread)
    assert (found["status"], found["blocks"]) == ("unknown", False)
    assert "no right to read it (and " in found["message"]
