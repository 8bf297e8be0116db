# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration leaves for the forecast of the next one, and what is no measure of anything."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import unsent_mib
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import api, converge
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.shares import Shares
from tests.unit.migrate import piloted
from tests.unit.migrate.piloted import LINK, MIB, NOW, Memory, actions, run
from tests.unit.migrate.standin import Domain
from tests.unit.migrate.test_migrate import UUID, Pair, go, move, quick

libvirt = _libvirt.libvirt
clock, pair = piloted.clock, piloted.pair


def test_a_cap_is_no_measure_of_the_link(pair: Pair) -> None:
    """Somebody has capped it while it runs: the pause is not, since QEMU lifts the cap for the switchover."""
    pair.source.domains[UUID].speed = LINK
    planned: t.Any = {"dirty_mib_s": None, "working_set_mib": None, "link_mib_s": 10.0 * LINK}
    result, _memory, _calls = run(pair, [60, 60, 60, 60], forecast=planned)
    assert result["state"] == "moved" and "raise_downtime" in actions(result)
    raised = next(decision for decision in result["decisions"] if decision["action"] == "raise_downtime")
    assert "needs 154 ms pause" in raised["reason"]
    assert result["convergence"] is not None and result["convergence"]["link_mib_s"] is None, "nor what was planned"


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[Shares]:
    """That of the run, once it is under way."""
    made: list[Shares] = []

    def make(*what: t.Any) -> Shares:
        made.append(Shares(*what))
        return made[0]

    monkeypatch.setattr(api, "Shares", make)
    return made


def test_between_two_attempts_the_link_is_free(
    pair: Pair, shares: list[Shares], monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[bool] = []
    again = converge.Pilot.again

    def begun_again(pilot: converge.Pilot) -> bool:
        found = again(pilot)
        free.append(shares[0].alone("another"))
        return found

    monkeypatch.setattr(converge.Pilot, "again", begun_again)
    result, _memory, _calls = run(pair, [80, 80, 80, 80, 80, 16])
    assert result["state"] == "moved" and free == [True]


@pytest.mark.parametrize("slow", [1, 2])
def test_a_pass_that_made_way_for_another_is_no_measure(pair: Pair, shares: list[Shares], slow: int) -> None:
    """It gets the link back within the pass, which took a minute."""
    memory = Memory(pair, [45, 40, 40, 40, 40])

    def slowed() -> None:
        shares[0].take("another")
        NOW.now += 60
        shares[0].give_back("another")

    memory.meanwhile[slow] = slowed
    pair.source.domains[UUID].migration = memory
    (result,) = go(pair, [move()], quick())
    assert result["state"] == "moved" and "raise_downtime" in actions(result)
    assert [sample["iteration"] for sample in result["samples"]] == [n for n in (2, 3, 4) if n != slow + 1]
    learnt = result["convergence"]
    assert learnt is not None and learnt["link_mib_s"] == pytest.approx(LINK, rel=0.1)


def test_a_pass_in_which_a_cap_was_lifted_is_no_measure(pair: Pair) -> None:
    memory, domain = Memory(pair, [45, 40, 40, 40, 40, 40]), pair.source.domains[UUID]

    def capped() -> None:
        domain.speed = 1
        NOW.now += 60

    def lifted() -> None:
        domain.speed = 2**43
        NOW.now += 60

    memory.meanwhile.update({1: capped, 2: lifted})
    domain.migration = memory
    planned: t.Any = {"dirty_mib_s": None, "working_set_mib": None, "link_mib_s": LINK}
    (result,) = go(pair, [move(forecast=planned)], quick())
    assert result["state"] == "moved" and "raise_downtime" in actions(result)
    assert [sample["iteration"] for sample in result["samples"]][:2] == [2, 4]


@pytest.mark.parametrize("beside", [1, 2])
def test_a_pass_beside_one_that_has_gone_since_is_no_measure(pair: Pair, shares: list[Shares], beside: int) -> None:
    memory = Memory(pair, [45, 40, 40, 40, 40])

    def gone() -> None:
        shares[0].join("another", pair.source.domains[UUID])
        NOW.now += 60
        shares[0].leave("another")

    memory.meanwhile[beside] = gone
    pair.source.domains[UUID].migration = memory
    (result,) = go(pair, [move()], quick())
    assert [sample["iteration"] for sample in result["samples"]] == [n for n in (2, 3, 4) if n != beside + 1]
    learnt = result["convergence"]
    assert learnt is not None and learnt["link_mib_s"] == pytest.approx(LINK, rel=0.1)


def test_a_pause_beside_others_says_nothing_of_what_each_switchover_takes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, _memory, _calls = run(pair, [45, 40, 16])
    monkeypatch.setattr(Shares, "crowded_since", lambda *_what: True)
    pair.source.add(UUID)
    del pair.destination.domains[UUID]
    beside, _memory, _calls = run(pair, [45, 40, 16])
    left = [result["convergence"] and result["convergence"]["stopped_with_mib"] for result in (known, beside)]
    assert left[0] is not None and left[1] is None


def test_nothing_is_decided_while_it_makes_way(pair: Pair, shares: list[Shares]) -> None:
    memory = Memory(pair, [120] * 4)
    memory.meanwhile[1] = lambda: shares[0].take("another")
    pair.source.domains[UUID].migration = memory
    (result,) = go(pair, [move(profile={"throttle": False})], quick())
    assert (result["state"], result["samples"], result["decisions"]) == ("moved", [], [])
    assert result["convergence"] is not None and result["convergence"]["link_mib_s"] is None


def test_a_cap_is_never_remembered_as_the_link(pair: Pair) -> None:
    pair.source.domains[UUID].speed = LINK
    result, _memory, _calls = run(pair, [45, 40, 40, 40, 40])
    assert result["convergence"] is not None and result["convergence"]["dirty_mib_s"] is not None
    assert result["convergence"]["link_mib_s"] is None


def test_a_share_of_the_link_is_never_remembered_as_the_link(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one has ended since."""
    domain = pair.source.domains[UUID]
    monkeypatch.setattr(Shares, "alone", lambda *_what: domain.stats["memory_iteration"] > 3)
    result, _memory, _calls = run(pair, [45, 40, 40])
    assert result["convergence"] is not None and result["convergence"]["dirty_mib_s"] is not None
    assert result["convergence"]["link_mib_s"] is None


def test_others_that_do_not_make_way_are_counted_with(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decided with the whole link in the same breath is not done."""
    monkeypatch.setattr(Shares, "others", lambda *_what: 1)
    monkeypatch.setattr(Shares, "alone", lambda *_what: False)
    planned: t.Any = {"dirty_mib_s": None, "working_set_mib": None, "link_mib_s": 10.0 * LINK}
    result, _memory, _calls = run(pair, [45, 40, 40, 40, 40, 40], forecast=planned)
    assert actions(result).count("yield_bandwidth") == 1
    asked = next(decision for decision in result["decisions"] if decision["action"] == "yield_bandwidth")
    assert asked["reason"].endswith("; not all of them did")
    raised = next(decision for decision in result["decisions"] if decision["action"] == "raise_downtime")
    assert "needs 685 ms pause" in raised["reason"]


def test_a_guest_that_was_slowed_down_is_remembered_as_it_was_before(pair: Pair) -> None:
    result, _memory, _calls = run(pair, [80, 80, 80, 80, 80, 16])
    kept = result["convergence"]
    assert kept is not None and kept["working_set_mib"] == pytest.approx(80, rel=0.1)


def test_a_guest_that_was_slowed_down_from_the_beginning_is_not_seen_again(pair: Pair) -> None:
    planned: t.Any = {"dirty_mib_s": 200.0, "working_set_mib": 100.0, "link_mib_s": LINK}
    result, memory, _calls = run(pair, [80, 80, 16], forecast=planned)
    assert memory.asked[0][1] & libvirt.VIR_MIGRATE_AUTO_CONVERGE and result["state"] == "moved"
    kept = result["convergence"]
    assert kept is not None and (kept["dirty_mib_s"], kept["working_set_mib"]) == (None, None)


def test_the_link_is_learnt_from_a_single_pass(pair: Pair) -> None:
    """QEMU has switched over right after it, so that nothing was asked."""
    domain = pair.source.domains[UUID]

    def straight(_domain: Domain, *_what: object) -> None:
        pair.source.iterate(UUID, 1)
        NOW.now += 2.0
        pair.source.iterate(UUID, 2)
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pair.source.complete(UUID, {"memory_processed": 128 * MIB})
        pair.destination.add(UUID)
        pair.destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = straight
    (result,) = go(pair, [move()], quick())
    assert result["convergence"] is not None and result["convergence"]["link_mib_s"] == pytest.approx(64)
    assert result["convergence"]["dirty_mib_s"] is None


def test_an_earlier_run_is_remembered(pair: Pair) -> None:
    pair.source.domains[UUID].resident_mib = 256
    run(pair, [120] * 6, profile={"throttle": False})
    (learnt,) = pair.records.history()
    assert set(learnt) == {"uuid", "source", "destination", "downtime", "convergence"}
    domain = pair.source.domains[UUID]
    domain.migration = Memory(pair, [120] * 6)
    known = converge.guest_of(converge.resident_mib(domain), move(), pair.records.history())
    assert known.link_mib_s == pytest.approx(LINK, rel=0.1) and known.dirty_mib_s and known.dirty_mib_s > LINK
    # What the pass has sent, and what QEMU's limit let it leave over.
    assert learnt["convergence"]["resident_mib"] == 256
    assert known.touched_mib == pytest.approx(128 + unsent_mib(LINK, 300))


def test_what_the_plan_knew_is_taken_where_nothing_is_known_here(pair: Pair) -> None:
    planned: t.Any = {"dirty_mib_s": 20.0, "working_set_mib": 50.0, "link_mib_s": 100.0}
    known = converge.guest_of(128.0, move(forecast=planned), [])
    assert (known.touched_mib, known.dirty_mib_s, known.working_set_mib, known.link_mib_s) == (128, 20, 50, 100)
