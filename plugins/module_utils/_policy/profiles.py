# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Profiles: what a migration may cost, and why each number is what it is. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._forecast.api import Limits
from .._model.api import LivemigError

DEFAULT = "balanced"


class Profile(t.NamedTuple):
    """SETTINGS says what each of them is."""

    name: str
    target_ms: int
    ceiling_ms: int
    budget: float
    worth: float
    patience: int
    deadline_s: int
    postcopy: bool
    postcopy_s: int
    throttle: bool
    device_mib: float
    device_ms: int


class Setting(t.NamedTuple):
    """One of the numbers: what it is, where it must lie (None: yes or no), and for each profile its value and why."""

    meaning: str
    lowest: float | None
    highest: float | None
    values: t.Mapping[str, tuple[t.Any, str]]


# docs/convergence.md is compared with this table.
SETTINGS: t.Mapping[str, Setting] = {
    "target_ms": Setting(
        "milliseconds that QEMU may pause a guest for without being told more",
        10,
        60000,
        {
            "gentle": (100, "what Proxmox and oVirt begin with; it costs passes, which gentle has"),
            "balanced": (300, "QEMU's own default: a guest that converges is left to plain QEMU"),
            "deadline": (300, "QEMU's own default; a higher one would only lengthen the pause of guests that converge"),
        },
    ),
    "ceiling_ms": Setting(
        "milliseconds that a guest may be paused for at most, everything counted",
        100,
        600000,
        {
            "gentle": (
                500,
                "what nova goes up to (live_migration_downtime), and the last step of oVirt's Minimal downtime",
            ),
            "balanced": (1000, "TCP sends again after a second at first (RFC 6298), so that one repeat bridges it"),
            "deadline": (5000, "the last step of oVirt's Suspend workload; cluster heartbeats often end after 10 s"),
        },
    ),
    "budget": Setting(
        "times the touched memory that may be sent in one attempt",
        1,
        100,
        {
            "gentle": (10.0, "reaches guests that write up to 90 % of what the link carries: 1 / (1 - 0.9)"),
            "balanced": (5.0, "up to 80 %: 1 / (1 - 0.8)"),
            "deadline": (2.5, "up to 60 %: 1 / (1 - 0.6); what is over it holds up the other guests of the host"),
        },
    ),
    "worth": Setting(
        "part by which one more pass must shorten the pause to be waited for",
        0,
        1,
        {
            "gentle": (0.05, "a second of pause is worth 20 seconds of copying"),
            "balanced": (0.1, "10 seconds; below that the noise of a pass is larger than what it gains"),
            "deadline": (0.2, "5 seconds: time matters more here"),
        },
    ),
    "patience": Setting(
        "passes to wait for the memory left to fall to the least seen so far",
        0,
        50,
        {
            "gentle": (5, "guests that write in bursts of some passes are met between two of them"),
            "balanced": (3, "as many as the estimate looks back upon: what has not come again by then is over"),
            "deadline": (1, "each pass costs the guests that wait behind it"),
        },
    ),
    "deadline_s": Setting(
        "seconds after which it must be over, 0 for none",
        0,
        604800,
        {
            "gentle": (0, "the budget bounds the time: budget × touched memory / link"),
            "balanced": (0, "the same"),
            "deadline": (0, "the user knows it; the budget holds until one is set"),
        },
    ),
    "postcopy": Setting(
        "whether post-copy is allowed",
        None,
        None,
        {
            "gentle": (False, "a guest whose memory is on two hosts is lost when either of them fails"),
            "balanced": (False, "the same; whoever accepts that says so"),
            "deadline": (
                True,
                "with an end set, that beats leaving the guest behind; recover resumes after a broken link",
            ),
        },
    ),
    "postcopy_s": Setting(
        "seconds for which post-copy may keep a guest's memory on two hosts",
        0,
        3600,
        {
            "gentle": (
                10,
                "counts only where post-copy is allowed: less than libvirt takes to notice a dead peer (25 s)",
            ),
            "balanced": (10, "the same"),
            "deadline": (
                30,
                "a little more than libvirt takes to notice a dead peer: 5 × 5 s, keepalive of libvirtd.conf",
            ),
        },
    ),
    "throttle": Setting(
        "whether the guest may be slowed down (auto-converge) where nothing else gets it there",
        None,
        None,
        {
            "gentle": (False, "the guest would do less for as long as the copying lasts"),
            "balanced": (True, "slow for seconds, and only where the alternative is to stay; no risk for the guest"),
            "deadline": (True, "the same; where post-copy is possible, that comes first"),
        },
    ),
    "device_mib": Setting(
        "MiB of state that its devices send while it is paused",
        0,
        1048576,
        {
            "gentle": (
                0.0,
                "virtio and emulated devices send little; a label says it of a vGPU or VFIO device",
            ),
            "balanced": (0.0, "the same"),
            "deadline": (0.0, "the same"),
        },
    ),
    "device_ms": Setting(
        "milliseconds that saving and loading its devices takes besides",
        0,
        600000,
        {
            "gentle": (
                0,
                "part of the 60 ms of every switchover, until earlier runs of the domain tell better",
            ),
            "balanced": (0, "the same"),
            "deadline": (0, "the same"),
        },
    ),
}

PROFILES: t.Mapping[str, Profile] = {
    name: Profile(name, **{key: setting.values[name][0] for key, setting in SETTINGS.items()})
    for name in ("gentle", "balanced", "deadline")
}

_WORDS: t.Mapping[str, bool] = {"yes": True, "true": True, "no": False, "false": False}


def profile(
    name: str = DEFAULT,
    overrides: t.Mapping[str, t.Any] | None = None,
    where: str = "profile",
    otherwise: t.Mapping[str, t.Any] | None = None,
) -> Profile:
    """The profile with single settings changed. ``where``: what the user wrote them in; ``otherwise``: settings from
    elsewhere, for what he has not written there. Raises LivemigError."""
    if name not in PROFILES:
        raise LivemigError(
            where,
            value=name,
            expected="one of " + ", ".join(PROFILES),
            remedy="choose one of them (docs/convergence.md)",
        )
    own = overrides or {}
    changes = {key: _value(where, key, value) for key, value in {**(otherwise or {}), **own}.items()}
    found = PROFILES[name]._replace(**changes)
    if found.target_ms > found.ceiling_ms:
        # Who lowers the ceiling alone means the target too.
        if "target_ms" in own:
            raise LivemigError(
                f"{where}: target_ms",
                value=found.target_ms,
                expected=f"no more than ceiling_ms, {found.ceiling_ms}",
                remedy="lower target_ms or raise ceiling_ms",
            )
        found = found._replace(target_ms=found.ceiling_ms)
    return found


def from_label(
    words: t.Iterable[str],
    otherwise: str = DEFAULT,
    where: str = "label",
    settings: t.Mapping[str, t.Any] | None = None,
) -> Profile:
    """What the words of a domain's label say: ``profile=gentle``, ``ceiling_ms=2000``; words without ``=`` are not for
    here. ``otherwise`` with ``settings`` is what holds where the label names no profile.

    Raises LivemigError where a word of this form names no setting, and where two name the same.
    """
    given = dict[str, str]()
    for key, value in (word.split("=", 1) for word in words if "=" in word):
        if key in given:
            raise LivemigError(
                where,
                value=f"{key}={given[key]} and {key}={value}",
                expected="each setting once",
                remedy="leave out one of them",
            )
        given[key] = value
    name = given.pop("profile", None)
    if name is None:
        return profile(otherwise, given, where, settings)
    return profile(name, given, where)


def limits(chosen: Profile, limit_ms: float, obstacles: t.Sequence[str] = ()) -> Limits:
    """``limit_ms``: QEMU's downtime-limit as it is; ``obstacles``: why post-copy cannot be done."""
    return Limits(
        limit_ms=limit_ms,
        ceiling_ms=chosen.ceiling_ms,
        budget=chosen.budget,
        worth=chosen.worth,
        deadline_s=chosen.deadline_s or None,
        postcopy=chosen.postcopy,
        postcopy_s=chosen.postcopy_s,
        obstacles=tuple(obstacles),
    )


def _value(where: str, key: str, value: t.Any) -> t.Any:
    """The value in its type. Labels are text, variables are not."""
    setting = SETTINGS.get(key)
    if setting is None:
        raise LivemigError(
            where, value=key, expected="one of " + ", ".join(["profile", *SETTINGS]), remedy="correct the name"
        )
    if setting.lowest is None or setting.highest is None:
        said = value if isinstance(value, bool) else _WORDS.get(str(value).lower())
        if said is None:
            raise LivemigError(f"{where}: {key}", value=value, expected="yes or no", remedy="correct it")
        return said
    kind = type(setting.values[DEFAULT][0])
    try:
        number = float("nan") if isinstance(value, bool) else kind(value)
        whole = kind is float or float(value) == number
    except (TypeError, ValueError, OverflowError):
        number, whole = float("nan"), False
    if not whole or not setting.lowest <= number <= setting.highest:
        what = "a number" if kind is float else "a whole number"
        expected = f"{what} from {setting.lowest} to {setting.highest}: {setting.meaning}"
        raise LivemigError(f"{where}: {key}", value=value, expected=expected, remedy="correct it")
    return number
