# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses: CPU, machine type and versions.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .row import Row

ROWS = (
    Row(
        "dx_cpu_missing_features",
        category="cpu",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The destination cannot give the guest CPU features that it has been running with",
        advice=(
            "choose another destination; or bring microcode, kernel and nested=1 of the KVM module to "
            "the same state; at the next power cycle give the guest a CPU model that all hosts have"
        ),
        messages=(
            "guest CPU doesn't match specification: missing features: %s",
            "guest CPU doesn't match specification: extra features: %s, missing features: %s",
        ),
    ),
    Row(
        "dx_cpu_extra_features",
        category="cpu",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause=(
            "The destination would switch on CPU features that the guest has not been running with, "
            "which is how some versions of libvirt and QEMU disagree"
        ),
        advice="update libvirt at the destination; do not edit the CPU in the definition",
        messages=("guest CPU doesn't match specification: extra features: %s",),
    ),
    Row(
        "dx_cpu_incompatible",
        category="cpu",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The guest's CPU and the destination's do not fit",
        advice=(
            "ask the destination which features it lacks (virsh hypervisor-cpu-compare --error), and "
            "choose another one"
        ),
        messages=(
            "the CPU is incompatible with host CPU: %s",
            "Host CPU does not provide required features",
            "CPU vendors do not match",
            "Host CPU does not strictly match guest CPU: Extra features",
        ),
    ),
    Row(
        "dx_cpu_model_unknown",
        category="cpu",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The destination's libvirt or QEMU does not know the guest's CPU model or one of its features",
        advice="choose another destination, or update libvirt and QEMU there",
        messages=(
            "CPU model %s is not supported by hypervisor",
            "CPU model '%s' not found",
            "CPU vendor %s not found",
            "unknown CPU feature: %s",
            "Unknown CPU model %s",
        ),
    ),
    Row(
        "dx_kvm_msr",
        category="cpu",
        layer="qemu",
        side="destination",
        phase="finish",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The guest's state holds a CPU register (MSR) that the destination's CPU or kernel refuses",
        advice=(
            "choose a destination with the same CPU, microcode and kernel; the register's number tells "
            "which feature it is (0x38d, 0x345, 0xc1: performance counters; 0x48x: nested "
            "virtualisation)"
        ),
        messages=(
            "error: failed to set MSR 0x%x to 0x%lx",
            "error: failed to get MSR 0x%x",
            "kvm_buf_set_msrs: Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed",
        ),
    ),
    Row(
        "dx_kvm_nested_state",
        category="cpu",
        layer="qemu",
        side="destination",
        phase="finish",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The guest runs a hypervisor itself, and a kernel does not support its state",
        advice=(
            "load the KVM module with nested=1 at the destination with a kernel no older than the "
            "source's, or stop the guests inside the guest"
        ),
        messages=(
            "Received nested state when kernel cannot restore it",
            "Received unsupported nested state size: nested_state->size=%d, max=%d",
            "Received invalid nested state format: %d",
            (
                "Guest maybe enabled nested virtualization but kernel does not support required capabilities "
                "to save vCPU nested state"
            ),
            "vCPU set in guest-mode inconsistent with migrated kernel nested state",
        ),
    ),
    Row(
        "dx_tsc",
        category="cpu",
        layer="qemu",
        side="destination",
        phase="finish",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The two hosts' time stamp counters run at different speeds, and the destination cannot scale",
        advice="choose a destination with the same frequency; drop a fixed TSC frequency at the next power cycle",
        messages=(
            "TSC frequency mismatch between VM (%ld kHz) and host (%d kHz), and TSC scaling unavailable",
            "Mismatch between user-specified TSC frequency and migrated TSC frequency",
            (
                "Requested TSC frequency %llu Hz is outside tolerance range ([%llu, %llu] Hz) around host "
                "frequency %llu Hz and TSC scaling is not supported by the host CPU"
            ),
        ),
    ),
    Row(
        "dx_invtsc",
        category="cpu",
        layer="libvirt",
        side="source",
        phase="begin",
        role="cause",
        first="source",
        retry="no",
        cause="The guest has the CPU feature invtsc without a fixed TSC frequency",
        advice="add a frequency to <timer name='tsc'> or remove invtsc, and power-cycle the guest",
        messages=(
            "domain has 'invtsc' CPU feature but TSC frequency is not specified",
            "State blocked by non-migratable CPU device (invtsc flag)",
        ),
    ),
    Row(
        "dx_hv_reenlightenment",
        category="cpu",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="no",
        cause="The guest uses Hyper-V features that cannot be migrated as they are configured",
        advice=(
            "list the Hyper-V features one by one with a TSC frequency, without passthrough, and "
            "power-cycle the guest"
        ),
        messages=(
            "Guest enabled re-enlightenment notifications, 'tsc-frequency=' has to be specified",
            "'hv-passthrough' CPU flag prevents migration, use explicit set of hv-* flags instead",
        ),
    ),
    Row(
        "dx_phys_bits",
        category="cpu",
        layer="qemu",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The destination's CPU has fewer physical address bits than the guest was given",
        advice="choose another destination; set <maxphysaddr> to the smallest of the fleet at the next power cycle",
        messages=(
            "Host physical bits (%u) does not match phys-bits property (%u)",
            "Address space limit 0x%lx < 0x%lx phys-bits too low (%u)",
            "phys-bits should be between 32 and %u  (but is %u)",
        ),
    ),
    Row(
        "dx_machine_unsupported",
        category="machine",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The destination's QEMU does not know the guest's machine type",
        advice="choose another destination or update QEMU there; or power-cycle the guest with an older machine type",
        messages=(
            "Emulator '%s' does not support machine type '%s'",
            "the machine '%s' is not supported by emulator '%s'",
            "unsupported machine type",
        ),
    ),
    Row(
        "dx_machine_mismatch_stream",
        category="machine",
        layer="qemu",
        side="destination",
        phase="perform",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="QEMU was started at the destination with another machine type than at the source",
        advice="use the full name of the machine type, not an alias, in every definition that is handed over",
        messages=("Machine type received is '%.*s' and local is '%s'",),
    ),
    Row(
        "dx_configuration_section",
        category="machine",
        layer="qemu",
        side="destination",
        phase="perform",
        role="cause",
        first="network",
        retry="yes",
        cause="What arrived at the destination's migration port was no migration stream of this version",
        advice=(
            "make TLS the same on both sides, look for other programs that connect to the migration "
            "ports, and try again"
        ),
        messages=(
            "Configuration section missing",
            "Not a migration stream",
            "Unsupported migration stream version",
            "SaveVM v2 format is obsolete and don't work anymore",
        ),
    ),
    Row(
        "dx_section_version",
        category="version",
        layer="qemu",
        side="destination",
        phase="perform",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The destination's QEMU is older than the source's in this device",
        advice="migrate only to an equal or newer QEMU",
        messages=(
            "%s: incoming version_id %d is too new for local version_id %d",
            "%s: incoming version_id %d is too old for local minimum version_id  %d",
        ),
    ),
    Row(
        "dx_section_footer",
        category="version",
        layer="qemu",
        side="destination",
        phase="perform",
        role="cause",
        first="destination",
        retry="after_fix",
        cause=(
            "The destination read another length for a device than the source wrote: two versions "
            "disagree, or the stream was damaged"
        ),
        advice=(
            "look for known bad pairs of versions; where the device is another one each time, suspect "
            "the network and use TLS"
        ),
        messages=(
            "Missing section footer for %s",
            "Mismatched section id in footer for %s - read 0x%x expected 0x%x",
            "Failed to read footer",
            "Expected vmdescription section, but got %d",
        ),
    ),
    Row(
        "dx_mig_capability",
        category="version",
        layer="libvirt",
        side="both",
        phase="prepare",
        role="cause",
        first="here",
        retry="after_fix",
        cause="One side does not have a feature that this migration asked for, or two of them exclude each other",
        advice="leave out the feature that is named",
        messages=(
            "Migration option '%s' is not supported by QEMU binary",
            "Unsupported migration cookie feature %s",
            "Migration APIs with extensible parameters are not supported but extended parameters were passed",
            "Multifd is not compatible with compress",
            "Zero copy only available for non-compressed non-TLS multifd migration",
            "multifd is not supported by current protocol",
            "migration URI is not supported by tunnelled migration",
            "Compression method '%s' isn't supported with parallel migration",
            "Compression method '%s' is only supported with parallel migration",
            "zero-copy is only available for parallel migration",
        ),
    ),
    Row(
        "dx_device_unknown",
        category="version",
        layer="qemu",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The destination's libvirt or QEMU does not have one of the guest's devices, or a property of it",
        advice="install the missing QEMU package or module there, or choose another destination",
        messages=(
            "'%s' is not a valid device model name",
            "'%s' (alias '%s') is not a valid device model name",
            "'%s' is not a valid char driver name",
            "unknown panic model '%s'",
            "unknown watchdog model '%s'",
            "domain configuration does not support video model '%s'",
            "USB redirection is not supported by this version of QEMU",
            "spice graphics are not supported with this QEMU",
            "Unable to load module %s. Perhaps you want to install",
            "Property '%s' not found",
            "-%s: invalid option",
        ),
    ),
    Row(
        "dx_vcpu_count",
        category="cpu",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="other_host",
        cause="The guest has more vCPUs than its machine type allows at the destination",
        advice="choose another destination or a newer QEMU",
        messages=(
            "Maximum CPUs greater than specified machine type limit %u",
            "more than %d vCPUs are only supported on q35-based machine types",
        ),
    ),
    Row(
        "dx_guest_kernel_panic_after",
        category="cpu",
        layer="guest",
        side="destination",
        phase="after",
        role="cause",
        first="destination",
        retry="no",
        cause="The guest noticed that time had jumped",
        advice=(
            "if it was once and as long as the downtime, it is harmless; otherwise compare CPU and TSC " "of both hosts"
        ),
        messages=(
            "watchdog: BUG: soft lockup - CPU#%d stuck for %ds!",
            (
                "clocksource: timekeeping watchdog on CPU%d: Marking clocksource '%s' as unstable because "
                "the skew is too large"
            ),
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks",
        ),
    ),
    Row(
        "dx_entry_failed",
        category="cpu",
        layer="kernel",
        side="destination",
        phase="after",
        role="cause",
        first="destination",
        retry="no",
        cause="The destination's CPU could not run the guest's state",
        advice="the guest has to be started again; make CPU, microcode and nested virtualisation of the hosts equal",
        messages=(
            "KVM: entry failed, hardware error 0x%lx",
            "kvm run failed Bad address",
        ),
    ),
)
