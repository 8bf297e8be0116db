# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as text for a terminal: pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Finding
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import (
    reworded,
    short_digest,
    stay_lines,
)
from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import (
    WIDTH,
    Column,
    columns_of,
    grid,
    printable,
    wrap,
)

from .types import Failure, Report, Row, Summary

UNKNOWN = "-"
_MIB = 1024 * 1024

_COLUMNS = (
    Column("domain", wraps=True),
    Column("from", wraps=True),
    Column("to", wraps=True),
    Column("state", wraps=True),
    Column("ceiling", group="downtime ms"),
    Column("forecast", group="downtime ms"),
    Column("compute", group="downtime ms"),
    Column("libvirt", group="downtime ms"),
    Column("total s"),
    Column("sent MiB"),
    Column("iterations"),
)


def table(report: Report) -> str:
    """What happened, for a person at a terminal: at most 110 columns, no colours, ``-`` for what is not known."""
    parts = (
        _head(report),
        (
            grid(_COLUMNS, [_cells(row) for row in report["rows"]], WIDTH)
            if report["rows"]
            else ["No domain was to move."]
        ),
        _breaches(report["rows"]),
        _decisions(report["rows"]),
        _functions(report["rows"]),
        _stays(report),
        _left_out(report),
        _failures(report["failures"]),
        _findings(report["findings"]),
        [summary_line(report["summary"])],
    )
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(report: Report) -> list[str]:
    text = f"Run {report['run_id']}, plan {short_digest(report['plan_digest'])}, TLS {report['tls']}"
    if report["started"] is not None and report["finished"] is not None:
        text += f", {report['finished'] - report['started']} s"
    lines = wrap(text, WIDTH)
    if report["summary"]["moved"] and not report["verified"]:
        lines += wrap("Not verified: no host was asked after the moves what runs there.", WIDTH)
    return lines


def _cells(row: Row) -> list[str]:
    return [
        row["domain"],
        row["source"],
        row["destination"],
        row["state"],
        _number(row["ceiling_ms"]),
        _number(None if row["forecast"] is None else row["forecast"]["blackout_ms"]),
        _number(row["downtime"]["compute_ms"]),
        _number(row["downtime"]["libvirt_ms"]),
        _number(row["total_ms"], per=1000),
        _number(row["bytes"], per=_MIB),
        _number(row["iterations"]),
    ]


def _number(value: int | None, per: int | None = None) -> str:
    if value is None:
        return UNKNOWN
    return str(value) if per is None else f"{value / per:.1f}"


def _breaches(rows: t.Sequence[Row]) -> list[str]:
    """Neither ceiling nor deadline is ever silently exceeded."""
    over = [row for row in rows if row["breach"] is not None]
    lines = [f"Longer than promised, or not known for how long: {len(over)}"] if over else []
    for row in over:
        lines += wrap(f"{row['domain']}: {row['breach']}.", WIDTH, "  ", "    ")
    return lines


def _decisions(rows: t.Sequence[Row]) -> list[str]:
    """What was done so that they arrive, or why they were stopped."""
    lines = []
    for row in rows:
        for decision in row["decisions"]:
            limit = decision["max_downtime_ms"]
            what = decision["action"] + (f" (limit {limit} ms)" if limit is not None else "")
            text = f"{row['domain']}, after pass {decision['after_pass']}: {what}: {decision['reason']}."
            lines += wrap(text, WIDTH, "  ", "    ")
    return ["Decided on the way:", *lines] if lines else []


def _functions(rows: t.Sequence[Row]) -> list[str]:
    """How long a guest had its standby alone, or no network at all where it has none."""
    off = [f"{row['domain']} {_number(row['vf_off_ms'], per=1000)} s" for row in rows if row["vf_off_ms"] is not None]
    return [f"Without virtual functions meanwhile: {len(off)}", *wrap(", ".join(off), WIDTH, "  ")] if off else []


def _stays(report: Report) -> list[str]:
    if not report["stays"]:
        return []
    return [f"Stayed: {len(report['stays'])}", "", *stay_lines(report["stays"], report["destinations"])]


def _left_out(report: Report) -> list[str]:
    left_out = report["left_out"]
    if not left_out:
        return []
    names = ", ".join(f"{entry['domain']} on {entry['source']}" for entry in left_out)
    return [f"Still running there, since nobody asked to move them: {len(left_out)}", *wrap(names, WIDTH, "  ")]


def _findings(findings: t.Sequence[Finding]) -> list[str]:
    """Each finding once, with all whom it concerns: those that differ only by names of hosts and domains are one."""
    groups: dict[tuple[str, str, str, str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding["check"], finding["severity"], _verdict(finding), *_nameless(finding))
        groups.setdefault(key, []).append(finding)
    lines = [f"Also found: {len(findings)}"] if findings else []
    for (check, severity, verdict, message, remedy), same in groups.items():
        concerned = _concerned(same)
        if len({(finding["message"], finding["remedy"]) for finding in same}) == 1:
            message, remedy = same[0]["message"], same[0]["remedy"]
        lines += wrap(f"[{check}] {severity}, {verdict}", WIDTH, "  ", "    ")
        lines += wrap(message, WIDTH, "    ")
        if len(concerned) > 1:
            lines += wrap(f"Concerns: {', '.join(concerned)}", WIDTH, "    ", "      ")
        lines += wrap(f"Remedy: {remedy}.", WIDTH, "    ", "      ")
    return lines


def _nameless(finding: Finding) -> tuple[str, str]:
    """Message and remedy without the names of what the finding concerns."""
    source, destination = finding["source"], finding["destination"]
    if source and destination:
        return reworded(finding, {source: "source", destination: "destination"}, shared=True)
    return reworded(finding, {host: "host" for host in (source, destination) if host}, shared=True)


_STATUS = {
    "edited": "solved by a change of the definition",
    "fail": "not fulfilled",
    "silenced": "silenced",
    "unknown": "could not be evaluated",
}


def _verdict(finding: Finding) -> str:
    """How it stands with the check, and what the user has decided about it, with the reason."""
    status, decision = _STATUS[finding["status"]], finding["decision"]
    if decision is None:
        return status
    if finding["status"] != "silenced":
        status += f", {decision['was']} set to {decision['set']}"
    return f"{status}: {decision['reason']}" if decision["reason"] else status


def _concerned(findings: t.Iterable[Finding]) -> list[str]:
    """Domain, hosts or both of each finding, in order, each once."""
    names = []
    for finding in findings:
        hosts = " to ".join(host for host in (finding["source"], finding["destination"]) if host)
        names.append(" ".join(part for part in (finding["domain"], f"({hosts})" if hosts else "") if part))
    return [name for name in dict.fromkeys(names) if name]


def _failures(failures: t.Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    lines = [f"Failed or not proven: {len(failures)}"]
    for failure in failures:
        where = failure["running_on"] or "not known"
        lines += wrap(
            f"{failure['domain']} from {failure['source']} to {failure['destination']}: {failure['state']},"
            f" running on: {where}",
            WIDTH,
            "  ",
            "    ",
        )
        lines += wrap(f"Cause: {failure['cause']}", WIDTH, "    ", "      ")
        if failure["diagnosis"] is not None:
            lines += wrap(f"Diagnosis: {failure['diagnosis']['paragraph']}", WIDTH, "    ", "      ")
        if failure["last_phase"] is not None:
            lines += wrap(f"Last phase: {failure['last_phase']}", WIDTH, "    ", "      ")
        lines += wrap(f"Remedy: {failure['remedy']}.", WIDTH, "    ", "      ")
    return lines


def summary_line(summary: Summary) -> str:
    """One line of at most WIDTH columns. Hosts that are not empty are named as far as there is room."""
    emptied = summary["hosts_emptied"]
    left = [host for host, empty in emptied.items() if not empty]
    counts = [f"{summary[key]} {key}" for key in ("moved", "stayed", "failed", "planned")]
    if summary["breached"]:
        counts.insert(1, f"{summary['breached']} not proven within ceiling and deadline")
    if summary["unproven"]:
        counts.insert(1, f"{summary['unproven']} of them not proven")
    line = f"{', '.join(counts)}; hosts emptied: {len(emptied) - len(left)} of {len(emptied)}"
    candidates = (f"{line} (not: {_named(left, number)})" for number in range(len(left), 0, -1))
    return next((text for text in candidates if columns_of(text) <= WIDTH), line)


def _named(hosts: t.Sequence[str], number: int) -> str:
    rest = len(hosts) - number
    return ", ".join(map(printable, hosts[:number])) + (f" and {rest} more" if rest else "")
