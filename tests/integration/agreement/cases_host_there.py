# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks, file systems, other domains and what the destination has too little of."""

from __future__ import annotations

from functools import partial

from tests.firing.provocation import device, element, replaced
from tests.integration.agreement.case import Case
from tests.integration.agreement.pieces import (
    ELSEWHERE,
    START,
    away,
    back,
    ended,
    holding,
    no_twin,
    twin,
    uuid_of,
)
from tests.integration.agreement.shell import CONF_BACK, RESTART, after, conf
from tests.lab import api as lab

HOOK = "/etc/libvirt/hooks/qemu"
LOGS = "/var/log/libvirt/qemu"
STATES = "/run/libvirt/qemu"
MONITORS = "/var/lib/libvirt/qemu"
OTHER_UUID = "5ce0a7f1-0f4e-4b7e-9d5d-0d0c8f3f00b2"
FULL = "timeout 20 dd if=/dev/zero of={}/g-full bs=4k 2>/dev/null || :"


def hook(script: str) -> str:
    """A hook, and a daemon that has found it."""
    return f"mkdir -p {HOOK.rpartition('/')[0]}; printf '#!/bin/sh\\n{script}\\n' >{HOOK}; chmod 755 {HOOK}; {RESTART}"


PROGRAM = "a hook is a program; that there is one is a warning"
NO_HOOK = f"rm -f {HOOK}; {RESTART}"

_FILES: tuple[Case, ...] = (
    Case(
        "host-hook-refuses-there",
        "the destination's hook refuses whatever comes",
        ("hook_script_destination",),
        before={"hv2": hook("cat >/dev/null; echo not here >&2; exit 1")},
        after=after(there=NO_HOOK),
        beyond=PROGRAM,
    ),
    Case(
        "host-hook-refuses-migrations-there",
        "the destination's hook refuses what is migrated to it",
        ("hook_script_destination",),
        before={"hv2": hook('cat; [ "$2" != migrate ]')},
        after=after(there=NO_HOOK),
        beyond=PROGRAM,
    ),
    Case(
        "host-hook-agrees-there",
        "the destination has a hook that agrees to everything and writes nothing",
        ("hook_script_destination",),
        before={"hv2": hook("cat >/dev/null; exit 0")},
        after=after(there=NO_HOOK),
    ),
    Case(
        "host-hook-breaks-xml-there",
        "the destination's hook answers with something that is no XML",
        ("hook_script_destination",),
        before={"hv2": hook("cat >/dev/null; echo well")},
        after=after(there=NO_HOOK),
        beyond=PROGRAM,
    ),
    Case(
        "host-logs-full-there",
        "the file system of the destination's logs is full",
        ("host_disk_space_runtime",),
        before={"hv2": f"mount -t tmpfs -o size=64k none {LOGS}; {FULL.format(LOGS)}"},
        after=after(there=f"umount {LOGS}"),
        stricter="nothing more can be noted about any guest there, and what libvirt cannot write fails next",
        risk={"hv2": f"cat {LOGS}/{{name}}.log | wc -c"},
        shows=r"^0\b",
    ),
    Case(
        "host-logs-no-inodes-there",
        "the file system of the destination's logs has no inode left",
        ("host_disk_space_runtime",),
        before={"hv2": f"mount -t tmpfs -o size=900m,nr_inodes=2 none {LOGS}; touch {LOGS}/g-full"},
        after=after(there=f"umount {LOGS}"),
    ),
    Case(
        "host-logs-read-only-there",
        "the file system of the destination's logs is read-only",
        ("host_disk_space_runtime",),
        before={"hv2": f"mount --bind {LOGS} {LOGS}; mount -o remount,bind,ro {LOGS}"},
        after=after(there=f"umount {LOGS}"),
    ),
    Case(
        "host-states-full-there",
        "the file system of what the destination's libvirt notes about its guests is full",
        ("host_disk_space_runtime",),
        before={"hv2": f"mount -t tmpfs -o size=16k none {STATES}; {FULL.format(STATES)}"},
        after=after(there=f"umount {STATES}"),
    ),
    Case(
        "host-monitors-read-only-there",
        "the folder of the guests' monitors is read-only at the destination",
        ("host_disk_space_runtime",),
        before={"hv2": f"mount --bind {MONITORS} {MONITORS}; mount -o remount,bind,ro {MONITORS}"},
        after=after(there=f"umount {MONITORS}"),
    ),
    Case(
        "host-definitions-read-only-there",
        "the destination's libvirt cannot write definitions: their folder is read-only",
        ("host_disk_space_runtime",),
        before={"hv2": "mount --bind /etc/libvirt/qemu /etc/libvirt/qemu; mount -o remount,bind,ro /etc/libvirt/qemu"},
        after=after(there="umount /etc/libvirt/qemu"),
    ),
    Case(
        "host-definitions-shared",
        "both hosts keep their definitions in one shared folder",
        ("libvirt_etc_not_shared",),
        before={
            name: "mkdir -p /srv/shared/g-defined; mv /etc/libvirt/qemu /etc/libvirt/qemu.own; "
            "ln -s /srv/shared/g-defined /etc/libvirt/qemu"
            for name in ("hv1", "hv2")
        },
        after=after(
            *["rm /etc/libvirt/qemu; mv /etc/libvirt/qemu.own /etc/libvirt/qemu; rm -rf /srv/shared/g-defined"] * 2
        ),
        stricter="the source deletes the definition when the guest has gone, and with it the destination's",
        risk={"hv2": "ls /etc/libvirt/qemu/ /etc/libvirt/qemu/{name}.xml"},
        shows="{name}.xml': No such file".format(name="a-host-definitions-shared"),
    ),
    Case(
        "host-maintenance-there",
        "the destination is marked as being in maintenance",
        ("host_maintenance_flag",),
        before={"hv2": "mkdir -p -m 0700 /var/lib/livemig; echo new kernel >/var/lib/livemig/maintenance"},
        after=after(there="rm /var/lib/livemig/maintenance"),
        stricter="libvirt knows of no maintenance: who marked the host is about to take it down",
        risk={"hv2": "cat /var/lib/livemig/maintenance"},
        shows="new kernel",
    ),
)

_OTHERS: tuple[Case, ...] = (
    Case(
        "dst-name-taken-running",
        "another domain of the guest's name runs at the destination",
        ("dst_domain_name_conflict",),
        then={"hv2": twin("{name}", OTHER_UUID, "create --paused")},
        after=after(),
    ),
    Case(
        "dst-name-taken-defined",
        "another domain of the guest's name is defined at the destination",
        ("dst_domain_name_conflict",),
        before={"hv2": twin("{name}", OTHER_UUID, "define")},
        after=after(there="virsh -q undefine {name}"),
    ),
    Case(
        "dst-uuid-taken-running",
        "a domain of another name runs at the destination with the guest's UUID",
        ("dst_domain_uuid_running",),
        before={"hv2": twin("g-twin", uuid_of("dst-uuid-taken-running"), "create --paused")},
        after=after(there=no_twin("g-twin")),
    ),
    Case(
        "dst-uuid-taken-defined",
        "a domain of another name is defined at the destination with the guest's UUID",
        ("dst_domain_name_conflict", "dst_domain_uuid_running", "dst_domain_defined_differs"),
        before={"hv2": twin("g-twin", uuid_of("dst-uuid-taken-defined"), "define")},
        after=after(there=no_twin("g-twin")),
    ),
    Case(
        "dst-defined-otherwise",
        "the guest is defined at the destination already, as a much smaller one",
        ("dst_domain_defined_differs",),
        before={"hv2": twin("{name}", uuid_of("dst-defined-otherwise"), "define")},
        after=after(there="virsh -q undefine {name}"),
    ),
)

_RESOURCES: tuple[Case, ...] = (
    Case(
        "host-memory-limited-there",
        "the destination may use 300 MiB, and the guest needs more",
        ("mem_capacity_dest",),
        wanted={"memory_mib": 512, "dirty": "300@100"},
        act=partial(lab.limit, "hv2", memory_mib=300),
        undo=partial(lab.unlimit, "hv2"),
        after=after(there=f"timeout 5 virsh uri >/dev/null 2>&1 || {{ {START}; }}"),
    ),
    Case(
        "host-cpu-pinned-gone-there",
        "the guest's vCPU is pinned to a CPU that the destination may not use",
        ("cpu_pinning_valid",),
        guest=element("<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"),
        act=partial(lab.limit, "hv2", cpus="0"),
        undo=partial(lab.unlimit, "hv2"),
        after=after(),
    ),
    Case(
        "host-cpuset-gone-there",
        "the guest's vCPUs may run on a CPU that the destination may not use",
        ("cpu_pinning_valid",),
        guest=replaced("<vcpu>1</vcpu>", "<vcpu placement='static' cpuset='1'>1</vcpu>"),
        act=partial(lab.limit, "hv2", cpus="0"),
        undo=partial(lab.unlimit, "hv2"),
        after=after(),
    ),
    Case(
        "host-emulator-pinned-gone-there",
        "the guest's emulator is pinned to a CPU that the destination may not use",
        ("cpu_pinning_valid",),
        guest=element("<cputune><emulatorpin cpuset='1'/></cputune>"),
        act=partial(lab.limit, "hv2", cpus="0"),
        undo=partial(lab.unlimit, "hv2"),
        after=after(),
    ),
    Case(
        "host-iothread-pinned-gone-there",
        "an I/O thread of the guest is pinned to a CPU that the destination may not use",
        ("cpu_pinning_valid",),
        guest=element("<iothreads>1</iothreads><cputune><iothreadpin iothread='1' cpuset='1'/></cputune>"),
        act=partial(lab.limit, "hv2", cpus="0"),
        undo=partial(lab.unlimit, "hv2"),
        after=after(),
    ),
    Case(
        "host-fewer-cpus-there",
        "the guest has 2 vCPUs, and the destination one CPU",
        ("cpu_vcpus_vs_host_cpus",),
        wanted={"vcpus": 2},
        act=partial(lab.limit, "hv2", cpus="0"),
        undo=partial(lab.unlimit, "hv2"),
        after=after(),
    ),
    Case(
        "host-memory-folder-full-there",
        "the guest's memory is in files, for which the destination has 8 MiB",
        ("mem_backing_file",),
        guest=element("<memoryBacking><source type='file'/><allocation mode='immediate'/></memoryBacking>"),
        before={"hv2": "mkdir -p /var/lib/libvirt/qemu/ram; mount -t tmpfs -o size=8m tmpfs /var/lib/libvirt/qemu/ram"},
        after=after(there="umount /var/lib/libvirt/qemu/ram"),
    ),
    Case(
        "host-memory-locked-there",
        "the guest may lock 8 MiB, and the destination's libvirt may let it lock 4 MiB",
        ("mem_locked_limit",),
        guest=element("<memtune><hard_limit unit='MiB'>8</hard_limit></memtune>"),
        before={"hv2": "prlimit --pid $(cat /run/libvirtd.pid) --memlock=4194304:4194304"},
        after=after(there=RESTART),
    ),
    Case(
        "host-numad-gone-there",
        "numad places the guest, and the destination has none",
        ("mem_numad_auto",),
        guest=replaced("<vcpu>1</vcpu>", "<vcpu placement='auto'>1</vcpu>"),
        before={"hv2": away("/usr/bin/numad")},
        after=after(there=back("/usr/bin/numad")),
    ),
)

_DISPLAYS: tuple[Case, ...] = (
    Case(
        "host-vnc-range-taken-there",
        "the destination's qemu.conf has two ports for VNC, and another program has both",
        ("dev_graphics_port_free",),
        guest=device("<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>"),
        before={
            "hv2": f"{holding(5990)}; {holding(5991)}; "
            + conf("remote_display_port_min = 5990", "remote_display_port_max = 5991")
        },
        after=after(there=f"{ended(5990)}; {ended(5991)}; {CONF_BACK}"),
    ),
    Case(
        "host-vnc-listens-nowhere-there",
        "VNC listens as qemu.conf says, which at the destination names an address that it has not",
        ("dev_graphics_listen",),
        guest=device("<graphics type='vnc' autoport='yes'/>"),
        before={"hv2": conf(f'vnc_listen = "{ELSEWHERE}"')},
        after=after(there=CONF_BACK),
    ),
)

CASES: tuple[Case, ...] = _FILES + _OTHERS + _RESOURCES + _DISPLAYS
