# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest as libvirt sees it: pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from tests.lab import image
from tests.lab.errors import LabError
from tests.lab.network import BRIDGE
from tests.lab.places import BOOT_INSIDE, CONSOLES_INSIDE, DISKS_INSIDE, GLUSTER_INSIDE, LOCAL_DISKS_INSIDE

NAMESPACE = uuid.UUID("6c1d0000-5a1b-4a6e-8b1e-2f0d00000000")
DISK_MIB = 64
DISK_FOLDERS = {"shared": DISKS_INSIDE, "local": LOCAL_DISKS_INSIDE, "gluster": GLUSTER_INSIDE}
SPARE_PORTS = 3
MINIMUM_MEMORY_MIB = 128
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
DIRTY = re.compile(r"(\d+)@(\d+)")


@dataclass(frozen=True)
class Guest:
    """What `guest start` was asked for. disk: None or one of DISK_FOLDERS; dirty: None or "W@R" (MiB, MiB/s)."""

    name: str
    memory_mib: int = 192
    disk: str | None = None
    dirty: str | None = None
    bridge: str = BRIDGE
    autostart: bool = False
    cdrom: str | None = None
    machine: str = "q35"
    vcpus: int = 1


def validate(guest: Guest) -> None:
    if not NAME.fullmatch(guest.name):
        raise LabError(
            f"the guest's name is '{guest.name}'", "small letters, digits and '-', at most 40", "choose another"
        )
    if guest.disk is not None and guest.disk not in DISK_FOLDERS:
        raise LabError(f"--disk is '{guest.disk}'", " or ".join(DISK_FOLDERS), "choose one")
    if guest.memory_mib < MINIMUM_MEMORY_MIB:
        raise LabError(f"--memory is {guest.memory_mib}", f"at least {MINIMUM_MEMORY_MIB} MiB", "the kernel needs it")
    if guest.dirty is not None:
        parts = DIRTY.fullmatch(guest.dirty)
        if parts is None or int(parts[1]) == 0:
            raise LabError(
                f"--dirty is '{guest.dirty}'", "W@R: a working set of W MiB rewritten at R MiB/s", "for example 100@50"
            )
        if int(parts[1]) + 96 > guest.memory_mib:
            raise LabError(
                f"--dirty is '{guest.dirty}' with {guest.memory_mib} MiB of memory",
                "96 MiB more memory than the working set",
                f"--memory {int(parts[1]) + 96}",
            )


def domain_uuid(name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, name))


def mac(octet: int) -> str:
    return f"52:54:00:4c:4d:{octet:02x}"


def disk_path(guest: Guest) -> str | None:
    return None if guest.disk is None else f"{DISK_FOLDERS[guest.disk]}/{guest.name}.qcow2"


def command_line(guest: Guest, octet: int) -> str:
    return f"console=ttyS0 quiet octet={octet}" + (f" dirty={guest.dirty}" if guest.dirty else "")


def _disks(guest: Guest) -> list[str]:
    lines = []
    if path := disk_path(guest):
        lines += [
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>",
            f"<source file={quoteattr(path)}/><target dev='vda' bus='virtio'/></disk>",
        ]
    if guest.cdrom:
        lines += [
            "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>",
            f"<source file={quoteattr(guest.cdrom)}/><target dev='sda' bus='sata'/><readonly/></disk>",
        ]
    return lines


def domain_xml(guest: Guest, octet: int) -> str:
    """The definition. libvirt turns the machine q35 into the host's canonical one (say pc-q35-10.0) when it defines."""
    used_ports = 1 + (guest.disk is not None)
    lines = [
        "<domain type='qemu'>",
        f"<name>{guest.name}</name>",
        f"<uuid>{domain_uuid(guest.name)}</uuid>",
        f"<memory unit='MiB'>{guest.memory_mib}</memory>",
        f"<vcpu>{guest.vcpus}</vcpu>",
        f"<os><type arch='x86_64' machine={quoteattr(guest.machine)}>hvm</type>",
        f"<kernel>{BOOT_INSIDE}/{image.KERNEL}</kernel><initrd>{BOOT_INSIDE}/{image.INITRAMFS}</initrd>",
        f"<cmdline>{command_line(guest, octet)}</cmdline></os>",
        "<features><acpi/></features>",
        "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>",
        "<devices>",
        "<emulator>/usr/bin/qemu-system-x86_64</emulator>",
        "<controller type='pci' index='0' model='pcie-root'/>",
        *["<controller type='pci' model='pcie-root-port'/>"] * (used_ports + SPARE_PORTS),
        "<controller type='usb' model='none'/>",
        f"<interface type='bridge'><source bridge={quoteattr(guest.bridge)}/><mac address='{mac(octet)}'/>",
        "<model type='virtio'/></interface>",
        *_disks(guest),
        # append: without it the destination would empty the file that the source still writes
        f"<serial type='file'><source path='{CONSOLES_INSIDE}/{guest.name}.log' append='on'/>",
        "<target port='0'/></serial>",
        "<memballoon model='none'/>",
        "</devices>",
        "</domain>",
    ]
    return "\n".join(lines) + "\n"
