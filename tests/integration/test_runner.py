# SPDX-License-Identifier: GPL-3.0-or-later
"""As AWX runs it: ansible-runner, a playbook by its full name, survey answers as text, artifacts."""

from __future__ import annotations

import json
import pathlib
import typing as t

from tests.integration.conftest import ANSIBLE_TIMEOUT_S, place_of
from tests.lab import api


def run(folder: pathlib.Path, playbook: str, variables: dict[str, t.Any], *words: str) -> list[dict[str, t.Any]]:
    """The run's events. The variables are what AWX hands over: a survey's answers are texts and whole numbers."""
    (folder / "env").mkdir(parents=True, exist_ok=True)
    (folder / "env" / "extravars").write_text(json.dumps(variables), encoding="utf-8")
    (folder / "env" / "envvars").write_text(json.dumps(api.ansible_environment()), encoding="utf-8")
    command = ["ansible-runner", "run", str(folder), "-p", f"livemig.libvirt.{playbook}", "--ident", playbook]
    command += ["--inventory", str(api.inventory_path()), *words]
    done = api.exec_on("ctl", command, env=api.ansible_environment(), timeout_s=ANSIBLE_TIMEOUT_S)
    assert done.returncode == 0, done.stdout
    events = (folder / "artifacts" / playbook / "job_events").glob("*.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in events]


def artifacts(events: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    (stats,) = [event for event in events if event["event"] == "playbook_on_stats"]
    return t.cast("dict[str, t.Any]", stats["event_data"]["artifact_data"])


def changed(events: list[dict[str, t.Any]]) -> dict[str, int]:
    (stats,) = [event for event in events if event["event"] == "playbook_on_stats"]
    return t.cast("dict[str, int]", stats["event_data"]["changed"])


def test_evacuate_in_check_mode_then_for_real_then_again(guest: str, tmp_path: pathlib.Path) -> None:
    survey = {"livemig_evacuate_hosts": "hv1", "livemig_destinations": "hv2, hv4", "livemig_max_parallel": 2}
    looked = run(tmp_path / "check", "evacuate", survey, "--cmdline=--check")
    assert artifacts(looked)["livemig_summary"]["planned"] == 1
    assert place_of(guest) == ["hv1"]

    moved = run(tmp_path / "real", "evacuate", survey)
    assert artifacts(moved)["livemig_summary"]["hosts_emptied"] == {"hv1": True}
    assert len(artifacts(moved)["livemig_plan_digest"]) == 64
    assert place_of(guest) in (["hv2"], ["hv4"])

    again = run(tmp_path / "again", "evacuate", survey)
    assert sum(changed(again).values()) == 0


def test_migrate_one_domain_and_again(guest: str, tmp_path: pathlib.Path) -> None:
    wanted = {"livemig_domain": guest, "livemig_destination": "hv4"}
    run(tmp_path / "real", "migrate", wanted)
    assert place_of(guest) == ["hv4"]
    assert sum(changed(run(tmp_path / "again", "migrate", wanted)).values()) == 0
    assert place_of(guest) == ["hv4"]
