# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import intent, records
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.outcome import outcome
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.records import Busy, Records, run_id
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from tests.unit.migrate.test_migrate import UUID, move


@pytest.fixture
def kept(tmp_path: Path) -> Records:
    made = Records(str(tmp_path / "state"), str(tmp_path / "run"))
    made.ready()
    return made


def begin(kept: Records, run: str, uuid: str = UUID) -> None:
    kept.note(run, "begun", uuid=uuid, move=move(uuid=uuid), tls="off")


def test_what_was_begun_and_not_ended_is_open(kept: Records) -> None:
    begin(kept, "run-1")
    assert kept.open_moves() == {UUID: ("run-1", move(), "off", ())}
    kept.note("run-1", "ended", uuid=UUID)
    assert kept.open_moves() == {}
    begin(kept, "run-2")
    assert kept.open_moves()[UUID][0] == "run-2"


def test_a_line_that_a_crash_has_cut_off(kept: Records, tmp_path: Path) -> None:
    begin(kept, "run-1")
    with (tmp_path / "state/runs/run-1.jsonl").open("a") as file:
        file.write('{"event": "ended", "uu')
    assert list(kept.open_moves()) == [UUID]


def test_a_torn_line_does_not_swallow_the_next(kept: Records, tmp_path: Path) -> None:
    begin(kept, "run-1")
    with (tmp_path / "state/runs/run-1.jsonl").open("a") as file:
        file.write('{"event": "beg')
    kept.note("run-1", "ended", uuid=UUID)
    assert kept.open_moves() == {}


def test_a_run_that_ended_without_its_controller_is_told_once(kept: Records) -> None:
    for run, watched in (("run-1", True), ("run-2", False), ("run-3", True)):
        kept.over(run, [outcome(move(), "moved", running_on="hv2"), outcome(move(), "refused", error="no")], watched)
    kept.hear("run-1")
    (told,) = kept.unheard()
    assert told["run"] == "run-3" and [each["state"] for each in told["outcomes"]] == ["moved", "refused"]
    assert told["sentence"] == "Run run-3 ended without its controller. web1: moved; web1: refused (no)."
    kept.hear("run-3")
    kept.hear("run-3")
    assert kept.unheard() == [] and [entry["event"] for entry in kept.entries("run-3")] == ["over", "heard"]
    assert kept.outcomes("run-2") is not None and kept.outcomes("run-4") is None


def test_others_may_not_read_them(kept: Records, tmp_path: Path) -> None:
    kept.keep_definition(UUID, {"live": "<domain/>"})
    begin(kept, "run-1")
    for path in tmp_path.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_definition_is_there_until_it_is_dropped(kept: Records) -> None:
    assert kept.definition(UUID) is None
    kept.keep_definition(UUID, {"live": "<domain/>"})
    assert kept.definition(UUID) == {"live": "<domain/>"}
    kept.drop_definition(UUID)
    kept.drop_definition(UUID)
    assert kept.definition(UUID) is None


def test_a_lock_dies_with_its_holder(kept: Records) -> None:
    child = os.fork()
    if child == 0:
        with kept.lock(UUID):
            os._exit(0)
    os.waitpid(child, 0)
    with kept.lock(UUID), pytest.raises(Busy, match=f"process {os.getpid()}"), kept.lock(UUID):
        pass


def test_old_journals_go_and_open_ones_stay(kept: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEPT_RUNS", 2)
    begin(kept, "run-0")
    os.utime(tmp_path / "state/runs/run-0.jsonl", (0, 0))
    for number in range(1, 5):
        begin(kept, f"run-{number}", uuid=f"{number}{UUID[1:]}x")
        kept.note(f"run-{number}", "ended", uuid=f"{number}{UUID[1:]}x")
        # The clock of a file system may stand still between two notes.
        os.utime(tmp_path / f"state/runs/run-{number}.jsonl", (number, number))
    kept.note(f"vf-{UUID}", "vf_off", uuid=UUID)
    os.utime(tmp_path / f"state/runs/vf-{UUID}.jsonl", (0, 0))
    kept.prune()
    assert set(kept.runs()) == {"run-0", "run-3", "run-4", f"vf-{UUID}"}, "what a guest was asked for is no run's"


@pytest.mark.parametrize("given", ["../x", "", ".x", "a/b", "a" * 101, "a b"])
def test_a_run_id_is_a_files_name(given: str) -> None:
    if not given:
        assert run_id(given)
        return
    with pytest.raises(LivemigError, match="run_id"):
        run_id(given)


def test_an_intent_survives_the_way(kept: Records) -> None:
    wanted = intent.Intent("run-1", move(autostart=False), "off")
    assert intent.from_xml(intent.to_xml(wanted)) == wanted


@pytest.mark.parametrize("text", ["<intent>", "<intent run='1'/>", "<intent run='1'>[]</intent>", "<x>{}</x>"])
def test_what_is_not_an_intent_of_ours(text: str) -> None:
    assert intent.from_xml(text) is None
