# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of a move: what the user says, and facts where nothing is said."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Way, plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from tests.unit.preflight.scene import Scene


def choose(scene: Scene, tls: str = "off", **migration: t.Any) -> Way:
    policy = {**scene.policy, "tls": tls, "migration": migration}
    return api.choose(scene.domain, scene.source, scene.destination, policy)


def link(mbit_s: int | None, cpus: str = "0-31", **changes: t.Any) -> Scene:
    scene = Scene()
    for host in scene.hosts:
        host["config"]["nic_speed"] = mbit_s
        host["cpu"]["online"] = cpus
        host.update(changes)
    return scene


def test_nothing_said_and_a_slow_link_is_the_plain_way() -> None:
    assert choose(link(1000)) == plain_way()


@pytest.mark.parametrize(
    ("mbit_s", "tls", "cpus", "expected"),
    [
        (None, "off", "0-31", 0),
        (1000, "off", "0-31", 0),
        (9999, "off", "0-31", 0),
        (10_000, "off", "0-31", 2),
        (25_000, "off", "0-31", 3),
        (100_000, "off", "0-31", 8),
        (10_000, "required", "0-31", 3),
        (25_000, "required", "0-31", 7),
        (100_000, "required", "0-31", 8),
        (100_000, "off", "0-7", 4),
        (100_000, "off", "0-3", 2),
        (100_000, "off", "0-2", 0),
    ],
)
def test_connections_by_the_link(mbit_s: int | None, tls: str, cpus: str, expected: int) -> None:
    assert choose(link(mbit_s, cpus), tls)["parallel"] == expected
    assert choose(link(mbit_s, cpus), tls, parallel="auto")["parallel"] == expected


def test_the_slower_end_decides() -> None:
    scene = link(100_000)
    scene.destination["config"]["nic_speed"] = 1000
    assert choose(scene)["parallel"] == 0
    scene.destination["config"].pop("nic_speed")
    assert choose(scene)["parallel"] == 0
    scene = link(100_000)
    scene.source["cpu"]["online"] = "0-5"
    assert choose(scene)["parallel"] == 3


@pytest.mark.parametrize(
    ("tls", "versions", "migration"),
    [
        ("off", {"libvirt_version": 5_001_000}, {}),
        ("off", {"qemu_version": 3_001_000}, {}),
        ("off", {"qemu_version": 10_000_000}, {"postcopy": True}),
        ("off", {}, {"compression": ["xbzrle"]}),
        ("off", {}, {"transport": "unix"}),
        ("off", {}, {"tunnelled": True}),
        ("required", {"libvirt_version": 10_002_000}, {"copy_storage": "all"}),
    ],
)
def test_auto_chooses_none_where_something_excludes_them(
    tls: str, versions: dict[str, t.Any], migration: dict[str, t.Any]
) -> None:
    assert choose(link(100_000), tls)["parallel"] == 8
    assert choose(link(100_000, **versions), tls, **migration)["parallel"] == 0


def test_auto_knows_newer_versions() -> None:
    assert choose(link(100_000, qemu_version=10_001_000), postcopy=True)["parallel"] == 8
    assert choose(link(100_000, libvirt_version=10_003_000), "required", copy_storage="all")["parallel"] == 8


@pytest.mark.parametrize("wanted", [0, 1, 5])
def test_a_number_is_a_number(wanted: int) -> None:
    assert choose(link(100_000), parallel=wanted)["parallel"] == wanted


def test_what_is_said_is_handed_on() -> None:
    said: dict[str, t.Any] = {
        "bandwidth_mib_s": 800,
        "auto_converge": True,
        "postcopy": True,
        "tls_destination": "hv2.example.com",
    }
    assert choose(link(1000), **said) == {**plain_way(), **said}


@pytest.mark.parametrize(
    ("address", "names", "tls", "expected"),
    [
        ("198.51.100.98", ["198.51.100.2", "hv2"], "required", "198.51.100.2"),
        ("198.51.100.98", ["198.51.100.98", "198.51.100.2"], "required", ""),
        ("198.51.100.98", ["another"], "required", ""),
        ("198.51.100.98", ["198.51.100.2"], "off", ""),
        ("198.51.100.2", ["198.51.100.2"], "required", ""),
    ],
)
def test_a_certificate_without_the_address_in_the_migration_network(
    address: str, names: list[str], tls: str, expected: str
) -> None:
    """The name by which the daemon is reached is verified then; where that is not in it either, a check stops it."""
    scene = Scene()
    scene.policy["addresses"] = {"hv2": address}
    scene.destination["tls"]["qemu_server"]["names"] = names
    assert choose(scene, tls)["tls_destination"] == expected
    stops = "sec_tls_hostname" in {found["check"] for found in scene.findings() if found["blocks"]}
    assert stops is (names == ["another"])


@pytest.mark.parametrize("kind", ["all", "inc"])
def test_the_disks_that_are_copied_are_listed(kind: str) -> None:
    way = choose(Scene("media1"), copy_storage=kind, disks_port=50000)
    assert (way["copy_storage"], way["copy_disks"], way["disks_port"]) == (kind, ["vda"], 50000)


@pytest.mark.parametrize("change", [{"shareable": True}, {"readonly": True}, {"path": None}])
def test_no_disk_to_copy_is_no_copy(change: dict[str, t.Any]) -> None:
    scene = Scene()
    scene.disk.update(change)
    way = choose(scene, copy_storage="all", disks_port=50000)
    assert (way["copy_storage"], way["copy_disks"], way["disks_port"]) == ("none", [], 0)


@pytest.mark.parametrize(("version", "expected"), [(7_010_000, False), (8_000_000, True)])
def test_writes_wait_for_the_copy_where_both_can(version: int, expected: bool) -> None:
    scene = Scene()
    scene.destination["libvirt_version"] = version
    assert choose(scene, copy_storage="all")["synchronous_writes"] is expected
    assert choose(scene)["synchronous_writes"] is False


def test_the_migration_network() -> None:
    scene = Scene()
    scene.policy["networks"] = {"hv2": "2001:db8::2"}
    assert choose(scene)["listen_address"] == "2001:db8::2" and choose(scene)["disks_uri"] == ""
    assert choose(scene, copy_storage="all")["disks_uri"] == "tcp://[2001:db8::2]"
    # libvirt refuses a port and a URI at once
    assert choose(scene, copy_storage="all", disks_port=50000)["disks_uri"] == ""
    assert choose(scene, copy_storage="all", disks_uri="tcp://198.51.100.9:1")["disks_uri"] == "tcp://198.51.100.9:1"


def test_a_paused_guest_has_no_postcopy() -> None:
    scene = Scene()
    scene.domain.update(state="paused", state_reason=1)
    way = choose(scene, postcopy=True)
    assert (way["state"], way["postcopy"]) == ("paused", False)


def test_of_a_domain_that_does_not_run_the_definition_goes() -> None:
    scene = Scene()
    scene.domain["state"] = "shutoff"
    assert choose(scene, offline=True, postcopy=True, copy_storage="all", parallel=4) == {
        **plain_way(),
        "state": "shutoff",
    }


def test_what_is_sent_is_what_is_judged() -> None:
    way = {**plain_way(), "state": "paused", "parallel": 3, "synchronous_writes": True}
    judged = api.judged_as(t.cast(t.Any, {"way": way}))
    assert judged["parallel"] == 3 and judged["paused"] and not judged["offline"]
    assert set(judged) <= set(api.MIGRATION)
    assert api.judged_as(t.cast(t.Any, {"way": {**plain_way(), "state": "shutoff"}}))["offline"]


def last_look(scene: Scene, way: dict[str, t.Any]) -> list[tuple[str, bool]]:
    scene.policy["migration"] = api.judged_as(t.cast(t.Any, {"way": way}))
    scene.policy["state"] = way["state"]
    return [(found["check"], found["blocks"]) for found in scene.volatile()]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"compression": ["xbzrle"], "parallel": 2}, "flags_compression_conflicts"),
        ({"postcopy": True, "parallel": 2}, "flags_parallel_postcopy"),
        ({"copy_storage": "all", "copy_disks": ["vdx"]}, "flags_migrate_disks_valid"),
        ({"copy_storage": "all", "copy_disks": ["vda"], "disks_uri": "unix:///run/x"}, "flags_unix_transport"),
    ],
)
def test_the_last_look_judges_the_way(changes: dict[str, t.Any], check: str) -> None:
    assert last_look(Scene(remote=True), {**plain_way()}) == []
    assert (check, True) in last_look(Scene(remote=True), {**plain_way(), **changes})


@pytest.mark.parametrize(("planned", "found"), [("running", "paused"), ("paused", "running")])
def test_another_state_than_the_planned_one_is_refused(planned: str, found: str) -> None:
    scene = Scene(remote=True)
    scene.domain.update(state=found, state_reason=1)
    assert last_look(scene, {**plain_way(), "state": found}) == []
    assert last_look(scene, {**plain_way(), "state": planned}) == [("guest_state", True)]
    assert f"it is {found}, and the plan was made when it was {planned}" in scene.volatile()[0]["message"]


def shutoff(**changes: t.Any) -> Scene:
    scene = Scene()
    scene.domain.update({"state": "shutoff", **changes})
    scene.policy["migration"] = {"offline": True}
    return scene


def test_a_definition_moves_where_that_is_wanted() -> None:
    assert shutoff().of("guest_state") == []
    scene = shutoff()
    scene.policy["migration"] = {}
    assert [found["blocks"] for found in scene.of("guest_state")] == [True]
    assert shutoff(state="crashed").of("guest_state") != []


def test_other_checks_look_at_a_definition_that_moves() -> None:
    scene = shutoff(snapshots=1)
    assert "snapshots_present" in [found["check"] for found in scene.findings() if found["blocks"]]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (lambda domain: domain.update(managed_save=True), "a saved state"),
        (lambda domain: domain["settings"]["os"].update(nvram="/var/lib/libvirt/qemu/nvram/x.fd"), "NVRAM"),
        (lambda domain: domain["settings"]["os"].update(firmware="efi"), "NVRAM"),
        (lambda domain: domain["devices"]["tpms"].append({"name": "tpm0", "backend": "emulator"}), "its TPM"),
    ],
)
def test_what_would_stay_behind_keeps_a_definition(left: t.Callable[[t.Any], object], said: str) -> None:
    scene = shutoff()
    left(scene.domain)
    (found,) = scene.of("guest_state")
    assert found["blocks"] and said in found["message"] and "would stay here" in found["message"]


@pytest.mark.parametrize(("reason", "movable"), [(1, True), (2, False), (5, False), (13, False), (0, False)])
def test_only_a_guest_that_its_user_has_paused_is_movable(reason: int, movable: bool) -> None:
    scene = Scene()
    scene.domain.update(state="paused", state_reason=reason)
    assert (scene.of("guest_state") == []) is movable
