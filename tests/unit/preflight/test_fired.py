# SPDX-License-Identifier: GPL-3.0-or-later

"""What was recorded when a check fired in the lab, replayed: it fires again, and is quiet about the plain guest."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from tests.firing import recording, rows

RECORDED = {content["check"]: content for content in rows.recorded()}
every_recording = pytest.mark.parametrize("content", RECORDED.values(), ids=list(RECORDED))


@every_recording
def test_it_fires_again(content: dict[str, t.Any]) -> None:
    found = recording.replay(content["fired"], content["check"])
    assert any(content["text"] in finding["message"] and finding["status"] == content["status"] for finding in found)


@every_recording
def test_it_is_quiet_about_the_plain_guest(content: dict[str, t.Any]) -> None:
    if content["quiet"] is None:
        pytest.skip("the lab is always so; the near miss in the cases stands for it")
    assert recording.replay(content["quiet"], content["check"]) == []


def test_every_recording_belongs_to_a_row() -> None:
    assert set(RECORDED) <= {row.check for area in rows.AREAS.values() for row in area}


def test_the_grade_lab_is_for_checks_that_were_seen_under_a_real_condition() -> None:
    seen = {check for check, content in RECORDED.items() if not content["faked"]}
    assert {check.id for check in api.CHECKS if check.evidence == "lab"} == seen
