# SPDX-License-Identifier: GPL-3.0-or-later

"""Every failure and every crash, at every step: the guest has its NICs at the end, or it is said which it lacks."""

from __future__ import annotations

import itertools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import nics
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import (
    Asked,
    Options,
    Records,
    Rules,
    migrate,
    recover,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov import api as sriov
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.nic import nics_of
from tests.unit.migrate.standin import XML, Domain
from tests.unit.migrate.test_migrate import LOCAL, REMOTE, UUID, move
from tests.unit.sriov.host import (
    MAC,
    NAMED,
    STANDBY,
    Guest,
    Killed,
    Process,
    SriovHost,
    alias_of,
    devices_of,
    place,
    vf,
    without_team,
)

libvirt = _libvirt.libvirt
QUICK = sriov.Rules(attempts=2, detach_s=0.02, late_s=0.02, carries_s=0.02, verify_s=0.0)
OPTIONS = Options("off", 60, 0, apart_s=0)


class World:
    """Two hosts with the guest on hv1, and a way to move it, to crash, and to recover as either host."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.process = folder, Process()
        self.hosts = {name: SriovHost(name, number, self.process) for number, name in ((1, "hv1"), (2, "hv2"))}
        self.records = Records(str(folder / "state"), str(folder / "run"))
        self.guest = self._leaves(self.hosts["hv1"].put())
        self.names = ["ua-standby", "ua-vf"]
        self.asked: dict[str, t.Any] = {}
        self.qemu_does_it = self.qemu_loses_it = False

    def _leaves(self, guest: Guest) -> Guest:
        guest.migration, guest.auto = self.arrive, 1
        return guest

    def take_twins(self) -> None:
        """The guest has two functions with one MAC address, and each host one more."""
        for host in self.hosts.values():
            host.functions = {1: ("eth1", "up", [0, 2, 4])}
        self.guest = self._leaves(self.hosts["hv1"].put_twins())
        self.names = ["ua-standby", "ua-twin", "ua-vf"]

    def arrive(self, domain: Domain, _uri: str, parameters: dict[str, t.Any], _flags: int) -> None:
        self.process.changes("migrate", lambda: self._arrive(t.cast(Guest, domain), parameters))

    def _arrive(self, domain: Guest, parameters: dict[str, t.Any]) -> None:
        """As libvirt does it, where QEMU lets it: with a function in the guest it does not."""
        if any("hostdev" in each for each in domain.devices) and not self.qemu_does_it:
            raise libvirt.libvirtError("cannot migrate domain: VFIO migration is not supported in kernel")
        self.asked = parameters
        source, target = self.hosts["hv1"], self.hosts["hv2"]
        source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        source.complete(UUID, {"downtime": 57})
        target.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        there = target.put(number=7)
        sent = devices_of(parameters["destination_xml"]) if "destination_xml" in parameters else domain.devices
        there.devices = list(sent)
        there.config = _config(parameters, domain)
        there.notes, there.auto = dict(domain.notes), 0
        there.lets_go, there.silent, there.agent = domain.lets_go, domain.silent, domain.agent
        if self.qemu_loses_it:
            there.agent = {"eth0": MAC}  # libvirt is told nothing, and has it all the same
        del source.domains[UUID]

    def connect(self, uri: str) -> t.Any:
        self.process.alive()
        return {LOCAL: self.hosts["hv1"], REMOTE: self.hosts["hv2"]}[uri]

    def move(self, edits: t.Sequence[t.Any] = (), **way: t.Any) -> list[t.Any]:
        """The outcome; empty where the process was killed."""
        moves = [move(way={**plain_way(), "vf": "replug", **way}, edits=list(edits))]
        try:
            return list(migrate(LOCAL, moves, OPTIONS, 1, self.connect, self.records, "run-1"))
        except Killed:
            return []

    def restart(self) -> None:
        """Another process: nothing is left of the first but its files."""
        self.process.dead, self.process.kill = False, None
        for host in self.hosts.values():
            host.callbacks.clear()

    def recover(self) -> list[t.Any]:
        self.restart()
        asked = Asked("hv1", LOCAL, {"hv2": REMOTE})
        return list(recover(asked, Rules(return_s=0, apart_s=0), self.connect, self.records))

    @property
    def running(self) -> tuple[str, Guest]:
        (found,) = [(name, host.domains[UUID]) for name, host in self.hosts.items() if UUID in host.domains]
        return found[0], t.cast(Guest, found[1])

    def complete(self) -> bool:
        """The guest has all of its NICs, once each, and its definition too."""
        _name, guest = self.running
        for devices in (guest.devices, guest.config):
            functions = {place(each) for each in devices if "hostdev" in each}
            if sorted(map(alias_of, devices)) != self.names or len(functions) != len(self.names) - 1:
                return False
            if any(MAC not in each for each in devices):
                return False
        return True


def _config(parameters: dict[str, t.Any], domain: Guest) -> list[str]:
    return devices_of(parameters["persistent_xml"]) if "persistent_xml" in parameters else list(domain.config)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(nics, "RULES", QUICK)
    return World(tmp_path)


def _fault(**changes: t.Any) -> t.Callable[[World], None]:
    return lambda world: world.guest.__dict__.update(changes)


def _no_function(world: World) -> None:
    world.hosts["hv2"].functions = {1: ("eth1", "up", [])}


def _no_link(world: World) -> None:
    world.hosts["hv2"].functions = {1: ("eth1", "down", [0, 2])}


def _first_claimed(world: World) -> None:
    world.hosts["hv2"].claimed = {"0000:01:10.0"}


def _all_claimed(world: World) -> None:
    world.hosts["hv2"].claimed = {"0000:01:10.0", "0000:01:10.2"}


def _attach_fails(world: World) -> None:
    world.hosts["hv2"].broken = True


def _migration_fails(world: World) -> None:
    def fail(_domain: Domain, *_arguments: object) -> None:
        def work() -> None:
            raise libvirt.libvirtError("operation failed: migration of a device failed")

        world.process.changes("migrate", work)

    world.guest.migration = fail


def _stolen_at_home(world: World) -> None:
    _migration_fails(world)
    world.hosts["hv1"].claimed = {"0000:01:10.0"}


def _nothing_left_at_home(world: World) -> None:
    _migration_fails(world)
    world.hosts["hv1"].claimed = {"0000:01:10.0", "0000:01:10.2"}


def _nothing(_world: World) -> None:
    """All goes well."""


FAULTS: dict[str, t.Callable[[World], None]] = {
    "none": _nothing,
    "no function there": _no_function,
    "no link there": _no_link,
    "the guest never lets go": _fault(lets_go="never"),
    "the guest refuses": _fault(lets_go="refused"),
    "the daemon refuses": _fault(lets_go="error"),
    "the daemon dies when asked": _fault(lets_go="the daemon dies"),
    "the daemon dies and the guest lets go": _fault(lets_go="the daemon dies and it goes"),
    "the standby is silent": _fault(silent="without it"),
    "nobody talks to the guest": _fault(silent="always"),
    "the migration fails": _migration_fails,
    "the migration fails and its function is taken": _stolen_at_home,
    "the migration fails and all functions are taken": _nothing_left_at_home,
    "the first function is taken": _first_claimed,
    "all functions are taken": _all_claimed,
    "no attach works": _attach_fails,
}
CRASHES: list[tuple[str, int, bool] | None] = [
    None,
    *(
        (name, 1, after)
        for name in ("mark", "detach", "migrate", "attach", "define", "unmark")
        for after in (False, True)
    ),
    ("attach", 2, False),
    ("attach", 2, True),
    ("detach", 2, True),
]
MESSAGES = ("is missing on", "and has not answered", "was being taken off and may be missing")
COMBINATIONS = list(itertools.product(FAULTS, CRASHES))


def _name(crash: tuple[str, int, bool] | None) -> str:
    return "no crash" if crash is None else f"{'after' if crash[2] else 'before'} {crash[0]} {crash[1]}"


@pytest.mark.parametrize("twins", [False, True], ids=["one function", "two with one MAC address"])
@pytest.mark.parametrize(
    ("fault", "crash"), COMBINATIONS, ids=[f"{fault}, {_name(crash)}" for fault, crash in COMBINATIONS]
)
def test_a_guest_never_loses_a_nic(world: World, fault: str, crash: tuple[str, int, bool] | None, twins: bool) -> None:
    if twins:
        world.take_twins()
    FAULTS[fault](world)
    if crash is not None:
        world.process.kill, world.process.after = crash[:2], crash[2]
    outcomes = world.move()
    told = " ".join(str(each["error"]) for each in outcomes)
    if not outcomes:
        told = " ".join(f"{each['sentence']} {each['error']}" for each in world.recover())
    assert world.complete() or any(text in told for text in MESSAGES), told
    if not world.complete():
        assert MAC in told and world.running[0] in told and "recover" in told
    # What was in the way is gone: the next recover ends it, and the one after that finds nothing.
    for host in world.hosts.values():
        host.broken, host.claimed, host.answers = False, set(), True
    world.running[1].let_go()
    world.running[1].lets_go = "at once"
    world.recover()
    assert world.complete()
    assert world.running[1].notes == {} and world.running[1].auto == 1
    assert [each["did"] for each in world.recover()] == []


def test_there_are_enough_of_them() -> None:
    assert len(COMBINATIONS) >= 20


def test_without_a_fault_it_gets_what_was_planned(world: World) -> None:
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    name, guest = world.running
    assert name == "hv2"
    assert [place(each) for each in guest.devices if "hostdev" in each] == ["0000:01:10.0"]
    assert world.process.calls == ["mark", "detach", "migrate", "attach", "unmark"]
    vf = next(each for each in guest.devices if "hostdev" in each)
    for kept in (MAC, "<tag id=", "42", "ua-vf", "ua-standby", 'bus="0x02"'):
        assert kept in vf, "MAC, VLAN, alias, team and the address in the guest stay"
    assert STANDBY in guest.devices


def test_the_phases_show_when_it_was_off(world: World) -> None:
    (outcome,) = world.move()
    phases = {phase["name"]: phase["at_ms"] for phase in outcome["phases"]}
    assert phases["vf_off"] <= phases["vf_gone"] <= phases["suspended"] <= phases["vf_on"]
    assert list(phases)[:2] == ["vf_off", "vf_gone"]


def test_a_device_and_a_network_that_go_while_they_are_listed_cost_nothing(world: World) -> None:
    for host in world.hosts.values():
        host.vanishing = True
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None) and world.complete()


@pytest.mark.parametrize("silent", ["always", "hears only"])
def test_a_guest_that_sends_nothing_is_moved_and_that_is_told(world: World, silent: str) -> None:
    """What comes to it by itself, a broadcast, says nothing of its own traffic."""
    world.guest.silent = silent
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None) and world.complete()
    assert "standby_quiet" in [phase["name"] for phase in outcome["phases"]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["eth0"], ["vf_on", "vf_unseen"]),
        (["eth0", "eth1"], ["vf_on", "vf_unseen"]),
        (["eth0", "eth1", "eth0.42"], ["vf_on", "vf_unseen"]),
        (["eth0", "eth1", "eth2"], ["suspended", "vf_on"]),
    ],
)
def test_a_guest_that_does_not_show_it_is_told(world: World, names: list[str], expected: list[str]) -> None:
    """net_failover's own device and the standby have its MAC address too, and VLANs on top of it."""
    world.guest.agent = dict.fromkeys(names, MAC)
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    shown = [phase["name"] for phase in outcome["phases"] if phase["name"] in ("suspended", "vf_on", "vf_unseen")]
    assert shown[-2:] == expected


def test_an_error_that_is_no_claim_is_not_tried_on_every_function(world: World) -> None:
    world.hosts["hv2"].functions = {1: ("eth1", "up", [0, 2, 4, 6])}
    FAULTS["no attach works"](world)
    (outcome,) = world.move()
    assert "is missing on hv2" in outcome["error"] and world.process.calls.count("attach") == 3


def test_memory_at_once_is_asked_for_by_the_definition_that_is_sent(world: World) -> None:
    (outcome,) = world.move(vf_immediate=True)
    assert outcome["error"] is None and world.complete()
    assert '<allocation mode="immediate"' in world.asked["destination_xml"]
    assert "immediate" not in str(world.asked.get("persistent_xml")), "the next start is the user's own"


def test_the_next_function_is_taken_and_written_down(world: World) -> None:
    FAULTS["the first function is taken"](world)
    (outcome,) = world.move()
    assert outcome["state"] == "moved" and outcome["error"] is None
    guest = world.running[1]
    for devices in (guest.devices, guest.config):
        assert [place(each) for each in devices if "hostdev" in each] == ["0000:01:10.2"]


@pytest.mark.parametrize("standby", ["eth1", "eth9"])
def test_a_port_with_another_name_there(world: World, standby: str) -> None:
    """The same change is for a macvtap on that port too, where there is one."""
    world.hosts["hv2"].functions = {3: ("eth2", "up", [0])}
    world.guest.devices[0] = world.guest.config[0] = STANDBY.replace("eth1", standby)
    (refused,) = world.move()
    assert refused["state"] == "refused" and "it is of port eth2, not eth1" in refused["error"]
    (outcome,) = world.move([{"kind": "parent", "item": None, "old": "eth1", "new": "eth2"}])
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    assert [place(each) for each in world.running[1].devices if "hostdev" in each] == ["0000:03:10.0"]
    assert ("destination_xml" in world.asked) is (standby == "eth1")


def test_a_function_that_migrates_needs_no_standby(world: World) -> None:
    for devices in (world.guest.devices, world.guest.config):
        devices.remove(STANDBY)
    (refused,) = world.move()
    assert refused["state"] == "refused" and "has no standby" in refused["error"]
    world.qemu_does_it = True
    (outcome,) = world.move(vf="native")
    assert outcome["state"] == "moved" and world.process.calls == ["mark", "migrate", "unmark"]


def test_the_standby_of_a_bond_is_known_by_the_agent(world: World) -> None:
    """The last look asks no agent; what stands in is looked for right before the function is taken off."""
    for devices in (world.guest.devices, world.guest.config):
        devices[:] = map(without_team, devices)
    (refused,) = world.move()
    assert refused["state"] == "refused" and "has no standby" in refused["error"]
    assert world.process.calls == []
    world.guest.agent = {"bond0": MAC, "eth0": MAC, "eth1": MAC}
    (outcome,) = world.move()
    assert (outcome["state"], outcome["error"]) == ("moved", None)
    assert world.guest.packets[1] > 1, "its packets were looked at"


def test_its_own_function_is_tried_although_the_host_has_set_it_up_again(world: World) -> None:
    FAULTS["the migration fails"](world)
    world.hosts["hv1"].nets = {"0000:01:10.0": "eth7"}
    (outcome,) = world.move()
    assert outcome["state"] == "failed" and "left to do" not in outcome["error"]
    assert [place(each) for each in world.guest.devices if "hostdev" in each] == ["0000:01:10.0"]


@pytest.mark.parametrize(("left", "expected"), [([0, 2], "moved"), ([0], "refused")])
def test_what_another_guest_on_its_way_is_to_get_is_not_promised_twice(
    world: World, left: list[int], expected: str
) -> None:
    world.hosts["hv2"].functions = {1: ("eth1", "up", left)}
    (other,) = nics_of(XML.replace("</devices>", f"{vf('0000:01:10.0')}</devices>"), None)
    kept = other._replace(planned="0000:01:10.0")._asdict()
    world.records.ready()
    about = {"uuid": "22222222-2222-4222-8222-222222222222", "domain": "web2", "tls": "off"}
    world.records.note("run-0", "begun", move=move(domain="web2"), nics=[kept], **about)
    (outcome,) = world.move()
    assert outcome["state"] == expected
    there = [place(each) for each in world.running[1].devices if "hostdev" in each]
    assert there == (["0000:01:10.2"] if expected == "moved" else ["0000:01:10.0"])


POOL = ["0000:01:10.0", "0000:01:10.2"]


@pytest.mark.parametrize(("given", "state"), [(0, "moved"), (1, "moved"), (2, "refused")])
def test_a_network_gives_out_another_function(world: World, given: int, state: str) -> None:
    """Nothing is rewritten: the definition names the network, on both hosts."""
    world.guest.config[1] = NAMED
    world.hosts["hv2"].pool, world.hosts["hv2"].given = POOL, given
    (outcome,) = world.move()
    assert outcome["state"] == state and (state == "refused" or outcome["error"] is None)
    host, guest = world.running
    assert [place(each) for each in guest.devices if "hostdev" in each] == (POOL[given:][:1] or ["0000:01:10.0"])
    assert guest.config[1] == NAMED
    assert world.process.calls == ([] if state == "refused" else ["mark", "detach", "migrate", "attach", "unmark"])


def test_a_network_that_is_not_there_is_seen_before_anything_is_touched(world: World) -> None:
    world.guest.config[1] = NAMED
    (outcome,) = world.move()
    assert outcome["state"] == "refused" and world.process.calls == []
    assert "Network vfs of hv2" in outcome["error"] and "nothing was touched" in outcome["error"]


def test_a_network_whose_last_function_goes_meanwhile(world: World) -> None:
    world.guest.config[1] = NAMED
    there = world.hosts["hv2"]
    there.pool = POOL[:1]
    arrives = world.guest.migration
    assert arrives is not None

    def arrive(*arguments: t.Any) -> None:
        arrives(*arguments)
        there.given = 1

    world.guest.migration = arrive
    (outcome,) = world.move()
    assert outcome["state"] == "moved" and "none are available" in outcome["error"]
    assert MAC in outcome["error"] and world.running[1].notes
    there.given = 0
    (entry,) = world.recover()
    assert entry["error"] is None and [place(each) for each in world.running[1].devices][1] == POOL[0]


@pytest.mark.parametrize("fault", ["no function there", "no link there"])
def test_nothing_is_touched_where_the_destination_has_nothing(world: World, fault: str) -> None:
    FAULTS[fault](world)
    (outcome,) = world.move()
    assert (outcome["state"], outcome["running_on"]) == ("refused", "hv1")
    assert world.process.calls == []
    assert "nothing was touched" in outcome["error"]


def test_a_paused_guest_is_asked_for_nothing(world: World) -> None:
    world.guest.become("PAUSED", "PAUSED_USER")
    (outcome,) = world.move()
    assert outcome["state"] == "refused" and "detach" not in world.process.calls


def test_a_return_of_0_is_not_believed(world: World) -> None:
    """libvirt returns after 5 s although the device is still there."""
    world.guest.lets_go = "never"
    (outcome,) = world.move()
    assert outcome["state"] == "failed" and "has not let go" in outcome["error"]
    asked = ["detach"] * (QUICK.attempts + 1)  # once more at the end, to know what was put back
    assert world.process.calls == ["mark", *asked]


def test_a_guest_that_lets_go_late_gets_it_back_with_recover(world: World) -> None:
    world.guest.lets_go = "never"
    world.move()
    assert world.guest.notes, "the intent stays, so that somebody looks again"
    world.restart()
    world.guest.let_go()
    assert not world.complete()
    (entry,) = world.recover()
    assert entry["error"] is None and world.complete() and world.guest.notes == {}


def test_a_guest_that_was_started_anew_is_not_waited_for(world: World) -> None:
    world.guest.lets_go = "never"
    world.move()
    world.guest.number, world.guest.leaving = 2, []
    (entry,) = world.recover()
    assert entry["error"] is None and world.guest.notes == {}


@pytest.mark.parametrize("noted", ["1@{boot}", 1], ids=["its own", "of an earlier version"])
def test_a_question_does_not_outlive_the_hosts_own_start(
    world: World, monkeypatch: pytest.MonkeyPatch, noted: str | int
) -> None:
    """libvirt numbers its domains from 1 again."""
    world.guest.lets_go = "never"
    world.move()
    if noted == 1:
        journal = world.folder / "state" / "runs" / "run-1.jsonl"
        journal.write_text(journal.read_text().replace(f'"1@{sriov.boot_id()}"', "1"))
    (entry,) = world.recover()
    assert "has not answered" in entry["error"] and world.guest.notes, "the same start of both"
    monkeypatch.setattr(nics, "boot_id", lambda: "another")
    world.guest.leaving = []
    (entry,) = world.recover()
    assert (entry["error"] is None) is (noted != 1), "the number alone does not tell"


def test_the_message_says_which_where_and_what_to_do(world: World) -> None:
    FAULTS["all functions are taken"](world)
    (outcome,) = world.move()
    assert (outcome["state"], outcome["running_on"]) == ("moved", "hv2")
    for text in (MAC, "hv2", "0000:01:10.0", "in use", "run recover"):
        assert text in outcome["error"]
    assert world.running[1].notes
