# SPDX-License-Identifier: GPL-3.0-or-later
"""What other tools do about a migration that does not converge: their defaults as data, replayed by one driver.

Each says what it was read from: file and lines, or the function, at the commit that is named. Nothing here is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# What a step waits for. Seconds count from the start of the migration; a stall is the time since the memory left has
# last come down by the margin; polls that did not shrink are counted and never set back.
ELAPSED_S, ITERATION, STALLED_S, UNSHRUNK_POLLS = "elapsed_s", "iteration", "stalled_s", "unshrunk_polls"
LIMIT, DOUBLE, PAUSE, POSTCOPY, ABORT = "limit", "double", "pause", "postcopy", "abort"
_GIB_MIB = 1024


@dataclass(frozen=True)
class Step:
    """When ``measure`` reaches ``at`` (per GiB where ``per_gib``), ``action`` is done; ``value_ms``: of a limit."""

    measure: str
    at: float
    action: str
    value_ms: int | None = None
    per_gib: bool = False


@dataclass(frozen=True)
class Schedule:
    """``poll_s``: how often the tool looks. ``least_gib``: a smaller guest counts as one of this size.

    ``start_ms``: the downtime limit at the beginning, 300 where the tool leaves QEMU's own. ``margin``: what less
    counts as progress.
    """

    name: str
    read_from: tuple[str, ...]
    poll_s: float
    steps: tuple[Step, ...]
    start_ms: int = 300
    auto_converge: bool = False
    least_gib: float = 0.0
    margin: float = 0.0


def _nova_ladder(limit_ms: int = 500, steps: int = 10, delay_s: int = 75) -> tuple[Step, ...]:
    """nova's own arithmetic: equal steps up to the limit, each after as many seconds for each GiB."""
    base = limit_ms / steps
    offset = (limit_ms - base) / steps
    return tuple(
        Step(ELAPSED_S, delay_s * number, LIMIT, int(base + offset * number), per_gib=True)
        for number in range(steps + 1)
    )


def _by_iteration(pairs: Sequence[tuple[int, int]]) -> tuple[Step, ...]:
    """The engine compares ``limit < iteration``, so a step is taken one iteration later than it is written.

    What comes after the last pair has the limit -1 and is done at the next iteration.
    """
    return tuple(Step(ITERATION, limit + 1, LIMIT, value) for limit, value in pairs)


_NOVA = "openstack/nova 00a030403f"
_OVIRT = "oVirt/ovirt-engine packaging/dbscripts/upgrade/pre_upgrade/0000_config.sql:837-838 (MigrationPolicies, 4.8)"
_VDSM = "oVirt/vdsm fd4b0df20 lib/vdsm/common/config.py.in (migration_monitor_interval 10)"
_KUBEVIRT = "kubevirt/kubevirt d923fdb815"

NOVA = Schedule(
    name="nova",
    read_from=(
        f"{_NOVA} nova/virt/libvirt/migration.py downtime_steps",
        f"{_NOVA} nova/conf/libvirt.py live_migration_downtime 500, _steps 10, _delay 75, completion_timeout 800",
        f"{_NOVA} nova/virt/libvirt/driver.py _live_migration_monitor (0.5 s)",
    ),
    poll_s=0.5,
    least_gib=2.0,
    start_ms=50,
    steps=(*_nova_ladder(), Step(ELAPSED_S, 800, ABORT, per_gib=True)),
)
OVIRT_MINIMAL = Schedule(
    name="oVirt, minimal downtime",
    read_from=(_OVIRT, _VDSM),
    poll_s=10.0,
    start_ms=100,
    auto_converge=True,
    steps=(
        *_by_iteration(((1, 150), (2, 200), (3, 300), (4, 400), (6, 500))),
        Step(ITERATION, 8, ABORT),
    ),
)
OVIRT_SUSPEND = Schedule(
    name="oVirt, suspend workload if needed",
    read_from=(_OVIRT, _VDSM),
    poll_s=10.0,
    start_ms=100,
    auto_converge=True,
    steps=(
        *_by_iteration(((1, 150), (2, 200), (3, 300), (4, 400), (6, 500))),
        Step(ITERATION, 8, LIMIT, 5000),
        Step(ITERATION, 9, ABORT),
    ),
)
OVIRT_POSTCOPY = Schedule(
    name="oVirt, post-copy",
    read_from=(_OVIRT, _VDSM),
    poll_s=10.0,
    start_ms=100,
    steps=(*_by_iteration(((1, 150), (2, 200))), Step(ITERATION, 4, POSTCOPY)),
)
KUBEVIRT = Schedule(
    name="KubeVirt",
    read_from=(
        f"{_KUBEVIRT} pkg/virt-config/virt-config.go:40-56 (150 s per GB, 150 s without progress)",
        f"{_KUBEVIRT} pkg/virt-launcher/virtwrap/live-migration-source.go:65-69 (loop 400 ms)",
    ),
    poll_s=0.4,
    steps=(Step(ELAPSED_S, 150, ABORT, per_gib=True),),
)
KUBEVIRT_STALL = Schedule(
    name="KubeVirt, stall detector",
    read_from=(
        f"{_KUBEVIRT} pkg/virt-launcher/virtwrap/stall-detector.go (VEP 248: margin 4 %, 40 s, limit 900 ms)",
        f"{_KUBEVIRT} pkg/virt-config/virt-config.go:40-56",
    ),
    poll_s=0.4,
    margin=0.04,
    steps=(Step(STALLED_S, 40, LIMIT, 900), Step(ELAPSED_S, 150, ABORT, per_gib=True)),
)
PROXMOX = Schedule(
    name="Proxmox VE",
    read_from=("proxmox/qemu-server e6352be6 src/PVE/QemuMigrate.pm:1177-1575",),
    poll_s=1.0,
    start_ms=100,
    auto_converge=True,
    steps=(Step(UNSHRUNK_POLLS, 6, DOUBLE),),
)
SCHEDULES: tuple[Schedule, ...] = (
    NOVA,
    OVIRT_MINIMAL,
    OVIRT_SUSPEND,
    OVIRT_POSTCOPY,
    KUBEVIRT,
    KUBEVIRT_STALL,
    PROXMOX,
)


class Replay:
    """One run of a schedule. ``ceiling_ms``: no limit above it is set, so that all arms have the same."""

    def __init__(self, schedule: Schedule, memory_mib: float, ceiling_ms: float | None = None) -> None:
        self._schedule, self._ceiling_ms = schedule, ceiling_ms
        self._gib = max(memory_mib / _GIB_MIB, schedule.least_gib)
        self._left = list(schedule.steps)
        self._limit_ms = float(schedule.start_ms)
        self._lowest: float | None = None
        self._lowest_at_s = 0.0
        self._before: float | None = None
        self._unshrunk = 0

    def look(self, at_s: float, iteration: int, remaining_mib: float) -> list[tuple[str, float | None]]:
        """One poll: the actions that are due, each with the new limit where it has one."""
        if self._lowest is None or remaining_mib < self._lowest * (1 - self._schedule.margin):
            self._lowest, self._lowest_at_s = remaining_mib, at_s
        self._unshrunk += self._before is not None and remaining_mib >= self._before
        self._before = remaining_mib
        reached = {
            ELAPSED_S: at_s,
            ITERATION: float(iteration),
            STALLED_S: at_s - self._lowest_at_s,
            UNSHRUNK_POLLS: float(self._unshrunk),
        }
        due = [step for step in self._left if reached[step.measure] >= step.at * (self._gib if step.per_gib else 1)]
        self._left = [step for step in self._left if step not in due or step.action == DOUBLE]
        return [(step.action, self._value(step)) for step in due]

    def _value(self, step: Step) -> float | None:
        if step.action not in (LIMIT, DOUBLE):
            return None
        wanted = self._limit_ms * 2 if step.action == DOUBLE else float(step.value_ms or 0)
        self._limit_ms = wanted if self._ceiling_ms is None else min(wanted, self._ceiling_ms)
        return self._limit_ms
