# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Will it come back? The way home, judged from the same snapshots by the checks that judge the way there.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..check import NOT_EVALUATED, Check, Problem, View, unknown
from ..fleet import Fleet
from ..offers import running_on

ID = "one_way_move"
_OF_THIS_HOUR = frozenset(("host_disk_space_runtime", "host_maintenance_flag", "host_migration_ports_free"))


def one_way_move(checks: t.Sequence[Check]) -> Check:
    """The check that evaluates those of ``checks`` in reverse that look at two hosts, or at one as a destination.

    What asks something is left out: nobody was asked for the way home. So is what only warns, what the options of this
    migration are about, and what is of this hour: the way home is another day.
    """
    standing = [check for check in checks if check.severity == "error" and _is_standing(check)]
    links = [check for check in standing if check.scope == "link"]
    hosts = [check for check in standing if check.scope == "host" and not check.volatile]

    def evaluate(view: View) -> t.Iterator[Problem]:
        reasons: list[str] = []
        back = _reversed(view)
        for problem in [*_in_reverse(links, view, back, reasons), *_as_destination(hosts, back, reasons)]:
            expected = problem.expected or ""
            yield Problem(f"The way home, {problem.what}", problem.value, expected=expected or None)
        yield from _machines(view, reasons)
        if reasons:
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            yield unknown(f"{reasons[0]}{more}", f"The way home from {view.there}")

    return Check(
        id=ID,
        category="version",
        severity="warning",
        scope="link",
        title="What goes there can come back",
        expected="a source that could take the guests back from this destination",
        remedy="choose a destination from which they can return, or bring the source to what is named here before they "
        "are to come home",
        evaluate=evaluate,
        evidence="lab",
    )


def _is_standing(check: Check) -> bool:
    return not (check.asks or check.first or check.category == "config" or check.id in _OF_THIS_HOUR)


def _reversed(view: View) -> View:
    return replace(
        view,
        source_name=view.destination_name,
        destination_name=view.source_name,
        facts={"source": view.destination, "destination": view.source},
    )


def _in_reverse(checks: t.Sequence[Check], view: View, back: View, reasons: list[str]) -> t.Iterator[Problem]:
    for check in checks:
        problems = _errors(check, back, reasons)
        # What speaks against the way there already is not said twice.
        if problems and not _errors(check, view, []):
            yield from problems


def _as_destination(checks: t.Sequence[Check], back: View, reasons: list[str]) -> list[Problem]:
    """What keeps the source from taking anything; the same for every link from it."""

    def make(_fleet: Fleet) -> tuple[list[Problem], list[str]]:
        host = replace(back, source_name=None, role="destination", facts={"host": back.destination})
        unread: list[str] = []
        return [problem for check in checks for problem in _errors(check, host, unread)], unread

    found, unread = back.fleet.index(f"{back.destination_name} as the destination of a way home", make)
    reasons += unread
    return t.cast("list[Problem]", found)


def _errors(check: Check, view: View, reasons: list[str]) -> list[Problem]:
    found: list[Problem] = []
    try:
        for problem in check.evaluate(view) if check.evaluate is not None else ():
            if problem.unknown:
                reasons.append(problem.value)
            elif (problem.severity or check.severity) == "error":
                found.append(replace(problem, expected=problem.expected or check.expected))
    except NOT_EVALUATED as reason:
        reasons.append(str(reason))
    return found


def _machines(view: View, reasons: list[str]) -> t.Iterator[Problem]:
    """A guest may run with a machine type that its own host has no more: QEMU was upgraded after its start."""
    emulators = view.source.get("emulators")
    for (arch, machine), names in sorted(_running(view, reasons).items()):
        known = {name for emulator in emulators if emulator["arch"] == arch for name in emulator["machines"]}
        if known and machine not in known:
            yield Problem(
                f"The way home, machine type {machine}",
                f"{view.source_name} has it no more, and these run with it: {', '.join(names)}",
                expected="a QEMU there that still knows it",
            )


def _running(view: View, reasons: list[str]) -> dict[tuple[str, str], list[str]]:
    """(architecture, machine type) -> names of the source's domains that run with it."""

    def make(_fleet: Fleet) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        unread: list[str] = []
        for domain in running_on(view, view.source_name):
            try:
                kind = (domain.get("arch"), domain.get("machine"))
                found.setdefault(kind, []).append(domain.get("name"))
            except NOT_EVALUATED as reason:
                unread.append(str(reason))
        return found, unread

    machines, unread = view.fleet.index(f"machine types that run on {view.source_name}", make)
    reasons += unread
    return t.cast("dict[tuple[str, str], list[str]]", machines)
