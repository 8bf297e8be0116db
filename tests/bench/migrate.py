# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against `virsh migrate` with the same flags, in turns, in the lab: python -m tests.bench migrate

Each pair has both arms, one there and one back, and the next pair the other way round. The module runs on the host as
Ansible would start it, without the way there and without the unpacking of its archive.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils

from tests.bench.blackout import Watched
from tests.lab import api, enter, hosts
from tests.lab.places import places

PAIRS = 32
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
        guest = api.guest_start("hv1", "bench-0", disk="shared")
        return {"pairs": turns(PAIRS, lambda arm, here, there: _timed(arm, guest, here, there))}
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


def by_virsh(names: Sequence[str], source: str, destination: str) -> None:
    """One after the other, as in a shell's loop."""
    address = hosts.host(destination).address
    for name in names:
        words = ["virsh", "migrate", "--live", "--p2p", "--tls", "--persistent", "--undefinesource", name]
        api.exec_on(source, [*words, f"qemu+tls://{address}/system", "--migrateuri", f"tcp://{address}"], check=True)


def by_module(
    names: Sequence[str],
    source: str,
    destination: str,
    more: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", MODULE),
) -> str:
    """What it wrote to the standard error stream. ``more``: of the environment of its process."""
    arguments(names, source, destination)
    environment = {**(enter.environment(source) or {}), "PYTHONPATH": f"/srv/shared/{PACKED}", **(more or {})}
    words = [*enter.prefix(source), "/usr/bin/python3", *program, f"/srv/shared/{ARGUMENTS}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    states = [outcome["state"] for outcome in json.loads(done.stdout or "{}").get("outcomes", [])]
    if states != ["moved"] * len(names):
        raise RuntimeError(f"the module ended with {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")
    return done.stderr


ARMS: dict[str, Callable[[Sequence[str], str, str], object]] = {"virsh": by_virsh, "module": by_module}


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


def _timed(arm: str, guest: Any, source: str, destination: str) -> Row:
    with Watched(guest.address) as watched:
        ARMS[arm]([guest.name], source, destination)
    return {"blackout_ms": watched.blackout_ms}


def turns(rounds: int, measure: Callable[[str, str, str], Row]) -> list[Row]:
    """Both arms in each round, one there and one back, and the next round the other way round."""
    taken = []
    for number in range(rounds):
        arms = list(ARMS) if number % 2 else list(ARMS)[::-1]
        ways = (PAIR_HOSTS, PAIR_HOSTS[::-1])
        taken.append({arm: measure(arm, *way) for arm, way in zip(arms, ways, strict=True)})
    return taken


def blackouts(pairs: Sequence[Row], resampled: int = RESAMPLED) -> Row:
    """Medians in milliseconds; the ratio of the module's to virsh's and their difference, each within a pair and with
    its 95 % interval by bootstrap."""
    sides = {arm: [pair[arm]["blackout_ms"] for pair in pairs] for arm in ARMS}
    ratios = [pair["module"]["blackout_ms"] / pair["virsh"]["blackout_ms"] for pair in pairs]
    differences = [pair["module"]["blackout_ms"] - pair["virsh"]["blackout_ms"] for pair in pairs]
    return {
        **{f"{arm}_ms": statistics.median(values) for arm, values in sides.items()},
        "ratio": statistics.median(ratios),
        "interval": interval(ratios, resampled),
        "difference_ms": statistics.median(differences),
        "difference_interval": interval(differences, resampled),
    }


def interval(values: Sequence[float], resampled: int = RESAMPLED, seed: int = 1) -> tuple[float, float]:
    """That of the median: 95 % of the medians of samples drawn from the values lie in it."""
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _again in range(resampled))
    return medians[int(resampled * 0.025)], medians[int(resampled * 0.975)]


def markdown(result: Row) -> str:
    seen = blackouts(result["pairs"])
    (low, high), (less, more) = seen["interval"], seen["difference_interval"]
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
            f"Within the pairs the module's blackout is {seen['ratio']:.2f} times `virsh`'s (median; 95 % interval",
            f"{low:.2f} to {high:.2f}); the median difference is {seen['difference_ms']:+.0f} ms",
            f"({less:+.0f} to {more:+.0f}).",
            "",
        )
    )
