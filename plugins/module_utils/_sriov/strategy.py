# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a guest's virtual functions in a migration, and why: a table, whose first row that fits holds. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

NONE, REPLUG, FAILOVER, NATIVE, REFUSE = "none", "replug", "failover", "native", "refuse"
AUTO = "auto"
STRATEGIES = (AUTO, REPLUG, FAILOVER, NATIVE, REFUSE)
"""What a user can ask for. ``none`` is what a guest without such devices gets."""


class Device(t.NamedTuple):
    """``function``: it is a virtual function, None where that is not known; ``teamed``: its standby is <teaming>'s;
    ``bonded``: the guest's agent shows a bond; ``native``: its driver can migrate it, on both hosts; ``plain``: it is a
    <hostdev>, of which libvirt sets neither MAC address nor VLAN."""

    called: str
    function: bool | None = None
    teamed: bool = False
    bonded: bool = False
    native: bool = False
    plain: bool = False

    @property
    def has_standby(self) -> bool:
        return self.teamed or self.bonded


class Asked(t.NamedTuple):
    """``wanted``: one of STRATEGIES; ``gap``: the domain's label allows it to be without network meanwhile;
    ``stall_ms``: forecast for failover, None where there is none; ``ceiling_ms``: the longest pause, 0: no limit."""

    wanted: str
    devices: tuple[Device, ...]
    state: str = "running"
    gap: bool = False
    stall_ms: int | None = None
    ceiling_ms: int = 0


class Choice(t.NamedTuple):
    name: str
    reason: str


def _other(asked: Asked) -> list[Device]:
    return [each for each in asked.devices if each.function is False]


def _plain(asked: Asked) -> list[Device]:
    return [each for each in asked.devices if each.plain]


def _bare(asked: Asked) -> list[Device]:
    return [each for each in asked.devices if not each.has_standby]


def _native(asked: Asked) -> bool:
    return all(each.native for each in asked.devices)


def _teamed(asked: Asked) -> bool:
    return all(each.teamed for each in asked.devices)


def _breaks(asked: Asked) -> bool:
    return bool(asked.ceiling_ms and asked.stall_ms is not None and asked.stall_ms > asked.ceiling_ms)


def _names(devices: t.Iterable[Device]) -> str:
    return ", ".join(each.called for each in devices)


class _Row(t.NamedTuple):
    """``wanted``: for whom the row is; empty for all. ``reason`` is formatted with ``asked`` and the names."""

    wanted: tuple[str, ...]
    fits: t.Callable[[Asked], t.Any]
    name: str
    reason: str


_ROWS: tuple[_Row, ...] = (
    _Row((), lambda asked: not asked.devices, NONE, "it has no device of the host"),
    _Row((NONE,), lambda asked: True, REFUSE, "its way was made without {all}: make a new plan, or set vf in its way"),
    _Row((REFUSE,), lambda asked: True, REFUSE, "it is not to be moved with {all}"),
    _Row(
        (),
        lambda asked: asked.state == "shutoff",
        REFUSE,
        "it does not run, and its definition names {all} by the address on this host, which is another device at the "
        "destination; let it name a libvirt network of functions, or move and correct it by hand",
    ),
    _Row((AUTO, NATIVE), _native, NATIVE, "the drivers of {all} can migrate them"),
    _Row((NATIVE,), lambda asked: True, REFUSE, "no driver can migrate all of {all} on both hosts"),
    _Row((), _other, REFUSE, "{other} is no virtual function, and another one would be another device"),
    _Row(
        (),
        _plain,
        REFUSE,
        "{plain} is a plain <hostdev>, whose MAC address and VLAN libvirt gives to no other function; define it as "
        "<interface type='hostdev'>",
    ),
    _Row((), lambda asked: asked.state != "running", REFUSE, "it is {asked.state}, and lets go of nothing"),
    _Row(
        (FAILOVER,),
        lambda asked: not _teamed(asked),
        REFUSE,
        "failover needs <teaming> for each of {all}; choose replug",
    ),
    _Row(
        (FAILOVER,),
        _breaks,
        REFUSE,
        "with failover it would stand still for about {asked.stall_ms} ms, and {asked.ceiling_ms} ms is the limit; "
        "choose replug, or put its memory on huge pages or allocate it at once",
    ),
    _Row((FAILOVER,), lambda asked: True, FAILOVER, "QEMU takes them off and puts them on, while it stands still"),
    _Row((), lambda asked: not _bare(asked), REPLUG, "its standby carries the traffic while {all} is off"),
    _Row((), lambda asked: asked.gap, REPLUG, "its label allows it to be without network while {bare} is off"),
    _Row((), lambda asked: True, REFUSE, "{bare} has no standby, and its label (vf-gap) does not allow a gap"),
)


def choose(asked: Asked) -> Choice:
    """The strategy, and why. ``failover`` is never chosen without being asked for: what it does while the guest stands
    still, replug does while the guest runs."""
    found = {"all": asked.devices, "other": _other(asked), "plain": _plain(asked), "bare": _bare(asked)}
    names = {name: _names(devices) for name, devices in found.items()}
    for row in _ROWS:
        if (not row.wanted or asked.wanted in row.wanted) and row.fits(asked):
            return Choice(row.name, row.reason.format(asked=asked, **names))
    raise AssertionError("the last row fits all")
