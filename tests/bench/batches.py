# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module costs beyond the migrations, over batches: python -m tests.bench batches

In each round a batch goes there by one arm and back by the other. All guests run all the time, so that the machine has
the same load whatever the size; before the others are started, one goes alone. The time of the moves is taken in the
module's own process.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench import migrate
from tests.bench.migrate import Row, interval
from tests.lab import api

SIZES, ROUNDS, ALONE_ROUNDS = (1, 4, 8), 6, 8
# As the module, and then to the standard error stream: the seconds that each move took, from its lock to its outcome.
TIMED = """\
import json, sys, time
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import api
from ansible_collections.livemig.libvirt.plugins.modules import migrate
taken, move = [], api.move_domain
def timed(*arguments):
    began = time.monotonic()
    try:
        return move(*arguments)
    finally:
        taken.append(time.monotonic() - began)
api.move_domain = timed
try:
    migrate.main()
finally:
    print(json.dumps(taken), file=sys.stderr)
"""


def run() -> Row:
    api.up(",".join(migrate.PAIR_HOSTS))
    try:
        migrate.install()
        names = [api.guest_start("hv1", "bench-0", disk="shared").name]
        alone = migrate.turns(ALONE_ROUNDS, lambda arm, here, there: _timed(arm, names[:1], here, there))
        names += [api.guest_start("hv1", f"bench-{number}", disk="shared").name for number in range(1, max(SIZES))]
        return {"alone": alone, "batches": _batches(names)}
    finally:
        api.down()


def _batches(names: Sequence[str]) -> dict[int, list[Row]]:
    """The sizes in turns, too."""
    taken: dict[int, list[Row]] = {size: [] for size in SIZES}
    for _round in range(ROUNDS // 2):
        for size in SIZES:
            taken[size] += migrate.turns(2, lambda arm, here, there, size=size: _timed(arm, names[:size], here, there))  # type: ignore[misc]
    return taken


def _timed(arm: str, names: Sequence[str], source: str, destination: str) -> Row:
    began = time.monotonic()
    if arm == "virsh":
        migrate.by_virsh(names, source, destination)
        return {"wall_s": time.monotonic() - began}
    said = migrate.by_module(names, source, destination, program=("-c", TIMED))
    return {"wall_s": time.monotonic() - began, "moves_s": sum(json.loads(said.splitlines()[-1]))}


def costs(batches: Mapping[int, Sequence[Row]]) -> Row:
    """fixed_s: what a run of the module takes besides its moves. per_domain: a move's time as a multiple of ``virsh``'s
    in the same round. Medians, with 95 % intervals by bootstrap."""
    rows = [row for size in sorted(batches) for row in batches[size]]
    fixed = [row["module"]["wall_s"] - row["module"]["moves_s"] for row in rows]
    ratios = [row["module"]["moves_s"] / row["virsh"]["wall_s"] for row in rows]
    return {
        "fixed_s": statistics.median(fixed),
        "fixed_interval": interval(fixed),
        "per_domain": statistics.median(ratios),
        "per_domain_interval": interval(ratios),
    }


def _line(size: int, rows: Sequence[Row]) -> str:
    times = (
        [row["virsh"]["wall_s"] for row in rows],
        *([row["module"][key] for row in rows] for key in ("wall_s", "moves_s")),
    )
    return f"| {size} | " + " | ".join(f"{statistics.median(values):.2f} s" for values in times) + " |"


def markdown(result: Any) -> str:
    batches = result["batches"]
    cost, rounds = costs(batches), len(next(iter(batches.values())))
    (least, most), (low, high) = cost["fixed_interval"], cost["per_domain_interval"]
    alone = costs({1: result["alone"]})
    return "\n".join(
        (
            "## Batches, against `virsh migrate` in a loop",
            "",
            "`make bench` (`python -m tests.bench batches`): one domain after the other, there by one and back by the",
            f"other; medians of {rounds} rounds. All {max(batches)} guests run all the time.",
            "",
            "| domains | `virsh` in a loop | module | of that, its moves |",
            "|---|---|---|---|",
            *(_line(size, batches[size]) for size in sorted(batches)),
            "",
            f"A run of the module takes {cost['fixed_s']:.2f} s besides its moves ({least:.2f} to {most:.2f}), and its",
            f"moves take {cost['per_domain']:.2f} times as long as `virsh` in the same round ({low:.2f} to {high:.2f};",
            "medians with 95 % intervals). Without the other guests, which keep the machine's cores busy, it takes",
            "{:.2f} s besides ({:.2f} to {:.2f}).".format(alone["fixed_s"], *alone["fixed_interval"]),
            "",
        )
    )
