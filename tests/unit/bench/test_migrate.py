# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench against virsh makes of its rows."""

from __future__ import annotations

import pytest

from tests.bench import migrate


def rounds(size: int, *extra: float) -> list[migrate.Row]:
    """virsh takes 2 s per domain; the module half a second once, 0.1 s per domain, and in each round ``extra``."""
    virsh = 2.0 * size
    return [{"virsh": {"wall_s": virsh}, "module": {"wall_s": virsh + 0.5 + 0.1 * size + seconds}} for seconds in extra]


def test_a_fixed_cost_and_one_per_domain() -> None:
    found = migrate.costs({size: rounds(size, 0.0, 0.0, 0.0) for size in (1, 4, 8)})
    assert found["fixed_s"] == pytest.approx(0.5)
    assert found["per_domain_s"] == pytest.approx(0.1)
    assert found["slope_ratio"] == pytest.approx(1.05)


def test_a_single_slow_run_does_not_tilt_the_line() -> None:
    found = migrate.costs({1: rounds(1, 0.0, 0.0, 30.0), 4: rounds(4, 0.0, 0.0, 0.0), 8: rounds(8, 0.0, 0.0, 0.0)})
    assert found["per_domain_s"] == pytest.approx(0.1, abs=0.01)
    assert found["fixed_s"] == pytest.approx(0.5, abs=0.05)


def test_blackouts_are_compared_within_each_pair() -> None:
    pairs = [{"virsh": {"blackout_ms": ms}, "module": {"blackout_ms": ms * 1.1}} for ms in (100.0, 200.0, 300.0)]
    found = migrate.blackouts(pairs, resampled=400)
    assert found["ratio"] == pytest.approx(1.1)
    assert found["interval"] == pytest.approx((1.1, 1.1))
    assert found["difference_ms"] == pytest.approx(20.0)
