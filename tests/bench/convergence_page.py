# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the convergence bench, docs/benchmarks/convergence.md. Pure: runs in, Markdown out."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench import arms, figures, schedules
from tests.bench.arms import ARMS, CALM, GRID
from tests.bench.figures import ENDS, Bar, Run

TABLE = [
    "| arm | runs | end | time | MiB | times our time | times our MiB | blackout | paused | slowed | still | passes |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
]
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `python -m tests.bench convergence`. -->
# Convergence on real guests

Two hosts of the lab, QEMU without hardware virtualisation on {cores} cores, and between them a link that a token
bucket (TBF) holds at {mbit} Mbit/s, of which {link:.1f} MiB/s of memory remain with TLS. Guests write their working set
page by page at a given rate. The blackout is the longest time that a guest's network did not answer, from a third
place (every 5 ms, so up to 10 ms too long); paused is from libvirt's events, stopped there until running here. All
figures are medians; the raw ones are in [convergence.json](convergence.json). Times count from the call of
`migrateToURI3` until it returns; ours begin with the intent that is written down, and end with the look at both hosts.

{hosts}

What our own checks have against post-copy between them, as a plan would tell it: {obstacles}.
"""
ARMS_TEXT = """\
Ourselves are the product's module, with its own settling before and after; the other arms are driven by one program
with the same flags. No arm may set a downtime limit above the ceiling of 1 s. They took turns in an order that a seed
gives, and those that take their whole minute ran last. A run is ended after 60 s. The module knows nothing of its guest
at the beginning of a run: the hosts' histories are forgotten before. With a known guest it has moved it there and back
right before, and that is not counted. Touched memory is what the first pass has sent. Still: how long the vCPUs stood
still altogether, the pause and what they slept before it while they were slowed down. A pause is as short as you like
where the guest hardly runs before it."""
BALANCED_TEXT = """\
This profile uses no post-copy, as auto-converge and oVirt's ladder use none: the guest is paused for what is left of
its working set, whoever does it."""
OVER_TEXT = "It writes faster than the link carries, and its working set takes longer than the ceiling: no limit helps."
WITHIN_TEXT = (
    "It writes faster than the link carries; its working set takes less than the ceiling, and more than 300 ms."
)
GRID_TEXT = """\
Guests under ceilings of 0.5, 1 and 2 s, driven by the policy. A cell: how it ended, paused / blackout, and what the
last forecast before the switchover was, or the one from before the start where no pass has given one. What is right for
a cell follows from the working set, the rate and the link. A guest that no limit within the ceiling gets there is
refused with gentle, slowed down or refused with balanced, and sent to post-copy with deadline; near a border it may
arrive as well, so such a cell proves nothing."""
CALM_TEXT = """\
40 MiB at 10 MiB/s, in each round by `virsh migrate` with nothing set, which nobody asks how far it is, and by two
profiles. Time: from the destination's being ready until the guest runs there; what the module does before and after,
such as writing down its intent, has a row of its own. Within the noise: the 95 % interval of the median ratio contains
1, or lies below it."""


def markdown(result: Mapping[str, Any]) -> str:
    runs = result["runs"]
    parts = [_head(result)]
    if figures.of(runs, ARMS):
        parts.append(_arms(figures.of(runs, ARMS)))
    if figures.of(runs, GRID):
        parts.append(_grid(figures.of(runs, GRID), result["link_mib_s"]))
    if figures.of(runs, CALM):
        parts.append(_calm(figures.of(runs, CALM)))
    parts.append(_failed([run for run in runs if run["ended"] == "error" and not run["loaded"]]))
    parts.append(_discarded([run for run in runs if run["loaded"]]))
    return "\n".join(parts)


def _head(result: Mapping[str, Any]) -> str:
    hosts = {
        name: ", ".join(f"{program} {version}" for program, version in found.items())
        for name, found in result["hosts"].items()
    }
    return HEAD.format(
        mbit=result["link_mbit"],
        link=result["link_mib_s"] or 0,
        cores=result["machine"]["cores"],
        hosts="\n".join(f"- {name}: {found}" for name, found in hosts.items()),
        obstacles="; ".join(result["obstacles"]) or "nothing",
    )


def _arms(runs: Sequence[Run]) -> str:
    lines = ["## Arms", "", ARMS_TEXT]
    for guest, title in ((arms.OVER, OVER_TEXT), (arms.WITHIN, WITHIN_TEXT)):
        found = figures.by_arm(runs, guest)
        if not found:
            continue
        reference = found.get(arms.DEADLINE.name, [])
        lines += ["", f"### {guest.working_set_mib} MiB at {guest.rate_mib_s} MiB/s", "", title, "", *TABLE]
        order = sorted(found, key=lambda name: figures.median(found[name], "total_s") or 0.0)
        lines += [_row(name, found[name], reference) for name in order]
    over = figures.by_arm(runs, arms.OVER)
    lines += [
        "",
        f"### What was wanted, of {arms.DEADLINE.name}",
        "",
        *_bars(figures.arm_bars(over) + figures.other_bars(over)),
    ]
    lines += ["", f"### The same, of {arms.BALANCED.name}", "", BALANCED_TEXT, ""]
    lines += _bars(figures.arm_bars(over, arms.BALANCED.name))
    lines += ["", "Schedules were read from:", ""]
    names = {run["arm"] for run in runs}
    lines += [f"- {entry.name}: {'; '.join(entry.read_from)}" for entry in schedules.SCHEDULES if entry.name in names]
    return "\n".join([*lines, ""])


def _row(name: str, runs: Sequence[Run], reference: Sequence[Run]) -> str:
    ends = [f"{word} {count}" for word, count in _counted(ENDS[run["ended"]] for run in runs)]
    moved = all(run["ended"] == "moved" for run in runs)
    total, wire = figures.median(runs, "total_s") or 0.0, figures.median(runs, "wire_mib") or 0.0
    ours = figures.median(reference, "total_s"), figures.median(reference, "wire_mib")
    ratios = [f"{value / base:.2f}" if base else "" for value, base in zip((total, wire), ours, strict=True)]
    paused, compute = figures.median(runs, "blackout_ms"), figures.median(runs, "compute_ms")
    cells = [
        *(name, str(len(runs)), ", ".join(ends), f"{total:.1f} s", f"{wire:.0f}", *ratios),
        f"{paused:.0f} ms" if moved and paused else "",
        f"{compute:.0f} ms" if moved and compute else "",
        f"{max(run['throttled'] for run in runs)} %",
        figures.seconds(figures.all_still_s(runs) if moved else None),
        f"{figures.median(runs, 'passes'):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _bars(bars: Iterable[Bar]) -> list[str]:
    return ["| bar | seen | wanted | met |", "|---|---|---|---|", *map(_bar, bars)]


def _bar(each: Bar) -> str:
    met = {True: "yes", False: "**no**", None: "not told"}[each.met]
    return f"| {each.what} | {each.seen} | {each.wanted} | {met} |"


def _grid(runs: Sequence[Run], link_mib_s: float) -> str:
    lines = ["## Grid", "", GRID_TEXT, "", *_bars(figures.grid_bars(runs, link_mib_s))]
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
    said = figures.foretold_ms(run)
    marks = {"silent": " **silent breach**", "detected": " **breach**", None: ""}[figures.breached(run)]
    if figures.is_mistaken(run, link_mib_s):
        marks += " **wrong**"
    if run["ended"] != "moved":
        return f"{figures.way(run)}{marks}"
    forecast = "" if said is None else f" (forecast {said:.0f})"
    compute = run.get("compute_ms")
    paused = "" if compute is None else f" {compute:.0f}/{run['blackout_ms']:.0f} ms{forecast}"
    return f"{figures.way(run)}{paused}{marks}"


def _calm(runs: Sequence[Run]) -> str:
    lines = ["## A guest that converges", "", CALM_TEXT, "", *_bars(figures.calm_bars(runs)), ""]
    lines += ["| arm | pairs | | `virsh` | ourselves | ratio, median of the pairs | 95 % interval |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for arm in arms.CALM_OURS:
        for key, what, unit in figures.COMPARED:
            if pairs := figures.calm_pairs(runs, arm, key):
                low, middle, high = figures.ratio_of(pairs)
                sides = [f"{statistics.median(pair[side] for pair in pairs):.4g} {unit}" for side in (0, 1)]
                cells = [arm.name, str(len(pairs)), what, *sides, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _failed(runs: Sequence[Run]) -> str:
    lines = ["## Failed", "", "Runs that failed. One of ours counts against us in every bar, and is not repeated:", ""]
    lines += [f"- {run['key']}: {' '.join((run['error'] or '').split())}" for run in runs] or ["- none"]
    return "\n".join([*lines, ""])


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
