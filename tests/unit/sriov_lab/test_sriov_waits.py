# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for machines and answers: every wait ends, and says why."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.places import Places
from tests.sriov import enter, hosts, lifecycle, probe, qemu

SR1, SR2 = hosts.HOSTS


@pytest.fixture
def where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Places:
    monkeypatch.setenv("LIVEMIG_LAB_STATE", str(tmp_path / "lab"))
    monkeypatch.setattr(lifecycle, "POLL_S", 0.01)
    monkeypatch.setattr(lifecycle, "pid_of", lambda _where, _host: 1)
    found = hosts.places()
    found.state.mkdir()
    return found


def says(where: Places, host: Host, text: str) -> None:
    (where.state / qemu.console_name(host)).write_text(text, encoding="utf-8")


def test_both_are_awaited(where: Places) -> None:
    says(where, SR1, "SRIOV-LAB ready\r\n")
    says(where, SR2, "SRIOV-LAB ssh\r\n")
    late = threading.Timer(0.1, says, (where, SR2, "SRIOV-LAB ssh\r\nSRIOV-LAB ready\r\n"))
    late.start()
    lifecycle.await_ready(where, hosts.HOSTS, time.monotonic() + 10)
    late.join()
    assert "ready" in lifecycle.stages(lifecycle.console(where, SR2))


def test_a_failure_ends_the_wait_at_once(where: Places) -> None:
    says(where, SR1, "SRIOV-LAB ready\r\n")
    says(where, SR2, "SRIOV-LAB ssh\r\nSRIOV-LAB failed: modprobe kvm_amd\r\n")
    with pytest.raises(LabError, match=r"sr2: failed: modprobe kvm_amd \(reached: ssh, "):
        lifecycle.await_ready(where, hosts.HOSTS, time.monotonic() + 10)


def test_a_machine_that_ends_is_seen(where: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "pid_of", lambda _where, _host: None)
    with pytest.raises(LabError, match=r"sr1: ended \(reached: nothing\)"):
        lifecycle.await_ready(where, hosts.HOSTS, time.monotonic() + 10)


def test_a_machine_that_never_gets_there_is_not_awaited_for_ever(where: Places) -> None:
    with pytest.raises(LabError, match="sr1: not ready in time"):
        lifecycle.await_ready(where, hosts.HOSTS, time.monotonic() + 0.05)


def test_no_command_without_a_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(enter, "namespace", lambda: tmp_path / "none")
    with pytest.raises(LabError, match=r"python3 -m tests\.sriov up"):
        enter.words("sr1", ["true"])


def test_a_command_goes_to_its_machine_in_one_piece(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(enter, "namespace", lambda: tmp_path)
    words = enter.words("sr2", ["echo", "a b"])
    assert words[:2] == ["nsenter", f"--net={tmp_path}"]
    assert words[-3:] == ["root@198.51.100.2", "--", "echo 'a b'"]
    assert enter.words("ctl", ["echo", "a b"])[-2:] == ["echo", "a b"]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an echo that answers its first packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5.0)
        monkeypatch.setitem(probe.TYPES, "udp", (socket.SOCK_DGRAM, server.getsockname()[1]))

        def answer() -> None:
            data, sender = server.recvfrom(64)
            server.sendto(data, sender)

        thread = threading.Thread(target=answer)
        thread.start()
        yield "127.0.0.1"
        thread.join()


def test_an_answer_is_one(echo: str) -> None:
    assert probe.answered("udp", echo, 5.0)


def test_silence_is_none() -> None:
    began = time.monotonic()
    assert not probe.answered("udp", "127.0.0.1", 0.3)
    assert time.monotonic() - began < 5.0
