# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy at the wheel of one migration: at the beginning of each pass it is asked what is left, and it is done what
the policy decides. In between nothing is decided, and nothing is called once the guest is stopped.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._forecast.api import Guest, Sample, rate_mib_s, remember, sample, touched_mib, unsent_mib, with_history
from .._libvirt import LIBVIRT_ERRORS, error_text, libvirt
from .._model.api import (
    Convergence,
    LivemigError,
    Move,
    MoveProfile,
    Outcome,
    PassSample,
    PolicyDecision,
    Way,
    way_of,
)
from .._policy import api as policy
from .._sriov.api import FAILOVER
from .ceiling import worst
from .learnt import besides_ms, carried_mib_s, in_one_pass_mib, left_mib
from .shares import NO_LIMIT, Shares
from .watch import Event, Timeline

LISTEN_S = 0.05
"""A pass that is the last one begins right before the guest is stopped. So long it is waited whether that happens."""
_LOOK_S = 0.1
"""So often it is looked whether the first pass has begun: QEMU 11.1 tells only of its end."""
_ANSWER_S = 3.0
_ABORT_TRIES, _AGAIN_S = 25, 0.2
_JOIN_S = 5.0
_LINK_S = 600.0
_KIB, _MIB = 1024, 1024 * 1024
_FIRST = 4
"""Samples: the beginning, and the ends of three passes. Later passes are short, and full of what was left over."""
_PAGE, _MOST, _PART, _TWICE = 4096, 0.9, 0.5, 2
_NOT_JUDGED = "no plan has judged whether it is safe here"
_NOT_BEGUN = ("planned", "refused")
_THROTTLES, _POSTCOPIES = "VIR_MIGRATE_AUTO_CONVERGE", "VIR_MIGRATE_POSTCOPY"


def guest_of(resident: float | None, move: Move, earlier: t.Sequence[t.Mapping[str, t.Any]]) -> Guest:
    """What is known of the guest before its start: its memory as it is now, what the plan knew, which may be a fresh
    sample and the runs of all hosts, and where that is nothing what this host's own runs have shown."""
    planned, chosen = move.get("forecast"), profile_of(move.get("profile") or {})
    touched = touched_mib(resident, move["memory_mib"], earlier, move["uuid"])
    guest = Guest(touched, 0.0, device_mib=chosen.device_mib, device_ms=chosen.device_ms)
    if planned is not None:
        guest = guest._replace(
            link_mib_s=planned["link_mib_s"],
            dirty_mib_s=planned["dirty_mib_s"],
            working_set_mib=planned["working_set_mib"],
        )
    return with_history(guest, earlier, move["destination"], move["source"], move["uuid"])


def resident_mib(domain: t.Any) -> float | None:
    """Of QEMU. None where libvirt does not tell, and with huge pages, which do not count as resident."""
    resident: int | None = None
    with contextlib.suppress(*LIBVIRT_ERRORS):
        if "<hugepages" not in domain.XMLDesc(0):
            resident = domain.memoryStats().get("rss")
    return None if resident is None else resident / _KIB


def profile_of(wanted: MoveProfile) -> policy.Profile:
    """Raises LivemigError for a name or a value that is not there."""
    settings = {key: value for key, value in wanted.items() if key not in ("name", "obstacles") and value is not None}
    return policy.profile(wanted.get("name") or policy.DEFAULT, settings, "moves: profile")


class Pilot:
    """The policy of one move, over one attempt or two.

    ``domain``: of a connection that the migration itself does not use. A user who has chosen post-copy or auto-converge
    himself decides for himself: then it is only watched.
    """

    def __init__(
        self, domain: t.Any, move: Move, timeline: Timeline, shares: Shares, earlier: t.Sequence[t.Mapping[str, t.Any]]
    ) -> None:
        self._domain, self._uuid, self._timeline, self._shares = domain, move["uuid"], timeline, shares
        way, wanted = way_of(move), move.get("profile") or {}
        obstacles, self._capped = wanted.get("obstacles"), bool(way["bandwidth_mib_s"])
        self._decides = not (way["postcopy"] or way["auto_converge"])
        self._way, self._pins = way, way["vf"] == FAILOVER
        self._resident_mib, self._memory_mib = resident_mib(domain), move["memory_mib"]
        self._state, self.start = policy.begin(
            guest_of(self._resident_mib, move, earlier),
            profile_of(wanted),
            time.monotonic(),
            obstacles=[_NOT_JUDGED] if obstacles is None else obstacles,
            siblings=shares.others(move["uuid"]),
            capped=self._capped,
        )
        self._parameters = dict(self.start.parameters)
        self._attempt, self._began = 1, time.monotonic()
        self._begun_at: float | None = None
        self._counter: int | None = None
        self._earlier: int | None = None
        self._often = self._unsure = False
        self._limit_before: int | None = None
        self._crossed_mib = 0.0
        self._alone = not (self._capped or self._state.siblings)
        """At the last boundary, when it had been dealt with at ``_since_s``; and whether it was not, since then."""
        self._since_s, self._crowded = time.monotonic(), False
        self._carried_mib_s = 0.0
        """In the last of the passes that are remembered, where it had the link alone; 0 otherwise."""
        self._samples: list[PassSample] = []
        self._decisions: list[PolicyDecision] = []
        self._asking: threading.Thread | None = None
        self.gave_up: str | None = None
        """Why it was aborted; None where it was not."""

    @property
    def refused(self) -> str | None:
        return self.start.refused if self._decides else None

    def way(self, way: Way) -> Way:
        """The way of this attempt."""
        if not self._decides:
            return way
        flags = (_THROTTLES,) if self._state.throttled else self.start.flags
        return {**way, "auto_converge": _THROTTLES in flags, "postcopy": _POSTCOPIES in flags}

    def parameters(self) -> dict[str, int]:
        return self._parameters if self._decides else {}

    def again(self) -> bool:
        """Whether it is to be begun again; then everything is ready for that."""
        if self._state.over != "throttle" or self.gave_up is None:
            return False
        self.gave_up, self._begun_at = None, None
        self._counter = self._earlier = self._limit_before = None
        self._often = self._unsure = False
        self._parameters = dict(self._decisions[-1]["parameters"])
        self._state = policy.again(self._state, time.monotonic())
        self._attempt += 1
        self._timeline.again()
        return True

    @contextlib.contextmanager
    def steering(self) -> t.Iterator[None]:
        """While libvirt migrates in the block, a thread of its own follows the passes."""
        if self._attempt == 1:
            self._began = time.monotonic()
        if self._decides and self._state.yielded == 0:
            self._shares.take(self._uuid, _LINK_S)
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(over,), name=f"pilot of {self._uuid}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            self._timeline.wake()
            try:
                thread.join(_JOIN_S)
                self._crowded = self._shares.crowded_since(self._uuid, self._since_s)
            finally:
                self._shares.leave(self._uuid)

    def kept(self, result: Outcome) -> Outcome:
        """The outcome with what was forecast, seen, decided and learnt, and whether ceiling and deadline were kept."""
        profile = self._state.profile
        found = worst(result, self._timeline, profile.ceiling_ms)
        late = policy.overrun(result["total_ms"], profile.deadline_s)
        return {
            **result,
            "ceiling_ms": profile.ceiling_ms,
            "breach": "; ".join(text for text in (found and found.text, late) if text) or None,
            "forecast": self.start.forecast,
            "samples": self._samples,
            "decisions": self._decisions,
            "convergence": self._learnt(result),
        }

    def _learnt(self, result: Outcome) -> Convergence | None:
        """Of a guest that was slowed down, what the attempt before has shown; of one that is through with its first
        pass, the link."""
        state, seen = self._state, self._state.samples[1:]
        free = tuple(entry for entry in state.samples if not entry.throttle)
        if state.throttled:
            # What it was begun with was learnt from earlier runs, and is not seen again.
            guest = state.guest if self._attempt > 1 else None
        else:
            guest = policy.shown(state._replace(samples=free[:_FIRST]))
        if guest is None:
            guest = state.guest._replace(dirty_mib_s=None, working_set_mib=None)
        if not self._carried_mib_s:
            guest = guest._replace(link_mib_s=state.guest.link_mib_s)
        guest = guest._replace(touched_mib=self._crossed_mib or in_one_pass_mib(self._timeline))
        moved, postcopy = result["state"] == "moved", self._timeline.first("postcopy") is not None
        # The end of post-copy is not that of the pause.
        whole = moved and not postcopy
        stopped = self._timeline.first("suspended") if whole else None
        setup_ms = besides_ms(result, self._timeline, self._copying_since()) if whole and self._attempt == 1 else None
        if seen:
            # How much a guest writes while it is slowed down is not known; nor what of a pause was for pinning memory.
            # Beside others it was paused for longer.
            known = len(free) == len(state.samples) and not state.throttled and not self._pins
            known = known and self._alone and not self._crowded
            left = left_mib(seen[-1], stopped.at, guest) if stopped is not None and known else None
            # Neither a share of the link, nor a cap, nor what was planned with is what it carries.
            guest = guest._replace(link_mib_s=self._carried_mib_s)
            return remember(guest, left, setup_ms, self._resident_mib, moved and postcopy)
        if stopped is None or not self._alone or self._crowded or self._waited():
            return None
        link_mib_s = carried_mib_s(self._timeline, self._copying_since(), stopped.at)
        if link_mib_s is None:
            return None
        return remember(guest._replace(link_mib_s=link_mib_s), None, setup_ms, self._resident_mib)

    def _copying_since(self) -> float | None:
        """What is so fast that it was never looked at has told it by an event."""
        first = self._timeline.first("iteration")
        return self._begun_at if self._begun_at is not None or first is None else first.at

    def _follow(self, over: threading.Event) -> None:
        seen, last = 0, None
        while not over.is_set():
            self._timeline.wait_more(seen, _LOOK_S if self._begun_at is None else 1.0)
            seen = len(self._timeline.events)
            self._shares.go_on(self._uuid)
            passes = self._timeline.all("iteration")
            if over.is_set() or self._timeline.stopped() or (passes and passes[-1] == last):
                continue
            try:
                if passes:
                    last = self._boundary(passes[0])
                elif self._begun_at is None:
                    self._look()
            except Exception as error:  # a fault of ours must not end the migration, nor stay hidden
                last = passes[-1] if passes else None
                self._decisions.append(_failed(error, max(0, len(passes) - 1)))
        self._set_limit_back()

    def _set_limit_back(self) -> None:
        """libvirt does so at the end of a migration. What it was told a moment later would hold for the next one."""
        if self._limit_before is None or self._timeline.stopped():
            return
        with contextlib.suppress(*LIBVIRT_ERRORS):
            if self._domain.migrateGetMaxDowntime(0) != self._limit_before:
                self._domain.migrateSetMaxDowntime(self._limit_before, 0)

    def _boundary(self, first: Event) -> Event:
        """What is done at the beginning of a pass; returns that of the pass that was looked at."""
        if self._begun_at is None:
            self._begin_first_pass(first.at)
        if self._earlier is None:
            self._earlier = self._counted_before(first)
        newest = self._timeline.all("iteration")[-1]
        if newest.data < self._earlier + 2:
            return newest
        if self._timeline.wait(("suspended",), LISTEN_S):
            return newest
        newest = self._timeline.all("iteration")[-1]
        late_s = time.monotonic() - newest.at
        stats = self._asked()
        # Where the number differs, another pass has begun meanwhile, and its event comes next.
        if stats.get("memory_iteration") == newest.data:
            seen = self._numbered(sample(stats, newest.at, self._earlier, late_s), stats)
            if seen is not None:
                self._seen(seen, self._capped or stats["capped"])
        return newest

    def _seen(self, seen: Sample, capped: bool) -> None:
        """Decides, unless it was slowed down in the pass that ends here, for another one, beside one that has gone, or
        by a cap that has gone, or nobody knows when that began; and notes what that pass says of the link."""
        was_capped, unsure, self._unsure = self._state.capped, self._unsure, False
        alone = self._shares.alone(self._uuid)
        crowded = self._shares.crowded_since(self._uuid, self._since_s)
        if unsure or self._waited() or (was_capped and not capped) or (crowded and alone):
            self._state = policy.watch(self._state._replace(capped=was_capped and capped), seen._replace(held=True))
        else:
            self._state = self._state._replace(capped=capped)
            remembered = self._attempt == 1 and len(self._state.samples) < _FIRST
            self._step(seen)
            if remembered:
                whole = self._alone and not capped and not crowded
                self._carried_mib_s = rate_mib_s(self._state.samples, 0.0) if whole else 0.0
        self._alone, self._since_s = not capped and self._shares.alone(self._uuid), time.monotonic()

    def _waited(self) -> bool:
        """Whether it was slowed down for another one since the last boundary."""
        return self._shares.waited_since(self._uuid, self._state.samples[-1].at_s)

    def _numbered(self, seen: Sample, stats: t.Mapping[str, t.Any]) -> Sample | None:
        """None where this is the end of no pass. With post-copy allowed, QEMU 11.1 reads the dirty bitmap, and counts
        that, many times in each pass; from then on the passes are counted here: most of what was left has been sent.
        The first one also counts as over near what QEMU leaves over, and when twice all of its memory was sent: of
        virtio-mem, what is not plugged in is never sent."""
        if not self.way(self._way)["postcopy"]:
            return seen
        last, near_mib = self._state.samples[-1], self._threshold_mib(seen)
        if last.iteration < 2:
            whole = min(_not_looked_at_mib(stats), seen.remaining_mib) <= near_mib
            whole = whole or bool(self._memory_mib and seen.sent_mib >= _TWICE * self._memory_mib)
        else:
            whole = not self._often or seen.sent_mib - last.sent_mib >= _PART * last.remaining_mib
        self._often = self._often or not whole
        if not whole:
            return None
        return seen._replace(iteration=last.iteration + 1) if self._often else seen

    def _threshold_mib(self, seen: Sample) -> float:
        """Twice what QEMU leaves over."""
        return 2 * (seen.rate_mib_s or 0.0) * self._state.limit_ms / 1000

    def _look(self) -> None:
        """Whether memory is being copied, before any event has told so."""
        stats = self._asked()
        if stats.get("memory_total"):
            self._counter = stats.get("memory_iteration")
            self._begin_first_pass(time.monotonic(), stats.get("memory_processed", 0) / _MIB)

    def _counted_before(self, first: Event) -> int:
        """What QEMU's counter stood at before this job, which a cancelled one does not set back.

        The first event is that of the beginning of the first pass, or of its end (QEMU 11.1).
        """
        if self._counter is not None:
            return self._counter - 1
        told: int = first.data
        stats = self._asked()
        self._unsure = not stats
        total_mib = (stats.get("memory_total") or 0) / _MIB
        done = _not_looked_at_mib(stats) <= (1 - _MOST) * total_mib
        ended = total_mib and stats.get("memory_iteration") == told and done
        if not ended:
            return told - 1
        if stats.get("memory_bps"):
            began_at = first.at - stats.get("memory_processed", 0) / stats["memory_bps"]
            self._state = policy.watch(self._state, self._state.samples[0]._replace(at_s=began_at))
        return told - 2

    def _begin_first_pass(self, at_s: float, sent_mib: float = 0.0) -> None:
        """libvirt sets QEMU's limit back at the end of a migration during which it was changed, whatever becomes of
        this process; so it is not changed before. What it was is asked: whoever sets it without a migration sets it for
        the next one."""
        self._begun_at = self._since_s = at_s
        self._state = policy.watch(self._state, self._state.samples[0]._replace(at_s=at_s, sent_mib=sent_mib))
        wanted_ms, is_ms = round(self._state.limit_ms), policy.QEMU_LIMIT_MS
        with contextlib.suppress(*LIBVIRT_ERRORS):
            is_ms = self._domain.migrateGetMaxDowntime(0)
            self._limit_before = is_ms if self._decides else None
            if self._decides and is_ms != wanted_ms:
                self._domain.migrateSetMaxDowntime(wanted_ms, 0)
                is_ms = wanted_ms
        # One that is too high and could not be set is lowered at the end of the pass.
        self._state = self._state._replace(limit_ms=float(is_ms))
        if not self._timeline.stopped():
            self._shares.join(self._uuid, self._domain)

    def _asked(self) -> dict[str, t.Any]:
        """libvirt's statistics, and whether somebody has capped the bandwidth meanwhile (run_control, virsh), as
        ``capped``; nothing where it does not answer in time, for it can take as long as QEMU hangs."""
        if self._asking is not None and self._asking.is_alive():
            return {}
        found: list[dict[str, t.Any]] = []

        def ask() -> None:
            with contextlib.suppress(*LIBVIRT_ERRORS):
                # In this order: the statistics can be answered when the guest is stopped already.
                capped = self._domain.migrateGetMaxSpeed(0) < NO_LIMIT
                if not self._timeline.stopped():
                    found.append({**self._domain.jobStats(0), "capped": capped})

        self._asking = threading.Thread(target=ask, name=f"pass of {self._uuid}", daemon=True)
        self._asking.start()
        self._asking.join(_ANSWER_S)
        return found[0] if found else {}

    def _step(self, seen: Sample) -> None:
        if seen.iteration == 2:
            rate_mib_s = seen.rate_mib_s or 0.0
            self._crossed_mib = seen.sent_mib + unsent_mib(rate_mib_s, self._state.limit_ms)
        expected = policy.now(policy.watch(self._state, seen))
        self._samples.append(
            {
                "attempt": self._attempt,
                "iteration": seen.iteration,
                "at_ms": round((seen.at_s - self._began) * 1000),
                "remaining_mib": round(seen.remaining_mib, 1),
                "sent_mib": round(seen.sent_mib, 1),
                "rate_mib_s": None if seen.rate_mib_s is None else round(seen.rate_mib_s, 1),
                "throttle": seen.throttle,
                "verdict": expected["verdict"],
                "blackout_ms": expected["blackout_ms"],
                "total_ms": expected["total_ms"],
            }
        )
        if not self._decides:
            self._state = policy.watch(self._state, seen)
            return
        if self._state.yielded is None:
            self._state = self._state._replace(siblings=self._shares.others(self._uuid))
        before = self._state
        self._state, decisions = policy.step(before, seen)
        for decision in decisions:
            if self._timeline.stopped():
                return
            self._decisions.append(decision)
            if not self._act(decision, before):
                return

    def _act(self, decision: PolicyDecision, before: policy.State) -> bool:
        """Whether that was done. What libvirt refuses was not, and is decided upon anew at the end of the next pass."""
        try:
            _ACTS[decision["action"]](self, decision)
        except LIBVIRT_ERRORS as error:
            decision["reason"] += f"; libvirt refused that: {error_text(error)}"
            self._state = before._replace(samples=self._state.samples)
            if decision["action"] == "postcopy" and not self._timeline.stopped():
                # Nothing else would get it there.
                self._state = self._state._replace(over="abort")
                with contextlib.suppress(*LIBVIRT_ERRORS):
                    self._abort(decision)
            return False
        if decision["action"] == "yield_bandwidth" and not self._shares.alone(self._uuid):
            # What it carries now shows in the next pass; what was decided with the whole of it is not done.
            decision["reason"] += "; not all of them did"
            # One that waits is asked nothing; who has refused to be slowed down goes on with what it has.
            asked = self._shares.holds(self._uuid) or not self._shares.waits(self._uuid)
            taken = self._state.yielded if asked else None
            self._state = before._replace(samples=self._state.samples, yielded=taken)
            return False
        return True

    def _set_limit(self, decision: PolicyDecision) -> None:
        self._domain.migrateSetMaxDowntime(decision["max_downtime_ms"] or policy.QEMU_LIMIT_MS, 0)

    def _yield(self, _decision: PolicyDecision) -> None:
        self._shares.take(self._uuid)

    def _postcopy(self, _decision: PolicyDecision) -> None:
        self._domain.migrateStartPostCopy(0)

    def _abort(self, decision: PolicyDecision) -> None:
        """libvirt refuses it for a moment while it is at something else of the same migration."""
        for left in reversed(range(_ABORT_TRIES)):
            if self._timeline.stopped():
                return
            try:
                self._domain.abortJob()
            except libvirt.libvirtError:
                if not left:
                    raise
                time.sleep(_AGAIN_S)
            else:
                self.gave_up = decision["reason"]
                return


def _not_looked_at_mib(stats: t.Mapping[str, t.Any]) -> float:
    """Of all memory, what was neither sent nor found to be all zeros yet; 0 where libvirt does not tell."""
    total, normal, zeros = (stats.get(f"memory_{name}") for name in ("total", "normal", "constant"))
    if total is None or normal is None or zeros is None:
        return 0.0
    left: float = total - (normal + zeros) * stats.get("memory_page_size", _PAGE)
    return max(0.0, left / _MIB)


def _failed(error: Exception, done: int) -> PolicyDecision:
    text = f"no decision: {type(error).__name__}: {error}"
    return {"action": "continue", "reason": text, "after_pass": done, "max_downtime_ms": None, "parameters": {}}


def unwatched(result: Outcome, move: Move) -> Outcome:
    """An outcome that no policy has been with, as of a guest that was there already: what an earlier run has done to it
    was not measured here."""
    if result["ceiling_ms"] is not None or result["state"] in _NOT_BEGUN or way_of(move)["state"] != "running":
        return result
    with contextlib.suppress(LivemigError):  # a profile that is not there promises nothing
        ceiling_ms = profile_of(move.get("profile") or {}).ceiling_ms
        return {**result, "ceiling_ms": ceiling_ms, "breach": policy.unmeasured(ceiling_ms).text}
    return result


_ACTS: t.Mapping[str, t.Callable[[Pilot, PolicyDecision], None]] = {
    "continue": lambda _pilot, _decision: None,
    "wait": Pilot._set_limit,
    "raise_downtime": Pilot._set_limit,
    "lower_downtime": Pilot._set_limit,
    "yield_bandwidth": Pilot._yield,
    "postcopy": Pilot._postcopy,
    "throttle": Pilot._abort,
    "abort": Pilot._abort,
}
