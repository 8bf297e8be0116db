# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as a person reads it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import stay_lines, table
from tests.unit.plan.fleet import against, domain, host, plan

HOSTS = [host("hv2", 9000), host("hv3", 9000)]


def lines(hosts: t.Any, domains: t.Any, findings: t.Any = ()) -> list[str]:
    return table(plan(hosts, domains, findings)).splitlines()


def test_moves() -> None:
    shown = lines(HOSTS[:1], [domain("web1", 2048), domain("a-longer-name")])
    assert shown[0].endswith(": 2 to move, 0 to stay") and len(shown[0].split()[1]) == len("12345678:")
    assert shown[2:] == [
        "  domain         from  to   memory MiB  pause ms  ceiling ms  total s  forecast",
        "  web1           hv1   hv2        2048         -        1000        -  unknown",
        "  a-longer-name  hv1   hv2        1024         -        1000        -  unknown",
    ]


def test_what_becomes_of_virtual_functions_is_said_with_its_reason() -> None:
    made = plan(HOSTS[:1], [domain("web1"), domain("web2")])
    for move, nic in zip(made["moves"], ("one", "two"), strict=True):
        move["way"].update(vf="replug", vf_reason=f"its standby carries the traffic while {nic} is off")
    assert table(made).splitlines()[-2:] == [
        "  web1 goes with vf replug, because its standby carries the traffic while one is off.",
        "  web2 goes with vf replug, because its standby carries the traffic while two is off.",
    ]


def test_a_reason_that_holds_everywhere_is_said_once() -> None:
    shown = lines(HOSTS, [domain("a")], [against("disk_same_object", "a", "hv1", name) for name in ("hv2", "hv3")])
    assert shown[2] == "a (running) stays on hv1:"
    assert shown[3].startswith("  - to every destination: Thing: wrong the destination; expected ")
    assert shown[4] == "    [disk_same_object]" and shown[5].startswith("    Remedy: ")
    assert sum("disk_same_object" in line for line in shown) == 1


def test_a_host_is_not_called_host_the_destination() -> None:
    findings = [
        {**against("disk_same_object", "a", "hv1", name), "message": f"Host {name}: no, since host {name} was silent."}
        for name in ("hv2", "hv3")
    ]
    assert lines(HOSTS, [domain("a")], findings)[3].startswith(
        "  - to every destination: The destination: no, since the destination was silent. "
    )


def test_the_only_destination_is_called_by_its_name() -> None:
    shown = lines(HOSTS[:1], [domain("a")], [against("disk_same_object", "a", "hv1", "hv2")])
    assert shown[3].startswith("  - to hv2: Thing: wrong hv2; expected ")


def test_reasons_that_differ_are_said_by_destination() -> None:
    findings = [against("disk_same_object", "a", "hv1", "hv2"), against("host_daemon_alive", destination="hv3")]
    shown = lines(HOSTS, [domain("a")], findings)
    assert [line[:13] for line in shown if line.startswith("  - ")] == ["  - to hv2: T", "  - to hv3: T"]


def test_a_reason_of_the_domain_names_no_destination() -> None:
    assert lines(HOSTS, [domain("a")], [against("snapshots_present", "a", "hv1")])[3].startswith("  - Thing: wrong")


def test_domains_with_the_same_reasons_share_a_block() -> None:
    shown = lines(HOSTS, [domain("b"), domain("a")], [against("sec_tls_cert_validity", source="hv1")])
    assert [line for line in shown if " on hv1:" in line] == ["a, b (running) stay on hv1:"]


def test_reasons_that_differ_only_by_the_own_name_are_the_same() -> None:
    findings = [
        {**against("snapshots_present", name, "hv1"), "message": f"Domain {name}: no; CPU of domain {name}: no."}
        for name in ("a", "a.b")
    ]
    shown = lines(HOSTS, [domain("a"), domain("a.b")], findings)
    assert shown[2:4] == [
        "a, a.b (running) stay on hv1:",
        "  - The domain: no; CPU of the domain: no. [snapshots_present]",
    ]
    alone = lines(HOSTS, [domain("a")], findings)
    assert alone[3].startswith("  - Domain a: no; CPU of domain a: no. ")


@pytest.mark.parametrize("name", ["{}.example.com", "{}-b", "{}2", "rack-{}", "x.{}", "my{}"])
def test_a_name_inside_another_is_not_taken_for_the_destination(name: str) -> None:
    findings = [
        {**against("disk_same_object", "a", "hv1", there), "message": f"Disk: not on {name.format(there)}."}
        for there in ("hv2", "hv3")
    ]
    shown = [line for line in lines(HOSTS, [domain("a")], findings) if line.startswith("  - ")]
    assert shown == [
        f"  - to {there}: Disk: not on {name.format(there)}. [disk_same_object]" for there in ("hv2", "hv3")
    ]


def test_a_stay_without_a_reason_is_said_to_have_none() -> None:
    stay = {"domain": "a", "uuid": "1", "source": "hv1", "state": "running", "reasons": []}
    assert stay_lines([t.cast(t.Any, stay)], ["hv2"]) == ["a (running) stays on hv1:", "  - No reason was given."]


@pytest.mark.parametrize("count", [1, 60])
def test_no_line_is_wider_than_110(count: int) -> None:
    domains = [domain(f"guest{number}") for number in range(count)]
    findings = [against(check, None, "hv1") for check in ("disk_same_object", "dst_domain_uuid_running")]
    assert max(len(line) for line in lines(HOSTS, domains, findings)) <= 110
