# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen in the lab: it was right, and the verdicts of today agree with it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.agreement import checker, recording, replay, tables

RECORDS, SEEN = recording.load(recording.RECORDED)


@pytest.fixture(scope="module")
def given_anew() -> dict[str, Any]:
    return {record["name"]: record for record in replay.records()}


def test_every_result_is_of_a_case_and_was_right() -> None:
    assert {record["name"] for record in RECORDS} <= {case.name for case in tables.every()}
    assert [record["name"] for record in RECORDS if not checker.right([record])] == []


@pytest.mark.parametrize("name", [record["name"] for record in RECORDS])
def test_the_verdict_of_today_agrees_with_what_happened(name: str, given_anew: dict[str, Any]) -> None:
    record = given_anew[name]
    assert checker.right([record]), checker.judge(record)


def test_a_result_that_is_wrong_replaces_nothing() -> None:
    right = RECORDS[0]
    wrong = {**right, "fault": "it did not boot"}
    seen = {right["name"]: "seen"}
    kept, _seen = recording.renewed(([right], seen), ([wrong], {right["name"]: "other"}), {right["name"]})
    assert kept == [right] and _seen == seen
    assert recording.renewed(([right], seen), ([], {}), set()) == ([], {})
