# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines that a controller prints while a run is under way. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Outcome, Progress
from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import printable

__all__ = ["eta_s", "lines", "over"]

_BAR = 20
_OF_OUTCOMES: t.Sequence[t.Literal["domain", "uuid", "destination"]] = ("domain", "uuid", "destination")
_SILENT_S = 5
"""So long may libvirt take to answer before that is worth a word."""


def over(outcomes: t.Sequence[Outcome]) -> list[Progress]:
    """What a run that is over says of itself: it has shown the end of its last domains to nobody."""
    ends = [{**{key: end[key] for key in _OF_OUTCOMES}, "state": "over", "outcome": end["state"]} for end in outcomes]
    return t.cast("list[Progress]", ends)


def lines(host: str, domains: t.Sequence[Progress], said: t.Mapping[str, str]) -> dict[str, str]:
    """uuid -> a line for each domain that has something new to say. ``said``: the last ones, by uuid.

    A domain that waits says nothing; one that is over says so once.
    """
    found = {each["uuid"]: _line(host, each) for each in domains if each["state"] != "waiting"}
    return {uuid: line for uuid, line in found.items() if said.get(uuid) != line}


def _line(host: str, each: Progress) -> str:
    head = printable(f"{each['domain']} {host} -> {each['destination']}")
    if each["state"] == "over":
        return f"{head}: {each['outcome']}"
    filled = "#" * (each["percent"] * _BAR // 100)
    words = [f"[{filled:<{_BAR}}] {each['percent']:3d} %"]
    words += [
        text.format(each[key])  # type: ignore[literal-required]
        for key, text in _FIGURES.items()
        if each[key] is not None  # type: ignore[literal-required]
    ]
    if each["state"] != "migrating":
        words.append(each["state"])
    if each["silent_s"] >= _SILENT_S:
        words.append(f"no answer for {each['silent_s']} s")
    return f"{head}: " + ", ".join(words)


_FIGURES = {
    "remaining_mib": "{} MiB to go",
    "rate_mib_s": "{} MiB/s",
    "dirty_mib_s": "dirties {} MiB/s",
    "iteration": "pass {}",
}


def eta_s(domains: t.Sequence[Progress], parallel: int) -> int | None:
    """Seconds until all are over, at the rate of those that are under way; None where none has a rate yet.

    What waits is counted with its whole memory, so it is an upper bound for guests with much untouched memory, and says
    nothing about one that dirties faster than it is sent.
    """
    running = [each for each in domains if each["state"] == "migrating" and each["rate_mib_s"]]
    if not running:
        return None
    rate = sum(each["rate_mib_s"] or 0 for each in running)
    at_once = rate / len(running) * max(1, min(parallel, len(domains)))
    left = sum(each["remaining_mib"] or 0 for each in running)
    waiting = sum(each["memory_mib"] for each in domains if each["state"] == "waiting")
    return round(left / rate + waiting / at_once)
