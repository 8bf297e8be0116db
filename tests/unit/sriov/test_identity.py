# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions that look alike, one that another cannot stand in for, and a standby that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import nics
from tests.unit.sriov.host import MAC, PLAIN, STANDBY, alias_of, place, without_team
from tests.unit.sriov.test_crashes import FAULTS, QUICK, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(nics, "RULES", QUICK)
    return World(tmp_path)


def test_functions_with_one_mac_address_are_told_apart(world: World) -> None:
    """A second function, and a bond, look like the one that is looked for."""
    world.take_twins()
    world.hosts["hv2"].functions = {1: ("eth1", "up", [4, 6])}
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None) and world.complete()
    guest = world.running[1]
    for devices in (guest.devices, guest.config):
        found = {alias_of(each): place(each) for each in devices if "hostdev" in each}
        assert found == {"ua-vf": "0000:01:10.4", "ua-twin": "0000:01:10.6"}
    off_and_on = ["detach", "detach", "migrate", "attach", "attach"]
    assert [call for call in world.process.calls if call in off_and_on] == off_and_on


def test_which_of_two_is_missing_is_said(world: World) -> None:
    world.take_twins()
    FAULTS["all functions are taken"](world)
    (outcome,) = world.move()
    assert outcome["state"] == "moved" and f"VF {MAC} (ua-twin) is missing on hv2" in outcome["error"]
    assert "(ua-vf) is missing" not in outcome["error"] and world.running[1].notes


def test_a_bond_of_functions_has_no_standby(world: World) -> None:
    """Both would be taken off."""
    world.take_twins()
    for devices in (world.guest.devices, world.guest.config):
        devices.remove(without_team(STANDBY))
    world.guest.agent = dict.fromkeys(("bond0", "eth1", "eth2"), MAC)
    (outcome,) = world.move()
    assert outcome["state"] == "refused" and "has no standby" in outcome["error"]
    assert world.process.calls == []


def test_a_plain_hostdev_is_not_replaced_by_one_with_another_mac_address(world: World) -> None:
    world.guest.devices[1] = world.guest.config[1] = PLAIN
    (outcome,) = world.move()
    assert outcome["state"] == "refused" and "<interface type='hostdev'>" in outcome["error"]
    assert world.process.calls == []


def test_a_guest_that_gets_no_answer_over_its_standby_stays(world: World) -> None:
    world.guest.silent = "without it"
    (outcome,) = world.move()
    assert (outcome["state"], outcome["running_on"]) == ("failed", "hv1") and world.complete()
    assert "sends over its standby macvtap0, and nothing has come back" in outcome["error"]
    assert "migrate" not in world.process.calls
