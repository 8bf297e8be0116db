# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import logs
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import (
    Options,
    Records,
    migrate,
    planned,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.watch import Watch
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError, Move, Outcome, plain_way
from tests.unit.migrate.standin import Domain, Host

libvirt = _libvirt.libvirt
UUID = "11111111-2222-4333-8444-555555555555"
LOCAL, REMOTE = "qemu:///system", "qemu+tls://hv2/system"


class Pair(t.NamedTuple):
    source: Host
    destination: Host
    records: Records


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    source, destination = Host("hv1", 1), Host("hv2", 2)
    source.add(UUID).migration = succeed(destination)
    return Pair(source, destination, Records(str(tmp_path / "state"), str(tmp_path / "run")))


def succeed(destination: Host) -> t.Callable[[Domain, str, dict[str, t.Any], int], None]:
    """What libvirt does in a migration that works, in its order."""

    def run(domain: Domain, uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        source = domain.host
        source.asked = (uri, parameters, flags)  # type: ignore[attr-defined]
        destination.send(UUID, "STARTED", "STARTED_MIGRATED")
        source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        source.complete(UUID, {"downtime": 57, "data_processed": 1000, "memory_iteration": 3})
        destination.add(UUID)
        destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        source.send(UUID, "STOPPED", "STOPPED_MIGRATED")
        del source.domains[UUID]

    return run


def fail(text: str, effect: t.Callable[[Domain], object] = lambda domain: None) -> t.Callable[..., None]:
    def run(domain: Domain, *_arguments: object) -> None:
        effect(domain)
        raise libvirt.libvirtError(text)

    return run


def move(**changes: t.Any) -> Move:
    made: dict[str, t.Any] = {
        "domain": "web1",
        "uuid": UUID,
        "source": "hv1",
        "destination": "hv2",
        "destination_uri": REMOTE,
        "migrate_uri": "tcp://hv2",
        "persistent": True,
        "autostart": True,
        "memory_mib": 256,
        "requires": {},
        "edits": [],
        "controls": [],
        "way": plain_way(),
        "profile": {},
        "forecast": None,
    }
    return t.cast(Move, {**made, **changes})


def go(pair: Pair, moves: list[Move], options: Options, parallel: int = 1, connect: t.Any = None) -> list[Outcome]:
    by_uri = {LOCAL: pair[0], REMOTE: pair[1]}
    return migrate(LOCAL, moves, options, parallel, connect or by_uri.__getitem__, pair.records, "run-1")


def quick(tls: str = "off", timeout_s: int = 60, return_s: float = 0) -> Options:
    return Options(tls, timeout_s, return_s, apart_s=0)


def run(pair: Pair, tls: str = "required", **changes: t.Any) -> Outcome:
    (result,) = go(pair, [move(**changes)], quick(tls), 2)
    return result


def test_a_migration_that_works(pair: Pair) -> None:
    result = run(pair)
    assert (result["state"], result["running_on"], result["error"]) == ("moved", "hv2", None)
    assert result["downtime"]["libvirt_ms"] == 57
    assert result["downtime"]["compute_ms"] is not None
    assert result["downtime"]["network_ms"] is None
    assert (result["bytes"], result["iterations"]) == (1000, 3)
    assert [p["name"] for p in result["phases"]] == ["prepared", "suspended", "completed", "resumed", "source_stopped"]


@pytest.mark.parametrize(
    ("tls", "persistent", "names"),
    [
        ("required", True, ("LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE", "TLS")),
        ("off", True, ("LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE")),
        ("required", False, ("LIVE", "PEER2PEER", "TLS")),
    ],
)
def test_what_is_asked_of_libvirt(pair: Pair, tls: str, persistent: bool, names: tuple[str, ...]) -> None:
    run(pair, tls, persistent=persistent)
    uri, parameters, flags = pair[0].asked  # type: ignore[attr-defined]
    assert (uri, parameters) == (REMOTE, {"migrate_uri": "tcp://hv2"})
    assert flags == sum(getattr(libvirt, f"VIR_MIGRATE_{name}") for name in names)


def planned_as(state: str, **changes: t.Any) -> t.Any:
    return {**plain_way(), "state": state, **changes}


def test_the_way_is_what_is_asked_for(pair: Pair) -> None:
    run(pair, "off", way=planned_as("running", parallel=2, bandwidth_mib_s=10, listen_address="198.51.100.2"))
    _uri, parameters, flags = pair[0].asked  # type: ignore[attr-defined]
    assert flags & libvirt.VIR_MIGRATE_PARALLEL
    assert parameters == {
        "migrate_uri": "tcp://hv2",
        "parallel.connections": 2,
        "bandwidth": 10,
        "listen_address": "198.51.100.2",
    }


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ({"zerocopy": True}, "flags_zerocopy_requirements"),
        ({"parallel": 2, "compression": ["xbzrle"]}, "flags_compression_conflicts"),
        ({"parallel": 2, "postcopy": True}, "flags_parallel_postcopy"),
        ({"copy_storage": "all", "copy_disks": ["vdx"]}, "flags_migrate_disks_valid"),
    ],
)
def test_a_way_that_excludes_itself_is_refused_before_anything_is_begun(
    pair: Pair, way: dict[str, t.Any], said: str
) -> None:
    result = run(pair, "off", way=planned_as("running", **way))
    assert result["state"] == "refused" and said in (result["error"] or "")
    assert pair.source.domains[UUID].calls == [] and pair.records.open_moves() == {}


def test_a_libvirt_that_is_too_old_for_the_way(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair.destination, "getLibVersion", lambda: 5_001_000)
    result = run(pair, "off", way=planned_as("running", parallel=2))
    assert result["state"] == "refused" and "libvirt of hv2 is 5.1.0" in (result["error"] or "")


def _moves_paused(pair: Pair) -> t.Callable[..., None]:
    def run_paused(domain: Domain, uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        domain.host.asked = (uri, parameters, flags)  # type: ignore[attr-defined]
        pair.destination.add(UUID).become("PAUSED", "PAUSED_USER")
        pair.source.send(UUID, "STOPPED", "STOPPED_MIGRATED")
        del pair.source.domains[UUID]

    return run_paused


def test_a_paused_guest_arrives_paused_and_has_moved(pair: Pair) -> None:
    domain = pair.source.domains[UUID].become("PAUSED", "PAUSED_USER")
    domain.migration = _moves_paused(pair)
    result = run(pair, "off", way=planned_as("paused"))
    assert (result["state"], result["running_on"], result["error"]) == ("moved", "hv2", None)
    assert "resume" not in pair.destination.domains[UUID].calls
    # libvirt adds PAUSED itself: had its user resumed it meanwhile, our flag would stop it
    assert not pair[0].asked[2] & 32  # type: ignore[attr-defined]


@pytest.mark.parametrize(("planned", "state"), [("running", "PAUSED"), ("paused", "RUNNING"), ("shutoff", "RUNNING")])
def test_another_state_than_the_planned_one_is_refused(pair: Pair, planned: str, state: str) -> None:
    pair.source.domains[UUID].become(state, "PAUSED_USER" if state == "PAUSED" else None)
    result = run(pair, "off", way=planned_as(planned))
    assert result["state"] == "refused" and f"the plan was made when it was {planned}" in (result["error"] or "")


def _defines(pair: Pair) -> t.Callable[..., None]:
    def hand_over(domain: Domain, uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        domain.host.asked = (uri, parameters, flags)  # type: ignore[attr-defined]
        pair.destination.add(UUID).become("SHUTOFF").notes.update(domain.notes)
        del pair.source.domains[UUID]

    return hand_over


def test_of_a_domain_that_does_not_run_the_definition_moves(pair: Pair) -> None:
    pair.source.domains[UUID].become("SHUTOFF").migration = _defines(pair)
    pair.source.domains[UUID].auto = 1
    result = run(pair, way=planned_as("shutoff"))
    assert (result["state"], result["running_on"], result["error"]) == ("moved", "hv2", None)
    names = ("PEER2PEER", "OFFLINE", "PERSIST_DEST", "UNDEFINE_SOURCE")
    assert pair[0].asked[2] == sum(getattr(libvirt, f"VIR_MIGRATE_{name}") for name in names)  # type: ignore[attr-defined]
    there = pair.destination.domains[UUID]
    assert (there.auto, there.notes, there.isActive()) == (1, {}, False)
    assert run(pair, way=planned_as("shutoff"))["state"] == "already_there"


def test_a_definition_that_did_not_move_has_stayed(pair: Pair) -> None:
    pair.source.domains[UUID].become("SHUTOFF").migration = fail("no room")
    result = run(pair, way=planned_as("shutoff"))
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert pair.source.domains[UUID].notes == {} and pair.records.open_moves() == {}


@pytest.mark.parametrize("autostart", [True, False])
def test_autostart_is_carried(pair: Pair, autostart: bool) -> None:
    """The domain's own flag, whatever the plan knew of it."""
    pair.source.domains[UUID].auto = int(autostart)
    run(pair, autostart=not autostart)
    assert pair[1].domains[UUID].auto == int(autostart)


def test_events_of_an_earlier_job_count_for_nothing(pair: Pair) -> None:
    """The connections may have followed it: the guard of this one would act at once on what that one told."""
    domain = pair.source.domains[UUID]
    domain.migration = fail("not this time", lambda source: source.host.send(UUID, "RESUMED", "RESUMED_MIGRATED"))
    watched = Watch()
    watched.timeline(UUID).add("suspended")
    assert watched.fresh(UUID).events == [] and watched.timeline(UUID).events == []
    assert run(pair)["state"] == "failed" and "suspend" not in domain.calls


def test_nothing_of_ours_happens_between_suspended_and_resumed(pair: Pair) -> None:
    """Seed 001: what sits between pause and resume is downtime."""
    calls: list[str] = []
    source, destination = pair.source, pair.destination
    inner = succeed(destination)

    for thing in (source, destination, source.domains[UUID]):
        note_calls(thing, calls)

    def watched(domain: Domain, *arguments: t.Any) -> None:
        calls.clear()
        inner(domain, *arguments)
        calls.append("returned")

    source.domains[UUID].migration = watched
    assert run(pair)["state"] == "moved"
    assert calls[0] == "returned"


def note_calls(thing: object, calls: list[str]) -> None:
    """Notes every call of the stand-in's public methods but those by which the test itself plays libvirt."""
    for name in dir(thing):
        if name.startswith("_") or name in ("send", "complete", "add", "iterate") or not callable(getattr(thing, name)):
            continue
        setattr(thing, name, noted(getattr(thing, name), name, calls))


def noted(original: t.Callable[..., t.Any], name: str, calls: list[str]) -> t.Callable[..., t.Any]:
    def call(*arguments: t.Any) -> t.Any:
        calls.append(name)
        return original(*arguments)

    return call


def test_an_error_with_the_domain_still_here(pair: Pair) -> None:
    pair[0].domains[UUID].migration = fail("unable to connect to server at 'hv2:49152': Connection refused")
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert "Connection refused" in str(result["error"])
    assert "hv2 does not know the domain" in str(result["error"])


def test_an_error_although_the_domain_runs_there(pair: Pair) -> None:
    """The confirm was lost: the truth is on the hosts, not in the error."""

    def confirm_lost(domain: Domain) -> None:
        domain.running = False
        pair[1].add(UUID)

    pair[0].domains[UUID].migration = fail("End of file while reading data", confirm_lost)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("moved", "hv2")
    assert "End of file" in str(result["error"])


def _both_run(domain: Domain, destination: Host) -> None:
    destination.add(UUID)


def _destination_dies(domain: Domain, destination: Host) -> None:
    destination.answers = False


@pytest.mark.parametrize("effect", [_both_run, _destination_dies])
def test_what_is_not_proven_is_unknown(pair: Pair, effect: t.Callable[[Domain, Host], None]) -> None:
    pair[0].domains[UUID].migration = fail("error", lambda domain: effect(domain, pair[1]))
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("unknown", None)


def test_a_second_run_changes_nothing(pair: Pair) -> None:
    run(pair)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("already_there", "hv2")


@pytest.mark.parametrize("autostart", [True, False])
def test_a_second_run_makes_up_for_the_autostart_flag(pair: Pair, autostart: bool) -> None:
    """The first was killed before it set the flag, or an old definition there had another one."""
    del pair[0].domains[UUID]
    pair[1].add(UUID).auto = int(not autostart)
    assert run(pair, autostart=autostart)["state"] == "already_there"
    assert pair[1].domains[UUID].auto == int(autostart)


def test_a_daemon_that_comes_back_is_asked_again(pair: Pair) -> None:
    def dies(domain: Domain) -> None:
        pair[1].answers = False
        threading.Timer(0.7, setattr, (pair[1], "answers", True)).start()

    pair[0].domains[UUID].migration = fail("End of file while reading data", dies)
    (result,) = go(pair, [move()], quick(return_s=20))
    assert (result["state"], result["running_on"]) == ("failed", "hv1")


def test_a_connection_that_died_is_opened_anew_for_the_next_move(pair: Pair) -> None:
    """The second domain still goes, although the first one's migration took the destination's daemon down."""
    opened: list[str] = []

    def connect(uri: str) -> Host:
        opened.append(uri)
        return {LOCAL: pair[0], REMOTE: pair[1]}[uri]

    def dead_once() -> int:
        pair[1].isAlive = lambda: 1  # type: ignore[method-assign]
        return 0

    pair[1].isAlive = dead_once  # type: ignore[method-assign]
    other = "99999999-2222-4333-8444-555555555555"
    moves = [move(), move(uuid=other)]
    go(pair, moves, quick(), connect=lambda uri: pair[0] if uri == LOCAL else connect(uri))
    before = len(opened)
    opened.clear()
    pair[1].isAlive = lambda: 1  # type: ignore[method-assign]
    go(pair, moves, quick(), connect=lambda uri: pair[0] if uri == LOCAL else connect(uri))
    assert before > len(opened)


def test_a_fault_of_ours_costs_one_outcome_only(pair: Pair) -> None:
    def broken(domain: Domain, *_arguments: object) -> None:
        raise AttributeError("typo")

    pair[0].domains[UUID].migration = broken
    result = run(pair)
    assert (result["state"], result["error"]) == ("unknown", "AttributeError: typo")


def test_a_domain_that_is_nowhere(pair: Pair) -> None:
    pair[0].domains.clear()
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("refused", None)
    assert "make a new plan" in str(result["error"])


def test_the_last_look_refuses_what_has_changed_since_the_plan(pair: Pair) -> None:
    pair[1].available_mib = 100
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("refused", "hv1")
    assert "mem_capacity_dest" in str(result["error"])
    assert UUID in pair[0].domains


def test_a_destination_that_does_not_answer_refuses_the_move(pair: Pair) -> None:
    def connect(uri: str) -> Host:
        if uri == REMOTE:
            raise LivemigError("libvirt connection", value="refused", expected="an answer", remedy="start it")
        return pair[0]

    (result,) = go(pair, [move()], quick(), connect=connect)
    assert (result["state"], result["running_on"]) == ("refused", "hv1")
    assert UUID in pair[0].domains


def test_a_migration_that_does_not_end_is_aborted(pair: Pair) -> None:
    """libvirt refuses the first two aborts, as it does while it prepares; then it gives up the migration."""
    asked: list[int] = []
    aborted = threading.Event()

    def abort(domain: Domain) -> None:
        asked.append(1)
        if len(asked) < 3:
            raise libvirt.libvirtError("Requested operation is not valid: no job is active on the domain")
        aborted.set()

    def stuck(domain: Domain, *_arguments: object) -> None:
        assert aborted.wait(20)
        raise libvirt.libvirtError("operation aborted: migration out: canceled by client")

    pair[0].domains[UUID].abort = abort
    pair[0].domains[UUID].migration = stuck
    (result,) = go(pair, [move()], quick(timeout_s=1))
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert "aborted after 1 s (timeout_s): operation aborted" in str(result["error"])


def test_nothing_of_a_migration_is_left_behind(pair: Pair) -> None:
    """Neither the mark in the metadata nor the definition with its secrets; the journal says how it ended."""
    marked: list[dict[str, str]] = []
    inner = pair.source.domains[UUID].migration
    assert inner is not None

    def watched(domain: Domain, *arguments: t.Any) -> None:
        marked.append(dict(domain.notes))
        assert pair.records.definition(UUID) is not None
        inner(domain, *arguments)
        pair.destination.domains[UUID].notes = dict(domain.notes)

    pair.source.domains[UUID].migration = watched
    assert run(pair)["state"] == "moved"
    assert '"domain": "web1"' in marked[0]["urn:livemig:state:1"]
    assert pair.destination.domains[UUID].notes == {}
    assert pair.records.definition(UUID) is None
    assert pair.records.open_moves() == {}
    assert [entry["event"] for entry in pair.records.entries("run-1")] == ["begun", "ended", "over"]


def test_nothing_is_begun_where_the_intent_cannot_be_written(pair: Pair) -> None:
    def refuse(*_arguments: object) -> None:
        raise libvirt.libvirtError("Timed out during operation: cannot acquire state change lock")

    pair.source.domains[UUID].setMetadata = refuse  # type: ignore[method-assign, assignment]
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("refused", "hv1")
    assert "cannot acquire state change lock" in str(result["error"])
    assert pair.records.open_moves() == {} and pair.records.definition(UUID) is None


def test_a_domain_that_another_process_works_on(pair: Pair) -> None:
    pair.records.ready()
    with pair.records.lock(UUID):
        result = run(pair)
    assert result["state"] == "refused"
    assert f"process {os.getpid()} of this host works on it" in str(result["error"])
    assert UUID in pair.source.domains


def test_a_host_that_cannot_keep_its_journal_begins_nothing(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(LivemigError, match="become: true"):
        run(pair)
    assert UUID in pair.source.domains


def test_a_full_disk_begins_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run(pair)
    assert result["state"] == "refused"
    assert "No space left on device" in str(result["error"])
    assert pair.source.domains[UUID].calls == []
    assert UUID in pair.source.domains


def test_a_source_left_paused_goes_on_at_once(pair: Pair) -> None:
    pair.source.domains[UUID].migration = fail("lost", lambda domain: domain.become("PAUSED", "PAUSED_MIGRATION"))
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert pair.source.domains[UUID].calls == ["mark", "resume", "unmark"]


def test_check_mode_plans_only() -> None:
    (result,) = planned([move()])
    assert (result["state"], result["running_on"], result["total_ms"]) == ("planned", "hv1", None)


def logged(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """The source's log, with a line of before the migration."""
    path = folder / "web1.log"
    path.write_text("of before\n")
    monkeypatch.setattr(logs, "log_path", lambda uri, domain: str(folder / f"{domain}.log"))
    return path


def test_a_failure_brings_what_the_log_says_since_the_start(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = logged(monkeypatch, tmp_path)

    def written(_domain: Domain) -> None:
        path.write_text("of before\nqemu: password=hunter2 is wrong\n")

    pair[0].domains[UUID].migration = fail("it failed: password=hunter2", written)
    result = run(pair)
    (log,) = result["logs"]
    assert (log["host"], log["lines"], log["unread"]) == ("hv1", ["qemu: password=*** is wrong"], None)
    assert result["state"] == "failed" and "hunter2" not in str(result)


def test_a_log_that_cannot_be_read_costs_no_outcome(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logged(monkeypatch, tmp_path).unlink()
    pair[0].domains[UUID].migration = fail("it failed")
    result = run(pair)
    assert result["state"] == "failed" and result["logs"][0]["unread"] == "No such file or directory"


def test_a_success_brings_no_log(pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logged(monkeypatch, tmp_path)
    assert run(pair)["logs"] == []


def test_a_fault_in_reading_the_log_costs_no_outcome(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> t.Any:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(logs, "log_since_mark", broken)
    pair[0].domains[UUID].migration = fail("it failed")
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert result["logs"][0]["unread"] == "ValueError: a fault of ours"


def test_a_source_that_restarts_meanwhile_starts_no_second_instance(pair: Pair) -> None:
    domain = pair.source.domains[UUID]
    domain.auto = 1
    seen: list[int] = []
    domain.migration = fail("not this time", lambda source: seen.append(source.auto))
    assert run(pair, autostart=False)["state"] == "failed"
    assert (seen, domain.auto) == ([0], 1)


def test_a_domain_that_ended_on_its_way_starts_with_its_host_again(pair: Pair) -> None:
    domain = pair.source.domains[UUID]
    domain.auto = 1
    domain.migration = fail("domain is no longer running", lambda source: source.become("SHUTOFF"))
    assert run(pair)["state"] == "ended"
    assert domain.auto == 1
