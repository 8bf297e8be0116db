# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs inside a host: what is copied there, and what the bootstrap does, without a lab."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import enter, observe, places
from tests.lab.errors import LabError
from tests.lab.places import Places


def tree(tmp_path: Path) -> Places:
    where = replace(places.places({}), state=tmp_path / "state", checkout=tmp_path / "checkout")
    code = where.checkout / "plugins" / "module_utils" / "_room"
    code.mkdir(parents=True)
    (code / "api.py").write_text("from .rest import VALUE\n")
    (code / "rest.py").write_text("VALUE = 1\n")
    where.shared.mkdir(parents=True)
    return where


def test_the_copy_is_fresh_and_an_older_one_is_left_alone(tmp_path: Path) -> None:
    where = tree(tmp_path)
    first = observe.publish(where)
    assert observe.publish(where) == first
    (where.checkout / "plugins/module_utils/_room/rest.py").write_text("VALUE = 2\n")
    second = observe.publish(where)
    assert first != second
    texts = [
        (where.shared / "code" / Path(name).name / observe.PACKAGE / "_room/rest.py").read_text()
        for name in (first, second)
    ]
    assert texts == ["VALUE = 1\n", "VALUE = 2\n"]
    assert not list((where.shared / "code").glob("building-*"))


def test_everybody_may_read_the_copy(tmp_path: Path) -> None:
    where = tree(tmp_path)
    folder = where.shared / "code" / Path(observe.publish(where)).name
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def bootstrapped(order: dict[str, t.Any]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-I", "-B", "-c", observe.BOOTSTRAP]
    return subprocess.run(words, input=json.dumps(order), capture_output=True, text=True, check=False)


def test_a_program_imports_the_copy_and_answers(tmp_path: Path) -> None:
    where = tree(tmp_path)
    path = where.shared / "code" / Path(observe.publish(where)).name
    program = (
        "from ansible_collections.livemig.libvirt.plugins.module_utils._room import api\n"
        "def main(given):\n    print('noise')\n    return [given, api.VALUE]\n"
    )
    done = bootstrapped({"path": str(path), "program": program, "given": {"a": 1}})
    assert json.loads(done.stdout) == [{"a": 1}, 1]
    assert done.stderr == "noise\n"


@pytest.mark.parametrize("program", [observe.HOST, observe.DOMAINS, observe.ANSWERS])
def test_ready_programs_compile_and_have_a_main(program: str) -> None:
    compiled = compile(program, "ready", "exec")
    assert "main" in compiled.co_names
    assert "CALL" not in program


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that are meant for a host run here; returns those that ran."""
    where, ran = tree(tmp_path), []

    def exec_on(_host: str, words: list[str], **options: t.Any) -> subprocess.CompletedProcess[str]:
        ran.append(words)
        stdin, timeout_s = options.get("stdin"), options.get("timeout_s")
        return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s)

    monkeypatch.setattr(places, "places", lambda: where)
    monkeypatch.setattr(enter, "prefix", lambda _name: [])
    monkeypatch.setattr(enter, "exec_on", exec_on)
    return ran


def test_a_failure_carries_the_traceback(inside: list[list[str]]) -> None:
    with pytest.raises(LabError, match=r"(?s)hv1 failed.*Traceback.*ValueError: no good"):
        observe.observe_inside("hv1", "def main(given):\n    raise ValueError('no good')\n")
    assert len(inside) == 1


def test_a_program_that_does_not_end_is_ended(inside: list[list[str]]) -> None:
    with pytest.raises(LabError, match="still ran after 1 s"):
        observe.observe_inside("hv1", "def main(given):\n    import time; time.sleep(30)\n", timeout_s=1)
    assert inside[0][:1] == ["timeout"]


def test_another_user_is_become_inside_the_time_limit() -> None:
    words = observe.command("watcher", 3.2)
    assert words[:3] == ["timeout", "--kill-after=2", "4"]
    assert words[3] == "setpriv"
    assert "--reuid=watcher" in words
    assert "setpriv" not in observe.command(None, 3)


@pytest.mark.parametrize("user", ["", "Root", "a b", "x;y", "-a"])
def test_bad_users(user: str, inside: list[list[str]]) -> None:
    with pytest.raises(LabError, match="the user is"):
        observe.observe_inside("hv1", "def main(given): pass", user=user)
    assert inside == []
