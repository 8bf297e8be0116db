# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for other tests: what the command line does, as functions. Each raises LabError when it cannot be done."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.lab import (
    blocks,
    cgroups,
    enter,
    fakes,
    guests,
    hosts,
    image,
    lifecycle,
    observe,
    processes,
    proof,
    requirements,
    roots,
    store,
)
from tests.lab import tls as certificates
from tests.lab.domain import Guest
from tests.lab.places import places
from tests.lab.run import locked

Say = Callable[[str], None]


def _silent(text: str) -> None:
    del text


def up(names: str | None = None, *, tls: bool = True, say: Say = _silent) -> Path:
    """Raises the hosts of a comma-separated list (None: the default ones); returns the inventory's path."""
    where, chosen = places(), hosts.select(names)
    requirements.demand(requirements.lacking(requirements.observe()))
    with locked():
        lifecycle.ensure_up(where, chosen, say)
        if tls:
            say("tls: " + certificates.ensure(where, lifecycle.running()))
    return where.inventory


def down(*, say: Say = _silent) -> None:
    """Ends the lab; nothing but the cache stays."""
    with locked(last=True):
        lifecycle.tear_down(places(), say)


def build_roots(names: str | None = None, *, say: Say = _silent) -> None:
    where = places()
    with locked():
        for suite in dict.fromkeys([*(host.suite for host in hosts.select(names)), image.SUITE]):
            say(f"root {suite}: " + ("built" if roots.ensure(where, suite) else "there"))


def running_hosts() -> list[str]:
    return [host.name for host in hosts.HOSTS if processes.init_of(host.netns) is not None]


def exec_on(
    host: str,
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    check: bool = False,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command in ctl, witness or a host; env comes on top of the environment there."""
    return enter.exec_on(host, argv, stdin=stdin, timeout_s=timeout_s, check=check, env=env)


def ansible_environment() -> dict[str, str]:
    """The environment in which an Ansible in ctl finds this checkout as a collection and the lab's inventory."""
    where = places()
    certificates.link_checkout(where)
    return certificates.environment(where)


def guest_start(host: str, name: str, *, wait: bool = True, **wanted: Any) -> guests.Started:
    """Starts a guest; wanted are the fields of domain.Guest (memory_mib, disk, dirty, bridge, autostart, cdrom...)."""
    return guests.start(places(), hosts.host(host), Guest(name, **wanted), wait=wait)


def guest_stop(name: str) -> bool:
    return guests.stop(places(), name)


def guest_list() -> list[dict[str, Any]]:
    return guests.listing(places())


def check(
    names: Iterable[str] | None = None, *, seconds: float = 10.0, against: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The proof; see proof.report for its shape. against: an earlier report."""
    return proof.check(places(), names, seconds, against)


def inventory_path() -> Path:
    return places().inventory


def limit(host: str, *, memory_mib: int | None = None, cpus: str | None = None) -> cgroups.Limits:
    """Limits all processes of the host: memory in MiB, CPUs as "0" or "0-1,3"; returns the limits in force."""
    with locked():
        return cgroups.limit(hosts.host(host), cgroups.Limits(memory_mib, cpus))


def unlimit(host: str) -> bool:
    """True when there were limits."""
    with locked():
        return cgroups.lift(hosts.host(host))


def limits(host: str) -> cgroups.Limits:
    return cgroups.of(hosts.host(host))


def disk(names: Iterable[str], name: str, *, size_mib: int = 64, same: bool = False) -> list[blocks.Disk]:
    """A block device that each named host sees as /dev/livemig/NAME: one device for all (same), or look-alikes."""
    with locked():
        return blocks.create(places(), [hosts.host(entry) for entry in names], name, size_mib, same=same)


def disk_remove(name: str) -> bool:
    """Takes it from every host and deletes it; True when it was there."""
    with locked():
        return blocks.remove(places(), hosts.HOSTS, name)


def disk_list() -> list[dict[str, Any]]:
    return blocks.listing(places(), hosts.HOSTS)


def store_up(*, say: Say = _silent) -> store.State:
    """Raises the host store and mounts its GlusterFS volume at /srv/gluster on every running host."""
    with locked():
        return store.up(places(), say)


def store_down(*, say: Say = _silent) -> None:
    with locked():
        store.down(places(), say)


def store_state() -> store.State:
    return store.state()


def fake(host: str, path: str, text: str) -> str:
    """Puts the text in the place of a file on that host only; returns the path under which it is on record."""
    with locked():
        return fakes.fake(places(), hosts.host(host), path, text)


def unfake(host: str, path: str | None = None) -> list[str]:
    """Takes one fake off, or all of the host; returns the paths."""
    with locked():
        return fakes.undo(places(), hosts.host(host), path)


def faked(host: str) -> dict[str, str]:
    """Path -> text of everything that is faked on the host now."""
    return fakes.record(places(), hosts.host(host).name)


def grown() -> dict[str, Any]:
    """{"limits": {host: {...}}, "disks": [{...}], "store": {...}, "faked": {host: {path: text}}}"""
    names = running_hosts()
    found = {name: limits(name) for name in names}
    return {
        "limits": {name: asdict(entry) for name, entry in found.items() if entry != cgroups.Limits()},
        "disks": disk_list(),
        "store": asdict(store_state()),
        "faked": {name: entries for name in names if (entries := faked(name))},
    }


observe_inside = observe.observe_inside
host_snapshot = observe.host_snapshot
domain_snapshots = observe.domain_snapshots
answers = observe.answers
