# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, stopping and listing guests."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from tests.lab import console, domain, enter, network, proof, store
from tests.lab.domain import Guest
from tests.lab.errors import LabError
from tests.lab.hosts import FIRST_GUEST_OCTET, LAST_GUEST_OCTET, NETWORK, Host
from tests.lab.lifecycle import running
from tests.lab.places import GLUSTER_INSIDE, LOCAL_DISKS_INSIDE, Places
from tests.lab.run import locked, wait_until

BOOT_TIMEOUT_S = 120.0
DEFINITION_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Started:
    """boot_s is None when the guest ran already."""

    name: str
    host: str
    address: str
    boot_s: float | None


def records(where: Places) -> dict[str, dict[str, Any]]:
    """What was asked for, by name, with the octet of each guest."""
    if not where.guests.exists():
        return {}
    loaded: dict[str, dict[str, Any]] = json.loads(where.guests.read_text(encoding="utf-8"))
    return loaded


def write_records(where: Places, entries: dict[str, dict[str, Any]]) -> None:
    """Replaces the record as a whole: a reader sees the old one or the new one."""
    partial = where.guests.with_suffix(".new")
    partial.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.rename(where.guests)


def free_octet(entries: dict[str, dict[str, Any]], name: str) -> int:
    """The octet the guest has, or the lowest free one."""
    if name in entries:
        return int(entries[name]["octet"])
    taken = {int(entry["octet"]) for entry in entries.values()}
    for octet in range(FIRST_GUEST_OCTET, LAST_GUEST_OCTET + 1):
        if octet not in taken:
            return octet
    raise LabError("every address for guests is taken", "a free one", "stop a guest")


def _virsh(host: str, *words: str, stdin: str | None = None, check: bool = True) -> str:
    command = ["virsh", "-q", "-c", "qemu:///system", *words]
    return enter.exec_on(host, command, stdin=stdin, check=check, timeout_s=DEFINITION_TIMEOUT_S).stdout


def start(where: Places, host: Host, guest: Guest, *, wait: bool = True) -> Started:
    """Defines and starts the guest and waits for its first tick; one that runs on that host is left alone."""
    domain.validate(guest)
    with locked():
        entries = records(where)
        octet = free_octet(entries, guest.name)
        address = f"{NETWORK}.{octet}"
        places_of_guest = proof.runs_on(guest.name)
        if places_of_guest == [host.name]:
            return Started(guest.name, host.name, address, None)
        if places_of_guest:
            where_it_runs = ", ".join(places_of_guest)
            raise LabError(
                f"guest {guest.name} runs on {where_it_runs}",
                f"it to be off or on {host.name}",
                f"guest stop {guest.name}",
            )
        enter.prefix(host.name)  # says it if the host is down
        write_records(where, {**entries, guest.name: {"octet": octet, **asdict(guest)}})
        began = time.monotonic()
        _define_and_start(where, host, guest, octet)
    if not wait:
        return Started(guest.name, host.name, address, None)
    if not wait_until(lambda: _ticks(where, guest.name) > 0, BOOT_TIMEOUT_S, 0.1):
        raise LabError(
            f"guest {guest.name} has not ticked within {BOOT_TIMEOUT_S:.0f} s",
            "a TICK line on its console",
            f"see {where.console(guest.name)} and the machine's load",
        )
    return Started(guest.name, host.name, address, time.monotonic() - began)


def _define_and_start(where: Places, host: Host, guest: Guest, octet: int) -> None:
    if guest.bridge != network.BRIDGE:
        network.ensure_bridge(host.netns, guest.bridge)
    if guest.disk == "gluster" and not store.is_mounted(host):
        raise LabError(f"{GLUSTER_INSIDE} is not mounted on {host.name}", "the store", "python3 -m tests.lab store up")
    if path := domain.disk_path(guest):
        make = f"test -e '{path}' || qemu-img create -q -f qcow2 '{path}' {domain.DISK_MIB}M"
        enter.exec_on(host.name, ["sh", "-c", make])
    # The proof asks for one boot on the console: what an earlier start left there is not this guest.
    where.console(guest.name).unlink(missing_ok=True)
    _virsh(host.name, "define", "/dev/stdin", stdin=domain.domain_xml(guest, octet))
    if guest.autostart:
        _virsh(host.name, "autostart", guest.name)
    _virsh(host.name, "start", guest.name)


def _ticks(where: Places, name: str) -> int:
    path = where.console(name)
    return console.parse(path.read_text(encoding="utf-8", errors="replace")).ticks if path.exists() else 0


def stop(where: Places, name: str) -> bool:
    """Ends the guest everywhere and forgets it, disks included; True when there was something to do."""
    with locked():
        entries = records(where)
        found = name in entries
        for host in running():
            known = _virsh(host.name, "list", "--all", "--name").split()
            if name not in known:
                continue
            found = True
            _virsh(host.name, "destroy", name, check=False)
            _virsh(host.name, "undefine", name, "--managed-save", "--snapshots-metadata", check=False)
            enter.exec_on(host.name, ["rm", "-f", f"{LOCAL_DISKS_INSIDE}/{name}.qcow2"])
            if store.is_mounted(host):
                enter.exec_on(host.name, ["timeout", "10", "rm", "-f", f"{GLUSTER_INSIDE}/{name}.qcow2"], check=False)
        if not wait_until(lambda: not proof.runs_on(name), 10.0):
            raise LabError(
                f"guest {name} still runs on {', '.join(proof.runs_on(name))}",
                "no QEMU process",
                "see that host's libvirtd",
            )
        (where.disks / f"{name}.qcow2").unlink(missing_ok=True)
        where.console(name).unlink(missing_ok=True)
        if name in entries:
            write_records(where, {key: value for key, value in entries.items() if key != name})
    return found


def listing(where: Places) -> list[dict[str, Any]]:
    """One row per guest on record: name, address, hosts it runs on, what was asked for."""
    return [
        {"name": name, "address": f"{NETWORK}.{entry['octet']}", "runs_on": proof.runs_on(name), **entry}
        for name, entry in sorted(records(where).items())
    ]
