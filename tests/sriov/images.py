# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machines and their guests boot, made of the other lab's roots.

A machine's disk begins as its root and nothing else: built once, cached beside the other lab's guest images. Everything
that is its own, keys and guest's initramfs too, comes with the machine's initramfs, made anew for each start.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

from tests.lab import image, roots
from tests.lab.errors import LabError
from tests.lab.image import Entry
from tests.lab.places import Places
from tests.lab.run import locked, run
from tests.sriov import qemu
from tests.sriov.hosts import EMULATOR_SUITE, HOSTS

SOURCES = Path(__file__).with_name("files")
MACHINE_MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
MACHINE_APPLETS = ("sh", "mount", "umount", "insmod", "usleep", "rm", "cp", "echo", "switch_root")
GUEST_MODULES = ("virtio_pci", "failover", "net_failover", "virtio_net", "igbvf")
GUEST_APPLETS = ("sh", "mount", "insmod", "ip", "sleep", "usleep", "cat", "echo", "printf", "readlink", "dmesg")
# Logs, keys and what a machine writes; the file is sparse.
SPARE_MIB = 768
BUILD_TIMEOUT_S = 300.0


def suite() -> str:
    """Of the machines, which are all of the same."""
    (found,) = {host.suite for host in HOSTS}
    return found


def kernel_of(root: Path) -> str:
    """The version of the root's general kernel: the cloud kernel has no igb."""
    names = (path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*"))
    versions = sorted(name for name in names if "-cloud-" not in name)
    if not versions:
        raise LabError(f"{root}/boot has no general kernel", "vmlinuz-*-amd64", "remove that root, run `up` again")
    return versions[-1]


def busybox(root: Path, applets: tuple[str, ...], init: bytes) -> list[Entry]:
    """The entries that every initramfs here begins with; init is its first program."""
    entries = [image.directory(name) for name in ("bin", "mod", "proc", "sys", "dev", "new")]
    entries.append(Entry("bin/busybox", 0o100755, (root / "bin/busybox").read_bytes()))
    entries += [Entry(f"bin/{applet}", 0o120777, b"busybox") for applet in applets]
    return [*entries, Entry("init", 0o100755, init)]


def source(name: str) -> bytes:
    return (SOURCES / name).read_bytes()


def machine_initramfs(root: Path) -> bytes:
    entries = busybox(root, MACHINE_APPLETS, source("machine-initramfs"))
    return image.archive([*entries, *image.module_entries(root, kernel_of(root), MACHINE_MODULES)])


def guest_initramfs(root: Path, agent: bytes) -> bytes:
    """agent: the other lab's, a static program."""
    entries = [*busybox(root, GUEST_APPLETS, source("guest-init")), Entry("bin/agent", 0o100755, agent)]
    entries += image.module_entries(root, kernel_of(root), GUEST_MODULES)
    return gzip.compress(image.archive(entries), mtime=0)


def path(where: Places) -> Path:
    """The folder of the kernel and the disk's image that belong to the root as it is now."""
    recipe = " ".join(qemu.make_filesystem(SPARE_MIB)).encode()
    return where.guest_images / ("sriov-" + image.key(roots.key(suite()), [recipe]))


def ensure(where: Places) -> bool:
    """Builds kernel and disk image unless they are there; True when they were built. The roots must be there."""
    target, root = path(where), roots.path(where, suite())
    if target.is_dir():
        return False
    with locked(where.cache_lock):
        if target.is_dir():
            return False
        temporary = where.guest_images / f"{target.name}.building"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        shutil.copy(root / "boot" / f"vmlinuz-{kernel_of(root)}", temporary / qemu.KERNEL)
        _make_base(where, root, temporary)
        temporary.rename(target)
    return True


def _make_base(where: Places, root: Path, target: Path) -> None:
    emulator = roots.path(where, EMULATOR_SUITE)
    argv = qemu.make_filesystem(size_mib(root) + SPARE_MIB)
    run(qemu.in_root(str(emulator), str(target), str(root), argv), timeout_s=BUILD_TIMEOUT_S)


def size_mib(root: Path) -> int:
    """What the root takes on a file system with blocks of 4 KiB, rounded up."""
    blocks = 0
    for folder, _folders, names in os.walk(root):
        blocks += 1 + sum((Path(folder, name).lstat().st_size + 4095) // 4096 for name in names)
    return blocks // 256 + 1
