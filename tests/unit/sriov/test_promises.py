# SPDX-License-Identifier: GPL-3.0-or-later

"""A function is promised once, whoever else is on its way to the same destination."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import nics, records
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.records import Busy
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.api import plan
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.nic import nics_of
from tests.unit.migrate.standin import XML
from tests.unit.migrate.test_migrate import move
from tests.unit.sriov.host import NAMED, vf
from tests.unit.sriov.test_crashes import POOL, QUICK, World

OTHER = "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(nics, "RULES", QUICK)
    return World(tmp_path)


def test_nobody_looks_until_the_journal_tells_what_was_promised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_PROMISE_S", 0.0)
    seen: list[tuple[str, bool]] = []
    note = Records.note

    def is_free() -> bool:
        try:
            with world.records.promising("hv2"):
                return True
        except Busy:
            return False

    def planned(*arguments: t.Any, **more: t.Any) -> t.Any:
        seen.append(("plan", is_free()))
        return plan(*arguments, **more)

    def noted(self: Records, run: str, event: str, **values: t.Any) -> None:
        note(self, run, event, **values)
        seen.append((event, is_free()))

    monkeypatch.setattr(nics, "plan", planned)
    monkeypatch.setattr(Records, "note", noted)
    (outcome,) = world.move()
    assert outcome["state"] == "moved"
    assert seen[:2] == [("plan", False), ("begun", False)]
    assert len(seen) > 4 and all(free for _event, free in seen[2:])


def test_a_choice_that_takes_too_long_refuses_the_next_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_PROMISE_S", 0.0)
    world.records.ready()
    with world.records.promising("hv2"):
        (outcome,) = world.move()
    assert outcome["state"] == "refused" and "Destination hv2" in outcome["error"]
    assert world.process.calls == []


def test_the_locks_of_two_destinations_are_two(tmp_path: Path) -> None:
    kept = Records(str(tmp_path / "state"), str(tmp_path / "run"))
    kept.ready()
    with kept.promising("a/b"), kept.promising("a"):
        pass


@pytest.mark.parametrize(
    ("events", "state"),
    [(["begun", "vf_gone"], "refused"), (["begun", "vf_gone", "vf_on"], "moved"), (["vf_on", "begun"], "refused")],
    ids=["on its way", "it has it", "on its way once more"],
)
def test_what_another_guest_has_got_is_not_counted_twice(world: World, events: list[str], state: str) -> None:
    """The network itself counts what it has given out."""
    world.guest.config[1] = NAMED
    world.hosts["hv2"].pool, world.hosts["hv2"].given = POOL, 1
    (other,) = nics_of(XML.replace("</devices>", f"{vf('0000:01:10.0')}</devices>"), None)
    kept = other._replace(alias="ua-vf", xml=NAMED)._asdict()
    world.records.ready()
    begun = {"move": move(domain="web2"), "nics": [kept], "tls": "off"}
    for event in events:
        more = begun if event == "begun" else {"alias": "ua-vf", "instance": 1}
        world.records.note("run-0", event, uuid=OTHER, domain="web2", **more)
    (outcome,) = world.move()
    assert outcome["state"] == state, outcome["error"]
