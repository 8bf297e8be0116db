# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of one host: all its processes in control groups of its own, so that memory and CPUs really differ.

Versions 1 and 2 of cgroups, whichever has the controller on this machine. The groups are called livemig-<lab>/<host>
and lie below the group of who asked, so that a limit on him also holds for the lab. `down` finds them by that name,
also after a crash.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import places, processes
from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.run import run, wait_until

MEMORY, CPUSET = "memory", "cpuset"
LIMIT_FILES = {
    (MEMORY, 1): "memory.limit_in_bytes",
    (MEMORY, 2): "memory.max",
    (CPUSET, 1): "cpuset.cpus",
    (CPUSET, 2): "cpuset.cpus",
}
MINIMUM_MIB = 256
"""What libvirtd, sshd and one small guest need."""
CPUS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
MOUNT_POINT = "/sys/fs/cgroup"
SETTLE_S = 5.0
NO_LIMIT_MIB = 1 << 40
"""Version 1 writes "no limit" as some 2^63 bytes."""


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy: version, mount point on the machine, the group that is mounted there, its controllers, and
    the options to mount it with."""

    version: int
    mount: Path
    top: str
    controllers: frozenset[str]
    options: str

    def path(self, group: str) -> Path:
        """Where a group of /proc/PID/cgroup is."""
        below = group.removeprefix(self.top) if f"{group}/".startswith(f"{self.top.rstrip('/')}/") else ""
        return self.mount / below.strip("/")


@dataclass(frozen=True)
class Limits:
    """None: not limited."""

    memory_mib: int | None = None
    cpus: str | None = None

    def values(self) -> dict[str, str]:
        """What is written, by controller."""
        found = {}
        if self.memory_mib is not None:
            found[MEMORY] = str(self.memory_mib * 1024 * 1024)
        if self.cpus is not None:
            found[CPUSET] = self.cpus
        return found


def parse(mountinfo: str, unified_controllers: Mapping[str, str]) -> list[Hierarchy]:
    """The hierarchies in the text of /proc/PID/mountinfo; unified_controllers: mount point -> cgroup.controllers."""
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = fields[4]
        version = 2 if kind[0] == "cgroup2" else 1
        words = unified_controllers.get(mount, "").split() if version == 2 else kind[-1].split(",")
        options = ",".join(word for word in kind[-1].split(",") if word not in ("rw", "ro"))
        found.setdefault(
            Path(mount), Hierarchy(version, Path(mount), fields[3], frozenset(words) - {"rw", "ro"}, options)
        )
    return list(found.values())


def hierarchies() -> list[Hierarchy]:
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    unified = {}
    for line in text.splitlines():
        if " - cgroup2 " in line:
            mount = line.split()[4]
            with contextlib.suppress(OSError):
                unified[mount] = Path(mount, "cgroup.controllers").read_text(encoding="ascii")
    return parse(text, unified)


def with_controller(found: Iterable[Hierarchy], controller: str) -> Hierarchy:
    """The hierarchy that can limit it, or a LabError that says that this machine cannot."""
    for entry in found:
        if controller in entry.controllers:
            return entry
    raise LabError(
        f"no cgroup hierarchy of this machine has the controller {controller}",
        "cgroups of version 1 with it mounted, or of version 2 with it in cgroup.controllers",
        "mount it, or run the lab on a machine that has it; nothing else stands in for a limit",
    )


def validate(limits: Limits) -> None:
    if limits.memory_mib is not None and limits.memory_mib < MINIMUM_MIB:
        raise LabError(
            f"--memory is {limits.memory_mib}", f"at least {MINIMUM_MIB} MiB", "libvirtd itself lives in there"
        )
    if limits.cpus is not None and not CPUS.fullmatch(limits.cpus):
        raise LabError(f"--cpus is '{limits.cpus}'", "CPU numbers as 0 or 0-1,3", "see /sys/devices/system/cpu/online")


def own_groups(text: str, found: Iterable[Hierarchy]) -> dict[Path, Path]:
    """Mount point -> the group's directory, out of the text of /proc/PID/cgroup."""
    groups = {}
    for line in text.splitlines():
        _number, names, path = line.split(":", 2)
        for entry in found:
            words = set(names.split(","))
            if entry.version == 2 if not names else words & set(entry.options.split(",")):
                groups[entry.mount] = entry.path(path)
    return groups


def _groups_of_process(pid: int | str, found: Iterable[Hierarchy]) -> dict[Path, Path]:
    try:
        return own_groups(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"), found)
    except OSError:
        return {}


def lab_name() -> str:
    return f"livemig-{places.LAB}"


def groups_of(host: Host, found: Iterable[Hierarchy], init: int | None = None) -> dict[Path, Path]:
    """The groups of its own that the running host has, by mount point; init: its first process, if that is known."""
    init = init or processes.init_of(host.netns)
    groups = {} if init is None else _groups_of_process(init, found)
    return {mount: path for mount, path in groups.items() if path.parts[-2:] == (lab_name(), host.name)}


def of(host: Host) -> Limits:
    """The limits in force, as the kernel has them."""
    found = hierarchies()
    groups = groups_of(host, found)
    values: dict[str, str] = {}
    for entry in found:
        for controller in {MEMORY, CPUSET} & entry.controllers if entry.mount in groups else ():
            with contextlib.suppress(OSError):
                values[controller] = _read(groups[entry.mount] / LIMIT_FILES[controller, entry.version])
    memory = values.get(MEMORY, "max")
    mib = int(memory) // (1024 * 1024) if memory.isdigit() else NO_LIMIT_MIB
    return Limits(mib if mib < NO_LIMIT_MIB else None, values.get(CPUSET) or None)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise LabError(
            f"writing {text} to {path} failed: {error.strerror}", "the kernel to accept it", "use other values"
        ) from error


def limit(host: Host, limits: Limits) -> Limits:
    """Puts every process of the running host into its groups and sets the limits; returns those in force.

    Memory that a process had before stays charged where it was: limit a host before it gets guests.
    """
    validate(limits)
    found = hierarchies()
    chosen = {controller: with_controller(found, controller) for controller in limits.values()}
    init = processes.init_of(host.netns)
    if init is None:
        raise LabError(f"{host.name} is down", "a running host", "python3 -m tests.lab up")
    for controller, value in limits.values().items():
        entry = chosen[controller]
        target = groups_of(host, found).get(entry.mount) or _base(entry, controller) / lab_name() / host.name
        _make(entry, controller, target)
        try:
            _write(target / LIMIT_FILES[controller, entry.version], value)
        except LabError:
            with contextlib.suppress(OSError):  # in use when the host was limited before: then that stays in force
                target.rmdir()
                target.parent.rmdir()
            raise
        _move_all(host, target)
    show(init, found)
    return of(host)


def _base(entry: Hierarchy, controller: str) -> Path:
    """Where the lab's groups go: below this process's own group.

    In version 2 a group with processes passes no controllers on, except for the topmost: then further up.
    """
    base = _groups_of_process("self", [entry]).get(entry.mount, entry.mount)
    while entry.version == 2 and base != entry.mount:
        if controller in _read(base / "cgroup.controllers").split() and not _read(base / "cgroup.procs"):
            break
        base = base.parent
    return base


def _make(entry: Hierarchy, controller: str, target: Path) -> None:
    try:
        for path in (target.parent, target):
            if entry.version == 2:
                control = path.parent / "cgroup.subtree_control"
                if controller not in _read(control).split():
                    _write(control, f"+{controller}")
            path.mkdir(exist_ok=True)
            if entry.version == 1 and controller == CPUSET:
                _fill_cpuset(path)
    except OSError as error:
        raise LabError(
            f"the control group {target} cannot be made: {error.strerror}",
            "root, and a hierarchy that is not mounted read-only",
            "run it as root on the machine itself, not in a container without its own cgroups",
        ) from error


def _fill_cpuset(path: Path) -> None:
    # A new cpuset of version 1 is empty and takes no process (Documentation/admin-guide/cgroup-v1/cpusets.rst).
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not _read(path / name):
            _write(path / name, _read(path.parent / name))


def _move_all(host: Host, target: Path) -> None:
    """Every process of the host; what they start meanwhile starts beside them, so it is looked at again."""

    def inside() -> bool:
        present = set(_read(target / "cgroup.procs").split())
        outside = [pid for pid in host_pids(host) if str(pid) not in present]
        for pid in outside:
            with contextlib.suppress(OSError):
                (target / "cgroup.procs").write_text(str(pid), encoding="ascii")
        return not outside

    if not wait_until(inside, SETTLE_S):
        raise LabError(f"{host.name} starts processes faster than they are moved to {target}", "a calm host", "repeat")


def host_pids(host: Host) -> list[int]:
    inode = processes.namespaces().get(host.netns)
    return [] if inode is None else processes.pids_in(inode)


def mounts(found: Iterable[Hierarchy]) -> list[list[str]]:
    """The mount commands that give a host its /sys/fs/cgroup: what the machine has, at the same places."""
    entries = sorted(found, key=lambda entry: str(entry.mount))
    commands = []
    if all(str(entry.mount) != MOUNT_POINT for entry in entries):
        commands.append(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", MOUNT_POINT])
    for entry in entries:
        if not f"{entry.mount}/".startswith(f"{MOUNT_POINT}/"):
            continue
        kind = ["-t", "cgroup2"] if entry.version == 2 else ["-t", "cgroup", "-o", entry.options]
        if str(entry.mount) != MOUNT_POINT:
            commands.append(["mkdir", "-p", str(entry.mount)])
        commands.append(["mount", *kind, "cgroup", str(entry.mount)])
        commands.append(["mount", "-o", "remount,bind,ro", str(entry.mount)])
    return commands


def _nsenter(init: int) -> list[str]:
    # --pid too: umount reads /proc/self/mountinfo, and the host's own /proc knows no process from outside
    words = ["nsenter", f"--target={init}", "--mount", "--pid"]
    return [*words, f"--root=/proc/{init}/root", f"--wd=/proc/{init}/root", "--"]


def mounted_inside(init: int) -> bool:
    text = Path(f"/proc/{init}/mountinfo").read_text(encoding="utf-8")
    return any(line.split()[4].startswith(MOUNT_POINT) for line in text.splitlines())


def show(init: int, found: Iterable[Hierarchy]) -> None:
    """Mounts the control groups read-only inside the host, as a program there would find them on a real one."""
    if mounted_inside(init):
        return
    script = "\n".join(" ".join(f"'{word}'" for word in words) + " || exit 1" for words in mounts(found))
    run([*_nsenter(init), "sh", "-c", script])


def hide(init: int) -> None:
    run([*_nsenter(init), "sh", "-c", f"umount --recursive --lazy {MOUNT_POINT}"], check=False)


def lift(host: Host) -> bool:
    """Takes the host's limits off; True when there were any."""
    found = hierarchies()
    groups = groups_of(host, found)
    own = _groups_of_process("self", found)
    for mount in groups:
        _move_all(host, own[mount])
    remove(host.name)
    init = processes.init_of(host.netns)
    if init is not None and mounted_inside(init):
        hide(init)
    return bool(groups)


def _remove(path: Path) -> None:
    def gone() -> bool:
        with contextlib.suppress(FileNotFoundError):
            try:
                path.rmdir()
            except OSError:  # the last process has not been reaped yet
                return False
        return True

    if path.is_dir() and not wait_until(gone, SETTLE_S):
        raise LabError(
            f"{path} cannot be removed; in it are {_read(path / 'cgroup.procs').split()}",
            "an empty control group",
            "end these processes, run `down` again",
        )


def remove(host: str | None = None) -> None:
    """Every group of this lab, or of one host in it, once the processes are gone."""
    for base in lab_groups(hierarchies()):
        for path in [base / host] if host else sorted(entry for entry in base.glob("*") if entry.is_dir()):
            _remove(path)
        with contextlib.suppress(OSError):  # another host is limited, too
            base.rmdir()


def lab_groups(found: Iterable[Hierarchy]) -> list[Path]:
    """The lab's groups, wherever they are. Other groups come and go meanwhile; os.walk does not mind."""
    return [
        Path(folder, lab_name())
        for entry in found
        for folder, folders, _files in os.walk(entry.mount)
        if lab_name() in folders
    ]


def joining(host: Host, init: int) -> list[str]:
    """The words that start a command inside the groups of the host; none when it has no limits.

    A command that enters the host from outside keeps its own groups otherwise: control groups are not namespaces.
    """
    groups = [str(path) for path in groups_of(host, hierarchies(), init).values()]
    if not groups:
        return []
    script = 'for group in $1; do echo $$ >"$group/cgroup.procs" || exit 1; done; shift; exec "$@"'
    return ["sh", "-c", script, "sh", " ".join(groups)]
