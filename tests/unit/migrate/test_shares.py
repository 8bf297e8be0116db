# SPDX-License-Identifier: GPL-3.0-or-later
"""The link of a source: one migration may have it alone, and the others get back what they had."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.progress import Board
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.shares import FLOOR_MIB_S, Shares
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.watch import Timeline
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import plain_way
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import move

libvirt = _libvirt.libvirt
NO_LIMIT = 2**43


class Scene(t.NamedTuple):
    shares: Shares
    domains: dict[str, Domain]
    timelines: dict[str, Timeline]


@pytest.fixture
def scene() -> Scene:
    """Three migrations, of which c was given no more than 40 MiB/s by its user."""
    host, caps = Host("hv1", 1), {"a": 0, "b": 0, "c": 40}
    moves = [move(uuid=name, way={**plain_way(), "bandwidth_mib_s": cap}) for name, cap in caps.items()]
    board, domains, timelines = Board(moves), {name: host.add(name) for name in caps}, {}
    for name, domain in domains.items():
        timelines[name] = Timeline()
        timelines[name].add("iteration", 1)
        board.started(name, domain, timelines[name])
    return Scene(Shares(board, moves), domains, timelines)


def speeds(scene: Scene) -> list[int]:
    return [domain.speed for domain in scene.domains.values()]


def test_the_others_make_way_and_get_back_what_they_had(scene: Scene) -> None:
    scene.domains["b"].speed = 50
    assert scene.shares.others("a") == 2 and scene.shares.take("a")
    assert speeds(scene) == [NO_LIMIT, FLOOR_MIB_S, FLOOR_MIB_S]
    assert [scene.shares.waits(name) for name in "abc"] == [False, True, True]
    scene.shares.give_back("a")
    assert speeds(scene) == [NO_LIMIT, 50, 40]
    assert not scene.shares.waits("b")


def test_one_at_a_time(scene: Scene) -> None:
    assert scene.shares.take("a") and scene.shares.take("a") and not scene.shares.take("b")
    scene.shares.give_back("b")
    assert scene.shares.waits("b")
    threading.Timer(0.05, scene.shares.give_back, ("a",)).start()
    assert scene.shares.take("b", timeout_s=5)
    assert speeds(scene) == [FLOOR_MIB_S, NO_LIMIT, FLOOR_MIB_S]


@pytest.mark.parametrize("event", ["suspended", "postcopy"])
def test_one_that_is_switching_over_is_let_alone(scene: Scene, event: str) -> None:
    scene.timelines["b"].add(event)
    assert scene.shares.others("a") == 1 and scene.shares.take("a")
    assert scene.domains["b"].calls == []


def test_one_that_has_gone_meanwhile_keeps_nobody(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_what: object) -> t.NoReturn:
        raise libvirt.libvirtError("gone")

    monkeypatch.setattr(scene.domains["b"], "migrateGetMaxSpeed", gone)
    assert scene.shares.take("a")
    monkeypatch.setattr(scene.domains["c"], "migrateSetMaxSpeed", gone)
    scene.shares.give_back("a")
    assert not scene.shares.waits("b")


def test_one_that_begins_later_makes_way_too(scene: Scene) -> None:
    """Before its first pass nothing is set: that would outlast its migration."""
    scene.timelines["c"].events.clear()
    assert scene.shares.take("a") and scene.shares.alone("a")
    assert speeds(scene) == [NO_LIMIT, FLOOR_MIB_S, NO_LIMIT] and not scene.shares.waits("c")
    scene.timelines["c"].add("iteration", 1)
    assert not scene.shares.alone("a")
    scene.shares.join("c", scene.domains["c"])
    assert scene.domains["c"].speed == FLOOR_MIB_S and scene.shares.waits("c") and scene.shares.alone("a")
    scene.shares.give_back("a")
    assert scene.domains["c"].speed == 40
    scene.shares.join("c", scene.domains["c"])
    assert scene.domains["c"].speed == 40


def test_one_in_its_first_pass_makes_way_where_qemu_tells_only_of_its_end(scene: Scene) -> None:
    """QEMU 11.1: no event yet, and it copies."""
    for name in "bc":
        scene.timelines[name].events.clear()
    scene.shares.join("b", scene.domains["b"])
    assert not scene.shares.alone("a")
    assert scene.shares.take("a") and scene.shares.alone("a")
    assert speeds(scene) == [NO_LIMIT, FLOOR_MIB_S, NO_LIMIT]
    scene.shares.give_back("a")
    # Its first attempt has ended, and the second does not copy yet.
    scene.shares.leave("b")
    assert scene.shares.alone("a")
    scene.shares.join("c", scene.domains["c"])
    assert scene.shares.take("c") and not scene.shares.alone("a")
    scene.shares.leave("c")
    assert scene.shares.alone("a") and speeds(scene) == [NO_LIMIT, NO_LIMIT, NO_LIMIT]


def test_one_that_is_not_slowed_down_decides_for_itself(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_mib_s: int) -> t.NoReturn:
        raise libvirt.libvirtError("cannot acquire state change lock")

    monkeypatch.setattr(scene.domains["b"], "migrateSetMaxSpeed", refuses)
    assert scene.shares.take("a") and scene.shares.holds("a")
    assert not scene.shares.alone("a") and [scene.shares.waits(name) for name in "abc"] == [False, False, True]
    monkeypatch.undo()
    assert scene.shares.take("a") and scene.shares.alone("a") and scene.domains["b"].speed == FLOOR_MIB_S


def test_one_that_is_not_sped_up_again_asks_for_it_itself(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_mib_s: int) -> t.NoReturn:
        raise libvirt.libvirtError("cannot acquire state change lock")

    scene.shares.join("b", scene.domains["b"])
    assert scene.shares.take("a")
    monkeypatch.setattr(scene.domains["b"], "migrateSetMaxSpeed", refuses)
    scene.shares.give_back("a")
    assert [scene.shares.waits(name) for name in "abc"] == [False, True, False]
    scene.shares.go_on("b")
    monkeypatch.undo()
    assert scene.shares.waits("b") and scene.domains["b"].speed == FLOOR_MIB_S
    scene.shares.go_on("b")
    assert not scene.shares.waits("b") and scene.domains["b"].speed == NO_LIMIT


def test_who_was_beside_it_is_known(scene: Scene) -> None:
    before = time.monotonic()
    for name in "bc":
        scene.shares.join(name, scene.domains[name])
    assert scene.shares.take("a") and scene.shares.alone("a")
    assert scene.shares.crowded_since("a", before) and not scene.shares.crowded_since("a", time.monotonic())
    alone_since = time.monotonic()
    scene.timelines["b"].add("suspended")
    scene.shares.leave("b")
    assert not scene.shares.crowded_since("a", alone_since), "it had made way"
    scene.shares.give_back("a")
    assert scene.shares.crowded_since("a", time.monotonic())
    scene.timelines["c"].add("suspended")
    scene.shares.leave("c")
    assert scene.shares.crowded_since("a", alone_since) and not scene.shares.crowded_since("a", time.monotonic())


def test_memory_that_follows_a_guest_needs_the_link(scene: Scene) -> None:
    for event in ("suspended", "postcopy"):
        scene.timelines["b"].add(event)
    assert scene.shares.take("a") and not scene.shares.alone("a") and scene.shares.others("a") == 1


def test_one_that_nobody_steers_copies_too(scene: Scene) -> None:
    """A guest that is paused is sent in one pass, of which QEMU 11.1 tells nothing."""
    for name in "bc":
        scene.timelines[name].events.clear()
    assert scene.shares.alone("a")
    with scene.shares.using("b"):
        assert not scene.shares.alone("a") and scene.shares.take("a") and scene.domains["b"].speed == FLOOR_MIB_S
    assert scene.shares.alone("a")


def test_how_long_it_was_slow_is_known(scene: Scene) -> None:
    before = time.monotonic()
    assert not scene.shares.waited_since("b", before)
    scene.shares.take("a")
    assert scene.shares.waited_since("b", time.monotonic())
    scene.shares.give_back("a")
    assert scene.shares.waited_since("b", before) and not scene.shares.waited_since("b", time.monotonic())
    assert not scene.shares.waited_since("a", before)
