# SPDX-License-Identifier: GPL-3.0-or-later
"""A switchover that stands still on a dead link, and the kernel's way to end its connections."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import guard, stall
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.truth import PAUSED_MIGRATION, SILENT
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.watch import Timeline
from tests.unit.migrate.standin import Domain
from tests.unit.migrate.test_guard import roll_back, switch_over
from tests.unit.migrate.test_migrate import UUID, Pair, fail, pair, run

__all__ = ["pair"]

WAIT_S = 10.0

LISTED = """\
ESTAB 0      0      198.51.100.1:44444  198.51.100.2:49152 users:(("qemu-system-x86",pid=77,fd=30))
ESTAB 0      163840 198.51.100.1:44446  198.51.100.2:49153 users:(("qemu-system-x86",pid=77,fd=31))
ESTAB 0      0      198.51.100.1:39000  198.51.100.2:16514 users:(("libvirtd",pid=7,fd=25))
ESTAB 0      0            [::1]:5900          [::1]:39002 users:(("qemu-system-x86",pid=77,fd=9))
SYN-SENT 0   1      198.51.100.1:44448  198.51.100.9:3260
"""


def test_only_the_connections_of_the_process_count() -> None:
    assert stall.of_process(LISTED, 77) == [
        ("198.51.100.1:44444", "198.51.100.2:49152"),
        ("198.51.100.1:44446", "198.51.100.2:49153"),
        ("[::1]:5900", "[::1]:39002"),
    ]
    assert stall.of_process(LISTED, 7) == [("198.51.100.1:39000", "198.51.100.2:16514")]


def test_what_was_accepted_at_a_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = LISTED.replace("198.51.100.1:44446  198.51.100.2:49153", "198.51.100.1:49153  198.51.100.2:44446")
    (tmp_path / "web1.pid").write_text("77")
    monkeypatch.setattr(stall, "_PID", str(tmp_path / "{domain}.pid"))
    monkeypatch.setattr(stall, "_ss", lambda *words: said if words == ("-p",) else " ".join(words))
    ports = range(49152, 49216)
    assert stall.end_incoming("web1", "198.51.100.2", ports) == [("198.51.100.1:49153", "198.51.100.2:44446")]
    assert stall.end_incoming("web1", "198.51.100.3", ports) == []
    assert stall.end_incoming("web2", "198.51.100.2", ports) == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ss") is None, reason="ends real connections: root, iproute2")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_it_ends_those_to_the_destination_s_port(
    family: socket.AddressFamily, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    (tmp_path / "web1.pid").write_text(f"{os.getpid()}")
    monkeypatch.setattr(stall, "_PID", str(tmp_path / "{domain}.pid"))
    with socket.socket(family) as server, socket.socket(family) as elsewhere:
        for listening, address in ((server, host), (elsewhere, "127.0.0.2" if family == socket.AF_INET else "::1")):
            listening.bind((address, 0))
            listening.listen()
        at = host if family == socket.AF_INET else f"[{host}]"
        found = stall.Connections("web1", f"tcp://{at}:{server.getsockname()[1]}")
        with socket.create_connection(server.getsockname()[:2]) as here, socket.create_connection(
            elsewhere.getsockname()[:2]
        ) as other:
            # The other end of it is this process's, too, but not at the migration port of the destination.
            assert [ours for ours, _peer in found.end()] == [_text(here.getsockname())]
            assert other.send(b"x") == 1
            with pytest.raises(ConnectionError):
                here.send(b"x")


def _text(name: tuple[str, int]) -> str:
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def test_without_ss_or_a_process_nothing_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stall, "_PID", str(tmp_path / "{domain}.pid"))
    assert stall.Connections("web1", "tcp://127.0.0.1").end() == []
    (tmp_path / "web1.pid").write_text(f"{os.getpid()}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stall.Connections("web1", "tcp://no.such.host.invalid").end() == []


@pytest.mark.parametrize(
    ("events", "after_s", "still"),
    [
        ((), 60, False),
        (("suspended",), stall.STILL_S - 1, False),
        (("suspended",), stall.STILL_S, True),
        (("suspended", "resumed"), 60, False),
        (("suspended", "rolled_back"), 60, False),
        (("suspended", stall.CUT), 60, False),
    ],
)
def test_when_a_switchover_stands_still(events: tuple[str, ...], after_s: float, still: bool) -> None:
    timeline = Timeline(clock=lambda: 100.0)
    for name in events:
        timeline.add(name)
    assert stall.stands_still(timeline, now=100.0 + after_s) is still


def test_nothing_is_ended_once_the_guest_runs_there(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event comes while the destination is asked for the last time; in post-copy there are connections still."""
    asked = threading.Semaphore(0)
    ended: list[str] = []

    def ask(*_of: object) -> str:
        asked.release()
        if len(questions) == guard._SILENT - 1:
            pair.destination.send(UUID, "RESUMED", "RESUMED_POSTCOPY")
        questions.append("")
        return SILENT

    def end(_self: object) -> list[stall.Pair]:
        ended.append("")
        return []

    def hang(domain: Domain) -> None:
        for _question in range(guard._SILENT):
            switch_over(domain, pair.destination, resumed=False)
            assert asked.acquire(timeout=WAIT_S)

    questions: list[str] = []
    monkeypatch.setattr(stall, "STILL_S", 0.0)
    monkeypatch.setattr(guard, "_asked", ask)
    monkeypatch.setattr(stall.Connections, "end", end)
    pair.source.domains[UUID].migration = fail("not this time", hang)
    run(pair)
    assert len(questions) == guard._SILENT and ended == []


@pytest.mark.parametrize("reachable", [False, True])
def test_a_dead_link_at_the_switchover(pair: Pair, monkeypatch: pytest.MonkeyPatch, reachable: bool) -> None:
    """The guest goes on here, and is not paused for it: the destination cannot have run it."""
    asked, cut = threading.Semaphore(0), threading.Event()

    def ask(*_of: object) -> str:
        asked.release()
        return PAUSED_MIGRATION if reachable else SILENT

    def end(_self: object) -> list[stall.Pair]:
        cut.set()
        return [("198.51.100.1:44444", "198.51.100.2:49152")]

    def hang(domain: Domain) -> None:
        for _question in range(guard._SILENT):
            # Each event lets the guard look again.
            switch_over(domain, pair.destination, resumed=False)
            assert asked.acquire(timeout=WAIT_S)
        assert reachable or cut.wait(WAIT_S)
        roll_back(domain)

    monkeypatch.setattr(stall, "STILL_S", 0.0)
    monkeypatch.setattr(guard, "_asked", ask)
    monkeypatch.setattr(stall.Connections, "end", end)
    domain = pair.source.domains[UUID]
    domain.migration = fail("Unable to write to socket: Software caused connection abort", hang)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert cut.is_set() is not reachable
    assert ("out of reach" in str(result["error"])) is not reachable
    assert ("cut" in [phase["name"] for phase in result["phases"]]) is not reachable
    assert ("suspend" in domain.calls) is reachable
