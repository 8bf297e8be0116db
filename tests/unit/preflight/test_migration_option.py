# SPDX-License-Identifier: GPL-3.0-or-later

"""The option that says how domains are to be migrated: documented as it is taken, with errors that name the value."""

from __future__ import annotations

import importlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.livemig.libvirt.plugins.action import preflight as preflight_action
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import MIGRATION
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.migration import (
    MIGRATION_OPTION,
    NOT_OURS,
    migration,
    of_a_plan,
)
from tests.unit.preflight.scene import Scene

MODULE: t.Any = importlib.import_module("ansible_collections.livemig.libvirt.plugins.modules.preflight")
DOCUMENTED = yaml.safe_load(MODULE.DOCUMENTATION)["options"]["migration"]["suboptions"]


def test_every_suboption_is_documented_as_it_is_taken() -> None:
    documented = {
        name: {key: value for key, value in entry.items() if key != "description"} for name, entry in DOCUMENTED.items()
    }
    assert documented == MIGRATION_OPTION["options"]


def test_what_is_left_out_is_what_the_checks_take_for_it() -> None:
    assert {name: entry["default"] for name, entry in MIGRATION_OPTION["options"].items()} == dict(MIGRATION)


def test_the_plan_documents_what_no_move_has() -> None:
    plan: t.Any = importlib.import_module("ansible_collections.livemig.libvirt.plugins.modules.plan")
    said = " ".join(yaml.safe_load(plan.DOCUMENTATION)["options"]["migration"]["description"])
    assert set(NOT_OURS) < set(MIGRATION)
    assert set(re.findall(r"C\((\w+)\)", said)) - {"migration", "way"} == set(NOT_OURS)


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_what_no_move_has_is_refused_with_the_reason(name: str) -> None:
    other = {bool: not MIGRATION[name], int: 7, str: "unix"}[type(MIGRATION[name])]
    with pytest.raises(LivemigError) as raised:
        of_a_plan({name: other})
    assert f"migration: {name}: {other}; expected {MIGRATION[name]}: {NOT_OURS[name]}" in str(raised.value)
    assert of_a_plan({name: MIGRATION[name]}) == {name: MIGRATION[name]}


def test_a_name_that_is_none() -> None:
    with pytest.raises(LivemigError, match="migration: paralel: 2; expected one of abort_on_error"):
        of_a_plan({"paralel": 2})


@pytest.mark.parametrize(("given", "meant"), [("auto", "auto"), ("4", 4), (4, 4), ("0", 0)])
def test_a_number_of_connections_comes_as_text(given: object, meant: object) -> None:
    assert migration({"parallel": given}) == {"parallel": meant}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bandwidth_mib_s", -1, "migration: bandwidth_mib_s: -1; expected 0 or more"),
        ("parallel", "many", "migration: parallel: many; expected a number of connections, or auto"),
        ("parallel", "-1", "migration: parallel: -1; expected 0 or more"),
        ("disks_port", 65536, "migration: disks_port: 65536; expected a port from 1 to 65535"),
        ("disks_uri", "ssh://hv2", "migration: disks_uri: ssh://hv2; expected tcp://address:port or unix:///path"),
    ],
)
def test_a_value_that_cannot_be_meant(name: str, value: t.Any, message: str) -> None:
    with pytest.raises(LivemigError, match="migration") as raised:
        migration({**MIGRATION, name: value})
    assert message in str(raised.value)


def test_good_values_stay_as_they_are() -> None:
    wanted = {"disks_port": 65535, "disks_uri": "unix:///run/disks.sock", "parallel": 4}
    assert migration(wanted) == wanted


@pytest.mark.parametrize(
    ("memlock", "blocks"),
    [
        ({"limit_mib": 8, "raises": False}, [True]),
        ({"limit_mib": 8, "raises": True}, []),
        ({"limit_mib": 4096, "raises": False}, []),
        ({"limit_mib": None, "raises": False}, []),
    ],
)
def test_zerocopy_needs_memory_that_may_be_locked(memlock: t.Any, blocks: list[bool]) -> None:
    scene = Scene()
    scene.policy.update(tls="off", migration={"zerocopy": True, "parallel": 2})
    scene.source["ram"]["memlock"] = memlock
    found = scene.of("flags_zerocopy_requirements")
    assert [finding["blocks"] for finding in found] == blocks
    assert all("must lock the memory of web1; libvirt there may lock 8 MiB" in finding["message"] for finding in found)


def test_zerocopy_is_not_refused_to_domains_that_are_small_enough() -> None:
    scene = Scene()
    scene.policy.update(tls="off", migration={"zerocopy": True, "parallel": 2})
    scene.domains.append({**scene.domain, "name": "small", "uuid": "0" * 32, "memory_mib": 64})
    scene.source["ram"]["memlock"] = {"limit_mib": 64, "raises": False}
    (found,) = scene.of("flags_zerocopy_requirements")
    assert not found["blocks"] and "the memory of web1;" in found["message"]


def test_the_checks_judge_what_the_option_says() -> None:
    scene = Scene()
    action = preflight_action.ActionModule.__new__(preflight_action.ActionModule)
    given = {name: entry.get("default") for name, entry in preflight_action.ARGUMENT_SPEC.items()}
    given.update(hosts=scene.hosts, domains=scene.domains, destinations=["hv2"], answers=scene.answers, **scene.policy)
    assert action.work({**given, "edits": {}}, {})["findings"] == []
    found = action.work({**given, "edits": {}, "migration": {**MIGRATION, "unsafe": True}}, {})["findings"]
    assert [finding["check"] for finding in found] == ["flags_unsafe_requested"]
    with pytest.raises(LivemigError, match="parallel: -2"):
        action.work({**given, "edits": {}, "migration": {**MIGRATION, "parallel": -2}}, {})
