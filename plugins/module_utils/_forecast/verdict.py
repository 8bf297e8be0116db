# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict on a migration, with its reason in figures: before it starts and at the end of each pass. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import Forecast
from .model import Guest, Pass, Point, blackout_ms, fixed_ms, passes, postcopy_pause_ms, working_set

RESERVE = 0.1
"""Part of the ceiling that is not planned with: forecasts of a switchover are right within about a tenth (Nathan et
al., SoCC'15: 90 % of them within 12 %), and a ceiling is a promise."""

VERDICTS: t.Mapping[str, str] = {
    "converges": "QEMU switches over by itself, within its own downtime limit",
    "needs_blackout": "it arrives when the limit is raised to the pause that is named, within the ceiling",
    "needs_postcopy": "no pass gets it below the ceiling, and post-copy does",
    "cannot": "nothing that is allowed gets it there within the ceiling",
    "unknown": "it is not known how fast it writes, or what the link carries; the first passes will show it",
}


class Limits(t.NamedTuple):
    """What a migration may cost.

    ``limit_ms``: what QEMU's downtime-limit is now; ``ceiling_ms``: the longest pause. ``budget``: what may be sent, as
    a multiple of the touched memory. ``worth``: a pass that shrinks the rest by less than this part is not waited
    for. ``deadline_s``: since the start, None: none. ``postcopy``: whether it is allowed, ``postcopy_s``: how long the
    guest's memory may then be on two hosts; ``obstacles``: why it cannot be done all the same.
    """

    limit_ms: float
    ceiling_ms: float
    budget: float
    worth: float
    deadline_s: float | None = None
    postcopy: bool = False
    postcopy_s: float = 0.0
    obstacles: tuple[str, ...] = ()


def usable_ms(limits: Limits) -> float:
    return limits.ceiling_ms * (1 - RESERVE)


def forecast(guest: Guest, limits: Limits, at: Point | None = None, rate_mib_s: float | None = None) -> Forecast:
    """``at``: where a running migration is, None before it starts; ``rate_mib_s``: what it is copied with now."""
    start = at or Point(0.0, 0.0, guest.touched_mib, 0)
    if at is not None:
        # The time until here holds most of it.
        guest = guest._replace(setup_ms=0.0)
    if hopeless(guest, limits):
        return _forecast(guest, "cannot", f"without any memory left it needs {needs(fixed_ms(guest), limits)}", [])
    if guest.link_mib_s <= 0:
        return _forecast(guest, "unknown", "what the link carries was neither measured nor seen in an earlier run", [])
    known, coming = guest.dirty_mib_s is not None and working_set(guest) is not None, list[Pass]()
    if at is not None and at.done:
        coming = [Pass(at.done, at.at_s, at.sent_mib, at.remaining_mib, blackout_ms(guest, at.remaining_mib))]
    if known:
        coming += passes(guest, start, limits.limit_ms, rate_mib_s)
    # Where QEMU stops it here, it does so whatever the guest writes.
    for verdict, find in (("converges", converging), ("needs_blackout", stopping))[: 2 if known else 1]:
        stop = find(guest, limits, coming, rate_mib_s)
        if stop is not None:
            text = f"needs {needs(stop.blackout_ms, limits)} after pass {stop.number}"
            return _forecast(guest, verdict, text, coming, stop, _whole(stop, guest.setup_ms))
    if not known:
        return _forecast(guest, "unknown", "how fast it writes was neither sampled nor seen in an earlier run", [])
    return _hard(guest, limits, coming)


def _hard(guest: Guest, limits: Limits, coming: list[Pass]) -> Forecast:
    """No pass within the budget ends below the ceiling."""
    in_time = [end for end in coming if affordable(guest, limits, end)] or coming[:1]
    best = min(in_time, key=lambda end: end.blackout_ms)
    text = f"needs {needs(best.blackout_ms, limits)}"
    if best.blackout_ms <= usable_ms(limits):
        text = f"{text}, but not before {_spent(guest, limits, best)}"
    # At the end of the first pass that was copied as a whole, never earlier.
    switch = next((end for end in coming if end.number >= 1), coming[0])
    against = postcopy_obstacle(guest, limits, switch)
    if against is None:
        paused = postcopy_pause_ms(guest)
        text = f"{text}; post-copy pauses it for {seconds(paused)}"
        total = (switch.at_s + switch.remaining_mib / guest.link_mib_s) * 1000 + paused + guest.setup_ms
        whole = round(total), switch.sent_mib + switch.remaining_mib, round(paused)
        return _forecast(guest, "needs_postcopy", text, coming, switch, whole)
    return _forecast(guest, "cannot", f"{text}; {against}", coming)


def postcopy_obstacle(guest: Guest, limits: Limits, end: Pass) -> str | None:
    """Why post-copy at the end of this pass is not allowed or not safe; None where nothing speaks against it."""
    tail_s, paused_ms = end.remaining_mib / guest.link_mib_s, postcopy_pause_ms(guest)
    against: tuple[tuple[bool, str], ...] = (
        (not limits.postcopy, "post-copy is not allowed"),
        (bool(limits.obstacles), f"post-copy is not possible: {', '.join(limits.obstacles)}"),
        (end.number < 1, "post-copy is not begun before the second pass"),
        (paused_ms > usable_ms(limits), f"post-copy needs {needs(paused_ms, limits)} as well"),
        (
            tail_s > limits.postcopy_s,
            f"post-copy would keep its memory on two hosts for {tail_s:.0f} s, {limits.postcopy_s:.0f} s are allowed",
        ),
    )
    return next((text for holds, text in against if holds), None)


def hopeless(guest: Guest, limits: Limits) -> bool:
    """No switchover of it fits the ceiling, whatever is left to send."""
    least_ms = fixed_ms(guest)
    if limits.postcopy and not limits.obstacles:
        least_ms = min(least_ms, postcopy_pause_ms(guest))
    return least_ms > usable_ms(limits)


def affordable(guest: Guest, limits: Limits, end: Pass) -> bool:
    """Whether a pass ends within budget and deadline."""
    late = limits.deadline_s is not None and end.at_s + end.blackout_ms / 1000 > limits.deadline_s
    return not late and end.sent_mib <= limits.budget * guest.touched_mib


def converging(guest: Guest, limits: Limits, coming: t.Sequence[Pass], rate_mib_s: float | None = None) -> Pass | None:
    """The pass after which QEMU switches over by itself, where it comes within budget and ceiling."""
    threshold = (rate_mib_s or guest.link_mib_s) * limits.limit_ms / 1000
    for end in coming:
        if not affordable(guest, limits, end):
            return None
        if end.number and end.remaining_mib <= threshold:
            return end if end.blackout_ms <= usable_ms(limits) else None
    return None


def stopping(guest: Guest, limits: Limits, coming: t.Sequence[Pass], rate_mib_s: float | None = None) -> Pass | None:
    """The pass at whose end to stop: the first within the ceiling after which waiting for another is not worth it.

    One more pass of R seconds, which makes the pause shorter by a part of R, is worth it where that part is more than
    ``worth``: so much is a second of copying worth against a second of pause.
    """
    share = (rate_mib_s or guest.link_mib_s) / guest.link_mib_s
    for end, following in zip(coming, [*coming[1:], None]):
        if not end.number or end.blackout_ms > usable_ms(limits):
            continue
        if not affordable(guest, limits, end):
            return None
        if following is None or not affordable(guest, limits, following):
            return end
        gain = 1 - following.remaining_mib / max(end.remaining_mib, 1e-9)
        if gain * share <= limits.worth:
            return end
    return None


def needs(pause_ms: float, limits: Limits) -> str:
    """For example: 3.4 s pause, ceiling 1.0 s. Never so rounded that what is above the ceiling looks like it."""
    pause, ceiling = seconds(pause_ms), seconds(limits.ceiling_ms)
    if pause == ceiling and pause_ms > limits.ceiling_ms:
        pause = f"{pause_ms / 1000:.3f} s"
    text = f"{pause} pause, ceiling {ceiling}"
    if usable_ms(limits) < pause_ms <= limits.ceiling_ms:
        text += f", of which {RESERVE:.0%} is kept for what no forecast sees"
    return text


def seconds(milliseconds: float) -> str:
    """1.25 s, 3.4 s, 740 ms."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    text = f"{milliseconds / 1000:.2f}"
    return f"{text[:-1] if text.endswith('0') else text} s"


def _spent(guest: Guest, limits: Limits, end: Pass) -> str:
    if end.sent_mib > limits.budget * guest.touched_mib:
        return f"{end.sent_mib:.0f} MiB are sent, budget {limits.budget * guest.touched_mib:.0f} MiB"
    return f"{end.at_s:.0f} s, deadline {limits.deadline_s} s"


def _whole(stop: Pass, setup_ms: float) -> tuple[int, float, int]:
    total = stop.at_s * 1000 + stop.blackout_ms + setup_ms
    return round(total), stop.sent_mib + stop.remaining_mib, round(stop.blackout_ms)


def _forecast(
    guest: Guest,
    verdict: str,
    reason: str,
    coming: t.Sequence[Pass],
    stop: Pass | None = None,
    whole: tuple[int, float, int] | None = None,
) -> Forecast:
    total, sent, pause = whole or (None, None, None)
    return {
        "verdict": verdict,
        "reason": reason,
        "total_ms": total,
        "sent_mib": None if sent is None else round(sent, 1),
        "blackout_ms": pause,
        "after_pass": None if stop is None else stop.number,
        "touched_mib": guest.touched_mib,
        "dirty_mib_s": guest.dirty_mib_s,
        "working_set_mib": working_set(guest),
        "link_mib_s": guest.link_mib_s,
        "passes": [
            {
                "number": end.number,
                "at_ms": round(end.at_s * 1000),
                "sent_mib": round(end.sent_mib, 1),
                "remaining_mib": round(end.remaining_mib, 1),
                "blackout_ms": round(end.blackout_ms),
            }
            for end in coming
        ],
    }
