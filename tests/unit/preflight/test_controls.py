# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user decides about checks and definitions: that it holds where it is meant, is shown, and cannot do harm."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options import api as policies
from tests.unit.preflight.cases import CASES
from tests.unit.preflight.scene import Scene

GROUPS = {"all": ["hv1", "hv2", "hv4"], "rack1": ["hv1", "hv2"], "rack2": ["hv4"]}
LABEL = '<p:policy xmlns:p="urn:livemig:policy:1">batch, night &amp; day</p:policy>'


def decided(check: str, level: str, **limits: t.Any) -> Scene:
    """The scene in which the check fires, with one decision about it."""
    scene = Scene(CASES[check].domain)
    CASES[check].fires(scene)
    scene.domain["label"] = LABEL
    wanted = {"check": check, "set": level, "reason": "we know", **limits}
    scene.policy["controls"] = policies.controls([wanted], scene.domains, GROUPS)
    return scene


def test_silence_keeps_the_finding_and_its_reason_and_lets_the_move_go() -> None:
    (found,) = decided("disk_cache_mode", "silence").of("disk_cache_mode")
    assert (found["status"], found["severity"], found["blocks"]) == ("silenced", "info", False)
    assert found["decision"] == {"set": "silence", "was": "error", "reason": "we know"}


@pytest.mark.parametrize(("level", "blocks"), [("info", False), ("warning", False), ("error", True)])
@pytest.mark.parametrize("check", ["disk_cache_mode", "hd_usb"])
def test_another_severity(check: str, level: str, blocks: bool) -> None:
    (found,) = decided(check, level).of(check)
    assert (found["status"], found["severity"], found["blocks"]) == ("fail", level, blocks)


def test_promoted_to_an_error_an_unknown_rules_the_move_out_too() -> None:
    scene = decided("hd_usb", "error")
    del scene.domain["hostdevs"]
    (found,) = scene.of("hd_usb")
    assert (found["status"], found["blocks"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        ({"hosts": ["hv1"]}, True),
        ({"hosts": ["hv2"]}, True),
        ({"hosts": ["hv4"]}, False),
        ({"hosts": ["rack1"]}, True),
        ({"hosts": ["rack2"]}, False),
        ({"domains": ["web1"]}, True),
        ({"domains": ["web2"]}, False),
        ({"labels": ["night"]}, True),
        ({"labels": ["nigh"]}, False),
        ({"labels": ["other", "batch"]}, True),
        ({"where": "memory_mib < `1024`"}, True),
        ({"where": "memory_mib > `1024`"}, False),
        ({"where": "disks[?cache == 'unsafe']", "domains": ["web1"]}, False),
        ({"hosts": ["rack1"], "domains": ["web2"]}, False),
    ],
)
def test_it_holds_where_it_is_meant(limits: dict[str, t.Any], holds: bool) -> None:
    found = decided("net_bridge_exists", "silence", **limits).of("net_bridge_exists")
    assert [finding["status"] == "silenced" for finding in found] == [holds]


def test_the_last_decision_counts() -> None:
    scene = decided("net_bridge_exists", "silence")
    scene.policy["controls"] += policies.controls(
        [{"check": "net_bridge_exists", "set": "error", "hosts": ["hv2"]}], scene.domains, GROUPS
    )
    (found,) = scene.of("net_bridge_exists")
    assert (found["status"], found["blocks"]) == ("fail", True)


def test_a_decision_about_domains_says_nothing_of_a_host() -> None:
    (found,) = decided("host_migration_ports_free", "silence", domains=["web1"]).of("host_migration_ports_free")
    assert found["status"] == "fail"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"check": "disk_cache", "set": "silence", "reason": "x"}, "disk_cache; expected the id of a check"),
        (
            {"check": "disk_cache_mode", "set": "off", "reason": "x"},
            "off; expected one of silence, info, warning, error",
        ),
        ({"check": "disk_cache_mode", "set": "silence"}, "reason of disk_cache_mode: empty"),
        ({"check": "disk_cache_mode", "set": "info", "reason": " "}, "reason of disk_cache_mode: empty"),
        ({"check": "dst_domain_uuid_running", "set": "warning", "reason": "x"}, "a check that can be lowered"),
        ({"check": "host_daemon_alive", "set": "silence", "reason": "x"}, "a check that can be lowered"),
        ({"check": "hd_usb", "set": "error", "hosts": ["rack9"]}, "rack9; expected a host or a group"),
        ({"check": "hd_usb", "set": "error", "where": "memory_mib >"}, "a JMESPath expression"),
        ({"check": "hd_usb", "set": "error", "where": "abs(name)"}, "an expression that fits"),
    ],
)
def test_a_decision_that_cannot_be_meant_is_refused(wanted: dict[str, t.Any], said: str) -> None:
    with pytest.raises(LivemigError, match="livemig_checks") as caught:
        policies.controls([wanted], Scene().domains, GROUPS)
    assert said in str(caught.value)


EDITS = {"map": {"hv2": {"bridge": {"br7": "br0", "br8": "br9"}}}, "allow": []}


def bridged(bridge: str, **edits: t.Any) -> list[t.Any]:
    scene = Scene()
    scene.nic["source"] = bridge
    scene.policy["edits"] = policies.edits({**EDITS, **edits}, ["hv2"])
    return list(scene.of("net_bridge_exists"))


def test_a_change_that_is_not_allowed_is_proposed() -> None:
    (found,) = bridged("br7")
    assert found["blocks"] and found["status"] == "fail"
    assert found["edit"] == {"kind": "bridge", "item": None, "old": "br7", "new": "br0"}
    assert "add bridge to livemig_edits.allow" in found["remedy"] and "bridge br7 -> br0" in found["remedy"]


def test_a_change_that_is_allowed_solves_the_problem() -> None:
    (found,) = bridged("br7", allow=["bridge"])
    assert (found["status"], found["severity"], found["blocks"]) == ("edited", "info", False)


def test_a_change_to_what_is_not_there_either_is_none() -> None:
    (found,) = bridged("br8", allow=["bridge"])
    assert found["blocks"] and found["edit"] is None


def test_a_star_stands_for_all_that_are_not_named() -> None:
    scene_map = {"hv2": {"bridge": {"*": "br0"}}}
    (found,) = bridged("br77", map=scene_map, allow=["bridge"])
    assert found["edit"]["old"] == "br77" and found["status"] == "edited"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"allow": ["bridges"]}, "bridges; expected one of bridge"),
        ({"map": {"hv2": {"bridgs": {}}}}, "bridgs; expected one of bridge"),
        ({"map": {"hv2": "br1"}}, "expected kind -> old -> new"),
        ({"map": {"hv2": {"bridge": "br1"}}}, "expected old -> new"),
        ({"map": {"hv2": {"bridge": {"br0": 7}}}}, "expected old -> new"),
    ],
)
def test_changes_that_cannot_be_meant_are_refused(wanted: dict[str, t.Any], said: str) -> None:
    with pytest.raises(LivemigError, match="livemig_edits") as caught:
        policies.edits(wanted, ["hv2"])
    assert said in str(caught.value)


def test_a_missing_medium_is_ejected_where_that_is_allowed() -> None:
    for allow, status in (([], "fail"), (["medium"], "edited")):
        scene = Scene("media1")
        CASES["disk_readonly_media_present"].fires(scene)
        scene.policy["edits"] = policies.edits({"eject_media": True, "allow": allow}, ["hv2"])
        (found,) = scene.of("disk_readonly_media_present")
        assert found["status"] == status
        assert found["edit"] == {"kind": "medium", "item": None, "old": scene.medium["path"], "new": None}


@pytest.mark.parametrize(("exists", "status"), [(True, "edited"), (False, "fail")])
def test_another_emulator_must_be_there(exists: bool, status: str) -> None:
    scene = Scene()
    CASES["host_emulator_path"].fires(scene)
    mapping = {"hv2": {"emulator": {scene.domain["emulator"]: "/opt/qemu"}}}
    scene.policy["edits"] = policies.edits({"map": mapping, "allow": ["emulator"]}, ["hv2"])
    assert "path:/opt/qemu" in [question["key"] for question in scene.questions()["hv2"]]
    scene.answers["hv2"]["path:/opt/qemu"] = {"path": "/opt/qemu", "exists": exists}
    (found,) = scene.of("host_emulator_path")
    assert found["status"] == status


@pytest.mark.parametrize(("new", "status"), [("0", "edited"), (None, "edited"), ("99", "fail")])
def test_other_cpus_must_be_usable_there(new: str | None, status: str) -> None:
    scene = Scene()
    scene.domain["settings"]["cputune"]["emulatorpin"] = "98"
    scene.policy["edits"] = policies.edits({"map": {"hv2": {"cpuset": {"98": new}}}, "allow": ["cpuset"]}, ["hv2"])
    (found,) = scene.of("cpu_pinning_valid")
    assert found["status"] == status


def test_cpus_that_are_none_are_refused() -> None:
    with pytest.raises(LivemigError, match="cpuset of hv2: two; expected CPUs as 0-3,8"):
        policies.edits({"map": {"hv2": {"cpuset": {"4-7": "two"}}}}, ["hv2"])
