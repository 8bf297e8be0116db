# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceiling and deadline: whether they were kept, and that nothing is taken for proven that was not seen."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Outcome, plain_way
from tests.unit.migrate import piloted
from tests.unit.migrate.piloted import NOW, Memory, actions, pause, run
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import UUID, Pair, go, move, quick

libvirt = _libvirt.libvirt
clock, pair = piloted.clock, piloted.pair


def test_a_pause_that_was_in_vain_is_held_against_the_ceiling_too(pair: Pair) -> None:
    """libvirt has stopped the guest for the switchover, and it went on where it was."""
    domain = pair.source.domains[UUID]

    def rolled_back(_domain: Domain, *_what: object) -> None:
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        NOW.now += 1.5
        pair.source.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        raise libvirt.libvirtError("operation failed: migration failed")

    domain.migration = rolled_back
    (result,) = go(pair, [move()], quick())
    assert result["state"] == "failed"
    assert result["breach"] == "its vCPUs stood still for 1500 ms, 500 ms longer than its ceiling of 1.0 s"


def test_a_pause_of_an_earlier_attempt_counts(pair: Pair) -> None:
    """It was stopped for a switchover, and went on where it was, before it was begun again."""
    memory = Memory(pair, [80, 80, 80, 80, 80, 16])
    domain = pair.source.domains[UUID]

    def in_vain(*what: t.Any) -> None:
        try:
            memory(*what)
        except libvirt.libvirtError:
            pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
            NOW.now += 4
            pair.source.send(UUID, "RESUMED", "RESUMED_MIGRATED")
            raise

    domain.migration = in_vain
    (result,) = go(pair, [move()], quick())
    assert result["state"] == "moved" and result["downtime"]["compute_ms"] == 250
    assert "stood still for 4000 ms" in (result["breach"] or "")


def _held(pair: Pair, back: bool) -> Outcome:
    """The destination falls silent in the switchover; whether it ``back`` comes after 20 s, without the guest."""
    domain = pair.source.domains[UUID]

    def lost(_domain: Domain, *_what: object) -> None:
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pair.destination.answers = False
        NOW.now += 0.1
        pair.source.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        while "suspend" not in domain.calls:
            pause()
        NOW.now += 20
        pair.destination.answers = back
        raise libvirt.libvirtError("client socket is closed")

    domain.migration = lost
    (result,) = go(pair, [move()], quick())
    return result


def test_a_guest_that_was_held_has_stood_still_until_it_was_let_go(pair: Pair) -> None:
    result = _held(pair, back=True)
    assert (result["state"], pair.source.domains[UUID].running) == ("failed", True)
    assert "stood still for 20100 ms" in (result["breach"] or "")


def test_a_guest_that_is_not_seen_to_run_again_is_not_proven(pair: Pair) -> None:
    result = _held(pair, back=False)
    assert (result["state"], pair.source.domains[UUID].running) == ("unknown", False)
    assert "was not measured, so nothing proves its ceiling of 1.0 s" in (result["breach"] or "")


def test_what_a_lost_daemon_has_seen_is_not_proven(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_what: object) -> None:
        monkeypatch.setattr(Host, "isAlive", lambda host: int(host is not pair.source))
        raise libvirt.libvirtError("End of file while reading data")

    pair.source.domains[UUID].migration = fails
    (result,) = go(pair, [move()], quick())
    assert result["state"] == "failed" and "was not measured" in (result["breach"] or "")


def test_what_an_earlier_run_did_is_not_proven(pair: Pair) -> None:
    """It was killed; the guest is there, or here still, or paused on its way."""
    pair.records.ready()
    pair.records.note("run-0", "begun", uuid=UUID, move=move(), tls="off")
    result, _memory, _calls = run(pair, [16])
    assert result["state"] == "moved"
    said = "how long an earlier run, which was interrupted, has paused it was not measured"
    assert result["breach"] == f"{said}, so nothing proves its ceiling of 1.0 s"
    (again,) = go(pair, [move(profile={"ceiling_ms": 500, "target_ms": 100})], quick())
    assert (again["state"], again["ceiling_ms"]) == ("already_there", 500)
    assert "was not measured, so nothing proves its ceiling of 500 ms" in (again["breach"] or "")


def test_what_was_not_begun_has_kept_its_ceiling(pair: Pair) -> None:
    pair.destination.answers = False
    (result,) = go(pair, [move()], quick())
    assert (result["state"], result["breach"]) == ("refused", None)


def test_a_paused_guest_has_no_ceiling(pair: Pair) -> None:
    domain = pair.source.domains[UUID].become("PAUSED", "PAUSED_USER")

    def moves(_domain: Domain, *_what: object) -> None:
        pair.destination.add(UUID).become("PAUSED", "PAUSED_USER")
        pair.source.send(UUID, "STOPPED", "STOPPED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = moves
    way: t.Any = {**plain_way(), "state": "paused"}
    (result,) = go(pair, [move(way=way)], quick())
    assert (result["state"], result["ceiling_ms"], result["breach"]) == ("moved", None, None)


def test_a_migration_that_was_not_over_by_its_deadline_says_so(pair: Pair) -> None:
    """128 MiB take 2 s, and nothing was asked in between."""
    result, _memory, _calls = run(pair, [16], profile={"deadline_s": 2})
    assert result["state"] == "moved" and "longer than its deadline of 2 s" in (result["breach"] or "")


def test_ceiling_and_deadline_are_named_together(pair: Pair) -> None:
    way: t.Any = {**plain_way(), "auto_converge": True}
    result, _memory, _calls = run(pair, [120] * 3, way=way, profile={"deadline_s": 3, "ceiling_ms": 1000})
    assert "longer than its ceiling of 1.0 s; it took " in (result["breach"] or "")


def test_the_second_attempt_has_what_is_left_of_the_deadline(pair: Pair) -> None:
    """Two passes are over after 3.2 s, and three of the second attempt 4.5 s later: slowed down, it writes no less."""
    result, _memory, _calls = run(pair, [80] * 8, profile={"deadline_s": 9, "ceiling_ms": 500})
    assert "throttle" in actions(result) and actions(result)[-1] == "abort"
    assert "288 of 640 MiB, 8 s of 9 s" in (result["error"] or "") and result["breach"] is None
