# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy at the wheel of real migrations, over a link too slow for the guest: it is aborted, or paused for as
long as was computed, or slowed down; and a guest that converges is left alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench import migrate
from tests.integration.conftest import place_of
from tests.lab import api, enter
from tests.lab.places import places

MBIT_S = 320
BUSY, QUIET = "busy1", "calm1"
PAIR = ("hv1", "hv2")


@pytest.fixture(scope="module")
def slow_link(lab: None) -> Iterator[None]:
    """Between the hosts, as a token bucket on their bridges."""
    for host in PAIR:
        shape = f"tc qdisc replace dev br0 root tbf rate {MBIT_S}mbit burst 256k latency 100ms"
        api.exec_on(host, ["sh", "-c", shape], check=True)
    migrate.install()
    yield
    for host in PAIR:
        api.exec_on(host, ["sh", "-c", "tc qdisc del dev br0 root"])


@pytest.fixture
def busy(slow_link: None) -> Iterator[str]:
    """160 MiB written at about 100 MiB/s, over a link that carries less than 40."""
    api.guest_stop(BUSY)
    api.guest_start("hv1", BUSY, disk="shared", memory_mib=384, dirty="160@100")
    yield BUSY
    api.guest_stop(BUSY)


def moved(name: str, /, **profile: Any) -> dict[str, Any]:
    """The outcome of its move from hv1 to hv2."""
    source, destination = PAIR
    migrate.arguments([name], source, destination)
    path = places().shared / migrate.ARGUMENTS
    given = json.loads(path.read_text(encoding="utf-8"))
    given["ANSIBLE_MODULE_ARGS"]["tls"] = "off"
    given["ANSIBLE_MODULE_ARGS"]["moves"][0]["profile"] = profile
    path.write_text(json.dumps(given), encoding="utf-8")
    environment = {**(enter.environment(source) or {}), "PYTHONPATH": f"/srv/shared/{migrate.PACKED}"}
    words = [*enter.prefix(source), "/usr/bin/python3", "-m", migrate.MODULE, f"/srv/shared/{migrate.ARGUMENTS}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert isinstance(outcome, dict)
    return outcome


def actions(outcome: dict[str, Any]) -> list[str]:
    return [decision["action"] for decision in outcome["decisions"]]


def limit_ms(host: str, name: str) -> int:
    return int(api.exec_on(host, ["virsh", "-q", "migrate-getmaxdowntime", name], check=True).stdout)


def test_it_is_aborted_with_the_figures_and_nothing_is_left_changed(busy: str) -> None:
    outcome = moved(busy, throttle=False)
    assert (outcome["state"], outcome["running_on"], actions(outcome)[-1]) == ("failed", "hv1", "abort")
    assert "aborted by its policy: needs " in outcome["error"] and "ceiling 1.0 s" in outcome["error"]
    assert len(outcome["samples"]) <= 3
    # Now it is known what the guest is like, so the limit is lowered from the beginning.
    again = moved(busy, throttle=False)
    assert again["forecast"]["verdict"] == "cannot" and actions(again)[-1] == "abort"
    assert limit_ms("hv1", busy) == 300
    assert place_of(busy) == ["hv1"]


def test_the_pause_is_what_was_computed(busy: str) -> None:
    outcome = moved(busy, ceiling_ms=6000)
    assert (outcome["state"], outcome["breach"]) == ("moved", None)
    assert actions(outcome)[-1] == "raise_downtime"
    sample, link = outcome["samples"][-1], outcome["convergence"]["link_mib_s"]
    assert outcome["downtime"]["compute_ms"] == pytest.approx(sample["remaining_mib"] / link * 1000, rel=0.25)
    assert place_of(busy) == ["hv2"]


def test_it_is_slowed_down_and_arrives_within_the_ceiling_or_stays(busy: str) -> None:
    """Without hardware virtualisation it writes fast even so; what would not answer any more is let go."""
    outcome = moved(busy)
    # It may be known from an earlier run: then it is slowed down from the beginning.
    throttles = [sample["throttle"] for sample in outcome["samples"]]
    assert any(throttles) and all(throttle <= 85 for throttle in throttles[:-1])
    assert outcome["breach"] is None
    if outcome["state"] == "moved":
        assert outcome["downtime"]["compute_ms"] <= 1000 and place_of(busy) == ["hv2"]
    else:
        assert "aborted by its policy: needs " in outcome["error"] and place_of(busy) == ["hv1"]


@pytest.mark.parametrize("profile", [{}, {"name": "deadline", "obstacles": []}])
def test_a_guest_that_converges_is_left_alone(slow_link: None, profile: dict[str, Any]) -> None:
    """With post-copy allowed from the beginning, too: QEMU may count its passes otherwise then."""
    api.guest_stop(QUIET)
    api.guest_start("hv1", QUIET, disk="shared")
    try:
        outcome = moved(QUIET, **profile)
        assert (outcome["state"], outcome["breach"]) == ("moved", None)
        assert set(actions(outcome)) <= {"continue"}
        assert place_of(QUIET) == ["hv2"]
    finally:
        api.guest_stop(QUIET)
