# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the runs of the convergence bench, and its page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import arms, convergence_page, figures
from tests.bench.arms import ARMS, CALM, GRID
from tests.unit.bench.rows import POSTCOPY, run

LINK = 44.0


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
    page = convergence_page.markdown(result)
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
    page = convergence_page.markdown(result)
    assert "## Arms" in page and "## Grid" in page and "## A guest that converges" in page
    assert "| ourselves, balanced | 6 | time | 5.8 s | 5.8 s | 1.00 | 1.00 to 1.00 |" in page
    assert "- hv5: libvirt 12.8.0, QEMU 11.1.0" in page and "plan would tell it: conv_postcopy_recovery: lib" in page
    assert "- k: it said nothing" in page
