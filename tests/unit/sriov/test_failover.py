# SPDX-License-Identifier: GPL-3.0-or-later

"""QEMU's own failover: it asks the guest and puts the function on, and what it does not do is seen to."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import nics
from tests.unit.migrate.standin import Domain
from tests.unit.migrate.test_migrate import UUID
from tests.unit.sriov.host import MAC, devices_of, place
from tests.unit.sriov.test_crashes import QUICK, World

libvirt = _libvirt.libvirt


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(nics, "RULES", QUICK._replace(attempts=10, detach_s=0.05))
    found = World(tmp_path)
    found.qemu_does_it = True
    return found


def waiting(world: World, first: int = 1) -> None:
    """QEMU asks the guest, which does not answer, and waits until it is told to stop (qemu_savevm_wait_unplug).
    ``first``: the number of its first pass."""
    stopped = threading.Event()

    def migrate(_domain: Domain, *_arguments: object) -> None:
        world.process.calls.append("migrate")
        world.hosts["hv1"].iterate(UUID, first)
        world.guest.leaving += [each for each in world.guest.devices if "hostdev" in each]
        assert stopped.wait(5), "nobody has stopped it"
        raise libvirt.libvirtError("operation aborted: migration out job: canceled by client")

    world.guest.migration, world.guest.abort = migrate, lambda _domain: stopped.set()


def failing(world: World, passes: t.Sequence[int]) -> None:
    """It fails after the beginning of these passes, and QEMU has put the function on again."""

    def migrate(_domain: Domain, *_arguments: object) -> None:
        world.process.calls.append("migrate")
        for number in passes:
            world.hosts["hv1"].iterate(UUID, number)
        raise libvirt.libvirtError("operation failed: migration of a device failed")

    world.guest.migration = migrate


def test_qemu_does_it_and_the_planned_function_is_sent(world: World) -> None:
    world.hosts["hv2"].functions = {1: ("eth1", "up", [4])}
    (outcome,) = world.move(vf="failover")
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    assert world.process.calls == ["mark", "migrate", "unmark"]
    for name in ("destination_xml", "persistent_xml"):
        assert [place(each) for each in devices_of(world.asked[name]) if "hostdev" in each] == ["0000:01:10.4"]
    phases = [phase["name"] for phase in outcome["phases"]]
    assert "vf_off" in phases and phases[-1] == "vf_on"
    assert "vf_gone" not in phases, "when the guest has answered QEMU is not known to the moment"


TEAM = dict.fromkeys(("eth0", "eth1", "eth2"), MAC)
"""What the guest's agent shows: net_failover's own device, the standby and the function."""


def test_a_function_that_qemu_has_lost_is_told_and_put_on_by_recover(world: World) -> None:
    """VFIO_MAP_DMA can fail there without failing the migration: the guest comes up without what libvirt shows."""
    world.guest.agent, world.qemu_loses_it = TEAM, True
    (outcome,) = world.move(vf="failover")
    assert (outcome["state"], outcome["running_on"]) == ("moved", "hv2")
    assert MAC in outcome["error"] and "the guest does not show it" in outcome["error"]
    assert [phase["name"] for phase in outcome["phases"]][-1] == "vf_unseen"
    assert world.running[1].notes and "detach" not in world.process.calls, "the guest may be slow"
    (entry,) = world.recover()
    assert entry["error"] is None and "does not show it yet" in entry["meaning"]
    assert world.process.calls[-3:] == ["detach", "attach", "unmark"]
    assert world.complete() and world.running[1].notes == {} and world.recover() == []


def test_a_function_that_the_guest_shows_late_is_left_alone(world: World) -> None:
    world.guest.agent, world.qemu_loses_it = TEAM, True
    world.move(vf="failover")
    world.running[1].agent = TEAM
    (entry,) = world.recover()
    assert (entry["error"], entry["did"]) == (None, ["release_destination"])
    assert world.process.calls == ["mark", "migrate", "unmark"] and world.running[1].notes == {}


@pytest.mark.parametrize("agent", [None, {"eth0": MAC}], ids=["no agent", "never shown"])
def test_a_function_that_was_not_seen_before_is_not_taken_for_lost(world: World, agent: dict[str, str] | None) -> None:
    world.guest.agent, world.qemu_loses_it = agent, True
    (outcome,) = world.move(vf="failover")
    assert outcome["state"] == "moved" and "does not show it" in outcome["error"]
    assert world.process.calls == ["mark", "migrate", "unmark"] and world.recover() == []


def test_an_agent_that_does_not_answer_has_not_lost_it(world: World) -> None:
    arrives = world.guest.migration
    assert arrives is not None

    def arrive(*arguments: t.Any) -> None:
        arrives(*arguments)
        world.running[1].agent = None

    world.guest.agent, world.guest.migration = TEAM, arrive
    (outcome,) = world.move(vf="failover")
    assert (outcome["state"], outcome["error"]) == ("moved", None) and world.running[1].notes == {}


def test_an_agent_that_falls_silent_has_not_found_it(world: World) -> None:
    """It has said that the function is missing; what it does not say later is no proof that it is back."""
    world.guest.agent, world.qemu_loses_it = TEAM, True
    world.move(vf="failover")
    world.running[1].agent = None
    (entry,) = world.recover()
    assert "its agent does not answer now" in entry["error"] and world.running[1].notes


def test_after_a_new_start_nobody_waits_for_an_agent(world: World) -> None:
    world.guest.agent, world.qemu_loses_it = TEAM, True
    world.move(vf="failover")
    there = world.running[1]
    there.agent, there.number = None, there.number + 1
    (entry,) = world.recover()
    assert entry["error"] is None and there.notes == {}


def test_a_second_attempt_tells_of_what_the_first_has_lost(world: World) -> None:
    """The module was killed after the switchover, and QEMU has not put on what nobody had seen before."""
    world.guest.agent, world.qemu_loses_it = {"eth0": MAC}, True
    world.process.kill, world.process.after = ("migrate", 1), True
    assert world.move(vf="failover") == []
    world.restart()
    (outcome,) = world.move(vf="failover")
    assert outcome["state"] == "moved" and "does not show it yet" in outcome["error"]


def test_what_the_guest_keeps_and_does_not_show_is_told(world: World) -> None:
    world.guest.agent, world.qemu_loses_it = TEAM, True
    world.move(vf="failover")
    world.running[1].lets_go = "refused"
    (entry,) = world.recover()
    assert "does not show it yet" in (entry["error"] or entry["meaning"])


def test_a_guest_that_keeps_what_it_does_not_show_is_asked_by_each_recover_once(world: World) -> None:
    world.guest.agent, world.qemu_loses_it = TEAM, True
    world.move(vf="failover")
    there = world.running[1]
    there.lets_go = "never"
    for number in (1, 2):
        (entry,) = world.recover()
        assert "has not answered" in entry["error"] and world.process.calls.count("detach") == number
    there.agent = TEAM
    there.let_go()
    (entry,) = world.recover()
    assert entry["error"] is None and world.complete() and there.notes == {}, "it was asked, and has let go late"


@pytest.mark.parametrize("first", [1, 4], ids=["first", "QEMU counts on after a cancelled migration"])
def test_a_guest_that_does_not_let_go_is_not_waited_for_for_ever(world: World, first: int) -> None:
    waiting(world, first)
    world.guest.lets_go = "never"
    (outcome,) = world.move(vf="failover")
    assert (outcome["state"], outcome["running_on"]) == ("failed", "hv1")
    assert "has not let go of its functions within 0.5 s" in outcome["error"]
    assert MAC in outcome["error"] and "has not answered" in outcome["error"]
    assert world.guest.notes, "the intent stays, so that somebody looks again"


@pytest.mark.parametrize("stats", [{}, {"disk_remaining": 4096}], ids=["Prepare", "disks are copied"])
def test_what_comes_before_the_guest_is_asked_does_not_count(world: World, stats: dict[str, int]) -> None:
    """Twice as long as the guest has."""
    stopped = threading.Event()

    def migrate(*arguments: t.Any) -> None:
        if stats:
            world.hosts["hv2"].send(UUID, "STARTED", "STARTED_MIGRATED")
        if stopped.wait(1.0):
            raise libvirt.libvirtError("operation aborted: migration out job: canceled by client")
        world.guest.stats = {}
        for number in (1, 2):
            world.hosts["hv1"].iterate(UUID, number)
        world.arrive(*arguments)

    world.guest.migration, world.guest.abort = migrate, lambda _domain: stopped.set()
    world.guest.stats = stats
    (outcome,) = world.move(vf="failover")
    assert (outcome["state"], outcome["error"]) == ("moved", None)


def test_a_qemu_that_tells_of_no_pass_while_it_waits(world: World) -> None:
    """QEMU 11.1: the destination is prepared, no disk is copied, and there is no page of which libvirt tells."""
    stopped = threading.Event()

    def migrate(*_arguments: object) -> None:
        world.hosts["hv2"].send(UUID, "STARTED", "STARTED_MIGRATED")
        assert stopped.wait(5), "nobody has stopped it"
        raise libvirt.libvirtError("operation aborted: migration out job: canceled by client")

    world.guest.migration, world.guest.abort = migrate, lambda _domain: stopped.set()
    (outcome,) = world.move(vf="failover")
    assert outcome["state"] == "failed" and "has not let go of its functions within 0.5 s" in outcome["error"]


def test_a_guest_that_lets_go_after_a_failed_failover_gets_it_back(world: World) -> None:
    waiting(world)
    world.guest.lets_go = "never"
    world.move(vf="failover")
    world.restart()
    world.guest.let_go()
    assert not world.complete()
    (entry,) = world.recover()
    assert entry["error"] is None and world.complete() and world.guest.notes == {}


@pytest.mark.parametrize(
    ("passes", "calls"),
    [
        ([1, 2], ["mark", "migrate", "unmark"]),
        ([2, 3], ["mark", "migrate", "unmark"]),
        ([1], ["mark", "migrate", "detach", "attach", "unmark"]),
        ([2], ["mark", "migrate", "detach", "attach", "unmark"]),
        ([], ["mark", "migrate", "detach", "attach", "unmark"]),
    ],
    ids=[
        "it had let go",
        "it had let go, QEMU 11.1 or a count that goes on",
        "it was asked, and nobody knows",
        "the first pass of a count that goes on, or the end of QEMU 11.1's",
        "nothing is known",
    ],
)
def test_after_a_failure_the_guest_is_asked_where_it_may_still_let_go(
    world: World, passes: list[int], calls: list[str]
) -> None:
    """The first pass is told of before the guest is asked, the second after it has let go; QEMU 11.1 tells of the end
    of the first, and after a cancelled migration the count may go on. Once more does no harm."""
    failing(world, passes)
    (outcome,) = world.move(vf="failover")
    assert outcome["state"] == "failed" and "left to do" not in outcome["error"]
    assert world.process.calls == calls
    assert world.complete() and world.guest.notes == {}


@pytest.mark.parametrize("after", [False, True])
def test_a_module_that_is_killed_meanwhile(world: World, after: bool) -> None:
    world.process.kill, world.process.after = ("migrate", 1), after
    assert world.move(vf="failover") == []
    (entry,) = world.recover()
    assert entry["error"] is None and world.running[0] == ("hv2" if after else "hv1")
    assert world.complete() and world.running[1].notes == {}
    assert ("detach" in world.process.calls) is not after


def lost(world: World, there: bool) -> None:
    """The connection breaks at the end, with the guest paused at the source; ``there``: the destination runs it."""
    source, target = world.hosts["hv1"], world.hosts["hv2"]

    def lose(domain: Domain, *_arguments: object) -> None:
        world.process.calls.append("migrate")
        for number in (1, 2):
            source.iterate(UUID, number)
        source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        target.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        if there:
            target.put(number=7).notes = dict(domain.notes)
        source.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        raise libvirt.libvirtError("client socket is closed")

    world.guest.migration = lose


@pytest.mark.parametrize(("there", "state", "host"), [(False, "failed", "hv1"), (True, "moved", "hv2")])
def test_a_source_that_was_held_is_known_although_its_guest_has_let_go(
    world: World, there: bool, state: str, host: str
) -> None:
    """That it has let go is noted after guard.py has paused it: a user has not."""
    lost(world, there)
    (outcome,) = world.move(vf="failover")
    noted = [entry["event"] for entry in world.records.entries("run-1")]
    assert noted.index("held") < noted.index("vf_gone")
    assert (outcome["state"], outcome["running_on"]) == (state, host)
    name, guest = world.running
    assert name == host and guest.running and guest.notes == {} and world.complete()


def test_what_pauses_a_guest_that_was_held_and_resumed_is_a_user(world: World) -> None:
    world.qemu_does_it = False
    lost(world, there=False)
    world.hosts["hv1"].claimed = {"0000:01:10.0", "0000:01:10.2"}
    (outcome,) = world.move(vf="replug")
    assert "no function can be had" in outcome["error"] and world.guest.running
    world.guest.become("PAUSED", "PAUSED_USER")
    world.hosts["hv1"].claimed = set()
    world.recover()
    assert not world.guest.running
