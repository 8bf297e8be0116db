# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benches against virsh make of their rows."""

from __future__ import annotations

import pytest

from tests.bench import batches, migrate


def test_blackouts_are_compared_within_each_pair() -> None:
    pairs = [{"virsh": {"blackout_ms": ms}, "module": {"blackout_ms": ms * 1.1}} for ms in (100.0, 200.0, 300.0)]
    found = migrate.blackouts(pairs, resampled=400)
    assert found["ratio"] == pytest.approx(1.1)
    assert found["interval"] == pytest.approx((1.1, 1.1))
    assert found["difference_ms"] == pytest.approx(20.0)
    assert found["difference_interval"] == pytest.approx((10.0, 30.0))


def test_what_a_run_costs_is_told_from_what_its_moves_take() -> None:
    rows = {
        size: [
            {"virsh": {"wall_s": 2.0 * size}, "module": {"wall_s": 2.2 * size + fixed, "moves_s": 2.2 * size}}
            for fixed in (0.4, 0.5, 30.0)
        ]
        for size in (1, 4, 8)
    }
    found = batches.costs(rows)
    assert found["fixed_s"] == pytest.approx(0.5)
    assert found["per_domain"] == pytest.approx(1.1)
    assert found["per_domain_interval"] == pytest.approx((1.1, 1.1))
