# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests to begin with, and what can be changed about their machines and disks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.firing.provocation import XmlEdit, device, element, replaced
from tests.integration.agreement.cases_clean import (
    BOOT,
    CODE,
    CPU,
    NO_BALLOON,
    VARS,
    VCPU,
    cpu,
    driver,
    usb,
    without_ports,
)
from tests.integration.agreement.shell import (
    COMMON,
    END,
    HERE,
    NO_DISK,
    SHARED_MEMORY,
    both,
    disk,
    filled,
    image,
    medium,
)


@dataclass(frozen=True)
class Base:
    """A good guest. has: what of it no mutation may change."""

    name: str
    what: str
    edit: XmlEdit | None = None
    wanted: Mapping[str, Any] = field(default_factory=dict)
    has: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mutation:
    """A change. of: what it changes; no two of one case change the same. fields, stricter: of the case."""

    name: str
    what: str
    of: tuple[str, ...]
    edit: XmlEdit | None = None
    wanted: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    then: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    stricter: str = ""


CACHED = "the destination may read what its own cache has: that QEMU drops it is a best effort"
OTHER_MEDIUM = "the guest's medium is another one after the move, and nobody told it"
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
BRIDGE = '<source bridge="br0"/>'
KERNEL = f"<kernel>{BOOT}/vmlinuz</kernel>"
CACHE = "cache='none'/><source"
LOST = f"{HERE}/base.raw"
GONE = {"hv1": f"{END}; rm -rf {HERE} {COMMON}"}
ALONE = {"hv1": "true"}
"""Of what one guest at a time can have."""


def commandline(*words: str) -> XmlEdit:
    """Arguments past libvirt."""
    arguments = "".join(f"<qemu:arg value='{word}'/>" for word in words)
    return both(
        replaced("<domain ", f"<domain xmlns:qemu='{QEMU}' "),
        replaced("</domain>", f"<qemu:commandline>{arguments}</qemu:commandline></domain>"),
    )


def cached(mode: str) -> XmlEdit:
    return replaced("cache='none'", f"cache='{mode}'")


def bus(name: str, target: str = "sda", more: str = "") -> XmlEdit:
    """The first disk on another bus."""
    return both(replaced("<target dev='vda' bus='virtio'/>", f"<target dev='{target}' bus='{name}'/>"), device(more))


def feature(policy: str, name: str) -> XmlEdit:
    return cpu(CPU.replace("</cpu>", f"<feature policy='{policy}' name='{name}'/></cpu>"))


def model(name: str, check: str = "partial") -> XmlEdit:
    return cpu(f"<cpu mode='custom' match='exact' check='{check}'><model fallback='allow'>{name}</model></cpu>")


def backing(inner: str) -> XmlEdit:
    return element(f"<memoryBacking>{inner}</memoryBacking>")


BASES: tuple[Base, ...] = (
    Base("plain", "the plain guest"),
    Base("i440fx", "a guest on i440fx", without_ports, {"machine": "pc"}, ("machine", "pcie")),
    Base("older", "a guest of machine type pc-q35-9.2", None, {"machine": "pc-q35-9.2"}, ("machine",)),
    Base(
        "pinned",
        "a guest of 2 pinned vCPUs",
        element("<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='1'/></cputune>"),
        {"vcpus": 2},
        ("vcpus", "cputune"),
    ),
    Base(
        "shown",
        "a guest with VNC, VGA and a USB tablet",
        both(
            usb("<controller type='usb' index='0' model='qemu-xhci'/>", "<input type='tablet' bus='usb'/>"),
            device("<graphics type='vnc' autoport='yes'/><video><model type='vga'/></video>"),
        ),
        has=("graphics", "video", "usb"),
    ),
    Base(
        "served",
        "a guest with a channel, a balloon and random numbers",
        both(
            replaced(NO_BALLOON, "<memballoon model='virtio'/>"),
            device(
                "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
                "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
            ),
        ),
        has=("rng",),
    ),
    Base("medium", "a guest with a medium in its CD drive", None, {"cdrom": f"{BOOT}/initramfs.gz"}, ("cdrom", "sda")),
    Base(
        "cells",
        "a guest with 2 NUMA cells",
        cpu(
            CPU.replace(
                "</cpu>",
                "<numa><cell id='0' cpus='0' memory='64' unit='MiB'/><cell id='1' cpus='1' memory='64' unit='MiB'/>"
                "</numa></cpu>",
            )
        ),
        {"vcpus": 2},
        ("cpu", "vcpus", "memory", "backing"),
    ),
)

_MACHINE: tuple[Mutation, ...] = (
    Mutation("q35-8-2", "machine type pc-q35-8.2", ("machine",), wanted={"machine": "pc-q35-8.2"}),
    Mutation("q35-5-2", "machine type pc-q35-5.2, which is deprecated", ("machine",), wanted={"machine": "pc-q35-5.2"}),
    Mutation("max-cpu", "a CPU that has all QEMU can emulate", ("cpu",), cpu("<cpu mode='maximum'/>")),
    Mutation("host-model", "the host's CPU as a model", ("cpu",), cpu("<cpu mode='host-model'/>")),
    Mutation("skylake", "a CPU model of which TCG lacks features", ("cpu",), model("Skylake-Server", "none")),
    Mutation("rdpid", "the CPU feature rdpid", ("cpu",), feature("require", "rdpid")),
    Mutation("no-sse4a", "a CPU without sse4a", ("cpu",), feature("disable", "sse4a")),
    Mutation("vcpus-3", "3 vCPUs", ("vcpus",), wanted={"vcpus": 3}),
    Mutation("spare-vcpu", "a vCPU that can be added", ("vcpus",), replaced(VCPU, "<vcpu current='1'>2</vcpu>")),
    Mutation(
        "pin-1", "the first vCPU on CPU 1", ("cputune",), element("<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>")
    ),
    Mutation("shares", "more shares of CPU", ("cputune",), element("<cputune><shares>4096</shares></cputune>")),
    Mutation(
        "realtime",
        "a real-time vCPU",
        ("cputune",),
        element("<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>"),
    ),
    Mutation(
        "auto-cpus", "CPUs as numad says", ("vcpus", "cputune"), replaced(VCPU, "<vcpu placement='auto'>1</vcpu>")
    ),
    Mutation("mib-320", "320 MiB", ("memory",), wanted={"memory_mib": 320}),
    Mutation("busy", "writes to its memory", ("memory",), wanted={"memory_mib": 192, "dirty": "48@24"}),
    Mutation(
        "strict-0",
        "memory strictly from node 0",
        ("numatune",),
        element("<numatune><memory mode='strict' nodeset='0'/></numatune>"),
    ),
    Mutation(
        "interleave",
        "memory interleaved",
        ("numatune",),
        element("<numatune><memory mode='interleave' nodeset='0'/></numatune>"),
    ),
    Mutation("memfd", "memory in a shared memfd", ("backing",), SHARED_MEMORY),
    Mutation("file-memory", "memory in a file", ("backing",), backing("<source type='file'/>")),
    Mutation(
        "hard-limit",
        "a hard limit of 8 MiB of memory",
        ("memtune",),
        element("<memtune><hard_limit unit='MiB'>8</hard_limit></memtune>"),
    ),
    Mutation(
        "uefi",
        "UEFI firmware",
        ("firmware", "memory"),
        replaced(
            "hvm</type>", f"hvm</type><loader readonly='yes' type='pflash'>{CODE}</loader><nvram template='{VARS}'/>"
        ),
        {"memory_mib": 256},
    ),
)

_DISK: tuple[Mutation, ...] = (
    Mutation("local-disk", "its disk on the source's own file system", ("disk",), wanted={"disk": "local"}),
    Mutation("no-disk", "no disk", ("disk", "cache", "io", "bus"), wanted=NO_DISK),
    Mutation(
        "lost-backing",
        "a second disk, a shared overlay of a file that only the source has",
        ("vdb",),
        disk(f"{COMMON}/overlay.qcow2", target="vdb"),
        before={"hv1": f"{filled(LOST, '0x11')}; {image(f'{COMMON}/overlay.qcow2', size='', base=LOST)}"},
        after=GONE,
    ),
    Mutation(
        "local-second",
        "a second disk that only the source has",
        ("vdb",),
        disk(f"{HERE}/second.raw", "raw", target="vdb"),
        before={"hv1": image(f"{HERE}/second.raw", "raw", "8M")},
        after=GONE,
    ),
    Mutation(
        "shared-second",
        "a second disk on shared storage",
        ("vdb",),
        disk(f"{COMMON}/second.raw", "raw", target="vdb"),
        before={"hv1": image(f"{COMMON}/second.raw", "raw", "8M")},
        after=GONE,
    ),
    Mutation(
        "readonly-second",
        "a second, read-only disk",
        ("vdb",),
        disk(f"{BOOT}/vmlinuz", "raw", target="vdb", more="<readonly/>"),
    ),
    Mutation("as-raw", "its image taken for a raw one", ("format",), replaced("type='qcow2'", "type='raw'")),
    Mutation("writeback", "cache=writeback", ("cache",), cached("writeback"), stricter=CACHED),
    Mutation("writethrough", "cache=writethrough", ("cache",), cached("writethrough"), stricter=CACHED),
    Mutation("unsafe", "cache=unsafe", ("cache",), cached("unsafe"), stricter=CACHED),
    Mutation("directsync", "cache=directsync", ("cache",), cached("directsync")),
    Mutation("native", "io=native", ("io", "cache"), driver("io='native'")),
    Mutation(
        "threads",
        "io=threads and 2 I/O threads",
        ("io", "cache"),
        both(element("<iothreads>2</iothreads>"), driver("io='threads'")),
    ),
    Mutation("sata", "its disk on SATA", ("bus", "sda"), bus("sata", "sdc")),
    Mutation(
        "scsi",
        "its disk on virtio-scsi",
        ("bus", "sda"),
        bus("scsi", "sdc", "<controller type='scsi' model='virtio-scsi'/>"),
    ),
    Mutation(
        "other-cd",
        "a medium that is another file at the destination",
        ("cdrom", "sda"),
        medium("/etc/machine-id"),
        stricter=OTHER_MEDIUM,
    ),
    Mutation("twin-cd", "a medium of which each host has the same copy", ("cdrom", "sda"), medium(CODE)),
    Mutation(
        "local-cd",
        "a medium that only the source has",
        ("cdrom", "sda"),
        medium(f"{HERE}/medium.iso"),
        before={"hv1": filled(f"{HERE}/medium.iso", "0x11")},
        after=GONE,
    ),
    Mutation(
        "no-medium",
        "an empty CD drive",
        ("cdrom", "sda"),
        device("<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"),
    ),
)

FIRST: tuple[Mutation, ...] = (*_MACHINE, *_DISK)
