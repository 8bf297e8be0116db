# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the runs of the SR-IOV bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench import sriov, sriov_timeline
from tests.bench.sriov_figures import ARMS, bars, forecasts, markdown, pages
from tests.sriov import cli

# ms for each 1024 MiB, on top of a fixed part
GROWTH = {"virtio": (200, 20), "replug": (210, 20), "failover": (200, 3000), "serial": (1000, 0)}
PHASES = {
    "vf_off": 100.0,
    "vf_gone": 700.0,
    "iteration 1": 900.0,
    "suspended": 2000.0,
    "resumed": 2300.0,
    "vf_on": 9000.0,
}


def run(arm: str, mib: int, number: int = 1, **changes: Any) -> dict[str, Any]:
    fixed, each = GROWTH[arm]
    pause = fixed + each * mib / 1024
    made = {"key": f"{arm}/{mib}/{number}", "arm": arm, "mib": mib, "round": number, "compute_ms": pause}
    more = {"libvirt_ms": pause, "blackout_ms": pause + 40, "total_ms": 9000.0, "rate_mib_s": 512.0, "load": 1.0}
    return {**made, **more, "phases": PHASES, **changes}


def runs(**changes: dict[int, float]) -> list[dict[str, Any]]:
    """changes: arm -> size -> its network's silence."""
    found = [run(cell.arm, cell.mib) for cell in sriov.plan(1)]
    return [
        {**each, "blackout_ms": changes.get(each["arm"], {}).get(each["mib"], each["blackout_ms"])} for each in found
    ]


def test_all_bars_are_met() -> None:
    assert [each.met for each in bars(runs())] == [True] * 9


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"failover": {3072: 3000.0}}, "`failover` grows"),
        ({"replug": {1024: 600.0}}, "1024 MiB: `replug` at most 1.25"),
        ({"replug": {2048: 2000.0}}, "2048 MiB: `replug` at most 0.25"),
    ],
)
def test_a_bar_can_be_missed(changes: dict[str, dict[int, float]], begins: str) -> None:
    missed = [each.what for each in bars(runs(**changes)) if each.met is False]
    assert any(what.startswith(begins) for what in missed)


def test_a_slow_guest_without_a_vf_allows_a_slow_replug() -> None:
    slow = runs(virtio={1024: 1000.0}, replug={1024: 1249.0})
    assert all(each.met for each in bars(slow) if each.what.startswith("1024 MiB: `replug`"))


def test_the_forecast_is_held_against_what_failover_took() -> None:
    assert forecasts(runs(), 2048) == (6000, 6200 - 240)
    fast = [{**each, "rate_mib_s": 900.0} for each in runs()]
    assert [each.met for each in bars(fast) if "within a factor" in each.what] == [False] * 3


def test_what_was_not_measured_is_said() -> None:
    some = [run("virtio", 1024)]
    assert {each.met for each in bars(some)} == {None}
    assert "| not measured |" in markdown({"date": "2026-11-27", "machine": {"cores": 2}, "runs": some})


def test_the_pages() -> None:
    made = pages({"date": "2026-11-27", "machine": {"cores": 2}, "runs": runs()})
    assert sorted(made) == ["sriov-failover.svg", "sriov-replug.svg", "sriov.md"]
    assert "| 2048 | VF and standby, `failover` | 1 | 0 | 6200 | 6240 | 9000 | 6000 |" in made["sriov.md"]


def test_runs_that_have_failed_are_kept_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sriov, "FOLDER", tmp_path)

    class Stage:
        def run(self, cell: sriov.Cell) -> dict[str, Any]:
            if cell.number == 1:
                raise RuntimeError("failed: the guest sees nothing")
            return run(cell.arm, cell.mib, cell.number)

        def clear(self) -> None: ...

    monkeypatch.setattr(sriov, "Stage", Stage)
    monkeypatch.setattr(cli, "main", lambda _words: cli.OK)
    for _call in range(2):
        assert sriov.main(["--rounds", "2"]) == 0
    kept = sriov.load()
    assert {entry["round"] for entry in kept["runs"]} == {2} and len(kept["runs"]) == len(sriov.plan(1))
    assert [entry["key"] for entry in kept["failed"]].count("failover/2048/1") == 2
    assert kept["failed"][0]["error"] == "failed: the guest sees nothing"
    page = (tmp_path / "sriov.md").read_text("utf-8")
    assert "| 2048 | VF and standby, `failover` | 1 | 2 | 6200 |" in page


def test_a_time_line_has_a_bar_for_each_span_that_is_known() -> None:
    whole = ElementTree.fromstring(sriov_timeline.svg("replug", PHASES))
    assert len([each for each in whole if each.tag.endswith("rect")]) == 4
    some = ElementTree.fromstring(
        sriov_timeline.svg("failover", {"iteration 1": 0.5, "suspended": 1.0, "resumed": 5.0})
    )
    assert len([each for each in some if each.tag.endswith("rect")]) == 2


def test_arms_and_sizes_take_turns() -> None:
    cells = sriov.plan(2)
    assert len({cell.key for cell in cells}) == len(cells) == 2 * sum(len(arm.sizes_mib) for arm in ARMS.values())
    first, second = cells[: len(cells) // 2], cells[len(cells) // 2 :]
    assert [cell.arm for cell in first if cell.mib == 2048] == list(ARMS)
    assert [(cell.arm, cell.mib) for cell in second] == [(cell.arm, cell.mib) for cell in first[::-1]]
