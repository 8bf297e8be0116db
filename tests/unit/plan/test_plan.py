# SPDX-License-Identifier: GPL-3.0-or-later

"""Placing: first fit decreasing, never over the memory, never against a finding, every stay with all its reasons."""

from __future__ import annotations

import copy
import json
import random
import typing as t
from unittest.mock import ANY

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError, plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._policy.api import PROFILES
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import required_memory_mib
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.address import migrate_uri
from tests.unit.plan.fleet import against, domain, host, on_pages, plan, policy, reasons, ways


def test_the_largest_goes_first_and_destinations_are_filled_in_their_order() -> None:
    made = plan([host("hv3", 3000), host("hv2", 3000)], [domain("a"), domain("big", 2048), domain("b")])
    assert [move["domain"] for move in made["moves"]] == ["big", "a", "b"]
    assert ways(made) == {"big": "hv3", "a": "hv2", "b": "hv2"}


def test_a_move_carries_all_that_migrate_needs() -> None:
    made = plan([host("hv2", 9000)], [domain("a", autostart=True)])
    assert made["moves"] == [
        {
            "domain": "a",
            "uuid": "uuid-of-a",
            "source": "hv1",
            "destination": "hv2",
            "destination_uri": "qemu+tls://hv2/system",
            "migrate_uri": "tcp://hv2.example.com",
            "persistent": True,
            "autostart": True,
            "memory_mib": 1024,
            "requires": {"available_mib": 1293},
            "edits": [],
            "controls": [],
            "way": plain_way(),
            "profile": {**PROFILES["balanced"]._asdict(), "obstacles": []},
            "forecast": ANY,
        }
    ]


@pytest.mark.parametrize(("available", "fits"), [(1293, True), (1292, False)])
def test_the_memory_is_counted_to_the_last_mib(available: int, fits: bool) -> None:
    assert bool(plan([host("hv2", available)], [domain("a")])["moves"]) is fits
    assert bool(plan([host("hv2", available + 500)], [domain("a")], memory_reserve_mib=500)["moves"]) is fits


def test_the_reserve_is_512_mib_where_nothing_is_said() -> None:
    short = policy("hv2")
    del short["memory_reserve_mib"]
    for available, moves in ((1293 + 512, 1), (1293 + 511, 0)):
        made = api.make_plan([host("hv2", available)], [domain("a")], [], ["hv1"], ["hv2"], short)
        assert len(made["moves"]) == moves


def test_memory_used_up_by_earlier_moves_is_a_reason() -> None:
    made = plan([host("hv2", 2000)], [domain("a"), domain("b")])
    assert ways(made) == {"a": "hv2"}
    assert reasons(made) == {"b": [("mem_capacity_dest", "hv2")]}
    message = made["stays"][0]["reasons"][0]["message"]
    assert "707 MiB are left after the reserve, 1 earlier moves; expected 1293 MiB for domain b" in message


def test_memory_that_is_not_known_takes_nobody() -> None:
    made = plan([host("hv2", None)], [domain("a")])
    assert [(f["status"], f["blocks"]) for f in made["stays"][0]["reasons"]] == [("unknown", True)]


def test_a_destination_without_a_snapshot_takes_nobody() -> None:
    made = api.make_plan([], [domain("a")], [], ["hv1"], ["hv2"], policy("hv2"))
    assert reasons(made) == {"a": [("mem_capacity_dest", "hv2")]}


@pytest.mark.parametrize(
    "finding",
    [
        against("host_daemon_alive", destination="hv2"),
        against("host_not_same", source="hv1", destination="hv2"),
        against("disk_same_object", "a", "hv1", "hv2"),
    ],
)
def test_a_finding_rules_out_its_destination(finding: t.Any) -> None:
    assert ways(plan([host("hv2", 9000), host("hv3", 9000)], [domain("a")], [finding])) == {"a": "hv3"}


@pytest.mark.parametrize("finding", [against("sec_tls_cert_validity", source="hv1"), against("hd_usb", "a", "hv1")])
def test_a_finding_without_destination_rules_out_all(finding: t.Any) -> None:
    made = plan([host("hv2", 9000), host("hv3", 9000)], [domain("a")], [finding])
    assert reasons(made) == {"a": [(finding["check"], None)]}


@pytest.mark.parametrize(
    "finding",
    [
        against("host_not_same", source="hv9", destination="hv2"),
        against("disk_same_object", "b", "hv1", "hv2"),
        against("disk_same_object", "a", "hv9", "hv2"),
        against("hd_usb", "a", "hv1", blocks=False),
    ],
)
def test_findings_about_others_and_mere_warnings_rule_nothing_out(finding: t.Any) -> None:
    assert ways(plan([host("hv2", 9000)], [domain("a")], [finding])) == {"a": "hv2"}


def test_a_stay_has_all_reasons_for_every_destination() -> None:
    findings = [
        against("snapshots_present", "a", "hv1"),
        against("disk_same_object", "a", "hv1", "hv2"),
        against("host_daemon_alive", destination="hv3"),
    ]
    made = plan([host("hv2", 100), host("hv3", 9000)], [domain("a")], findings)
    assert reasons(made)["a"] == [
        ("snapshots_present", None),
        ("disk_same_object", "hv2"),
        ("mem_capacity_dest", "hv2"),
        ("host_daemon_alive", "hv3"),
    ]


def test_a_capacity_that_preflight_has_named_is_not_named_again() -> None:
    made = plan([host("hv2", 100)], [domain("a")], [against("mem_capacity_dest", "a", "hv1", "hv2")])
    assert reasons(made) == {"a": [("mem_capacity_dest", "hv2")]}


@pytest.mark.parametrize("given", [[], [against("guest_state", "a", "hv1")]])
def test_what_does_not_run_stays_with_that_one_reason(given: list[t.Any]) -> None:
    made = plan([host("hv2", 100)], [domain("a", state="shutoff")], given)
    assert made["stays"][0]["state"] == "shutoff"
    assert reasons(made) == {"a": [("guest_state", None)]}


@pytest.mark.parametrize("fact", ["persistent", "autostart", "memory_mib", "vcpus"])
def test_a_fact_that_a_move_needs_and_nobody_knows_keeps_the_domain(fact: str) -> None:
    unsure = domain("a")
    del unsure[fact]
    unsure["unknown"].append({"fact": fact, "reason": "libvirt did not tell"})
    found = plan([host("hv2", 9000)], [unsure])["stays"][0]["reasons"]
    assert [finding["status"] for finding in found] == ["unknown"]
    assert "libvirt did not tell" in found[0]["message"]


def test_no_destination_but_the_own_host_is_a_reason() -> None:
    made = api.make_plan([host("hv1", 9000)], [domain("a")], [], ["hv1"], ["hv1"], policy("hv1"))
    assert reasons(made) == {"a": [("host_not_same", None)]}


def test_namesakes_from_two_sources_do_not_go_to_one_destination() -> None:
    hosts = [host(name, 9000) for name in ("hv1", "hv2", "hv3", "hv4")]
    twins = [domain("web", on="hv1", uuid="one"), domain("web", on="hv2", uuid="two")]
    made = api.make_plan(hosts, twins, [], ["hv1", "hv2"], ["hv3", "hv4"], policy("hv3", "hv4"))
    assert [(move["uuid"], move["destination"]) for move in made["moves"]] == [("one", "hv3"), ("two", "hv4")]
    made = api.make_plan(hosts, twins, [], ["hv1", "hv2"], ["hv3"], policy("hv3"))
    assert reasons(made) == {"web": [("dst_domain_name_conflict", "hv3")]}


@pytest.mark.parametrize("given", [[], ["hv1", "hv2"]])
def test_a_uuid_that_runs_on_two_sources_moves_nowhere(given: list[str]) -> None:
    hosts = [host(name, 9000) for name in ("hv1", "hv2", "hv3", "hv4")]
    twins = [domain("web", on="hv1", uuid="one"), domain("web", on="hv2", uuid="one")]
    findings = [against("dst_domain_uuid_running", "web", source) for source in given]
    made = api.make_plan(hosts, twins, findings, ["hv1", "hv2"], ["hv3", "hv4"], policy("hv3", "hv4"))
    assert made["moves"] == []
    assert [[finding["check"] for finding in stay["reasons"]] for stay in made["stays"]] == [
        ["dst_domain_uuid_running"],
        ["dst_domain_uuid_running"],
    ]


def test_a_definition_on_another_source_is_no_twin() -> None:
    hosts = [host(name, 9000) for name in ("hv1", "hv2", "hv3")]
    twins = [domain("web", on="hv1", uuid="one"), domain("web", on="hv2", uuid="one", state="shutoff")]
    made = api.make_plan(hosts, twins, [], ["hv1", "hv2"], ["hv3"], policy("hv3"))
    assert ways(made) == {"web": "hv3"}
    assert reasons(made) == {"web": [("guest_state", None)]}


def test_domains_of_other_hosts_are_left_out() -> None:
    made = plan([host("hv2", 9000)], [domain("a", on="hv5")])
    assert (made["moves"], made["stays"]) == ([], [])


def test_without_destinations_there_is_no_plan() -> None:
    with pytest.raises(LivemigError, match="Destinations: none"):
        api.make_plan([], [domain("a")], [], ["hv1"], [], policy())


@pytest.mark.parametrize("option", ["uris", "addresses"])
def test_a_destination_that_is_used_must_be_reachable(option: str) -> None:
    with pytest.raises(LivemigError, match=f"Option {option}: nothing for hv2"):
        plan([host("hv2", 9000)], [domain("a")], (), **{option: {}})


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("198.51.100.2", "tcp://198.51.100.2"),
        ("2001:db8::2", "tcp://[2001:db8::2]"),
        ("hv2.example.com", "tcp://hv2.example.com"),
    ],
)
def test_migrate_uri(address: str, uri: str) -> None:
    assert migrate_uri(address) == uri


def _random_case(seed: int) -> tuple[list[t.Any], list[t.Any], list[t.Any]]:
    rng = random.Random(seed)
    hosts = [
        host(f"hv{number}", rng.choice([None, *range(0, 9000, 700)]), rng.randint(0, 3000))
        for number in range(2, 2 + rng.randint(1, 4))
    ]
    domains = [
        domain(f"d{number}", rng.randint(1, 4096), hugepages=rng.random() < 0.3, vcpus=rng.randint(1, 8))
        for number in range(rng.randint(0, 9))
    ]
    findings = [
        against(
            rng.choice(["disk_same_object", "mem_capacity_dest", "host_daemon_alive"]),
            rng.choice([None, *(entry["name"] for entry in domains)]),
            rng.choice([None, "hv1", "hv9"]),
            rng.choice([None, *(entry["name"] for entry in hosts)]),
            rng.random() < 0.7,
        )
        for _number in range(rng.randint(0, 6))
    ]
    return hosts, domains, findings


def _rules_out(finding: t.Any, move: t.Any) -> bool:
    return finding["blocks"] and all(
        finding[part] in (None, move[part]) for part in ("domain", "source", "destination")
    )


@pytest.mark.parametrize("seed", range(300))
def test_properties(seed: int) -> None:
    hosts, domains, findings = _random_case(seed)
    given = copy.deepcopy((hosts, domains, findings))
    reserve = seed % 3 * 400
    made = plan(hosts, domains, findings, memory_reserve_mib=reserve)
    assert (hosts, domains, findings) == given, "the input was changed"
    needs = {entry["name"]: required_memory_mib(entry) for entry in domains}
    assert sorted([*ways(made), *reasons(made)]) == sorted(needs), "every domain moves or stays, and once"
    for entry in hosts:
        there = sum(needs[name] for name, place in ways(made).items() if place == entry["name"])
        assert there == 0 or there <= entry["memory"]["available_mib"] - reserve
        assert _pages_left(made, entry, domains) >= 0
    assert not [1 for move in made["moves"] for finding in findings if _rules_out(finding, move)]
    _stays_could_not_move(made, hosts, domains, findings, reserve)
    shuffled = plan(hosts, random.Random(seed).sample(domains, len(domains)), findings, memory_reserve_mib=reserve)
    assert shuffled == made, "the order of the domains does not matter"


def _pages(entry: t.Any) -> int:
    return -(-entry["memory_mib"] // 2) if entry["hugepages"] else 0


def _pages_left(made: t.Any, there: t.Any, domains: t.Sequence[t.Any]) -> int:
    taken = sum(_pages(entry) for entry in domains if ways(made).get(entry["name"]) == there["name"])
    return int(there["ram"]["cells"][0]["pages"][0]["free"]) - taken


def _stays_could_not_move(
    made: t.Any, hosts: t.Sequence[t.Any], domains: t.Sequence[t.Any], findings: t.Sequence[t.Any], reserve: int
) -> None:
    """Against each destination of a stay there is a finding, or what is left of its memory in the end is too little."""
    needs = {entry["name"]: required_memory_mib(entry) for entry in domains}
    pages = {entry["name"]: _pages(entry) for entry in domains}
    for stay in made["stays"]:
        assert stay["reasons"]
        for entry in hosts:
            move = {"domain": stay["domain"], "source": "hv1", "destination": entry["name"]}
            taken = sum(needs[name] for name, place in ways(made).items() if place == entry["name"])
            left = entry["memory"]["available_mib"] - reserve - taken if "memory" in entry else 0
            few = _pages_left(made, entry, domains) < pages[stay["domain"]]
            assert few or any(_rules_out(finding, move) for finding in findings) or left < needs[stay["domain"]]
            assert [finding for finding in stay["reasons"] if finding["destination"] in (None, entry["name"])]


def test_the_digest_is_that_of_the_rest() -> None:
    made = plan([host("hv2", 2000)], [domain("a"), domain("b")])
    again: t.Any = json.loads(json.dumps(made, indent=3))
    assert made["digest"] == api.digest(again) and len(made["digest"]) == 64
    again["digest"] = "x"
    assert api.digest(again) == made["digest"]


@pytest.mark.parametrize(("free", "moves"), [(1023, {"a": "hv2"}), (1024, {"a": "hv2", "b": "hv2"})])
def test_two_guests_do_not_get_the_same_huge_pages(free: int, moves: dict[str, str]) -> None:
    made = plan([host("hv2", 9000, free)], [on_pages("a"), on_pages("b")])
    assert ways(made) == moves
    if len(moves) == 1:
        assert reasons(made) == {"b": [("mem_hugepages_free", "hv2")]}
        message = made["stays"][0]["reasons"][0]["message"]
        assert "511 of 2048 KiB each are left, 1 earlier moves; expected 512 for domain b" in message


def test_each_page_size_is_a_pool_of_its_own() -> None:
    made = plan([host("hv2", 9000, 512)], [on_pages("a"), on_pages("b", size="1048576")])
    assert ways(made) == {"a": "hv2", "b": "hv2"}


@pytest.mark.parametrize(
    ("nodes", "moves"), [(("0", "1"), ["a", "b"]), (("0", "0"), ["a"]), (("0-1", "1"), ["a"]), ((None, "1"), ["a"])]
)
def test_huge_pages_are_counted_by_node(nodes: tuple[str | None, str], moves: list[str]) -> None:
    guests = [on_pages(name, nodeset=nodeset) for name, nodeset in zip("ab", nodes, strict=True)]
    assert list(ways(plan([host("hv2", 9000, 600, 600)], guests))) == moves


def test_huge_pages_that_are_not_known_keep_only_guests_on_them() -> None:
    made = plan([host("hv2", 9000)], [domain("a"), on_pages("b")])
    assert ways(made) == {"a": "hv2"}
    (reason,) = made["stays"][0]["reasons"]
    assert (reason["check"], reason["status"], reason["blocks"]) == ("mem_hugepages_free", "unknown", True)
    assert "ram.hugepage_kib of host hv2 was not observed" in reason["message"]


@pytest.mark.parametrize("check", ["mem_hugepages_free", "host_daemon_alive"])
def test_huge_pages_that_preflight_has_named_are_not_named_again(check: str) -> None:
    made = plan([host("hv2", 9000, 0)], [on_pages("a")], [against(check, "a", "hv1", "hv2")])
    assert reasons(made) == {"a": [(check, "hv2")]}


def test_huge_pages_of_a_guest_that_are_not_known_keep_it() -> None:
    unsure = domain("a", hugepages=True, lists={})
    (reason,) = plan([host("hv2", 9000, 9000)], [unsure])["stays"][0]["reasons"]
    assert (reason["check"], reason["status"], reason["destination"]) == ("mem_capacity_dest", "unknown", None)


class _Counted(dict[str, t.Any]):
    """A finding or a domain that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, key: str) -> t.Any:
        self.looks += 1
        return super().__getitem__(key)


def test_what_concerns_others_is_not_looked_at_again_for_each_domain() -> None:
    hosts = [host(f"hv{number}", 90000) for number in range(2, 12)]
    domains = [_Counted(domain(f"d{number}")) for number in range(80)]
    findings = [
        _Counted(against("host_not_same", None, "hv9", "hv2")),
        _Counted(against("host_daemon_alive", None, None, "hv99")),
        _Counted({**against("net_bridge_exists", "d1", "hv1", "hv99"), "status": "edited"}),
    ]
    assert len(plan(hosts, domains, findings)["moves"]) == len(domains)
    assert max(finding.looks for finding in findings) < 10
    assert max(entry.looks for entry in domains) < len(domains)


def test_reasons_come_in_the_order_of_the_findings() -> None:
    findings = [
        against("disk_same_object", "a", "hv1", "hv2"),
        against("host_not_same", None, "hv1", "hv2"),
        against("host_daemon_alive", None, None, "hv2"),
        against("host_clock_skew", None, "hv1", "hv2"),
    ]
    made = plan([host("hv2", 9000)], [domain("a")], findings)
    assert [check for check, _there in reasons(made)["a"]] == [
        "host_not_same",
        "host_daemon_alive",
        "host_clock_skew",
        "disk_same_object",
    ]


@pytest.mark.parametrize("key", ["tls", "destinations", "moves", "stays"])
def test_the_digest_covers_everything_else(key: str) -> None:
    made = plan([host("hv2", 2000)], [domain("a"), domain("b")])
    other: t.Any = {**made, key: []}
    assert api.digest(other) != made["digest"]
