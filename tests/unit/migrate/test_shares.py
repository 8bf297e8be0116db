# SPDX-License-Identifier: GPL-3.0-or-later
"""The link of a source: one migration may have it alone, and the others get back what they had."""

from __future__ import annotations

import threading
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
