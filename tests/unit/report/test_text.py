# SPDX-License-Identifier: GPL-3.0-or-later

"""The table that a person sees at a terminal."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.api import Summary, make_report, table
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.layout import (
    Column,
    grid,
    printable,
    wrap,
)
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.text import WIDTH, summary_line
from tests.unit.report.samples import EXAMPLES, ROOT, example, outcome_of, plan_of

NOTHING_MEASURED: dict[str, t.Any] = {
    "downtime": {"compute_ms": None, "libvirt_ms": None, "network_ms": None},
    "total_ms": None,
    "bytes": None,
    "iterations": None,
}


def test_the_chapter_shows_the_table_of_the_example() -> None:
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert table(EXAMPLES["Report"]) == shown


def test_what_is_not_known_is_a_dash_and_what_is_zero_is_zero() -> None:
    unknown = outcome_of("web1", **NOTHING_MEASURED)
    zero = outcome_of(
        "web2", total_ms=0, bytes=0, iterations=0, downtime={"compute_ms": 0, "libvirt_ms": 0, "network_ms": 0}
    )
    lines = table(make_report(plan_of("web1", "web2"), [unknown, zero], [])).splitlines()
    assert [line.split() for line in lines if line.startswith("web")] == [
        ["web1", "hv1", "hv2", "moved", "-", "-", "-", "-", "-"],
        ["web2", "hv1", "hv2", "moved", "0", "0", "0.0", "0.0", "0"],
    ]


def test_numbers_stand_below_each_other() -> None:
    outcomes = [outcome_of("web1"), outcome_of("web2", total_ms=1234567, iterations=130)]
    lines = [
        line for line in table(make_report(plan_of("web1", "web2"), outcomes, [])).splitlines() if "hv2  moved" in line
    ]
    assert len(lines) == 2
    assert len(lines[0]) == len(lines[1])


def test_long_names_stay_within_the_width_and_are_complete() -> None:
    name, host = "customer-42-production-database-primary-replica-07-of-09", "hypervisor-rack17-unit03.dc2.example.com"
    move = {**plan_of(name)["moves"][0], "source": host, "destination": f"x{host}"}
    text = table(make_report(plan_of(moves=[move], sources=[host]), None, []))
    assert max(map(len, text.splitlines())) <= WIDTH
    first = [line.split("  ")[0] for line in text.split("---\n")[1].split("\n\n")[0].splitlines()]
    assert "".join(first).replace(" ", "") == name


def test_wide_characters_are_counted_as_the_terminal_shows_them() -> None:
    lines = grid((Column("name", wraps=True), Column("n")), [["ab", "1"], ["数据", "2"], ["e\u0301", "3"]], 40)
    assert lines == ["name  n", "----  -", "ab    1", "数据  2", "e\u0301     3"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\td") == "a?[31mb c d"
    text = table(make_report(plan_of("web1"), [outcome_of("web1", "failed", error="bad\x1b]0;title\x07\nnews")], []))
    assert "\x1b" not in text
    assert "Cause: bad?]0;title? news" in text


@pytest.mark.parametrize("width", [20, 30, 110])
def test_wrapping_keeps_every_word_and_the_width(width: int) -> None:
    text = "one two three " * 20 + "x" * 150
    lines = wrap(text, width, "  ", "      ")
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines[0].startswith("  one")
    assert all(line.startswith("      ") for line in lines[1:])


def test_a_reason_that_many_share_is_written_once() -> None:
    stay = example("Plan")["stays"][0]
    stays = [
        {
            **stay,
            "domain": name,
            "uuid": name,
            "reasons": [{**stay["reasons"][0], "domain": name, "message": f"{name}: no"}],
        }
        for name in ("db1", "db2", "db3")
    ]
    text = table(make_report(plan_of(stays=stays), [], []))
    assert text.count("[disk_path_exists_dest]") == 1
    assert text.count("Remedy:") == 1
    assert "Concerns: db1 (hv1 to hv2), db2 (hv1 to hv2), db3 (hv1 to hv2)" in text


def test_reasons_that_differ_are_all_written() -> None:
    stay = example("Plan")["stays"][0]
    reasons = [
        {**stay["reasons"][0], "destination": host, "value": value, "message": f"on {host} it is {value}"}
        for host, value in (("hv2", "ext4"), ("hv3", "xfs"))
    ]
    text = table(make_report(plan_of(stays=[{**stay, "reasons": reasons}]), [], []))
    assert "on hv2 it is ext4" in text
    assert "on hv3 it is xfs" in text


def test_a_stay_without_a_reason_is_said_to_have_none() -> None:
    text = table(make_report(plan_of(stays=[{**example("Plan")["stays"][0], "reasons": []}]), [], []))
    assert "No reason was given for: db1" in text


def test_failures_carry_cause_last_phase_and_remedy() -> None:
    text = table(make_report(plan_of("web1"), [outcome_of("web1", "failed", error="connection reset")], []))
    assert "web1 from hv1 to hv2: failed, running on: hv1" in text
    assert "Cause: connection reset" in text
    assert "Last phase: completed" in text
    assert "Remedy: the domain still runs on hv1" in text


def test_domains_that_were_left_out_and_other_findings_are_shown() -> None:
    warning = example(
        "Finding", check="host.clock", domain=None, severity="warning", blocks=False, message="clocks differ"
    )
    hosts = [example("HostSnapshot", domains=[{"name": "other", "uuid": "1", "active": True}])]
    text = table(make_report(plan_of(), [], [warning], hosts=hosts))
    assert "since nobody asked to move them: 1\n  other on hv1" in text
    assert "Also found: 1\n  [host.clock] warning" in text
    assert "No domain was to move." in text


def test_a_run_that_was_not_verified_says_so() -> None:
    moved = make_report(plan_of("web1"), [outcome_of("web1")], [])
    assert "Not verified" in table(moved)
    assert "Not verified" not in table(EXAMPLES["Report"])
    assert "1 moved, 1 of them not proven," in table(moved)


def summary_of(emptied: dict[str, bool]) -> Summary:
    return {"planned": 0, "moved": 1, "unproven": 0, "stayed": 1, "failed": 0, "hosts_emptied": emptied}


def test_the_summary_is_one_line_even_for_many_hosts() -> None:
    emptied = {f"hypervisor-{number}.example.com": number == 0 for number in range(100)}
    line = summary_line(summary_of(emptied))
    assert "hosts emptied: 1 of 100" in line
    assert line.endswith("(not: hypervisor-1.example.com and 98 more)")
    assert len(line) <= WIDTH
    endless = summary_line(summary_of({"x" * 120: False}))
    assert endless.endswith("hosts emptied: 0 of 1")
