# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against `virsh migrate` with the same flags, in turns, in the lab: python -m tests.bench migrate

Each pair has both arms, one there and one back, and the next pair the other way round. The module runs on the host as
Ansible would start it, without the way there and without the unpacking of its archive.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils

from tests.bench.blackout import Watched
from tests.lab import api, enter, hosts
from tests.lab.places import places

PAIRS = 32
BATCHES, BATCH_ROUNDS = (1, 4, 8), 6
PAIR_HOSTS = ("hv1", "hv2")
RESAMPLED = 10_000
TIMEOUT_S = 300
ROOT = Path(__file__).resolve().parents[2]
PACKED, ARGUMENTS = "livemig-bench", "livemig-bench.json"
MODULE = "ansible_collections.livemig.libvirt.plugins.modules.migrate"

Row = dict[str, Any]


def run() -> Row:
    api.up(",".join(PAIR_HOSTS))
    try:
        install()
        guests = [api.guest_start("hv1", f"bench-{number}", disk="shared") for number in range(max(BATCHES))]
        return {"pairs": _pairs(guests[0]), "batches": _batches([guest.name for guest in guests])}
    finally:
        api.down()


def install() -> None:
    """What Ansible packs for a module, where every host of the lab sees it."""
    folder = places().shared / PACKED
    collection = folder / "ansible_collections" / "livemig" / "libvirt" / "plugins"
    own = Path(ansible.module_utils.__file__).parent
    for top, inside in (
        (own, folder / "ansible" / "module_utils"),
        (ROOT / "plugins" / "module_utils", collection / "module_utils"),
        (ROOT / "plugins" / "modules", collection / "modules"),
    ):
        shutil.copytree(top, inside, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(own.parent / "release.py", folder / "ansible")
    (folder / "ansible" / "__init__.py").write_text("from ansible.release import __author__, __version__\n")


def _by_virsh(names: Sequence[str], source: str, destination: str) -> None:
    """One after the other, as in a shell's loop."""
    address = hosts.host(destination).address
    for name in names:
        words = ["virsh", "migrate", "--live", "--p2p", "--tls", "--persistent", "--undefinesource", name]
        api.exec_on(source, [*words, f"qemu+tls://{address}/system", "--migrateuri", f"tcp://{address}"])


def by_module(names: Sequence[str], source: str, destination: str, more: Mapping[str, str] | None = None) -> None:
    """``more``: of the environment of its process."""
    environment = {**(enter.environment(source) or {}), "PYTHONPATH": f"/srv/shared/{PACKED}", **(more or {})}
    words = [*enter.prefix(source), "/usr/bin/python3", "-m", MODULE, f"/srv/shared/{ARGUMENTS}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    states = [outcome["state"] for outcome in json.loads(done.stdout or "{}").get("outcomes", [])]
    if states != ["moved"] * len(names):
        raise RuntimeError(f"the module ended with {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")


ARMS: dict[str, Callable[[Sequence[str], str, str], None]] = {"virsh": _by_virsh, "module": by_module}


def arguments(names: Sequence[str], source: str, destination: str) -> None:
    address = hosts.host(destination).address
    ends = {
        "source": source,
        "destination": destination,
        "destination_uri": f"qemu+tls://{address}/system",
        "migrate_uri": f"tcp://{address}",
    }
    moves = [{"domain": name, "uuid": _uuid(source, name), **ends} for name in names]
    options = {"moves": moves, "max_parallel": 1, "tls": "required", "progress": False}
    path = places().shared / ARGUMENTS
    path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")


def _uuid(host: str, name: str) -> str:
    return api.exec_on(host, ["virsh", "-q", "domuuid", name]).stdout.strip()


def _timed(arm: str, names: Sequence[str], source: str, destination: str, address: str | None = None) -> Row:
    arguments(names, source, destination)
    with Watched(address) if address else contextlib.nullcontext() as watched:
        began = time.monotonic()
        ARMS[arm](names, source, destination)
        wall_s = time.monotonic() - began
    return {"wall_s": wall_s, **({"blackout_ms": watched.blackout_ms} if watched else {})}


def _turns(rounds: int, measure: Callable[[str, str, str], Row]) -> list[Row]:
    """Both arms in each round, one there and one back, and the next round the other way round."""
    taken = []
    for number in range(rounds):
        arms = list(ARMS) if number % 2 else list(ARMS)[::-1]
        ways = (PAIR_HOSTS, PAIR_HOSTS[::-1])
        taken.append({arm: measure(arm, *way) for arm, way in zip(arms, ways, strict=True)})
    return taken


def _pairs(guest: Any) -> list[Row]:
    return _turns(PAIRS, lambda arm, here, there: _timed(arm, [guest.name], here, there, guest.address))


def _batches(names: Sequence[str]) -> dict[int, list[Row]]:
    """The sizes in turns, too."""
    taken: dict[int, list[Row]] = {size: [] for size in BATCHES}
    for _round in range(BATCH_ROUNDS // 2):
        for size in BATCHES:
            taken[size] += _turns(2, lambda arm, here, there, size=size: _timed(arm, names[:size], here, there))  # type: ignore[misc]
    return taken


def blackouts(pairs: Sequence[Row], resampled: int = RESAMPLED) -> Row:
    """Medians in milliseconds, and the ratio of the module's to virsh's with its 95 % interval by bootstrap."""
    sides = {arm: [pair[arm]["blackout_ms"] for pair in pairs] for arm in ARMS}
    ratios = [pair["module"]["blackout_ms"] / pair["virsh"]["blackout_ms"] for pair in pairs]
    differences = [pair["module"]["blackout_ms"] - pair["virsh"]["blackout_ms"] for pair in pairs]
    return {
        **{f"{arm}_ms": statistics.median(values) for arm, values in sides.items()},
        "ratio": statistics.median(ratios),
        "interval": interval(ratios, resampled),
        "difference_ms": statistics.median(differences),
    }


def interval(values: Sequence[float], resampled: int = RESAMPLED, seed: int = 1) -> tuple[float, float]:
    """That of the median: 95 % of the medians of samples drawn from the values lie in it."""
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _again in range(resampled))
    return medians[int(resampled * 0.025)], medians[int(resampled * 0.975)]


def costs(batches: dict[int, list[Row]]) -> Row:
    """Seconds that the module takes beyond virsh's, as a line over the size: fixed, and per domain; and the slopes."""
    sizes = sorted(batches)
    medians = {arm: [statistics.median(row[arm]["wall_s"] for row in batches[size]) for size in sizes] for arm in ARMS}
    lines = {arm: statistics.linear_regression(sizes, values) for arm, values in medians.items()}
    return {
        "walls": medians,
        "slopes": {arm: line.slope for arm, line in lines.items()},
        "slope_ratio": lines["module"].slope / lines["virsh"].slope,
        "fixed_s": lines["module"].intercept - lines["virsh"].intercept,
    }


def markdown(result: Row) -> str:
    seen, cost = blackouts(result["pairs"]), costs(result["batches"])
    low, high = seen["interval"]
    rows = [
        f"| {size} | {virsh:.2f} s | {module:.2f} s |"
        for size, virsh, module in zip(sorted(result["batches"]), *(cost["walls"][arm] for arm in ARMS), strict=True)
    ]
    return "\n".join(
        (
            "## A migration, against `virsh migrate`",
            "",
            "`make bench` (`python -m tests.bench migrate`): the same guest and the same flags (TLS), the two in",
            "turns, between two hosts of the lab. The blackout is that of the guest's network, from a third place.",
            "",
            f"| {len(result['pairs'])} pairs | `virsh` | module |",
            "|---|---|---|",
            f"| blackout, median | {seen['virsh_ms']:.0f} ms | {seen['module_ms']:.0f} ms |",
            "",
            f"The module's blackout is {seen['ratio']:.2f} times `virsh`'s (median of the pairs; 95 % interval",
            f"{low:.2f} to {high:.2f}), the median difference {seen['difference_ms']:+.0f} ms.",
            "",
            "| domains, one after the other | `virsh` in a loop | module |",
            "|---|---|---|",
            *rows,
            "",
            f"As lines over the number of domains: the module costs {cost['fixed_s']:.2f} s once, and per domain",
            f"{cost['slopes']['module']:.2f} s instead of {cost['slopes']['virsh']:.2f} s ({cost['slope_ratio']:.2f}",
            "times).",
            "",
        )
    )
