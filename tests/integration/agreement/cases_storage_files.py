# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are no disks: firmware, kernels, ROMs, folders for the guest, sockets and logs."""

from __future__ import annotations

from tests.firing.provocation import XmlEdit, device, element, replaced
from tests.integration.agreement.case import Case
from tests.integration.agreement.shell import COMMON, HERE, SHARED_MEMORY, after, both, filled, hidden, operating
from tests.lab import image as guest_image
from tests.lab.places import BOOT_INSIDE, CONSOLES_INSIDE

CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
MINE = f"mkdir -p {HERE}"
GONE = after(f"rm -rf {HERE} {COMMON}", f"umount {COMMON} 2>/dev/null; rm -rf {HERE}")
FIRMWARE = {"memory_mib": 192}
ROM = "/usr/share/qemu/efi-virtio.rom"
BIOS = "/usr/share/seabios/bios-256k.bin"
CHARDEV = ("dev_chardev_unix_path",)
NVRAM = "/var/lib/libvirt/qemu/nvram"
FILES = {"kernel": guest_image.KERNEL, "initrd": guest_image.INITRAMFS}
SOCKET = "/run/b-listen.socket"
SLIC = r"SLIC\044\0\0\0\001\0LIVMIGLIVEMIGB\001\0\0\0LIVM\001\0\0\0"
VIRTIOFSD = "/usr/libexec/virtiofsd"


def uefi(code: str = CODE, nvram: str = f"{HERE}/vars.fd", template: str = VARS) -> XmlEdit:
    return operating(
        f"<loader readonly='yes' type='pflash'>{code}</loader><nvram template='{template}'>{nvram}</nvram>"
    )


def boots(what: str, path: str) -> XmlEdit:
    """The edit that takes kernel or initrd from another path."""
    return replaced(f"<{what}>{BOOT_INSIDE}/{FILES[what]}</{what}>", f"<{what}>{path}</{what}>")


def serial(kind: str, source: str, more: str = "") -> XmlEdit:
    return device(f"<serial type='{kind}'>{source}<target port='1'/>{more}</serial>")


def channel(source: str) -> XmlEdit:
    return device(f"<channel type='unix'>{source}<target type='virtio' name='org.example.b.0'/></channel>")


def folder(path: str, driver: str = "") -> XmlEdit:
    """The edit that shows the guest a folder: by 9p, or by another driver."""
    return device(
        f"<filesystem type='mount' accessmode='passthrough'>{driver}<source dir='{path}'/>"
        "<target dir='b'/></filesystem>"
    )


def virtiofs(path: str) -> XmlEdit:
    return both(SHARED_MEMORY, folder(path, "<driver type='virtiofs'/>"))


LISTEN = """\
cat >/run/b-listen.py <<'E'
import socket
listening = socket.socket(socket.AF_UNIX)
listening.bind("PATH")
listening.listen(5)
kept = []
while True:
    kept.append(listening.accept())
E
setsid python3 -I /run/b-listen.py </dev/null >/dev/null 2>&1 & echo $! >/run/b-listen.pid
timeout 10 sh -c 'until [ -S PATH ]; do sleep 0.2; done'"""
NO_LISTENER = "kill $(cat /run/b-listen.pid); rm -f /run/b-listen.*"
RESTARTED = (
    "virsh -q destroy {name}; virsh -q start {name}; sleep 25; "
    f"grep -c ^BOOT {CONSOLES_INSIDE}/{{name}}.log | sed 's/^/boots on the console: /'"
)
NIC = "<model type='virtio'/></interface>"
NIC_WITH_ROM = replaced(NIC, f"<model type='virtio'/><rom file='{HERE}/rom'/></interface>")

_FIRMWARE: tuple[Case, ...] = (
    Case(
        "nvram-folder-gone-there",
        "the firmware's variables are in a folder that only the source has",
        ("fw_nvram_template_or_dir",),
        wanted=FIRMWARE,
        guest=uefi(nvram=f"{HERE}/vars.fd"),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "nvram-template-gone-there",
        "the template of the firmware's variables is a file that only the source has",
        ("fw_nvram_template_or_dir",),
        wanted=FIRMWARE,
        guest=uefi(nvram=f"{NVRAM}/{{name}}.fd", template=f"{HERE}/template.fd"),
        before={"hv1": f"{MINE}; cp {VARS} {HERE}/template.fd"},
        after=after(f"rm -rf {HERE} {NVRAM}/{{name}}.fd", f"rm -f {NVRAM}/{{name}}.fd"),
    ),
    Case(
        "nvram-other-size-there",
        "at the path of the firmware's variables the destination has a file of another size",
        ("fw_pflash_size_equal", "fw_nvram_template_or_dir"),
        wanted=FIRMWARE,
        guest=uefi(),
        before={"hv1": MINE, "hv2": f"{MINE}; truncate -s 128K {HERE}/vars.fd"},
        after=GONE,
    ),
    Case(
        "firmware-gone-there",
        "the firmware is a file that only the source has",
        ("fw_loader_present",),
        wanted=FIRMWARE,
        guest=uefi(code=f"{HERE}/code.fd", nvram=f"{COMMON}/vars.fd"),
        before={"hv1": f"{MINE} {COMMON}; cp {CODE} {HERE}/code.fd"},
        after=GONE,
    ),
    Case(
        "firmware-other-size-there",
        "the destination's build of the firmware has another size",
        ("fw_pflash_size_equal",),
        wanted=FIRMWARE,
        guest=uefi(code=f"{HERE}/code.fd", nvram=f"{COMMON}/vars.fd"),
        before={"hv1": f"{MINE} {COMMON}; cp {CODE} {HERE}/code.fd", "hv2": f"{MINE}; truncate -s 2M {HERE}/code.fd"},
        after=GONE,
    ),
    Case(
        "bios-other-size-there",
        "the destination's BIOS has half the size",
        ("fw_seabios_size",),
        before={"hv2": f"cp -a {BIOS} /run/b-bios; cp -L /usr/share/seabios/bios.bin {BIOS}"},
        after=after(there=f"mv /run/b-bios {BIOS}"),
    ),
    Case(
        "rom-other-size-there",
        "the destination's option ROM for the network card is larger",
        ("fw_option_rom_size",),
        before={"hv2": f"cp -a {ROM} /run/b-rom; truncate -s 600K {ROM}"},
        after=after(there=f"mv /run/b-rom {ROM}"),
    ),
    Case(
        "rom-gone-there",
        "the destination has no option ROM for the network card",
        ("fw_option_rom_size",),
        before={"hv2": f"mv {ROM} /run/b-rom"},
        after=after(there=f"mv /run/b-rom {ROM}"),
    ),
    Case(
        "rom-file-gone-there",
        "the network card has a ROM file that only the source has",
        ("fw_custom_rom_file",),
        guest=NIC_WITH_ROM,
        before={"hv1": f"{MINE}; cp {ROM} {HERE}/rom"},
        after=GONE,
    ),
    Case(
        "rom-file-other-size-there",
        "the network card has a ROM file that is four times as large at the destination",
        ("fw_custom_rom_file", "fw_option_rom_size"),
        guest=NIC_WITH_ROM,
        before={
            "hv1": f"{MINE}; cp {ROM} {HERE}/rom",
            "hv2": f"{MINE}; cp {ROM} {HERE}/rom; truncate -s 1M {HERE}/rom",
        },
        after=GONE,
    ),
    *(
        Case(
            f"{what}-gone-there",
            f"the guest is started with a {what} that only the source has",
            ("fw_direct_kernel_boot",),
            guest=boots(what, f"{HERE}/{what}"),
            before={"hv1": f"{MINE}; cp {BOOT_INSIDE}/{FILES[what]} {HERE}/{what}"},
            after=GONE,
        )
        for what in ("kernel", "initrd")
    ),
    Case(
        "initrd-other-there",
        "the guest is started with an initrd of which the destination has another, smaller one",
        ("fw_direct_kernel_boot",),
        guest=boots("initrd", f"{HERE}/initrd"),
        before={
            "hv1": f"{MINE}; cp {BOOT_INSIDE}/{FILES['initrd']} {HERE}/initrd",
            "hv2": filled(f"{HERE}/initrd", "0x00", "64K"),
        },
        after=GONE,
        stricter="at its next start the guest does not boot",
        risk={"hv2": RESTARTED},
        shows="boots on the console: 1$",
    ),
    Case(
        "kernel-other-there",
        "at the path of the guest's kernel the destination has a file that is none",
        ("fw_direct_kernel_boot",),
        guest=boots("kernel", f"{HERE}/kernel"),
        before={
            "hv1": f"{MINE}; cp {BOOT_INSIDE}/{FILES['kernel']} {HERE}/kernel",
            "hv2": filled(f"{HERE}/kernel", "0x11", "64K"),
        },
        after=GONE,
    ),
    Case(
        "acpi-table-gone-there",
        "the guest has an ACPI table from a file that only the source has",
        ("fw_direct_kernel_boot",),
        guest=replaced("</os>", f"<acpi><table type='slic'>{HERE}/table</table></acpi></os>"),
        before={"hv1": f"{MINE}; printf '{SLIC}' >{HERE}/table"},
        after=GONE,
    ),
    Case(
        "fwcfg-file-gone-there",
        "the guest is given a file by the firmware's interface, and only the source has it",
        ("fw_direct_kernel_boot",),
        guest=element(f"<sysinfo type='fwcfg'><entry name='opt/org.example/b' file='{HERE}/entry'/></sysinfo>"),
        before={"hv1": f"{MINE}; echo entry >{HERE}/entry"},
        after=GONE,
    ),
)

OTHER_FILES = "what the guest has open or looks up is another file, or none, at the destination"
_FOLDERS: tuple[Case, ...] = (
    Case(
        "virtiofs-gone-there",
        "the guest has a virtiofs of a folder that only the source has",
        ("fs_virtiofs",),
        guest=virtiofs(HERE),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "virtiofs-other-there",
        "the guest has a virtiofs of a local folder, of which each host has one with other files",
        ("fs_virtiofs",),
        guest=virtiofs(HERE),
        before={"hv1": f"{MINE}; echo here >{HERE}/file", "hv2": f"{MINE}; echo there >{HERE}/other"},
        after=GONE,
        stricter=OTHER_FILES,
    ),
    Case(
        "virtiofs-hidden-there",
        "the guest has a virtiofs of a shared folder over which something is mounted at the destination",
        ("fs_virtiofs",),
        guest=virtiofs(COMMON),
        before={"hv1": f"mkdir -p {COMMON}; echo here >{COMMON}/file", "hv2": hidden(COMMON)},
        after=GONE,
        stricter=OTHER_FILES,
    ),
    Case(
        "virtiofs-no-program-there",
        "the guest has a virtiofs of a shared folder, and the destination no virtiofsd",
        ("fs_virtiofs",),
        guest=virtiofs(COMMON),
        before={"hv1": f"mkdir -p {COMMON}", "hv2": f"mv {VIRTIOFSD} {VIRTIOFSD}.away"},
        after=after(f"rm -rf {COMMON}", f"mv {VIRTIOFSD}.away {VIRTIOFSD}"),
    ),
    Case(
        "9p-gone-there",
        "the guest has a 9p of a folder that only the source has",
        ("fs_9p_mounted",),
        guest=folder(HERE),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "9p-not-mounted",
        "the guest has a 9p of a shared folder and has not mounted it",
        ("fs_9p_mounted",),
        guest=folder(COMMON),
        before={"hv1": f"mkdir -p {COMMON}"},
        after=GONE,
    ),
    Case(
        "shmem-peer",
        "the guest has shared memory whose role is not set, which means peer",
        ("dev_shmem",),
        guest=device("<shmem name='{name}'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>"),
    ),
    Case(
        "shmem-said-to-be-peer",
        "the guest has shared memory of the role peer",
        ("dev_shmem",),
        guest=device("<shmem name='{name}' role='peer'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>"),
    ),
)

_LOGS: tuple[Case, ...] = (
    Case(
        "serial-file-folder-gone-there",
        "the second serial port writes to a file in a folder that only the source has",
        CHARDEV,
        guest=serial("file", f"<source path='{HERE}/serial.log'/>"),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "serial-log-folder-gone-there",
        "the second serial port is logged to a file in a folder that only the source has",
        CHARDEV,
        guest=serial("pty", "", f"<log file='{HERE}/serial.log' append='on'/>"),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "serial-file-read-only-there",
        "the second serial port writes to a file in a shared folder that is read-only at the destination",
        CHARDEV,
        guest=serial("file", f"<source path='{COMMON}/serial.log' append='on'/>"),
        before={
            "hv1": f"mkdir -p {COMMON}",
            "hv2": f"mkdir -p {COMMON}; mount --bind {COMMON} {COMMON}; mount -o remount,bind,ro {COMMON}",
        },
        after=GONE,
    ),
    Case(
        "serial-file-is-folder-there",
        "where the second serial port's file is, the destination has a folder",
        CHARDEV,
        guest=serial("file", f"<source path='{HERE}/serial.log'/>"),
        before={"hv1": MINE, "hv2": f"mkdir -p {HERE}/serial.log"},
        after=GONE,
    ),
    Case(
        "serial-pipe-gone-there",
        "the second serial port is a pipe that only the source has",
        CHARDEV,
        guest=serial("pipe", f"<source path='{HERE}/pipe'/>"),
        before={"hv1": f"{MINE}; mkfifo {HERE}/pipe"},
        after=GONE,
    ),
    Case(
        "serial-socket-folder-gone-there",
        "the second serial port is a socket in a folder that only the source has",
        CHARDEV,
        guest=serial("unix", f"<source mode='bind' path='{HERE}/socket'/>"),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "channel-socket-folder-gone-there",
        "the guest's channel is a socket in a folder that only the source has",
        CHARDEV,
        guest=channel(f"<source mode='bind' path='{HERE}/socket'/>"),
        before={"hv1": MINE},
        after=GONE,
    ),
    Case(
        "channel-nobody-listens-there",
        "the guest's channel connects to a program that runs at the source only",
        CHARDEV,
        guest=channel(f"<source mode='connect' path='{SOCKET}'/>"),
        before={"hv1": LISTEN.replace("PATH", SOCKET)},
        after=after(NO_LISTENER),
    ),
    Case(
        "channel-stale-socket-there",
        "the guest's channel connects to a program of which the destination has but a socket file left over",
        CHARDEV,
        guest=channel(f"<source mode='connect' path='{SOCKET}'/>"),
        before={
            "hv1": LISTEN.replace("PATH", SOCKET),
            "hv2": f"python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('{SOCKET}')\"",
        },
        after=after(NO_LISTENER, f"rm -f {SOCKET}"),
    ),
)

CASES: tuple[Case, ...] = (*_FIRMWARE, *_FOLDERS, *_LOGS)
