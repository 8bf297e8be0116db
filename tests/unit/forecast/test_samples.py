# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running migration shows, made into a guest."""

from __future__ import annotations

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast import api
from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Guest, Point, Sample
from tests.unit.policy.simulator import Boundary, Simulation, Writer

MIB = 1024 * 1024
KNOWN = Guest(touched_mib=1024, link_mib_s=100)


def played(dirty: float, wide: float, count: int = 4) -> list[Sample]:
    """Samples as the model itself would make them, nothing left over."""
    ends = api.passes(KNOWN._replace(dirty_mib_s=dirty, working_set_mib=wide), Point(0, 0, 1024, 0), 0)[:count]
    return [
        Sample(1, 0.0, 1024, 0),
        *(Sample(end.number + 1, end.at_s, end.remaining_mib, end.sent_mib) for end in ends),
    ]


@pytest.mark.parametrize("dirty", [20, 50, 80])
@pytest.mark.parametrize("wide", [100, 300, 900])
def test_rate_and_working_set_come_back(dirty: float, wide: float) -> None:
    found = api.estimate(played(dirty, wide), KNOWN)
    assert found is not None
    for window in (0.5, 1.0, 2.0, 4.0):
        right = api.unique_mib(window, dirty, wide)
        assert api.unique_mib(window, found.dirty_mib_s or 0, found.working_set_mib or 0) == pytest.approx(
            right, rel=0.1
        )


def test_one_pass_says_too_little() -> None:
    assert api.estimate(played(50, 300)[:2], KNOWN) is None
    assert api.estimate(played(50, 300)[:3], KNOWN) is not None


def test_one_pass_suffices_where_it_agrees_with_what_was_sampled() -> None:
    sampled = KNOWN._replace(dirty_mib_s=50.0, working_set_mib=300.0)
    assert api.estimate(played(50, 300)[:2], sampled) is not None
    assert api.estimate(played(50, 40)[:2], sampled) is None
    assert api.estimate(played(400, 900)[:2], sampled) is None


def test_a_saturated_guest_writes_its_working_set_in_every_window() -> None:
    samples = [Sample(1, 0, 1024, 0), Sample(2, 10, 200, 1024), Sample(3, 12, 200, 1224), Sample(4, 14, 200, 1424)]
    found = api.estimate(samples, KNOWN)
    assert found is not None and found.working_set_mib == 200
    assert api.unique_mib(2.0, found.dirty_mib_s or 0, 200) > 190


def test_a_rate_that_was_known_is_not_forgotten_where_the_passes_cannot_show_it() -> None:
    samples = [Sample(1, 0, 1024, 0), Sample(2, 10, 200, 1024), Sample(3, 12, 200, 1224)]
    for known, found in ((None, 400), (90.0, 400), (900.0, 900)):
        seen = api.estimate(samples, KNOWN._replace(dirty_mib_s=known, working_set_mib=20.0))
        assert seen is not None and seen.dirty_mib_s == found
    # It is the rate of a guest that is not slowed down.
    slow = api.estimate([*samples[:2], samples[2]._replace(throttle=80)], KNOWN._replace(dirty_mib_s=900.0))
    assert slow is not None and slow.dirty_mib_s == 400


def test_passes_that_were_cut_short_or_missed_do_not_count() -> None:
    whole = Sample(2, 10, 200, 1024)
    assert len(api.windows([Sample(1, 0, 1024, 0), whole])) == 1
    assert len(api.windows([whole, Sample(3, 10.1, 190, 1034)])) == 0
    assert len(api.windows([whole, Sample(4, 14, 190, 1424)])) == 0


def test_a_pass_that_was_slowed_down_for_another_says_nothing() -> None:
    whole, slow = Sample(2, 10, 200, 1024), Sample(3, 210, 200, 1224, held=True)
    assert len(api.windows([whole, slow])) == 0
    assert [window.rate_mib_s for window in api.windows([whole, slow, Sample(4, 212, 200, 1424)])] == [100]


def test_what_is_left_over_is_not_counted_as_written() -> None:
    # 60 MiB were not sent; 40 beside them were written, and of what was left a third was written again unseen.
    (window,) = api.windows([Sample(2, 10, 160, 1024), Sample(3, 11, 100, 1124)])
    assert window.rate_mib_s == 100
    assert 40 < window.written_mib < 70


def test_a_guest_that_stops_writing_is_seen_to() -> None:
    found = api.estimate([Sample(1, 0, 1024, 0), Sample(2, 10, 0, 1024), Sample(3, 11, 0, 1025)], KNOWN)
    assert found is not None and found.dirty_mib_s == 0


def test_libvirts_statistics() -> None:
    stats = {
        "memory_iteration": 9,
        "memory_remaining": 30 * MIB,
        "memory_processed": 500 * MIB,
        "memory_bps": 117 * MIB,
        "auto_converge_throttle": 20,
    }
    # The counter goes on from an earlier job that was cancelled.
    assert api.sample(stats, 12.5, earlier=6) == Sample(3, 12.5, 30.0, 500.0, 117.0, 20)
    assert api.sample({}, 1.0) == Sample(0, 1.0, 0.0, 0.0, None, 0)


@pytest.mark.parametrize("order", ["random", "sequence"])
@pytest.mark.parametrize(("wide", "rate"), [(60, 30), (120, 60), (120, 300), (200, 40)])
def test_from_two_passes_the_next_is_known(order: str, wide: int, rate: int) -> None:
    """Samples of pages that are written one by one: what comes after two passes, forecast from them."""
    seen: list[Boundary] = []
    Simulation(
        Writer(512, wide, rate, order), 100, lambda _simulation, at: seen.append(at), limit_ms=20, noise=0
    ).simulate(20)
    samples = [Sample(at.iteration, at.at_s, at.remaining, at.sent, at.rate) for at in seen]
    found = api.estimate(samples[:3], KNOWN._replace(touched_mib=512))
    assert found is not None
    here = samples[2]
    coming = api.passes(found, Point(here.at_s, here.sent_mib, here.remaining_mib, 2), 20)
    assert rate < 300 or (len(samples) > 3 and coming)
    if len(samples) > 3 and coming:
        assert coming[0].remaining_mib == pytest.approx(samples[3].remaining_mib, abs=max(6, 0.25 * here.remaining_mib))


def test_what_was_sent_since_the_event_is_undone() -> None:
    stats = {"memory_iteration": 5, "memory_remaining": 90 << 20, "memory_processed": 210 << 20, "memory_bps": 50 << 20}
    late = api.sample(stats, 7.0, earlier=3, late_s=0.2)
    assert (late.iteration, late.at_s, late.remaining_mib, late.sent_mib) == (2, 7.0, 100, 200)
