# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the runs of the convergence bench: medians, ratios, breaches, errors of forecasts. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.livemig.libvirt.plugins.module_utils._policy.api import PROFILES
from tests.bench import arms, schedules
from tests.bench.arms import ARMS, CALM, GRID
from tests.bench.migrate import interval

Run = Mapping[str, Any]
WITNESS_MS = 10
"""The witness sends every 5 ms, so its figure is too long by up to twice as much."""
_SURELY, _WITHIN = 0.7, 0.85
ENDS = {"moved": "moved", "timeout": "not in 60 s", "aborted": "aborted", "error": "failed"}


class Bar(NamedTuple):
    """``met``: None where there is nothing to tell it from."""

    what: str
    seen: str
    bar: str
    met: bool | None


def of(runs: Iterable[Run], part: str) -> list[Run]:
    """Those of a part that count."""
    return [run for run in runs if run["part"] == part and not run["loaded"]]


def median(runs: Sequence[Run], key: str) -> float | None:
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def percentile(values: Sequence[float], part: float = 0.9) -> float | None:
    """The nearest rank: at least this part of the values is no larger."""
    return sorted(values)[math.ceil(part * len(values)) - 1] if values else None


def paused_ms(run: Run) -> float:
    """The longest that is known of it: from events or from outside."""
    return float(max(run.get("compute_ms") or 0.0, run["blackout_ms"]))


def breached(run: Run) -> str | None:
    """``silent`` where the guest was gone for longer than its ceiling and the product has not said so.

    The product knows the events of both hosts, not the witness.
    """
    if run["ended"] != "moved":
        return None
    over = paused_ms(run) - WITNESS_MS > run["ceiling_ms"]
    return "detected" if run.get("breach") else "silent" if over else None


def way(run: Run) -> str:
    """How it came to its end: moved, postcopy, throttled, refused, timeout or error."""
    if run["ended"] != "moved":
        return "refused" if run["ended"] == "aborted" else str(run["ended"])
    if any(action[1] == "postcopy" for action in run["actions"]):
        return "postcopy"
    slowed = run["throttled"] or len(run["attempts"]) > 1
    return "throttled" if slowed else "moved"


def expected(guest: Sequence[int], ceiling_ms: float, link_mib_s: float, profile: str) -> set[str]:
    """The ways that are right for a guest that is known exactly; near a border both sides are.

    With a budget of b times its memory a guest converges that writes up to 1 - 1 / b of what the link carries.
    """
    _memory, wide, rate = guest
    converging = min(_SURELY, _WITHIN * (1 - 1 / PROFILES[profile].budget))
    pause_ms = min(wide, wide * rate / link_mib_s) / link_mib_s * 1000 + 60
    hard = {"postcopy", "throttled", "refused"}
    if rate < converging * link_mib_s or pause_ms < 0.75 * ceiling_ms:
        return {"moved"}
    if rate > 1.2 * link_mib_s and pause_ms > ceiling_ms:
        return hard
    return {"moved", *hard}


def _mistaken(run: Run, link_mib_s: float) -> bool:
    return way(run) not in expected(run["guest"], run["ceiling_ms"], link_mib_s, run["profile"])


def blackout_error(run: Run, key: str) -> tuple[float, float] | None:
    """Milliseconds and part by which the last forecast before the switchover was wrong; None where there was none.

    ``key``: compute_ms or blackout_ms, what it is held against.
    """
    said = [entry for entry in run.get("forecasts", []) if entry["blackout_ms"] is not None]
    seen = run.get(key)
    if run["ended"] != "moved" or not said or not seen:
        return None
    wrong = abs(said[-1]["blackout_ms"] - seen)
    return wrong, wrong / seen


def total_error(run: Run, last: bool = False) -> float | None:
    """Part by which the first forecast of the whole time was wrong (``last``: the last); from the first byte on.

    libvirt prepares the destination before: no forecast counts that.
    """
    said = [entry for entry in run.get("forecasts", []) if entry["total_ms"] is not None]
    if run["ended"] != "moved" or len(run["attempts"]) > 1 or not said or not run["samples"]:
        return None
    seen = run["total_s"] - run["samples"][0][0]
    return float(abs(said[-1 if last else 0]["total_ms"] / 1000 - seen) / seen)


def started_error(run: Run) -> float | None:
    """Part by which the forecast from before the start was wrong about the whole time: of guests that were known."""
    said = (run.get("started") or {}).get("total_ms")
    if run["ended"] != "moved" or len(run["attempts"]) > 1 or said is None:
        return None
    return float(abs(said / 1000 - run["total_s"]) / run["total_s"])


def near(error: tuple[float, float]) -> bool:
    return error[0] <= 60 or error[1] <= 0.25


def touched_mib(run: Run) -> float | None:
    """What its first pass has sent: not what is configured, nor what is resident."""
    samples = run["samples"]
    return samples[1][3] - samples[0][3] if len(samples) > 1 else None


def markdown(result: Mapping[str, Any]) -> str:
    runs = result["runs"]
    parts = [HEAD.format(mbit=result["link_mbit"], link=result["link_mib_s"] or 0, cores=result["machine"]["cores"])]
    if of(runs, ARMS):
        parts.append(_arms(of(runs, ARMS)))
    if of(runs, GRID):
        parts.append(_grid(of(runs, GRID), result["link_mib_s"]))
    if of(runs, CALM):
        parts.append(_calm(of(runs, CALM)))
    parts.append(_discarded([run for run in runs if run["loaded"]]))
    return "\n".join(parts)


def by_arm(runs: Iterable[Run], guest: Sequence[int]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if list(run["guest"]) == list(guest):
            found.setdefault(run["arm"], []).append(run)
    return found


def _arms(runs: Sequence[Run]) -> str:
    lines = ["## Arms", "", ARMS_TEXT]
    for guest, title in ((arms.OVER, OVER_TEXT), (arms.WITHIN, WITHIN_TEXT)):
        found = by_arm(runs, guest)
        if not found:
            continue
        reference = found.get(arms.DEADLINE.name, [])
        lines += ["", f"### {guest.working_set_mib} MiB at {guest.rate_mib_s} MiB/s", "", title, "", *TABLE]
        order = sorted(found, key=lambda name: median(found[name], "total_s") or 0.0)
        lines += [_row(name, found[name], reference) for name in order]
    lines += ["", "| bar | seen | wanted | met |", "|---|---|---|---|"]
    lines += [_bar(bar) for bar in arm_bars(by_arm(runs, arms.OVER))]
    lines += ["", "Schedules were read from:", ""]
    names = {run["arm"] for run in runs}
    lines += [f"- {entry.name}: {'; '.join(entry.read_from)}" for entry in schedules.SCHEDULES if entry.name in names]
    return "\n".join([*lines, ""])


TABLE = [
    "| arm | runs | end | time | MiB | times ours, time | times ours, MiB | blackout | paused | throttle | passes |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
]


def _row(name: str, runs: Sequence[Run], reference: Sequence[Run]) -> str:
    ends = [f"{word} {count}" for word, count in _counted(ENDS[run["ended"]] for run in runs)]
    moved = all(run["ended"] == "moved" for run in runs)
    total, wire = median(runs, "total_s") or 0.0, median(runs, "wire_mib") or 0.0
    ours = median(reference, "total_s"), median(reference, "wire_mib")
    ratios = [f"{value / base:.2f}" if base else "" for value, base in zip((total, wire), ours, strict=True)]
    paused, compute = median(runs, "blackout_ms"), median(runs, "compute_ms")
    cells = [
        *(name, str(len(runs)), ", ".join(ends), f"{total:.1f} s", f"{wire:.0f}", *ratios),
        f"{paused:.0f} ms" if moved and paused else "",
        f"{compute:.0f} ms" if moved and compute else "",
        f"{max(run['throttled'] for run in runs)} %",
        f"{median(runs, 'passes'):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def arm_bars(found: Mapping[str, Sequence[Run]], ours: str = arms.DEADLINE.name) -> list[Bar]:
    """What issue 6 wants of the guest that no limit within the ceiling gets there."""
    mine = found.get(ours, [])
    if not mine:
        return []
    others = {
        name: runs
        for name, runs in found.items()
        if not name.startswith("ourselves") and all(run["ended"] == "moved" for run in runs)
    }
    blackouts = {name: median(runs, "blackout_ms") or 0.0 for name, runs in others.items()}
    bars = []
    blackout, total = median(mine, "blackout_ms") or 0.0, median(mine, "total_s") or 0.0
    if blackouts:
        best = min(blackouts, key=lambda name: blackouts[name])
        seen = f"{blackout:.0f} ms; {best}: {blackouts[best]:.0f} ms"
        bars.append(Bar("blackout, against the best other arm's", seen, "1.1 times", blackout <= 1.1 * blackouts[best]))
    for name, most in ((arms.AUTO_CONVERGE.name, 0.4), (arms.AUTO_CEILING.name, 0.4), (arms.LADDER.name, 0.6)):
        if other := found.get(name):
            ratio = total / (median(other, "total_s") or math.inf)
            ended = ENDS[other[0]["ended"]]
            bars.append(Bar(f"time, against {name} ({ended})", f"{ratio:.2f}", f"{most} times", ratio <= most))
    wire, touched = median(mine, "wire_mib") or 0.0, statistics.median(filter(None, map(touched_mib, mine)))
    ratio = wire / (touched + arms.OVER.working_set_mib)
    bars.append(Bar("bytes, against touched memory + working set", f"{ratio:.2f}", "1.6 times", ratio <= 1.6))
    for arm in arms.UNFINISHED:
        if other := found.get(arm.name):
            late = sum(run["ended"] in ("timeout", "aborted") for run in other)
            text = f"{late} of {len(other)}"
            bars.append(Bar(f"{arm.name} does not get it there in 60 s", text, "all", late == len(other)))
    return bars


def _bar(bar: Bar) -> str:
    met = {True: "yes", False: "**no**", None: "not told"}[bar.met]
    return f"| {bar.what} | {bar.seen} | {bar.bar} | {met} |"


def grid_bars(runs: Sequence[Run], link_mib_s: float) -> list[Bar]:
    breaches = [breached(run) for run in runs]
    paused = sum(breached(run) == "silent" and (run["compute_ms"] or 0) > run["ceiling_ms"] for run in runs)
    mistaken = [run for run in runs if _mistaken(run, link_mib_s)]
    turned = [run for run in runs if way(run) in ("refused", "postcopy")]
    right = [run for run in turned if run not in mistaken]
    guests = {tuple(run["guest"]) for run in runs}
    bars = [
        Bar("guests", str(len(guests)), "24 or more", len(guests) >= 24),
        Bar("silent breaches", str(breaches.count("silent")), "0", "silent" not in breaches),
        Bar("of which its vCPUs stood still for too long", str(paused), "0", not paused),
        Bar("detected breaches", str(breaches.count("detected")), "at most 1", breaches.count("detected") <= 1),
        Bar("refused or sent to post-copy, correctly", f"{len(right)} of {len(turned)}", "8 or more", len(right) >= 8),
        Bar("cells that ended in a wrong way", str(len(mistaken)), "0", not mistaken),
    ]
    for what, key in (("events", "compute_ms"), ("the witness", "blackout_ms")):
        found = [error for run in runs if (error := blackout_error(run, key)) is not None]
        ms, share = percentile([error[0] for error in found]), percentile([error[1] for error in found])
        if ms is not None and share is not None:
            text = f"{ms:.0f} ms; {share:.0%}; within: {sum(map(near, found))} of {len(found)}"
            met = sum(map(near, found)) >= 0.9 * len(found)
            bars.append(Bar(f"forecast of the blackout, P90 error, by {what}", text, "25 % or 60 ms", met))
    for what, wrong in (
        ("before the start, guests that moved before", started_error),
        ("first forecast", total_error),
        ("last forecast", lambda run: total_error(run, last=True)),
    ):
        totals = [part for run in runs if (part := wrong(run)) is not None]
        worst = percentile(totals)
        if worst is not None:
            text = f"{worst:.0%} ({len(totals)} runs)"
            bars.append(Bar(f"forecast of the total time, P90 error, {what}", text, "20 %", worst <= 0.2))
    return bars


def _grid(runs: Sequence[Run], link_mib_s: float) -> str:
    lines = ["## Grid", "", GRID_TEXT, "", "| bar | seen | wanted | met |", "|---|---|---|---|"]
    lines += [_bar(bar) for bar in grid_bars(runs, link_mib_s)]
    lines += ["", "| guest | profile | " + " | ".join(f"{ms / 1000:g} s" for ms in arms.CEILINGS_MS) + " |"]
    lines += ["|---|---|---|---|---|"]
    for guest in sorted({tuple(run["guest"]) for run in runs}):
        mine = [run for run in runs if tuple(run["guest"]) == guest]
        cells = [_cell([run for run in mine if run["ceiling_ms"] == ms], link_mib_s) for ms in arms.CEILINGS_MS]
        memory, wide, rate = guest
        lines.append(f"| {wide} MiB at {rate} MiB/s of {memory} MiB | {mine[0]['profile']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(runs: Sequence[Run], link_mib_s: float) -> str:
    return "; ".join(_ended(run, link_mib_s) for run in runs)


def _ended(run: Run, link_mib_s: float) -> str:
    said = [entry["blackout_ms"] for entry in run.get("forecasts", []) if entry["blackout_ms"] is not None]
    marks = {"silent": " **silent breach**", "detected": " **breach**", None: ""}[breached(run)]
    if _mistaken(run, link_mib_s):
        marks += " **wrong**"
    if run["ended"] != "moved":
        return f"{way(run)}{marks}"
    forecast = f" (forecast {said[-1]})" if said else ""
    compute = run.get("compute_ms")
    paused = "" if compute is None else f" {compute:.0f}/{run['blackout_ms']:.0f} ms{forecast}"
    return f"{way(run)}{paused}{marks}"


def _calm(runs: Sequence[Run]) -> str:
    plain, ours = ([run for run in runs if run["arm"] == arm.name] for arm in arms.CALM_ARMS)
    pairs = [(a, b) for a in plain for b in ours if a["round"] == b["round"]]
    if not pairs:
        return ""
    lines = ["## A guest that converges", "", CALM_TEXT.format(pairs=len(pairs)), ""]
    lines += ["| | `virsh` | ourselves | ratio, median of the pairs | 95 % interval |", "|---|---|---|---|---|"]
    for key, what, unit in (
        ("total_s", "time", "s"),
        ("blackout_ms", "blackout", "ms"),
        ("compute_ms", "paused", "ms"),
    ):
        ratios = [b[key] / a[key] for a, b in pairs if a.get(key) and b.get(key)]
        if ratios:
            low, high = interval(ratios)
            sides = [
                f"{statistics.median(pair[side][key] for pair in pairs if pair[side].get(key)):.4g} {unit}"
                for side in (0, 1)
            ]
            ratio = f"{statistics.median(ratios):.2f}"
            lines.append(f"| {what} | {sides[0]} | {sides[1]} | {ratio} | {low:.2f} to {high:.2f} |")
    disturbed = [run for run in ours if run["actions"] or run["throttled"] or any(a["flags"] for a in run["attempts"])]
    lines += [
        "",
        f"Runs in which a limit was raised or the guest was slowed down: {len(disturbed)} of {len(ours)}.",
        "",
    ]
    return "\n".join(lines)


COMPARED = (("total_s", "time", "s"), ("blackout_ms", "blackout", "ms"), ("compute_ms", "paused", "ms"))


def _compared(pairs: Sequence[tuple[Run, Run]], key: str, what: str, unit: str) -> str:
    ratios = [b[key] / a[key] for a, b in pairs if a.get(key) and b.get(key)]
    low, high = interval(ratios)
    plain, ours = (f"{median([pair[side] for pair in pairs], key):.4g} {unit}" for side in (0, 1))
    return f"| {what} | {plain} | {ours} | {statistics.median(ratios):.2f} | {low:.2f} to {high:.2f} |"


def _discarded(runs: Sequence[Run]) -> str:
    lines = [
        "## Discarded",
        "",
        "Runs that began while something else used more than a quarter of a core, and were repeated:",
        "",
    ]
    lines += [f"- {run['key']}: {run['others_before']:.2f} cores" for run in runs] or ["- none"]
    return "\n".join([*lines, ""])


def _counted(words: Iterable[str]) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return sorted(found.items())


HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `python -m tests.bench convergence`. -->
# Convergence on real guests

Two hosts of the lab, QEMU without hardware virtualisation on {cores} cores, and between them a link that a token
bucket (TBF) holds at {mbit} Mbit/s, of which {link:.1f} MiB/s of memory remain with TLS. Guests write their working set
page by page at a given rate. The blackout is the longest time that a guest's network did not answer, from a third
place (every 5 ms, so up to 10 ms too long); paused is from libvirt's events, stopped there until running here. All
figures are medians; the raw ones are in [convergence.json](convergence.json). Times count from the call of
`migrateToURI3` until it returns.
"""
ARMS_TEXT = """\
Ourselves are the product's module, with its own settling before and after; the other arms are driven by one program
with the same flags. No arm may set a downtime limit above the ceiling of 1 s. They took turns in an order that a seed
gives, and those that take their whole minute ran last. A run is ended after 60 s. What a guest has shown in one run the
module knows in the next. Touched memory is what the first pass has sent."""
OVER_TEXT = "It writes faster than the link carries, and its working set takes longer than the ceiling: no limit helps."
WITHIN_TEXT = (
    "It writes faster than the link carries; its working set takes less than the ceiling, and more than 300 ms."
)
GRID_TEXT = """\
Guests under ceilings of 0.5, 1 and 2 s, driven by the policy. A cell: how it ended, paused / blackout, and what the
last forecast before the switchover was. What is right for a cell follows from the working set, the rate and the
link."""
CALM_TEXT = "40 MiB at 10 MiB/s, {pairs} pairs, against `virsh migrate` with nothing set."
