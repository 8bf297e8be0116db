# SPDX-License-Identifier: GPL-3.0-or-later
"""The model and its verdicts, held against pages that are written one by one."""

from __future__ import annotations

import random
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast import api
from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Guest, Limits, Point


def limits(**changes: t.Any) -> Limits:
    return Limits(limit_ms=300, ceiling_ms=1000, budget=5.0, worth=0.1)._replace(**changes)


def guest(**changes: t.Any) -> Guest:
    return Guest(touched_mib=1024, link_mib_s=100, dirty_mib_s=10, working_set_mib=200)._replace(**changes)


@pytest.mark.parametrize("rate", [50, 200, 1000])
@pytest.mark.parametrize("window_s", [0.5, 2.0, 10.0])
def test_unique_pages_are_what_a_writer_at_random_leaves(rate: int, window_s: float) -> None:
    pages = random.Random(7)
    written = {pages.randrange(400) for _write in range(int(rate * window_s))}
    assert api.unique_mib(window_s, rate, 400) == pytest.approx(len(written), rel=0.08)


def test_the_first_pass_takes_what_was_touched() -> None:
    first = api.passes(guest(), Point(0, 0, 1024, 0), 300)[0]
    # Less what QEMU leaves over, since it ends the pass when that fits into its limit: 30 MiB, and half a look of 5.
    assert first.sent_mib == pytest.approx(1024 - 27.5)
    assert first.at_s == pytest.approx(9.965)


def test_a_guest_that_writes_nothing_needs_one_pass() -> None:
    found = api.forecast(guest(dirty_mib_s=0, working_set_mib=0), limits())
    assert (found["verdict"], found["after_pass"], len(found["passes"])) == ("converges", 1, 1)


def test_a_cap_of_the_bandwidth_slows_the_passes_and_not_the_switchover() -> None:
    free, capped = (api.passes(guest(), Point(0, 0, 1024, 0), 300, rate)[0] for rate in (100, 50))
    assert capped.at_s > 1.9 * free.at_s
    assert api.blackout_ms(guest(), 50) == 50 / 100 * 1000 + api.fixed_ms(guest())


def test_devices_are_part_of_the_pause() -> None:
    heavy = guest(device_mib=50, device_ms=200, base_ms=40)
    assert api.fixed_ms(heavy) == 500 + 200 + 40
    assert api.blackout_ms(heavy, 10) == 740 + 100


VERDICTS = {
    "converges": (guest(), limits()),
    "needs_blackout": (guest(dirty_mib_s=400, working_set_mib=60), limits()),
    "needs_postcopy": (guest(dirty_mib_s=400), limits(postcopy=True, postcopy_s=30)),
    "cannot": (guest(dirty_mib_s=400), limits()),
    "unknown": (guest(dirty_mib_s=None, working_set_mib=None), limits()),
}


def test_every_verdict_is_shown() -> None:
    assert set(VERDICTS) == set(api.VERDICTS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_verdicts(verdict: str) -> None:
    found = api.forecast(*VERDICTS[verdict])
    assert found["verdict"] == verdict, found["reason"]


def test_the_reason_has_the_figures() -> None:
    found = api.forecast(guest(dirty_mib_s=9000, working_set_mib=334), limits(limit_ms=0))
    assert found["reason"].startswith("needs 3.4 s pause, ceiling 1.0 s; post-copy is not allowed")


def test_no_figure_is_rounded_across_the_ceiling() -> None:
    assert api.needs(1004, limits()) == "1.004 s pause, ceiling 1.0 s"
    assert api.needs(950, limits()).startswith("950 ms pause, ceiling 1.0 s, of which 10%")


def test_what_the_devices_need_alone_cannot_be_saved_by_post_copy() -> None:
    found = api.forecast(guest(device_ms=1250), limits(postcopy=True, postcopy_s=60))
    assert found["verdict"] == "cannot"
    assert found["reason"].startswith("without any memory left it needs 1.31 s pause, ceiling 1.0 s")


def test_what_it_takes_besides_memory_can_be_saved_by_post_copy() -> None:
    slow = guest(dirty_mib_s=400, base_ms=1200.0)
    found = api.forecast(slow, limits(postcopy=True, postcopy_s=30))
    assert (found["verdict"], found["blackout_ms"]) == ("needs_postcopy", 100)
    for without in (limits(), limits(postcopy=True, postcopy_s=30, obstacles=("it holds a PCI device",))):
        assert api.forecast(slow, without)["reason"].startswith("without any memory left it needs 1.2 s pause")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"postcopy": False}, "not allowed"),
        ({"obstacles": ("it holds a PCI device",)}, "it holds a PCI device"),
        ({"postcopy_s": 1.0}, "on two hosts for 2 s, 1 s are allowed"),
    ],
)
def test_why_not_post_copy(changes: dict[str, t.Any], text: str) -> None:
    allowed = limits(postcopy=True, postcopy_s=30)
    found = api.forecast(guest(dirty_mib_s=400), allowed._replace(**changes))
    assert found["verdict"] == "cannot"
    assert text in found["reason"]
    assert api.forecast(guest(dirty_mib_s=400), allowed)["verdict"] == "needs_postcopy"


def test_post_copy_is_not_begun_before_the_second_pass() -> None:
    allowed = limits(postcopy=True, postcopy_s=60)
    end = api.passes(guest(dirty_mib_s=400), Point(0, 0, 1024, 0), 300)[0]
    assert api.postcopy_obstacle(guest(), allowed, end) is None
    assert "second pass" in (api.postcopy_obstacle(guest(), allowed, end._replace(number=0)) or "")


def test_budget_and_deadline_bind() -> None:
    slow = guest(dirty_mib_s=90, working_set_mib=100000, touched_mib=1024)
    assert api.forecast(slow, limits(budget=50))["verdict"] != "cannot"
    found = api.forecast(slow, limits(budget=3))
    assert found["verdict"] == "cannot"
    assert "budget 3072 MiB" in found["reason"] or "needs" in found["reason"]
    assert api.forecast(guest(), limits(deadline_s=5))["verdict"] == "cannot"
    assert api.forecast(guest(), limits(deadline_s=15))["verdict"] == "converges"


@pytest.mark.parametrize("dirty", [5, 30, 60, 95, 150, 400])
@pytest.mark.parametrize("wide", [20, 80, 300])
@pytest.mark.parametrize("ceiling", [300, 1000, 3000])
def test_no_verdict_promises_more_than_the_ceiling(dirty: int, wide: int, ceiling: int) -> None:
    found = api.forecast(guest(dirty_mib_s=dirty, working_set_mib=wide), limits(ceiling_ms=ceiling, limit_ms=200))
    promised = found["verdict"] != "cannot"
    assert promised == (found["blackout_ms"] is not None)
    assert not promised or (found["blackout_ms"] or 0) <= ceiling * (1 - api.RESERVE)


@pytest.mark.parametrize("dirty", [20, 60, 120, 400])
def test_more_ceiling_never_makes_it_worse(dirty: int) -> None:
    order = ["converges", "needs_blackout", "cannot"]
    ranks = [
        order.index(api.forecast(guest(dirty_mib_s=dirty), limits(ceiling_ms=ceiling))["verdict"])
        for ceiling in (500, 1000, 2000, 4000, 8000)
    ]
    assert ranks == sorted(ranks, reverse=True)


def test_a_link_that_is_not_known_is_not_guessed() -> None:
    assert api.forecast(guest(link_mib_s=0), limits())["verdict"] == "unknown"


def test_of_a_rate_alone_four_seconds_are_taken_and_never_more_than_was_touched() -> None:
    found = api.forecast(guest(working_set_mib=None), limits())
    assert found["working_set_mib"] == 40
    assert api.forecast(guest(working_set_mib=None, dirty_mib_s=900), limits())["working_set_mib"] == 1024


def kept(dirty: float | None, wide: float | None, blackout: int | None = 460, to: str = "hv2") -> dict[str, t.Any]:
    measured = guest(dirty_mib_s=dirty, working_set_mib=wide)
    return {
        "destination": to,
        "downtime": {"compute_ms": blackout, "libvirt_ms": None, "network_ms": None},
        "convergence": api.remember(measured, 30.0),
    }


def test_history_tells_how_fast_it_writes() -> None:
    unknown = guest(dirty_mib_s=None, working_set_mib=None)
    runs = [kept(float(rate), 100.0) for rate in (10, 20, 30, 40, 50)]
    known = api.with_history(unknown, runs, "hv2")
    assert (known.dirty_mib_s, known.working_set_mib) == (50, 100)
    assert api.forecast(unknown, limits())["verdict"] == "unknown"
    assert api.forecast(known, limits())["verdict"] != "unknown"


def test_what_is_fresh_is_not_replaced_by_history() -> None:
    assert api.with_history(guest(), [kept(99.0, 99.0)], "hv2").dirty_mib_s == 10


def test_history_corrects_the_base_for_that_destination_only() -> None:
    runs = [kept(10.0, 100.0, blackout) for blackout in (440, 460, 900)]
    assert api.with_history(guest(), runs, "hv2").base_ms == pytest.approx(160)
    assert api.with_history(guest(), runs, "hv3").base_ms == api.BASE_MS


@pytest.mark.parametrize("outcomes", [[], [{"state": "moved"}], [{"convergence": None}], [kept(None, None, None)]])
def test_history_that_says_nothing_changes_nothing(outcomes: list[dict[str, t.Any]]) -> None:
    unknown = guest(dirty_mib_s=None, working_set_mib=None)
    assert api.with_history(unknown, outcomes, "hv2") == unknown


def test_no_switchover_is_thought_to_take_nothing() -> None:
    """More than was explained: what was left at the stop is an estimate."""
    assert api.with_history(guest(), [kept(10.0, 100.0, 0)] * 2, "hv2").base_ms == 20


def test_one_slow_switchover_is_not_believed_and_two_are() -> None:
    slow = kept(10.0, 100.0, 1300)
    assert api.with_history(guest(), [slow], "hv2").base_ms == api.BASE_MS
    assert api.with_history(guest(), [slow, slow], "hv2").base_ms == pytest.approx(1000)


@pytest.mark.parametrize(
    ("resident", "memory", "touched"),
    [(400.0, 1024.0, 200), (None, 1024.0, 512), (4000.0, 1024.0, 1024), (90.0, 0, 45)],
)
def test_what_was_not_sent_before_is_not_expected_to_be_sent(
    resident: float | None, memory: float, touched: int
) -> None:
    """QEMU's own memory, and pages of zeros."""
    runs = [
        {"uuid": uuid, "convergence": api.remember(guest()._replace(touched_mib=sent), None, None, 400.0)}
        for uuid, sent in (("mine", 200.0), ("other", 1.0), ("mine", 0.0))
    ]
    assert api.touched_mib(resident, memory, runs, "mine") == touched


def test_a_link_is_known_from_anybody_and_a_guest_from_itself() -> None:
    unknown = guest(dirty_mib_s=None, working_set_mib=None)._replace(link_mib_s=0.0)
    mine = {**kept(5.0, 50.0), "uuid": "mine", "source": "hv1", "destination": "hv9"}
    other = {**kept(90.0, 900.0), "uuid": "other", "source": "hv1", "destination": "hv2"}
    back = {**kept(70.0, 700.0), "uuid": "other", "source": "hv2", "destination": "hv1"}
    other["convergence"]["link_mib_s"], back["convergence"]["link_mib_s"] = 80.0, 30.0
    known = api.with_history(unknown, [mine, other, back], "hv2", "hv1", "mine")
    assert (known.dirty_mib_s, known.working_set_mib, known.link_mib_s) == (5, 50, 80)


def test_what_a_migration_takes_besides_is_learnt_from_the_pair() -> None:
    run = {"source": "hv1", "destination": "hv2", "downtime": {"compute_ms": None}}
    outcomes = [{**run, "convergence": api.remember(guest(), None, setup)} for setup in (900.0, 1100.0, None, 5000.0)]
    known = api.with_history(guest(), outcomes, "hv2", "hv1")
    assert known.setup_ms == 1100 and api.with_history(guest(), outcomes, "hv1", "hv2").setup_ms == 0
    plain, whole = (api.forecast(entry, limits())["total_ms"] for entry in (guest(), known))
    assert plain is not None and whole == plain + 1100


def test_where_qemu_stops_by_itself_it_need_not_be_known_what_it_writes() -> None:
    unknown = guest(dirty_mib_s=None, working_set_mib=None)
    near = api.forecast(unknown, limits(), api.Point(4.0, 400.0, 10.0, 1))
    assert (near["verdict"], near["blackout_ms"]) == ("converges", round(api.blackout_ms(unknown, 10.0)))
    assert api.forecast(unknown, limits(), api.Point(4.0, 400.0, 90.0, 1))["verdict"] == "unknown"


def test_what_switchovers_of_others_take_there_is_believed_before_the_default() -> None:
    others = [{**kept(10.0, 100.0, 500), "uuid": "other"}] * 2
    mine = {**kept(10.0, 100.0, 900), "uuid": "mine"}
    assert api.with_history(guest(), others, "hv2", uuid="mine").base_ms == pytest.approx(200)
    assert api.with_history(guest(), [*others, mine], "hv2", uuid="mine").base_ms == pytest.approx(200)
    assert api.with_history(guest(), [*others, mine, mine], "hv2", uuid="mine").base_ms == pytest.approx(600)


def test_the_devices_of_others_are_not_everybodys() -> None:
    """They were planned with 1,000 + 300 ms; a run of an earlier version does not say so."""
    heavy = guest(device_mib=100, device_ms=300)
    run = {**kept(10.0, 100.0, 1700), "uuid": "heavy", "convergence": api.remember(heavy, 30.0)}
    assert run["convergence"]["device_ms"] == 1300
    assert api.with_history(guest(), [run, run], "hv2", uuid="light").base_ms == pytest.approx(100)
    assert api.with_history(heavy, [run, run], "hv2", uuid="heavy").base_ms == pytest.approx(100)
    # Its devices, and their label, have gone since; or the label has come.
    assert api.with_history(guest(), [run, run], "hv2", uuid="heavy").base_ms == pytest.approx(100)
    unlabelled = {**run, "convergence": api.remember(guest(), 30.0)}
    assert api.with_history(heavy, [unlabelled, unlabelled], "hv2", uuid="heavy").base_ms == pytest.approx(100)
    del run["convergence"]["device_ms"]
    assert api.with_history(guest(), [run, run], "hv2", uuid="light").base_ms == pytest.approx(1400)
    assert api.with_history(heavy, [run, run], "hv2", uuid="heavy").base_ms == pytest.approx(100)


def test_a_run_of_long_ago_is_no_run_of_another() -> None:
    mine = [{**kept(10.0, 100.0, 900), "uuid": "mine"}] * 2 + [{**kept(10.0, 100.0), "uuid": "mine"}] * 10
    other = {**kept(10.0, 100.0, 500), "uuid": "other"}
    for run in mine[2:]:
        run["destination"] = "hv3"
    assert api.with_history(guest(), [*mine, other, other], "hv2", uuid="mine").base_ms == pytest.approx(600)


def test_a_pause_of_much_memory_says_little_of_what_else_it_takes() -> None:
    much = {**kept(10.0, 100.0, 5000)}
    much["convergence"] = {**much["convergence"], "stopped_with_mib": 60.0}
    assert api.with_history(guest(), [much, much], "hv2").base_ms == api.BASE_MS


def test_switching_to_postcopy_has_a_pause_of_its_own() -> None:
    run = {**kept(10.0, 100.0, 150)}
    run["convergence"] = api.remember(guest(), None, postcopy=True)
    known = api.with_history(guest(), [run, run], "hv2")
    assert (known.base_ms, known.postcopy_ms) == (api.BASE_MS, 150)
    assert api.postcopy_pause_ms(known._replace(device_ms=20.0)) == 170
