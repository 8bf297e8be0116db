# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move may cost and what it is expected to cost: the run's profile, the domain's label, and what is known."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError, plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api as preflight
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import postcopy_obstacles, registry
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.convergence import convergence
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.promise import expected
from tests.unit.plan.fleet import domain, host, policy

LABEL = "<label xmlns='urn:livemig:policy:1'>{}</label>"


def plan(*domains: t.Any, **changes: t.Any) -> t.Any:
    wanted = {**policy("hv2"), "convergence": convergence(changes.pop("convergence", {})), **changes}
    return api.make_plan([host("hv1", 9000), host("hv2", 9000)], domains, [], ["hv1"], ["hv2"], wanted)


def ran(uuid: str, link: float, dirty: float, wide: float, **changes: t.Any) -> dict[str, t.Any]:
    """What run_info tells of an earlier run."""
    return {
        "uuid": uuid,
        "source": "hv1",
        "destination": "hv2",
        "downtime": {"compute_ms": None, "libvirt_ms": None, "network_ms": None},
        "convergence": {
            "dirty_mib_s": dirty,
            "working_set_mib": wide,
            "link_mib_s": link,
            "stopped_with_mib": None,
        },
        **changes,
    }


def test_a_label_goes_before_the_run_and_the_run_before_the_profile() -> None:
    wanted = {"profile": "gentle", "ceiling_ms": 800}
    made = plan(
        domain("plain"),
        domain("own", label=LABEL.format("worth=0.3 gold")),
        domain("other", label=LABEL.format("profile=deadline")),
        convergence=wanted,
    )
    by_name = {move["domain"]: move["profile"] for move in made["moves"]}
    assert (by_name["plain"]["name"], by_name["plain"]["ceiling_ms"]) == ("gentle", 800)
    assert (by_name["own"]["ceiling_ms"], by_name["own"]["worth"]) == (800, 0.3)
    assert (by_name["other"]["name"], by_name["other"]["ceiling_ms"]) == ("deadline", 5000)


def test_a_label_that_cannot_be_meant_keeps_the_domain_where_it_is() -> None:
    made = plan(domain("a", label=LABEL.format("celing_ms=100")), domain("b"))
    assert [move["domain"] for move in made["moves"]] == ["b"]
    (reason,) = made["stays"][0]["reasons"]
    assert reason["check"] == "guest_migration_policy_tag" and "celing_ms" in reason["message"]


def test_a_target_of_the_run_is_lowered_to_the_ceiling_of_a_label() -> None:
    label = LABEL.format("ceiling_ms=500")
    made = plan(domain("a", label=label), convergence={"ceiling_ms": 2000, "target_ms": 800})
    assert made["stays"] == []
    assert (made["moves"][0]["profile"]["ceiling_ms"], made["moves"][0]["profile"]["target_ms"]) == (500, 500)


def test_a_label_that_says_a_setting_twice_keeps_the_domain_where_it_is() -> None:
    made = plan(domain("a", label=LABEL.format("ceiling_ms=500 ceiling_ms=5000")))
    (reason,) = made["stays"][0]["reasons"]
    assert "ceiling_ms=500 and ceiling_ms=5000" in reason["message"]


@pytest.mark.parametrize("link", [-1, "x", True, False, float("inf"), float("nan"), "1e999", 10**400, None])
def test_what_no_link_carries_is_refused(link: t.Any) -> None:
    with pytest.raises(LivemigError, match="livemig_convergence: link_mib_s"):
        convergence({"link_mib_s": link})


@pytest.mark.parametrize("wanted", [{"profile": "reckless"}, {"ceiling": 1}, {"ceiling_ms": "much"}])
def test_what_is_not_there_is_refused(wanted: dict[str, t.Any]) -> None:
    with pytest.raises(LivemigError, match="livemig_convergence"):
        convergence(wanted)


def test_nothing_known_is_unknown_and_history_tells() -> None:
    (unknown,) = plan(domain("a", 1024))["moves"]
    assert unknown["forecast"]["verdict"] == "unknown"
    history = [ran("uuid-of-a", 100.0, 20.0, 100.0)]
    (known,) = plan(domain("a", 1024, resident_mib=500), history=history)["moves"]
    assert known["forecast"]["verdict"] == "converges" and known["forecast"]["touched_mib"] == 500
    assert 5000 < known["forecast"]["total_ms"] < 8000


def test_the_link_is_known_from_any_domain_and_the_guest_from_itself() -> None:
    history = [ran("somebody", 100.0, 90.0, 900.0), ran("uuid-of-a", 7.0, 20.0, 100.0, destination="hv3")]
    (move,) = plan(domain("a"), history=history)["moves"]
    assert (move["forecast"]["link_mib_s"], move["forecast"]["dirty_mib_s"]) == (100, 20)


def test_what_the_user_says_of_the_link_holds_until_it_was_seen() -> None:
    (move,) = plan(domain("a", dirty_mib_s=20), convergence={"link_mib_s": 50})["moves"]
    assert move["forecast"]["link_mib_s"] == 50
    (seen,) = plan(domain("a"), convergence={"link_mib_s": 50}, history=[ran("b", 80.0, 1.0, 1.0)])["moves"]
    assert seen["forecast"]["link_mib_s"] == 80


def test_why_it_is_not_expected_to_arrive_is_said() -> None:
    made = plan(domain("a", 1024), history=[ran("uuid-of-a", 100.0, 400.0, 900.0)], convergence={"throttle": False})
    assert made["moves"][0]["forecast"]["verdict"] == "cannot"
    assert "a is not expected to arrive: needs " in api.table(made)


@pytest.mark.parametrize(("resident", "huge", "touched"), [(90, False, 90), (90, True, 1024), (5000, False, 1024)])
def test_what_is_touched(resident: int, huge: bool, touched: int) -> None:
    """Huge pages do not count as resident, and QEMU has memory of its own."""
    guest = domain("a", 1024, resident_mib=resident, hugepages=huge)
    assert expected(guest, "hv2", plain_way(), policy("hv2")).touched_mib == touched


def test_postcopy_that_could_not_be_judged_is_in_its_own_way() -> None:
    """The hosts of this fleet tell nothing of userfaultfd or of their libvirt."""
    (move,) = plan(domain("a"), convergence={"profile": "deadline"})["moves"]
    assert any(text.startswith("conv_postcopy_available: ") for text in move["profile"]["obstacles"])
    (move,) = plan(domain("a"))["moves"]
    assert move["profile"]["obstacles"] == []


def test_the_checks_of_postcopy_exist() -> None:
    assert set(preflight._OF_POSTCOPY) <= set(registry())
    assert callable(postcopy_obstacles)
