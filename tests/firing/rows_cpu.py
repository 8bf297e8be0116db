# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs, machine types, versions. Without KVM in the lab, what only KVM guests can show is missing here."""

from __future__ import annotations

from tests.firing.provocation import Provocation, XmlEdit, element, replaced
from tests.lab import api as lab

_CPU = "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>"
_QEMU = "/usr/bin/qemu-system-x86_64"


def _all(*edits: XmlEdit) -> XmlEdit:
    def edit(xml: str) -> str:
        for each in edits:
            xml = each(xml)
        return xml

    return edit


def _same(xml: str) -> str:
    """The plain guest, under a name of its own."""
    return xml


def _cpu(xml: str) -> XmlEdit:
    return replaced(_CPU, xml)


def _qemu(xml: str) -> XmlEdit:
    """An element of libvirt's namespace for QEMU."""
    return _all(
        replaced("<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' "),
        replaced("</domain>", f"{xml}</domain>"),
    )


# A machine type that both Debian 12 and Debian 13 have, so that nothing but what is provoked stands in the way.
_OLD = replaced('machine="q35"', 'machine="pc-q35-7.2"')

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "machine_type_supported",
        "a guest of Debian 13's newest machine type, and Debian 12 as destination",
        "hv3 has no pc-q35-10.0 for x86_64 guests",
        destination="hv3",
        standing=True,
    ),
    Provocation(
        "version_qemu_direction",
        "from QEMU 10.0 to 7.2",
        "QEMU of hv3: 7.2.",
        destination="hv3",
        standing=True,
    ),
    Provocation(
        "version_libvirt_direction",
        "from libvirt 11.3 to 9.0",
        "libvirt of hv3: 9.0.0",
        destination="hv3",
        standing=True,
    ),
    Provocation(
        "version_driver_type_match",
        "QEMU for x86_64 moved away at the destination",
        "it is qemu on x86_64, and hv2 offers",
        before={"hv2": f"mv {_QEMU} {_QEMU}.away"},
        after={"hv2": f"mv {_QEMU}.away {_QEMU}"},
    ),
    Provocation(
        "version_tcg_dirty_bits",
        "a guest on Debian 12",
        "it runs without KVM, and QEMU on hv3 is 7.2.",
        guest=_same,
        source="hv3",
        destination="hv1",
    ),
    Provocation(
        "one_way_move",
        "from QEMU 7.2 to 10.0, from which nothing comes back",
        "The way home, QEMU of hv3: 7.2.",
        guest=_same,
        source="hv3",
        destination="hv1",
    ),
    Provocation(
        "version_running_binary_replaced",
        "QEMU's file replaced by a copy while the plain guest runs",
        "replaced on disk since these were started: ",
        before={"hv1": f"ln {_QEMU} {_QEMU}.kept; cp -p {_QEMU} {_QEMU}.new; mv -f {_QEMU}.new {_QEMU}"},
        after={"hv1": f"mv -f {_QEMU}.kept {_QEMU}"},
    ),
    Provocation(
        "version_kernel_kvm_delta",
        "an older kernel at the destination (faked)",
        "Kernel of hv2: 5.10.0-30-amd64",
        act=lambda: lab.fake("hv2", "/proc/sys/kernel/osrelease", "5.10.0-30-amd64"),
        undo=lambda: lab.unfake("hv2", "/proc/sys/kernel/osrelease"),
        faked=True,
    ),
    Provocation(
        "cpu_hypervisor_compare",
        "a guest with a CPU feature that QEMU 10.0 emulates and 7.2 does not",
        "required features: rdpid",
        guest=_all(_OLD, _cpu(_CPU.replace("</cpu>", "<feature policy='require' name='rdpid'/></cpu>"))),
        destination="hv3",
    ),
    Provocation(
        "cpu_model_known_to_dest",
        "a guest with a CPU model that came after QEMU 7.2",
        "GraniteRapids, which hv3 does not know",
        guest=_all(
            _OLD,
            _cpu("<cpu mode='custom' match='exact' check='none'><model fallback='allow'>GraniteRapids</model></cpu>"),
        ),
        destination="hv3",
    ),
    Provocation(
        "cpu_host_passthrough",
        "a guest that has all that QEMU can emulate, and an older QEMU at the destination",
        "of mode maximum: QEMU 7.2.",
        guest=_all(_OLD, _cpu("<cpu mode='maximum'/>")),
        destination="hv3",
    ),
    Provocation(
        "cpu_vcpus_vs_host_cpus",
        "a guest with 2 vCPUs, and a destination with one CPU",
        "2; CPUs for guests on hv2: 1",
        guest=replaced("<vcpu>1</vcpu>", "<vcpu>2</vcpu>"),
        act=lambda: lab.limit("hv2", cpus="0"),
        undo=lambda: lab.unlimit("hv2"),
    ),
    Provocation(
        "cpu_pinning_valid",
        "a vCPU pinned to a CPU that the destination has not",
        "(vCPU 0): CPUs 1, none of them usable; hv2 has 0",
        guest=element("<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"),
        act=lambda: lab.limit("hv2", cpus="0"),
        undo=lambda: lab.unlimit("hv2"),
    ),
    Provocation(
        "cpu_realtime_sched",
        "a guest with a real-time vCPU, to be moved with post-copy",
        "fifo, and post-copy lets a vCPU wait for the network",
        guest=element("<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>"),
        policy={"migration": {"postcopy": True}},
    ),
    Provocation(
        "machine_type_deprecated",
        "a guest of a machine type that QEMU calls deprecated",
        "QEMU on hv2 calls pc-q35-5.2 deprecated",
        guest=replaced('machine="q35"', 'machine="pc-q35-5.2"'),
    ),
    Provocation(
        "machine_qemu_commandline",
        "a guest with an argument of its own for QEMU",
        ": -fw_cfg;",
        guest=_qemu(
            "<qemu:commandline><qemu:arg value='-fw_cfg'/><qemu:arg value='name=opt/p,string=x'/></qemu:commandline>"
        ),
    ),
    Provocation(
        "machine_qemu_override",
        "a guest with a property set past libvirt, and another QEMU at the destination",
        "properties of net0, and hv3 has QEMU 7.2.",
        guest=_qemu(
            "<qemu:override><qemu:device alias='net0'><qemu:frontend>"
            "<qemu:property name='event_idx' type='bool' value='false'/>"
            "</qemu:frontend></qemu:device></qemu:override>"
        ),
        destination="hv3",
    ),
)
