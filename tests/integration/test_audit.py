# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of thirty guests names each planted problem and nothing else, and next time what is worse and better."""

from __future__ import annotations

import json
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import fleet
from tests.integration.conftest import Play
from tests.lab import api

STORE = "/var/lib/livemig-audits"
FILES = ["audit.html", "audit.json", "audit.txt"]


class First(t.NamedTuple):
    """What the hosts were before and after, what the play said, and the audit that it made."""

    before: dict[str, str]
    said: str
    after: dict[str, str]
    audit: dict[str, t.Any]


@pytest.fixture(scope="module")
def thirty(lab: None) -> Iterator[None]:
    fleet.stop()
    fleet.start()
    yield
    fleet.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def first(thirty: None, play: Play, folder: Path) -> First:
    """The first audit of all, with what was on the hosts before and after it."""
    before = fleet.state()
    said = succeeded(play("audit", {"livemig_audit_dest": str(folder)}, "--diff"))
    return First(before, said, fleet.state(), made_in(folder))


def made_in(folder: Path) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((folder / "audit.json").read_text(encoding="utf-8")))


def told(differences: list[dict[str, t.Any]]) -> list[tuple[str, list[str], list[str]]]:
    return [(entry["what"], entry["domains"], entry["destinations"]) for entry in differences]


def words(text: str) -> str:
    return " ".join(text.split())


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """What it said, on one line."""
    assert done.returncode == 0, done.stdout + done.stderr
    return words(done.stdout)


def test_each_planted_problem_and_nothing_else(first: First, folder: Path) -> None:
    said, audit = first.said, first.audit
    assert first.after == first.before
    assert "changed=0" in said and "changed=1" not in said
    assert fleet.named(audit) == fleet.expected()
    assert len(audit["domains"]) + len(audit["stopped"]) == len(fleet.ALL) == 30
    assert {(entry["name"], entry["host"]) for entry in audit["stopped"]} == {
        (placed.name, placed.host) for placed in fleet.STOPPED
    }
    # What rules nothing out: the one guest that is large is large for the keys of TLS too.
    assert [(note["check"], note["domains"]) for note in audit["notes"]] == [("conv_tls_rekey", ["huge"])]
    assert len({obstacle["check"] for obstacle in audit["obstacles"]}) >= 10
    change = audit["changes"][0]
    assert (change["host"], change["problem"]) == ("hv2", "its bridge br-one is not on hv2")
    assert change["frees"] == ["bridge-one", "bridge-one-too"]
    assert audit["summary"]["twice"] == 1 and audit["summary"]["silent"] == 0
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert words((folder / "audit.txt").read_text(encoding="utf-8")) in said


def test_what_is_worse_and_better_the_next_time(first: First, play: Play, folder: Path) -> None:
    api.exec_on("hv2", ["ip", "link", "add", "br-one", "up", "type", "bridge"], check=True)
    api.exec_on("hv4", ["ip", "link", "del", "br-two"], check=True)
    done = play("audit", {"livemig_audit_dest": str(folder), "livemig_audit_fail_on": "worse"})
    assert done.returncode != 0
    assert "livemig_audit_fail_on: worse; expected none, and there are 1." in words(done.stdout)
    audit = made_in(folder)
    assert told(audit["since"]["worse"]) == [("trapped", ["bridge-two"], [])]
    (reason,) = {audit["obstacles"][number]["check"] for number in audit["since"]["worse"][0]["obstacles"]}
    assert reason == "net_bridge_exists"
    assert told(audit["since"]["better"]) == [("freed", ["bridge-one", "bridge-one-too"], ["hv2"])]
    assert audit["since"]["changed"] == []


def test_a_host_whose_daemon_is_gone_is_named_and_the_rest_audited(first: First, play: Play, folder: Path) -> None:
    kept = made_in(folder)
    api.exec_on("hv4", ["/etc/init.d/libvirtd", "stop"], check=True)
    try:
        said = succeeded(play("audit", {"livemig_audit_dest": str(folder)}, "--check"))
    finally:
        api.exec_on("hv4", ["/etc/init.d/libvirtd", "start"], check=True)
    assert made_in(folder) == kept
    assert "Host hv4 does not answer any more" in said
    assert "not seen, since host hv4 does not answer" in said
    assert "on 3 hosts (1 of them silent)" in said


def test_a_host_can_keep_the_audits(thirty: None, play: Play) -> None:
    wanted = {"livemig_audit_dest": STORE, "livemig_audit_store_host": "hv2"}
    try:
        assert "since the audit before" not in succeeded(play("audit", wanted))
        listed = api.exec_on("hv2", ["stat", "-c", "%a %n", STORE, *(f"{STORE}/{name}" for name in FILES)], check=True)
        assert listed.stdout.split()[::2] == ["700", "600", "600", "600"]
        assert "since the audit before: 0 worse, 0 better" in succeeded(play("audit", wanted))
        broken = "echo '{' > " + STORE + "/audit.json"
        api.exec_on("hv2", ["sh", "-c", broken], check=True)
        done = play("audit", wanted)
        assert done.returncode != 0 and "expected kind audit, schema 1" in words(done.stdout)
        assert api.exec_on("hv2", ["cat", f"{STORE}/audit.json"], check=True).stdout == "{\n"
    finally:
        api.exec_on("hv2", ["rm", "-rf", STORE])


def test_a_store_that_cannot_be_meant(lab: None, play: Play) -> None:
    done = play("audit", {"livemig_audit_store_host": "nowhere", "livemig_audit_dest": STORE})
    said = words(done.stdout)
    assert done.returncode != 0
    assert "livemig_audit_store_host: nowhere" in said and "expected a host of the inventory" in said
