# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of hosts: to add one, add a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.lab.errors import LabError
from tests.lab.places import LAB

NETWORK = "198.51.100"
PREFIX = 24
CONTROLLER = "ctl"
WITNESS = "witness"
CONTROLLER_OCTET = 254
WITNESS_OCTET = 253
STORE_OCTET = 252
FIRST_GUEST_OCTET = 11
LAST_GUEST_OCTET = 250


@dataclass(frozen=True)
class Host:
    """A hypervisor: Debian suite of its root, last octet of its address, host UUID, raised by a plain `up` or not."""

    name: str
    suite: str
    octet: int
    uuid: str
    by_default: bool = True

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.octet}"

    @property
    def netns(self) -> str:
        return netns_of(self.name)


# libvirt refuses a migration between hosts with equal UUIDs, and a UUID whose digits are all the same.
HOSTS: tuple[Host, ...] = (
    Host("hv1", "trixie", 1, "6c1d0001-5a1b-4a6e-8b1e-2f0d00000001"),
    Host("hv2", "trixie", 2, "6c1d0002-5a1b-4a6e-8b1e-2f0d00000002"),
    # QEMU 7.2 corrupts TCG guests that leave it by a live migration, and libvirt 9.0 ignores shared_filesystems.
    Host("hv3", "bookworm", 3, "6c1d0003-5a1b-4a6e-8b1e-2f0d00000003", by_default=False),
    Host("hv4", "trixie", 4, "6c1d0004-5a1b-4a6e-8b1e-2f0d00000004"),
    # A newer libvirt: as destination its daemon survives that a failed post-copy is resumed, and that of 11.3 does not.
    Host("hv5", "testing", 5, "6c1d0005-5a1b-4a6e-8b1e-2f0d00000005", by_default=False),
    Host("hv6", "testing", 6, "6c1d0006-5a1b-4a6e-8b1e-2f0d00000006", by_default=False),
)
BY_NAME = {host.name: host for host in HOSTS}
# No hypervisor: no libvirtd, no guests. `store up` raises it.
STORE = Host("store", "trixie", STORE_OCTET, "6c1d00fc-5a1b-4a6e-8b1e-2f0d000000fc", by_default=False)


def netns_of(name: str) -> str:
    return f"{LAB}-{name}"


def host(name: str) -> Host:
    """The host of that name, or a LabError that lists the names there are."""
    if name not in BY_NAME:
        raise LabError(
            f"the host is '{name}'",
            "one of " + ", ".join(BY_NAME),
            "use one of these or add a line to tests/lab/hosts.py",
        )
    return BY_NAME[name]


def machine(name: str) -> Host:
    """The host of that name, or the store: what has a root of its own."""
    return STORE if name == STORE.name else host(name)


def select(names: str | None) -> tuple[Host, ...]:
    """The hosts of a comma-separated list, in the table's order; without a list those that a plain `up` raises."""
    if names is None:
        return tuple(entry for entry in HOSTS if entry.by_default)
    wanted = {host(name.strip()).name for name in names.split(",") if name.strip()}
    if not wanted:
        raise LabError("the list of hosts is empty", "at least one host", "name hosts, for example --hosts hv1,hv2")
    return tuple(entry for entry in HOSTS if entry.name in wanted)


def etc_hosts(entries: Iterable[Host] = HOSTS) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{entry.address} {entry.name}" for entry in entries]
    lines += [f"{STORE.address} {STORE.name}"]
    lines += [f"{NETWORK}.{CONTROLLER_OCTET} {CONTROLLER}", f"{NETWORK}.{WITNESS_OCTET} {WITNESS}"]
    return "\n".join(lines) + "\n"
