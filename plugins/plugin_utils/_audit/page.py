# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as one self-contained HTML page: no request leaves it, every text is escaped, it reads without scripts.

The matrix is drawn by page.js from data in the page, only as much of it as is seen, since a fleet has a hundred
thousand ways; the list below it says the same without scripts and on paper.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import itertools
import json
import os
import typing as t

from .obstacles import hidden, named
from .text import by_obstacle, destinations_text, place, summary_line, when
from .types import Audit, AuditDomain, AuditHost, Difference, Note, SingleChange

FIRST_CHANGES = 8
MOST_CHANGES = 100
_FEW_HOSTS = 6
_FEW_NAMES = 3
_HERE = -1
_e = html.escape


def page(audit: Audit) -> str:
    """The whole page."""
    style, script = _asset("page.css"), _asset("page.js")
    body = (
        _header(audit),
        _since(audit),
        _beside(audit, _matrix(audit), _hosts(audit["hosts"])),
        _changes(audit["changes"]),
        _list(audit),
        _obstacles(audit),
        _stopped(audit),
        _notes(audit["notes"]),
    )
    # Even if a text were not escaped, nothing but this very style and script would be used, and nothing loaded.
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_e(_title(audit))}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + f'\n<script type="application/json" id="data">{_data(audit)}</script>\n<script>{script}</script>\n'
        "</body>\n</html>\n"
    )


@functools.cache
def _asset(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _title(audit: Audit) -> str:
    return "Mobility audit" + ("" if audit["finished"] is None else f", {when(audit['finished'])}")


def _data(audit: Audit) -> str:
    """What the script draws from. Every way is the number of a set of obstacles, 0 of none; runs are counted."""
    hosts = [host["name"] for host in audit["hosts"]]
    sets: dict[tuple[int, ...], int] = {(): 0}
    rows = []
    for domain in audit["domains"]:
        ways = [_HERE if host == domain["host"] else _set(domain, host, sets) for host in hosts]
        runs = [number for way, run in itertools.groupby(ways) for number in (way, len(list(run)))]
        out = domain["way_out"]
        rows.append(
            [
                domain["name"],
                domain["uuid"],
                hosts.index(domain["host"]) if domain["host"] in hosts else _HERE,
                domain["state"],
                domain["memory_mib"],
                runs,
                None if out is None else [out["destination"], out["obstacles"]],
            ]
        )
    obstacles = [
        [entry["check"], int(hidden(entry)), entry["message"], entry["remedy"]] for entry in audit["obstacles"]
    ]
    silent = [int(host["reason"] is not None) for host in audit["hosts"]]
    data = {"hosts": hosts, "silent": silent, "sets": list(sets), "obstacles": obstacles, "domains": rows}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    # Inside a script element only "<" could end it, or begin a comment that swallows its end.
    return text.replace("<", "\\u003c")


def _set(domain: AuditDomain, host: str, sets: dict[tuple[int, ...], int]) -> int:
    if host not in domain["blocked"]:
        return 0
    return sets.setdefault((*domain["everywhere"], *domain["blocked"][host]), len(sets))


def _header(audit: Audit) -> str:
    summary = audit["summary"]
    silent = f"{summary['silent']} silent" if summary["silent"] else "all answer"
    share = f"{summary['open'] / summary['ways']:.0%} of {summary['ways']:,} ways" if summary["ways"] else "no ways"
    tiles = (
        ("hosts", summary["hosts"], silent, "bad" if summary["silent"] else ""),
        ("active domains", summary["domains"], f"{summary['stopped']} stopped", ""),
        ("can move", summary["movable"], share + " open" if summary["ways"] else share, "good"),
        ("trapped", summary["trapped"], "can go nowhere", "bad" if summary["trapped"] else ""),
        ("active twice", summary["twice"], "on two hosts", "bad") if summary["twice"] else None,
    )
    shown = "".join(
        f'<li class="{tile[3]}"><b>{tile[1]:,}</b> {tile[0]}<small>{tile[2]}</small></li>' for tile in tiles if tile
    )
    finished = "" if audit["finished"] is None else f"<p>{_e(when(audit['finished']))}</p>"
    return (
        f'<header><div><h1>Where can every guest go?</h1>{finished}</div><ul class="tiles">{shown}</ul>'
        f'<p class="line">{_e(summary_line(summary))}.</p></header>'
    )


def _section(name: str, title: str, body: str, hint: str = "") -> str:
    note = f'<p class="hint">{hint}</p>' if hint else ""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>{note}{body}</section>'
    )


def _since(audit: Audit) -> str:
    since = audit["since"]
    if since is None:
        return ""
    finished = "" if since["finished"] is None else f" of {_e(when(since['finished']))}"
    columns = [
        f'<div class="{name}"><h3>{title} <span class="count">{len(found)}</span></h3>'
        f"<ul>{''.join(_difference(entry, audit) for entry in found)}</ul></div>"
        for name, title, found in (
            ("worse", "Worse", since["worse"]),
            ("better", "Better", since["better"]),
            ("changed", "Changed", since["changed"]),
        )
        if found
    ]
    body = (
        f'<div class="columns">{"".join(columns)}</div>' if columns else "<p>Nothing is worse, better or changed.</p>"
    )
    return _section("since", f"Since the audit{finished}", body)


def _difference(difference: Difference, audit: Audit) -> str:
    reasons = []
    for number in difference["obstacles"]:
        obstacle = audit["obstacles"][number]
        text = named(obstacle["message"], difference["domains"])
        reasons.append(f"<li>{_e(text)} <code>{_e(obstacle['check'])}</code></li>")
    inner = f"<ul>{''.join(reasons)}</ul>" if reasons else ""
    return f"<li>{_e(difference['message'])}.{inner}</li>"


def _matrix(audit: Audit) -> str:
    """Filled by the script, and hidden without it."""
    options = "".join(f'<option value="{_e(host["name"])}">{_e(host["name"])}</option>' for host in audit["hosts"])
    controls = (
        '<form id="filter" role="search" aria-label="Filter the domains">'
        '<label>Search <input type="search" id="q" placeholder="name, host, check, reason" autocomplete="off"></label>'
        f'<label>On host <select id="host"><option value="">all</option>{options}</select></label>'
        '<label class="box"><input type="checkbox" id="trapped"> only trapped</label>'
        '<output id="shown" role="status"></output></form>'
    )
    legend = (
        '<ul class="legend" aria-label="Legend"><li><i class="go">&#10003;</i> can go</li>'
        '<li><i class="no">2</i> cannot, for so many reasons</li>'
        '<li><i class="un">?</i> could not be looked at</li><li><i class="here">&#9679;</i> is here</li></ul>'
    )
    body = (
        f'<div id="matrix-parts" hidden>{controls}{legend}'
        '<div id="box"><table id="grid" role="grid" aria-labelledby="matrix-title"><thead></thead><tbody></tbody>'
        "</table></div>"
        '<p id="none" hidden>No domain fits the filter.</p></div>'
        '<dialog id="panel" aria-labelledby="panel-title"><form method="dialog"><h3 id="panel-title"></h3>'
        '<button aria-label="Close">Close</button></form><div id="panel-body"></div></dialog>'
        '<noscript><p class="hint">Without scripts there is no matrix; the <a href="#list">list</a> says the same.</p>'
        "</noscript>"
    )
    return _section("matrix", "Domain by host", body)


def _beside(audit: Audit, *sections: str) -> str:
    """The matrix of a few hosts is narrow and leaves room beside it."""
    few = " few" if len(audit["hosts"]) <= _FEW_HOSTS else ""
    return f'<div class="pair{few}">{"".join(sections)}</div>'


def _hosts(hosts: t.Sequence[AuditHost]) -> str:
    rows = []
    for host in hosts:
        figures = [
            ("free MiB", host["available_mib"]),
            ("active", host["domains"]),
            ("stopped", host["stopped"]),
        ]
        cells = "".join(f'<td data-name="{name}">{_figure(value)}</td>' for name, value in figures)
        rows.append(f'<tr><th scope="row">{_e(host["name"])}</th>{cells}<td class="names">{_trapped(host)}</td></tr>')
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("host", "free MiB", "active", "stopped", "trapped there")
    )
    body = f'<table class="cards" id="hosts-table"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return _section("hosts", "Who is trapped, host by host", body)


def _trapped(host: AuditHost) -> str:
    if host["reason"] is not None:
        return f'<span class="un">does not answer</span> {_e(host["reason"])}; its guests are not known'
    if not host["trapped"]:
        return '<span class="quiet">nobody</span>'
    names = "".join(f"<li>{_e(name)}</li>" for name in host["trapped"])
    return f'<span class="count">{len(host["trapped"])}</span><ul class="chips">{names}</ul>'


def _figure(value: int | None) -> str:
    return "&ndash;" if value is None else f"{value:,}"


def _changes(changes: t.Sequence[SingleChange]) -> str:
    if not changes:
        return ""
    shown, rest = changes[:MOST_CHANGES], len(changes) - MOST_CHANGES
    most = max(1, *(len(change["frees"]) for change in shown)), max(change["opens"] for change in shown)
    rows = [_change(change, *most) for change in shown]
    body = f'<ol class="bars">{"".join(rows[:FIRST_CHANGES])}</ol>'
    if rows[FIRST_CHANGES:]:
        left = f"<p>and {rest:,} more, in audit.json</p>" if rest > 0 else ""
        body += (
            f"<details><summary>{len(changes) - FIRST_CHANGES:,} more</summary>"
            f'<ol class="bars">{"".join(rows[FIRST_CHANGES:])}</ol>{left}</details>'
        )
    hint = "Each alone, everything else as it is. Freed: trapped domains that get a destination."
    return _section("changes", "Which single change frees most", body, hint)


def _change(change: SingleChange, most_freed: int, most_opened: int) -> str:
    freed, opened = len(change["frees"]), change["opens"]
    most = "" if change["sure"] else "at most "
    return (
        f'<li><div class="what"><strong>{_e(place(change))}</strong>: {_e(change["problem"])} '
        f'<code>{_e(change["check"])}</code><p class="remedy">{_e(change["remedy"])}</p>{_frees(change)}</div>'
        f'<div class="bar">{_bar(freed, most_freed, "freed")}<span>{most}{freed:,} freed</span>'
        f'{_bar(opened, most_opened, "opened")}<span>{most}{_plural(opened, "way")} opened</span></div></li>'
    )


def _frees(change: SingleChange) -> str:
    names = change["frees"]
    if not names or names == [change["domain"]]:
        return ""
    if len(names) <= _FEW_NAMES:
        return f"<p>frees {_e(', '.join(names))}</p>"
    return f"<details><summary>frees {len(names):,}</summary><p>{_e(', '.join(names))}</p></details>"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _bar(value: int, most: int, kind: str) -> str:
    width = round(100 * value / most, 1)
    return (
        f'<svg class="{kind}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="back" width="100" height="6"/><rect width="{width:g}" height="6"/></svg>'
    )


def _list(audit: Audit) -> str:
    rows = "".join(_row(domain) for domain in audit["domains"])
    head = "".join(f'<th scope="col">{name}</th>' for name in ("domain", "on", "MiB", "can go to", "kept by"))
    body = (
        f'<details id="plain" open><summary>{_plural(len(audit["domains"]), "domain")}</summary>'
        f'<table class="cards"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>'
        if rows
        else "<p>No domain is active.</p>"
    )
    return _section("list", "Domains as a list", body, "The numbers are those of the reasons below.")


def _row(domain: AuditDomain) -> str:
    twins = f" and {', '.join(domain['twins'])}" if domain["twins"] else ""
    kept = "; ".join(
        f'<a href="#o{number}">{number}</a>' + (f" ({_e(', '.join(hosts))})" if hosts else "")
        for number, hosts in by_obstacle(domain).items()
    )
    state = "" if domain["state"] == "running" else f" ({_e(domain['state'])})"
    return (
        f'<tr{" class=bad" if domain["trapped"] else ""}><th scope="row">{_e(domain["name"])}{state}</th>'
        f'<td data-name="on">{_e(domain["host"] + twins)}</td><td data-name="MiB">{_figure(domain["memory_mib"])}</td>'
        f'<td data-name="can go to">{_e(destinations_text(domain))}</td>'
        f'<td data-name="kept by">{kept or "&ndash;"}</td></tr>'
    )


def _obstacles(audit: Audit) -> str:
    if not audit["obstacles"]:
        return ""
    items = "".join(
        f'<li id="o{number}"><b>{number}</b> {_e(named(obstacle["message"], ()))} <code>{_e(obstacle["check"])}</code>'
        f'<p class="remedy">{_e(named(obstacle["remedy"], ()))}</p></li>'
        for number, obstacle in enumerate(audit["obstacles"])
    )
    count = _plural(len(audit["obstacles"]), "reason")
    body = f'<details id="reasons" open><summary>{count}</summary><ul class="reasons">{items}</ul></details>'
    return _section("obstacles", "Reasons", body)


def _stopped(audit: Audit) -> str:
    if not audit["stopped"]:
        return ""
    chips = "".join(
        f"<li>{_e(domain['name'])} <small>{_e(domain['host'])}, {_e(domain['state'])}</small></li>"
        for domain in audit["stopped"]
    )
    hint = "These do not run, so nothing needs to be moved live, and they were not judged."
    return _section("stopped", "Stopped", f'<ul class="chips">{chips}</ul>', hint)


def _notes(notes: t.Sequence[Note]) -> str:
    if not notes:
        return ""
    items = "".join(
        f"<li><code>{_e(note['check'])}</code> {_e(note['severity'])}, {_e(note['status'])}, {note['count']:,} times"
        f"<p>For example: {_e(note['message'])}</p><p class=\"remedy\">{_e(note['remedy'])}</p></li>"
        for note in notes
    )
    body = f'<details><summary>{_plural(len(notes), "check")}</summary><ul class="reasons">{items}</ul></details>'
    return _section("notes", "Also found, ruling nothing out", body)
