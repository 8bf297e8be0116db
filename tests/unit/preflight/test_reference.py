# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/checks.md is what the registry says."""

from __future__ import annotations

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import CHECKS
from tests.tools import checks_reference


def test_the_page_is_up_to_date() -> None:
    assert checks_reference.main(["--check"]) == 0


def test_a_check_more_or_less_makes_it_out_of_date() -> None:
    assert checks_reference.page(CHECKS[1:]) != checks_reference.PAGE.read_text(encoding="utf-8")


def test_every_check_has_a_section() -> None:
    text = checks_reference.page(CHECKS)
    assert [check.id for check in CHECKS if f"\n### {check.id}\n" not in text] == []
