# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin in this process: options, files, and what happens to an audit that is there already."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import typing as t
from unittest import mock

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader

from ansible_collections.livemig.libvirt.plugins.action import audit as action
from ansible_collections.livemig.libvirt.plugins.modules import audit as module
from tests.unit.audit.scenes import domain, host, pair

FILES = ["audit.html", "audit.json", "audit.txt"]


class Shown(list[str]):
    """Stands in for Display: keeps what was printed."""

    def display(self, text: str) -> None:
        self.append(text)


class Run:
    """Runs the plugin in this process, relative paths below ``folder``."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.shown = Shown()

    def __call__(self, *, check_mode: bool = False, diff: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        args = {
            "hosts": [host("hv1", 4096), host("hv2", 4096)],
            "domains": [domain("web")],
            "findings": [],
            "destinations": ["hv1", "hv2"],
            "finished": 100,
            **changes,
        }
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


def test_options_are_those_of_the_documentation() -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    for option in documented.values():
        del option["description"]
    assert documented == action.ARGUMENT_SPEC


def test_results_are_those_of_the_documentation(run: Run) -> None:
    assert set(run()) == {*yaml.safe_load(module.RETURN), "changed"}


def test_files_are_written_once_and_privately(run: Run) -> None:
    first = run(dest="out")
    folder = run.folder / "out"
    assert first["changed"] is True
    assert sorted(map(os.path.basename, first["files"])) == sorted(path.name for path in folder.iterdir()) == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert json.loads((folder / "audit.json").read_text()) == first["audit"]
    assert (folder / "audit.txt").read_text() == first["table"] == run.shown[0]
    again = run(dest="out")
    assert (again["changed"], again["files"]) == (False, [])


def test_the_audit_that_is_there_is_compared_with(run: Run) -> None:
    run(dest="out")
    lost = run(dest="out", finished=200, findings=[pair("web", "hv2", "no br-x on hv2")])
    assert (lost["summary"]["worse"], lost["audit"]["since"]["finished"]) == (1, 100)
    assert run(previous="out/audit.json", finished=300)["audit"]["since"]["finished"] == 200


def test_check_mode_writes_nothing_and_diff_mode_shows_the_text(run: Run) -> None:
    checked = run(dest="out", check_mode=True, diff=True)
    assert checked["changed"] is True and not (run.folder / "out").exists()
    assert [(os.path.basename(diff["after_header"]), diff["after"]) for diff in checked["diff"]] == [
        ("audit.txt", checked["table"])
    ]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"kind": "audit", "schema": 99}'])
def test_a_broken_audit_is_left_alone(run: Run, content: bytes) -> None:
    run(dest="out")
    kept = {name: (run.folder / "out" / name).read_bytes() for name in FILES} | {"audit.json": content}
    (run.folder / "out" / "audit.json").write_bytes(content)
    failed = run(dest="out", finished=200)
    assert failed["failed"] is True
    assert "audit.json" in failed["msg"] and "expected" in failed["msg"] and "Nothing was overwritten" in failed["msg"]
    assert {name: (run.folder / "out" / name).read_bytes() for name in FILES} == kept


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"previous": "none.json"}, "there is no such file; expected an audit.json"),
        ({"memory_reserve_mib": -1}, "memory_reserve_mib: -1; expected 0 or more MiB"),
        ({"hosts": [{"kind": "domain", "schema": 1}]}, "expected kind host, schema 1"),
    ],
)
def test_bad_input_is_one_clear_message(run: Run, changes: dict[str, t.Any], said: str) -> None:
    failed = run(**changes)
    assert failed["failed"] is True and said in failed["msg"] and "Remedy: " in failed["msg"]


def test_a_host_that_does_not_answer_is_in_the_audit(run: Run) -> None:
    made = run(hosts=[host("hv1", 4096)], unreachable={"hv2": "timed out"})
    assert [entry["reason"] for entry in made["audit"]["hosts"]] == [None, "timed out"]
