# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a whole: up, down, status. Callers of ensure_up and tear_down hold the lock."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import hostfiles, image, inventory, keys, network, processes, requirements, roots, tls
from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.places import Places
from tests.lab.run import run
from tests.sriov import enter, images, machine, qemu
from tests.sriov import network as wiring
from tests.sriov.hosts import EMULATOR_SUITE, HOSTS, NETNS_NAME

BOOT_TIMEOUT_S = 300.0
START_TIMEOUT_S = 60.0
POLL_S = 0.5
# What a machine needs on top of its guest-visible memory: QEMU itself and its translation buffer.
OVERHEAD_MIB = 700
STAGE = re.compile(r"SRIOV-LAB (.+?)\s*$", re.MULTILINE)
PANIC = re.compile(r"Kernel panic.*")

Say = Callable[[str], None]


@dataclass(frozen=True)
class MachineStatus:
    """pid: of its QEMU, or None; stages: what it said on its console; ssh: it answers from ctl."""

    name: str
    pid: int | None
    stages: tuple[str, ...]
    ssh: bool

    @property
    def word(self) -> str:
        if self.pid is None:
            return "down"
        return "up" if self.ssh and "ready" in self.stages else "broken"


def stages(console: str) -> tuple[str, ...]:
    """What a machine has reached, in order; "failed: ..." where something went wrong."""
    found = [match[1] for match in STAGE.finditer(console)]
    found += [f"failed: {match[0].strip()}" for match in PANIC.finditer(console)]
    return tuple(found)


def failure(found: Iterable[str]) -> str | None:
    return next((stage for stage in found if stage.startswith("failed")), None)


def console(where: Places, host: Host) -> str:
    path = where.state / qemu.console_name(host)
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def pid_of(where: Places, host: Host) -> int | None:
    """The machine's QEMU; None when its pid belongs to nobody, or to a process outside this lab."""
    try:
        pid = int((where.state / qemu.pid_name(host)).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None
    netns = processes.netns_of(pid)
    return pid if netns is not None and netns == wiring.inode() else None


def ensure_up(where: Places, memory_mib: int, say: Say) -> None:
    """Raises the machines; what runs is left alone, a dead machine begins with an empty disk."""
    requirements.demand(requirements.lacking(requirements.observe()))
    down = [host for host in HOSTS if pid_of(where, host) is None]
    demand_memory(len(down) * (memory_mib + OVERHEAD_MIB), available_mib())
    for suite in dict.fromkeys((EMULATOR_SUITE, images.suite())):
        say(f"root {suite}: " + ("built" if roots.ensure(where, suite) else "there"))
    say("images: " + ("built" if images.ensure(where) else "there"))
    where.state.mkdir(parents=True, exist_ok=True)
    where.state.chmod(0o700)
    keys.ensure(where, HOSTS)
    wiring.ensure(HOSTS)
    began = time.monotonic()
    _start_all(where, down, memory_mib)
    for host in HOSTS:
        say(f"{host.name}: {'started' if host in down else 'runs'}")
    await_ready(where, HOSTS, began + BOOT_TIMEOUT_S)
    for host in HOSTS:
        say(f"{host.name}: ready ({', '.join(stages(console(where, host)))})")
    say(f"both ready after {time.monotonic() - began:.0f} s")
    where.inventory.write_text(inventory.text(where, HOSTS), encoding="utf-8")


def ensure_certificates(where: Places) -> str:
    """Runs the collection's TLS playbook unless both machines have certificates; returns what happened, in words."""
    there = " && ".join(f"test -s /{name}" for name in (*tls.CERTIFICATES, tls.AUTHORITY))
    if all(enter.exec_on(host.name, ["sh", "-c", there], check=False).returncode == 0 for host in HOSTS):
        return "certificates in place"
    return tls.make(where, enter.prefix())


def available_mib() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    raise LabError("/proc/meminfo has no MemAvailable", "it", "use a Linux kernel of this decade")


def demand_memory(needed_mib: int, found_mib: int) -> None:
    """Two machines that do not fit would be killed in the midst of a test."""
    if needed_mib > found_mib:
        raise LabError(
            f"{found_mib} MiB of memory are available", f"{needed_mib} MiB", "end something, or `up --memory MIB`"
        )


def _start_all(where: Places, hosts: Iterable[Host], memory_mib: int) -> None:
    agent = (image.ensure(where) / "agent").read_bytes()
    guest = images.guest_initramfs(roots.path(where, images.suite()), agent)
    for host in hosts:
        start(where, host, memory_mib, guest)


def start(where: Places, host: Host, memory_mib: int, guest_initramfs: bytes) -> None:
    """Gives the machine an empty disk over the common image and starts its QEMU."""
    folder, root = images.path(where), roots.path(where, images.suite())
    script = (root / hostfiles.LIBVIRTD_SCRIPT.lstrip("/")).read_text(encoding="utf-8")
    files = machine.files(host, keys.load(where, host), script, images.source("machine-init").decode())
    own = machine.entries(files, guest_initramfs)
    for name in (qemu.disk_name, qemu.console_name, qemu.pid_name, qemu.monitor_name):
        (where.state / name(host)).unlink(missing_ok=True)
    initrd = where.state / qemu.initrd_name(host)
    initrd.touch(mode=0o600)
    initrd.write_bytes(machine.initrd(images.machine_initramfs(root), own))
    for argv in (qemu.create_disk(host), qemu.command(host, memory_mib)):
        emulator = str(roots.path(where, EMULATOR_SUITE))
        command = qemu.in_root(emulator, str(where.state), str(folder), argv)
        run([*enter.prefix(), *command], timeout_s=START_TIMEOUT_S, keeps_lock=False)


def await_ready(where: Places, hosts: Iterable[Host], end: float) -> None:
    """Waits until each machine says so; a LabError when one says that it failed, ends, or takes too long."""
    left = list(hosts)
    while left:
        # asked before the console is read: what an ended machine said last is then there
        alive = {host.name: pid_of(where, host) is not None for host in left}
        for host in list(left):
            found = stages(console(where, host))
            late = time.monotonic() > end
            problem = failure(found) or ("" if alive[host.name] else "ended") or ("not ready in time" if late else "")
            if problem:
                log = where.state / qemu.console_name(host)
                raise LabError(
                    f"{host.name}: {problem} (reached: {', '.join(found) or 'nothing'})",
                    f"'ready' within {BOOT_TIMEOUT_S:.0f} s",
                    f"see {log} and /var/log/livemig-init.log inside, then `down`, `up`",
                )
            if "ready" in found:
                left.remove(host)
        if left:
            time.sleep(POLL_S)


def ssh_answers(host: Host) -> bool:
    try:
        return enter.exec_on(host.name, ["true"], check=False, timeout_s=20).returncode == 0
    except LabError:
        return False


def status(where: Places) -> list[MachineStatus]:
    """One entry per machine."""
    found = []
    for host in HOSTS:
        pid = pid_of(where, host)
        seen = stages(console(where, host))
        found.append(MachineStatus(host.name, pid, seen, pid is not None and ssh_answers(host)))
    return found


def tear_down(where: Places, say: Say) -> None:
    """Ends every process in the lab's namespace, removes it and the state; the cache stays."""
    inode = wiring.inode()
    if inode is not None:
        left = processes.kill_namespace(inode)
        if left:
            raise LabError(f"processes {left} outlive SIGKILL", "none", "see /proc/PID/stack, run `down` again")
        network.remove_netns(NETNS_NAME)
        say("machines and namespace: gone")
    network.remove_mount_point()
    roots.sweep(where)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(where.state)
        say(f"{where.state}: removed")
