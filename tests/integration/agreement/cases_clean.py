# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of many kinds, all of which move without harm: whatever is refused here is a false alarm."""

from __future__ import annotations

import re
from typing import Any

from tests.firing.provocation import XmlEdit, device, element, replaced
from tests.integration.agreement.case import CLEAN, Case
from tests.integration.agreement.shell import (
    COMMON,
    NO_DISK,
    SHARED_MEMORY,
    after,
    both,
    disk,
    filled,
    image,
)
from tests.lab import api as lab

BOTH = ("hv1", "hv2")
VDA = "<target dev='vda' bus='virtio'/>"
NIC = "<model type='virtio'/></interface>"
CPU = "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>"
VCPU = "<vcpu>1</vcpu>"
NO_USB = "<controller type='usb' model='none'/>"
NO_BALLOON = "<memballoon model='none'/>"
ACPI = "<features><acpi/></features>"
BOOT = "/srv/shared/boot"
"""The files of the guests' kernel, which every host sees: good as media as well."""
RAW = f"{COMMON}/disk.raw"
SAME = "/dev/livemig/b-same"
CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
FILES_GONE = after(f"rm -rf {COMMON}")


def cpu(xml: str) -> XmlEdit:
    return replaced(CPU, xml)


def driver(words: str) -> XmlEdit:
    """Attributes of the first disk's driver besides its cache."""
    return replaced("cache='none'/>", f"cache='none' {words}/>")


def usb(controllers: str, devices: str) -> XmlEdit:
    return both(replaced(NO_USB, controllers), device(devices))


def without_ports(xml: str) -> str:
    """For i440fx, which has no PCI Express."""
    return re.sub(r"<controller type='pci'[^>]*/>\n", "", xml)


def without_nic(xml: str) -> str:
    return re.sub(r"(?s)<interface.*?</interface>\n", "", xml)


def memory_slots(dimm: str = "") -> XmlEdit:
    """QEMU takes memory devices only with slots and a NUMA cell."""
    cell = "<numa><cell id='0' cpus='0' memory='128' unit='MiB'/></numa>"
    return both(
        replaced("<memory unit='MiB'>", "<maxMemory slots='4' unit='MiB'>1024</maxMemory><memory unit='MiB'>"),
        cpu(CPU.replace("</cpu>", f"{cell}</cpu>")),
        device(dimm),
    )


def second_nic(inner: str, kind: str = "bridge", source: str = "bridge='br0'") -> XmlEdit:
    return device(f"<interface type='{kind}'><source {source}/>{inner}</interface>")


def network(inner: str) -> str:
    """Shell commands that define and start a libvirt network."""
    xml = f"<network><name>b-net</name>{inner}</network>"
    return f'echo "{xml}" >/run/b-net.xml; virsh -q net-define /run/b-net.xml; virsh -q net-start b-net'


NO_NETWORK = "virsh -q net-destroy b-net; virsh -q net-undefine b-net"
NAT = "<forward mode='nat'/><bridge name='virbr9'/><ip address='198.51.100.129' netmask='255.255.255.240'/>"
BRIDGED = "<forward mode='bridge'/><bridge name='br0'/>"


def clean(name: str, what: str, *edits: XmlEdit, kind: str = CLEAN, **fields: Any) -> Case:
    return Case(f"clean-{name}", what, kind=kind, guest=both(*edits) if edits else None, **fields)


_CPUS: tuple[Case, ...] = (
    clean("plain", "the lab's plain guest"),
    clean("i440fx", "a guest of the machine type pc", without_ports, wanted={"machine": "pc"}),
    clean("i440fx-8-2", "a guest of an older machine type pc", without_ports, wanted={"machine": "pc-i440fx-8.2"}),
    clean("q35-9-2", "a guest of an older machine type q35", wanted={"machine": "pc-q35-9.2"}),
    clean("q35-7-2", "a guest of a machine type that Debian 12 has, too", wanted={"machine": "pc-q35-7.2"}),
    clean(
        "topology",
        "4 vCPUs in 2 sockets with 2 threads each",
        cpu(CPU.replace("</cpu>", "<topology sockets='2' dies='1' cores='1' threads='2'/></cpu>")),
        wanted={"vcpus": 4},
    ),
    clean(
        "cores",
        "2 vCPUs as the cores of one socket",
        cpu(CPU.replace("</cpu>", "<topology sockets='1' dies='1' cores='2' threads='1'/></cpu>")),
        wanted={"vcpus": 2},
    ),
    clean("hotplug-vcpus", "2 vCPUs, of which one can be added later", replaced(VCPU, "<vcpu current='1'>2</vcpu>")),
    clean(
        "numa",
        "a guest with 2 NUMA cells and 2 vCPUs",
        replaced("<vcpu>2", "<vcpu placement='static'>2"),
        cpu(
            CPU.replace(
                "</cpu>",
                "<numa><cell id='0' cpus='0' memory='128' unit='MiB'/><cell id='1' cpus='1' memory='64' unit='MiB'/>"
                "</numa></cpu>",
            )
        ),
        wanted={"vcpus": 2, "memory_mib": 192},
    ),
    clean(
        "cpu-nehalem",
        "a named CPU model, without what TCG lacks of it",
        cpu("<cpu mode='custom' match='exact' check='partial'><model fallback='forbid'>Nehalem</model></cpu>"),
    ),
    clean(
        "cpu-features",
        "a CPU with single features required and disabled",
        cpu(
            CPU.replace(
                "</cpu>",
                "<feature policy='require' name='aes'/><feature policy='require' name='avx2'/>"
                "<feature policy='disable' name='svm'/></cpu>",
            )
        ),
    ),
    clean("cpu-maximum", "all that QEMU can emulate, and the same QEMU there", cpu("<cpu mode='maximum'/>")),
    clean("cpu-host-model", "the host's CPU as a model, between hosts with one CPU", cpu("<cpu mode='host-model'/>")),
    clean(
        "cpu-check-none",
        "a CPU model of which TCG lacks features, and nobody checks",
        cpu("<cpu mode='custom' match='exact' check='none'><model>Skylake-Server-noTSX-IBRS</model></cpu>"),
    ),
    clean(
        "pinned",
        "vCPUs and emulator pinned to CPUs that both hosts have",
        element(
            "<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='1'/><emulatorpin cpuset='0-1'/></cputune>"
        ),
        wanted={"vcpus": 2},
    ),
    clean("placement-cpuset", "vCPUs confined to CPUs 0 and 1", replaced("<vcpu>", "<vcpu cpuset='0-1'>")),
)

_MEMORY: tuple[Case, ...] = (
    clean("memory-512", "a guest of 512 MiB that writes to its memory", wanted={"memory_mib": 512, "dirty": "64@8"}),
    clean("slots", "slots for memory devices, all empty", memory_slots()),
    clean(
        "dimm",
        "a DIMM of 128 MiB in one of 4 slots",
        memory_slots("<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"),
        wanted={"memory_mib": 256},
    ),
    clean(
        "numatune", "memory from NUMA node 0", element("<numatune><memory mode='preferred' nodeset='0'/></numatune>")
    ),
    clean(
        "numatune-strict",
        "memory from node 0 alone",
        element("<numatune><memory mode='strict' nodeset='0'/></numatune>"),
    ),
    clean("memfd", "shared memory in a memfd", SHARED_MEMORY),
    clean("nosharepages", "memory that is not merged", element("<memoryBacking><nosharepages/></memoryBacking>")),
    clean(
        "balloon",
        "a balloon that reports free pages and statistics, and a guest that may grow",
        replaced(NO_BALLOON, "<memballoon model='virtio' freePageReporting='on'><stats period='5'/></memballoon>"),
        replaced("</memory>", "</memory><currentMemory unit='MiB'>128</currentMemory>"),
        wanted={"memory_mib": 192},
    ),
)

_DISKS: tuple[Case, ...] = (
    clean("no-disk", "a guest without any disk", wanted=NO_DISK),
    clean("directsync", "a disk with cache=directsync", replaced("cache='none'", "cache='directsync'")),
    clean("io-native", "a disk with io=native", driver("io='native'")),
    clean("io-threads", "a disk with io=threads", driver("io='threads'")),
    clean("io-uring", "a disk with io=io_uring", driver("io='io_uring'")),
    clean(
        "discard", "a disk with discard=unmap and detect_zeroes=unmap", driver("discard='unmap' detect_zeroes='unmap'")
    ),
    clean("iothread", "a disk in an I/O thread", element("<iothreads>2</iothreads>"), driver("iothread='1'")),
    clean("disk-queues", "a disk with 2 queues and a serial number", driver("queues='2'"), wanted={"vcpus": 2}),
    clean(
        "throttled",
        "a throttled disk with a serial number",
        replaced(
            VDA,
            f"{VDA}<iotune><total_bytes_sec>4194304</total_bytes_sec><total_iops_sec>200</total_iops_sec></iotune>"
            "<serial>LM-0001</serial>",
        ),
    ),
    clean(
        "error-policy",
        "a disk that reports errors to the guest",
        driver("error_policy='report' rerror_policy='report'"),
    ),
    clean(
        "cdrom-empty",
        "an empty CD drive",
        device("<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"),
    ),
    clean(
        "cdrom-shared",
        "a CD drive with a medium that both hosts see",
        wanted={"cdrom": f"{BOOT}/initramfs.gz"},
    ),
    clean(
        "cdrom-scsi",
        "an empty CD drive on a virtio-scsi controller",
        device(
            "<controller type='scsi' model='virtio-scsi'/><disk type='file' device='cdrom'>"
            "<target dev='sda' bus='scsi'/><readonly/></disk>"
        ),
    ),
    clean(
        "readonly-usb-stick",
        "a USB stick that is a read-only file seen by both hosts",
        usb(
            "<controller type='usb' model='qemu-xhci'/>",
            "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source file='{BOOT}/vmlinuz'/><target dev='sdb' bus='usb'/><readonly/></disk>",
        ),
    ),
    clean(
        "floppy-empty",
        "an empty floppy drive",
        without_ports,
        device("<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>"),
        wanted={"machine": "pc"},
    ),
    clean(
        "raw",
        "a raw image",
        disk(RAW, "raw", io="native"),
        wanted=NO_DISK,
        before={"hv1": image(RAW, "raw")},
        after=FILES_GONE,
    ),
    clean(
        "backing-chain",
        "an overlay of an overlay of a raw image, all on shared storage",
        disk(f"{COMMON}/top.qcow2"),
        wanted=NO_DISK,
        before={
            "hv1": f"{filled(RAW, '0x11', '64M')}; cd {COMMON}; "
            "qemu-img create -q -f qcow2 -b disk.raw -F raw middle.qcow2; "
            "qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2"
        },
        after=FILES_GONE,
    ),
    clean(
        "many-disks",
        "disks on virtio, SCSI and SATA, with serial number, WWN and vendor, and a floppy",
        disk(RAW, "raw", target="vdb"),
        device(
            "<controller type='scsi' index='0' model='virtio-scsi'><driver iothread='1'/></controller>"
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
            f"<source file='{COMMON}/scsi.qcow2'/><target dev='sda' bus='scsi'/><serial>LM-2</serial>"
            "<wwn>5000c50015ea71aa</wwn><vendor>LIVEMIG</vendor><product>DISK</product></disk>"
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
            f"<source file='{COMMON}/sata.qcow2'/><target dev='sdb' bus='sata'/></disk>"
            "<disk type='file' device='floppy'><driver name='qemu' type='raw' cache='none'/>"
            f"<source file='{COMMON}/floppy'/><target dev='fda' bus='fdc'/></disk>"
        ),
        element("<iothreads>1</iothreads>"),
        before={
            "hv1": "; ".join(
                (
                    image(RAW, "raw"),
                    image(f"{COMMON}/scsi.qcow2"),
                    image(f"{COMMON}/sata.qcow2"),
                    image(f"{COMMON}/floppy", "raw", "1440K"),
                )
            )
        },
        after=FILES_GONE,
    ),
    clean("gluster", "a disk on GlusterFS", wanted={"disk": "gluster"}, store=True),
    clean(
        "gluster-writethrough",
        "a disk on GlusterFS with cache=writethrough, where the file system keeps the hosts' caches alike",
        replaced("cache='none'", "cache='writethrough'"),
        wanted={"disk": "gluster"},
        store=True,
    ),
    clean(
        "same-device",
        "a block device that both hosts see as one",
        disk(SAME, "raw", "block", io="native"),
        wanted=NO_DISK,
        act=lambda: lab.disk(BOTH, "b-same", size_mib=64, same=True),
        after=after(),
        undo=lambda: lab.disk_remove("b-same"),
    ),
    clean(
        "nbd-elsewhere",
        "a disk that a third machine serves over NBD",
        disk("<source protocol='nbd' name='b'><host name='198.51.100.252' port='10809'/></source>", "raw", "network"),
        wanted=NO_DISK,
        before={
            "store": "truncate -s 64M /run/b-nbd.raw; "
            "qemu-nbd --fork --persistent --shared=4 --pid-file=/run/b-nbd.pid "
            "-x b -f raw -b 198.51.100.252 /run/b-nbd.raw"
        },
        after={**after(), "store": "kill $(cat /run/b-nbd.pid); rm -f /run/b-nbd.*"},
        store=True,
    ),
)

CASES: tuple[Case, ...] = (*_CPUS, *_MEMORY, *_DISKS)
