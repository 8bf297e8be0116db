# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forecast: how long a migration takes, how much it sends, how long the guest is paused. Pure. The public face.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .._model.api import Forecast, PassForecast
from .history import remember, touched_mib, with_history
from .model import BASE_MS, Guest, Pass, Point, blackout_ms, fixed_ms, passes, postcopy_pause_ms, unique_mib, unsent_mib
from .samples import Sample, estimate, rate_mib_s, sample, windows
from .verdict import (
    RESERVE,
    VERDICTS,
    Limits,
    affordable,
    converging,
    forecast,
    hopeless,
    needs,
    postcopy_obstacle,
    seconds,
    stopping,
    usable_ms,
)

__all__ = [
    "BASE_MS",
    "RESERVE",
    "VERDICTS",
    "Forecast",
    "Guest",
    "Limits",
    "Pass",
    "PassForecast",
    "Point",
    "Sample",
    "affordable",
    "blackout_ms",
    "converging",
    "estimate",
    "fixed_ms",
    "forecast",
    "hopeless",
    "needs",
    "passes",
    "postcopy_obstacle",
    "postcopy_pause_ms",
    "rate_mib_s",
    "remember",
    "sample",
    "seconds",
    "stopping",
    "touched_mib",
    "unique_mib",
    "unsent_mib",
    "usable_ms",
    "windows",
    "with_history",
]
