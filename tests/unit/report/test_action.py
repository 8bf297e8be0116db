# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin, run by ansible-playbook as a user runs it."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import subprocess
import sys
import typing as t
from unittest import mock

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader

from ansible_collections.livemig.libvirt.plugins.action import report as action
from ansible_collections.livemig.libvirt.plugins.modules import report as module
from tests.unit.report.samples import EXAMPLES, example, outcome_of, plan_of, proofs_of

TREE = pathlib.Path(action.__file__).parents[5]
FILES = ["findings.json", "outcomes.json", "plan.json", "report.json", "report.txt"]
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - livemig.libvirt.report: &options
        plan: "{{ given.plan }}"
        outcomes: "{{ given.outcomes }}"
        proofs: "{{ given.proofs }}"
        findings: "{{ given.findings }}"
        dest: out
      check_mode: true
      diff: true
      register: checked
    - livemig.libvirt.report: *options
      register: written
    - livemig.libvirt.report: *options
      register: again
    - ansible.builtin.copy:
        content: "{{ {'checked': checked, 'written': written, 'again': again} | to_json }}"
        dest: "{{ result_file }}"
        mode: "0600"
"""


class Shown(list[str]):
    """Stands in for Display: keeps what was printed."""

    def display(self, text: str) -> None:
        self.append(text)


class Run:
    """Runs the plugin in this process, relative paths below ``folder``."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.shown = Shown()

    def __call__(self, args: dict[str, t.Any], *, check_mode: bool = False, diff: bool = False) -> dict[str, t.Any]:
        task = mock.Mock(args=args, check_mode=check_mode, diff=diff, async_val=0, environment=None)
        loader = DataLoader()
        loader.set_basedir(str(self.folder))
        plugin = action.ActionModule(task, mock.Mock(), mock.Mock(), loader, mock.Mock(), mock.Mock())
        return plugin.run(task_vars={})


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    runner = Run(tmp_path)
    monkeypatch.setattr(action, "Display", lambda: runner.shown)
    return runner


def given(**changes: t.Any) -> dict[str, t.Any]:
    """One domain moved, proven on both hosts, in a run with a name."""
    return {
        "plan": plan_of("web1"),
        "outcomes": [outcome_of("web1")],
        "proofs": [proofs_of("web1", host="hv1"), proofs_of("web1", host="hv2")],
        "findings": [example("Finding")],
        "run_id": "run1",
        **changes,
    }


def test_options_are_those_of_the_documentation() -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    for option in documented.values():
        del option["description"]
    assert documented == action.ARGUMENT_SPEC


def test_results_are_those_of_the_documentation(run: Run) -> None:
    assert set(run(given())) == {*yaml.safe_load(module.RETURN), "changed"}


def test_a_playbook(tmp_path: pathlib.Path) -> None:
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    (tmp_path / "vars.json").write_text(json.dumps({"given": given(), "result_file": str(tmp_path / "result.json")}))
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "site.yml",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            "@vars.json",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_HOME": str(tmp_path / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert {name: result[name]["changed"] for name in result} == {"checked": True, "written": True, "again": False}
    assert json.loads((tmp_path / "out" / "plan.json").read_text()) == plan_of("web1")
    assert "1 moved, 0 stayed, 0 failed, 0 planned; hosts emptied: 1 of 1\n" in process.stdout
    assert '+  "kind": "report",' in process.stdout


def test_files_are_written_once_and_privately(run: Run) -> None:
    first = run(given(dest="out"))
    folder = run.folder / "out"
    assert first["changed"] is True
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.loads((folder / "plan.json").read_text()) == plan_of("web1")
    assert json.loads((folder / "findings.json").read_text()) == [example("Finding")]
    assert json.loads((folder / "report.json").read_text()) == first["report"]
    assert (folder / "report.txt").read_text() == first["table"]
    (outcome,) = json.loads((folder / "outcomes.json").read_text())
    assert [proof["host"] for proof in outcome["proofs"]] == ["hv1", "hv2"]
    assert run(given(dest="out"))["changed"] is False
    assert run(given(dest="out", run_id="run2"))["changed"] is True


def test_check_mode_writes_nothing_and_diff_mode_shows_the_files(run: Run) -> None:
    checked = run(given(dest="out"), check_mode=True, diff=True)
    assert checked["changed"] is True
    assert not (run.folder / "out").exists()
    assert sorted(os.path.basename(change["after_header"]) for change in checked["diff"]) == FILES
    assert [change["before"] for change in checked["diff"]] == [""] * len(FILES)
    assert "diff" not in run(given(dest="out"))


def test_nothing_is_written_without_a_destination(run: Run) -> None:
    assert run(given())["changed"] is False
    assert list(run.folder.iterdir()) == []


def test_the_table_is_printed_unless_not_wanted(run: Run) -> None:
    quiet = run(given(show=False))
    assert run.shown == []
    loud = run(given())
    assert run.shown == [loud["table"]]
    assert quiet["table"] == loud["table"]
    assert loud["summary"] == loud["report"]["summary"]


def test_problems_are_named_and_the_task_succeeds(run: Run) -> None:
    reported = run(given(outcomes=[], proofs=[{}]))
    assert not reported.get("failed")
    assert len(reported["problems"]) == 1
    assert reported["problems"][0].startswith("Domain web1: unknown; hv1 did not say what became of this domain")


def test_a_plan_alone_is_shown_as_planned(run: Run) -> None:
    reported = run({"plan": EXAMPLES["Plan"]})
    assert reported["summary"]["planned"] == 1
    assert reported["problems"] == []


def test_hosts_that_were_asked_and_said_nothing_are_a_problem(run: Run) -> None:
    assert len(run(given(proofs=[{}, {}]))["problems"]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": plan_of("web1", schema=2)}, "plan: schema: 2; expected data of this version, schema 1. Remedy:"),
        ({"outcomes": [{"domain": "web1"}]}, "outcomes: schema: None; expected data of this version"),
        ({"findings": [{"schema": "1"}]}, "findings: schema: 1; expected data of this version"),
        ({"dest": "file"}, "file; expected a directory"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_remedy(run: Run, changes: dict[str, t.Any], message: str) -> None:
    (run.folder / "file").write_text("")
    refused = run(given(**changes))
    assert refused["failed"] is True
    assert message in refused["msg"]
    assert "Remedy:" in refused["msg"]


def test_a_failure_is_explained(run: Run) -> None:
    """By the destination's log, since the error is only what the source saw of it."""
    at = "2026-11-27T06:30:02.000000Z qemu-system-x86_64"
    there = {"host": "hv2", "path": "/var/log/libvirt/qemu/web1.log", "since_s": 0, "cut": False, "unread": None}
    there["lines"] = [f"{at}: fdc: incoming version_id 3 is too new for local version_id 2"]
    broken = outcome_of("web1", "failed", error="job 'migration out' failed: Unable to write to socket: Broken pipe")
    result = run(given(outcomes=[broken], proofs=None, logs=[{}, {broken["uuid"]: there}], dest="out"))
    (failure,) = result["report"]["failures"]
    assert failure["diagnosis"]["who_failed_first"] == "destination"
    assert "Broken pipe. Diagnosis: The destination's QEMU is older than" in result["problems"][0]
    assert "What to do: migrate only to an equal or newer QEMU. Remedy: " in result["problems"][0]
    shown = " ".join(result["table"].split())
    assert "Diagnosis: Domain web1, hv1 to hv2: the destination's QEMU is older" in shown
    kept = json.loads((run.folder / "out" / "outcomes.json").read_text("utf-8"))
    assert kept[0]["diagnosis"] == failure["diagnosis"] and kept[0]["logs"] == [there]


def test_what_moved_is_not_explained(run: Run) -> None:
    result = run(given(outcomes=[outcome_of("web1", error="its autostart flag could not be set")]))
    assert result["report"]["failures"][0]["diagnosis"] is None and "Diagnosis" not in result["table"]
