# SPDX-License-Identifier: GPL-3.0-or-later
"""A nested guest as libvirt sees it: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.lab.domain import NAME, domain_uuid
from tests.lab.errors import LabError
from tests.lab.places import CONSOLES_INSIDE
from tests.sriov.hosts import VFS, vf_address, wire_address
from tests.sriov.machine import GUEST_INITRAMFS, GUEST_KERNEL

MINIMUM_MEMORY_MIB = 192
PORTS = 5
STANDBY_ALIAS, VF_ALIAS = "ua-standby", "ua-vf"
CMDLINE = (
    "console=ttyS0 quiet loglevel=4 net.ifnames=0 mitigations=off no_timer_check tsc=reliable nokaslr "
    "random.trust_cpu=on panic=-1"
)
PCI = re.compile(r"(?P<domain>[0-9a-f]{4}):(?P<bus>[0-9a-f]{2}):(?P<slot>[0-9a-f]{2})\.(?P<function>[0-7])")
BACKINGS: Mapping[str, str] = {
    "none": "",
    "immediate": "<memoryBacking><allocation mode='immediate'/></memoryBacking>",
    "hugepages": "<memoryBacking><hugepages/></memoryBacking>",
}
# type: kvm on TCG's emulated SVM, or a TCG inside TCG, eight times as slow
CPUS: Mapping[str, str] = {
    "kvm": "<cpu mode='host-passthrough' migratable='on'/>",
    "qemu": "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>",
}


@dataclass(frozen=True)
class Guest:
    """What `guest start` was asked for. nics: one of NICS; vf: number of the VF on its host; dirty: "W@R" or
    None; silent: after its first tick it writes to its serial port only what its interfaces do."""

    name: str
    memory_mib: int = 256
    nics: str = "teaming"
    vf: int = 0
    backing: str = "none"
    type: str = "kvm"
    dirty: str | None = None
    silent: bool = False


def mac(octet: int) -> str:
    return f"52:54:00:4c:62:{octet:02x}"


def address(octet: int) -> str:
    return wire_address(octet)


def validate(guest: Guest) -> None:
    if not NAME.fullmatch(guest.name):
        raise LabError(
            f"the guest's name is '{guest.name}'", "small letters, digits and '-', at most 40", "choose another"
        )
    if guest.memory_mib < MINIMUM_MEMORY_MIB:
        raise LabError(f"--memory is {guest.memory_mib}", f"at least {MINIMUM_MEMORY_MIB} MiB", "the kernel needs it")
    if not 0 <= guest.vf < VFS:
        raise LabError(f"--vf is {guest.vf}", f"0 to {VFS - 1}", "choose one of these")
    for option, value, table in (("nics", guest.nics, NICS), ("backing", guest.backing, BACKINGS)):
        if value not in table:
            raise LabError(f"--{option} is '{value}'", " or ".join(table), "choose one")


def standby_xml(octet: int, teaming: str = "") -> str:
    """The virtio interface, a macvtap on the PF: it reaches the VF's network, and the PF's VFs."""
    return (
        f"<interface type='direct'><mac address='{mac(octet)}'/><source dev='pf0' mode='bridge'/>"
        f"<model type='virtio'/>{teaming}<alias name='{STANDBY_ALIAS}'/></interface>"
    )


def vf_xml(octet: int, pci: str, teaming: str = "") -> str:
    """The VF; pci: its address on its host, as in 0000:01:10.0. Also what attach-device takes."""
    parts = PCI.fullmatch(pci)
    if parts is None:
        raise LabError(f"the VF is '{pci}'", "an address like 0000:01:10.0", "see `virsh nodedev-list --cap pci`")
    where = " ".join(f"{name}='0x{value}'" for name, value in parts.groupdict().items())
    return (
        f"<interface type='hostdev' managed='yes'><mac address='{mac(octet)}'/>"
        f"<source><address type='pci' {where}/></source>{teaming}<alias name='{VF_ALIAS}'/></interface>"
    )


def _teaming(octet: int, pci: str) -> str:
    standby = standby_xml(octet, "<teaming type='persistent'/>")
    return standby + vf_xml(octet, pci, f"<teaming type='transient' persistent='{STANDBY_ALIAS}'/>")


# What the guest has on the wire, from its octet and the VF's address.
NICS: Mapping[str, Callable[[int, str], str]] = {
    "virtio": lambda octet, _pci: standby_xml(octet),
    "vf": vf_xml,
    "teaming": _teaming,
}


def command_line(guest: Guest, octet: int) -> str:
    words = [f"octet={octet}", *([f"dirty={guest.dirty}"] if guest.dirty else []), *(["ticks=1"] * guest.silent)]
    return " ".join([CMDLINE, *words])


def domain_xml(guest: Guest, octet: int) -> str:
    """The definition of a guest without disks; its kernel and initramfs are files of each machine."""
    lines = [
        f"<domain type='{guest.type}'>",
        f"<name>{guest.name}</name>",
        f"<uuid>{domain_uuid('sriov-' + guest.name)}</uuid>",
        f"<memory unit='MiB'>{guest.memory_mib}</memory>",
        BACKINGS[guest.backing],
        "<vcpu>1</vcpu>",
        "<os><type arch='x86_64' machine='q35'>hvm</type>",
        f"<kernel>{GUEST_KERNEL}</kernel><initrd>{GUEST_INITRAMFS}</initrd>",
        f"<cmdline>{command_line(guest, octet)}</cmdline></os>",
        "<features><acpi/><apic/></features>",
        CPUS[guest.type],
        "<clock offset='utc'><timer name='hpet' present='no'/></clock>",
        "<on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>",
        "<devices>",
        "<emulator>/usr/bin/qemu-system-x86_64</emulator>",
        "<controller type='usb' model='none'/>",
        "<controller type='pci' index='0' model='pcie-root'/>",
        *["<controller type='pci' model='pcie-root-port'/>"] * PORTS,
        NICS[guest.nics](octet, vf_address(guest.vf)),
        f"<serial type='file'><source path='{CONSOLES_INSIDE}/{guest.name}.log' append='on'/>",
        "<target port='0'/></serial>",
        "<memballoon model='none'/>",
        "</devices>",
        "</domain>",
    ]
    return "\n".join(line for line in lines if line) + "\n"
