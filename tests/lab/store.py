# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared storage over the network: a host `store` exports a GlusterFS volume, the hypervisors mount it over FUSE.

libvirt knows fuse.glusterfs as a cluster file system, so nothing has to be declared shared.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import enter, hostfiles, lifecycle, network, places, processes
from tests.lab.errors import LabError
from tests.lab.hosts import STORE, Host, etc_hosts
from tests.lab.places import Places
from tests.lab.run import run, wait_until

Say = Callable[[str], None]

VOLUME = "vm"
BRICK_INSIDE = "/srv/brick"
PORT = 24007
START_TIMEOUT_S = 60.0
MOUNT_TIMEOUT_S = 90.0
FUSE = "fuse.glusterfs"

INIT = """\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mkdir -p /run/lock /run/gluster
glusterd
while :; do
    sleep 3600 &
    wait
done
"""

# What Gluster's own group "virt" is about: no caching in the client that another host would not see, and O_DIRECT all
# the way down; and a dead peer is noticed soon.
OPTIONS = {
    "performance.quick-read": "off",
    "performance.read-ahead": "off",
    "performance.io-cache": "off",
    "performance.stat-prefetch": "off",
    "performance.write-behind": "off",
    "performance.strict-o-direct": "on",
    "network.remote-dio": "disable",
    "network.ping-timeout": "10",
    "nfs.disable": "on",
}


@dataclass(frozen=True)
class State:
    """up: the volume is served; mounted: hosts that have it."""

    up: bool
    mounted: tuple[str, ...]


def files() -> tuple[hostfiles.File, ...]:
    return (
        hostfiles.File("/sbin/init", INIT, 0o755),
        hostfiles.File("/etc/hostname", f"{STORE.name}\n"),
        hostfiles.File("/etc/hosts", etc_hosts()),
        hostfiles.File("/etc/resolv.conf", ""),
        hostfiles.File("/etc/machine-id", STORE.uuid.replace("-", "") + "\n"),
    )


def creation() -> str:
    """The shell script that makes and starts the volume inside the store; what is there is left alone."""
    create = f"gluster --mode=script volume create {VOLUME} {STORE.name}:{BRICK_INSIDE}/{VOLUME} force"
    settings = [f"gluster --mode=script volume set {VOLUME} {name} {value}" for name, value in OPTIONS.items()]
    lines = [
        "set -e",
        f"if ! gluster volume info {VOLUME} >/dev/null 2>&1; then {create}; fi",
        f"if ! gluster volume info {VOLUME} | grep -q '^nfs.disable: on'; then",
        *[f"    {setting}" for setting in settings],
        "fi",
        f"gluster volume info {VOLUME} | grep -q 'Status: Started' || gluster --mode=script volume start {VOLUME}",
    ]
    return "\n".join(lines) + "\n"


def up(where: Places, say: Say) -> State:
    """Raises the store and mounts its volume on every running host; may be repeated. Callers hold the lab's lock."""
    hosts = lifecycle.running()
    if not hosts:
        raise LabError("no host is up", "a running lab", "python3 -m tests.lab up, then store up")
    if processes.init_of(STORE.netns) is None:
        lifecycle.discard(where, STORE)
        network.ensure_host(STORE)
        where.brick.mkdir(exist_ok=True)
        binds = [[str(where.brick), BRICK_INSIDE]]
        lifecycle.start(where, STORE, files(), binds)
        say(f"{STORE.name}: started")
    _serve(where)
    for host in hosts:
        if mount(host):
            say(f"{host.name}: mounted {places.GLUSTER_INSIDE}")
    return state()


def _serve(where: Places) -> None:
    def answers() -> bool:
        return enter.exec_on(STORE.name, ["gluster", "volume", "list"], check=False).returncode == 0

    if not wait_until(answers, START_TIMEOUT_S, 0.2):
        raise LabError(
            "glusterd on the store does not answer",
            "an answer",
            f"see /var/log/glusterfs there and {where.host(STORE.name) / 'boot.log'}, then `store down`, `store up`",
        )
    enter.exec_on(STORE.name, ["sh", "-c", creation()], timeout_s=START_TIMEOUT_S, check=True)


def is_mounted(host: Host) -> bool:
    init = processes.init_of(host.netns)
    return init is not None and mounted_in(Path(f"/proc/{init}/mountinfo").read_text(encoding="utf-8"))


def mounted_in(mountinfo: str) -> bool:
    """Whether GlusterFS is mounted at its place, by the text of /proc/PID/mountinfo."""
    for line in mountinfo.splitlines():
        before, _separator, after = line.partition(" - ")
        if before.split()[4:5] == [places.GLUSTER_INSIDE] and after.split()[:1] == [FUSE]:
            return True
    return False


def mount(host: Host) -> bool:
    """Mounts the volume on the host; False when it was mounted. A mount whose server is gone is made anew."""
    alive = ["timeout", "5", "stat", "--file-system", places.GLUSTER_INSIDE]
    if is_mounted(host):
        if enter.exec_on(host.name, alive, check=False).returncode == 0:
            return False
        enter.exec_on(host.name, ["umount", "--lazy", places.GLUSTER_INSIDE], check=False)
    place = shlex.quote(places.GLUSTER_INSIDE)
    script = f"mkdir -p {place} && mount -t glusterfs {STORE.name}:/{VOLUME} {place}"
    enter.exec_on(host.name, ["sh", "-c", script], timeout_s=MOUNT_TIMEOUT_S, check=True)
    if not is_mounted(host):
        raise LabError(
            f"{places.GLUSTER_INSIDE} on {host.name} is not mounted",
            f"{FUSE} there",
            "see /var/log/glusterfs on that host",
        )
    return True


def down(where: Places, say: Say) -> None:
    """Unmounts the volume everywhere and ends the store; what was on it is gone. Callers hold the lab's lock."""
    for host in lifecycle.running():
        if is_mounted(host):
            enter.exec_on(host.name, ["umount", "--lazy", places.GLUSTER_INSIDE], check=False)
            say(f"{host.name}: unmounted")
    lifecycle.discard(where, STORE)
    if where.brick.exists():
        run(["rm", "-rf", "--one-file-system", str(where.brick)])
    say(f"{STORE.name}: gone")


def state() -> State:
    served = processes.init_of(STORE.netns) is not None
    return State(served, tuple(host.name for host in lifecycle.running() if is_mounted(host)))
