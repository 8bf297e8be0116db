# SPDX-License-Identifier: GPL-3.0-or-later

"""A destination's virtual functions are promised once, and the pause of failover is part of the forecast."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.plan.fleet import domain, host, plan, ways

BLANK: dict[str, t.Any] = {"network": None, "managed": "yes", "domain": "0", "bus": "1", "slot": "16"}
BACKING = {"hugepages": False, "allocation": None, "locked": False}


def entry(number: int, port: str = "eth1") -> dict[str, t.Any]:
    return {
        **{"address": f"0000:01:10.{number}", "kind": "8086:10ca", "driver": "igbvf", "others": [], "net": None},
        **{"port": port, "pf": "0000:01:00.0", "pf_link": "up", "migratable": False, "trust": None},
        "spoof_check": None,
    }


def with_functions(name: str, numbers: t.Sequence[int], port: str = "eth1", given: int | None = None) -> t.Any:
    gives = None if given is None else {"total": 2, "used": 2 - given, "addresses": [], "active": True}
    return {
        **host(name, 90000),
        "nodedevs": {"vfs": [entry(number, port) for number in numbers], "held": [], "defined": {}},
        "net": {"networks": {"vfs": {"functions": gives}}},
    }


def guest(name: str, *numbers: int, network: str | None = None) -> t.Any:
    devices = [
        {
            **{"type": "pci", "mode": "interface", "description": f"interface {number}", "teaming": "transient"},
            "more": {**BLANK, "function": str(number), "network": network},
        }
        for number in numbers
    ]
    return domain(name, hostdevs=devices, label=None)


HERE = with_functions("hv1", [0, 1, 2, 3], given=0)
GUESTS = [guest("a", 0), guest("b", 1), guest("c", 2)]


@pytest.mark.parametrize(("free", "moved"), [([], ["a", "b", "c"]), ([0], ["a"]), ([0, 1], ["a", "b"])])
def test_each_function_is_promised_once(free: list[int], moved: list[str]) -> None:
    """None at all is preflight's to say."""
    made = plan([HERE, with_functions("hv2", free)], GUESTS)
    assert sorted(ways(made)) == moved
    for stay in made["stays"]:
        (reason,) = stay["reasons"]
        assert reason["check"] == "hd_free_vf_dest" and reason["blocks"]
        assert f"0 of {len(free)} free ones are left, {len(moved)} earlier moves" in reason["message"]


def test_the_next_destination_takes_what_the_first_has_no_function_for() -> None:
    made = plan([HERE, with_functions("hv2", [0, 1]), with_functions("hv3", [0])], GUESTS)
    assert ways(made) == {"a": "hv2", "b": "hv2", "c": "hv3"} and made["stays"] == []


def test_a_guest_with_two_needs_two() -> None:
    made = plan([HERE, with_functions("hv2", [0, 1])], [guest("a", 0), guest("b", 1, 2)])
    assert ways(made) == {"a": "hv2"}


def test_a_network_of_functions_gives_out_each_once() -> None:
    """Its own are counted, whatever functions the host has besides."""
    guests = [guest(name, number, network="vfs") for number, name in enumerate("abc")]
    made = plan([HERE, with_functions("hv2", [0, 1, 2, 3], given=1)], guests)
    assert ways(made) == {"a": "hv2"}


def test_a_port_that_is_mapped_is_the_one_that_counts() -> None:
    edit = {"kind": "parent", "item": None, "old": "eth1", "new": "eth3"}
    said = {"check": "hd_free_vf_dest", "status": "edited", "blocks": False, "source": "hv1", "destination": "hv2"}
    findings = [{**said, "domain": each["name"], "edit": edit} for each in GUESTS]
    made = plan([HERE, with_functions("hv2", [0], "eth3")], GUESTS, findings)
    assert sorted(ways(made)) == ["a"]


ANSWERS = {"hv2": {"fill:memory": {"mib_s": 1536}}}


def bare(label: str | None = "<p>vf-gap</p>", teaming: str | None = None) -> t.Any:
    one = guest("a", 0)
    one["hostdevs"][0]["teaming"], one["label"] = teaming, label
    return one


def test_how_long_a_guest_without_a_standby_is_without_network_is_said() -> None:
    """The whole migration, and 1024 MiB at the rate that the destination has measured, and half as long for pinning."""
    move = planned("replug", bare(), answers=ANSWERS)
    assert move["way"]["vf_gap"] and move["forecast"]["total_ms"] is not None
    expected = f": about {move['forecast']['total_ms'] + 1000} ms, of which 1000 ms are for pinning its memory"
    assert move["way"]["vf_reason"].endswith(expected)


def test_a_gap_that_nobody_can_forecast_is_said_to_be_unknown() -> None:
    move = planned("replug", bare(), history=[])
    assert move["forecast"]["total_ms"] is None
    assert move["way"]["vf_reason"].endswith("is off: for how long is not known")


def test_a_standby_leaves_no_gap_whatever_the_label_allows() -> None:
    move = planned("replug", bare(teaming="transient"), answers=ANSWERS)
    assert move["way"]["vf_gap"] and move["way"]["vf_reason"].endswith("is off")


def forecast(vf: str, **more: t.Any) -> t.Any:
    return planned(vf, guest("a", 0), **more)["forecast"]


def planned(vf: str, one: t.Any, **more: t.Any) -> t.Any:
    one["settings"]["memory_backing"] = BACKING
    one.update(dirty_mib_s=1.0, resident_mib=512)
    ran = {
        "uuid": one["uuid"],
        "source": "hv1",
        "destination": "hv2",
        "downtime": {"compute_ms": 50, "libvirt_ms": 50, "network_ms": None},
        "convergence": {"dirty_mib_s": 1.0, "working_set_mib": 4.0, "link_mib_s": 100.0, "stopped_with_mib": 1.0},
    }
    more = {"history": [ran], **more}
    made = plan([HERE, with_functions("hv2", [0])], [one], migration={"vf": vf}, **more)
    (move,) = made["moves"]
    assert move["way"]["vf"] == vf
    return move


def test_the_pause_of_failover_is_part_of_what_is_expected() -> None:
    """1024 MiB of 4 KiB pages at the rate that the destination has measured, and half as long for pinning."""
    patient = {"convergence": {"settings": {"ceiling_ms": 5000}}}
    plain = forecast("replug", **patient)
    assert plain["blackout_ms"] is not None
    answers = {"hv2": {"fill:memory": {"mib_s": 1536}}}
    stalled = forecast("failover", answers=answers, **patient)
    assert stalled["blackout_ms"] == plain["blackout_ms"] + 1000
    assert stalled["total_ms"] == plain["total_ms"] + 1000
    assert "about 1000 ms are for pinning" in stalled["reason"]


def test_a_ceiling_that_only_the_pinning_breaks_is_not_said_to_be_kept() -> None:
    """900 ms of pinning are within a second; with what every pause takes they are not."""
    answers = {"hv2": {"fill:memory": {"mib_s": 1536 / 0.95}}}
    stalled = forecast("failover", answers=answers)
    assert forecast("replug", answers=answers)["verdict"] == "converges"
    assert (stalled["verdict"], stalled["blackout_ms"]) == ("cannot", None)
    assert "without any memory left it needs 1.01 s pause, ceiling 1.0 s" in stalled["reason"]
