# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy at the wheel of the module: libvirt's events go in, calls and the outcome come out."""

from __future__ import annotations

import time
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import unsent_mib
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import api, converge, one, watch
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.shares import Shares
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Outcome, plain_way
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import UUID, Pair, go, move, note_calls, quick

libvirt = _libvirt.libvirt
MIB = 1024 * 1024
LINK = 64
"""MiB/s of the stand-in's link."""


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    source, destination = Host("hv1", 1), Host("hv2", 2)
    source.add(UUID)
    return Pair(source, destination, Records(str(tmp_path / "state"), str(tmp_path / "run")))


class Clock:
    """The time of the events; what waits in earnest gets none of it."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class Memory:
    """libvirt with a guest whose passes leave ``left`` MiB each: one entry for each pass from the second on.
    ``meanwhile``: what else happens in the pass of that number.

    It ends as QEMU does: at a limit that what is left fits in, with post-copy, or aborted.
    """

    def __init__(self, pair: Pair, left: t.Sequence[float], touched: float = 128, earlier: int = 0) -> None:
        self.pair, self.left, self.touched, self.earlier = pair, left, touched, earlier
        self.asked: list[tuple[dict[str, t.Any], int]] = []
        self.meanwhile: dict[int, t.Callable[[], object]] = {}
        self.aborted = False

    def __call__(self, domain: Domain, _uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        source, self.aborted = domain.host, False
        self.asked.append((parameters, flags))
        domain.abort = lambda _domain: setattr(self, "aborted", True)
        sent, copied = 0.0, self.touched
        source.iterate(UUID, self.earlier + 1)
        _pause()
        for number, left in enumerate(self.left, 2):
            sent += copied
            domain.stats = {
                "memory_iteration": self.earlier + number,
                "memory_remaining": int(left * MIB),
                "memory_processed": int(sent * MIB),
                "memory_bps": LINK * MIB,
            }
            self.meanwhile.get(number - 1, lambda: None)()
            NOW.now += copied / LINK
            source.iterate(UUID, self.earlier + number)
            _pause()
            if self.aborted:
                raise libvirt.libvirtError("operation aborted: job 'migration out' canceled by client")
            copied = left
            if "postcopy" in domain.calls:
                self._over(domain, 5.0, "POSTCOPY")
                return
            if left <= LINK * domain.limit_ms / 1000:
                self._over(domain, left)
                return
        self._over(domain, self.left[-1])

    def _over(self, domain: Domain, left: float, how: str = "MIGRATED") -> None:
        source, destination = domain.host, self.pair.destination
        source.send(UUID, "SUSPENDED", f"SUSPENDED_{how}")
        NOW.now += left / LINK
        source.complete(UUID, {"downtime": round(left / LINK * 1000)})
        destination.add(UUID)
        destination.send(UUID, "RESUMED", f"RESUMED_{how}")
        del source.domains[UUID]


NOW = Clock()


def _pause() -> None:
    """Until the pilot, which has a thread of its own, has looked at the pass."""
    time.sleep(0.15)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converge, "LISTEN_S", 0.02)
    monkeypatch.setattr(watch.Timeline.__init__, "__defaults__", (NOW,))
    monkeypatch.setattr(Shares.__init__, "__defaults__", (NOW,))
    for module in (converge, one):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=NOW, sleep=time.sleep))


def run(pair: Pair, left: t.Sequence[float], **changes: t.Any) -> tuple[Outcome, Memory, list[str]]:
    memory = Memory(pair, left)
    domain = pair.source.domains[UUID]
    domain.migration = memory
    (result,) = go(pair, [move(**changes)], quick())
    return result, memory, [call for call in domain.calls if call.split()[0] in ("limit", "postcopy", "speed")]


def actions(result: Outcome) -> list[str]:
    return [decision["action"] for decision in result["decisions"]]


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
            _pause()
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


def test_a_cap_is_no_measure_of_the_link(pair: Pair) -> None:
    """Somebody has capped it while it runs: the pause is not, since QEMU lifts the cap for the switchover."""
    pair.source.domains[UUID].speed = LINK
    planned: t.Any = {"dirty_mib_s": None, "working_set_mib": None, "link_mib_s": 10.0 * LINK}
    result, _memory, _calls = run(pair, [60, 60, 60, 60], forecast=planned)
    assert result["state"] == "moved" and "raise_downtime" in actions(result)
    raised = next(decision for decision in result["decisions"] if decision["action"] == "raise_downtime")
    assert "needs 154 ms pause" in raised["reason"]


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[Shares]:
    """That of the run, once it is under way."""
    made: list[Shares] = []

    def make(*what: t.Any) -> Shares:
        made.append(Shares(*what))
        return made[0]

    monkeypatch.setattr(api, "Shares", make)
    return made


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
    monkeypatch.setattr(Shares, "alone", lambda *_what: pair.source.domains[UUID].stats["memory_iteration"] > 3)
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
        _pause()
        asked.append("last")
        pair.source.iterate(UUID, 2)
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        _pause()
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
            _pause()
            assert "postcopy" not in migrating.calls and not memory.aborted
        raise libvirt.libvirtError("enough")

    domain.migration = often
    profile = {"name": "deadline", "ceiling_ms": 1000, "throttle": False, "obstacles": []}
    (result,) = go(pair, [move(profile=profile)], quick())
    assert (result["samples"], result["decisions"]) == ([], [])


def test_the_limit_is_set_even_where_two_passes_have_begun_at_once(pair: Pair) -> None:
    domain = pair.source.domains[UUID]

    def hasty(migrating: Domain, *_what: object) -> None:
        pair.source.iterate(UUID, 1)
        pair.source.iterate(UUID, 2)
        _pause()
        pair.source.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
        pair.destination.add(UUID)
        pair.destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")
        del pair.source.domains[UUID]

    domain.migration = hasty
    go(pair, [move(profile={"name": "gentle"})], quick())
    assert domain.calls.count("limit 100") == 1


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
            _pause()
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
