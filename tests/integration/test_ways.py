# SPDX-License-Identifier: GPL-3.0-or-later
"""By which of libvirt's means a domain goes: parallel, capped, over its own network; copied, paused, switched off."""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.conftest import Play, place_of
from tests.integration.test_failures import within
from tests.lab import api
from tests.lab.domain import DISK_MIB
from tests.lab.network import BRIDGE

NAME = "way1"
NETWORK, ADDRESSES = "198.51.100.96/27", {"hv1": "198.51.100.97", "hv2": "198.51.100.98"}
DISK = "/var/lib/libvirt/images/way1.qcow2"
SEEN_S = 120.0


@pytest.fixture
def away(lab: None) -> Iterator[None]:
    api.guest_stop(NAME)
    yield
    api.guest_stop(NAME)


@pytest.fixture
def network(lab: None) -> Iterator[None]:
    for host, address in ADDRESSES.items():
        api.exec_on(host, ["ip", "addr", "add", f"{address}/27", "dev", BRIDGE], check=True)
    yield
    for host, address in ADDRESSES.items():
        api.exec_on(host, ["ip", "addr", "del", f"{address}/27", "dev", BRIDGE])


def evacuate(play: Play, **more: t.Any) -> subprocess.CompletedProcess[str]:
    hosts = {"livemig_evacuate_hosts": "hv1", "livemig_destinations": "hv2"}
    done = play("evacuate", {**hosts, "livemig_domains": NAME, **more})
    assert done.returncode == 0, done.stdout
    return done


def virsh(host: str, *words: str) -> str:
    return api.exec_on(host, ["virsh", "-q", *words], check=True).stdout.strip()


def arriving() -> set[str]:
    """The addresses on hv2 at which QEMU takes the migration, with the peers' ports."""
    said = api.exec_on("hv2", ["ss", "-tnHp", "state", "established"]).stdout
    return {" ".join(line.split()[2:4]) for line in said.splitlines() if ":4915" in line and "qemu" in line}


def seen_with(seen: set[str]) -> set[str]:
    seen.update(arriving())
    return seen


def test_parallel_capped_and_over_a_network_of_its_own(away: None, network: None, play: Play) -> None:
    api.guest_start("hv1", NAME)
    seen: set[str] = set()
    wanted = {"parallel": 2, "bandwidth_mib_s": 8}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(evacuate, play, livemig_migration=wanted, livemig_migration_network=NETWORK)
        within(SEEN_S, lambda: len(seen_with(seen)) >= 3)
        assert virsh("hv1", "migrate-getspeed", NAME) == "8"
        running.result()
    assert {pair.split()[0].rpartition(":")[0] for pair in seen} == {ADDRESSES["hv2"]}, seen
    assert place_of(NAME) == ["hv2"]


def test_a_disk_that_is_not_shared_is_copied(away: None, play: Play) -> None:
    api.guest_start("hv1", NAME, disk="local")
    api.exec_on("hv2", ["qemu-img", "create", "-q", "-f", "qcow2", DISK, f"{DISK_MIB}M"], check=True)
    evacuate(play, livemig_migration={"copy_storage": "all"})
    # Among what proves it: the guest reads back what it wrote when it booted.
    assert place_of(NAME) == ["hv2"]


def test_a_paused_guest_arrives_paused(away: None, play: Play) -> None:
    api.guest_start("hv1", NAME, disk="shared")
    virsh("hv1", "suspend", NAME)
    evacuate(play)
    assert virsh("hv2", "domstate", NAME, "--reason") == "paused (user)"
    virsh("hv2", "resume", NAME)
    assert place_of(NAME) == ["hv2"]


def test_a_definition_moves(away: None, play: Play) -> None:
    api.guest_start("hv1", NAME, disk="shared")
    virsh("hv1", "autostart", NAME)
    virsh("hv1", "destroy", NAME)
    evacuate(play, livemig_offline="move")
    assert NAME not in virsh("hv1", "list", "--all", "--name").split()
    assert virsh("hv2", "domstate", NAME) == "shut off"
    assert NAME in virsh("hv2", "list", "--all", "--autostart", "--name").split()
    virsh("hv2", "start", NAME)
    again = evacuate(play, livemig_offline="move")
    assert "changed=0" in again.stdout
