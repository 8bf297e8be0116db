# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/checks.md, diagnoses.md, facts.md and firing.md are what the tables say."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import CHECKS
from tests.tools import (
    agreement_reference,
    checks_reference,
    diagnosis_reference,
    facts_reference,
    faults_reference,
    firing_reference,
)


@pytest.mark.parametrize(
    "tool",
    [agreement_reference, checks_reference, diagnosis_reference, facts_reference, faults_reference, firing_reference],
)
def test_the_page_is_up_to_date(tool: t.Any) -> None:
    assert tool.main(["--check"]) == 0


def test_a_check_more_or_less_makes_it_out_of_date() -> None:
    without = checks_reference.left_out()
    assert checks_reference.page(CHECKS[1:], without) != checks_reference.PAGE.read_text(encoding="utf-8")


def test_every_check_has_a_section_and_what_is_left_out_a_reason() -> None:
    without = checks_reference.left_out()
    text = checks_reference.page(CHECKS, without)
    assert [check.id for check in CHECKS if f"\n### {check.id}\n" not in text] == []
    assert set(without) & {check.id for check in CHECKS} == set()
    assert all(len(reason.split()) > 3 for reason in without.values())


def test_every_condition_that_was_thought_of_has_a_check_or_a_reason() -> None:
    """catalogue.txt: the ids of the catalogue that the project started from."""
    lines = (pathlib.Path(__file__).parent / "data" / "catalogue.txt").read_text("utf-8").splitlines()
    catalogue = [line for line in lines if not line.startswith("#")]
    assert set(catalogue) - {check.id for check in CHECKS} == set(checks_reference.left_out())
