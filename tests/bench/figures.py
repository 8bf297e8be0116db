# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the runs of the convergence bench: medians, ratios, breaches, errors of forecasts, bars. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.livemig.libvirt.plugins.module_utils._policy.api import PROFILES
from tests.bench import arms
from tests.bench.migrate import interval

Run = Mapping[str, Any]
WITNESS_MS = 10
"""The witness sends every 5 ms, so its figure is too long by up to twice as much."""
_SURELY, _WITHIN = 0.7, 0.85
_HARD = {"gentle": {"refused"}, "balanced": {"throttled", "refused"}, "deadline": {"postcopy"}}
"""By profile, how a guest ends that no limit within the ceiling gets there."""
_TELLING = 6
"""Fewer pairs tell nothing with 95 %: five fall on one side of the median by chance in one case of sixteen."""
ENDS = {"moved": "moved", "timeout": "not in 60 s", "aborted": "aborted", "error": "failed"}
TURNED = "refused or sent to post-copy where just that is right"
COMPARED = (
    ("under_way_s", "time", "s"),
    ("blackout_ms", "blackout", "ms"),
    ("compute_ms", "paused", "ms"),
    ("total_s", "with all that the module does", "s"),
)


class Bar(NamedTuple):
    """``met``: None where there is nothing to tell it from."""

    what: str
    seen: str
    wanted: str
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


def slowed_s(samples: Sequence[Sequence[Any]], total_s: float) -> float:
    """How long the vCPUs slept altogether since they were slowed down: the part that they sleep of each pass.

    ``samples``: as of inside.py, of which the first is when a pass ended, in seconds, and the sixth the percent.
    """
    ends = [*(entry[0] for entry in samples[1:]), total_s]
    return float(sum((end - entry[0]) * entry[5] / 100 for entry, end in zip(samples, ends, strict=False)))


def still_s(run: Run) -> float | None:
    """How long its vCPUs stood still, slowed down or paused; None where it was slowed down and nobody looked."""
    slowed = run.get("slowed_s", None if run["throttled"] else 0.0)
    return None if slowed is None else float(slowed) + paused_ms(run) / 1000


def breached(run: Run) -> str | None:
    """``silent`` where the guest was gone for longer than its ceiling and the product has not said so.

    The product knows the events of both hosts, not the witness. A module that crashed has said nothing.
    """
    if run.get("breach"):
        return "detected"
    over = paused_ms(run) - WITNESS_MS > run["ceiling_ms"]
    return "silent" if over and run["ended"] in ("moved", "error") else None


def way(run: Run) -> str:
    """How it came to its end: moved, postcopy, throttled, refused, timeout or error."""
    if run["ended"] != "moved":
        return "refused" if run["ended"] == "aborted" else str(run["ended"])
    if any(action[1] == "postcopy" for action in run["actions"]):
        return "postcopy"
    slowed = run["throttled"] or len(run["attempts"]) > 1
    return "throttled" if slowed else "moved"


def expected(guest: Sequence[int], ceiling_ms: float, link_mib_s: float, profile: str) -> set[str]:
    """The ways that are right for a guest that is known exactly; near a border both sides are, and ``balanced`` may
    refuse where slowing the guest down does not help.

    With a budget of b times its memory a guest converges that writes up to 1 - 1 / b of what the link carries.
    """
    _memory, wide, rate = guest
    converging = min(_SURELY, _WITHIN * (1 - 1 / PROFILES[profile].budget))
    pause_ms = min(wide, wide * rate / link_mib_s) / link_mib_s * 1000 + 60
    if rate < converging * link_mib_s or pause_ms < 0.75 * ceiling_ms:
        return {"moved"}
    if rate > 1.2 * link_mib_s and pause_ms > ceiling_ms:
        return _HARD[profile]
    return {"moved", *_HARD[profile]}


def _right(run: Run, link_mib_s: float) -> set[str]:
    return expected(run["guest"], run["ceiling_ms"], link_mib_s, run["profile"])


def is_mistaken(run: Run, link_mib_s: float) -> bool:
    return way(run) not in _right(run, link_mib_s)


def foretold_ms(run: Run) -> float | None:
    """The pause by the last forecast before the switchover: that of a boundary, or the one from before the start."""
    said = [entry.get("blackout_ms") for entry in (run.get("started") or {}, *run.get("forecasts", []))]
    known = [value for value in said if value is not None]
    return known[-1] if known else None


def blackout_error(run: Run, key: str) -> tuple[float, float] | None:
    """Milliseconds and part by which the last forecast before the switchover was wrong; None where there was none.

    ``key``: compute_ms or blackout_ms, what it is held against.
    """
    said, seen = foretold_ms(run), run.get(key)
    if run["ended"] != "moved" or said is None or not seen:
        return None
    wrong = abs(said - seen)
    return wrong, wrong / seen


def total_error(run: Run, last: bool = False) -> float | None:
    """Part by which the first forecast of the whole time that was made on the way was wrong (``last``: the last)."""
    said = [entry for entry in run.get("forecasts", []) if entry["total_ms"] is not None]
    if run["ended"] != "moved" or len(run["attempts"]) > 1 or not said:
        return None
    return float(abs(said[-1 if last else 0]["total_ms"] / 1000 - run["total_s"]) / run["total_s"])


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


def by_arm(runs: Iterable[Run], guest: Sequence[int]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if list(run["guest"]) == list(guest):
            found.setdefault(run["arm"], []).append(run)
    return found


def arm_bars(found: Mapping[str, Sequence[Run]], ours: str = arms.DEADLINE.name) -> list[Bar]:
    """What issue 6 wants of the guest that no limit within the ceiling gets there."""
    mine = found.get(ours, [])
    if not mine:
        return []
    lost = [run for run in mine if run["ended"] != "moved"]
    bars = [Bar("it gets there", f"{len(mine) - len(lost)} of {len(mine)}", "all", not lost)]
    blackout, total = median(mine, "blackout_ms") or 0.0, median(mine, "total_s") or 0.0
    for what, others in _compared_with(found, any(way(run) == "postcopy" for run in mine)):
        best = min(others, key=lambda name: others[name])
        seen = f"{blackout:.0f} ms; {best}: {others[best]:.0f} ms"
        bars.append(Bar(f"blackout, against the best {what}", seen, "1.1 times", blackout <= 1.1 * others[best]))
    bars += _still_bar(found, mine)
    for name, most in ((arms.AUTO_CONVERGE.name, 0.4), (arms.AUTO_CEILING.name, 0.4), (arms.LADDER.name, 0.6)):
        if other := found.get(name):
            ratio = total / (median(other, "total_s") or math.inf)
            ended = ENDS[other[0]["ended"]]
            bars.append(Bar(f"time, against {name} ({ended})", f"{ratio:.2f}", f"{most} times", ratio <= most))
    if touched := [mib for run in mine if (mib := touched_mib(run))]:
        ratio = (median(mine, "wire_mib") or 0.0) / (statistics.median(touched) + arms.OVER.working_set_mib)
        bars.append(Bar("bytes, against touched memory + working set", f"{ratio:.2f}", "1.6 times", ratio <= 1.6))
    return _against(bars, lost)


def _still_bar(found: Mapping[str, Sequence[Run]], mine: Sequence[Run]) -> list[Bar]:
    ours = all_still_s(mine)
    others = {name: still for name, runs in _arrived(found).items() if (still := all_still_s(runs)) is not None}
    if ours is None or not others:
        return []
    best = min(others, key=lambda name: others[name])
    seen = f"{seconds(ours)}; {best}: {seconds(others[best])}"
    return [Bar("stood still, against the best other arm's", seen, "1.1 times", ours <= 1.1 * others[best])]


def all_still_s(runs: Sequence[Run]) -> float | None:
    known = [still for run in runs if (still := still_s(run)) is not None]
    return statistics.median(known) if known and len(known) == len(runs) else None


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _arrived(found: Mapping[str, Sequence[Run]]) -> dict[str, Sequence[Run]]:
    """Other arms that have always got there."""
    return {
        name: runs
        for name, runs in found.items()
        if not name.startswith("ourselves") and all(run["ended"] == "moved" for run in runs)
    }


def _compared_with(found: Mapping[str, Sequence[Run]], postcopy: bool) -> Iterator[tuple[str, dict[str, float]]]:
    """Blackouts of the other arms that have always arrived; where we use no post-copy, of those without it, too."""
    others = _arrived(found)
    without = {name: runs for name, runs in others.items() if not any(way(run) == "postcopy" for run in runs)}
    for what, chosen in (("other arm's", others), ("other arm's without post-copy", {} if postcopy else without)):
        if chosen:
            yield what, {name: median(runs, "blackout_ms") or 0.0 for name, runs in chosen.items()}


def other_bars(found: Mapping[str, Sequence[Run]]) -> list[Bar]:
    bars = []
    for arm in arms.UNFINISHED:
        if other := found.get(arm.name):
            late = sum(run["ended"] in ("timeout", "aborted") for run in other)
            text = f"{late} of {len(other)}"
            bars.append(Bar(f"{arm.name} does not get it there in 60 s", text, "all", late == len(other)))
    return bars


def _against(bars: Iterable[Bar], failed: Sequence[Run]) -> list[Bar]:
    """A run of ours that has failed is not left out: with one, no bar is met."""
    note = f"; {len(failed)} failed" if failed else ""
    return [each._replace(seen=each.seen + note, met=not failed and each.met) for each in bars]


def grid_bars(runs: Sequence[Run], link_mib_s: float) -> list[Bar]:
    breaches = [breached(run) for run in runs]
    paused = sum(breached(run) == "silent" and (run["compute_ms"] or 0) > run["ceiling_ms"] for run in runs)
    mistaken = [run for run in runs if is_mistaken(run, link_mib_s)]
    strict = [run for run in runs if len(_right(run, link_mib_s)) == 1]
    turned = [run for run in strict if way(run) in ("refused", "postcopy")]
    right = [run for run in turned if run not in mistaken]
    guests = {tuple(run["guest"]) for run in runs}
    wrong = f"{len(mistaken)} of {len(runs)}; in {len(strict)} just one way is right"
    bars = [
        Bar("guests", str(len(guests)), "24 or more", len(guests) >= 24),
        Bar("silent breaches", str(breaches.count("silent")), "0", "silent" not in breaches),
        Bar("of which its vCPUs stood still for too long", str(paused), "0", not paused),
        Bar("detected breaches", str(breaches.count("detected")), "at most 1", breaches.count("detected") <= 1),
        Bar(TURNED, f"{len(right)} of {len(turned)}", "8 or more", len(right) >= 8),
        Bar("cells that ended in a wrong way", wrong, "0", not mistaken),
        _blackout_bar(runs, "events", "compute_ms"),
        _blackout_bar(runs, "the witness", "blackout_ms"),
        _total_bar(runs, "before the start, guests that moved before", started_error),
        _total_bar(runs, "first forecast", total_error),
        _total_bar(runs, "last forecast", lambda run: total_error(run, last=True)),
    ]
    return _against(bars, [run for run in runs if run["ended"] == "error"])


def _blackout_bar(runs: Sequence[Run], what: str, key: str) -> Bar:
    moved = [run for run in runs if run["ended"] == "moved"]
    found = [error for run in moved if (error := blackout_error(run, key)) is not None]
    ms, share = percentile([error[0] for error in found]), percentile([error[1] for error in found])
    seen, met = f"{len(found)} of {len(moved)} that moved", None
    if ms is not None and share is not None:
        within = sum(map(near, found))
        seen, met = f"{ms:.0f} ms; {share:.0%}; within: {within} of {len(found)}; {seen}", within >= 0.9 * len(found)
    return Bar(f"forecast of the blackout, P90 error, by {what}", seen, "25 % or 60 ms", met)


def _total_bar(runs: Sequence[Run], what: str, wrong: Callable[[Run], float | None]) -> Bar:
    moved = [run for run in runs if run["ended"] == "moved"]
    found = [part for run in moved if (part := wrong(run)) is not None]
    worst, seen = percentile(found), f"{len(found)} of {len(moved)} that moved"
    text = seen if worst is None else f"{worst:.0%}; {seen}"
    return Bar(f"forecast of the total time, P90 error, {what}", text, "20 %", None if worst is None else worst <= 0.2)


def calm_pairs(runs: Sequence[Run], arm: arms.Arm, key: str) -> list[tuple[float, float]]:
    """``virsh``'s figure and that of one of our arms, of the rounds in which both have arrived."""
    mine, plain = (
        {run["round"]: run[key] for run in runs if run["arm"] == each.name and run["ended"] == "moved" and run.get(key)}
        for each in (arm, arms.PLAIN)
    )
    return [(plain[number], mine[number]) for number in sorted({*plain} & {*mine})]


def ratio_of(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The median of the pairs, between the ends of its 95 % interval."""
    ratios = [ours / plain for plain, ours in pairs]
    low, high = interval(ratios)
    return low, statistics.median(ratios), high


def calm_bars(runs: Sequence[Run]) -> list[Bar]:
    """What issue 6 wants of a guest that converges: it is left alone, and what we take is what ``virsh`` takes, as far
    as the pairs can tell."""
    bars: list[Bar] = []
    for arm in arms.CALM_OURS:
        mine = [run for run in runs if run["arm"] == arm.name]
        touched = [
            run for run in mine if run["actions"] or run["throttled"] or any(a["flags"] for a in run["attempts"])
        ]
        seen = f"{len(touched)} of {len(mine)}"
        own = [Bar(f"{arm.name}: a limit set, slowed down, or post-copy", seen, "none", not touched if mine else None)]
        for key, what, _unit in COMPARED[:2]:
            pairs = calm_pairs(runs, arm, key)
            low, middle, high = ratio_of(pairs) if pairs else (0.0, 0.0, 0.0)
            seen = f"{middle:.2f} times ({low:.2f} to {high:.2f}), {len(pairs)} pairs" if pairs else "no pair"
            met = low <= 1 if len(pairs) >= _TELLING else None
            own.append(Bar(f"{arm.name}: {what}, against `virsh`", seen, "within the noise of the pairs", met))
        bars += _against(own, [run for run in mine if run["ended"] != "moved"])
    return bars
