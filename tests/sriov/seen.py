# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a guest with a VF, seen from outside the product: machines, libvirt's XML, the guest's console."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.lab import console
from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.run import wait_until
from tests.sriov import domain, enter, guests
from tests.sriov.hosts import VFS, places, vf_address

LINK_TIMEOUT_S = 90.0
LOOKS = 3
REGISTERS = re.compile(r"RIP=[0-9a-f]+|RFL=[0-9a-f]+|HLT=\d")
MARK = "urn:livemig:state:1"


def drivers(host: Host, name: str) -> set[str]:
    """Of the guest's interfaces that are up, as it said last on this machine."""
    return {driver for driver, state in guests.links(guests.console_of(host, name)).values() if state == "up"}


def has_both(host: Host, name: str) -> bool:
    """Whether the guest itself sees its standby and its VF, both up; waits for it."""
    return wait_until(lambda: {"virtio_net", "igbvf"} <= drivers(host, name), LINK_TIMEOUT_S, 2.0)


def boot_ids(host: Host, name: str) -> tuple[str, ...]:
    return console.parse(guests.console_of(host, name)).boot_ids


def ticks(host: Host, name: str, more: int = 3) -> bool:
    """Whether the guest still counts: so many more ticks within a time."""
    before = console.parse(guests.console_of(host, name)).ticks
    return wait_until(lambda: console.parse(guests.console_of(host, name)).ticks >= before + more, 30.0, 1.0)


def aliases(host: Host, name: str, *words: str) -> list[str]:
    """Of the interfaces in its XML; words: --inactive."""
    tree = ElementTree.fromstring(guests.virsh(host, "dumpxml", *words, name))
    return sorted(alias.get("name", "") for alias in tree.findall("./devices/interface/alias"))


def vf_of(host: Host, name: str, *words: str) -> str | None:
    """The address of the VF in its XML; None where it has none."""
    tree = ElementTree.fromstring(guests.virsh(host, "dumpxml", *words, name))
    found = tree.find("./devices/interface[@type='hostdev']/source/address")
    if found is None:
        return None
    parts = [int(found.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function")]
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*parts)


def is_marked(host: Host, name: str) -> bool:
    return MARK in guests.virsh(host, "dumpxml", name)


def vf_drivers(host: Host) -> list[str]:
    """The driver of each of the machine's VFs, in their order."""
    links = [f"/sys/bus/pci/devices/{vf_address(number)}/driver" for number in range(VFS)]
    found = enter.exec_on(host.name, ["readlink", *links], check=False).stdout.split()
    return [path.rpartition("/")[2] for path in found]


def runs_on(name: str) -> list[str]:
    return guests.runs_on(places(), name)


def has_its_nics(host: Host, name: str) -> list[str]:
    """What is wrong with a guest that must have both of its NICs on this machine and nowhere else; empty: nothing."""
    both = sorted((domain.STANDBY_ALIAS, domain.VF_ALIAS))
    wrong = [f"it runs on {runs_on(name)}"] if runs_on(name) != [host.name] else []
    if not wrong:
        for words in ((), ("--inactive",)):
            found = aliases(host, name, *words)
            wrong += [] if found == both else [f"its interfaces {' '.join(words)} are {found}"]
        wrong += [] if has_both(host, name) else [f"it sees {sorted(drivers(host, name))}"]
        wrong += ["it is marked"] if is_marked(host, name) else []
        wrong += [] if ticks(host, name) else ["it does not tick"]
    return [*wrong, how_it_is(host, name)] if wrong else []


def how_it_is(host: Host, name: str) -> str:
    """For messages: what libvirt says of it, and what it said last itself."""
    state = guests.virsh(host, "domstate", "--reason", name, check=False).strip()
    (address,) = [row["address"] for row in guests.listing(places()) if row["name"] == name]
    answers = "answers" if enter.answers("udp", address, 5) else "does not answer"
    said = guests.console_of(host, name)
    complaints, where = console.parse(said).complaints, vcpu(host, name)
    return f"it is {state!r}, {answers}, its vCPU is at {where}; it has said {complaints} and last {said[-200:]!r}"


def vcpu(host: Host, name: str) -> list[str]:
    """For messages: where its only vCPU is, some times: one that waits for an interrupt (HLT=1), or runs in circles;
    or that its QEMU does not say."""
    command = ["qemu-monitor-command", "--hmp", name, "info registers"]
    try:
        said = [guests.virsh(host, *command, check=False) for _look in range(LOOKS)]
    except LabError as error:
        return [str(error)]
    return [" ".join(REGISTERS.findall(text)) for text in said]
