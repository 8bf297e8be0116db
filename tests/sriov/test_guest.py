# SPDX-License-Identifier: GPL-3.0-or-later
"""A nested guest with a standby and a VF."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.guests import Started
from tests.sriov import domain, enter, guests, seen
from tests.sriov.hosts import BY_NAME, places, vf_address

HOST = BY_NAME["sr1"]
LINK_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def guest(sriov_lab: None) -> Iterator[Started]:
    yield guests.start(places(), HOST, domain.Guest("teamed"))
    assert guests.stop(places(), "teamed")


def test_it_has_standby_and_vf(guest: Started) -> None:
    assert seen.has_both(HOST, guest.name), seen.drivers(HOST, guest.name)


def test_it_answers_on_the_wire(guest: Started) -> None:
    assert enter.answers("udp", guest.address, LINK_TIMEOUT_S)


def test_the_vf_is_the_guests(guest: Started) -> None:
    link = enter.exec_on(HOST.name, ["readlink", f"/sys/bus/pci/devices/{vf_address(0)}/driver"]).stdout
    assert link.strip().endswith("/vfio-pci")
    xml = guests.virsh(HOST, "dumpxml", guest.name)
    assert f"alias name='{domain.VF_ALIAS}'" in xml and f"alias name='{domain.STANDBY_ALIAS}'" in xml


def test_it_runs_on_one_machine(guest: Started) -> None:
    (row,) = guests.listing(places())
    assert (row["name"], row["runs_on"]) == ("teamed", ["sr1"])
