# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of the convergence bench: which runs, what follows from them, and how a schedule is replayed."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Sample
from tests.bench import arms, convergence, figures, inside, product, schedules
from tests.bench.arms import ARMS, CALM, GRID

LINK = 44.0


def run(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "key": "k",
        "part": GRID,
        "round": 0,
        "arm": arms.DEADLINE.name,
        "profile": "deadline",
        "guest": [256, 64, 200],
        "ceiling_ms": 1000,
        "loaded": False,
        "others_before": 0.0,
        "ended": "moved",
        "total_s": 6.0,
        "under_way_s": 5.8,
        "wire_mib": 260.0,
        "sent_mib": 250.0,
        "blackout_ms": 110.0,
        "compute_ms": 100.0,
        "libvirt_ms": 20,
        "attempts": [{"flags": []}],
        "actions": [],
        "samples": [[1.0, 1, 250.0, 0.0, None, 0], [4.0, 2, 70.0, 120.0, 44.0, 0]],
        "passes": 3,
        "throttled": 0,
    }
    return {**whole, **changes}


POSTCOPY = {"attempts": [{"flags": ["VIR_MIGRATE_POSTCOPY"]}], "actions": [[5.0, "postcopy", None]]}


def test_the_plan_is_the_same_for_the_same_seed_and_takes_turns() -> None:
    assert arms.plan(ARMS, 3) == arms.plan(ARMS, 3) != arms.plan(ARMS, 3, seed=7)
    cells = [cell for cell in arms.plan(ARMS, 3) if cell.guest == arms.OVER]
    assert {cell.arm for cell in cells} == set(arms.COMPARED[arms.OVER])
    first, second = ([cell.arm for cell in cells if cell.number == number and not cell.arm.slow] for number in (0, 1))
    assert set(first) == set(second) and first != second
    keys = [cell.key for part in arms.PARTS for cell in arms.plan(part, 3)]
    assert len(keys) == len(set(keys))


def test_a_guest_that_is_slowed_down_stands_still_too() -> None:
    """From 4 s on a fifth of the time, from 6 s on half of it, until 10 s."""
    samples: list[list[Any]] = [
        [1.0, 1, 250.0, 0.0, None, 0],
        [4.0, 2, 70.0, 120.0, 44.0, 20],
        [6.0, 3, 70.0, 200.0, 44.0, 50],
    ]
    assert figures.slowed_s(samples, 10.0) == pytest.approx(2 * 0.2 + 4 * 0.5)
    assert figures.slowed_s([], 10.0) == 0.0
    assert figures.still_s(run(throttled=50, slowed_s=2.4)) == pytest.approx(2.51)
    assert figures.still_s(run()) == pytest.approx(0.11)
    assert figures.still_s(run(throttled=50)) is None


def test_a_short_pause_after_a_guest_that_hardly_ran_is_no_better() -> None:
    slowed = run(arm=arms.AUTO_CONVERGE.name, blackout_ms=90.0, compute_ms=88.0, throttled=90, slowed_s=15.0)
    bars = {each.what: each for each in figures.arm_bars({arms.DEADLINE.name: [run()], slowed["arm"]: [slowed]})}
    assert bars["stood still, against the best other arm's"].met
    assert not bars["blackout, against the best other arm's"].met


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


@pytest.mark.parametrize(
    ("values", "part", "found"), [([], 0.9, None), ([5.0], 0.9, 5.0), (list(range(1, 11)), 0.9, 9), ([3, 1, 2], 0.5, 2)]
)
def test_percentiles_are_by_the_nearest_rank(values: list[float], part: float, found: float | None) -> None:
    assert figures.percentile(values, part) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, None),
        ({"compute_ms": 1000.0, "blackout_ms": 1010.0}, None),
        ({"compute_ms": 1001.0, "blackout_ms": 1004.0, "breach": "its vCPUs stood still for 1001 ms"}, "detected"),
        ({"compute_ms": 900.0, "blackout_ms": 1015.0}, "silent"),
        ({"compute_ms": None, "blackout_ms": 1200.0}, "silent"),
        ({"compute_ms": 1150.0, "blackout_ms": 1200.0}, "silent"),
        ({"ended": "aborted", "blackout_ms": 1200.0}, None),
        ({"ended": "aborted", "blackout_ms": 1200.0, "breach": "it stood still before it was back"}, "detected"),
        ({"ended": "error", "compute_ms": None, "blackout_ms": 1200.0}, "silent"),
    ],
)
def test_a_breach_that_the_product_does_not_see_is_silent(changes: dict[str, Any], found: str | None) -> None:
    assert figures.breached(run(**changes)) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "moved"),
        (POSTCOPY, "postcopy"),
        # allowed, but it got there before
        ({"attempts": [{"flags": ["VIR_MIGRATE_POSTCOPY"]}]}, "moved"),
        ({"attempts": [{"flags": []}, {"flags": ["VIR_MIGRATE_AUTO_CONVERGE"]}]}, "throttled"),
        ({"throttled": 80}, "throttled"),
        ({"ended": "aborted"}, "refused"),
        ({"ended": "timeout"}, "timeout"),
    ],
)
def test_how_a_run_ended(changes: dict[str, Any], found: str) -> None:
    assert figures.way(run(**changes)) == found


@pytest.mark.parametrize(
    ("guest", "ceiling_ms", "moved", "hard"),
    [
        ((256, 64, 20), 500, True, False),  # slower than the link
        ((256, 64, 200), 500, False, True),
        ((256, 64, 200), 1000, False, True),
        ((256, 64, 200), 1600, True, True),  # near the border
        ((256, 64, 200), 2100, True, False),
        ((256, 64, 44), 1000, True, True),  # as fast as the link
    ],
)
def test_what_is_right_for_a_guest(guest: tuple[int, int, int], ceiling_ms: int, moved: bool, hard: bool) -> None:
    found = figures.expected(guest, ceiling_ms, LINK, "gentle")
    assert ("moved" in found, "refused" in found) == (moved, hard)


def test_a_small_budget_may_end_a_guest_that_would_converge() -> None:
    found = {name: figures.expected((256, 128, 28), 500, LINK, name) for name in ("gentle", "deadline")}
    assert found["gentle"] == {"moved"} and "postcopy" in found["deadline"]


@pytest.mark.parametrize(
    ("profile", "ways"),
    [("gentle", {"refused"}), ("balanced", {"throttled", "refused"}), ("deadline", {"postcopy"})],
)
def test_each_profile_has_its_own_right_way(profile: str, ways: set[str]) -> None:
    assert figures.expected((256, 64, 200), 1000, LINK, profile) == ways
    assert figures.expected((256, 64, 200), 1600, LINK, profile) == {"moved", *ways}


def forecast(at_s: float, blackout_ms: float | None, total_ms: float | None) -> dict[str, Any]:
    return {"at_s": at_s, "verdict": "converges", "blackout_ms": blackout_ms, "total_ms": total_ms}


def test_the_error_of_the_blackout_is_that_of_the_last_forecast() -> None:
    said = [forecast(1, None, None), forecast(2, 900, 5000), forecast(3, 130, 4000)]
    assert figures.blackout_error(run(forecasts=said), "compute_ms") == (30.0, 0.3)
    assert figures.near((30.0, 0.3)) and figures.near((100.0, 0.25)) and not figures.near((61.0, 0.26))
    assert figures.blackout_error(run(forecasts=said, ended="aborted"), "compute_ms") is None


def test_where_no_boundary_has_a_forecast_the_one_from_before_the_start_counts() -> None:
    started = {"blackout_ms": 150, "total_ms": 5000}
    assert figures.blackout_error(run(started=started, forecasts=[]), "compute_ms") == (50.0, 0.5)
    assert figures.blackout_error(run(started=started, forecasts=[forecast(1, None, None)]), "compute_ms") == (
        50.0,
        0.5,
    )
    assert figures.foretold_ms(run(started=started, forecasts=[forecast(1, 90, None)])) == 90
    assert figures.foretold_ms(run()) is None


def test_the_error_of_the_time_is_that_of_the_whole() -> None:
    said = [forecast(1, None, None), forecast(2, 900, 4800), forecast(3, 130, 6600)]
    assert figures.total_error(run(forecasts=said)) == pytest.approx(0.2)
    assert figures.total_error(run(forecasts=said), last=True) == pytest.approx(0.1)
    assert figures.total_error(run(forecasts=said, attempts=[{}, {}])) is None


def test_the_forecast_from_before_the_start_counts_where_there_was_one() -> None:
    assert figures.started_error(run(started={"total_ms": 7500})) == pytest.approx(0.25)
    assert figures.started_error(run(started={"total_ms": None})) is None is figures.started_error(run())
    assert figures.started_error(run(started={"total_ms": 7500}, ended="aborted")) is None


def bars(**ours: Any) -> dict[str, bool | None]:
    def some(arm: arms.Arm, **changes: Any) -> list[dict[str, Any]]:
        return [run(part=ARMS, arm=arm.name, **changes)] * 3

    found = {
        arms.DEADLINE.name: some(arms.DEADLINE, **ours),
        arms.POSTCOPY.name: some(arms.POSTCOPY, blackout_ms=105.0),
        arms.AUTO_CONVERGE.name: some(arms.AUTO_CONVERGE, total_s=20.0, blackout_ms=300.0),
        arms.LADDER.name: some(arms.LADDER, total_s=12.0, ended="aborted", blackout_ms=5.0),
        arms.UNFINISHED[0].name: some(arms.UNFINISHED[0], total_s=60.0, ended="timeout", blackout_ms=5.0),
    }
    every = figures.arm_bars(found) + figures.other_bars(found)
    return {each.what.split(",")[0] if "blackout" in each.what else each.what: each.met for each in every}


def test_the_bars_of_the_arms() -> None:
    assert set(bars().values()) == {True}
    # an arm that has not arrived has no blackout to compare with
    assert bars(blackout_ms=120.0)["blackout"] is False
    assert not all(bars(total_s=9.0).values())
    assert not all(bars(wire_mib=400.0).values())


def test_a_run_of_ours_that_failed_meets_no_bar() -> None:
    crashed = run(part=ARMS, ended="error", error="the module ended with 1", samples=[], attempts=[])
    found = {arms.DEADLINE.name: [run(part=ARMS), run(part=ARMS), crashed], arms.LADDER.name: [run(total_s=50.0)]}
    seen = figures.arm_bars(found)
    assert len(seen) == 6 and {each.met for each in seen} == {False}
    assert all("1 failed" in each.seen for each in seen)
    assert {each.met for each in figures.grid_bars([crashed], LINK)} == {False}
    assert {each.met for each in figures.calm_bars(calm()) if arms.DEADLINE.name in each.what} == {True}
    broken = [*calm(), run(part=CALM, arm=arms.DEADLINE.name, round=9, ended="error", actions=[])]
    assert {each.met for each in figures.calm_bars(broken) if arms.DEADLINE.name in each.what} == {False}
    assert {each.met for each in figures.calm_bars(broken) if arms.BALANCED.name in each.what} == {True}


def test_without_post_copy_the_others_without_it_are_compared_with_too() -> None:
    found = {
        arms.BALANCED.name: [run(blackout_ms=800.0)],
        arms.POSTCOPY.name: [run(blackout_ms=100.0, **POSTCOPY)],
        arms.AUTO_CEILING.name: [run(blackout_ms=790.0)],
    }
    seen = {each.what: each.met for each in figures.arm_bars(found, arms.BALANCED.name) if "blackout" in each.what}
    assert seen == {
        "blackout, against the best other arm's": False,
        "blackout, against the best other arm's without post-copy": True,
    }


@pytest.mark.parametrize(("ended", "met"), [("timeout", True), ("aborted", True), ("moved", False)])
def test_a_schedule_that_gives_up_does_not_get_there_either(ended: str, met: bool) -> None:
    nova = run(part=ARMS, arm=arms.UNFINISHED[0].name, ended=ended)
    found = {arms.DEADLINE.name: [run(part=ARMS)], arms.UNFINISHED[0].name: [nova]}
    assert [each.met for each in figures.other_bars(found)] == [met]


def test_the_bars_of_the_grid() -> None:
    said = [forecast(2, 120, 5000)]
    started = {"total_ms": 6000, "blackout_ms": None}
    right = [run(guest=[256, 64, 200 + number], forecasts=said, started=started, **POSTCOPY) for number in range(24)]
    assert all(each.met for each in figures.grid_bars(right, LINK))
    wrong = [*right, run(compute_ms=1100.0, blackout_ms=1100.0, breach="said"), run(blackout_ms=1100.0)]
    seen = {each.what: each.seen for each in figures.grid_bars(wrong, LINK)}
    assert (seen["silent breaches"], seen["detected breaches"]) == ("1", "1")
    assert seen["cells that ended in a wrong way"] == "2 of 26; in 26 just one way is right"
    assert seen["forecast of the blackout, P90 error, by events"].endswith("; 24 of 26 that moved")


def test_only_where_one_way_is_right_a_refusal_proves_anything() -> None:
    refused = {"ended": "aborted", "forecasts": []}
    runs = [
        run(profile="gentle", **refused),
        run(profile="balanced", **refused),  # it might have been slowed down
        run(profile="gentle", ceiling_ms=1600, **refused),  # near the border
        run(profile="deadline", **POSTCOPY),
        run(profile="deadline", **refused),
        run(profile="gentle", guest=[256, 64, 20], **refused),
    ]
    bars = {each.what: each for each in figures.grid_bars(runs, LINK)}
    assert bars[figures.TURNED].seen == "2 of 4"
    assert bars["cells that ended in a wrong way"].seen == "2 of 6; in 4 just one way is right"


def test_a_grid_without_any_forecast_does_not_pass() -> None:
    bars = [each for each in figures.grid_bars([run()], LINK) if "forecast" in each.what]
    assert [(each.seen, each.met) for each in bars] == [("0 of 1 that moved", None)] * 5


def calm(rounds: int = 6, **ours: Any) -> list[dict[str, Any]]:
    def some(arm: arms.Arm, **changes: Any) -> list[dict[str, Any]]:
        return [run(part=CALM, arm=arm.name, round=number, **changes) for number in range(rounds)]

    return [*some(arms.PLAIN), *some(arms.BALANCED, **ours), *some(arms.DEADLINE)]


@pytest.mark.parametrize(
    ("ours", "met"),
    [
        ({}, [True, True, True]),
        ({"under_way_s": 5.0, "blackout_ms": 50.0}, [True, True, True]),  # below is fine
        ({"under_way_s": 6.5}, [True, False, True]),
        ({"blackout_ms": 150.0}, [True, True, False]),
        ({"throttled": 20}, [False, True, True]),
        ({"actions": [[2, "raise_downtime", 500]]}, [False, True, True]),
        (POSTCOPY, [False, True, True]),
    ],
)
def test_the_bars_of_a_guest_that_converges(ours: dict[str, Any], met: list[bool]) -> None:
    bars = figures.calm_bars(calm(**ours))
    assert [each.met for each in bars if each.what.startswith(arms.BALANCED.name)] == met
    assert [each.met for each in bars if each.what.startswith(arms.DEADLINE.name)] == [True] * 3


def test_few_pairs_tell_nothing() -> None:
    assert [each.met for each in figures.calm_bars(calm(rounds=5))] == [True, None, None] * 2


def test_a_run_on_a_loaded_machine_is_listed_and_does_not_count() -> None:
    result: dict[str, Any] = {
        "link_mbit": 400,
        "link_mib_s": LINK,
        "machine": {"cores": 2},
        "hosts": {},
        "obstacles": [],
        "runs": [run(), run(key="disturbed", loaded=True, others_before=1.5)],
    }
    page = figures.markdown(result)
    assert "- disturbed: 1.50 cores" in page and page.count("64 MiB at 200 MiB/s of 256 MiB") == 1
    assert figures.of(result["runs"], GRID) == [run()]


def test_the_page_has_every_part() -> None:
    result = {
        "link_mbit": 400,
        "link_mib_s": LINK,
        "machine": {"cores": 2},
        "hosts": {"hv5": {"libvirt": "12.8.0", "QEMU": "11.1.0"}},
        "obstacles": ["conv_postcopy_recovery: libvirt 11.3"],
        "runs": [run(part=ARMS, forecasts=[]), run(ended="error", error="it said\nnothing"), *calm()],
    }
    page = figures.markdown(result)
    assert "## Arms" in page and "## Grid" in page and "## A guest that converges" in page
    assert "| ourselves, balanced | 6 | time | 5.8 s | 5.8 s | 1.00 | 1.00 to 1.00 |" in page
    assert "- hv5: libvirt 12.8.0, QEMU 11.1.0" in page and "plan would tell it: conv_postcopy_recovery: lib" in page
    assert "- k: it said nothing" in page


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
