# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run shows of itself while it is under way, and what it does when it is told to stop."""

from __future__ import annotations

import os
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import control, progress
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.control import Control
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.progress import Attendant, Board, Loss, figures
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.watch import Timeline
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import UUID, Pair, go, move, pair, quick

libvirt = _libvirt.libvirt
__all__ = ["pair"]
MIB = 1024 * 1024
STATS = {
    "data_total": 200 * MIB,
    "data_remaining": 50 * MIB,
    "memory_total": 200 * MIB,
    "memory_bps": 10 * MIB,
    "memory_dirty_rate": 512,
    "memory_page_size": 4096,
    "memory_iteration": 2,
    "time_elapsed": 15000,
}


@pytest.fixture
def run(tmp_path: Path) -> Control:
    return Control("run-1", str(tmp_path))


def test_a_run_is_alive_while_its_process_is(run: Control, tmp_path: Path) -> None:
    assert not run.alive()
    with run.held():
        assert run.alive()
        assert control.under_way(str(tmp_path)) == ["run-1"]
    assert not run.alive()
    assert control.under_way(str(tmp_path)) == []


def test_a_run_whose_process_was_killed_is_not(run: Control) -> None:
    child = os.fork()
    if child == 0:
        with run.held():
            os._exit(0)
    os.waitpid(child, 0)
    assert not run.alive()


def test_no_two_runs_have_one_id(run: Control) -> None:
    with run.held(), pytest.raises(LivemigError, match="run_id: run-1"), run.held():
        pass


def test_what_it_shows_and_what_it_is_told(run: Control) -> None:
    assert (run.shown(), run.asked(), run.capped(), run.beats()) == (None, None, None, None)
    with run.held():
        run.show({"domains": []})
        run.cap(20)
        run.ask("abort")
        run.ask("finish")
        run.beat()
        assert (run.shown(), run.asked(), run.capped()) == ({"domains": []}, "abort", 20)
        assert run.beats() is not None
    # Whoever still asks a run that has ended makes nothing.
    run.ask("finish")
    assert run.asked() is None


def test_figures_for_people() -> None:
    assert figures(STATS) == {
        "percent": 75,
        "remaining_mib": 50.0,
        "rate_mib_s": 10.0,
        "dirty_mib_s": 2.0,
        "iteration": 2,
        "elapsed_s": 15.0,
        "silent_s": 0,
    }


def test_figures_that_libvirt_does_not_give_stay_empty() -> None:
    found = figures({"memory_total": 100, "memory_remaining": 100})
    assert (found["percent"], found["rate_mib_s"], found["dirty_mib_s"], found["iteration"]) == (0, None, None, None)


def migrating(stats: dict[str, t.Any] | None = None) -> tuple[Board, Domain, Timeline]:
    board, domain, timeline = Board([move()]), Host("hv1", 1).add(UUID), Timeline()
    domain.stats = STATS if stats is None else stats
    board.started(UUID, domain, timeline)
    return board, domain, timeline


def within(happened: t.Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_board() -> None:
    board, _domain, _timeline = migrating()
    board.ask()
    within(lambda: board.entries()[0]["percent"] == 75)
    assert board.entries()[0]["state"] == "migrating"
    board.ended(UUID, "moved")
    (entry,) = board.entries()
    assert (entry["state"], entry["outcome"], entry["percent"]) == ("over", "moved", 100)


def test_nothing_is_asked_once_the_guest_is_stopped() -> None:
    board, domain, timeline = migrating()
    asked: list[int] = []
    domain.jobStats = lambda _flags: asked.append(1) or {}  # type: ignore[method-assign, func-returns-value]
    timeline.add("suspended")
    board.ask()
    assert (asked, board.entries()[0]["state"]) == ([], "switching over")


def test_a_question_that_hangs_is_not_asked_again() -> None:
    board, domain, _timeline = migrating()
    asked: list[int] = []
    answer = threading.Event()

    def hang(_flags: int) -> dict[str, t.Any]:
        asked.append(1)
        answer.wait(20)
        return STATS

    domain.jobStats = hang  # type: ignore[method-assign]
    board.ask()
    board.ask()
    answer.set()
    within(lambda: board.entries()[0]["percent"] == 75)
    assert asked == [1]


@pytest.mark.parametrize(("wish", "aborted"), [("finish", False), ("abort", True)])
def test_a_wish(run: Control, wish: str, aborted: bool) -> None:
    board, domain, _timeline = migrating()
    calls: list[str] = []
    domain.abort = lambda _domain: calls.append("abort")
    with run.held(), Attendant(board, run, Loss(), look_s=0.01) as attendant:
        assert attendant.stopping() is None
        run.ask(wish)
        within(lambda: attendant.stopping() is not None)
        if aborted:
            within(lambda: calls)
    assert bool(calls) is aborted


def test_a_cap_is_set_once(run: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    board, domain, _timeline = migrating()
    caps: list[int] = []
    monkeypatch.setattr(domain, "migrateSetMaxSpeed", caps.append)
    with run.held(), Attendant(board, run, Loss(), look_s=0.01):
        run.cap(30)
        within(lambda: caps)
        run.cap(40)
        within(lambda: len(caps) > 1)
    assert caps == [30, 40]


def test_one_that_makes_way_gets_its_cap_afterwards(run: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    board, domain, _timeline = migrating()
    caps, asked, waiting = list[int](), list[str](), [True]
    monkeypatch.setattr(domain, "migrateSetMaxSpeed", caps.append)

    def waits(uuid: str) -> bool:
        asked.append(uuid)
        return waiting[0]

    with run.held(), Attendant(board, run, Loss(), look_s=0.01, waits=waits):
        run.cap(30)
        within(lambda: len(asked) > 2)
        assert caps == []
        waiting[0] = False
        within(lambda: caps)
    assert caps == [30]


@pytest.mark.parametrize(("action", "wish"), [("finish", "finish"), ("abort", "abort"), ("continue", None)])
def test_a_controller_that_is_gone(run: Control, action: str, wish: str | None) -> None:
    board, domain, _timeline = migrating()
    domain.abort = lambda _domain: None
    with run.held(), Attendant(board, run, Loss(action, after_s=0.1), look_s=0.01):
        time.sleep(0.2)
        assert run.asked() is None, "nobody has watched so far"
        run.beat()
        if wish is None:
            time.sleep(0.3)
        else:
            within(lambda: run.asked() is not None)
        assert run.asked() == wish


def test_a_controller_that_never_came(run: Control) -> None:
    """It was killed before its first look."""
    board, _domain, _timeline = migrating()
    with run.held(), Attendant(board, run, Loss(after_s=0.1, watched=True), look_s=0.01):
        within(lambda: run.asked() == "finish")


def test_nothing_new_is_begun_once_the_run_is_to_stop(pair: Pair) -> None:
    """The first migration comes to its end, the second is never begun."""
    other = "99999999-2222-4333-8444-555555555555"
    pair.source.add(other)
    inner = pair.source.domains[UUID].migration
    assert inner is not None

    def stopped(domain: Domain, *arguments: t.Any) -> None:
        pair.records.control("run-1").ask("finish")
        inner(domain, *arguments)

    pair.source.domains[UUID].migration = stopped
    first, second = go(pair, [move(), move(uuid=other, domain="web2")], quick())
    assert first["state"] == "moved"
    assert (second["state"], second["running_on"]) == ("refused", "hv1")
    assert "not begun: the run was asked to finish" in str(second["error"])
    assert progress.LOSS_S >= 30
