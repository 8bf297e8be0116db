# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether ceiling and deadline were kept: what was measured, held against what was promised. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._forecast.api import seconds
from .._model.api import Downtime

# libvirt's figure is the difference of two hosts' clocks, so it counts only where there is no better one.
_MEASURES: tuple[tuple[str, str], ...] = (
    ("compute_ms", "its vCPUs stood still"),
    ("network_ms", "it did not answer"),
)


class Breach(t.NamedTuple):
    """``kind``: over (``by_ms`` says by how much) or unmeasured."""

    kind: str
    by_ms: int | None
    text: str


def unmeasured(ceiling_ms: float, what: str = "the guest was paused") -> Breach:
    """``what``: was not measured, in words."""
    text = f"how long {what} was not measured, so nothing proves its ceiling of {seconds(ceiling_ms)}"
    return Breach("unmeasured", None, text)


def breach(downtime: Downtime, ceiling_ms: float) -> Breach | None:
    """None where the guest was paused for no longer than its ceiling, and that was measured. No tolerance."""
    measured: list[tuple[int, str]] = []
    for key, what in _MEASURES:
        value = t.cast("int | None", downtime.get(key))
        if value is not None:
            measured.append((value, what))
    if downtime["compute_ms"] is None and downtime["libvirt_ms"] is not None:
        measured.append((downtime["libvirt_ms"], "by libvirt's figure its vCPUs stood still"))
    if not measured:
        return unmeasured(ceiling_ms)
    longest, what = max(measured)
    if longest <= ceiling_ms:
        return None
    by_ms = round(longest - ceiling_ms)
    return Breach(
        "over", by_ms, f"{what} for {longest} ms, {by_ms} ms longer than its ceiling of {seconds(ceiling_ms)}"
    )


def overrun(total_ms: float | None, deadline_s: int) -> str | None:
    """None where it was over in time, where there was no deadline (0), and where nothing was begun."""
    if not deadline_s or total_ms is None or total_ms <= deadline_s * 1000:
        return None
    late = seconds(total_ms - deadline_s * 1000)
    return f"it took {seconds(total_ms)}, {late} longer than its deadline of {deadline_s} s"
