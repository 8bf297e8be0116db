# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy at the wheel of the module: libvirt's events go in, calls and the outcome come out."""

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import converge
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Outcome, plain_way
from tests.unit.migrate import piloted
from tests.unit.migrate.piloted import LINK, MIB, NOW, Memory, actions, pause, run
from tests.unit.migrate.standin import Domain
from tests.unit.migrate.test_migrate import UUID, Pair, go, move, note_calls, quick

libvirt = _libvirt.libvirt
clock, pair = piloted.clock, piloted.pair


def test_a_guest_that_converges_is_left_alone(pair: Pair) -> None:
    result, _memory, calls = run(pair, [16])
    assert (result["state"], calls) == ("moved", [])
    assert (result["ceiling_ms"], result["breach"]) == (1000, None)
    assert result["forecast"] is not None and result["forecast"]["verdict"] == "unknown"


def test_the_same_with_post_copy_allowed_from_the_beginning(pair: Pair) -> None:
    result, memory, calls = run(pair, [16], profile={"name": "deadline", "obstacles": []})
    ((_parameters, flags),) = memory.asked
    assert flags & libvirt.VIR_MIGRATE_POSTCOPY
    assert (result["state"], calls, set(actions(result)) <= {"continue"}) == ("moved", [], True)
    assert (result["ceiling_ms"], result["breach"]) == (5000, None)


def test_the_limit_is_raised_within_the_ceiling(pair: Pair) -> None:
    result, _memory, calls = run(pair, [45, 40, 40, 40, 40])
    assert result["state"] == "moved" and "raise_downtime" in actions(result)
    (limit,) = [int(call.split()[1]) for call in calls]
    assert 625 < limit <= 900
    assert result["breach"] is None and result["downtime"]["compute_ms"] == 625
    assert [sample["iteration"] for sample in result["samples"]] == [2, 3, 4]
    assert result["convergence"] is not None and result["convergence"]["stopped_with_mib"] == pytest.approx(40, abs=4)


def test_what_cannot_arrive_is_aborted_with_the_exact_reason(pair: Pair) -> None:
    result, _memory, _calls = run(pair, [120] * 6, profile={"throttle": False})
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert "aborted by its policy: needs 1.9" in (result["error"] or "") and "ceiling 1.0 s" in (result["error"] or "")
    assert actions(result)[-1] == "abort" and len(result["samples"]) <= 3
    assert result["convergence"] is not None and result["convergence"]["stopped_with_mib"] is None


def test_it_is_begun_again_with_a_guest_that_is_slowed_down(pair: Pair) -> None:
    result, memory, _calls = run(pair, [80, 80, 80, 80, 80, 16])
    assert "throttle" in actions(result) and result["state"] == "moved"
    first, second = memory.asked
    assert not first[1] & libvirt.VIR_MIGRATE_AUTO_CONVERGE
    assert second[1] & libvirt.VIR_MIGRATE_AUTO_CONVERGE and second[0]["auto_converge.initial"] >= 20
    assert {sample["attempt"] for sample in result["samples"]} == {1, 2}
    assert "begun_again" in [phase["name"] for phase in result["phases"]]
    assert pair.records.open_moves() == {}


@pytest.mark.parametrize(
    ("obstacles", "action"), [([], "postcopy"), (["its memory is pinned"], "abort"), (None, "abort")]
)
def test_postcopy_only_where_a_plan_found_nothing_in_its_way(
    pair: Pair, obstacles: list[str] | None, action: str
) -> None:
    profile = {"name": "deadline", "ceiling_ms": 1000, "throttle": False, "obstacles": obstacles}
    result, memory, calls = run(pair, [120] * 6, profile=profile)
    assert actions(result)[-1] == action
    assert bool(memory.asked[0][1] & libvirt.VIR_MIGRATE_POSTCOPY) == (action == "postcopy") == ("postcopy" in calls)
    if action == "postcopy":
        assert (result["state"], result["downtime"]["compute_ms"], result["breach"]) == ("moved", 78, None)
        # None of the memory: the next forecast learns what a switchover takes without it.
        assert result["convergence"] is not None and result["convergence"]["postcopy"]


def test_a_limit_that_somebody_has_set_before_is_set_back(pair: Pair) -> None:
    """`virsh migrate-setmaxdowntime` without a migration holds for the next one."""
    pair.source.domains[UUID].limit_ms = 5000
    result, _memory, calls = run(pair, [200, 200, 12])
    assert calls[0] == "limit 300" and result["breach"] is None


def test_a_limit_that_libvirt_does_not_take_is_set_at_the_end_of_the_pass(pair: Pair) -> None:
    domain = pair.source.domains[UUID]
    domain.limit_ms, domain.refuses_limits = 5000, 1
    result, _memory, calls = run(pair, [400, 400, 12])
    assert calls[:2] == ["limit 300", "limit 840"]
    assert actions(result)[0] == "lower_downtime" and "limit of 5.0 s" in result["decisions"][0]["reason"]


def test_a_limit_that_was_set_does_not_stay(pair: Pair) -> None:
    """Somebody has aborted it a moment before libvirt was told the limit, which the stand-in does not set back."""
    domain = pair.source.domains[UUID]
    result, _memory, calls = run(pair, [120] * 6, profile={"throttle": False, "ceiling_ms": 200})
    assert result["state"] == "failed" and calls[0] == "limit 120"
    assert domain.limit_ms == 300


def late(pair: Pair, left: t.Sequence[float], seen: bool) -> tuple[Outcome, list[str]]:
    """QEMU 11.1: the first event is that of the end of the first pass. The outcome, and what was called by then.

    ``seen``: whether there was time to look at the first pass.
    """
    domain, early = pair.source.domains[UUID], list[str]()

    def copying(sent: float, number: int, rest: float) -> None:
        domain.stats = {
            "memory_iteration": number,
            "memory_total": 128 * MIB,
            "memory_normal": int(min(sent, 128) * 256),
            "memory_constant": 0,
            "memory_remaining": int(rest * MIB),
            "memory_processed": int(sent * MIB),
            "memory_bps": LINK * MIB,
        }

    def straight(migrating: Domain, *_what: object) -> None:
        if seen:
            copying(0.0, 1, 128.0)
            time.sleep(3 * converge._LOOK_S)
            early.extend(domain.calls)
        sent, copied = 0.0, 128.0
        for number, rest in enumerate(left, 2):
            sent += copied
            NOW.now += copied / LINK
            copying(sent, number, rest)
            pair.source.iterate(UUID, number)
            pause()
            copied = rest
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pair.destination.add(UUID)
        pair.destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = straight
    (result,) = go(pair, [move(profile={"ceiling_ms": 200, "throttle": False})], quick())
    assert domain.calls.count("limit 120") == 1
    return result, early


@pytest.mark.parametrize("seen", [True, False])
def test_the_end_of_the_first_pass_is_not_taken_for_its_beginning(pair: Pair, seen: bool) -> None:
    result, early = late(pair, [40.0, 40.0, 4.0], seen)
    assert ("limit 120" in early) == seen
    first = result["samples"][0]
    assert (first["iteration"], first["sent_mib"]) == (2, 128)
    learnt = result["convergence"]
    assert learnt is not None and learnt["link_mib_s"] == pytest.approx(LINK, rel=0.05)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt does not answer in time, once, at the end of the first pass."""
    asked: list[int] = []
    answer = Domain.jobStats

    def once(domain: Domain, flags: int) -> dict[str, t.Any]:
        if domain.stats.get("memory_iteration") == 2 and not asked:
            asked.append(1)
            raise libvirt.libvirtError("cannot acquire state change lock")
        return answer(domain, flags)

    monkeypatch.setattr(Domain, "jobStats", once)


def test_what_the_counter_stood_at_is_known_from_the_first_pass(pair: Pair, silent: None) -> None:
    result, _early = late(pair, [40.0, 40.0, 4.0], seen=True)
    assert [sample["iteration"] for sample in result["samples"]] == [3, 4]


def test_of_a_pass_that_nobody_knows_the_beginning_of_no_link_is_computed(pair: Pair, silent: None) -> None:
    """168 MiB in the time of 40: that is two passes, of which one was not seen."""
    result, _early = late(pair, [40.0, 40.0], seen=False)
    assert (result["samples"], result["decisions"]) == ([], [])
    assert result["convergence"] is not None and result["convergence"]["link_mib_s"] is None


def test_each_sample_has_the_forecast_of_its_moment(pair: Pair) -> None:
    result, _memory, _calls = run(pair, [45, 40, 40, 40, 40])
    last = result["samples"][-1]
    pause, total = last["blackout_ms"] or 0, last["total_ms"] or 0
    assert last["verdict"] == "needs_blackout" and pause == pytest.approx(40 / LINK * 1000 + 60, rel=0.05)
    assert total == pytest.approx(last["at_ms"] + pause, abs=200)


@pytest.mark.parametrize("own", ["postcopy", "auto_converge"])
def test_who_decides_for_himself_is_only_watched(pair: Pair, own: str) -> None:
    way: t.Any = {**plain_way(), own: True}
    result, _memory, calls = run(pair, [120, 120, 120], way=way, profile={"ceiling_ms": 500, "target_ms": 100})
    assert (result["state"], result["decisions"], calls) == ("moved", [], [])
    assert len(result["samples"]) == 3
    assert "longer than its ceiling of 500 ms" in (result["breach"] or "")


def test_a_counter_that_does_not_begin_with_one(pair: Pair) -> None:
    domain = pair.source.domains[UUID]
    domain.migration = Memory(pair, [45, 40, 40], earlier=7)
    (result,) = go(pair, [move()], quick())
    assert [sample["iteration"] for sample in result["samples"]] == [2, 3, 4]


def test_a_profile_that_is_not_there_is_refused(pair: Pair) -> None:
    result, memory, _calls = run(pair, [16], profile={"name": "reckless"})
    assert result["state"] == "refused" and "gentle, balanced, deadline" in (result["error"] or "")
    assert memory.asked == []


def test_nothing_is_asked_at_the_pass_that_is_the_last(pair: Pair) -> None:
    """QEMU begins it right before it stops the guest."""
    domain = pair.source.domains[UUID]
    asked: list[str] = []

    def straight(migrating: Domain, *_what: object) -> None:
        pair.source.iterate(UUID, 1)
        pause()
        asked.append("last")
        pair.source.iterate(UUID, 2)
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pause()
        asked.append("resumed")
        pair.destination.add(UUID)
        pair.destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = straight
    note_calls(domain, asked)
    (result,) = go(pair, [move(profile={"name": "gentle"})], quick())
    assert (result["state"], result["samples"]) == ("moved", [])
    assert "limit 100" in domain.calls
    assert asked[asked.index("last") :][:2] == ["last", "resumed"]


def test_what_qemu_counts_within_a_pass_is_no_pass(pair: Pair) -> None:
    """QEMU 11.1 with post-copy allowed: the guest would go on at the destination before its memory was sent once."""
    domain = pair.source.domains[UUID]
    memory = Memory(pair, [120] * 6)

    def often(migrating: Domain, *what: t.Any) -> None:
        total = 128 * MIB
        for number in range(2, 6):
            pair.source.iterate(UUID, number)
            NOW.now += 0.06
            migrating.stats = {
                "memory_iteration": number,
                "memory_remaining": total - number * MIB,
                "memory_processed": number * MIB,
                "memory_bps": LINK * MIB,
                "memory_total": total,
                "memory_normal": number * 256,
                "memory_constant": 0,
            }
            pause()
            assert "postcopy" not in migrating.calls and not memory.aborted
        raise libvirt.libvirtError("enough")

    domain.migration = often
    profile = {"name": "deadline", "ceiling_ms": 1000, "throttle": False, "obstacles": []}
    (result,) = go(pair, [move(profile=profile)], quick())
    assert (result["samples"], result["decisions"]) == ([], [])


def test_a_guest_that_converges_is_left_alone_however_often_qemu_counts(pair: Pair) -> None:
    """As measured with QEMU 11.1: a count for each 3 MiB, the last of them with less left than twice the 19 MiB that
    QEMU leaves over."""
    domain = pair.source.domains[UUID]

    def often(migrating: Domain, *_what: t.Any) -> None:
        for number in range(2, 23):
            sent = 60 + 3 * number
            pair.source.iterate(UUID, number)
            NOW.now += (sent if number == 2 else 3) / LINK
            migrating.stats = {
                "memory_iteration": number,
                "memory_remaining": int((82 - 2.7 * number) * MIB),
                "memory_processed": sent * MIB,
                "memory_bps": LINK * MIB,
                "memory_total": 128 * MIB,
                "memory_normal": min(sent, 128) * 256,
                "memory_constant": 0,
            }
            pause()
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pair.destination.add(UUID)
        pair.destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = often
    (result,) = go(pair, [move(profile={"name": "deadline", "ceiling_ms": 1000, "obstacles": []})], quick())
    assert result["state"] == "moved" and len(result["samples"]) <= 2
    assert set(actions(result)) == {"continue"}


def test_a_tenth_that_was_not_looked_at_is_no_end_of_the_first_pass(pair: Pair) -> None:
    """The guest's memory may be in use there alone."""
    domain = pair.source.domains[UUID]
    memory = Memory(pair, [300, 290, 280, 270], touched=600)
    counted = {"memory_total": 2048 * MIB, "memory_normal": 1900 * 256, "memory_constant": 0}
    memory.meanwhile.update({number: lambda: domain.stats.update(counted) for number in range(1, 7)})
    domain.resident_mib, domain.migration = 2048, memory
    profile: t.Any = {"name": "deadline", "throttle": False, "obstacles": []}
    (result,) = go(pair, [move(memory_mib=2048, profile=profile)], quick())
    assert (result["samples"], result["decisions"]) == ([], [])


def test_memory_that_is_never_sent_keeps_nobody_from_post_copy(pair: Pair) -> None:
    """The same with post-copy allowed: when twice its memory was sent, its first pass is over."""
    memory, domain = Memory(pair, [120] * 9), pair.source.domains[UUID]
    counted = {"memory_total": 1024 * MIB, "memory_normal": 128 * 256, "memory_constant": 0}
    memory.meanwhile.update({number: lambda: domain.stats.update(counted) for number in range(1, 10)})
    domain.resident_mib, domain.migration = 128, memory
    profile: t.Any = {"name": "deadline", "ceiling_ms": 1000, "throttle": False, "obstacles": []}
    (result,) = go(pair, [move(profile=profile)], quick())
    assert "postcopy" in actions(result) and result["samples"][0]["sent_mib"] >= 512


def test_memory_that_is_never_sent_keeps_nobody_from_deciding(pair: Pair) -> None:
    """Of virtio-mem, what is not plugged in is part of the total all the same."""
    memory, domain = Memory(pair, [120] * 6), pair.source.domains[UUID]
    counted = {"memory_total": 1024 * MIB, "memory_normal": 128 * 256, "memory_constant": 0}
    memory.meanwhile.update({number: lambda: domain.stats.update(counted) for number in range(1, 7)})
    domain.migration = memory
    (result,) = go(pair, [move(profile={"throttle": False})], quick())
    assert actions(result)[-1] == "abort" and [sample["iteration"] for sample in result["samples"]] == [2, 3]


def test_the_limit_is_set_even_where_two_passes_have_begun_at_once(pair: Pair) -> None:
    domain = pair.source.domains[UUID]

    def hasty(migrating: Domain, *_what: object) -> None:
        pair.source.iterate(UUID, 1)
        pair.source.iterate(UUID, 2)
        pause()
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pair.destination.add(UUID)
        pair.destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = hasty
    go(pair, [move(profile={"name": "gentle"})], quick())
    assert domain.calls.count("limit 100") == 1


def test_post_copy_that_libvirt_refuses_ends_the_migration(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_what: object) -> None:
        raise libvirt.libvirtError("post-copy is not supported")

    monkeypatch.setattr(Domain, "migrateStartPostCopy", refuses)
    profile = {"name": "deadline", "ceiling_ms": 1000, "throttle": False, "obstacles": []}
    result, _memory, _calls = run(pair, [120] * 6, profile=profile)
    assert result["state"] == "failed"
    assert "libvirt refused that: post-copy is not supported" in (result["error"] or "")


def test_a_fault_of_ours_is_named_and_ends_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converge, "sample", None)
    result, _memory, _calls = run(pair, [45, 40, 40])
    assert result["state"] == "moved"
    assert "no decision: TypeError" in result["decisions"][0]["reason"]


def test_an_abort_that_libvirt_refuses_is_tried_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converge, "_AGAIN_S", 0.0)
    refused: list[int] = []
    abort = Domain.abortJob

    def reluctant(domain: Domain) -> None:
        refused.append(1)
        if len(refused) < 3:
            raise libvirt.libvirtError("cannot abort: still being prepared")
        abort(domain)

    monkeypatch.setattr(Domain, "abortJob", reluctant)
    result, _memory, _calls = run(pair, [120] * 6, profile={"throttle": False})
    assert result["state"] == "failed" and len(refused) == 3
    assert "aborted by its policy: needs " in (result["error"] or "")
