# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for other tests: what the command line does, as functions. Each raises LabError when it cannot be done."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import enter, guests, hosts, image, lifecycle, processes, proof, requirements, roots
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
