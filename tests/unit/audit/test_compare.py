# SPDX-License-Identifier: GPL-3.0-or-later

"""What became worse, better or different since the audit before."""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.plugin_utils._audit import api
from tests.unit.audit.scenes import audit, domain, pair, told


def since(before: t.Any, domains: t.Sequence[t.Any], findings: t.Sequence[t.Any] = (), **options: t.Any) -> t.Any:
    found = audit(domains, findings, before, **options)["since"]
    assert found is not None
    return found


def shut(name: str, *hosts: str) -> list[t.Any]:
    return [pair(name, host, f"no br-x on {host}") for host in hosts]


def test_nothing() -> None:
    before = audit([domain("a")], finished=7)
    assert since(before, [domain("a")]) == {"finished": 7, "worse": [], "better": [], "changed": []}


def test_trapped_and_freed() -> None:
    good, bad = audit([domain("a")]), audit([domain("a")], shut("a", "hv2", "hv3"))
    (worse,) = since(good, [domain("a")], shut("a", "hv2", "hv3"))["worse"]
    assert (worse["what"], worse["domains"], worse["obstacles"]) == ("trapped", ["a"], [0, 1])
    found = since(bad, [domain("a")])
    assert told(found["better"]) == [("freed", ["a"], ["hv2", "hv3"])]
    assert found["worse"] == []


def test_destinations_lost_and_gained_with_the_reasons() -> None:
    before = audit([domain("a")], shut("a", "hv2"))
    found = since(before, [domain("a")], shut("a", "hv3"))
    assert told(found["worse"]) == [("lost", ["a"], ["hv3"])]
    assert told(found["better"]) == [("gained", ["a"], ["hv2"])]
    assert found["worse"][0]["obstacles"] == [0]


def test_domains_with_the_same_fate_are_one_difference() -> None:
    domains = [domain(name) for name in "abcdefghij"]
    findings = [finding for name in "abcdefghij" for finding in shut(name, "hv2")]
    (worse,) = since(audit(domains), domains, findings)["worse"]
    assert worse["domains"] == list("abcdefghij")
    assert worse["message"] == "a, b, c, d, e, f, g, h and 2 more: can no longer go to hv2"


def test_a_host_that_no_longer_answers_and_one_that_does_again() -> None:
    domains = [domain("a"), domain("b", on="hv3")]
    silent = audit(domains[:1], silent={"hv3": "timed out"})
    found = since(audit(domains), domains[:1], silent={"hv3": "timed out"})
    assert told(found["worse"]) == [("silent", [], []), ("lost", ["a"], ["hv3"])]
    assert told(found["changed"]) == [("unseen", ["b"], [])]
    found = since(silent, domains)
    assert told(found["better"]) == [("answers", [], []), ("gained", ["a"], ["hv3"])]


def test_what_was_not_looked_at_then_has_not_become_worse() -> None:
    domains = [domain("a"), domain("b", on="hv3")]
    found = since(audit(domains[:1], silent={"hv3": "timed out"}), domains, shut("b", "hv1", "hv2"))
    assert found["worse"] == []
    assert ("new", ["b"], []) in told(found["changed"])


def test_domains_that_come_go_move_start_and_stop() -> None:
    before = [domain("gone"), domain("moved"), domain("stopped"), domain("started", state="shutoff")]
    now = [domain("new"), domain("moved", on="hv2"), domain("stopped", state="shutoff"), domain("started")]
    found = since(audit(before), now)
    assert told(found["changed"]) == [
        ("new", ["new"], []),
        ("gone", ["gone"], []),
        ("moved", ["moved"], []),
        ("stopped", ["stopped"], []),
        ("started", ["started"], []),
    ]
    assert (found["worse"], found["better"]) == ([], [])


def test_a_new_domain_that_is_trapped_is_worse() -> None:
    found = since(audit([]), [domain("a")], shut("a", "hv2", "hv3"))
    assert told(found["worse"]) == [("trapped", ["a"], [])]


def test_active_twice_and_once_again() -> None:
    once, twice = [domain("a")], [domain("a"), domain("a", on="hv2")]
    assert ("twice", ["a"], []) in told(since(audit(once), twice)["worse"])
    assert ("once", ["a"], []) in told(since(audit(twice), once)["better"])


def test_hosts_that_come_and_go() -> None:
    before = audit([domain("a")], hosts=("hv1", "hv2"))
    found = since(before, [domain("a")], hosts=("hv1", "hv3"))
    assert told(found["changed"]) == [("host_new", [], []), ("host_gone", [], [])]
    assert told(found["worse"]) == [("lost", ["a"], ["hv2"])]


def test_the_text_says_it_with_the_reasons() -> None:
    made = audit([domain("a")], shut("a", "hv2", "hv3"), previous=audit([domain("a")], finished=0), finished=60)
    text = api.table(made)
    assert "Worse since the audit of 1970-01-01 00:00 UTC: 1\n  - a: can go nowhere now.\n" in text
    assert "      Network of domain a: no br-x on hv2; expected" in text
