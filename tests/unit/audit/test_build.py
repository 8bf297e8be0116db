# SPDX-License-Identifier: GPL-3.0-or-later

"""From snapshots and findings to the audit: who can go where, who is trapped, which single change would help."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._audit import api
from tests.unit.audit.scenes import HOSTS, against, audit, domain, of, pair, recorded
from tests.unit.report.samples import EXAMPLES


def test_a_fleet_without_domains() -> None:
    made = audit([])
    assert made["domains"] == [] and made["changes"] == [] and made["since"] is None
    assert made["summary"]["hosts"] == 3 and made["summary"]["domains"] == made["summary"]["ways"] == 0


def test_a_domain_can_go_to_every_other_host() -> None:
    made = audit([domain("web")])
    assert of(made, "web")["destinations"] == ["hv2", "hv3"]
    assert (made["summary"]["movable"], made["summary"]["open"], made["summary"]["ways"]) == (1, 2, 2)


def test_memory_counts_for_each_domain_alone() -> None:
    domains = [domain(name, memory_mib=200_000) for name in ("a", "b")]
    assert [entry["destinations"] for entry in audit(domains)["domains"]] == [["hv2", "hv3"]] * 2
    made = audit([domain("big", memory_mib=300_000)])
    assert of(made, "big")["trapped"]
    assert {made["obstacles"][number]["check"] for number in of(made, "big")["blocked"]["hv2"]} == {"mem_capacity_dest"}


def test_what_is_about_a_host_holds_for_all_domains_there() -> None:
    made = audit([domain("a"), domain("b", on="hv2")], [against("cpu_vendor_match", destination="hv3")])
    assert [of(made, name)["destinations"] for name in "ab"] == [["hv2"], ["hv1"]]
    assert len(made["obstacles"]) == 1


def test_domains_that_lack_the_same_at_a_host_share_an_obstacle() -> None:
    made = audit([domain("a"), domain("b")], [pair(name, "hv2", "its bridge br-x is not on hv2") for name in "ab"])
    (obstacle,) = made["obstacles"]
    assert (obstacle["domain"], obstacle["destination"]) == (None, "hv2")
    assert obstacle["message"].startswith("Network of domain {domain}: its bridge br-x is not on hv2")
    assert of(made, "a")["blocked"] == of(made, "b")["blocked"] == {"hv2": [0]}


@pytest.mark.parametrize("names", [("web", "db"), ("beside", "is")])
def test_names_are_taken_out_of_paths_and_of_nothing_else(names: tuple[str, str]) -> None:
    values = {name: f"there is no /srv/{name}.qcow2 beside /srv/{name}mail" for name in names}
    made = audit([domain(name) for name in values], [pair(name, "hv2", value) for name, value in values.items()])
    assert [obstacle["value"] for obstacle in made["obstacles"]] == [
        f"there is no /srv/{{domain}}.qcow2 beside /srv/{name}mail" for name in names
    ]
    values = {name: f"there is no /srv/{name}.qcow2 beside it" for name in names}
    made = audit([domain(name) for name in values], [pair(name, "hv2", value) for name, value in values.items()])
    assert [obstacle["value"] for obstacle in made["obstacles"]] == ["there is no /srv/{domain}.qcow2 beside it"]


def test_a_shared_message_says_what_the_findings_have_in_common() -> None:
    findings = [pair("a", "hv2", "no br-x"), {**pair("b", "hv2", "no br-x"), "message": "x"}]
    made = audit([domain("a"), domain("b")], findings)
    assert made["obstacles"][0]["message"].startswith("No br-x; expected a bridge")


def test_the_single_change_that_frees_most_comes_first() -> None:
    domains = [domain(name) for name in "abc"]
    findings = [pair(name, host, f"its bridge br-{name} is not on {host}") for name in "a" for host in ("hv2", "hv3")]
    findings += [pair(name, host, f"no br-x on {host}") for name in "bc" for host in ("hv2", "hv3")]
    made = audit(domains, findings)
    first, second = made["changes"][:2]
    assert (first["host"], first["problem"], first["frees"], first["opens"]) == ("hv2", "no br-x on hv2", ["b", "c"], 2)
    assert second["host"] == "hv3"
    demand = next(change for change in made["changes"] if change["domain"] == "a")
    assert (demand["frees"], demand["opens"]) == (["a"], 2)
    assert demand["problem"] == "its bridge br-a is not on the destination"
    assert demand["remedy"].startswith("do without it in the domain's definition")


def test_a_change_opens_only_what_nothing_else_keeps_shut() -> None:
    own = [against("disk_cache_mode", "a", "hv1"), against("hd_usb", "b", "hv1")]
    made = audit([domain("a"), domain("b")], [pair("a", "hv2", "no br-x on hv2"), *own])
    assert [(change["check"], change["opens"]) for change in made["changes"]] == [("hd_usb", 2), ("disk_cache_mode", 1)]


def test_both_roles_of_a_host_are_one_place() -> None:
    said = {"value": "no certificate", "message": "no certificate", "remedy": "make one"}
    findings = [{**against("sec_tls_migration_certs", None, *ends), **said} for ends in (("hv1", None), (None, "hv1"))]
    made = audit([domain("a"), domain("b", on="hv2")], findings)
    (change,) = made["changes"]
    assert (change["host"], change["frees"], change["opens"]) == ("hv1", ["a"], 3)


def test_what_stands_between_two_hosts_is_looked_for_at_both() -> None:
    findings = [
        {**against("host_not_same", None, source, "hv3"), "value": f"{source} does not reach hv3"}
        for source in ("hv1", "hv2")
    ]
    made = audit([domain("a"), domain("b", on="hv2")], findings)
    assert (made["changes"][0]["host"], made["changes"][0]["opens"]) == ("hv3", 2)


def test_where_no_single_change_helps_the_fewest_are_named() -> None:
    findings = [
        against("disk_cache_mode", "a", "hv1"),
        pair("a", "hv2", "no br-x on hv2"),
        pair("a", "hv2", "no br-y on hv2"),
        pair("a", "hv3", "no br-z on hv3"),
    ]
    made = audit([domain("a")], findings)
    assert made["changes"] == []
    out = of(made, "a")["way_out"]
    assert out["destination"] == "hv3"
    checks = [made["obstacles"][number]["check"] for number in out["obstacles"]]
    assert checks == ["disk_cache_mode", "net_bridge_exists"]


def test_a_silent_host_is_named_and_its_opening_is_not_sure() -> None:
    made = audit([domain("a")], [pair("a", "hv2", "no br-x on hv2")], silent={"hv3": "timed out"})
    (silent,) = [entry for entry in made["hosts"] if entry["reason"]]
    assert (silent["name"], silent["reason"], silent["domains"]) == ("hv3", "timed out", None)
    assert of(made, "a")["trapped"]
    assert [(change["host"], change["sure"]) for change in made["changes"]] == [("hv2", True), ("hv3", False)]
    assert made["summary"]["silent"] == 1


def test_stopped_domains_are_listed_apart() -> None:
    made = audit([domain("a"), domain("off", state="shutoff")])
    assert [entry["name"] for entry in made["domains"]] == ["a"]
    assert [(entry["name"], entry["state"]) for entry in made["stopped"]] == [("off", "shutoff")]
    assert made["summary"]["stopped"] == 1 and made["summary"]["trapped"] == 0


def test_a_domain_that_is_active_twice_is_trapped_on_both() -> None:
    made = audit([domain("a"), domain("a", on="hv2")])
    assert [(entry["host"], entry["twins"], entry["trapped"]) for entry in made["domains"]] == [
        ("hv1", ["hv2"], True),
        ("hv2", ["hv1"], True),
    ]
    assert made["summary"]["twice"] == 1


def test_a_domain_on_the_only_host_is_trapped_without_a_way() -> None:
    made = audit([domain("a")], hosts=["hv1"])
    assert (of(made, "a")["trapped"], of(made, "a")["way_out"]) == (True, None)
    assert "There is no other host." in api.table(made)


def test_a_paused_domain_is_trapped_and_still_looked_at() -> None:
    made = audit([domain("a", state="paused")], [pair("a", "hv2", "no br-x on hv2")])
    assert [made["obstacles"][number]["check"] for number in of(made, "a")["everywhere"]] == ["guest_state"]
    assert set(of(made, "a")["blocked"]) == {"hv2", "hv3"}


def test_what_rules_nothing_out_is_counted_check_by_check() -> None:
    findings = [against("hd_usb", name, "hv1", "hv2", blocks=False) for name in "ab"]
    (note,) = audit([domain("a"), domain("b")], findings)["notes"]
    assert (note["check"], note["count"], note["domains"], note["hosts"]) == ("hd_usb", 2, ["a", "b"], ["hv2"])


def test_the_recorded_guests() -> None:
    made = recorded()
    assert {entry["name"]: entry["destinations"] for entry in made["domains"]} == {
        "web1": ["hv2"],
        "media1": ["hv2"],
        "scratch": [],
    }
    checks = {made["obstacles"][number]["check"] for number in of(made, "scratch")["way_out"]["obstacles"]}
    assert checks == {"disk_shared_fs_type", "disk_path_exists_dest", "net_bridge_exists"}


def test_json_comes_back_as_it_went() -> None:
    made = recorded()
    assert api.parse("audit.json", api.as_json(made)) == made == json.loads(api.as_json(made))


def test_the_same_audit_made_again_keeps_its_comparison() -> None:
    first = audit([domain("a")], finished=1)
    second = audit([], previous=first, finished=2)
    assert second["since"] is not None and audit([], previous=second, finished=2) == second
    assert audit([], previous=second, finished=3)["since"] != second["since"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{", "no JSON"),
        ("[]", "a list"),
        ('{"kind": "plan", "schema": 1}', "kind plan, schema 1"),
        ('{"kind": "audit", "schema": 99}', "kind audit, schema 99"),
        ('{"kind": "audit", "schema": 1, "domains": [], "stopped": []}', "without 'hosts'"),
        ('{"kind": "audit", "schema": 1, "domains": 7}', "not iterable"),
    ],
)
def test_an_earlier_audit_that_is_none(text: str, value: str) -> None:
    with pytest.raises(LivemigError) as caught:
        api.parse("audit.json", text)
    said = str(caught.value)
    assert said.startswith("Earlier audit audit.json: ") and value in said
    assert "expected kind audit, schema 1" in said and "Nothing was overwritten" in said


def test_hosts_are_in_the_order_in_which_they_were_given() -> None:
    assert [entry["name"] for entry in audit([], hosts=HOSTS[::-1])["hosts"]] == list(HOSTS[::-1])


def test_the_example_of_the_documentation_is_the_audit_of_the_other_examples() -> None:
    host, web = EXAMPLES["HostSnapshot"], EXAMPLES["DomainSnapshot"]
    shown = EXAMPLES["Audit"]
    db: t.Any = {**web, "name": "db1", "uuid": "22222222-2222-4222-8222-222222222222"}
    hosts = [host, {**host, "name": "hv2", "domains": []}]
    observed = api.Observed(["hv1", "hv2"], hosts, [web, db], [EXAMPLES["Finding"]], {})
    assert shown == api.make_audit(observed, started=shown["started"], finished=shown["finished"])
