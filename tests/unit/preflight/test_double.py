# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain that is active on more than one host moves nowhere; the half of a migration under way is left alone."""

from __future__ import annotations

import copy

import pytest

from tests.unit.preflight.scene import Scene

CHECK = "dst_domain_uuid_running"


def _third(scene: Scene, active: bool = True) -> None:
    """A host that is neither the source nor a destination, and that has the domain under another name."""
    other = copy.deepcopy(scene.destination)
    other.update(name="hv3", hostname="hv3", uuid="3" * 32)
    other["domains"] = [{"name": "renamed", "uuid": scene.domain["uuid"], "active": active}]
    scene.hosts.append(other)


def test_active_on_any_observed_host_it_moves_nowhere() -> None:
    scene = Scene()
    _third(scene)
    found = scene.of(CHECK)
    assert [(f["source"], f["destination"], f["blocks"]) for f in found] == [("hv1", None, True)]
    assert "is active on hv3 as well as on hv1" in found[0]["message"] and "real one" in found[0]["remedy"]


def test_one_finding_names_all_hosts() -> None:
    scene = Scene()
    _third(scene)
    scene.known_there()
    assert ["is active on hv2 and hv3 as well as on hv1" in f["message"] for f in scene.of(CHECK)] == [True]


def test_a_definition_elsewhere_is_no_double() -> None:
    scene = Scene()
    _third(scene, active=False)
    assert scene.findings() == []


def test_a_host_that_does_not_tell_its_domains_is_no_proof() -> None:
    scene = Scene()
    _third(scene)
    scene.hosts[2]["unknown"].append({"fact": "domains", "reason": "libvirt did not tell"})
    assert [(f["status"], f["destination"], f["blocks"]) for f in scene.of(CHECK)] == [("unknown", None, True)]
    scene.known_there()
    assert [f["status"] for f in scene.of(CHECK)] == ["fail", "unknown"]


@pytest.mark.parametrize(
    "changes",
    [
        {"job": "unbounded"},
        {"job": "bounded"},
        {"state": "paused", "state_reason": 2},
        {"state": "paused", "state_reason": 12},
    ],
)
def test_the_other_half_of_a_migration_is_left_alone(changes: dict[str, object]) -> None:
    scene = Scene()
    scene.known_there()
    scene.domain.update(changes)
    found = scene.of(CHECK)
    assert [finding["blocks"] for finding in found] == [True]
    assert "a migration of it is under way" in found[0]["message"] and "is on hv2" in found[0]["message"]
    assert found[0]["remedy"].startswith("wait until it has ended")
    assert "destroy" not in found[0]["remedy"] and "real one" not in found[0]["remedy"]


@pytest.mark.parametrize(
    "changes",
    [
        {"job": "none"},
        {"job": "completed"},
        {"job": "failed"},
        {"state": "paused", "state_reason": 1},
        {"state_reason": 2},
    ],
)
def test_a_double_without_a_migration_is_a_double(changes: dict[str, object]) -> None:
    scene = Scene()
    scene.known_there()
    scene.domain.update(changes)
    assert ["real one" in finding["remedy"] for finding in scene.of(CHECK)] == [True]


def test_a_job_that_is_not_known_is_no_migration() -> None:
    scene = Scene()
    scene.known_there()
    scene.domain["unknown"].append({"fact": "job", "reason": "libvirt did not tell"})
    assert ["real one" in finding["remedy"] for finding in scene.of(CHECK)] == [True]


def test_the_last_look_sees_the_double_and_the_migration() -> None:
    scene = Scene(remote=True)
    scene.known_there()
    assert [(f["check"], f["blocks"]) for f in scene.volatile()] == [(CHECK, True)]
    scene.domain["job"] = "unbounded"
    assert [f["check"] for f in scene.volatile()] == [CHECK, "guest_job_active"]
    assert all("wait until it has ended" in f["remedy"] for f in scene.volatile())


def test_a_job_is_first_of_all_waited_for() -> None:
    scene = Scene()
    scene.domain["job"] = "unbounded"
    found = scene.of("guest_job_active")[0]
    assert "perhaps a migration that an earlier run has started" in found["message"]
    assert found["remedy"].startswith("wait until it has ended")


def test_a_transient_domain_must_not_become_persistent() -> None:
    scene = Scene()
    scene.domain["persistent"] = False
    assert scene.findings() == []
    scene.known_there(active=False)
    found = scene.of("dst_domain_defined_differs")
    assert [(f["severity"], f["destination"], f["blocks"]) for f in found] == [("error", "hv2", True)]
    assert "would become persistent there" in found[0]["message"] and "undefine it on hv2 first" in found[0]["remedy"]
