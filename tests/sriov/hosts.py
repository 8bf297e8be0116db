# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of the SR-IOV lab, its networks and where it keeps things."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.lab import places as lab_places
from tests.lab.errors import LabError
from tests.lab.hosts import CONTROLLER, CONTROLLER_OCTET, NETWORK, Host
from tests.lab.places import LAB, NETNS, Places

# libvirt 9.0 and QEMU 7.2 are the versions of the bug report that this project starts from.
HOSTS: tuple[Host, ...] = (
    Host("sr1", "bookworm", 1, "6c1d0011-5a1b-4a6e-8b1e-2f0d00000011"),
    Host("sr2", "bookworm", 2, "6c1d0012-5a1b-4a6e-8b1e-2f0d00000012"),
)
BY_NAME = {host.name: host for host in HOSTS}
# The suite whose QEMU runs the machines: the igb device came with QEMU 8.0.
EMULATOR_SUITE = "trixie"

# Names with '_': no lab of tests/lab, whatever its name, takes these for its own (see processes.namespaces).
NETNS_NAME = f"sriov_{LAB}"
LOCK = Path(f"/run/livemig-sriov_{LAB}.lock")

# The network of the VFs. Management and migration use the other lab's addresses, in this lab's own namespace.
WIRE_NETWORK = "203.0.113"
VFS = 2
MEMORY_MIB = 3584


def namespace() -> Path:
    return NETNS / NETNS_NAME


def places() -> Places:
    """The other lab's directories, so that roots and images are shared, with a state of its own."""
    where = lab_places.places()
    return replace(where, state=where.state.with_name(f"{where.state.name}_sriov"))


def host(name: str) -> Host:
    """The machine of that name, or a LabError that lists the names there are."""
    if name not in BY_NAME:
        raise LabError(f"the host is '{name}'", "one of " + ", ".join(BY_NAME), "use one of these")
    return BY_NAME[name]


def management_mac(machine: Host) -> str:
    return f"52:54:00:4c:60:{machine.octet:02x}"


def pf_mac(machine: Host) -> str:
    return f"52:54:00:4c:61:{machine.octet:02x}"


def wire_address(octet: int) -> str:
    return f"{WIRE_NETWORK}.{octet}"


def vf_address(number: int) -> str:
    """PCI address of a VF, counted from 0: those of an 82576 begin at 0x80 of the PF's bus, every second function."""
    function = 0x80 + 2 * number
    return f"0000:01:{function >> 3:02x}.{function & 7:x}"


def etc_hosts() -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{entry.address} {entry.name}" for entry in HOSTS]
    lines += [f"{NETWORK}.{CONTROLLER_OCTET} {CONTROLLER}"]
    return "\n".join(lines) + "\n"
