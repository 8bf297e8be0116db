# SPDX-License-Identifier: GPL-3.0-or-later
"""Convergence on real guests and a shaped link: python -m tests.bench convergence [--arms] [--grid] [--calm]

    --rounds N    so many of each part (arms 3, grid 1, calm 12)
    --minutes M   no run is begun after so long; the next call goes on where this one ended
    --only NAME   this arm only; may be repeated
    --keep        the lab stays up
    --anew        what was measured before is dropped

Every run is kept in docs/benchmarks/convergence.json as soon as it is over, and convergence.md there is made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.records import STATE_DIR
from tests.bench import arms, convergence_page, facts, figures, inside, migrate, product, schedules, shaped
from tests.bench.arms import ARMS, CALM, GRID, Cell, Guest
from tests.bench.blackout import Watched
from tests.lab import api, hosts
from tests.lab.errors import LabError

HOSTS = ("hv5", "hv6")
"""Debian testing: a post-copy that breaks can be resumed there, so the product itself has nothing against it."""
ROUNDS = {ARMS: 3, GRID: 1, CALM: 12}
LIMIT_S = 60.0
PROBE_S = figures.WITNESS_MS / 2000
FAILURES = 3
SETTLE_S = 2.0
_ACQUAINTING = 2
QUIET_CORES, QUIET_WAIT_S, LOOK_S = 0.25, 60.0, 1.0
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"

Row = dict[str, Any]


def main(words: Sequence[str]) -> int:
    asked = _asked(words)
    parts = [part for part in arms.PARTS if getattr(asked, part)] or list(arms.PARTS)
    until = time.monotonic() + asked.minutes * 60
    kept = {} if asked.anew else load()
    if set(kept.get("hosts", ())) != set(HOSTS):
        kept = {}
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "link_mbit": shaped.RATE_MBIT,
        "link_mib_s": kept.get("link_mib_s"),
        "hosts": kept.get("hosts", {}),
        "obstacles": kept.get("obstacles", []),
        "runs": kept.get("runs", []),
    }
    done = {run["key"] for run in result["runs"] if not run["loaded"]}
    planned = [cell for part in parts for cell in arms.plan(part, asked.rounds or ROUNDS[part])]
    wanted = [cell for cell in planned if not asked.only or cell.arm.name in asked.only]
    cells = [cell for cell in wanted if cell.key not in done]
    if cells:
        _measure(result, cells, until, asked.keep)
    write(result)
    print(
        f"{len(cells) - len({run['key'] for run in result['runs'] if not run['loaded']} & {c.key for c in cells})} left"
    )
    return 0


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench convergence", description=__doc__)
    for part in arms.PARTS:
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--only", action="append")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--anew", action="store_true")
    return parser.parse_args(list(words))


def load() -> Row:
    path = FOLDER / "convergence.json"
    found: Row = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write(result: Row) -> None:
    FOLDER.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(run) for run in result["runs"])
    head = json.dumps({key: value for key, value in result.items() if key != "runs"})
    (FOLDER / "convergence.json").write_text(f'{head[:-1]}, "runs": [\n{rows}\n]}}\n', encoding="utf-8")
    (FOLDER / "convergence.md").write_text(convergence_page.markdown(result), encoding="utf-8")


def _measure(result: Row, cells: Sequence[Cell], until: float, keep: bool) -> None:
    api.up(",".join(HOSTS))
    stage, failed = Stage(), 0
    try:
        shaped.shape(HOSTS)
        migrate.install()
        result.update(stage.facts())
        for cell in cells:
            if time.monotonic() > until:
                break
            if result["link_mib_s"] is None:
                result["link_mib_s"] = stage.calibrate()
            try:
                run = stage.run(cell)
            except (LabError, RuntimeError, OSError, subprocess.TimeoutExpired, ValueError) as error:
                print(f"{cell.key}: {error}", flush=True)
                stage.clear()
                failed += 1
                if failed > FAILURES:
                    raise
                continue
            result["runs"].append(run)
            write(result)
            print(f"{run['key']}: {run['ended']} {run['total_s']:.1f} s, {run['blackout_ms']:.0f} ms", flush=True)
    finally:
        stage.clear()
        if not keep:
            api.down()


class Stage:
    """One guest at a time, on the host where the last run has left it."""

    def __init__(self) -> None:
        self._guest: Guest | None = None
        self._on, self._address = HOSTS[0], ""
        self._obstacles: list[str] = []

    def facts(self) -> Row:
        """See facts.gathered; from here on our runs are told what speaks against post-copy, as a plan tells it."""
        self._ensure(arms.CALM_GUEST)
        found = facts.gathered(HOSTS, self._on, arms.CALM_GUEST.name)
        self._obstacles = found["obstacles"]
        return found

    def run(self, cell: Cell) -> Row:
        """See figures.py for what is made of it. What our module fails to do counts, whatever else kept the machine
        busy."""
        self._ensure(cell.guest)
        crashed = self._acquainted(cell)
        others = _quiet()
        row: Row = {
            "key": cell.key,
            "part": cell.part,
            "round": cell.number,
            "arm": cell.arm.name,
            "profile": cell.arm.profile,
            "guest": list(cell.guest),
            "ceiling_ms": cell.ceiling_ms,
            "load_before": round(os.getloadavg()[0], 2),
            "others_before": round(others, 2),
            "loaded": others > QUIET_CORES,
        }
        row.update(crashed or self._migrated(cell))
        row["loaded"] = row["loaded"] and not (cell.arm.schedule is None and row["ended"] == "error")
        return row

    def _acquainted(self, cell: Cell) -> Row | None:
        """In the part ``arms`` a run of ours knows nothing of its guest, or what two moves right before have shown.
        Returns the one of these that failed."""
        if cell.part != ARMS or cell.arm.schedule is not None:
            return None
        for name in HOSTS:
            api.exec_on(name, ["sh", "-c", f"rm -f {STATE_DIR}/runs/*.jsonl"], check=True)
        for _way in range(_ACQUAINTING if cell.arm.known else 0):
            found = self._migrated(cell)
            if found["ended"] == "error":
                return found
        return None

    def calibrate(self) -> float:
        """MiB/s of memory that the link carries, as the copying of a guest shows it."""
        cell = Cell("calibration", 0, arms.PLAIN, arms.CALM_GUEST, arms.CEILING_MS)
        self._ensure(cell.guest)
        found = self._migrated(cell)
        first, second = found["samples"][:2]
        mib_s: float = (second[3] - first[3]) / (second[0] - first[0])
        return round(mib_s, 1)

    def _migrated(self, cell: Cell) -> Row:
        there = HOSTS[self._on == HOSTS[0]]
        address = hosts.host(there).address
        given = {
            "name": cell.guest.name,
            "destination_uri": f"qemu+tls://{address}/system",
            "migrate_uri": f"tcp://{address}",
            "schedule": cell.arm.schedule,
            "schedules": Path(schedules.__file__).read_text(encoding="utf-8"),
            "profile": cell.arm.profile,
            "memory_mib": cell.guest.memory_mib,
            "ceiling_ms": cell.ceiling_ms,
            "obstacles": self._obstacles,
            "limit_s": LIMIT_S,
        }
        before = shaped.carried_mib(there)
        with shaped.Others() as others:
            found = self._watched(given, there)
        found["wire_mib"] = shaped.carried_mib(there) - before
        found["others_during"] = others.cores
        found["source"] = self._on
        self._after(found, there)
        return _brief(found)

    def _watched(self, given: Row, there: str) -> Row:
        """A guest that does not answer any more has failed, whatever was said of it."""
        began = time.monotonic()
        found: Row = {}
        try:
            with Watched(self._address, PROBE_S) as watched:
                found = self._driven(given, there)
            found["blackout_ms"] = watched.blackout_ms
        except ValueError:
            if not found:
                raise
            error = f"the guest does not answer any more; {found['ended']}: {found['error']}"
            found.update(ended="error", error=error, blackout_ms=(time.monotonic() - began) * 1000)
        return found

    def _driven(self, given: Row, there: str) -> Row:
        if given["schedule"] is None:
            return product.run(given, self._on, there, LIMIT_S)
        program = Path(inside.__file__).read_text(encoding="utf-8")
        found: Row = api.observe_inside(self._on, program, given, timeout_s=LIMIT_S * 2 + 30)
        return found

    def _after(self, found: Row, there: str) -> None:
        if found["ended"] == "moved":
            self._on = there
        elif found["ended"] == "error":
            self.clear()

    def _ensure(self, guest: Guest) -> None:
        if self._guest == guest:
            return
        self.clear()
        started = api.guest_start(HOSTS[0], guest.name, memory_mib=guest.memory_mib, dirty=guest.dirty)
        self._guest, self._on, self._address = guest, HOSTS[0], started.address
        time.sleep(SETTLE_S)

    def clear(self) -> None:
        if self._guest is not None:
            try:
                api.guest_stop(self._guest.name)
            except LabError as error:
                print(error)
        self._guest = None


def _quiet() -> float:
    """Waits for others to be quiet; returns how many cores they use."""
    end = time.monotonic() + QUIET_WAIT_S
    while True:
        with shaped.Others() as others:
            time.sleep(LOOK_S)
        if others.cores <= QUIET_CORES or time.monotonic() > end:
            return others.cores


def _brief(found: Row) -> Row:
    """Rounded, and of the many passes that lead nowhere the first ten."""
    completed = found.pop("completed")
    samples = found["samples"]
    found["sent_mib"] = completed["memory_processed"] / 2**20 if completed else samples[-1][3] if samples else None
    found["passes"] = samples[-1][1] if samples else (completed or {}).get("memory_iteration", 0)
    found["throttled"] = max((entry[5] for entry in samples), default=0)
    found["slowed_s"] = figures.slowed_s(samples, found["total_s"])
    found["samples"] = samples[:10]
    return {key: _rounded(value) for key, value in found.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return {key: _rounded(entry) for key, entry in value.items()} if isinstance(value, dict) else value
