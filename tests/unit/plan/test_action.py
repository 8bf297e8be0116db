# SPDX-License-Identifier: GPL-3.0-or-later

"""The two action plugins: their options are the documented ones, and they hand on what the rooms say."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

from ansible_collections.livemig.libvirt.plugins.action import plan as plan_action
from ansible_collections.livemig.libvirt.plugins.action import preflight as preflight_action
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import plain_way
from ansible_collections.livemig.libvirt.plugins.modules import plan as plan_module
from ansible_collections.livemig.libvirt.plugins.modules import preflight as preflight_module
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import DEFAULT_RESERVE_MIB
from tests.unit.preflight.scene import RECORDED

TREE = pathlib.Path(plan_action.__file__).parents[5]
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars:
    common: &common
      hosts: "{{ given.hosts }}"
      domains: "{{ given.domains }}"
      destinations: [hv2]
      uris: "{{ given.uris }}"
  tasks:
    - livemig.libvirt.preflight: *common
      register: asked
    - livemig.libvirt.preflight:
        <<: *common
        answers: "{{ given.answers }}"
        checks:
          - {check: net_bridge_exists, set: silence, reason: seen to}
          - {check: disk_cache_mode, set: error, domains: [web1]}
        migration: {live: true}
      check_mode: true
      register: judged
    - livemig.libvirt.plan:
        <<: *common
        findings: "{{ judged.findings }}"
        migration: "{{ judged.migration }}"
        controls: "{{ judged.controls | rejectattr('check', 'equalto', 'net_bridge_exists') }}"
        sources: [hv1]
        addresses: {hv2: 198.51.100.2}
      register: planned
    - livemig.libvirt.preflight:
        <<: *common
        hosts: [{schema: 9, kind: host, name: hv1}]
      register: refused
      ignore_errors: true
    - livemig.libvirt.plan:
        <<: *common
        findings: []
        sources: [hv1]
        addresses: {}
        memory_reserve_mib: -1
      register: negative
      ignore_errors: true
    - livemig.libvirt.preflight:
        <<: *common
        migration: {bandwidth_mib_s: 100, tunnelled: true, persist: true, parallel: 2}
      register: otherwise
    - livemig.libvirt.plan:
        <<: *common
        findings: "{{ judged.findings }}"
        migration: "{{ otherwise.migration | dict2items | rejectattr('key', 'equalto', 'tunnelled') | items2dict }}"
        networks: {hv2: 198.51.100.2}
        sources: [hv1]
        addresses: {hv2: 198.51.100.2}
      register: special
    - livemig.libvirt.plan:
        <<: *common
        findings: "{{ otherwise.findings }}"
        migration: "{{ otherwise.migration }}"
        sources: [hv1]
        addresses: {hv2: 198.51.100.2}
      register: unlike
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ {'asked': asked, 'judged': judged, 'planned': planned, 'refused': refused, 'negative': negative,
          'otherwise': otherwise, 'unlike': unlike, 'special': special} | to_json }}"
        dest: "{{ result_file }}"
        mode: "0600"
"""
_SPEC_KEYS = ("type", "elements", "default", "choices", "required")


@pytest.mark.parametrize(
    ("action", "module"), [(preflight_action, preflight_module), (plan_action, plan_module)], ids=["preflight", "plan"]
)
def test_the_options_are_the_documented_ones(action: t.Any, module: t.Any) -> None:
    assert _spec(yaml.safe_load(module.DOCUMENTATION)["options"]) == action.ARGUMENT_SPEC


def _spec(documented: t.Any) -> dict[str, t.Any]:
    """Documented options as an argument spec."""
    return {
        name: {
            **{key: option[key] for key in _SPEC_KEYS if key in option},
            **({"options": _spec(option["suboptions"])} if "suboptions" in option else {}),
        }
        for name, option in documented.items()
    }


def test_the_reserve_is_the_same_everywhere() -> None:
    assert plan_action.ARGUMENT_SPEC["memory_reserve_mib"]["default"] == DEFAULT_RESERVE_MIB


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, t.Any], str]:
    """What ansible-playbook made of the recorded hosts, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "play.yml").write_text(PLAYBOOK)
    given = {name: RECORDED[name] for name in ("hosts", "domains", "uris", "answers")}
    (folder / "vars.json").write_text(json.dumps({"given": given, "result_file": str(folder / "result.json")}))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(TREE), "ANSIBLE_HOME": str(folder / "home")}
    environment |= {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "-e", "@vars.json"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", "play.yml"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "result.json").read_text()), done.stdout + done.stderr


def test_first_questions_then_findings(run: tuple[dict[str, t.Any], str]) -> None:
    asked, judged = run[0]["asked"], run[0]["judged"]
    assert asked["questions"] == RECORDED["questions"] and asked["summary"]["unknown"] > 0
    assert judged["questions"] == {} and judged["changed"] is False
    assert {finding["domain"] for finding in judged["findings"]} == {"scratch"}
    assert judged["summary"]["blocks"] == sum(finding["blocks"] for finding in judged["findings"]) >= 2
    assert (judged["summary"]["fail"], judged["summary"]["silenced"]) == (len(judged["findings"]) - 1, 1)
    assert judged["summary"]["unknown_checks"] == {} and asked["summary"]["unknown_checks"]["disk_same_object"] > 1
    (silenced,) = (finding for finding in judged["findings"] if finding["status"] == "silenced")
    assert silenced["check"] == "net_bridge_exists" and silenced["decision"]["reason"] == "seen to"


def test_decisions_travel_with_the_move(run: tuple[dict[str, t.Any], str]) -> None:
    moves = run[0]["planned"]["plan"]["moves"]
    assert [[control["check"] for control in move["controls"]] for move in moves] == [["disk_cache_mode"], []]


def test_the_plan_is_returned_and_printed(run: tuple[dict[str, t.Any], str]) -> None:
    planned, printed = run[0]["planned"], run[1]
    assert [move["domain"] for move in planned["plan"]["moves"]] == ["web1", "media1"]
    assert [stay["domain"] for stay in planned["plan"]["stays"]] == ["scratch"]
    assert planned["changed"] is False and planned["table"] in printed


def test_what_cannot_be_judged_is_refused_with_a_remedy(run: tuple[dict[str, t.Any], str]) -> None:
    assert run[0]["refused"]["failed"] and run[0]["negative"]["failed"]
    assert "kind host, schema 9; expected kind host, schema 1. Remedy: " in run[0]["refused"]["msg"]
    assert "memory_reserve_mib: -1; expected 0 or more MiB. Remedy: " in run[0]["negative"]["msg"]


def test_what_no_move_of_ours_has_is_refused(run: tuple[dict[str, t.Any], str]) -> None:
    judged, otherwise, unlike = (run[0][name] for name in ("judged", "otherwise", "unlike"))
    assert judged["migration"] == {}
    assert otherwise["migration"] == {"bandwidth_mib_s": 100, "tunnelled": True, "parallel": 2}
    assert unlike["failed"] and "migration: tunnelled: True; expected False: TLS encrypts too" in unlike["msg"]
    assert "Remedy: leave it out and judge again" in unlike["msg"]


def test_the_options_become_the_way_of_each_move(run: tuple[dict[str, t.Any], str]) -> None:
    special = run[0]["special"]
    assert [move["way"] for move in special["plan"]["moves"]] == 2 * [
        {**plain_way(), "bandwidth_mib_s": 100, "parallel": 2, "listen_address": "198.51.100.2"}
    ]
    assert "web1, media1 go with parallel 2, bandwidth_mib_s 100, listen_address 198.51.100.2." in special["table"]
