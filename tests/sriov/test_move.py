# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with a VF is moved by the collection: there by an evacuation, back by the module; and what fails."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.blackout import PROBER, Watched
from tests.lab.guests import Started
from tests.lab.hosts import CONTROLLER
from tests.lab.run import wait_until
from tests.sriov import domain, enter, guests, product, seen
from tests.sriov.hosts import BY_NAME, places

HERE, THERE = BY_NAME["sr1"], BY_NAME["sr2"]
NAME = "mover"
SLOW_MIB_S = 2
UNDER_WAY_S = 120.0
EVERY_S = 0.25
LONGEST_MS = 15_000
"""Under load an emulated machine stands still for seconds; a guest that lost its network does not come back at all."""


@pytest.fixture(scope="module")
def lab(sriov_lab: None) -> Iterator[None]:
    for host in (HERE, THERE):
        product.install(host)
    yield
    guests.stop(places(), NAME)


@pytest.fixture
def guest(lab: None) -> Started:
    """On sr1, with its VF up; begun anew only after a test that has moved or harmed it."""
    if seen.runs_on(NAME) != [HERE.name] or seen.has_its_nics(HERE, NAME):
        guests.stop(places(), NAME)
    found = guests.start(places(), HERE, domain.Guest(NAME))
    assert seen.has_both(HERE, NAME), seen.drivers(HERE, NAME)
    return found


@contextlib.contextmanager
def talking(guest: Started) -> Iterator[None]:
    """Somebody talks with it: of a guest to which nobody does, nobody knows whether its standby carries."""
    words = enter.words(CONTROLLER, ("python3", "-c", PROBER, guest.address, str(EVERY_S)))
    talker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        talker.kill()
        talker.wait()


def phases(outcome: dict[str, object]) -> dict[str, float]:
    """Name -> milliseconds, of the first of each name."""
    listed = outcome["phases"]
    assert isinstance(listed, list)
    return {entry["name"]: entry["at_ms"] for entry in reversed(listed)}


def test_an_aborted_migration_gives_it_back(guest: Started, turn: int) -> None:
    del turn  # --times
    boots, had = seen.boot_ids(HERE, NAME), seen.vf_of(HERE, NAME)
    with talking(guest):
        running = product.begin(HERE, "migrate", product.migration(_slow()))
        assert wait_until(_under_way, UNDER_WAY_S, 1.0)
        assert seen.vf_of(HERE, NAME) is None, "it is off while it migrates"
        guests.virsh(HERE, "domjobabort", NAME)
        (outcome,) = running.result()["outcomes"]
    assert (outcome["state"], outcome["running_on"]) == ("failed", HERE.name)
    assert "left to do" not in outcome["error"]
    assert "standby_quiet" not in phases(outcome), "its traffic was seen there"
    assert seen.has_its_nics(HERE, NAME) == []
    assert (seen.boot_ids(HERE, NAME), seen.vf_of(HERE, NAME)) == (boots, had)
    assert seen.vf_drivers(THERE) == ["igbvf", "igbvf"]
    assert enter.answers("udp", guest.address, 30)


def test_a_module_killed_with_the_vf_off_is_recovered(guest: Started) -> None:
    with talking(guest):
        running = product.begin(HERE, "migrate", product.migration(_slow()))
        assert wait_until(_under_way, UNDER_WAY_S, 1.0)
        product.kill(running)
    guests.virsh(HERE, "domjobabort", NAME)
    assert wait_until(lambda: not _under_way(), 60.0, 1.0)
    assert seen.vf_of(HERE, NAME) is None and seen.is_marked(HERE, NAME)
    uris = {HERE.name: "qemu:///system", THERE.name: f"qemu+ssh://{THERE.name}/system"}
    found = product.module(HERE, "recover", {"name": HERE.name, "uris": uris})
    (entry,) = found["migrations"]
    assert (entry["verdict"], entry["error"]) == ("rolled_back", None), entry
    assert seen.has_its_nics(HERE, NAME) == []
    assert enter.answers("udp", guest.address, 30)


def test_an_evacuation_moves_it_and_its_nics(guest: Started, tmp_path: Path) -> None:
    boots = seen.boot_ids(HERE, NAME)
    wanted = {"livemig_evacuate_hosts": [HERE.name], "livemig_report_dest": str(tmp_path / "report")}
    with Watched(guest.address, EVERY_S, enter.words(CONTROLLER, ())) as watched:
        done = product.play("evacuate", wanted)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "goes with vf replug, because its standby carries the traffic" in " ".join(done.stdout.split())
    assert seen.has_its_nics(THERE, NAME) == []
    assert seen.boot_ids(THERE, NAME) == boots, "no reboot"
    assert enter.answers("udp", guest.address, 30)
    assert seen.vf_drivers(HERE) == ["igbvf", "igbvf"], "what it had here is free again"
    assert seen.vf_of(THERE, NAME) == seen.vf_of(THERE, NAME, "--inactive"), "the definition names what it got"
    (outcome,) = json.loads((tmp_path / "report" / "outcomes.json").read_text(encoding="utf-8"))
    at = phases(outcome)
    assert "standby_quiet" not in at, "its traffic was seen there"
    assert watched.blackout_ms < LONGEST_MS
    (row,) = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert row["vf_off_ms"] == at["vf_on"] - at["vf_off"]
    assert at["vf_off"] <= at["vf_gone"] <= at["suspended"] <= at["resumed"] <= at["vf_on"], at


def _slow() -> dict[str, object]:
    return product.move(NAME, HERE, THERE, vf="replug", bandwidth_mib_s=SLOW_MIB_S)


def _under_way() -> bool:
    return "Outgoing migration" in guests.virsh(HERE, "domjobinfo", NAME, check=False)
