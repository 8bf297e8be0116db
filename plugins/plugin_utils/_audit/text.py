# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as text for a terminal. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import WIDTH, Column, grid, wrap

from .compare import shortened
from .obstacles import hostless, named
from .types import Audit, AuditDomain, AuditHost, AuditSummary, Difference, Note, SingleChange

MOST_CHANGES = 10
_MOST_NAMES = 6
_UNKNOWN = "-"
_THERE = "{destination}"

_HOSTS = (
    Column("host", wraps=True),
    Column("free MiB"),
    Column("active", group="domains"),
    Column("trapped", group="domains"),
    Column("stopped", group="domains"),
    Column("answers", wraps=True),
)
_DOMAINS = (Column("domain", wraps=True), Column("on", wraps=True), Column("MiB"), Column("can go to", wraps=True))


def table(audit: Audit) -> str:
    """Where everything can go, who is trapped and why, and what would help: at most 110 columns, no colours."""
    parts = (
        _head(audit),
        _since(audit),
        grid(_HOSTS, [_host_cells(host) for host in audit["hosts"]], WIDTH) if audit["hosts"] else [],
        _domains(audit),
        _trapped(audit),
        _closed(audit),
        _changes(audit["changes"]),
        _stopped(audit),
        _notes(audit["notes"]),
        wrap(summary_line(audit["summary"]), WIDTH),
    )
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def when(seconds: int) -> str:
    """A moment as people write it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def summary_line(summary: AuditSummary) -> str:
    """The counts in one sentence."""
    text = f"{summary['domains']} active domains on {summary['hosts']} hosts"
    text += f" ({summary['silent']} of them silent)" if summary["silent"] else ""
    verb = "is" if summary["trapped"] == 1 else "are"
    text += f": {summary['movable']} can move, {summary['trapped']} {verb} trapped"
    text += f", {summary['twice']} active twice" if summary["twice"] else ""
    text += f"; {summary['stopped']} stopped; {summary['open']} of {summary['ways']} ways are open"
    if summary["worse"] is not None:
        text += f"; since the audit before: {summary['worse']} worse, {summary['better']} better"
    return text


def _head(audit: Audit) -> list[str]:
    text = "Audit" if audit["finished"] is None else f"Audit of {when(audit['finished'])}"
    if audit["started"] is not None and audit["finished"] is not None:
        text += f", {audit['finished'] - audit['started']} s"
    return wrap(text, WIDTH)


def _since(audit: Audit) -> list[str]:
    since = audit["since"]
    if since is None:
        return []
    finished = "" if since["finished"] is None else f" of {when(since['finished'])}"
    lines = []
    for title, found in (("Worse", since["worse"]), ("Better", since["better"]), ("Changed", since["changed"])):
        if found:
            lines += [f"{title} since the audit{finished}: {len(found)}"]
            lines += [line for difference in found for line in _difference(difference, audit)]
    return lines or wrap(f"Nothing is worse, better or changed since the audit{finished}.", WIDTH)


def _difference(difference: Difference, audit: Audit) -> list[str]:
    lines = wrap(f"{difference['message']}.", WIDTH, "  - ", "    ")
    for number in difference["obstacles"]:
        obstacle = audit["obstacles"][number]
        lines += wrap(f"{named(obstacle['message'], difference['domains'])} [{obstacle['check']}]", WIDTH, "      ")
    return lines


def _host_cells(host: AuditHost) -> list[str]:
    return [
        host["name"],
        _number(host["available_mib"]),
        _number(host["domains"]),
        _number(len(host["trapped"]) if host["domains"] is not None else None),
        _number(host["stopped"]),
        "yes" if host["reason"] is None else f"no: {host['reason']}",
    ]


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else str(value)


def _domains(audit: Audit) -> list[str]:
    if not audit["domains"]:
        return ["No domain is active."]
    rows = [
        [domain["name"], domain["host"], _number(domain["memory_mib"]), destinations_text(domain)]
        for domain in audit["domains"]
    ]
    return grid(_DOMAINS, rows, WIDTH)


def destinations_text(domain: AuditDomain) -> str:
    """Where it can go, by the shorter of the two lists."""
    there, rest = domain["destinations"], list(domain["blocked"])
    if not there:
        return "nowhere"
    if not rest and len(there) > 1:
        return f"all {len(there)}" if len(there) > _MOST_NAMES else ", ".join(there)
    if len(there) > _MOST_NAMES and len(rest) <= _MOST_NAMES:
        return f"{len(there)} of {len(there) + len(rest)}; not: {', '.join(rest)}"
    return shortened(there, _MOST_NAMES)


def _trapped(audit: Audit) -> list[str]:
    """A block for all trapped domains of a host that have the same reasons."""
    blocks: dict[tuple[str, str, str], list[AuditDomain]] = {}
    for domain in audit["domains"]:
        if domain["trapped"]:
            ways = repr((domain["everywhere"], domain["blocked"]))
            blocks.setdefault((domain["host"], domain["state"], ways), []).append(domain)
    if not blocks:
        return []
    lines = [f"Trapped: {audit['summary']['trapped']}"]
    for (host, state, _ways), same in blocks.items():
        names, verb = ", ".join(domain["name"] for domain in same), "is" if len(same) == 1 else "are"
        lines += ["", *wrap(f"{names} ({state}) {verb} trapped on {host}:", WIDTH, "", "  ")]
        lines += _reasons(same, audit) or ["  - There is no other host."]
        lines += _way_out(same, audit)
    return lines


def _reasons(same: t.Sequence[AuditDomain], audit: Audit) -> list[str]:
    names, lines = [domain["name"] for domain in same], []
    for (check, message, remedy), hosts in _alike(same[0], audit).items():
        every = len(hosts) > 1 and len(hosts) == len(audit["hosts"]) - 1
        to = f"to {'every other host' if every else ', '.join(hosts)}: " if hosts else ""
        if len(hosts) == 1:
            message, remedy = (text.replace(_THERE, hosts[0]) for text in (message, remedy))
        texts = [text.replace(_THERE, "the destination") for text in (message, remedy)]
        lines += wrap(f"{to}{named(texts[0], names)} [{check}]", WIDTH, "  - ", "    ")
        lines += wrap(f"Remedy: {named(texts[1], names)}.", WIDTH, "    ")
    return lines


def _alike(domain: AuditDomain, audit: Audit) -> dict[tuple[str, str, str], list[str]]:
    """Check, message and remedy with a mark for the destination -> the destinations; none: it holds for all."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for number, hosts in by_obstacle(domain).items():
        obstacle = audit["obstacles"][number]
        message, remedy = obstacle["message"], obstacle["remedy"]
        for host in hosts or ("",):
            texts = [hostless(text, host, _THERE) for text in (message, remedy)]
            found.setdefault((obstacle["check"], texts[0], texts[1]), []).extend([host] if host else [])
    return found


def by_obstacle(domain: AuditDomain) -> dict[int, list[str]]:
    """Obstacle -> the destinations that it keeps the domain from; none where it holds whatever the destination."""
    at: dict[int, list[str]] = {number: [] for number in domain["everywhere"]}
    for host, numbers in domain["blocked"].items():
        for number in numbers:
            at.setdefault(number, []).append(host)
    return at


def _way_out(same: t.Sequence[AuditDomain], audit: Audit) -> list[str]:
    """Where no single change frees them: how many are needed together, and for which destination."""
    way_out = same[0]["way_out"]
    if way_out is None or len(way_out["obstacles"]) < 2:
        return []
    checks = ", ".join(audit["obstacles"][number]["check"] for number in way_out["obstacles"])
    text = f"No single change frees {'it' if len(same) == 1 else 'one of them'}. The fewest for a destination are "
    return wrap(f"{text}{len(way_out['obstacles'])} together, for {way_out['destination']}: {checks}.", WIDTH, "  ")


def _closed(audit: Audit) -> list[str]:
    """Why domains that can move cannot go elsewhere: those that are kept from the same hosts by the same, once."""
    blocks: dict[str, list[AuditDomain]] = {}
    for domain in audit["domains"]:
        if not domain["trapped"] and domain["blocked"]:
            blocks.setdefault(repr(domain["blocked"]), []).append(domain)
    if not blocks:
        return []
    lines = ["Not everywhere:"]
    for same in blocks.values():
        lines += ["", *wrap(f"{', '.join(domain['name'] for domain in same)}:", WIDTH, "", "  ")]
        lines += _reasons(same, audit)
    return lines


def _changes(changes: t.Sequence[SingleChange]) -> list[str]:
    if not changes:
        return []
    lines = ["Single changes that open most (trapped domains freed, ways opened):"]
    for change in changes[:MOST_CHANGES]:
        most = "" if change["sure"] else "at most "
        count = f"{most}{len(change['frees'])} freed, {change['opens']} opened"
        lines += wrap(f"{count}: {place(change)}: {change['problem']} [{change['check']}]", WIDTH, "  - ", "    ")
        lines += wrap(f"Remedy: {change['remedy']}.", WIDTH, "    ")
    if len(changes) > MOST_CHANGES:
        lines.append(f"  and {len(changes) - MOST_CHANGES} more")
    return lines


def place(change: SingleChange) -> str:
    return f"host {change['host']}" if change["host"] is not None else f"domain {change['domain']}"


def _stopped(audit: Audit) -> list[str]:
    if not audit["stopped"]:
        return []
    names = ", ".join(f"{domain['name']} on {domain['host']} ({domain['state']})" for domain in audit["stopped"])
    text = f"Stopped, and so not judged: {len(audit['stopped'])}"
    return [text, *wrap(names, WIDTH, "  ")]


def _notes(notes: t.Sequence[Note]) -> list[str]:
    if not notes:
        return []
    lines = ["Also found, ruling nothing out:"]
    for note in notes:
        who = shortened(note["domains"] or note["hosts"], _MOST_NAMES)
        what = f"{note['severity']}, {note['status']}, {note['count']} times"
        lines += wrap(f"[{note['check']}] {what}: {who}", WIDTH, "  ", "    ")
    return lines
