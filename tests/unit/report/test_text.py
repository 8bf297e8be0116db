# SPDX-License-Identifier: GPL-3.0-or-later

"""The table that a person sees at a terminal."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import stay_lines
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import table as plan_table
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.api import Summary, make_report, table
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.text import summary_line
from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import WIDTH
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
    unknown = outcome_of("web1", **NOTHING_MEASURED, ceiling_ms=None, forecast=None)
    zero = outcome_of(
        "web2",
        forecast=None,
        total_ms=0,
        bytes=0,
        iterations=0,
        downtime={"compute_ms": 0, "libvirt_ms": 0, "network_ms": 0},
    )
    lines = table(make_report(plan_of("web1", "web2"), [unknown, zero], [])).splitlines()
    assert [line.split() for line in lines if line.startswith("web")] == [
        ["web1", "hv1", "hv2", "moved", "-", "-", "-", "-", "-", "-", "-"],
        ["web2", "hv1", "hv2", "moved", "1000", "-", "0", "0", "0.0", "0.0", "0"],
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


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = table(make_report(plan_of("web1"), [outcome_of("web1", "failed", error="bad\x1b]0;title\x07\nnews")], []))
    assert "\x1b" not in text
    assert "Cause: bad?]0;title? news" in text


def test_who_stays_is_said_in_the_words_of_the_plan() -> None:
    stay = example("Plan")["stays"][0]
    reason = stay["reasons"][0]
    there = {**reason, "destination": "hv3", "message": reason["message"].replace("hv2", "hv3")}
    own = {**reason, "destination": None, "message": "Domain db2: it is too large; expected less."}
    stays: list[t.Any] = [{**stay, "reasons": [reason, there]}, {**stay, "domain": "db2", "reasons": [own]}]
    plan = plan_of("web1", stays=stays, destinations=["hv2", "hv3"])
    shown = "\n".join(stay_lines(stays, ["hv2", "hv3"]))
    assert shown.count("Disk vdb") == 1
    assert "db1 (running) stays on hv1:\n  - to every destination: Disk vdb" in shown
    assert "db2 (running) stays on hv1:\n  - Domain db2: it is too large" in shown
    assert f"\n\nStayed: 2\n\n{shown}\n\n" in table(make_report(plan, None, []))
    assert plan_table(plan).endswith(f"\n\n{shown}")


def test_plan_and_report_show_the_same_digits_of_the_digest() -> None:
    plan = plan_of("web1")
    assert plan_table(plan).startswith(f"Plan {plan['digest'][:8]}: ")
    assert table(make_report(plan, None, [])).startswith(f"Run plan-{plan['digest'][:8]}, plan {plan['digest'][:8]}, ")


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
    assert "    clocks differ\n    Remedy: " in text
    assert "No domain was to move." in text


def also_found(*findings: dict[str, t.Any]) -> str:
    """The part of the table on these findings, which explain no stay."""
    warnings = [example("Finding", **{"severity": "warning", "blocks": False, **finding}) for finding in findings]
    return table(make_report(plan_of(), [], warnings)).split("Also found: ")[1].split("\n\n")[0]


def test_findings_that_differ_only_by_names_are_one() -> None:
    text = also_found(
        *(
            {"domain": name, "destination": there, "message": f"Disk vda of domain {name}: {there} lacks what hv1 has."}
            for name in ("db1", "db2")
            for there in ("hv2", "hv3")
        )
    )
    assert text.count("[disk_path_exists_dest]") == text.count("Remedy:") == 1
    assert "    Disk vda of the domain: the destination lacks what the source has.\n" in text
    assert "Concerns: db1 (hv1 to hv2), db1 (hv1 to hv3), db2 (hv1 to hv2), db2 (hv1 to hv3)\n" in text


def test_findings_of_hosts_in_either_role_are_one() -> None:
    sides = [{"source": "hv1", "destination": None}, {"source": None, "destination": "hv2"}]
    text = also_found(
        *(
            {**side, "domain": None, "message": f"Clock of host {side['source'] or side['destination']}: no"}
            for side in sides
        )
    )
    assert "    Clock of the host: no\n    Concerns: (hv1), (hv2)\n" in text


def test_a_host_that_is_found_twice_keeps_its_name() -> None:
    sides = [{"source": "hv1", "destination": None}, {"source": None, "destination": "hv1"}]
    text = also_found(*({**side, "domain": None, "message": "Clock of hv1: no"} for side in sides))
    assert "    Clock of hv1: no\n    Remedy: " in text


def test_findings_that_differ_otherwise_are_all_written() -> None:
    text = also_found(*({"message": f"Disk {disk} of domain db1: no"} for disk in ("vda", "vdb")))
    assert "Disk vda of domain db1: no" in text
    assert "Disk vdb of domain db1: no" in text


def test_a_run_that_was_not_verified_says_so() -> None:
    moved = make_report(plan_of("web1"), [outcome_of("web1")], [])
    assert "Not verified" in table(moved)
    assert "Not verified" not in table(EXAMPLES["Report"])
    assert "1 moved, 1 of them not proven," in table(moved)


def summary_of(emptied: dict[str, bool]) -> Summary:
    return {"planned": 0, "moved": 1, "unproven": 0, "breached": 0, "stayed": 1, "failed": 0, "hosts_emptied": emptied}


def test_the_summary_is_one_line_even_for_many_hosts() -> None:
    emptied = {f"hypervisor-{number}.example.com": number == 0 for number in range(100)}
    line = summary_line(summary_of(emptied))
    assert "hosts emptied: 1 of 100" in line
    assert line.endswith("(not: hypervisor-1.example.com and 98 more)")
    assert len(line) <= WIDTH
    endless = summary_line(summary_of({"x" * 120: False}))
    assert endless.endswith("hosts emptied: 0 of 1")


def test_what_a_user_has_decided_is_said_with_the_reason() -> None:
    decision = {"set": "warning", "was": "error", "reason": "ticket 4711"}
    lowered = example("Finding", severity="warning", blocks=False, decision=decision)
    silenced = example("Finding", check="hd_usb", status="silenced", decision={**decision, "set": "silence"})
    edited = example("Finding", check="net_bridge_exists", status="edited")
    text = table(example("Report", findings=[lowered, silenced, edited]))
    assert "warning, not fulfilled, error set to warning: ticket 4711" in text
    assert "silenced: ticket 4711" in text
    assert "solved by a change of the definition" in text


def test_a_ceiling_that_was_not_kept_is_named() -> None:
    text = "its vCPUs stood still for 1200 ms, 200 ms longer than its ceiling of 1.0 s"
    shown = table(make_report(plan_of("web1", "web2"), [outcome_of("web1", breach=text), outcome_of("web2")], []))
    assert f"Longer than promised, or not known for how long: 1\n  web1: {text}.\n" in shown
    assert "2 moved, 2 of them not proven, 1 not proven within ceiling and deadline, " in shown


def test_what_was_decided_is_said_but_not_that_nothing_was() -> None:
    nothing = {"action": "continue", "reason": "so", "after_pass": 1, "max_downtime_ms": None, "parameters": {}}
    raised = {**nothing, "action": "raise_downtime", "reason": "needs 740 ms", "after_pass": 2, "max_downtime_ms": 800}
    shown = table(make_report(plan_of("web1"), [outcome_of("web1", decisions=[nothing, raised])], []))
    assert "  web1, after pass 2: raise_downtime (limit 800 ms): needs 740 ms.\n" in shown
    assert "after pass 1" not in shown


def test_how_long_a_guest_had_its_standby_alone_is_said() -> None:
    off = [{"name": name, "at_ms": at_ms} for name, at_ms in (("vf_off", 100), ("vf_off", 180), ("vf_on", 8200))]
    lost = outcome_of("web1", phases=off)
    back = outcome_of("web2", phases=[*off, {"name": "vf_on", "at_ms": 9300}])
    report = make_report(plan_of("web1", "web2", "web3"), [lost, back, outcome_of("web3")], [])
    assert [row["vf_off_ms"] for row in report["rows"]] == [None, 9200, None]
    assert "Without virtual functions meanwhile: 1\n  web2 9.2 s\n" in table(report)


def test_an_outcome_of_an_earlier_version_is_reported() -> None:
    old = outcome_of("web1")
    for key in ("ceiling_ms", "breach", "forecast", "samples", "decisions", "convergence"):
        del old[key]
    assert make_report(plan_of("web1"), [old], [])["rows"][0]["decisions"] == []
