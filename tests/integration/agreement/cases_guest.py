# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs, machine types, states and jobs of the guest, and ways of migrating that do not go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.firing.provocation import device, element
from tests.integration.agreement.case import Case
from tests.integration.agreement.pieces import (
    HV3,
    OLD,
    UNTIL,
    cpu,
    features,
    memory_devices,
    qemu_arguments,
    qemu_property,
)
from tests.integration.agreement.shell import after, both

NO_CHECK = "check='none'"
GONE_FEATURE = "sha-ni"
"""TCG of QEMU 10.0 has it, that of 7.2 has not."""

_CPUS: tuple[Case, ...] = (
    Case(
        "cpu-feature-gone-there",
        "the guest's CPU has a feature that the older QEMU does not emulate",
        ("cpu_hypervisor_compare",),
        wanted=OLD,
        guest=features(GONE_FEATURE),
        destination=HV3,
    ),
    Case(
        "cpu-feature-gone-unchecked",
        "the guest's CPU has a feature that the older QEMU does not emulate, and libvirt is not to check that",
        ("cpu_hypervisor_compare", "cpu_check_none"),
        wanted=OLD,
        guest=features(GONE_FEATURE, check=NO_CHECK),
        destination=HV3,
    ),
    Case(
        "cpu-model-unknown-there",
        "the guest's CPU is of a model that the older libvirt does not know",
        ("cpu_model_known_to_dest", "cpu_hypervisor_compare"),
        wanted=OLD,
        guest=cpu(f"<cpu mode='custom' match='exact' {NO_CHECK}><model fallback='forbid'>GraniteRapids</model></cpu>"),
        destination=HV3,
    ),
    Case(
        "cpu-version-unknown-there",
        "the guest's CPU is of a version of a model that the older libvirt does not know",
        ("cpu_model_known_to_dest", "cpu_hypervisor_compare"),
        wanted=OLD,
        guest=cpu(
            f"<cpu mode='custom' match='exact' {NO_CHECK}><model fallback='forbid'>Skylake-Client-v4</model></cpu>"
        ),
        destination=HV3,
    ),
    Case(
        "cpu-maximum-older-there",
        "the guest's CPU has all that the newer QEMU can emulate",
        ("cpu_host_passthrough", "cpu_hypervisor_compare"),
        wanted=OLD,
        guest=cpu("<cpu mode='maximum'/>"),
        destination=HV3,
        stricter="the guest was promised instructions that the older QEMU does not emulate: what uses them dies",
        risk={HV3: f"virsh qemu-monitor-command {{name}} --hmp 'qom-get /machine/unattached/device[0] {GONE_FEATURE}'"},
        shows="^false",
    ),
    Case(
        "cpu-host-model-older-there",
        "the guest's CPU was modelled after the source's, and the older QEMU emulates less",
        ("cpu_hypervisor_compare", "cpu_model_known_to_dest"),
        wanted=OLD,
        guest=cpu("<cpu mode='host-model'/>"),
        destination=HV3,
    ),
    Case(
        "cpu-migratable-off",
        "the guest's CPU may have what cannot be migrated",
        ("cpu_migratable_off",),
        guest=cpu("<cpu mode='maximum' migratable='off'/>"),
    ),
)

_MACHINES: tuple[Case, ...] = (
    Case(
        "machine-q35-unknown-there",
        "the guest's machine type is the newer QEMU's own",
        ("machine_type_supported",),
        wanted={**OLD, "machine": "q35"},
        destination=HV3,
    ),
    Case(
        "machine-q35-8-0-unknown-there",
        "the guest's machine type came right after the older QEMU",
        ("machine_type_supported",),
        wanted={**OLD, "machine": "pc-q35-8.0"},
        destination=HV3,
    ),
    Case(
        "machine-removed-there",
        "the guest's machine type is so old that the newer QEMU has it no more",
        ("machine_type_supported",),
        wanted={**OLD, "machine": "pc-i440fx-2.3"},
        guest=lambda xml: xml.replace("model='pcie-root'", "model='pci-root'").replace(
            "<controller type='pci' model='pcie-root-port'/>", ""
        ),
        source=HV3,
        destination="hv2",
    ),
    Case(
        "machine-tcg-of-debian-12",
        "the guest runs without KVM on a QEMU that loses what it writes during a migration",
        ("version_tcg_dirty_bits", "version_known_bad_pairs"),
        wanted=OLD,
        source=HV3,
        destination="hv2",
        stricter="about every tenth such migration of a busy guest corrupts its memory",
    ),
    Case(
        "machine-property-unknown-there",
        "a property that the older QEMU does not know is set past libvirt",
        ("machine_qemu_override", "version_qemu_direction"),
        wanted=OLD,
        guest=qemu_property("net0", "guest_uso4", "false"),
        destination=HV3,
    ),
    Case(
        "machine-argument-unknown-there",
        "QEMU is given an argument that the older one does not know",
        ("machine_qemu_commandline", "version_qemu_direction"),
        wanted=OLD,
        guest=qemu_arguments("-run-with", "async-teardown=off"),
        destination=HV3,
    ),
)

_BACK_WITH = "virsh -q domjobabort {name}; kill $(cat /run/g-sleep.pid); rm -f /run/g-dump /run/g-sleep.pid"

_STATES: tuple[Case, ...] = (
    Case(
        "guest-crashed",
        "the guest has crashed and is kept so",
        ("guest_state",),
        guest=both(element("<on_crash>preserve</on_crash>"), device("<panic model='isa'/>")),
        then={
            "hv1": "virsh -q qemu-monitor-command {name} --hmp 'o /b 0x505 1'; "
            + UNTIL.format("virsh domstate {name} | grep -q crashed")
        },
        after=after(),
        stricter="it is kept as it crashed, to be looked at, and the destination would resume it",
    ),
    Case(
        "guest-dump-running",
        "the guest's memory is being dumped, to a reader who does not read",
        ("guest_job_active",),
        then={
            "hv1": "mkfifo /run/g-dump; setsid sleep 300 </run/g-dump >/dev/null 2>&1 & "
            "echo $! >/run/g-sleep.pid; "
            "setsid virsh -q dump --live --memory-only {name} /run/g-dump </dev/null >/dev/null 2>&1 & "
            + UNTIL.format("virsh domjobinfo {name} | grep -q Dump")
        },
        after=after(_BACK_WITH),
    ),
    Case(
        "guest-monitor-hangs",
        "the guest's QEMU does not answer (SIGSTOP)",
        ("guest_monitor_responsive",),
        then={"hv1": "kill -STOP $(cat /run/libvirt/qemu/{name}.pid)"},
        after={"hv1": "kill -CONT $(cat /run/libvirt/qemu/{name}.pid)"},
    ),
    Case(
        "guest-labelled-never",
        "the guest bears a label that forbids its migration",
        ("guest_migration_policy_tag",),
        guest=element("<metadata><p:policy xmlns:p='urn:livemig:policy:1'>never</p:policy></metadata>"),
        stricter="libvirt does not know the label: who put it there does not want the guest moved",
    ),
    Case(
        "guest-dimm-hot-plugged",
        "the guest got a DIMM while it ran, which its definition has not",
        (),
        guest=memory_devices(),
        then={
            "hv1": "echo \"<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>\" "
            ">/run/g-dimm.xml; virsh -q attach-device --live {name} /run/g-dimm.xml; rm /run/g-dimm.xml"
        },
        after=after(),
    ),
)


def _wanted(**options: Any) -> Mapping[str, Any]:
    return {"migration": options}


POSTCOPY = "VIR_MIGRATE_POSTCOPY"
PARALLEL = "VIR_MIGRATE_PARALLEL"
NVDIMM = (
    "<memory model='nvdimm'><source><path>/srv/shared/g-nvdimm</path></source>"
    "<target><size unit='MiB'>16</size><node>0</node></target></memory>"
)

_WAYS: tuple[Case, ...] = (
    Case(
        "way-parallel-postcopy",
        "parallel connections and post-copy at once",
        ("flags_parallel_postcopy",),
        policy=_wanted(parallel=2, postcopy=True),
        flags=(PARALLEL, POSTCOPY),
        parameters={"parallel.connections": 2},
    ),
    Case(
        "way-postcopy",
        "post-copy",
        (),
        policy=_wanted(postcopy=True),
        flags=(POSTCOPY,),
    ),
    Case(
        "way-parallel",
        "two parallel connections",
        (),
        policy=_wanted(parallel=2),
        flags=(PARALLEL,),
        parameters={"parallel.connections": 2},
    ),
    Case(
        "way-tunnelled-postcopy",
        "tunnelled and post-copy at once",
        ("flags_tunnelled_conflicts",),
        policy=_wanted(tunnelled=True, postcopy=True),
        flags=("VIR_MIGRATE_TUNNELLED", POSTCOPY),
    ),
    Case(
        "way-zerocopy-alone",
        "zero-copy without parallel connections",
        ("flags_zerocopy_requirements",),
        policy=_wanted(zerocopy=True),
        flags=("VIR_MIGRATE_ZEROCOPY",),
    ),
    Case(
        "way-zerocopy-no-locked-memory",
        "zero-copy over parallel connections, for which QEMU may not lock memory enough",
        ("flags_zerocopy_requirements",),
        policy=_wanted(zerocopy=True, parallel=2),
        flags=("VIR_MIGRATE_ZEROCOPY", PARALLEL),
        parameters={"parallel.connections": 2},
    ),
    Case(
        "way-xbzrle-parallel",
        "compression xbzrle over parallel connections",
        ("flags_compression_conflicts",),
        policy=_wanted(compression=["xbzrle"], parallel=2),
        flags=(PARALLEL, "VIR_MIGRATE_COMPRESSED"),
        parameters={"parallel.connections": 2, "compression": "xbzrle"},
    ),
    Case(
        "way-compression-mt",
        "compression by threads, which QEMU 10.0 has no more",
        ("flags_compression_conflicts",),
        policy=_wanted(compression=["mt"]),
        flags=("VIR_MIGRATE_COMPRESSED",),
        parameters={"compression": "mt"},
    ),
    Case(
        "way-zstd-not-parallel",
        "compression zstd without parallel connections",
        ("flags_compression_conflicts",),
        policy=_wanted(compression=["zstd"]),
        flags=("VIR_MIGRATE_COMPRESSED",),
        parameters={"compression": "zstd"},
    ),
    Case(
        "way-postcopy-nvdimm",
        "post-copy of a guest with an NVDIMM",
        ("conv_postcopy_blockers",),
        guest=both(memory_devices(), device(NVDIMM)),
        before={"hv1": "truncate -s 16M /srv/shared/g-nvdimm"},
        after=after("rm -f /srv/shared/g-nvdimm"),
        policy=_wanted(postcopy=True),
        flags=(POSTCOPY,),
    ),
    Case(
        "way-postcopy-paused",
        "post-copy of a guest that is to stay paused",
        ("flags_postcopy_requires_live",),
        policy=_wanted(postcopy=True, paused=True),
        flags=(POSTCOPY, "VIR_MIGRATE_PAUSED"),
    ),
    Case(
        "way-copy-disk-unknown",
        "a disk is to be copied that the guest has not",
        ("flags_migrate_disks_valid",),
        policy=_wanted(copy_storage="all", copy_disks=["vdx"]),
        flags=("VIR_MIGRATE_NON_SHARED_DISK",),
        parameters={"migrate_disks": ["vdx"]},
    ),
    Case(
        "way-bandwidth-absurd",
        "a limit of bandwidth that is more than a number of bytes can say",
        ("flags_bandwidth_sane",),
        policy=_wanted(bandwidth_mib_s=1 << 44),
        parameters={"bandwidth": 1 << 44},
    ),
)

CASES: tuple[Case, ...] = _CPUS + _MACHINES + _STATES + _WAYS
