# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways of a guest with a VF, in the SR-IOV lab: python -m tests.bench sriov

    --rounds N    so many of each (5)
    --only ARM..  only these: virtio, replug, failover, serial
    --minutes M   no run is begun after so long; the next call goes on where this one ended
    --anew        what was measured before is dropped

The same guest with 1, 2 and 3 GiB goes by ``failover`` and by ``replug``, and one that has its virtio NIC alone goes
too; one of 2 GiB that writes to an emulated device meanwhile goes by ``replug`` besides; all in turns. Every run is
kept in docs/benchmarks/sriov.json as soon as it is over, one that has failed too, and sriov.md there is made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import sriov_figures
from tests.bench.blackout import Watched
from tests.bench.sriov_figures import ARMS, SIZES_MIB
from tests.lab.errors import LabError
from tests.lab.guests import Started
from tests.lab.hosts import CONTROLLER, Host
from tests.sriov import cli, domain, enter, guests, product, seen
from tests.sriov.hosts import HOSTS, places

ROUNDS = 5
MEMORY_MIB = 4608
"""Of each machine: the largest guest is pinned as a whole."""
EVERY_S = 0.1
"""Between two packets: what a guest inside an emulated machine answers without falling behind. With a fifth of that it
is silent for seconds while it gets its VF, for want of a processor."""
NAME = "bench-vf"
LISTS = ("runs", "failed")
"""Of the file, with a line for each entry."""
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
MEASURE_RATE = (
    "from ansible_collections.livemig.libvirt.plugins.module_utils._observe.fill import fill_mib_s; print(fill_mib_s())"
)

Row = dict[str, Any]


class Cell(NamedTuple):
    """One migration that is measured."""

    arm: str
    mib: int
    number: int

    @property
    def key(self) -> str:
        return f"{self.arm}/{self.mib}/{self.number}"


def plan(rounds: int) -> list[Cell]:
    """All sizes and all arms in each round; every second round the other way round."""
    found: list[Cell] = []
    for number in range(1, rounds + 1):
        cells = [Cell(arm, mib, number) for mib in SIZES_MIB for arm, how in ARMS.items() if mib in how.sizes_mib]
        found += cells if number % 2 else cells[::-1]
    return found


def main(words: Sequence[str]) -> int:
    asked = _asked(words)
    until = time.monotonic() + asked.minutes * 60
    kept = {} if asked.anew else load()
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "runs": kept.get("runs", []),
        "failed": kept.get("failed", []),
    }
    done = {run["key"] for run in result["runs"]}
    left = [cell for cell in plan(asked.rounds) if cell.key not in done and cell.arm in asked.only]
    if left:
        _measure(result, left, until)
    write(result)
    print(f"{len(left) - len({run['key'] for run in result['runs']} - done)} left")
    return 0


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench sriov", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--anew", action="store_true")
    return parser.parse_args(list(words))


def load() -> Row:
    path = FOLDER / "sriov.json"
    found: Row = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write(result: Row) -> None:
    FOLDER.mkdir(exist_ok=True)
    lists = {name: ",\n".join(json.dumps(entry) for entry in result[name]) for name in LISTS}
    head = json.dumps({key: value for key, value in result.items() if key not in LISTS})
    rest = ", ".join(f'"{name}": [\n{rows}\n]' for name, rows in lists.items())
    (FOLDER / "sriov.json").write_text(f"{head[:-1]}, {rest}}}\n", encoding="utf-8")
    for name, text in sriov_figures.pages(result).items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _measure(result: Row, cells: Sequence[Cell], until: float) -> None:
    assert cli.main(["up", "--no-tls", "--memory", str(MEMORY_MIB)]) == cli.OK
    try:
        stage = Stage()
        for cell in cells:
            if time.monotonic() > until:
                break
            try:
                run = stage.run(cell)
            except (LabError, RuntimeError, OSError, ValueError) as error:
                print(f"{cell.key}: {error}", flush=True)
                result["failed"].append(failed(cell, error))
                write(result)
                stage.clear()
                continue
            result["runs"].append(run)
            write(result)
            print(f"{run['key']}: {run['compute_ms']} ms, network {run['blackout_ms']:.0f} ms", flush=True)
    finally:
        cli.main(["down"])


def failed(cell: Cell, error: Exception) -> Row:
    """A run that gave no figures. It is kept, and done once more by the next call."""
    return {"key": cell.key, "arm": cell.arm, "mib": cell.mib, "round": cell.number, "error": str(error)[:300]}


class Stage:
    """One guest at a time, on the machine where the last run has left it."""

    def __init__(self) -> None:
        self._wanted: domain.Guest | None = None
        self._on: Host = HOSTS[0]
        self._guest: Started | None = None
        for host in HOSTS:
            product.install(host)

    def run(self, cell: Cell) -> Row:
        """See sriov_figures.py for what is made of it."""
        arm = ARMS[cell.arm]
        guest = self._ensure(domain.Guest(NAME, memory_mib=cell.mib, nics=arm.nics, silent=arm.silent))
        here, there = self._on, next(host for host in HOSTS if host != self._on)
        rate = rate_mib_s(there)
        move = product.move(NAME, here, there, vf=arm.vf)
        with Watched(guest.address, EVERY_S, enter.words(CONTROLLER, ())) as watched:
            (outcome,) = product.module(here, "migrate", product.migration(move))["outcomes"]
        if outcome["state"] != "moved" or outcome["error"]:
            raise RuntimeError(f"{outcome['state']}: {outcome['error']}")
        self._on = there
        if arm.vf != "none" and not seen.has_both(there, NAME):
            raise RuntimeError(f"the guest sees {seen.drivers(there, NAME)}")
        return {
            "key": cell.key,
            "arm": cell.arm,
            "mib": cell.mib,
            "round": cell.number,
            "compute_ms": outcome["downtime"]["compute_ms"],
            "libvirt_ms": outcome["downtime"]["libvirt_ms"],
            "blackout_ms": watched.blackout_ms,
            "silent_from_ms": outcome["total_ms"] - watched.ago_ms,
            "total_ms": outcome["total_ms"],
            "rate_mib_s": rate,
            "load": os.getloadavg()[0],
            "phases": {entry["name"]: entry["at_ms"] for entry in reversed(outcome["phases"])},
        }

    def clear(self) -> None:
        guests.stop(places(), NAME)
        self._wanted = self._guest = None

    def _ensure(self, wanted: domain.Guest) -> Started:
        if self._guest is None or self._wanted != wanted:
            self.clear()
            self._on = HOSTS[0]
            self._guest, self._wanted = guests.start(places(), self._on, wanted), wanted
            if wanted.nics == "teaming" and not seen.has_both(self._on, NAME):
                raise RuntimeError(f"the guest sees {seen.drivers(self._on, NAME)}")
            if not enter.answers("udp", self._guest.address, 60):
                raise RuntimeError("the guest does not answer")
        return self._guest


def rate_mib_s(host: Host) -> float:
    """As the product measures it, there and now."""
    command = ["env", f"PYTHONPATH={product.PACKED}", "python3", "-c", MEASURE_RATE]
    return float(enter.exec_on(host.name, command).stdout)
