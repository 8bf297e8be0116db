# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a whole: up, down, status. Callers of ensure_up and tear_down hold the lock."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import (
    blocks,
    cgroups,
    enter,
    hostfiles,
    image,
    inventory,
    keys,
    network,
    places,
    processes,
    requirements,
    roots,
)
from tests.lab.errors import LabError
from tests.lab.hosts import CONTROLLER, HOSTS, Host, netns_of
from tests.lab.places import Places
from tests.lab.run import run, wait_until

LIBVIRT_SOCKET = "run/libvirt/libvirt-sock"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun", "fuse", "userfaultfd", "loop-control")
START_TIMEOUT_S = 60.0
# after that a daemon counts as stopped and is started: harmless for one that is just slow
NOTICE_TIMEOUT_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class HostStatus:
    """What of a host is there: its first process (pid on the machine), libvirtd's socket, ssh from the controller."""

    name: str
    init: int | None
    libvirtd: bool
    ssh: bool

    @property
    def word(self) -> str:
        if self.init is None:
            return "down"
        return "up" if self.libvirtd and self.ssh else "broken"


def ensure_up(where: Places, hosts: Iterable[Host], say: Say) -> None:
    """Raises the hosts; what runs is left alone, a dead host is built anew."""
    hosts = tuple(hosts)
    requirements.demand(requirements.lacking(requirements.observe()))
    for suite in dict.fromkeys([*(host.suite for host in hosts), image.SUITE]):
        say(f"root {suite}: " + ("built" if roots.ensure(where, suite) else "there"))
    _directories(where)
    keys.ensure(where)
    image.install(where)
    network.ensure_switch()
    for host in hosts:
        if processes.init_of(host.netns) is None:
            discard(where, host)
            network.ensure_host(host)
            _start_hypervisor(where, host)
            say(f"{host.name}: started")
        else:
            say(f"{host.name}: runs")
    for host in hosts:
        _ensure_daemons(where, host, say)
    where.inventory.write_text(inventory.text(where, running()), encoding="utf-8")


def _directories(where: Places) -> None:
    where.state.mkdir(parents=True, exist_ok=True)
    where.state.chmod(0o700)
    for directory in (where.shared, where.boot, where.consoles, where.disks):
        directory.mkdir(exist_ok=True)


def discard(where: Places, host: Host) -> None:
    """Ends the host and removes what is left of it."""
    if host.netns in processes.namespaces():
        _kill(host.netns)
        network.unplug(host.name)
        network.remove_netns(host.netns)
    cgroups.remove(host.name)
    blocks.forget(where, host)
    shutil.rmtree(where.host(host.name), ignore_errors=True)


def _start_hypervisor(where: Places, host: Host) -> None:
    script = (roots.path(where, host.suite) / hostfiles.LIBVIRTD_SCRIPT.lstrip("/")).read_text(encoding="utf-8")
    files = hostfiles.files(host, keys.load(where, host), script)
    start(where, host, files, [[str(where.shared), places.SHARED_INSIDE]])


def start(where: Places, host: Host, files: Iterable[hostfiles.File], binds: list[list[str]]) -> None:
    """Starts the first process of a host; binds: [source on the machine, folder inside]."""
    home = where.host(host.name)
    home.mkdir(parents=True)
    root = roots.path(where, host.suite)
    spec = {
        "netns": host.netns,
        "hostname": host.name,
        "lower": str(root),
        "upper": str(home / "upper"),
        "work": str(home / "work"),
        "root": str(home / "root"),
        "log": str(home / "boot.log"),
        "binds": binds,
        "devices": list(DEVICES),
        "remove": list(hostfiles.REMOVE),
        "files": [[file.path, file.text, file.mode] for file in files],
    }
    program = Path(__file__).with_name("inside.py")
    done = run([sys.executable, "-I", str(program)], stdin=json.dumps(spec), check=False)
    if done.returncode != 0:
        raise LabError(
            f"{host.name} did not start: {done.stderr.strip()[-400:]}",
            "a running host",
            "see the message, then `down`, `up`",
        )


def _ensure_daemons(where: Places, host: Host, say: Say) -> None:
    """Waits for the daemons of a starting host; starts one that somebody stopped."""
    pid = processes.init_of(host.netns)
    for name, ready in (("libvirtd", lambda: libvirtd_answers(pid)), ("ssh", lambda: ssh_answers(where, host))):
        if wait_until(ready, NOTICE_TIMEOUT_S):
            continue
        say(f"{host.name}: {name} does not answer, starting it")
        enter.exec_on(host.name, ["service", name, "start"], check=False)
        if not wait_until(ready, START_TIMEOUT_S):
            log = where.host(host.name) / "boot.log"
            raise LabError(
                f"{name} on {host.name} does not answer",
                "an answer",
                f"see {log} and /var/log/libvirt on the host, then `down`, `up`",
            )


def libvirtd_answers(init: int | None) -> bool:
    path = f"/proc/{init}/root/{LIBVIRT_SOCKET}"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2.0)
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def ssh_answers(where: Places, host: Host) -> bool:
    command = ["ssh", *keys.ssh_options(where), "-o", "ConnectTimeout=3", f"root@{host.address}", "true"]
    return enter.exec_on(CONTROLLER, command, check=False, timeout_s=20).returncode == 0


def running() -> list[Host]:
    return [host for host in HOSTS if processes.init_of(host.netns) is not None]


def status(where: Places) -> list[HostStatus]:
    """One entry per host of the table."""
    found = []
    controller = netns_of(CONTROLLER) in processes.namespaces()
    for host in HOSTS:
        init = processes.init_of(host.netns)
        reachable = controller and init is not None and where.ssh.is_dir() and ssh_answers(where, host)
        found.append(HostStatus(host.name, init, init is not None and libvirtd_answers(init), reachable))
    return found


def _kill(netns: str) -> None:
    left = processes.kill_namespace(processes.namespaces()[netns])
    if left:
        raise LabError(
            f"processes {left} in {netns} outlive SIGKILL", "no process", "see /proc/PID/stack, run `down` again"
        )


def tear_down(where: Places, say: Say) -> None:
    """Ends every process of the lab and removes its namespaces and its state; the cache stays."""
    namespaces = processes.namespaces()
    for netns in namespaces:
        _kill(netns)
    for netns in namespaces:
        network.remove_netns(netns)
        say(f"{netns.removeprefix(f'{places.LAB}-')}: gone")
    network.remove_mount_point()
    cgroups.remove()
    blocks.remove_all(where)
    roots.sweep(where)
    if where.state.exists():
        _await_unmounted(where)
        shutil.rmtree(where.state)
        say(f"{where.state}: removed")


def _await_unmounted(where: Places) -> None:
    """The mounts of a host live in its mount namespace only; should one have leaked, nothing below it is deleted."""

    def unmounted() -> bool:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        return not any(line.split()[4].startswith(f"{where.state}/") for line in text.splitlines())

    if not wait_until(unmounted, 5.0):
        raise LabError(
            f"something is mounted below {where.state}",
            "no mount of the lab on the machine",
            "umount it, run `down` again",
        )
