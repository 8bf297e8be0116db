# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, stopping and listing nested guests."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.lab import console
from tests.lab.errors import LabError
from tests.lab.guests import Started, free_octet, records, write_records
from tests.lab.hosts import Host
from tests.lab.places import CONSOLES_INSIDE, Places
from tests.lab.run import locked, wait_until
from tests.sriov import domain, enter
from tests.sriov.domain import Guest
from tests.sriov.hosts import HOSTS, LOCK
from tests.sriov.lifecycle import pid_of

BOOT_TIMEOUT_S = 300.0
VIRSH_TIMEOUT_S = 120.0
HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
LINKS = re.compile(r"LINKS (\d+\.\d+)((?: [\w.-]+:[\w.-]*:\w+)*)")


def links(text: str) -> dict[str, tuple[str, str]]:
    """Name -> (driver, state) of the guest's interfaces, as its console says last; a line without end does not count.

    net_failover's master shows the driver of its standby or none."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.split("\n")[:-1]:
        if match := LINKS.fullmatch(line.strip("\r ")):
            fields = (word.split(":") for word in match[2].split())
            found = {name: (driver, state) for name, driver, state in fields}
    return found


def console_of(host: Host, name: str) -> str:
    """What the guest said on this machine; empty when it never ran there."""
    return enter.exec_on(host.name, ["cat", f"{CONSOLES_INSIDE}/{name}.log"], check=False).stdout


def virsh(host: Host, *words: str, stdin: str | None = None, check: bool = True) -> str:
    command = ["virsh", "-q", "-c", "qemu:///system", *words]
    return enter.exec_on(host.name, command, stdin=stdin, check=check, timeout_s=VIRSH_TIMEOUT_S).stdout


def running(where: Places) -> tuple[Host, ...]:
    return tuple(host for host in HOSTS if pid_of(where, host) is not None)


def runs_on(where: Places, name: str) -> list[str]:
    """The machines whose libvirt has it active."""
    return [host.name for host in running(where) if name in virsh(host, "list", "--name").split()]


def huge_pages(entries: Mapping[str, Mapping[str, Any]]) -> int:
    """Huge pages of 2 MiB that the guests on record need, on each machine: any of them may come by a migration."""
    return sum((entry["memory_mib"] + 1) // 2 for entry in entries.values() if entry["backing"] == "hugepages")


def _reserve(where: Places, entries: Mapping[str, Mapping[str, Any]]) -> None:
    wanted = huge_pages(entries)
    for host in running(where):
        argv = ["sh", "-c", f"echo {wanted} >{HUGE_PAGES} && cat {HUGE_PAGES}"]
        found = int(enter.exec_on(host.name, argv).stdout)
        if found < wanted:
            raise LabError(f"{host.name} has {found} huge pages", f"{wanted}", "`down`, then `up` with more --memory")


def start(where: Places, host: Host, guest: Guest, *, wait: bool = True) -> Started:
    """Defines and starts the guest and waits for its first tick; one that runs on that machine is left alone."""
    domain.validate(guest)
    with locked(LOCK):
        entries = records(where)
        octet = free_octet(entries, guest.name)
        address = domain.address(octet)
        found = runs_on(where, guest.name)
        if found == [host.name]:
            return Started(guest.name, host.name, address, None)
        if found:
            raise LabError(
                f"guest {guest.name} runs on {', '.join(found)}",
                f"it to be off or on {host.name}",
                f"guest stop {guest.name}",
            )
        entries = {**entries, guest.name: {"octet": octet, **asdict(guest)}}
        write_records(where, entries)
        _reserve(where, entries)
        began = time.monotonic()
        for machine in running(where):
            enter.exec_on(machine.name, ["rm", "-f", f"{CONSOLES_INSIDE}/{guest.name}.log"])
        virsh(host, "define", "/dev/stdin", stdin=domain.domain_xml(guest, octet))
        virsh(host, "start", guest.name)
    if not wait:
        return Started(guest.name, host.name, address, None)
    if not wait_until(lambda: console.parse(console_of(host, guest.name)).ticks > 0, BOOT_TIMEOUT_S, 0.5):
        raise LabError(
            f"guest {guest.name} has not ticked within {BOOT_TIMEOUT_S:.0f} s",
            "a TICK line on its console",
            f"see {CONSOLES_INSIDE}/{guest.name}.log on {host.name} and the machine's load",
        )
    return Started(guest.name, host.name, address, time.monotonic() - began)


def stop(where: Places, name: str) -> bool:
    """Ends the guest everywhere and forgets it; True when there was something to do."""
    with locked(LOCK):
        entries = records(where)
        found = name in entries
        for host in running(where):
            if name not in virsh(host, "list", "--all", "--name").split():
                continue
            found = True
            virsh(host, "destroy", name, check=False)
            virsh(host, "undefine", name, check=False)
        left = runs_on(where, name)
        if left:
            raise LabError(f"guest {name} still runs on {', '.join(left)}", "no such domain", "see that libvirtd's log")
        if not found:
            return False
        left_over = {key: value for key, value in entries.items() if key != name}
        write_records(where, left_over)
        _reserve(where, left_over)
    return True


def listing(where: Places) -> list[dict[str, Any]]:
    """One row per guest on record: name, address, machines it runs on, what was asked for."""
    return [
        {"name": name, "address": domain.address(entry["octet"]), "runs_on": runs_on(where, name), **entry}
        for name, entry in sorted(records(where).items())
    ]
