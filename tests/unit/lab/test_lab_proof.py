# SPDX-License-Identifier: GPL-3.0-or-later
"""The console's parser and the proof's verdicts: each fault must be seen, and only that."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
from typing import Any

import pytest

from tests.lab import console, processes, proof

ONE = "99e72381-aa00-4e2a-8cec-ef283cddea0b"
TWO = "f37c674e-e5df-492c-ae7d-5bb5992523a3"


def talk(ticks: int, boot: str = ONE, *, disk: bool = False, first: int = 1) -> str:
    lines = [f"BOOT {boot}"] if first == 1 else []
    for number in range(first, first + ticks):
        lines.append(f"TICK {boot} {number} {number}.50" + (f" disk={number}" if disk else ""))
    return "".join(f"{line}\r\n" for line in lines)


def evidence(text: str | None = None, **changes: Any) -> proof.Evidence:
    well = proof.Evidence(
        name="web",
        runs_before=("hv1",),
        runs_after=("hv1",),
        writers_before=1,
        writers_after=1,
        first_tick=3,
        console=console.parse(talk(5) if text is None else text),
    )
    return dataclasses.replace(well, **changes)


def test_a_console_is_read() -> None:
    seen = console.parse("noise\n" + talk(3, disk=True))
    assert seen.boots == (ONE,)
    assert seen.boot_ids == (ONE,)
    assert (seen.ticks, seen.disk_ticks, seen.out_of_order, seen.complaints) == (3, 3, 0, ())
    assert seen.last == console.Tick(ONE, 3, 3.5, "3")


def test_an_unfinished_line_does_not_count() -> None:
    text = talk(2) + f"TICK {ONE} 3 3.5"
    assert console.parse(text).ticks == 2
    assert console.parse(text + "0\n").ticks == 3


@pytest.mark.parametrize(
    "line",
    ["TICK", f"TICK {ONE}", f"TICK {ONE} x 1.0", f"TICK {ONE} 1 1", f"tick {ONE} 1 1.0", f"TICK {ONE} 1 1.0 disk="],
)
def test_what_is_no_tick(line: str) -> None:
    assert console.parse_tick(line) is None


def test_lost_and_repeated_ticks_are_counted() -> None:
    assert console.parse(talk(2) + talk(1, first=4)).out_of_order == 1
    assert console.parse(talk(2) + talk(1, first=2)).out_of_order == 1


@pytest.mark.parametrize("line", ["Kernel panic - not syncing", "kernel BUG at mm/slub.c:1!", "I/O error, dev vda"])
def test_the_kernels_complaints_are_kept(line: str) -> None:
    assert console.parse(f"[    3.1] {line}\n").complaints == (f"[    3.1] {line}",)


def test_a_guest_that_is_well() -> None:
    assert proof.problems(evidence()) == []
    assert proof.problems(evidence(talk(5, disk=True))) == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (evidence(runs_before=(), runs_after=()), "0 QEMU processes before"),
        (evidence(runs_after=()), "0 QEMU processes after"),
        (evidence(runs_after=("hv1", "hv2")), "2 QEMU processes after the watch (hv1, hv2)"),
        (evidence(runs_before=("hv1", "hv1")), "2 QEMU processes before"),
        (evidence(runs_after=("hv2",)), "moved during the watch, from hv1 to hv2"),
        (evidence(writers_before=0), "0 processes hold its console open for writing before"),
        (evidence(writers_after=2), "2 processes hold its console open for writing after"),
        (evidence(first_tick=5), "does not tick: 5 before the watch, 5 after"),
        (evidence(first_tick=4), "does not tick"),
        (evidence(""), "0 boots and 0 boot ids"),
        (evidence(talk(9) + talk(5, TWO)), "2 boots and 2 boot ids"),
        (evidence(talk(5) + f"BOOT {ONE}\n"), "2 boots and 1 boot ids"),
        (evidence(talk(3) + talk(2, TWO, first=4)), "1 boots and 2 boot ids"),
        (evidence(talk(3) + talk(2, first=5)), "1 ticks out of order"),
        (evidence(talk(5) + "Kernel panic - not syncing\n"), "its kernel says: Kernel panic"),
        (evidence(talk(4, disk=True) + f"TICK {ONE} 5 5.50 disk=failed\n"), "read back failed"),
        (evidence(talk(4, disk=True) + f"TICK {ONE} 5 5.50 disk=4\n"), "wrote 5 to its disk and read back 4"),
        (evidence(talk(4, disk=True) + f"TICK {ONE} 5 5.50\n"), "had a disk and has none now"),
        (evidence(talk(4, disk=True) + f"TICK {ONE} 5 5.50 disk=5 mark=lost\n"), "is not there any more"),
    ],
)
def test_every_fault_is_seen(broken: proof.Evidence, words: str) -> None:
    assert any(words in problem for problem in proof.problems(broken)), proof.problems(broken)


def test_against_a_saved_report() -> None:
    saved = proof.load_saved(json.loads(json.dumps(proof.report([evidence(talk(4))]))))
    assert saved == {"web": proof.Saved(ONE, 4)}
    assert proof.problems(evidence(), saved["web"]) == []
    assert "boot id" in proof.problems(evidence(talk(5, TWO)), saved["web"])[0]
    assert proof.problems(evidence(), proof.Saved(ONE, 5)) == ["last tick 5, saved was 5"]


def test_the_report_is_bad_when_one_guest_is_bad_or_there_is_none() -> None:
    well, broken = evidence(), evidence(name="db", runs_after=())
    assert proof.report([well])["ok"] is True
    result = proof.report([well, broken])
    assert result["ok"] is False
    assert (result["guests"]["web"]["ok"], result["guests"]["db"]["ok"]) == (True, False)
    assert proof.report([])["ok"] is False
    json.dumps(result)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-S"], "web"),
        (["/usr/bin/qemu-system-x86_64", "-S", "-name", "process=x,guest=db"], "db"),
        (["/usr/bin/qemu-system-x86_64", "-version"], None),
        (["/usr/bin/qemu-img", "-name", "guest=web"], None),
        (["virsh", "-name", "guest=web"], None),
        (["qemu-system-x86_64", "-name"], None),
        ([""], None),
    ],
)
def test_a_process_is_recognised(words: list[str], name: str | None) -> None:
    assert proof.guest_name("\0".join([*words, ""]).encode()) == name


@pytest.mark.parametrize(
    ("flags", "expected"), [("0100000", False), ("0100001", True), ("0102002", True), ("02000", False)]
)
def test_writers_are_told_from_readers(flags: str, expected: bool) -> None:
    assert proof.writes(f"pos:\t0\nflags:\t{flags}\nmnt_id:\t29\n") is expected


def test_a_reader_is_no_writer(tmp_path: Any) -> None:
    path = tmp_path / "web.log"
    with path.open("w", encoding="utf-8"), path.open("r", encoding="utf-8"):
        assert proof.console_writers({"web": path, "none": tmp_path / "none"}) == {"web": 1, "none": 0}
    assert proof.console_writers({"web": path}) == {"web": 0}


@pytest.mark.parametrize(
    ("line", "expected"), [("NSpid:\t812\t1", True), ("NSpid:\t1", False), ("NSpid:\t9\t12", False)]
)
def test_a_hosts_first_process(line: str, expected: bool) -> None:
    assert processes.is_init(f"Name:\tinit\n{line}\nThreads:\t1\n") is expected


def test_a_process_that_ends_while_it_is_killed_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)

    def gone(descriptor: int, number: int) -> None:
        del descriptor, number
        child.kill()
        child.wait()
        raise ProcessLookupError

    monkeypatch.setattr(signal, "pidfd_send_signal", gone)
    monkeypatch.setattr(processes, "netns_of", lambda pid: 77 if pid == child.pid else None)
    monkeypatch.setattr(processes, "all_pids", lambda: [child.pid] if child.poll() is None else [])
    assert processes.kill_namespace(77, timeout_s=5) == []
    assert child.poll() is not None
