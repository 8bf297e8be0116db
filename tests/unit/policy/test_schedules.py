# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules of other tools, compared with figures that these tools give themselves."""

from __future__ import annotations

import re

import pytest

from tests.bench import schedules
from tests.bench.schedules import Replay


def test_each_says_where_it_was_read() -> None:
    for schedule in schedules.SCHEDULES:
        assert schedule.read_from and schedule.steps
        for source in schedule.read_from:
            assert re.match(r"[\w-]+/[\w-]+ ", source), source
    assert len({schedule.name for schedule in schedules.SCHEDULES}) == len(schedules.SCHEDULES)


def test_novas_ladder_is_the_one_of_its_own_docstring() -> None:
    ladder = schedules._nova_ladder(limit_ms=400, steps=10, delay_s=30)
    shown = [40, 76, 112, 148, 184, 220, 256, 292, 328, 364, 400]
    assert [step.value_ms for step in ladder] == shown
    assert [step.at * 3 for step in ladder] == [90 * number for number in range(11)]


@pytest.mark.parametrize(("gib", "until_s", "abort_s"), [(1, 1500, 1600), (8, 6000, 6400), (128, 96000, 102400)])
def test_novas_times(gib: float, until_s: float, abort_s: float) -> None:
    replay = Replay(schedules.NOVA, gib * 1024)
    assert ("limit", 500.0) not in replay.look(until_s - 1, 3, 100)
    assert ("limit", 500.0) in replay.look(until_s, 3, 100)
    assert replay.look(abort_s - 1, 3, 100) == []
    assert replay.look(abort_s, 3, 100) == [("abort", None)]


def test_ovirts_steps_come_with_the_iterations() -> None:
    replay = Replay(schedules.OVIRT_MINIMAL, 4096)
    seen = [replay.look(0, iteration, 100) for iteration in range(1, 9)]
    assert seen == [
        [],
        [("limit", 150.0)],
        [("limit", 200.0)],
        [("limit", 300.0)],
        [("limit", 400.0)],
        [],
        [("limit", 500.0)],
        [("abort", None)],
    ]


def test_proxmox_doubles_and_never_ends() -> None:
    replay = Replay(schedules.PROXMOX, 4096)
    values = [value for poll in range(12) for _action, value in replay.look(poll, 1, 100)]
    assert values == [200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0]


def test_kubevirts_stall_is_forty_seconds_without_progress() -> None:
    replay = Replay(schedules.KUBEVIRT_STALL, 100 * 1024)
    assert [replay.look(at, 2, 1000 - at) for at in (0, 10, 39)] == [[], [], []]
    assert replay.look(40, 2, 980) == [("limit", 900.0)]


def test_no_arm_goes_over_the_ceiling_of_the_comparison() -> None:
    replay = Replay(schedules.OVIRT_SUSPEND, 4096, ceiling_ms=1000)
    found = [value for iteration in range(1, 12) for _action, value in replay.look(0, iteration, 100)]
    assert max(value for value in found if value is not None) == 1000
