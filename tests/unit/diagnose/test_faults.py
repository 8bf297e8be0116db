# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the errors and of both hosts' logs that the fault matrix has left (make faults)."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.api import diagnose
from tests.faults.recording import RECORDED

LEFT: dict[str, t.Any] = {
    record["name"]: outcome
    for record in json.loads(RECORDED.read_text(encoding="utf-8"))
    for outcome in record.get("outcomes", ())
}


def test_there_are_real_logs_of_both_hosts() -> None:
    assert len(LEFT) >= 12
    both = [
        name for name, outcome in LEFT.items() if {log["host"] for log in outcome["logs"] if log["lines"]} >= {"hv1"}
    ]
    assert len(both) >= 8


@pytest.mark.parametrize("name", LEFT)
def test_what_was_said_then_is_said_now(name: str) -> None:
    outcome = {**LEFT[name], "diagnosis": None}
    made = diagnose(t.cast(t.Any, outcome))
    told = LEFT[name]["diagnosis"]
    assert (made["id"], made["who_failed_first"], made["retry"]) == (
        told["id"],
        told["who_failed_first"],
        told["retry"],
    )
