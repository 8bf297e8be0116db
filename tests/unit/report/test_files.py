# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the controller: whole or not at all, private, and untouched when nothing differs."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.api import as_json, changes, write


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_write_then_nothing(tmp_path: pathlib.Path) -> None:
    dest = tmp_path / "runs" / "one"
    found = changes(str(dest), {"a.txt": "x\n"})
    assert [(change.before, change.after) for change in found] == [(None, "x\n")]
    assert not dest.exists()
    write(str(dest), found)
    assert (dest / "a.txt").read_text() == "x\n"
    assert (mode(dest), mode(dest / "a.txt")) == (0o700, 0o600)
    assert changes(str(dest), {"a.txt": "x\n"}) == []
    assert [path.name for path in dest.iterdir()] == ["a.txt"]


def test_only_what_differs_is_written(tmp_path: pathlib.Path) -> None:
    write(str(tmp_path), changes(str(tmp_path), {"a": "1", "b": "2"}))
    kept = (tmp_path / "a").stat().st_ino
    found = changes(str(tmp_path), {"a": "1", "b": "3"})
    assert [(os.path.basename(change.path), change.before) for change in found] == [("b", "2")]
    write(str(tmp_path), found)
    assert (tmp_path / "a").stat().st_ino == kept
    assert (tmp_path / "b").read_text() == "3"


def test_a_mode_that_is_too_wide_is_a_difference(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "a").chmod(0o644)
    found = changes(str(tmp_path), {"a": "1"})
    write(str(tmp_path), found)
    assert mode(tmp_path / "a") == 0o600


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o755)
    write(str(tmp_path), changes(str(tmp_path), {"a": "1"}))
    assert mode(tmp_path) == 0o755


def test_a_file_that_is_no_text_is_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    write(str(tmp_path), changes(str(tmp_path), {"a": "1"}))
    assert (tmp_path / "a").read_text() == "1"


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "dest").write_text("")
    with pytest.raises(LivemigError, match=r"dest: .*/dest; expected a directory.* Remedy: name another one"):
        changes(str(tmp_path / "dest"), {"a": "1"})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(str(tmp_path), changes(str(tmp_path), {"a": "old"}))

    def broken(_source: str, _target: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(LivemigError, match="Permission denied; expected a directory on the controller"):
        write(str(tmp_path), changes(str(tmp_path), {"a": "new"}))
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_json_is_readable_and_keeps_names_as_they_are() -> None:
    assert as_json({"name": "bücher"}) == '{\n  "name": "bücher"\n}\n'
