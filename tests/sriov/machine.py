# SPDX-License-Identifier: GPL-3.0-or-later
"""What is a machine's own: files that its initramfs puts on its disk. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from tests.lab import hostfiles, image
from tests.lab.hostfiles import File, Keys
from tests.lab.hosts import PREFIX, Host
from tests.lab.image import Entry
from tests.lab.places import BOOT_INSIDE
from tests.sriov.hosts import VFS, etc_hosts, management_mac, pf_mac, wire_address

SETTINGS = "/etc/livemig-sriov"
GUEST_INITRAMFS = f"{BOOT_INSIDE}/guest.cpio"
# Written by the machine's init, a link to the kernel that it runs itself.
GUEST_KERNEL = f"{BOOT_INSIDE}/vmlinuz"
# /sbin is a link there, which a copy of a folder would not follow.
INIT = "/usr/sbin/init"


def settings(host: Host) -> str:
    values = {
        "ADDRESS": f"{host.address}/{PREFIX}",
        "WIRE": f"{wire_address(host.octet)}/{PREFIX}",
        "MANAGEMENT_MAC": management_mac(host),
        "PF_MAC": pf_mac(host),
        "VFS": str(VFS),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def qemu_conf() -> str:
    """As in the other lab, without its shared folder: these machines share none."""
    lines = hostfiles.QEMU_CONF.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("shared_filesystems"))


def files(host: Host, keys: Keys, libvirtd_script: str, init: str) -> tuple[File, ...]:
    """Every file of a machine: the other lab's, but for those that differ here."""
    own = (
        File(INIT, init, 0o755),
        File(SETTINGS, settings(host)),
        File("/etc/hosts", etc_hosts()),
        File("/etc/libvirt/qemu.conf", qemu_conf()),
    )
    replaced = {"/sbin/init", *(file.path for file in own)}
    common = hostfiles.files(host, keys, libvirtd_script)
    return (*(file for file in common if file.path not in replaced), *own)


def entries(files: Iterable[File], guest_initramfs: bytes) -> list[Entry]:
    """The files as a part of the initramfs: below host/, with their folders, and the list of what is removed first."""
    found = [Entry(f"host{file.path}", 0o100000 | file.mode, file.text.encode()) for file in files]
    found.append(Entry(f"host{GUEST_INITRAMFS}", 0o100644, guest_initramfs))
    folders = {str(parent) for entry in found for parent in PurePosixPath(entry.path).parents} - {"."}
    removed = Entry("remove", 0o100644, "".join(f"{path}\n" for path in hostfiles.REMOVE).encode())
    return [*(image.directory(name) for name in sorted(folders)), removed, *found]


def initrd(machine_initramfs: bytes, own: Iterable[Entry]) -> bytes:
    """The kernel unpacks archives one after the other."""
    return machine_initramfs + b"\0" * (-len(machine_initramfs) % 512) + image.archive(own)
