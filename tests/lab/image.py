# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest: the cloud kernel of the root and an initramfs of busybox, a few modules, the agent and an init script."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import roots
from tests.lab.errors import LabError
from tests.lab.places import Places
from tests.lab.run import locked, run

SUITE = "trixie"
MODULES = ("virtio_pci", "failover", "net_failover", "virtio_net", "virtio_blk")
APPLETS = ("sh", "mount", "insmod", "ip", "sleep", "cat", "echo", "dd", "printf", "sync", "dmesg", "poweroff", "reboot")
SOURCES = Path(__file__).with_name("guest")
KERNEL = "vmlinuz"
INITRAMFS = "initramfs.gz"


@dataclass(frozen=True)
class Entry:
    """A file of the archive: mode with its type bits, data (for a link: its target)."""

    path: str
    mode: int
    data: bytes = b""


def directory(path: str) -> Entry:
    return Entry(path, 0o040755)


def archive(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    parts = []
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.path.encode() + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        parts += [_padded(header + name), _padded(entry.data)]
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def load_order(modules_dep: str, wanted: Iterable[str]) -> list[str]:
    """Paths of the wanted modules and what they need, in the order to load them; built-in ones are not in the list."""
    needs: dict[str, list[str]] = {}
    for line in modules_dep.splitlines():
        module, _colon, others = line.partition(":")
        needs[module] = others.split()
    by_name = {path.rpartition("/")[2].partition(".ko")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []
    for name in wanted:
        if path := by_name.get(name):
            # modules.dep lists the whole closure, what is needed first comes last
            order += [item for item in [*reversed(needs[path]), path] if item not in order]
    return order


def kernel_of(root: Path) -> str:
    versions = sorted(path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*cloud-amd64"))
    if not versions:
        raise LabError(f"{root}/boot has no cloud kernel", "vmlinuz-*cloud-amd64", "remove that root, run `roots`")
    return versions[-1]


def module_entries(root: Path, kernel: str, wanted: Iterable[str] = MODULES) -> list[Entry]:
    """The wanted modules and what they need as mod/NN-NAME.ko, numbered in the order to load them."""
    base = root / "lib/modules" / kernel
    entries = []
    for number, path in enumerate(load_order((base / "modules.dep").read_text(encoding="utf-8"), wanted)):
        data = (base / path).read_bytes()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        name = path.rpartition("/")[2].partition(".ko")[0]
        entries.append(Entry(f"mod/{number:02}-{name}.ko", 0o100644, data))
    return entries


def compile_agent(root: Path, target: Path) -> None:
    """Compiles guest/agent.c with the root's tcc; the root itself is not written to."""
    command = ["chroot", str(root), "tcc", "-nostdlib", "-static", "-o", "/mnt/agent", "/mnt/agent.c"]
    shutil.copy(SOURCES / "agent.c", target / "agent.c")
    script = f'mount --bind "$1" "$2/mnt" && shift 2 && exec {" ".join(command)}'
    run(["unshare", "--mount", "sh", "-c", script, "sh", str(target), str(root)])


def _initramfs(root: Path, agent: bytes) -> bytes:
    entries = [directory(name) for name in ("bin", "mod", "proc", "sys", "dev")]
    entries.append(Entry("bin/busybox", 0o100755, (root / "bin/busybox").read_bytes()))
    entries += [Entry(f"bin/{applet}", 0o120777, b"busybox") for applet in APPLETS]
    entries.append(Entry("bin/agent", 0o100755, agent))
    entries += module_entries(root, kernel_of(root))
    entries.append(Entry("init", 0o100755, (SOURCES / "init").read_bytes()))
    return gzip.compress(archive(entries), mtime=0)


def key(root_key: str, sources: Iterable[bytes]) -> str:
    digest = hashlib.sha256(root_key.encode())
    for source in sources:
        digest.update(hashlib.sha256(source).digest())
    return digest.hexdigest()[:12]


def ensure(where: Places) -> Path:
    """The directory with kernel and initramfs, built when missing."""
    root = roots.path(where, SUITE)
    sources = [path.read_bytes() for path in (SOURCES / "agent.c", SOURCES / "init", Path(__file__))]
    target = where.guest_images / key(root.name, sources)
    with locked(where.cache_lock):
        if target.is_dir():
            return target
        temporary = where.guest_images / f"{target.name}.building"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        compile_agent(root, temporary)
        (temporary / INITRAMFS).write_bytes(_initramfs(root, (temporary / "agent").read_bytes()))
        shutil.copy(root / "boot" / f"vmlinuz-{kernel_of(root)}", temporary / KERNEL)
        temporary.rename(target)
    return target


def install(where: Places) -> None:
    """Puts kernel and initramfs where all hosts see them. A running guest keeps what it was started with."""
    source = ensure(where)
    for name in (KERNEL, INITRAMFS):
        target = where.boot / name
        data = (source / name).read_bytes()
        if not target.exists() or target.read_bytes() != data:
            partial = target.with_suffix(".new")
            partial.write_bytes(data)
            partial.rename(target)
