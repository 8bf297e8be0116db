# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a guest stood still, from all that was heard of it, and what that says of its ceiling."""

from __future__ import annotations

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.ceiling import ADOPTED, UNHEARD, worst
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.guard import HELD
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.outcome import outcome, pauses_ms
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.watch import BEGUN_AGAIN, Timeline
from tests.unit.migrate.test_migrate import move

STOP, BACK, THERE, FREE = "suspended", "rolled_back", "resumed", "unpaused"


def heard(*names: str) -> Timeline:
    """One event a second."""
    seconds = iter(range(len(names)))
    timeline = Timeline(lambda: float(next(seconds)))
    for name in names:
        timeline.again() if name == BEGUN_AGAIN else timeline.add(name)
    return timeline


@pytest.mark.parametrize(
    ("names", "there", "pauses"),
    [
        ((), False, []),
        (("iteration", STOP, THERE, "source_stopped"), True, [1000]),
        (("postcopy", "completed", THERE), True, [2000]),
        ((STOP, BACK), False, [1000]),
        ((STOP, BACK, BEGUN_AGAIN, "iteration", STOP, "completed", THERE), True, [1000, 2000]),
        ((STOP, BACK, HELD, FREE), False, [3000]),
        ((STOP, BACK, HELD), False, [None]),
        ((STOP,), False, [None]),
        # It has run there for a second, which is lost.
        ((STOP, THERE, BACK, HELD, FREE), False, [4000]),
        ((STOP, THERE, BACK, HELD), True, [1000]),
        # A user's.
        ((FREE, "iteration", FREE), False, []),
        ((HELD,), False, []),
    ],
)
def test_each_pause_lasts_until_it_really_runs(names: tuple[str, ...], there: bool, pauses: list[int | None]) -> None:
    assert pauses_ms(heard(*names), there) == pauses


@pytest.mark.parametrize(
    ("state", "names", "found"),
    [
        ("failed", (), None),
        ("failed", (STOP, BACK), None),
        ("failed", (STOP, "iteration", "iteration", BACK), "over"),
        ("failed", (STOP, BACK, UNHEARD), "unmeasured"),
        ("failed", (STOP,), "unmeasured"),
        ("ended", (STOP,), "unmeasured"),
        ("unknown", (), "unmeasured"),
        ("recoverable", ("postcopy", THERE), "unmeasured"),
        ("refused", (), None),
        ("refused", (STOP, "iteration", "iteration", BACK, BEGUN_AGAIN), "over"),
        ("moved", (STOP, "iteration", "iteration", BACK, BEGUN_AGAIN, STOP, THERE), "over"),
        ("moved", (STOP, BACK, BEGUN_AGAIN, STOP, THERE), None),
        ("moved", (ADOPTED, STOP, THERE), "unmeasured"),
        ("moved", (ADOPTED, STOP, "iteration", "iteration", BACK, BEGUN_AGAIN, STOP, THERE), "over"),
    ],
)
def test_the_worst_is_named(state: str, names: tuple[str, ...], found: str | None) -> None:
    result = outcome(move(), state)
    if state == "moved":
        result["downtime"] = {"compute_ms": 1000, "libvirt_ms": None, "network_ms": None}
    breach = worst(result, heard(*names), 2000)
    assert (None if breach is None else breach.kind) == found
