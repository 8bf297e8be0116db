# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs the convergence bench makes, how a schedule is replayed, and how an end becomes a row."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Sample
from tests.bench import arms, convergence, figures, inside, product, schedules
from tests.bench.arms import ARMS, CALM, GRID
from tests.unit.bench.rows import run


def test_the_plan_is_the_same_for_the_same_seed_and_takes_turns() -> None:
    assert arms.plan(ARMS, 3) == arms.plan(ARMS, 3) != arms.plan(ARMS, 3, seed=7)
    cells = [cell for cell in arms.plan(ARMS, 3) if cell.guest == arms.OVER]
    assert {cell.arm for cell in cells} == set(arms.COMPARED[arms.OVER])
    first, second = ([cell.arm for cell in cells if cell.number == number and not cell.arm.slow] for number in (0, 1))
    assert set(first) == set(second) and first != second
    keys = [cell.key for part in arms.PARTS for cell in arms.plan(part, 3)]
    assert len(keys) == len(set(keys))


def test_slow_arms_run_last_and_less_often() -> None:
    cells = arms.plan(ARMS, 5)
    slow = [cell for cell in cells if cell.arm.slow]
    assert slow and max(cell.number for cell in slow) == arms.SLOW_ROUNDS - 1
    assert cells[-len(slow) :] == slow


def test_the_grid_is_as_large_as_it_should_be() -> None:
    cells = arms.plan(GRID, 1)
    assert len({cell.guest for cell in cells}) >= 24
    assert len(cells) == 3 * len({cell.guest for cell in cells})
    # The lab refuses a guest without 96 MiB beside its working set.
    assert all(cell.guest.working_set_mib + 96 <= cell.guest.memory_mib for cell in cells)


def test_a_guest_that_converges_goes_by_virsh_and_two_profiles_in_each_round() -> None:
    cells = arms.plan(CALM, 3)
    assert [cell.number for cell in cells] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {cell.arm for cell in cells[:3]} == {arms.PLAIN, arms.BALANCED, arms.DEADLINE}


def test_one_arm_knows_its_guest_and_the_others_of_ours_do_not() -> None:
    for compared in arms.COMPARED.values():
        assert [arm.name for arm in compared if arm.known] == ["ourselves, deadline, known guest"]


def test_every_schedule_of_an_arm_is_there() -> None:
    for cell in arms.plan(ARMS, 1):
        assert (cell.arm.schedule is None) == (cell.arm.profile is not None)
        if cell.arm.schedule is not None:
            assert schedules.by_name(cell.arm.schedule).name == cell.arm.name


def given(name: str) -> dict[str, Any]:
    return {"schedule": name, "memory_mib": 256, "ceiling_ms": 1000}


def sample(iteration: int, remaining_mib: float) -> Sample:
    return Sample(iteration, 0.0, remaining_mib, 0.0)


def test_a_schedule_begins_with_its_own_limit_and_flags() -> None:
    arm = inside.Replayed(schedules, given(schedules.NOVA.name))
    assert (arm.start_ms, arm.flags, arm.poll_s) == (50, (), 0.5)
    arm = inside.Replayed(schedules, given(schedules.VIRSH.name))
    assert (arm.start_ms, arm.flags) == (1000, ())
    arm = inside.Replayed(schedules, given(schedules.AUTO_CONVERGE.name))
    assert (arm.start_ms, arm.flags) == (300, ("VIR_MIGRATE_AUTO_CONVERGE",))


def test_post_copy_comes_with_the_second_iteration() -> None:
    arm = inside.Replayed(schedules, given(schedules.POSTCOPY_AFTER_PRECOPY.name))
    assert arm.flags == ("VIR_MIGRATE_POSTCOPY",)
    assert arm.look(sample(1, 200), 1.0) == []
    assert arm.look(sample(2, 60), 3.0) == [("postcopy", None)]


def test_vdsm_takes_a_step_where_more_is_left_than_at_its_last_look() -> None:
    arm = inside.Replayed(schedules, given(schedules.OVIRT_SUSPEND_POLLED.name))
    left = [100, 50, 60, 55, 70, 80, 90]
    assert [arm.look(sample(9, mib), 10.0 * number) for number, mib in enumerate(left, 1)] == [
        [],
        [],
        [],
        [],
        [("limit", 150.0)],
        [("limit", 200.0)],
        [("limit", 300.0)],
    ]


OUTCOME: dict[str, Any] = {
    "state": "moved",
    "error": None,
    "total_ms": 6900,
    "bytes": 260 * 2**20,
    "breach": None,
    "downtime": {"compute_ms": 88, "libvirt_ms": 10, "network_ms": None},
    "forecast": {"verdict": "unknown", "total_ms": None, "blackout_ms": None, "touched_mib": 130.0, "link_mib_s": 0.0},
    "phases": [
        {"name": "prepared", "at_ms": 600},
        {"name": "iteration 1", "at_ms": 1000},
        {"name": "iteration 2", "at_ms": 3700},
        {"name": "resumed", "at_ms": 6800},
    ],
    "samples": [
        {
            "attempt": 1,
            "iteration": iteration,
            "at_ms": at_ms,
            "remaining_mib": left,
            "sent_mib": sent,
            "rate_mib_s": 44.0,
            "throttle": 0,
            "verdict": verdict,
            "blackout_ms": blackout_ms,
            "total_ms": total_ms,
        }
        for iteration, at_ms, left, sent, verdict, blackout_ms, total_ms in (
            (2, 3700, 70.0, 122.0, "unknown", None, None),
            (3, 5200, 66.0, 186.0, "needs_postcopy", 60, 5790),
        )
    ],
    "decisions": [
        {"action": "continue", "reason": "one pass says too little", "after_pass": 1, "max_downtime_ms": None},
        {
            "action": "postcopy",
            "reason": "needs 1.56 s pause, ceiling 1.0 s; post-copy pauses it for 60 ms and fetches the rest in 1.5 s",
            "after_pass": 2,
            "max_downtime_ms": None,
        },
    ],
}


def test_an_outcome_is_a_row_as_any_other() -> None:
    found = product.row(OUTCOME)
    assert (found["ended"], found["total_s"], found["compute_ms"]) == ("moved", 6.9, 88)
    assert found["under_way_s"] == pytest.approx(6.2)
    assert product.row({**OUTCOME, "phases": []})["under_way_s"] is None
    assert [entry[:4] for entry in found["samples"]] == [
        [0.0, 1, 0.0, 0.0],
        [3.7, 2, 70.0, 122.0],
        [5.2, 3, 66.0, 186.0],
    ]
    assert found["actions"] == [[2, "postcopy", None]]
    assert figures.way(run(**found)) == "postcopy"
    assert found["forecasts"] == [
        {"attempt": 1, "after_pass": 1, "verdict": "unknown", "blackout_ms": None, "total_ms": None},
        {"attempt": 1, "after_pass": 2, "verdict": "needs_postcopy", "blackout_ms": 60, "total_ms": 5790},
    ]
    assert figures.total_error(run(**found)) == pytest.approx((6.9 - 5.79) / 6.9)


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ({"state": "refused"}, "aborted"),
        ({"state": "failed", "error": "aborted after 60 s (timeout_s)"}, "timeout"),
        ({"state": "failed", "error": "unable to connect"}, "error"),
        (
            {
                "state": "failed",
                "decisions": [{"action": "abort", "reason": "", "after_pass": 2, "max_downtime_ms": None}],
            },
            "aborted",
        ),
    ],
)
def test_how_the_module_ended(changes: dict[str, Any], ended: str) -> None:
    assert product.row({**OUTCOME, **changes})["ended"] == ended


def ended(stdout: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], 1, stdout, "Traceback")


@pytest.mark.parametrize("stdout", ["", "Killed", "[]", '{"failed": true}', '{"outcomes": []}', '{"outcomes": [null]}'])
def test_a_module_that_says_nothing_has_crashed(stdout: str) -> None:
    with pytest.raises(product.Crashed, match="ended with 1: .*Traceback"):
        product.said(ended(stdout))


def test_an_outcome_is_what_the_module_has_said() -> None:
    assert product.said(ended('{"outcomes": [{"state": "moved"}]}')) == {"state": "moved"}


def test_a_crash_is_a_row_as_any_other() -> None:
    found = convergence._brief({**product.crashed("it died", 2.5), "blackout_ms": 5.0, "wire_mib": 1.0})
    row = run(**found)
    assert (row["ended"], row["error"], figures.way(row), figures.total_error(row)) == (
        "error",
        "it died",
        "error",
        None,
    )
    assert set(product.row(OUTCOME)) == set(product.crashed("", 0.0))


class Ran(convergence.Stage):
    """Without a lab: its runs end as they are told to."""

    def __init__(self, *ends: str) -> None:
        super().__init__()
        self.ends, self.forgotten = list(ends), 0

    def _ensure(self, guest: arms.Guest) -> None:
        pass

    def _migrated(self, cell: arms.Cell) -> dict[str, Any]:
        return {"ended": self.ends.pop(0), "total_s": float(len(self.ends))}


@pytest.mark.parametrize(
    ("part", "arm", "ends", "forgets", "found"),
    [
        (ARMS, arms.DEADLINE, ["moved"], True, "moved"),
        (ARMS, arms.KNOWN, ["moved", "moved", "aborted"], True, "aborted"),
        (ARMS, arms.KNOWN, ["moved", "error"], True, "error"),
        (ARMS, arms.POSTCOPY, ["moved"], False, "moved"),
        (GRID, arms.DEADLINE, ["moved"], False, "moved"),
    ],
)
def test_a_run_of_ours_is_cold_or_knows_its_guest(
    monkeypatch: pytest.MonkeyPatch, part: str, arm: arms.Arm, ends: list[str], forgets: bool, found: str
) -> None:
    asked: list[tuple[str, Any]] = []
    monkeypatch.setattr(convergence, "_quiet", lambda: 0.0)
    monkeypatch.setattr("tests.lab.api.exec_on", lambda host, words, **_more: asked.append((host, words[-1])))
    stage = Ran(*ends)
    assert stage.run(arms.Cell(part, 0, arm, arms.OVER, 1000))["ended"] == found and not stage.ends
    forgotten = [(host, "rm -f /var/lib/livemig/runs/*.jsonl") for host in convergence.HOSTS]
    assert asked == (forgotten if forgets else [])


@pytest.mark.parametrize(
    ("arm", "end", "loaded"),
    [(arms.DEADLINE, "moved", True), (arms.DEADLINE, "error", False), (arms.POSTCOPY, "error", True)],
)
def test_a_crash_of_ours_counts_on_a_busy_machine_too(
    monkeypatch: pytest.MonkeyPatch, arm: arms.Arm, end: str, loaded: bool
) -> None:
    monkeypatch.setattr(convergence, "_quiet", lambda: 1.5)
    assert Ran(end).run(arms.Cell(GRID, 0, arm, arms.OVER, 1000))["loaded"] is loaded
