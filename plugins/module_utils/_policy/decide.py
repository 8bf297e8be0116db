# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done about a migration at the end of each pass: (state, sample) -> (state, decisions). Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._forecast.api import (
    Guest,
    Limits,
    Pass,
    Point,
    Sample,
    affordable,
    blackout_ms,
    converging,
    estimate,
    fixed_ms,
    forecast,
    hopeless,
    needs,
    passes,
    postcopy_obstacle,
    postcopy_pause_ms,
    rate_mib_s,
    seconds,
    stopping,
    usable_ms,
)
from .._model.api import Forecast, PolicyDecision
from .profiles import Profile, limits
from .throttle import MOST, enough, throttle_parameters

QEMU_LIMIT_MS = 300
"""QEMU's downtime-limit where nothing is said (qapi/migration.json)."""
NEAR = 1.04
"""Within 4 % of the least seen counts as the least: KubeVirt's stallMargin, which is the noise of one pass."""
_MARGIN, _MORE_MS = 1.25, 20
"""A raised limit leaves this much above what is left: QEMU measures its bandwidth over 100 ms, and that swings."""
_SHOWN = 5
"""From this pass on it is decided even where no pass was whole enough to tell anything: little more than what QEMU
leaves over is left each time, and that can go on for ever."""
LOW_MS = 20
"""The limit while a guest that does not converge is copied. What is below the limit at the end of a pass is left for
the next: at QEMU's own 300 ms that alone would be 0.3 s of pause."""

ACTIONS: t.Mapping[str, str] = {
    "continue": "nothing is done",
    "wait": "the limit is set to the least that was left so far, and the next passes may come down to it",
    "raise_downtime": "the limit is raised to what is needed now, within the ceiling",
    "lower_downtime": "the limit is lowered to what the ceiling leaves for memory",
    "yield_bandwidth": "the other migrations on this link are slowed down until this one has switched over",
    "postcopy": "the guest goes on at the destination, and its memory follows",
    "throttle": "the migration is aborted and begun again with a guest that is slowed down",
    "abort": "the migration is aborted; the guest goes on where it was",
}


class Start(t.NamedTuple):
    """How to begin. ``max_downtime_ms``: None leaves QEMU's own. ``flags``: names of libvirt's.

    ``refused``: why it is not to be begun at all, None where nothing speaks against it; ``alone``: the other migrations
    on its link make way from the beginning.
    """

    forecast: Forecast
    refused: str | None
    alone: bool
    max_downtime_ms: int | None
    flags: tuple[str, ...]
    parameters: dict[str, int]


class State(t.NamedTuple):
    """What is remembered from one pass to the next.

    ``guest``: as known before; ``siblings``: other migrations that share its link now; ``capped``: whether its
    bandwidth is limited, so that its rate is not the link's; ``began_s``: the first attempt, on the clock of the
    samples; ``yielded``: since the pass of this number the siblings are out of the way; ``over``: the action that ended
    it.
    """

    guest: Guest
    profile: Profile
    began_s: float
    limit_ms: float
    obstacles: tuple[str, ...] = ()
    siblings: int = 0
    capped: bool = False
    samples: tuple[Sample, ...] = ()
    yielded: int | None = None
    touched: bool = False
    waited: int = 0
    throttled: bool = False
    over: str | None = None


class View(t.NamedTuple):
    """One boundary as the rules see it: ``coming`` begins with it, ``here``."""

    state: State
    guest: Guest
    limits: Limits
    sample: Sample
    rate_mib_s: float
    here: Pass
    coming: list[Pass]


Ruling = t.Optional[tuple[State, list[PolicyDecision]]]


def begin(
    guest: Guest,
    profile: Profile,
    at_s: float,
    *,
    obstacles: t.Sequence[str] = (),
    siblings: int = 0,
    capped: bool = False,
) -> tuple[State, Start]:
    """The state before the first pass, and how to begin. ``obstacles``: why post-copy cannot be done."""
    allowed_ms, alone = _allowed_ms(guest, profile, siblings)
    limit_ms = max(1.0, min(profile.target_ms, allowed_ms))
    found = forecast(guest, limits(profile, limit_ms, obstacles))
    lowered = found["verdict"] not in ("converges", "unknown") and limit_ms > LOW_MS
    if lowered or (guest.device_mib and not guest.link_mib_s and limit_ms > LOW_MS):
        # QEMU will not switch over by itself, so its limit only decides what is left over at the end of each pass. Or
        # nobody knows what the devices leave of the ceiling, so it had better not.
        limit_ms = LOW_MS
        found = forecast(guest, limits(profile, limit_ms, obstacles))
    flags = ("VIR_MIGRATE_POSTCOPY",) if profile.postcopy and not obstacles else ()
    parameters: dict[str, int] = {}
    if profile.throttle and not flags and found["verdict"] == "cannot" and enough(guest, profile) is not None:
        # Auto-converge can only be chosen at the beginning, and would slow down guests that converge as well.
        flags, parameters = ("VIR_MIGRATE_AUTO_CONVERGE",), throttle_parameters(guest)
    first = Sample(1, at_s, guest.touched_mib, 0.0)
    throttled = "VIR_MIGRATE_AUTO_CONVERGE" in flags
    state = State(
        guest,
        profile,
        at_s,
        limit_ms,
        tuple(obstacles),
        siblings,
        capped,
        (first,),
        yielded=0 if alone else None,
        touched=lowered,
        throttled=throttled,
    )
    refused = found["reason"] if hopeless(guest, limits(profile, limit_ms, obstacles)) else None
    return state, Start(
        found, refused, alone, None if limit_ms == QEMU_LIMIT_MS else round(limit_ms), flags, parameters
    )


def _allowed_ms(guest: Guest, profile: Profile, siblings: int) -> tuple[float, bool]:
    """The highest limit with which QEMU may switch over by itself, and whether that takes the whole link.

    It may do so before anybody else has made way, so what the devices take counts with a share of the link.
    """
    usable = usable_ms(limits(profile, 0))
    shared = usable - fixed_ms(guest._replace(link_mib_s=guest.link_mib_s / (1 + siblings)))
    return (shared, False) if shared > 0 else (usable - fixed_ms(guest), siblings > 0)


def again(state: State, at_s: float) -> State:
    """The state of the second attempt, which ``throttle`` asks for. Link and guest are as the first has shown them.

    Its budget is one of its own; the deadline counts from the beginning of the first.
    """
    guest = _seen(state) or state.guest
    first = Sample(1, at_s, guest.touched_mib, 0.0)
    allowed_ms, alone = _allowed_ms(guest, state.profile, state.siblings)
    return state._replace(
        guest=guest,
        limit_ms=max(1.0, min(state.profile.target_ms, allowed_ms)),
        samples=(first,),
        # The others have got the link back, unless it is to have it from the beginning.
        yielded=0 if alone else None,
        touched=False,
        waited=0,
        throttled=True,
        over=None,
    )


def watch(state: State, sample: Sample) -> State:
    """The state with what was seen, where nothing is to be decided."""
    kept = tuple(entry for entry in state.samples if entry.iteration < sample.iteration)
    return state._replace(samples=(*kept, sample))


def step(state: State, sample: Sample) -> tuple[State, list[PolicyDecision]]:
    """What to do at the beginning of pass ``sample.iteration``; an empty list once it is decided how it ends."""
    if state.over is not None:
        return state, []
    state = watch(state, sample)
    if sample.iteration < 2:
        return state, [_decision("continue", sample, "the first pass has begun")]
    return _ruled(state, sample)


def now(state: State) -> Forecast:
    """The forecast at the last boundary; before the second pass, that of the beginning."""
    sample = state.samples[-1]
    if sample.iteration < 2:
        return forecast(state.guest, limits(state.profile, state.limit_ms, state.obstacles))
    view = _view(state, sample)
    point = Point(view.here.at_s, sample.sent_mib, sample.remaining_mib, view.here.number)
    return forecast(_seen(state) or view.guest._replace(dirty_mib_s=None), view.limits, point, view.rate_mib_s)


def _ruled(state: State, sample: Sample) -> tuple[State, list[PolicyDecision]]:
    view = _view(state, sample)
    allowed_ms = max(1.0, usable_ms(view.limits) - fixed_ms(view.guest))
    if int(state.limit_ms) > int(allowed_ms):
        return _lowered(view, allowed_ms)
    if _seen(state) is None and sample.iteration < _SHOWN and affordable(view.guest, view.limits, view.here):
        return state, [_decision("continue", sample, "one pass says too little of the guest")]
    for rule in _RULES:
        ruling = rule(view)
        if ruling is not None:
            return ruling
    return _abort(view)


def _lowered(view: View, allowed_ms: float) -> tuple[State, list[PolicyDecision]]:
    """QEMU's limit is more than the ceiling leaves: what the link carries was not known, or somebody has set it."""
    limit, besides, ceiling = (
        seconds(ms) for ms in (view.state.limit_ms, fixed_ms(view.guest), view.state.profile.ceiling_ms)
    )
    text = f"QEMU's limit of {limit} and the {besides} of every switchover are too much for a ceiling of {ceiling}"
    lower = _decision("lower_downtime", view.sample, text, max_downtime_ms=int(allowed_ms))
    state, more = _ruled(view.state._replace(limit_ms=float(int(allowed_ms))), view.sample)
    return state, [lower, *(decision for decision in more if decision["action"] != "continue")]


def _view(state: State, sample: Sample) -> View:
    link, rate = _link(state)
    guest = (_seen(state) or _touched(state))._replace(link_mib_s=link)
    at_s, done = sample.at_s - state.began_s, sample.iteration - 1
    bounds = limits(state.profile, state.limit_ms, state.obstacles)
    coming = list[Pass]()
    if _seen(state) is not None:
        coming = passes(guest, Point(at_s, sample.sent_mib, sample.remaining_mib, done), state.limit_ms, rate)
    here = Pass(done, at_s, sample.sent_mib, sample.remaining_mib, blackout_ms(guest, sample.remaining_mib))
    return View(state, guest, bounds, sample, rate, here, [here, *coming])


def shown(state: State) -> Guest | None:
    """The guest as the passes have shown it; None while they have shown too little."""
    return _seen(state)


def _seen(state: State) -> Guest | None:
    found = estimate(state.samples, _touched(state))
    return None if found is None else found._replace(link_mib_s=_link(state)[0])


def _touched(state: State) -> Guest:
    """The guest as known before; but what the first pass has sent was there."""
    first = next((entry.sent_mib for entry in state.samples if entry.iteration == 2), 0.0)
    return state.guest._replace(touched_mib=max(state.guest.touched_mib, first))


def _link(state: State) -> tuple[float, float]:
    """What the link carries for the switchover, and what it is copied with now; MiB/s.

    A rate that was seen is worth more than one that was measured beforehand, unless something else held it back.
    """
    known = state.guest.link_mib_s
    rate = rate_mib_s(state.samples, known or state.samples[-1].rate_mib_s or 1.0)
    shared = state.siblings > 0 and (state.yielded is None or state.samples[-1].iteration <= state.yielded)
    alone = state.yielded is not None or not state.siblings
    if alone and (shared or state.capped):
        return max(known, rate), rate
    return rate, rate


def _asleep(view: View) -> Ruling:
    """Slowed down so far, a guest does not answer: that ends now, one way or another."""
    if view.sample.throttle <= MOST:
        return None
    return _stop(view) or _postcopy(view) or _abort(view)


def _undisturbed(view: View) -> Ruling:
    """It gets there by itself: nothing is touched."""
    if view.state.touched:
        return None
    end = converging(view.guest, view.limits, view.coming, view.rate_mib_s)
    if end is None:
        return None
    pause = seconds(end.blackout_ms)
    return view.state, [_decision("continue", view.sample, f"converges: {pause} pause after pass {end.number}")]


def _yield(view: View) -> Ruling:
    """With the whole link it may need nothing else, so the others make way first."""
    state = view.state
    if not state.siblings or state.yielded is not None:
        return None
    state = state._replace(yielded=view.sample.iteration)
    share, whole = view.rate_mib_s, _link(state)[0]
    has = f"{share:.0f} of {whole:.0f}" if state.guest.link_mib_s else f"{share:.0f}"
    text = f"it has {has} MiB/s and does not converge; {state.siblings} other migrations make way"
    asked = _decision("yield_bandwidth", view.sample, text)
    if not state.guest.link_mib_s:
        # What the whole link carries shows in the next pass.
        return state, [asked]
    guest = view.guest._replace(link_mib_s=whole)
    point = Point(view.here.at_s, view.here.sent_mib, view.here.remaining_mib, view.here.number)
    known = _seen(state) is not None
    if known and converging(guest, view.limits, passes(guest, point, state.limit_ms), whole) is not None:
        return state, [asked]
    state, more = _ruled(state, view.sample)
    return state, [asked, *(decision for decision in more if decision["action"] != "continue")]


def _later(view: View) -> Ruling:
    """A later pass ends lower, by more than it costs."""
    stop = stopping(view.guest, view.limits, view.coming, view.rate_mib_s)
    if stop is None or stop.number == view.here.number:
        return None
    text = f"needs {needs(stop.blackout_ms, view.limits)} after pass {stop.number}, more than that now"
    return view.state, [_decision("continue", view.sample, text)]


def _dip(view: View) -> Ruling:
    """Less was left before: QEMU stops by itself when that comes again."""
    state, least = view.state, _least(view)
    if least is None or view.here.remaining_mib <= NEAR * least or state.waited >= state.profile.patience:
        return None
    pause = blackout_ms(view.guest, NEAR * least)
    if pause > usable_ms(view.limits) or not affordable(view.guest, view.limits, view.here):
        return None
    left = f"{view.here.remaining_mib:.0f} MiB are left, {least:.0f} MiB were"
    text = f"{left}: needs {needs(pause, view.limits)} when that comes again"
    state = state._replace(waited=state.waited + 1)
    return _raised(view, state, NEAR * least, "wait", text)


def _stop(view: View) -> Ruling:
    """Stopping now is within the ceiling, and nothing better is in sight."""
    if view.here.blackout_ms > usable_ms(view.limits):
        return None
    text = f"needs {needs(view.here.blackout_ms, view.limits)}; another pass is not worth waiting for"
    return _raised(view, view.state, view.here.remaining_mib, "raise_downtime", text)


def _slowing(view: View) -> Ruling:
    """A throttled guest gets slower with every other pass, so it is given the passes of its budget."""
    if not view.state.throttled or not affordable(view.guest, view.limits, view.here):
        return None
    slowed = f"the guest is slowed down by {view.sample.throttle} %"
    text = f"needs {needs(view.here.blackout_ms, view.limits)} now; {slowed}"
    return view.state, [_decision("continue", view.sample, text)]


def _postcopy(view: View) -> Ruling:
    if postcopy_obstacle(view.guest, view.limits, view.here) is not None:
        return None
    tail_ms, paused_ms = view.here.remaining_mib / view.guest.link_mib_s * 1000, postcopy_pause_ms(view.guest)
    text = (
        f"needs {needs(view.here.blackout_ms, view.limits)}; post-copy pauses it for {seconds(paused_ms)} "
        f"and fetches the rest in {seconds(tail_ms)}"
    )
    return view.state._replace(over="postcopy"), [_decision("postcopy", view.sample, text)]


def _throttle(view: View) -> Ruling:
    state = view.state
    flagged = state.profile.postcopy and not state.obstacles
    if state.throttled or flagged or not state.profile.throttle:
        return None
    percent = enough(view.guest, state.profile, view.here.at_s)
    if percent is None:
        return None
    text = f"needs {needs(view.here.blackout_ms, view.limits)}; slowed down by {percent} % it gets there"
    decision = _decision("throttle", view.sample, text, parameters=throttle_parameters(view.guest))
    return state._replace(over="throttle"), [decision]


def _abort(view: View) -> tuple[State, list[PolicyDecision]]:
    paused = needs(view.here.blackout_ms, view.limits)
    against = postcopy_obstacle(view.guest, view.limits, view.here) or ""
    if fixed_ms(view.guest) > usable_ms(view.limits):
        text = f"without any memory left it needs {needs(fixed_ms(view.guest), view.limits)}; {against}"
    elif not affordable(view.guest, view.limits, view.here):
        text = f"needs {paused}, and budget or deadline are used up: {_used(view)}; {against}"
    else:
        written = view.guest.dirty_mib_s
        writes = "how fast it writes is not known" if written is None else f"it writes {written:.0f} MiB/s"
        rates = f"{writes}, the link carries {view.guest.link_mib_s:.0f} MiB/s"
        gone = "" if view.limits.deadline_s is None else f"; {_gone(view)} are gone"
        asleep = view.sample.throttle > MOST
        slow = f"; slowed down by {view.sample.throttle} % it does not answer" if asleep else ""
        text = f"needs {paused} ({view.here.remaining_mib:.0f} MiB are left; {rates}{gone}{slow}); {against}"
    return view.state._replace(over="abort"), [_decision("abort", view.sample, text)]


# The first that has something to say decides; where none has, the migration is aborted.
_RULES: tuple[t.Callable[[View], Ruling], ...] = (
    _asleep,
    _undisturbed,
    _yield,
    _later,
    _dip,
    _stop,
    _slowing,
    _postcopy,
    _throttle,
)


def _raised(view: View, state: State, remaining_mib: float, action: str, text: str) -> Ruling:
    """The limit for so much to be left. QEMU compares by its own bandwidth, so the limit is made from that.

    It knows nothing of devices, load and libvirt's hop: what these take is no part of the limit (QEMU,
    migration_update_counters), so that the whole stays below the ceiling.
    """
    rate = min(view.rate_mib_s, view.sample.rate_mib_s or view.rate_mib_s)
    highest = usable_ms(view.limits) - fixed_ms(view.guest)
    limit_ms = min(highest, _MARGIN * remaining_mib / rate * 1000 + _MORE_MS)
    said = f"{text}; the limit is {state.limit_ms:.0f} ms already"
    if view.here.remaining_mib < rate * state.limit_ms / 1000:
        return state, [_decision("continue", view.sample, said)]
    if int(limit_ms) <= int(state.limit_ms):
        # As high as it may be, and QEMU does not switch over: that ends with the budget, or where the guest sleeps.
        in_time = affordable(view.guest, view.limits, view.here) and view.sample.throttle <= MOST
        return (state, [_decision("continue", view.sample, said)]) if in_time else None
    state = state._replace(limit_ms=limit_ms, touched=True)
    return state, [_decision(action, view.sample, text, max_downtime_ms=int(limit_ms))]


def _least(view: View) -> float | None:
    """The least that was left at the end of a pass, before this one."""
    return min((entry.remaining_mib for entry in view.state.samples[:-1] if entry.iteration > 1), default=None)


def _used(view: View) -> str:
    budget = view.limits.budget * view.guest.touched_mib
    return f"{view.here.sent_mib:.0f} of {budget:.0f} MiB, {_gone(view)}"


def _gone(view: View) -> str:
    """The time: 15 s of 20 s."""
    at_s, deadline_s = view.here.at_s, view.limits.deadline_s
    if deadline_s is None:
        return f"{at_s:.0f} s"
    if at_s <= deadline_s:
        return f"{at_s:.0f} s of {deadline_s:.0f} s"
    return f"{at_s:.0f} s, {seconds((at_s - deadline_s) * 1000)} later than its deadline of {deadline_s:.0f} s"


def _decision(
    action: str,
    sample: Sample,
    reason: str,
    max_downtime_ms: int | None = None,
    parameters: dict[str, int] | None = None,
) -> PolicyDecision:
    return {
        "action": action,
        "reason": reason,
        "after_pass": sample.iteration - 1,
        "max_downtime_ms": max_downtime_ms,
        "parameters": parameters or {},
    }
