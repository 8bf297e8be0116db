# SPDX-License-Identifier: GPL-3.0-or-later

"""A migration that is begun again with a guest that is slowed down: each attempt is a transaction of its own."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import nics
from tests.unit.migrate import piloted
from tests.unit.migrate.standin import Domain
from tests.unit.migrate.test_migrate import Pair
from tests.unit.sriov.host import place
from tests.unit.sriov.test_crashes import QUICK, World

libvirt = _libvirt.libvirt
clock = piloted.clock
DOES_NOT_CONVERGE = [80.0] * 5
TRANSACTION = ["mark", "detach", "migrate", "attach", "unmark"]


class Passes(piloted.Memory):
    """A guest that writes too much for plain pre-copy, with a function that libvirt does not migrate."""

    def __init__(self, world: World, left: t.Sequence[float]) -> None:
        super().__init__(Pair(world.hosts["hv1"], world.hosts["hv2"], world.records), left)
        self.world = world
        self.before: t.Callable[[], None] = lambda: None

    def __call__(self, domain: Domain, uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        self.before()
        self.world.process.calls.append("migrate")
        assert not any("hostdev" in each for each in self.world.guest.devices)
        super().__call__(domain, uri, parameters, flags)

    def _over(self, domain: Domain, left: float, how: str = "MIGRATED") -> None:
        self.world._arrive(self.world.guest, self.asked[-1][0])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(nics, "RULES", QUICK)
    return World(tmp_path)


def given(world: World, left: t.Sequence[float]) -> Passes:
    passes = Passes(world, left)
    world.guest.migration = passes
    return passes


def test_each_attempt_takes_it_off_and_puts_it_back(world: World) -> None:
    passes = given(world, [*DOES_NOT_CONVERGE, 16])
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    assert [bool(flags & libvirt.VIR_MIGRATE_AUTO_CONVERGE) for _parameters, flags in passes.asked] == [False, True]
    assert world.process.calls == [*TRANSACTION, *TRANSACTION]
    assert world.running[0] == "hv2" and world.complete() and world.running[1].notes == {}
    shown = [phase["name"] for phase in outcome["phases"] if phase["name"].startswith("vf_")]
    assert shown == ["vf_off", "vf_gone", "vf_on"] * 2


def test_the_second_attempt_takes_what_the_first_has_put_back(world: World) -> None:
    """Another function than the guest began with, since that one was taken meanwhile."""
    passes = given(world, [*DOES_NOT_CONVERGE, 16])
    passes.before = lambda: world.hosts["hv1"].claimed.add("0000:01:10.0")
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    assert world.running[0] == "hv2" and world.complete()


def test_the_second_attempt_does_not_begin_with_a_nic_missing(world: World) -> None:
    passes = given(world, [*DOES_NOT_CONVERGE, 16])
    passes.before = lambda: world.hosts["hv1"].claimed.update({"0000:01:10.0", "0000:01:10.2"})
    (outcome,) = world.move()
    assert outcome["state"] == "failed" and "is missing on hv1" in outcome["error"]
    assert len(passes.asked) == 1 and world.running[0] == "hv1"
    world.hosts["hv1"].claimed.clear()
    world.recover()
    assert world.complete() and world.running[1].notes == {}


def test_a_guest_that_does_not_let_go_again_stays_with_its_nic(world: World) -> None:
    passes = given(world, [*DOES_NOT_CONVERGE, 16])
    passes.before = lambda: setattr(world.guest, "lets_go", "never")
    (outcome,) = world.move()
    assert outcome["state"] == "failed" and "has not let go" in outcome["error"]
    assert len(passes.asked) == 1 and world.running[0] == "hv1" and world.complete()
    assert [place(each) for each in world.running[1].devices if "hostdev" in each] == ["0000:01:10.0"]


def test_two_attempts_in_vain(world: World) -> None:
    passes = given(world, [120.0] * 30)
    (outcome,) = world.move()
    assert outcome["state"] == "failed" and "aborted by its policy" in outcome["error"]
    assert len(passes.asked) == 2 and world.running[0] == "hv1"
    assert world.complete() and world.running[1].notes == {}
