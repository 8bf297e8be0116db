# SPDX-License-Identifier: GPL-3.0-or-later
"""What the convergence bench measures: guests, arms and ceilings, and the order of the runs. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.bench import schedules

ARMS, GRID, CALM = "arms", "grid", "calm"
PARTS = (ARMS, GRID, CALM)
SEED = 10
CEILING_MS, CEILINGS_MS = 1000, (500, 1000, 2000)


class Guest(NamedTuple):
    """A working set of so many MiB, rewritten at so many MiB/s, in so much memory."""

    memory_mib: int
    working_set_mib: int
    rate_mib_s: int

    @property
    def dirty(self) -> str:
        return f"{self.working_set_mib}@{self.rate_mib_s}"

    @property
    def name(self) -> str:
        return f"cv-{self.memory_mib}-{self.working_set_mib}-{self.rate_mib_s}"


class Arm(NamedTuple):
    """``schedule``: the name of one in schedules.py, None for ourselves. ``slow``: it takes its minute, so it runs last
    and less often. ``known``: ours, with a guest that it has moved there and back before."""

    name: str
    schedule: str | None
    profile: str | None = None
    slow: bool = False
    known: bool = False


class Cell(NamedTuple):
    part: str
    number: int
    arm: Arm
    guest: Guest
    ceiling_ms: int

    @property
    def key(self) -> str:
        return f"{self.part} {self.number} {self.guest.name} {self.ceiling_ms} {self.arm.name}"


def _other(schedule: schedules.Schedule, slow: bool = False) -> Arm:
    return Arm(schedule.name, schedule.name, slow=slow)


DEADLINE, BALANCED, GENTLE = (Arm(f"ourselves, {name}", None, name) for name in ("deadline", "balanced", "gentle"))
KNOWN = Arm(f"{DEADLINE.name}, known guest", None, DEADLINE.profile, known=True)
PLAIN = _other(schedules.PLAIN)
AUTO_CONVERGE, AUTO_CEILING = _other(schedules.AUTO_CONVERGE), _other(schedules.AUTO_CONVERGE_CEILING)
LADDER = _other(schedules.OVIRT_SUSPEND_AT_ONCE)
VIRSH_NEVER, VIRSH = _other(schedules.VIRSH, slow=True), _other(schedules.VIRSH)
POSTCOPY = _other(schedules.POSTCOPY_AFTER_PRECOPY)
UNFINISHED = tuple(_other(entry, slow=True) for entry in (schedules.NOVA, schedules.KUBEVIRT))

# 400 Mbit/s carry 44 MiB/s of memory. The first guest's working set takes 1.5 s, more than the ceiling; the second's
# 0.7 s, less than it and more than QEMU's own 300 ms.
OVER, WITHIN = Guest(256, 64, 200), Guest(192, 30, 200)
COMPARED: dict[Guest, tuple[Arm, ...]] = {
    OVER: (
        DEADLINE,
        KNOWN,
        BALANCED,
        POSTCOPY,
        AUTO_CONVERGE,
        AUTO_CEILING,
        LADDER,
        _other(schedules.OVIRT_POSTCOPY_POLLED),
        _other(schedules.OVIRT_SUSPEND_POLLED, slow=True),
        VIRSH_NEVER,
        *UNFINISHED,
        _other(schedules.KUBEVIRT_STALL, slow=True),
    ),
    WITHIN: (DEADLINE, KNOWN, BALANCED, POSTCOPY, AUTO_CONVERGE, AUTO_CEILING, LADDER, VIRSH),
}
SLOW_ROUNDS = 1

# The three profiles share the grid: one never slows down nor switches to post-copy, one may slow down, one may do both.
GRID_GUESTS: dict[Arm, tuple[Guest, ...]] = {
    BALANCED: tuple(
        Guest(192, *pair) for pair in ((8, 4), (16, 10), (16, 40), (16, 200), (32, 20), (32, 60), (32, 200), (48, 120))
    ),
    GENTLE: tuple(
        Guest(256, *pair)
        for pair in ((24, 80), (40, 30), (40, 100), (40, 200), (64, 20), (64, 60), (64, 200), (72, 400))
    ),
    DEADLINE: tuple(
        Guest(320, *pair)
        for pair in ((80, 20), (80, 40), (80, 80), (80, 200), (96, 30), (96, 200), (128, 30), (128, 200))
    ),
}
CALM_GUEST = Guest(192, 40, 10)
CALM_OURS = (BALANCED, DEADLINE)


def plan(part: str, rounds: int, seed: int = SEED) -> list[Cell]:
    """The runs in their order: shuffled, the same for the same seed."""
    chance = random.Random(f"{seed} {part}")
    return list({ARMS: _arms, GRID: _grid, CALM: _calm}[part](rounds, chance))


def _arms(rounds: int, chance: random.Random) -> Iterator[Cell]:
    """A guest at a time, all its arms in each round; then those that take their minute."""
    for slow, times in ((False, rounds), (True, min(rounds, SLOW_ROUNDS))):
        for number in range(times):
            for guest, arms in _shuffled(list(COMPARED.items()), chance):
                for arm in _shuffled([arm for arm in arms if arm.slow == slow], chance):
                    yield Cell(ARMS, number, arm, guest, CEILING_MS)


def _grid(rounds: int, chance: random.Random) -> Iterator[Cell]:
    for number in range(rounds):
        pairs = [(arm, guest) for arm, guests in GRID_GUESTS.items() for guest in guests]
        for arm, guest in _shuffled(pairs, chance):
            for ceiling_ms in _shuffled(CEILINGS_MS, chance):
                yield Cell(GRID, number, arm, guest, ceiling_ms)


def _calm(rounds: int, chance: random.Random) -> Iterator[Cell]:
    """All arms in each round."""
    for number in range(rounds):
        for arm in _shuffled((PLAIN, *CALM_OURS), chance):
            yield Cell(CALM, number, arm, CALM_GUEST, CEILING_MS)


def _shuffled(values: Sequence, chance: random.Random) -> list:  # type: ignore[type-arg]
    return chance.sample(list(values), len(values))
