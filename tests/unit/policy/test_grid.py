# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy against simulated guests: a grid of them and three ceilings, and other tools' schedules beside it."""

from __future__ import annotations

import dataclasses
import functools
import random
import statistics
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import forecast
from ansible_collections.livemig.libvirt.plugins.module_utils._policy import api as policy
from tests.bench import schedules
from tests.bench.schedules import Replay, Schedule
from tests.unit.policy.driver import Driven, drive, guest
from tests.unit.policy.simulator import Boundary, Run, Simulation, Writer

LINK = 100.0
CEILINGS = (500, 1000, 2000)
GUESTS = [
    Writer(256, wide, rate, order)
    for order in ("random", "sequence")
    for wide, rate in (
        (0, 0),
        (40, 10),
        (40, 40),
        (120, 30),
        (120, 60),
        (200, 20),
        (120, 90),
        (120, 120),
        (20, 900),
        (40, 300),
        (60, 400),
        (80, 500),
        (120, 300),
        (180, 400),
        (240, 700),
    )
]
# Left to plain QEMU these arrive with less than four fifths of what the link carries.
CONVERGING = [writer for writer in GUESTS if writer.rate <= 60]
HOPELESS = [writer for writer in GUESTS if writer.rate >= 300 and writer.working_set >= 120]
PROFILES = ("gentle", "balanced", "deadline")
CELLS = [(writer, ceiling, name) for writer in GUESTS for ceiling in CEILINGS for name in PROFILES]


@functools.cache
def ours(writer: Writer, ceiling: int, name: str = "balanced", sampled: bool = False, seed: int = 1) -> Driven:
    return drive(writer, LINK, policy.profile(name, {"ceiling_ms": ceiling}), sampled=sampled, seed=seed)


@functools.cache
def plain(writer: Writer, limit_ms: float = 300) -> Run:
    return Simulation(writer, LINK, lambda _simulation, _at: None, limit_ms=limit_ms).simulate()


def replayed(schedule: Schedule, writer: Writer, ceiling_ms: float | None = None, poll_s: float | None = None) -> Run:
    replay = Replay(schedule, writer.touched, ceiling_ms)

    def look(simulation: Simulation, seen: Boundary) -> None:
        for action, value in replay.look(seen.at_s, seen.iteration, seen.remaining):
            if value is not None:
                simulation.set_limit(value)
            else:
                {"postcopy": simulation.postcopy, "abort": simulation.abort, "pause": simulation.pause}[action]()

    return Simulation(
        writer,
        LINK,
        lambda _simulation, _seen: None,
        limit_ms=schedule.start_ms,
        auto_converge=(20, 10) if schedule.auto_converge else None,
        poll=(poll_s or schedule.poll_s, look),
    ).simulate()


def test_the_grid_is_as_large_as_it_should_be() -> None:
    assert len(GUESTS) >= 24 and len(CONVERGING) >= 8 and len(HOPELESS) >= 6


@pytest.mark.parametrize(("writer", "ceiling", "name"), CELLS)
def test_no_breach_and_always_an_end(writer: Writer, ceiling: int, name: str) -> None:
    found = ours(writer, ceiling, name)
    assert found.run.result in ("moved", "postcopy", "aborted")
    assert found.run.blackout_ms <= ceiling
    assert not found.run.early
    for attempt in found.attempts:
        assert all(limit <= 0.9 * ceiling for limit in attempt.limits_ms)
        # The budget is one of whole passes, so that the last may go over it.
        assert attempt.sent <= (policy.PROFILES[name].budget + 1) * writer.touched


@pytest.mark.parametrize("writer", GUESTS)
@pytest.mark.parametrize("ceiling", [200, 300, 500, 1000])
@pytest.mark.parametrize("name", PROFILES)
def test_nor_is_there_one_where_the_link_is_not_known(writer: Writer, ceiling: int, name: str) -> None:
    """The first migration of a pair of hosts, and of this guest."""
    found = drive(writer, LINK, policy.profile(name, {"ceiling_ms": ceiling}), known_link=False, seed=1)
    assert found.run.result in ("moved", "postcopy", "aborted")
    assert found.run.blackout_ms <= ceiling


@pytest.mark.parametrize("writer", CONVERGING)
@pytest.mark.parametrize("ceiling", CEILINGS)
@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("sampled", [False, True])
def test_a_converging_guest_is_not_disturbed(writer: Writer, ceiling: int, name: str, sampled: bool) -> None:
    found = ours(writer, ceiling, name, sampled)
    assert found.actions == []
    assert found.start.flags == (("VIR_MIGRATE_POSTCOPY",) if policy.PROFILES[name].postcopy else ())
    assert found.start.parameters == {}
    left_alone = plain(writer, policy.PROFILES[name].target_ms)
    assert (found.run.result, found.run.blackout_ms, found.run.total_s) == (
        "moved",
        left_alone.blackout_ms,
        left_alone.total_s,
    )


@pytest.mark.parametrize("writer", GUESTS)
@pytest.mark.parametrize("label", ["profile=deadline ceiling_ms=800 deadline_s=6", "ceiling_ms=700 deadline_s=8"])
def test_what_a_label_promises_is_kept(writer: Writer, label: str) -> None:
    profile = policy.from_label(label.split())
    found = drive(writer, LINK, profile)
    assert found.run.result in ("moved", "postcopy", "aborted")
    assert found.run.blackout_ms <= profile.ceiling_ms
    late_s = sum(attempt.total_s for attempt in found.attempts) - profile.deadline_s
    # Post-copy ends it sooner than anything else would, and what it still has to fetch takes its time.
    tail_s = writer.working_set / LINK if found.run.result == "postcopy" else 0
    assert late_s <= tail_s, found.reason


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("writer", [writer for writer in CONVERGING if writer.order == "random"])
def test_nor_is_it_by_the_noise_of_other_runs(writer: Writer, seed: int) -> None:
    assert ours(writer, 1000, seed=seed).actions == []


@pytest.mark.parametrize("writer", HOPELESS)
@pytest.mark.parametrize("name", ["gentle", "deadline"])
def test_hopeless_guests_are_decided_upon_after_few_passes(writer: Writer, name: str) -> None:
    found = ours(writer, 500, name)
    assert found.run.result == {"gentle": "aborted", "deadline": "postcopy"}[name]
    assert found.run.passes <= 3
    assert "ceiling 500 ms" in found.reason


@pytest.mark.parametrize("writer", HOPELESS)
def test_hopeless_guests_arrive_when_slowed_down(writer: Writer) -> None:
    found = ours(writer, 500)
    assert found.attempts[0].passes <= 3 and found.actions[0] == "throttle"
    # Where even that takes more than the budget, it says so.
    ends = ("of 1280 MiB", "it does not answer")
    assert found.run.result == "moved" or any(text in found.reason for text in ends)


def test_at_least_eight_cells_of_the_grid_are_refused_or_sent_to_post_copy_and_rightly() -> None:
    """Rightly: QEMU alone does not get them there within the same budget and ceiling, however its limit is set."""
    count = 0
    for writer in GUESTS:
        for ceiling in CEILINGS:
            refused = ours(writer, ceiling, "gentle").run
            if refused.result == "aborted":
                count += 1
                limit = 0.9 * ceiling - 80 - 1000 * writer.device_mib / LINK
                best = plain(writer, limit)
                over = best.result != "moved" or best.sent > policy.PROFILES["gentle"].budget * writer.touched
                assert over or best.blackout_ms > 0.8 * ceiling, (writer, ceiling)
    assert count >= 8


STOPPED = [writer for writer in GUESTS if writer.rate >= 300 and 60 <= writer.working_set <= 120]
"""Guests that need a pause of 0.7 to 1.3 s."""


@pytest.mark.parametrize("writer", STOPPED)
def test_with_a_sample_taken_before_it_is_decided_at_once(writer: Writer) -> None:
    unknown, known = ours(writer, 2000), ours(writer, 2000, sampled=True)
    assert known.start.forecast["verdict"] == "needs_blackout"
    assert known.run.passes == 2 and known.run.sent < unknown.run.sent
    assert known.run.sent <= 1.1 * (writer.touched + writer.working_set)


def errors(figure: str) -> list[float]:
    """How far the forecast at the start was off, of guests of which rate and working set are known."""
    found = []
    for writer in [writer for writer in GUESTS if writer.order == "random"]:
        driven = ours(writer, 2000, sampled=True)
        run, start = driven.run, driven.start
        if run.result == "moved" and not start.parameters:
            said = start.forecast[figure]  # type: ignore[literal-required]
            real = {"blackout_ms": run.blackout_ms, "total_ms": run.total_s * 1000}[figure]
            near = 60.0 if figure == "blackout_ms" else 0.0
            found.append(0.0 if abs(said - real) <= near else abs(said - real) / real)
    return found


@pytest.mark.parametrize(("figure", "bound"), [("blackout_ms", 0.25), ("total_ms", 0.2)])
def test_the_forecast_at_the_start_is_right(figure: str, bound: float) -> None:
    found = errors(figure)
    assert len(found) >= 8
    assert statistics.quantiles(found, n=10)[-1] <= bound, found


@pytest.mark.parametrize("writer", STOPPED)
def test_the_forecast_at_the_decision_is_right(writer: Writer) -> None:
    found = ours(writer, 2000)
    decided = [entry["action"] for entry in found.decisions].index("raise_downtime")
    said = found.forecasts[decided]
    assert said["verdict"] in ("converges", "needs_blackout")
    assert said["blackout_ms"] == pytest.approx(found.run.blackout_ms, rel=0.25, abs=60)
    assert said["total_ms"] == pytest.approx(found.run.total_s * 1000, rel=0.2)


# What the bench is to show on real guests (issue 6), here by page counts.
BENCH = Writer(140, 75, 300, "sequence")


def test_beside_other_schedules_at_the_same_ceiling() -> None:
    """The ladder looks 50 times a second here, not every 10 s as vdsm does, and slows the guest down; we do not."""
    unknown, mine = ours(BENCH, 1000).run, ours(BENCH, 1000, sampled=True).run
    ladder = replayed(schedules.OVIRT_SUSPEND, BENCH, 900, poll_s=0.02)
    unthrottled = replayed(dataclasses.replace(schedules.OVIRT_SUSPEND, auto_converge=False), BENCH, 900, poll_s=0.02)
    assert mine.result == unknown.result == ladder.result == unthrottled.result == "moved"
    assert mine.total_s <= 0.6 * min(ladder.total_s, unthrottled.total_s)
    assert unknown.total_s <= 0.75 * min(ladder.total_s, unthrottled.total_s)
    assert max(mine.blackout_ms, unknown.blackout_ms) <= 1.1 * unthrottled.blackout_ms
    assert mine.sent < unknown.sent <= 1.6 * (BENCH.touched + BENCH.working_set)


@pytest.mark.parametrize("schedule", [schedules.NOVA, schedules.KUBEVIRT])
def test_schedules_by_time_do_not_finish_in_a_minute(schedule: Schedule) -> None:
    small = replayed(schedule, Writer(512, 200, 300, "sequence"))
    assert small.result == "timeout"


def test_siblings_yield_and_get_nothing_to_do_otherwise() -> None:
    profile = policy.profile("balanced")
    busy = drive(Writer(256, 120, 60, "random"), LINK, profile, siblings=1)
    assert busy.actions[0] == "yield_bandwidth" and busy.run.result == "moved"
    assert busy.run.blackout_ms <= 1000
    idle = drive(Writer(256, 40, 10, "random"), LINK, profile, siblings=1)
    assert idle.actions == [] and idle.run.result == "moved"


def test_bursts_are_waited_for_or_refused_but_never_paid_for() -> None:
    for ceiling in CEILINGS:
        for wide, rate in ((40, 300), (80, 500), (120, 300)):
            for latency in (0.0, 0.02, 0.2):
                run = drive(
                    Writer(256, wide, rate, "bursts"),
                    LINK,
                    policy.profile("balanced", {"ceiling_ms": ceiling}),
                    latency_s=latency,
                ).run
                assert run.blackout_ms <= ceiling


@pytest.mark.parametrize("latency", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_late_calls_and_a_bandwidth_that_swings_break_no_ceiling(latency: float, noise: float) -> None:
    for writer in (Writer(256, 60, 400), Writer(256, 80, 500), Writer(256, 120, 120), Writer(256, 120, 90)):
        for ceiling in CEILINGS:
            found = drive(
                writer, LINK, policy.profile("balanced", {"ceiling_ms": ceiling}), latency_s=latency, noise=noise
            )
            assert found.run.blackout_ms <= ceiling, (writer, ceiling)


def test_the_simulated_guest_is_one() -> None:
    """The tests above are worth what the simulator is: known figures, from arithmetic and from QEMU's behaviour."""
    idle = plain(Writer(256, 0, 0))
    assert (idle.result, idle.passes) == ("moved", 1)
    assert idle.total_s == pytest.approx(256 / LINK, rel=0.1)
    assert plain(Writer(256, 128, 400)).result == "timeout"
    seen: list[Boundary] = []
    Simulation(
        Writer(256, 128, 400, "sequence"), LINK, lambda _simulation, at: seen.append(at), limit_ms=1, noise=0
    ).simulate(8)
    assert [round(at.remaining) for at in seen[1:3]] == [128, 128]
    early = Simulation(Writer(64, 8, 1), LINK, lambda simulation, _at: simulation.postcopy()).simulate()
    assert early.early


@pytest.mark.parametrize("mutation", ["ceiling", "margin"])
def test_a_policy_that_ignores_the_ceiling_is_seen(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid finds a policy that is broken on purpose."""
    from ansible_collections.livemig.libvirt.plugins.module_utils._forecast import verdict
    from ansible_collections.livemig.libvirt.plugins.module_utils._policy import decide

    broken: t.Callable[[t.Any], float] = lambda _limits: 60000.0  # noqa: E731
    if mutation == "ceiling":
        monkeypatch.setattr(verdict, "usable_ms", broken)
        monkeypatch.setattr(decide, "usable_ms", broken)
    else:
        monkeypatch.setattr(decide, "fixed_ms", lambda _guest: -500.0)
        monkeypatch.setattr(decide, "blackout_ms", lambda _guest, _mib: 0.0)
    over = 0
    for writer in (Writer(256, 60, 400), Writer(256, 80, 500), Writer(256, 120, 300)):
        over += drive(writer, LINK, policy.profile("balanced", {"ceiling_ms": 500})).run.blackout_ms > 500
    assert over


def test_a_forecast_is_made_of_what_was_given_and_nothing_else() -> None:
    writer = Writer(256, 60, 400)
    bounds = policy.limits(policy.profile(), 300)
    assert forecast(guest(writer, LINK, True), bounds) == forecast(guest(writer, LINK, True), bounds)


@pytest.mark.parametrize("seed", range(8))
def test_no_breach_in_worlds_drawn_at_random(seed: int) -> None:
    """Links, devices, siblings, late calls and noise that nobody has thought of; the same ones in every run."""
    draw = random.Random(seed)
    for _world in range(40):
        link, touched = draw.choice((50, 100, 200)), draw.choice((64, 128, 256, 512))
        wide = draw.randint(1, touched)
        writer = Writer(
            touched,
            wide,
            draw.choice((0, 0.05, 0.2, 0.5, 0.8, 1, 1.5, 3, 8)) * link,
            draw.choice(("random", "sequence", "bursts")),
            draw.choice((0, 2, 20)),
            draw.choice((0, 20, 300)),
        )
        ceiling = draw.choice((300, 500, 1000, 2000, 5000))
        profile = policy.profile(draw.choice(PROFILES), {"ceiling_ms": ceiling})
        found = drive(
            writer,
            link,
            profile,
            sampled=draw.random() < 0.4,
            siblings=draw.choice((0, 0, 1)),
            latency_s=draw.choice((0, 0.02, 0.2)),
            noise=draw.choice((0, 0.03, 0.1)),
            seed=seed,
        )
        assert found.run.blackout_ms <= ceiling, (writer, link, profile)
        assert found.run.result in ("moved", "postcopy", "aborted", "refused"), (writer, link, profile)
        assert not found.run.early
