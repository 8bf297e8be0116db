# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker of the agreement suite: each way to be wrong must be seen, and only that."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agreement import checker

BOOT = "99e72381-aa00-4e2a-8cec-ef283cddea0b"


def record(refused: bool = False, moved: bool = True, **changes: Any) -> Any:
    """A guest from hv1 to hv2 that lives; moved there, or kept by libvirt."""
    place = "hv2" if moved else "hv1"
    before = {
        **{"at_s": 10.0, "runs_on": ["hv1"], "writers": 1, "echo": True, "boots": [BOOT], "tick": 5, "disk": "5"},
        **{"mark_lost": False, "out_of_order": 0, "complaints": []},
    }
    soon = {**before, "at_s": 20.0, "runs_on": [place], "tick": 12, "disk": "12"}
    late = {**soon, "at_s": 31.0, "tick": 23, "disk": "23"}
    lists: Any = {"hv1": {}, "hv2": {}}
    known_before = copy.deepcopy(lists)
    known_before["hv1"]["a-web"] = {"state": 1, "persistent": True}
    lists[place]["a-web"] = {"state": 1, "persistent": True}
    reasons = [{"check": "net_bridge_exists", "status": "fail", "severity": "error", "message": "no bridge"}]
    made = {
        **{"name": "web", "guest": "a-web", "what": "a guest", "kind": "hand", "expects": [], "transient": False},
        **{"source": "hv1", "destination": "hv2", "stricter": "", "shows": "", "faked": False, "fault": "", "risk": {}},
        "verdict": {"refused": refused, "reasons": reasons if refused else [], "others": []},
        "outcome": {"state": "moved" if moved else "failed", "error": None if moved else "no bridge"},
        **{"before": before, "soon": soon, "late": late, "known_before": known_before, "known": lists},
    }
    return {**made, **changes}


def with_late(**changes: Any) -> Any:
    """An allowed guest that moved, and was then seen otherwise."""
    made = record()
    return {**made, "late": {**made["late"], **changes}}


@pytest.mark.parametrize(
    ("made", "result", "truth"),
    [
        (record(), "agreed", "moved"),
        (record(refused=True, moved=False), "agreed", "stayed"),
        (record(refused=True, moved=False, expects=["net_bridge_exists"]), "agreed", "stayed"),
        (record(refused=True, moved=False, expects=["disk_same_object"]), "missed", "stayed"),
        (record(moved=False), "missed", "stayed"),
        (record(refused=True), "false", "moved"),
        (record(refused=True, stricter="data is at risk"), "stricter", "moved"),
        (
            record(refused=True, stricter="at risk", shows="mark=lost", risk={"hv2": "TICK mark=lost"}),
            "stricter",
            "moved",
        ),
        (record(refused=True, stricter="at risk", shows="mark=lost", risk={"hv2": "TICK"}), "false", "moved"),
        (record(refused=True, stricter="at risk", shows="mark=lost"), "false", "moved"),
        (record(stricter="at risk", shows="mark=lost", risk={"hv2": "mark=lost"}), "missed", "moved"),
        (record(stricter="at risk", shows="mark=lost", risk={"hv2": "TICK"}), "agreed", "moved"),
        (record(fault="it did not boot"), "unfit", "nothing"),
        (record(kind="clean", refused=True, moved=False), "unfit", "stayed"),
        (record(outcome={"state": "unknown", "error": "no answer"}), "unfit", "nothing"),
    ],
)
def test_verdict_and_truth_are_joined(made: Any, result: str, truth: str) -> None:
    assert checker.judge(made)[:2] == (result, truth)
    assert checker.right([made]) == (result in ("agreed", "stricter"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runs_on": []}, "runs on no host"),
        ({"runs_on": ["hv1", "hv2"]}, "runs on hv1, hv2"),
        ({"writers": 2}, "2 write to its console"),
        ({"boots": [BOOT, BOOT]}, "booted 2 times"),
        ({"at_s": 29.9}, "was not watched for long enough"),
        ({"tick": 12}, "stopped ticking at 12"),
        ({"complaints": ["kernel BUG"]}, "its kernel says kernel BUG"),
        ({"mark_lost": True}, "lost what it had on its disk"),
        ({"disk": "failed"}, "its disk: failed"),
        ({"disk": None}, "its disk: gone"),
        ({"echo": False}, "lost its network"),
        ({"out_of_order": 1}, "its ticks are out of order"),
    ],
)
def test_each_harm_is_seen(changes: dict[str, Any], words: str) -> None:
    judged = checker.judge(with_late(**changes))
    assert (judged.result, judged.truth) == ("missed", "harmed")
    assert words in judged.why


def test_a_guest_that_ran_twice_for_a_moment() -> None:
    made = record()
    made["soon"] = {**made["soon"], "runs_on": ["hv1", "hv2"], "writers": 2}
    assert checker.judge(made)[:2] == ("missed", "harmed")


def test_a_definition_that_got_lost_or_stayed_behind() -> None:
    made = record()
    made["known"]["hv2"]["a-web"]["persistent"] = False
    assert "is not defined on hv2" in checker.judge(made).why
    assert checker.judge({**made, "transient": True}).result == "agreed"
    made = record(moved=False)
    made["known"]["hv2"]["a-web"] = {"state": 5, "persistent": True}
    assert "is defined on hv2, too" in checker.judge(made).why
    made["known_before"]["hv2"]["a-web"] = {"state": 5, "persistent": True}
    assert checker.judge(made).truth == "stayed"


def test_what_never_worked_is_no_harm() -> None:
    made = record()
    for part in ("before", "late"):
        made[part] = {**made[part], "echo": False, "disk": None}
    assert checker.judge(made).result == "agreed"


def test_the_last_line_and_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "raw.json"

    def run(*records: Any) -> tuple[int, str]:
        path.write_text(json.dumps({"records": records}), encoding="utf-8")
        status = checker.main([str(path)])
        return status, capsys.readouterr().out.splitlines()[-1]

    well, strict = record(), record(refused=True, stricter="at risk")
    assert run(well, strict) == (0, "agreement: 2 cases, 0 missed, 0 false, 1 stricter")
    assert run(well, record(moved=False)) == (1, "agreement: 2 cases, 1 missed, 0 false, 0 stricter")
    assert run(well, record(refused=True)) == (1, "agreement: 2 cases, 0 missed, 1 false, 0 stricter")
    assert run(well, record(fault="x")) == (1, "agreement: 2 cases, 0 missed, 0 false, 0 stricter, 1 unfit")
    beyond = record(moved=False, beyond="nobody can tell")
    assert run(well, beyond) == (0, "agreement: 1 cases, 0 missed, 0 false, 0 stricter")
    assert run(well, record(beyond="nobody can tell"))[0] == 1, "it was foreseen, or nothing was wrong"
    assert run(well, record(faked=True)) == (0, "agreement: 1 cases, 0 missed, 0 false, 0 stricter")
    assert run(well, record(faked=True, moved=False))[0] == 1
    assert run()[0] == 1
