# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations that were interrupted: what each state of the two hosts means, and what is done about it."""

from __future__ import annotations

import itertools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import intent, postcopy, stall, truth, verdict
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Asked, Records, Rules, recover
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.truth import Place
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Recovery
from tests.unit.migrate.standin import XML, Domain, Host
from tests.unit.migrate.test_migrate import LOCAL, UUID, fail, move

libvirt = _libvirt.libvirt
WORDS = sorted(verdict._ANY)
IN_POSTCOPY = {truth.PAUSED_POSTCOPY, truth.POSTCOPY_FAILED, truth.RUNNING_POSTCOPY}
QUICK = Rules(return_s=0, apart_s=0)
COMBINATIONS = list(itertools.product(WORDS, WORDS))


def judged(source: str, destination: str, job: bool | None = False) -> verdict.Verdict:
    return verdict.verdict(Place(source, job), Place(destination))


@pytest.mark.parametrize(
    ("source", "destination", "name"),
    [
        ("running", "absent", "rolled_back"),
        ("paused", "shutoff", "rolled_back"),
        ("running", "paused_migration", "stale_incoming"),
        ("paused_migration", "absent", "parked"),
        ("paused_migration", "shutoff_failed", "parked"),
        ("paused_migration", "fenced", "ran_there"),
        ("paused_migration", "shutoff", "ran_there"),
        ("paused_migration", "crashed", "ran_there"),
        ("fenced", "paused_migration", "stranded"),
        ("paused_migration", "paused_migration", "switchover_interrupted"),
        ("paused_migration", "running", "confirm_lost"),
        ("paused_postcopy", "running", "confirm_lost"),
        ("postcopy_failed", "postcopy_failed", "postcopy_interrupted"),
        ("paused_postcopy", "running_postcopy", "postcopy_interrupted"),
        ("postcopy_failed", "absent", "postcopy_lost"),
        ("fenced", "running_postcopy", "postcopy_source_lost"),
        ("absent", "running", "moved"),
        ("shutoff_migrated", "paused", "moved"),
        ("fenced", "running", "moved"),
        ("running", "running", "twice"),
        ("shutoff", "paused_migration", "stale_incoming"),
        ("absent", "paused_migration", "stranded"),
        ("shutoff", "absent", "ended"),
        ("absent", "absent", "ended"),
        ("silent", "running", "unknown"),
        ("running", "silent", "unknown"),
    ],
)
def test_what_two_states_mean(source: str, destination: str, name: str) -> None:
    assert judged(source, destination).name == name


def test_every_pair_of_states_has_a_row() -> None:
    assert [pair for pair in COMBINATIONS if "does not describe" in judged(*pair).meaning] == []


@pytest.mark.parametrize(("source", "destination"), COMBINATIONS)
def test_what_is_never_done(source: str, destination: str) -> None:
    action = judged(source, destination).action
    if truth.SILENT in (source, destination):
        assert action == verdict.NOTHING
    if IN_POSTCOPY & {source, destination}:
        assert action not in (verdict.RESUME_SOURCE, verdict.DESTROY_INCOMING)
    if action == verdict.RESUME_SOURCE:
        assert destination in ("absent", "shutoff_failed"), "it may have run there, on the same disk"
    if action == verdict.FINISH_CONFIRM:
        assert destination in ("running", "paused")


@pytest.mark.parametrize(("source", "destination"), COMBINATIONS)
@pytest.mark.parametrize("job", [True, None])
def test_a_job_under_way_is_left_to_libvirt(source: str, destination: str, job: bool | None) -> None:
    if source in ("silent", "absent", "fenced") or destination == "silent":
        return
    assert judged(source, destination, job).action == verdict.WAIT


class World(t.NamedTuple):
    """Two hosts, and the mark that a migration from hv1 to hv2 has left; ``look`` recovers as hv1."""

    hosts: dict[str, Host]
    records: Records

    def put(self, host: str, state: str, reason: str | None = None, marked: bool = True) -> Domain:
        domain = self.hosts[host].add(UUID).become(state, reason)
        if marked:
            intent.write(domain, intent.Intent("run-1", move(), "required"))
            domain.calls.clear()
        return domain

    def begun(self) -> None:
        self.records.ready()
        self.records.note("run-1", "begun", uuid=UUID, domain="web1", move=move(), tls="required")
        self.records.keep_definition(UUID, {"run": "run-1", "live": XML, "inactive": XML})

    def recover(self, name: str = "hv1", rules: Rules = QUICK, **asked: t.Any) -> list[Recovery]:
        uris = {host: f"qemu+tls://{host}/system" for host in self.hosts}
        by_uri = {LOCAL: self.hosts[name], **{uri: self.hosts[host] for host, uri in uris.items()}}
        return recover(Asked(name, LOCAL, uris, **asked), rules, by_uri.__getitem__, self.records)


@pytest.fixture
def world(tmp_path: Path) -> World:
    records = Records(str(tmp_path / "state"), str(tmp_path / "run"))
    return World({"hv1": Host("hv1", 1), "hv2": Host("hv2", 2)}, records)


def test_nothing_is_found_where_nothing_was_interrupted(world: World) -> None:
    world.put("hv1", "RUNNING", marked=False)
    assert world.recover() == []


def test_a_migration_that_rolled_back(world: World) -> None:
    world.begun()
    domain = world.put("hv1", "RUNNING")
    (found,) = world.recover()
    assert (found["verdict"], found["state"], found["running_on"]) == ("rolled_back", "failed", "hv1")
    assert (domain.calls, found["did"]) == (["unmark"], ["release_source"])
    assert world.recover() == []


def test_a_source_left_paused(world: World) -> None:
    domain = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    (found,) = world.recover()
    assert (found["did"], domain.calls) == (["resume_source", "release_source"], ["resume", "unmark"])


def test_both_paused_at_the_switchover_the_destination_goes_first(world: World) -> None:
    source = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    incoming = world.put("hv2", "PAUSED", "PAUSED_MIGRATION")
    incoming.persistent = False
    (found,) = world.recover()
    assert found["did"] == ["destroy_incoming", "resume_source", "release_source"]
    assert source.running and UUID not in world.hosts["hv2"].domains


def test_a_lost_confirm(world: World) -> None:
    """The source's half goes, with its definition; the destination is persistent and starts with its host as before."""
    world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    there = world.put("hv2", "RUNNING")
    there.persistent = False
    (found,) = world.recover()
    assert (found["state"], found["running_on"]) == ("moved", "hv2")
    assert found["did"] == ["finish_confirm", "release_destination"]
    assert UUID not in world.hosts["hv1"].domains
    assert (there.persistent, there.auto, there.notes) == (True, 1, {})


def test_the_destination_ends_what_the_source_has_forgotten(world: World) -> None:
    """Journal and definition are deleted on the source; the mark went along with the domain."""
    there = world.put("hv2", "RUNNING")
    (found,) = world.recover("hv2")
    assert (found["verdict"], there.notes, there.auto) == ("moved", {}, 1)


def test_the_journal_knows_what_lost_its_mark(world: World) -> None:
    """Another tool has redefined the domain, and with that dropped our mark."""
    world.begun()
    world.put("hv1", "RUNNING", marked=False)
    (found,) = world.recover()
    assert found["verdict"] == "rolled_back"
    assert world.recover() == []


def test_a_silent_host_stops_everything(world: World) -> None:
    domain = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    world.hosts["hv2"].answers = False
    (found,) = world.recover()
    assert (found["state"], found["did"], domain.calls) == ("unknown", [], [])
    assert "hv2 does not answer" in found["places"]


def test_a_dead_host_does_not(world: World) -> None:
    domain = world.put("hv1", "RUNNING")
    world.hosts["hv2"].answers = False
    (found,) = world.recover(fenced=["hv2"])
    assert (found["verdict"], found["did"], domain.calls) == ("rolled_back", ["release_source"], ["unmark"])


def test_a_source_is_not_resumed_where_the_dead_host_may_have_run_the_guest(world: World) -> None:
    domain = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    (found,) = world.recover(fenced=["hv2"])
    assert (found["verdict"], found["state"], domain.calls) == ("ran_there", "unknown", [])
    assert found["commands"] == []


@pytest.mark.parametrize(("reason", "resumed"), [("SHUTOFF_FAILED", True), (None, False), ("SHUTOFF_MIGRATED", False)])
def test_a_destination_that_has_a_definition_only(world: World, reason: str | None, resumed: bool) -> None:
    """Finish defines the domain before it starts it: it has not run there only where libvirt says that it failed."""
    domain = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    world.put("hv2", "SHUTOFF", reason)
    world.recover()
    assert ("resume" in domain.calls) is resumed


def test_a_domain_that_has_begun_to_move_once_more_is_left_to_that_run(world: World) -> None:
    """hv1 comes back with an old journal, and hv2 is at the switchover of the way to hv3."""
    world.begun()
    world.put("hv1", "SHUTOFF", marked=False)
    there = world.put("hv2", "PAUSED", "PAUSED_MIGRATION", marked=False)
    intent.write(there, intent.Intent("run-2", move(source="hv2", destination="hv3"), "required"))
    (found,) = world.recover()
    assert "it bears the mark of run run-2" in str(found["error"])
    assert UUID in world.hosts["hv2"].domains and "destroy" not in there.calls


def test_a_source_is_not_resumed_where_a_third_host_has_the_domain(world: World) -> None:
    domain = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    world.hosts["hv3"] = Host("hv3", 3)
    world.put("hv3", "RUNNING", marked=False)
    (found,) = world.recover()
    assert "it is on a third host" in str(found["error"])
    assert "resume" not in domain.calls


def test_a_guest_that_ended_after_it_had_arrived_is_defined_once(world: World) -> None:
    world.put("hv1", "SHUTOFF", "SHUTOFF_MIGRATED")
    world.put("hv2", "SHUTOFF")
    (found,) = world.recover()
    assert found["state"] == "ended"
    assert UUID not in world.hosts["hv1"].domains and world.hosts["hv2"].domains[UUID].notes == {}


def test_a_guest_that_is_paused_at_the_destination_is_named(world: World) -> None:
    world.put("hv2", "PAUSED", "PAUSED_IOERROR")
    (found,) = world.recover("hv2")
    assert (found["state"], found["running_on"]) == ("moved", "hv2")
    assert "it is paused at the destination" in str(found["error"])


def test_what_fails_with_one_migration_is_an_entry(world: World, tmp_path: Path) -> None:
    world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    (tmp_path / "run").write_text("in the way")
    (found,) = world.recover()
    assert (found["verdict"], found["state"]) == ("unknown", "unknown")
    assert "become: true" in found["meaning"]


def test_twice_is_left_to_a_person(world: World) -> None:
    both = [world.put("hv1", "RUNNING"), world.put("hv2", "RUNNING")]
    (found,) = world.recover()
    assert (found["verdict"], found["state"], found["did"]) == ("twice", "unknown", [])
    assert [domain.calls for domain in both] == [[], []]


@pytest.mark.parametrize("version", [11002000, 11003000])
def test_a_daemon_that_dies_of_a_resumed_postcopy_is_spared(world: World, version: int) -> None:
    world.put("hv1", "PAUSED", "PAUSED_POSTCOPY_FAILED")
    world.put("hv2", "RUNNING", "RUNNING_POSTCOPY_FAILED")
    world.hosts["hv2"].getLibVersion = lambda: version  # type: ignore[method-assign]
    (found,) = world.recover()
    assert (found["verdict"], found["state"], found["did"]) == ("postcopy_interrupted", "recoverable", [])
    assert "11.4 or newer" in str(found["error"])


def test_a_failed_postcopy_is_resumed(world: World) -> None:
    """libvirt keeps its job meanwhile."""
    source = world.put("hv1", "PAUSED", "PAUSED_POSTCOPY_FAILED")
    source.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    there = world.put("hv2", "RUNNING", "RUNNING_POSTCOPY_FAILED")
    world.hosts["hv2"].getLibVersion = lambda: 12008000  # type: ignore[method-assign]
    asked: list[int] = []

    def resumed(domain: Domain, _uri: str, _parameters: dict[str, t.Any], flags: int) -> None:
        asked.append(flags)
        there.become("RUNNING")
        del world.hosts["hv1"].domains[UUID]

    source.migration = resumed
    (found,) = world.recover()
    assert (found["did"], found["state"]) == (["resume_postcopy", "release_destination"], "moved")
    assert asked[0] & libvirt.VIR_MIGRATE_POSTCOPY_RESUME and asked[0] & libvirt.VIR_MIGRATE_POSTCOPY


@pytest.mark.parametrize("name", ["hv1", "hv2"])
def test_a_destination_that_has_not_noticed(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Its QEMU waits at a dead connection, which only its own host can end; recover on the other one says so."""
    source = world.put("hv1", "PAUSED", "PAUSED_POSTCOPY_FAILED")
    there = world.put("hv2", "RUNNING", "RUNNING_POSTCOPY")
    world.hosts["hv2"].getLibVersion = lambda: 12008000  # type: ignore[method-assign]
    ended: list[str] = []

    def end(domain: str, source: str, ports: t.Container[int]) -> list[stall.Pair]:
        assert 49152 in ports and 16514 not in ports and source == "hv1"
        ended.append(domain)
        there.become("RUNNING", "RUNNING_POSTCOPY_FAILED")
        return [("198.51.100.2:49152", "198.51.100.1:50000")]

    def resumed(_domain: Domain, *_arguments: object) -> None:
        if there.where == (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY):
            raise libvirt.libvirtError("migration of domain web1 is being actively monitored by another thread")
        there.become("RUNNING")
        del world.hosts["hv1"].domains[UUID]

    monkeypatch.setattr(stall, "end_incoming", end)
    monkeypatch.setattr(postcopy, "_NOTICED_S", 0.0)
    source.migration = resumed
    (found,) = world.recover(name)
    if name == "hv1":
        assert (ended, found["did"], found["state"]) == ([], [], "recoverable")
        assert "run recover on hv2 too" in str(found["error"])
    else:
        assert (ended, found["did"]) == (["web1"], ["resume_postcopy", "release_destination"])


def test_a_post_copy_of_which_only_the_daemons_have_lost_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source's libvirt says so when it is asked to resume: nothing is ended."""
    world.put("hv1", "PAUSED", "PAUSED_POSTCOPY_FAILED").migration = fail("QEMU reports migration is still running")
    world.put("hv2", "RUNNING", "RUNNING_POSTCOPY")
    monkeypatch.setattr(stall, "end_incoming", lambda *_of: pytest.fail("a healthy connection was ended"))
    world.hosts["hv2"].getLibVersion = lambda: 12008000  # type: ignore[method-assign]
    (found,) = world.recover("hv2")
    assert (found["did"], found["state"]) == ([], "recoverable") and "still running" in str(found["error"])


@pytest.mark.parametrize("version", [8004000, 9000000])
def test_a_libvirt_or_a_binding_that_cannot_resume(world: World, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    world.put("hv1", "PAUSED", "PAUSED_POSTCOPY_FAILED")
    world.put("hv2", "RUNNING", "RUNNING_POSTCOPY_FAILED")
    world.hosts["hv1"].getLibVersion = lambda: version  # type: ignore[method-assign]
    monkeypatch.delattr(libvirt, "VIR_MIGRATE_POSTCOPY_RESUME")
    world.hosts["hv2"].getLibVersion = lambda: 12008000  # type: ignore[method-assign]
    (found,) = world.recover()
    wrong = "which cannot resume a post-copy" if version < 8005000 else "it does not know VIR_MIGRATE_POSTCOPY_RESUME"
    assert (found["did"], found["state"]) == ([], "recoverable") and wrong in str(found["error"])


def test_a_guest_that_is_paused_in_post_copy_for_another_reason(world: World) -> None:
    """libvirt keeps that reason when the post-copy fails, so its memory may not be complete."""
    source = world.put("hv1", "PAUSED", "PAUSED_POSTCOPY_FAILED")
    world.put("hv2", "PAUSED", "PAUSED_IOERROR")
    world.hosts["hv2"].getLibVersion = lambda: 12008000  # type: ignore[method-assign]
    (found,) = world.recover()
    assert (found["verdict"], found["state"], found["did"], source.calls) == ("postcopy_paused", "unknown", [], [])


def test_a_guest_that_ended_is_defined_where_it_came_from(world: World) -> None:
    world.begun()
    (found,) = world.recover()
    assert (found["verdict"], found["state"]) == ("ended", "ended")
    assert not world.hosts["hv1"].domains[UUID].isActive()


def test_a_definition_that_a_failed_finish_left_over_goes(world: World) -> None:
    world.put("hv1", "RUNNING")
    world.put("hv2", "SHUTOFF", "SHUTOFF_FAILED")
    world.recover()
    assert UUID not in world.hosts["hv2"].domains


def test_a_definition_of_somebody_else_stays(world: World) -> None:
    world.put("hv1", "RUNNING")
    world.put("hv2", "SHUTOFF", marked=False)
    world.recover()
    assert UUID in world.hosts["hv2"].domains


def test_check_mode_only_says(world: World) -> None:
    domain = world.put("hv1", "PAUSED", "PAUSED_MIGRATION")
    (found,) = world.recover(rules=QUICK._replace(look_only=True))
    assert (found["verdict"], found["did"], domain.calls) == ("parked", [], [])
    assert found["commands"] == ["virsh -c qemu:///system resume web1"]


def test_a_job_under_way_is_waited_for(world: World) -> None:
    """It ends while recover waits; then the domain is seen at the destination."""
    domain = world.put("hv1", "RUNNING")
    domain.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    asked = iter(range(10))

    def job_info() -> list[int]:
        if next(asked) == 2:
            del world.hosts["hv1"].domains[UUID]
            world.put("hv2", "RUNNING")
        return [domain.job]

    domain.jobInfo = job_info  # type: ignore[method-assign]
    (found,) = world.recover(rules=QUICK._replace(wait_s=30))
    assert (found["verdict"], found["did"]) == ("moved", ["release_destination"])


def test_a_job_that_goes_on_is_reported(world: World) -> None:
    world.put("hv1", "RUNNING").job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    (found,) = world.recover()
    assert (found["verdict"], found["did"]) == ("under_way", [])


def test_a_job_is_aborted_where_that_is_wanted(world: World) -> None:
    domain = world.put("hv1", "RUNNING")
    domain.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    domain.abort = lambda domain: setattr(domain, "job", 0)
    (found,) = world.recover(rules=QUICK._replace(abort=True))
    assert (found["verdict"], found["running_on"]) == ("rolled_back", "hv1")


def test_a_domain_in_the_hands_of_another_process(world: World) -> None:
    domain = world.put("hv1", "RUNNING")
    world.records.ready()
    with world.records.lock(UUID):
        (found,) = world.recover()
    assert (found["verdict"], domain.calls) == ("in_hands", [])


def test_only_the_domains_asked_for(world: World) -> None:
    world.put("hv1", "RUNNING")
    assert world.recover(domains=["other"]) == []


@pytest.mark.parametrize(("hosts", "found"), [(["hv1"], 1), (["hv2", "hv9"], 1), (["hv9"], 0)])
def test_only_the_hosts_asked_for(world: World, hosts: list[str], found: int) -> None:
    world.put("hv1", "RUNNING")
    assert len(world.recover(hosts=hosts)) == found


def test_a_guest_that_somebody_has_moved_on_is_defined_nowhere_else(world: World) -> None:
    """It was begun from hv1 to hv2, and runs on hv3 now."""
    world.begun()
    world.hosts["hv3"] = Host("hv3", 3)
    world.put("hv3", "RUNNING", marked=False)
    (found,) = world.recover()
    assert (found["verdict"], found["error"]) == ("ended", None)
    assert UUID not in world.hosts["hv1"].domains
    assert world.records.open_moves() == {}


def test_a_third_host_that_is_silent_keeps_the_definition_waiting(world: World) -> None:
    world.begun()
    world.hosts["hv3"] = Host("hv3", 3)
    world.hosts["hv3"].answers = False
    (found,) = world.recover()
    assert "may have gone on to this one" in str(found["error"])
    assert UUID not in world.hosts["hv1"].domains and world.records.definition(UUID) is not None
    (again,) = world.recover(fenced=["hv3"])
    assert again["error"] is None and UUID in world.hosts["hv1"].domains
