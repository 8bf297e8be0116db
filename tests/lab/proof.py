# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that guests are alive and run exactly once. Trusts only processes and consoles: it never asks libvirt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab import console, processes
from tests.lab.console import Console
from tests.lab.places import LAB, Places

SCHEMA = 1
TICKS_WANTED = 2


@dataclass(frozen=True)
class Evidence:
    """One guest. runs_*: hosts with a QEMU process of it, one entry per process; writers_*: processes that hold its
    console open for writing; both before and after the watch. first_tick: the last tick before the watch began."""

    name: str
    runs_before: tuple[str, ...]
    runs_after: tuple[str, ...]
    writers_before: int
    writers_after: int
    first_tick: int
    console: Console


@dataclass(frozen=True)
class Saved:
    boot_id: str
    tick: int


def guest_name(command_line: bytes) -> str | None:
    """The guest's name out of /proc/PID/cmdline; None when the process is no QEMU of libvirt's."""
    words = command_line.split(b"\0")
    if not words or b"qemu-system" not in words[0] or b"-name" not in words[:-1]:
        return None
    for part in words[words.index(b"-name") + 1].split(b","):
        if part.startswith(b"guest="):
            return part.removeprefix(b"guest=").decode(errors="replace")
    return None


def qemu_processes() -> list[tuple[int, str, str]]:
    """(pid, guest, host) of every QEMU of the lab."""
    hosts = {inode: name.removeprefix(f"{LAB}-") for name, inode in processes.namespaces().items()}
    found = []
    for pid in processes.all_pids():
        try:
            name = guest_name(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
        inode = processes.netns_of(pid)
        if name is not None and inode in hosts:
            found.append((pid, name, hosts[inode]))
    return found


def runs_on(name: str) -> list[str]:
    return sorted(host for _pid, guest, host in qemu_processes() if guest == name)


def writes(fdinfo: str) -> bool:
    """Whether /proc/PID/fdinfo/N is that of a descriptor open for writing."""
    for line in fdinfo.splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def _open_files(pid: int) -> Iterable[tuple[tuple[int, int], bool]]:
    """((device, inode), for writing) of each descriptor. By inode: the same file has another path in each host."""
    base = f"/proc/{pid}"
    try:
        numbers = os.listdir(f"{base}/fd")
    except OSError:
        return
    for number in numbers:
        try:
            stat = os.stat(f"{base}/fd/{number}")
            info = Path(f"{base}/fdinfo/{number}").read_text(encoding="ascii")
        except OSError:
            continue
        yield (stat.st_dev, stat.st_ino), writes(info)


def console_writers(paths: Mapping[str, Path]) -> dict[str, int]:
    """How many processes of the machine hold each guest's console open for writing."""
    wanted = {}
    for name, path in paths.items():
        if path.exists():
            stat = path.stat()
            wanted[stat.st_dev, stat.st_ino] = name
    count = dict.fromkeys(paths, 0)
    for pid in processes.all_pids():
        for name in {wanted[file] for file, for_writing in _open_files(pid) if for_writing and file in wanted}:
            count[name] += 1
    return count


def read_console(path: Path) -> Console:
    return console.parse(path.read_text(encoding="utf-8", errors="replace") if path.exists() else "")


def everyone(where: Places) -> list[str]:
    """Every guest that has a process or a console."""
    names = {guest for _pid, guest, _host in qemu_processes()}
    if where.consoles.is_dir():
        names |= {path.stem for path in where.consoles.glob("*.log")}
    return sorted(names)


def watch(where: Places, names: Iterable[str], seconds: float) -> list[Evidence]:
    """Looks, waits until every guest ticked twice (at most the given time), looks again."""
    paths = {name: where.console(name) for name in names}
    runs = {name: tuple(runs_on(name)) for name in paths}
    writers = console_writers(paths)
    before = {name: read_console(path) for name, path in paths.items()}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(_advanced(before[name], read_console(path)) >= TICKS_WANTED for name, path in paths.items()):
            break
        time.sleep(0.1)
    writers_after = console_writers(paths)
    return [
        Evidence(
            name=name,
            runs_before=runs[name],
            runs_after=tuple(runs_on(name)),
            writers_before=writers[name],
            writers_after=writers_after[name],
            first_tick=_number(before[name]),
            console=read_console(path),
        )
        for name, path in paths.items()
    ]


def _number(seen: Console) -> int:
    return seen.last.number if seen.last else 0


def _advanced(before: Console, now: Console) -> int:
    return _number(now) - _number(before)


def problems(evidence: Evidence, saved: Saved | None = None) -> list[str]:
    """What is wrong with the guest, in words; nothing when it is proven to be well."""
    seen, found = evidence.console, []
    for moment, runs in (("before", evidence.runs_before), ("after", evidence.runs_after)):
        if len(runs) != 1:
            found.append(f"{len(runs)} QEMU processes {moment} the watch ({', '.join(runs) or 'none'}), expected 1")
    if evidence.runs_before != evidence.runs_after and len(evidence.runs_before) == len(evidence.runs_after) == 1:
        found.append(f"moved during the watch, from {evidence.runs_before[0]} to {evidence.runs_after[0]}")
    for moment, count in (("before", evidence.writers_before), ("after", evidence.writers_after)):
        if count != 1:
            found.append(f"{count} processes hold its console open for writing {moment} the watch, expected 1")
    if len(seen.boots) != 1 or len(seen.boot_ids) != 1:
        found.append(f"{len(seen.boots)} boots and {len(seen.boot_ids)} boot ids on its console, expected 1")
    if _number(seen) - evidence.first_tick < TICKS_WANTED:
        found.append(f"does not tick: {evidence.first_tick} before the watch, {_number(seen)} after it")
    if seen.out_of_order:
        found.append(f"{seen.out_of_order} ticks out of order")
    found += [f"its kernel says: {line}" for line in seen.complaints]
    return found + _disk_problems(seen) + _saved_problems(seen, saved)


def _disk_problems(seen: Console) -> list[str]:
    if seen.last is None or not seen.disk_ticks:
        return []
    if seen.last.disk is None:
        return ["had a disk and has none now"]
    if seen.last.mark_lost:
        return ["what it wrote to its disk when it booted is not there any more"]
    if seen.last.disk != str(seen.last.number):
        return [f"wrote {seen.last.number} to its disk and read back {seen.last.disk}"]
    return []


def _saved_problems(seen: Console, saved: Saved | None) -> list[str]:
    if saved is None:
        return []
    found = []
    if seen.last is None or seen.last.boot_id != saved.boot_id:
        found.append(f"boot id {seen.last.boot_id if seen.last else 'none'}, saved was {saved.boot_id}")
    if _number(seen) <= saved.tick:
        found.append(f"last tick {_number(seen)}, saved was {saved.tick}")
    return found


def report(evidence: Iterable[Evidence], saved: Mapping[str, Saved] | None = None) -> dict[str, Any]:
    """{"schema", "ok", "guests": {name: {"ok", "problems", "boot_id", "tick", "runs_on", "evidence"}}}."""
    saved = saved or {}
    guests: dict[str, Any] = {}
    for item in evidence:
        wrong = problems(item, saved.get(item.name))
        last = item.console.last
        guests[item.name] = {
            "ok": not wrong,
            "problems": wrong,
            "runs_on": list(item.runs_after),
            "boot_id": last.boot_id if last else None,
            "tick": last.number if last else 0,
            "disk": last.disk if last else None,
            "evidence": asdict(item),
        }
    return {"schema": SCHEMA, "ok": bool(guests) and all(entry["ok"] for entry in guests.values()), "guests": guests}


def load_saved(report_before: Mapping[str, Any]) -> dict[str, Saved]:
    """Boot ids and ticks out of an earlier report."""
    return {name: Saved(entry["boot_id"], entry["tick"]) for name, entry in report_before["guests"].items()}


def check(
    where: Places, names: Iterable[str] | None = None, seconds: float = 10.0, against: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The proof for the named guests (all, when none is named) and those of the earlier report."""
    saved = load_saved(against) if against else {}
    chosen = sorted({*(everyone(where) if names is None else names), *(saved if names is None else ())})
    return report(watch(where, chosen, seconds), saved)
