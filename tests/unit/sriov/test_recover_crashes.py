# SPDX-License-Identifier: GPL-3.0-or-later

"""Recover by either host, each with its own files alone, and recover that is killed itself."""

from __future__ import annotations

import itertools
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import nics
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Asked, Records, Rules, recover
from tests.unit.migrate.test_migrate import LOCAL, REMOTE
from tests.unit.sriov.host import Killed, vf
from tests.unit.sriov.test_crashes import FAULTS, QUICK, World, _name

Crash = tuple[str, int, bool]
ENDS = {"hv1": LOCAL, "hv2": REMOTE}


class Either(World):
    """Each host with a journal of its own: the destination knows nothing but what the guest brings along."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kept = {"hv1": self.records, "hv2": Records(str(folder / "there"), str(folder / "there-run"))}

    def recover_on(self, name: str, kill: Crash | None = None) -> list[t.Any]:
        """``kill``: at the next such call; then nothing is returned."""
        self.restart()
        if kill is not None:
            self.process.kill, self.process.after = (kill[0], self.process.calls.count(kill[0]) + kill[1]), kill[2]
        asked = Asked(name, ENDS[name], {other: uri for other, uri in ENDS.items() if other != name})
        try:
            return list(recover(asked, Rules(return_s=0, apart_s=0), self.connect, self.kept[name]))
        except Killed:
            return []

    def ease(self, claimed: bool = False) -> None:
        """What was in the way is gone, but for functions that are ``claimed``."""
        self.restart()
        for host in self.hosts.values():
            host.broken, host.claimed, host.answers = False, host.claimed if claimed else set(), True
        guest = self.running[1]
        guest.let_go()
        guest.lets_go = "at once"

    def is_as_before(self) -> bool:
        """Both NICs, the mark gone, autostart back; the function with every element that it began with."""
        guest = self.running[1]
        found = [_shape(each) for each in guest.devices if "hostdev" in each]
        return self.complete() and guest.notes == {} and guest.auto == 1 and found == [_shape(vf("0000:01:10.0"))]


def _shape(xml: str) -> list[str]:
    """The element's children, but for the function's place on its host."""
    root = ET.fromstring(xml)
    for source in root.findall("source"):
        for address in source.findall("address"):
            source.remove(address)
    return sorted(ET.canonicalize(ET.tostring(each, encoding="unicode")) for each in root)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Either:
    monkeypatch.setattr(nics, "RULES", QUICK)
    return Either(tmp_path)


FIRST: list[Crash | None] = [
    None,
    ("migrate", 1, True),
    ("attach", 1, False),
    ("attach", 1, True),
    ("define", 1, False),
    ("unmark", 1, False),
]


@pytest.mark.parametrize("crash", FIRST, ids=_name)
@pytest.mark.parametrize("fault", FAULTS)
def test_recover_by_the_destination(world: Either, fault: str, crash: Crash | None) -> None:
    FAULTS[fault](world)
    if crash is not None:
        world.process.kill, world.process.after = crash[:2], crash[2]
    world.move()
    world.ease()
    found = world.recover_on("hv2")
    if world.running[0] == "hv2":
        assert world.is_as_before() and [each["error"] for each in found if each["error"]] == []
    else:
        assert found == [], "it knows nothing of a guest that did not come"
    world.recover_on("hv1")
    assert world.is_as_before()
    assert [each["did"] for name in ENDS for each in world.recover_on(name)] == []


SECOND: list[Crash] = [(name, 1, after) for name in ("detach", "attach", "define", "unmark") for after in (False, True)]
BACK: list[Crash] = [("attach", 1, False), ("attach", 1, True), ("unmark", 1, False)]
HERE = ("none", "the migration fails", "the migration fails and its function is taken", "the first function is taken")
THERE = ("none", "the first function is taken")
KILLED = [
    *itertools.product(HERE, [("detach", 1, False), ("detach", 1, True), *BACK], SECOND, ["hv1"]),
    *itertools.product(THERE, [("migrate", 1, True), *BACK], SECOND[2:], ["hv2"]),
]


@pytest.mark.parametrize(
    ("fault", "first", "second", "name"),
    KILLED,
    ids=[f"{fault}, {_name(first)}, {_name(second)} on {name}" for fault, first, second, name in KILLED],
)
def test_recover_that_is_killed(world: Either, fault: str, first: Crash, second: Crash, name: str) -> None:
    FAULTS[fault](world)
    world.process.kill, world.process.after = first[:2], first[2]
    world.move()
    world.ease(claimed=True)
    world.recover_on(name, second)
    assert world.running, "it runs, and once"
    world.recover_on(name)
    world.recover_on("hv1")
    assert world.is_as_before()
    assert [each["did"] for end in ENDS for each in world.recover_on(end)] == []
