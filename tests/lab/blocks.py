# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices for hosts: loop devices of the machine over files in the lab's state.

The state is the ledger: blocks/NAME/same.img is one device for several hosts, blocks/NAME/HOST.img is that host's own.
A loop device belongs to the lab when its file lies below blocks/; that is how `down` finds it, also after a crash.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import places, processes
from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.places import Places
from tests.lab.run import run, wait_until

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
MAXIMUM_MIB = 4096
MAXIMUM_DISKS = 16
SAME = "same"
FOLDER = "livemig"
NAMESPACE = uuid.UUID("6c1d0000-5a1b-4a6e-8b1e-2f0d0000d15c")
SYS_BLOCK = Path("/sys/block")
SETTLE_S = 5.0


@dataclass(frozen=True)
class Disk:
    """What a host sees: path inside, the loop device's path there, its identity link, and whether it is shared."""

    host: str
    path: str
    device: str
    by_id: str
    same: bool


def validate(name: str, size_mib: int, hosts: Iterable[Host]) -> None:
    if not NAME.fullmatch(name):
        raise LabError(f"the disk's name is '{name}'", "a letter, then small letters, digits and '-'", "choose another")
    if not 1 <= size_mib <= MAXIMUM_MIB:
        raise LabError(f"--size is {size_mib}", f"1 to {MAXIMUM_MIB} MiB", "choose another")
    if not list(hosts):
        raise LabError("the list of hosts is empty", "at least one host", "for example disk hv1,hv2 NAME --size 64")


def wwn(name: str, owner: str) -> str:
    """A world-wide name as a disk array gives it: 32 hexadecimal digits, of the type "IEEE registered extended" (6).

    The company id is that of Linux' own target, whose names are random behind it as well.
    """
    return "6001405" + uuid.uuid5(NAMESPACE, f"{places.LAB}/{name}/{owner}").hex[:25]


def image(where: Places, name: str, owner: str) -> Path:
    return where.blocks / name / f"{owner}.img"


def loops(below: Path) -> dict[Path, str]:
    """Backing file -> name of the loop device, for the files below that folder."""
    found = {}
    for entry in SYS_BLOCK.glob("loop*"):
        with contextlib.suppress(OSError):
            text = (entry / "loop" / "backing_file").read_text(encoding="utf-8").strip().removesuffix(" (deleted)")
            if text.startswith(f"{below}/"):
                found[Path(text)] = entry.name
    return found


def create(where: Places, hosts: Iterable[Host], name: str, size_mib: int, *, same: bool) -> list[Disk]:
    """Gives the hosts a disk of that name; what is there already is kept. Callers hold the lab's lock."""
    chosen = list(hosts)
    validate(name, size_mib, chosen)
    for host in chosen:
        if processes.init_of(host.netns) is None:
            raise LabError(f"{host.name} is down", "a running host", "python3 -m tests.lab up")
    owners = {host.name: SAME if same else host.name for host in chosen}
    _check_kind(where, name, size_mib, set(owners.values()))
    return [
        _appear(host, name, owner=owners[host.name], loop=_attach(image(where, name, owners[host.name]), size_mib))
        for host in chosen
    ]


def _check_kind(where: Places, name: str, size_mib: int, owners: set[str]) -> None:
    present = {path.stem: path.stat().st_size for path in (where.blocks / name).glob("*.img")}
    if (SAME in present) != (SAME in owners) and present:
        raise LabError(
            f"disk {name} is {'one device for all' if SAME in present else 'a look-alike on each host'}",
            "the same kind as before",
            f"disk HOSTS {name} --none removes it",
        )
    for size in present.values():
        if size != size_mib << 20:
            raise LabError(f"disk {name} has {size >> 20} MiB", f"{size_mib} MiB", f"disk HOSTS {name} --none")
    total = len(list(where.blocks.glob("*/*.img"))) + len(owners - set(present))
    if total > MAXIMUM_DISKS:
        raise LabError(f"the lab would have {total} loop devices", f"at most {MAXIMUM_DISKS}", "remove a disk")


def _attach(file: Path, size_mib: int) -> str:
    """The name of the loop device over the file, both made when missing."""
    attached = loops(file.parent).get(file)
    if attached is not None:
        return attached
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        partial = file.with_suffix(".new")
        with partial.open("wb") as stream:
            stream.truncate(size_mib << 20)
        partial.rename(file)
    done = run(["losetup", "--find", "--show", str(file)], check=False)
    if done.returncode != 0:
        raise LabError(
            f"losetup says: {done.stderr.strip() or done.returncode}",
            "a free loop device",
            "use a machine with loop devices (a container needs /dev/loop-control), or take down another lab",
        )
    return Path(done.stdout.strip()).name


def _appear(host: Host, name: str, *, owner: str, loop: str) -> Disk:
    """Makes the device's node and links inside the host, as udev would."""
    dev = Path(f"/proc/{processes.init_of(host.netns)}/root/dev")
    major, minor = (SYS_BLOCK / loop / "dev").read_text(encoding="ascii").strip().split(":")
    by_id = f"disk/by-id/wwn-0x{wwn(name, owner)}"
    node = dev / loop
    if not node.exists():
        # Not bound from the machine's /dev: that is out of reach once the host has changed its root.
        os.mknod(node, 0o660 | stat.S_IFBLK, os.makedev(int(major), int(minor)))
    for link, target in ((f"{FOLDER}/{name}", f"../{loop}"), (by_id, f"../../{loop}")):
        path = dev / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    return Disk(host.name, f"/dev/{FOLDER}/{name}", f"/dev/{loop}", f"/dev/{by_id}", owner == SAME)


def _disappear(host: Host, name: str, loop: str | None) -> None:
    init = processes.init_of(host.netns)
    if init is None:
        return
    dev = Path(f"/proc/{init}/root/dev")
    for link in (dev / FOLDER / name, *(dev / "disk/by-id").glob("wwn-*")):
        if link.is_symlink() and (link.name == name or os.readlink(link).endswith(f"/{loop}")):
            link.unlink()
    if loop is not None:
        (dev / loop).unlink(missing_ok=True)


def remove(where: Places, hosts: Iterable[Host], name: str) -> bool:
    """Takes the disk from all hosts and deletes it; True when it was there."""
    folder = where.blocks / name
    if not folder.is_dir():
        return False
    attached = loops(folder)
    for host in hosts:
        own = attached.get(folder / f"{host.name}.img") or attached.get(folder / f"{SAME}.img")
        _disappear(host, name, own)
    _detach(folder)
    shutil.rmtree(folder)
    return True


def _detach(folder: Path) -> None:
    """Detaches every loop device over a file below the folder. The kernel does it when the last user closes it."""

    def gone() -> bool:
        for loop in loops(folder).values():
            run(["losetup", "--detach", f"/dev/{loop}"], check=False)
        return not loops(folder)

    if not wait_until(gone, SETTLE_S):
        raise LabError(
            f"loop devices {sorted(loops(folder).values())} are still in use",
            "nobody who holds them",
            "end the guest, unmount the file system or deactivate the volume group on them, then repeat",
        )


def remove_all(where: Places) -> None:
    """Detaches every loop device of the lab, once its processes are gone; the files go with the state."""
    if where.blocks.is_dir():
        _detach(where.blocks)


def forget(where: Places, host: Host) -> None:
    """Removes the disks that only a dead host had."""
    for file in where.blocks.glob(f"*/{host.name}.img"):
        attached = loops(file.parent).get(file)
        if attached is not None:
            run(["losetup", "--detach", f"/dev/{attached}"], check=False)
        file.unlink()


def listing(where: Places, hosts: Iterable[Host]) -> list[dict[str, Any]]:
    """One row per disk: name, size, whether it is one device for all, and the device each host has under its name."""
    rows = []
    running = {host.name: init for host in hosts if (init := processes.init_of(host.netns)) is not None}
    for folder in sorted(where.blocks.glob("*")) if where.blocks.is_dir() else []:
        files = sorted(folder.glob("*.img"))
        seen = {}
        for name, init in running.items():
            with contextlib.suppress(OSError):
                seen[name] = Path(os.readlink(f"/proc/{init}/root/dev/{FOLDER}/{folder.name}")).name
        if files:
            size = files[0].stat().st_size >> 20
            same = files[0].stem == SAME
            rows.append({"name": folder.name, "size_mib": size, "same": same, "devices": seen})
    return rows
