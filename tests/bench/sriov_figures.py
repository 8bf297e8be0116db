# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the runs of the SR-IOV bench: medians, bars, the forecast's error, the time lines. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.api import Memory, forecast_ms, pinned_mib_s
from tests.bench import sriov_timeline

Run = Mapping[str, Any]
SIZES_MIB = (1024, 2048, 3072)
MIDDLE_MIB = 2048


class Arm(NamedTuple):
    """``nics``, ``silent``: of the guest (tests/sriov/domain.py); ``vf``: of the move's way."""

    nics: str
    vf: str
    about: str
    silent: bool = True
    sizes_mib: tuple[int, ...] = SIZES_MIB


ARMS: Mapping[str, Arm] = {
    "virtio": Arm("virtio", "none", "its virtio NIC alone"),
    "replug": Arm("teaming", "replug", "VF and standby, `replug`"),
    "failover": Arm("teaming", "failover", "VF and standby, `failover`"),
    "serial": Arm(
        "teaming",
        "replug",
        "VF and standby, `replug`, and it writes to its serial port",
        silent=False,
        sizes_mib=(MIDDLE_MIB,),
    ),
}
REPLUG_TIMES, REPLUG_MORE_MS, OF_FAILOVER, FORECAST_FACTOR = 1.25, 150.0, 0.25, 1.6


class Bar(NamedTuple):
    """``met``: None where there is nothing yet to tell it from."""

    what: str
    seen: str
    met: bool | None


def median(runs: Sequence[Run], arm: str, mib: int, key: str) -> float | None:
    values = [run[key] for run in runs if (run["arm"], run["mib"]) == (arm, mib) and run[key] is not None]
    return statistics.median(values) if values else None


def forecasts(runs: Sequence[Run], mib: int) -> tuple[float, float] | None:
    """Medians of what was forecast for failover and of how much longer it stood still than a guest without a VF, in
    milliseconds."""
    plain = median(runs, "virtio", mib, "compute_ms")
    found = [run for run in runs if (run["arm"], run["mib"]) == ("failover", mib) and run["compute_ms"] is not None]
    if not found or plain is None:
        return None
    said = statistics.median(forecast_ms([Memory(mib)], pinned_mib_s(run["rate_mib_s"])) for run in found)
    return said, statistics.median(run["compute_ms"] for run in found) - plain


def bars(runs: Sequence[Run]) -> list[Bar]:
    """The bars of the issue that this bench serves."""
    pauses = {(arm, mib): median(runs, arm, mib, "blackout_ms") for arm in ARMS for mib in SIZES_MIB}
    grown = [pauses["failover", mib] for mib in SIZES_MIB]
    found = [Bar("`failover` grows with the memory", _listed(grown), _rises(grown))]
    for mib in SIZES_MIB:
        ours, plain = pauses["replug", mib], pauses["virtio", mib]
        what = (
            f"{mib} MiB: `replug` at most {REPLUG_TIMES} times the guest without a VF, or {REPLUG_MORE_MS:.0f} ms more"
        )
        within = None if ours is None or plain is None else ours <= max(REPLUG_TIMES * plain, plain + REPLUG_MORE_MS)
        found.append(Bar(what, f"{_number(ours)} against {_number(plain)}", within))
    ours, other = pauses["replug", MIDDLE_MIB], pauses["failover", MIDDLE_MIB]
    what = f"{MIDDLE_MIB} MiB: `replug` at most {OF_FAILOVER} times `failover`"
    ratio = None if ours is None or not other else ours / other
    found.append(Bar(what, "-" if ratio is None else f"{ratio:.2f}", None if ratio is None else ratio <= OF_FAILOVER))
    return [*found, *_forecast_bars(runs)]


def _forecast_bars(runs: Sequence[Run]) -> list[Bar]:
    pairs = {mib: pair for mib in SIZES_MIB if (pair := forecasts(runs, mib)) is not None}
    factors = {mib: max(said / stood, stood / said) if stood > 0 else math.inf for mib, (said, stood) in pairs.items()}
    found = [
        Bar(f"{mib} MiB: the forecast within a factor of {FORECAST_FACTOR}", f"{factor:.2f}", factor <= FORECAST_FACTOR)
        for mib, factor in factors.items()
    ]
    stood = [stood for _said, stood in pairs.values()]
    said = [said for said, _stood in pairs.values()]
    right = None if len(pairs) < len(SIZES_MIB) else bool(_rises(stood) and _rises(said))
    return [*found, Bar("both in the order of sizes", f"{_listed(said)}; {_listed(stood)}", right)]


def _rises(values: Sequence[float | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return None if len(known) < len(values) else known == sorted(known) and len(set(known)) == len(known)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _listed(values: Sequence[float | None]) -> str:
    return ", ".join(map(_number, values)) + " ms"


def pages(result: Mapping[str, Any]) -> dict[str, str]:
    """File name -> text: the page, and the time lines of the strategies that were measured."""
    runs = result["runs"]
    lines = {arm: _typical(runs, arm) for arm in ("replug", "failover")}
    drawn = {
        f"sriov-{arm}.svg": sriov_timeline.svg(arm, run["phases"]) for arm, run in lines.items() if run is not None
    }
    return {"sriov.md": markdown(result, sorted(drawn)), **drawn}


def _typical(runs: Sequence[Run], arm: str) -> Run | None:
    """The run of the middle size whose pause is in the middle."""
    found = [run for run in runs if (run["arm"], run["mib"]) == (arm, MIDDLE_MIB) and run["compute_ms"] is not None]
    return sorted(found, key=lambda run: float(run["compute_ms"]))[len(found) // 2] if found else None


def markdown(result: Mapping[str, Any], drawn: Sequence[str] = ()) -> str:
    runs, failed = result["runs"], result.get("failed", ())
    rows = [_row(runs, failed, arm, mib) for mib in SIZES_MIB for arm in ARMS if mib in ARMS[arm].sizes_mib]
    verdicts = {True: "yes", False: "**no**", None: "not measured"}
    return "\n".join(
        (
            sriov_timeline.LICENCE,
            "<!-- Written by `python -m tests.bench sriov`. -->",
            "# Guests with a virtual function",
            "",
            "`python -m tests.bench sriov`, in the [SR-IOV lab](../sriov-lab.md), in turns: the same guest, by each",
            "way. All of it is emulated, so compare what is in one table, and the order of sizes. *Paused*: from the",
            "source's event to the destination's, as the product tells it. *Network*: the longest silence as seen from",
            "the wire, a packet each 100 ms, over all of it: VF off, migration, VF on. *Forecast*: the memory over the",
            "rate of the destination, as it allocates memory right before and 1.5 times as long for the pinning, which",
            "is what these runs have shown; what it is held against is how much longer than a guest without a VF it",
            "was paused. Medians, milliseconds. *Failed*: runs that gave",
            "no figures; they were done once more, and the file keeps why. A guest that reaches for a device that QEMU",
            "emulates, such as a serial port, waits for QEMU's main loop, and that is busy while memory is pinned.",
            "",
            "| memory MiB | guest and way | runs | failed | paused | network | whole | forecast of the stall |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "| bar | seen | met |",
            "|---|---|---|",
            *(f"| {each.what} | {each.seen} | {verdicts[each.met]} |" for each in bars(runs)),
            "",
            *(f"![{name.removesuffix('.svg')}]({name})\n" for name in drawn),
            f"Measured {result['date']}, {result['machine']['cores']} cores.",
            "",
        )
    )


def _row(runs: Sequence[Run], failed: Sequence[Run], arm: str, mib: int) -> str:
    count, without = (sum((run["arm"], run["mib"]) == (arm, mib) for run in each) for each in (runs, failed))
    shown = [_number(median(runs, arm, mib, key)) for key in ("compute_ms", "blackout_ms", "total_ms")]
    said = forecasts(runs, mib) if arm == "failover" else None
    figures = " | ".join((str(count), str(without), *shown))
    return f"| {mib} | {ARMS[arm].about} | {figures} | {_number(said[0]) if said else ''} |"
