# SPDX-License-Identifier: GPL-3.0-or-later

"""The table: every message is recognised as what it is, and none as another one."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.api import ROWS, diagnose, recognised
from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.row import message, rendered
from tests.unit.diagnose.samples import failed
from tests.unit.report.samples import ROOT

DATA = pathlib.Path(__file__).parent / "data"
# What real migrations ended with in the lab, on libvirt 11.3 and 9.0, each kind once.
ERRORS = json.loads((DATA / "errors.json").read_text("utf-8"))
# The ids of the catalogue that the project started from.
CATALOGUE = [line for line in (DATA / "catalogue.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
# The source only sees that the destination hung up; why stands in no log of QEMU.
UNEXPLAINED = ["tls-no-client-here"]
MESSAGES = [(row, template) for row in ROWS for template in row.messages]
SIDES = {"source", "destination", "network", "client", "policy", "here", "unknown"}


def test_the_catalogue_is_there_as_a_whole() -> None:
    assert len(CATALOGUE) == 117
    assert set(CATALOGUE) - {row.id for row in ROWS} == set()


def test_ids_and_messages_are_there_once() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert len({template for _row, template in MESSAGES}) == len(MESSAGES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_words_of_a_row(row: t.Any) -> None:
    assert row.role in ("cause", "wrapper", "consequence")
    assert row.side in ("source", "destination", "both")
    assert row.retry in ("yes", "after_fix", "other_host", "no", "resume", "resolve_first", "depends")
    assert row.first in {"cause": SIDES, "wrapper": {""}, "consequence": SIDES | {"peer", "ended", ""}}[row.role]
    assert row.messages and row.cause[0].isupper() and not row.cause.endswith(".") and not row.advice.endswith(".")


@pytest.mark.parametrize(("row", "template"), MESSAGES, ids=[template[:40] for _row, template in MESSAGES])
@pytest.mark.parametrize(("text", "number"), [("abc", "7"), ("a b: /c", "4294967295"), ("", "0")])
def test_a_message_is_recognised_wherever_it_stands(row: t.Any, template: str, text: str, number: str) -> None:
    printed = rendered(template, text, number)
    for line in (printed, f"2026-11-27T06:20:59.513362Z qemu-system-x86_64: {printed}", printed.upper()):
        found = recognised(line)
        assert found is not None and found.id == row.id, line


@pytest.mark.parametrize(("row", "template"), MESSAGES, ids=[template[:40] for _row, template in MESSAGES])
def test_no_message_matches_everything(row: t.Any, template: str) -> None:
    """A pattern of nothing but placeholders would explain every failure."""
    made = message(row, template)
    assert made.weight >= 10 and len(made.fragment) >= 7
    assert made.regex.search("2026-11-27 06:20:59.542+0000: initiating migration (abc) 'x': 7") is None


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-27 06:30:51.456+0000: starting up libvirt version: 11.3.0, package: 11.3.0-3, hostname: hv2",
        "2026-11-27 06:30:51.456+0000: Domain id=2 is tainted: high-privileges",
        "2026-11-27 06:30:52.787+0000: initiating migration",
        "char device redirected to /dev/pts/3 (label charserial0)",
        "(QEMU's command line: 52 lines left out)",
        "on hv1 it is running; hv2 does not know the domain",
    ],
)
def test_what_every_log_has_is_no_diagnosis(line: str) -> None:
    assert recognised(line) is None


@pytest.mark.parametrize("given", ERRORS, ids=[entry["case"] for entry in ERRORS])
def test_an_error_of_a_real_migration(given: dict[str, t.Any]) -> None:
    made = diagnose(failed(f"{given['error']} (on hv1 it is running; hv2 does not know the domain)"))
    assert (made["id"], made["who_failed_first"], made["retry"]) == (given["id"], given["who"], given["retry"])


def test_nearly_all_real_errors_are_explained() -> None:
    assert [entry["case"] for entry in ERRORS if entry["id"] is None] == UNEXPLAINED
    assert len(ERRORS) > 100


def test_the_lab_has_recorded_nothing_that_is_not_known() -> None:
    """Whoever records a failure with new words gives them a row, or says so here."""
    recorded = json.loads((ROOT / "tests/integration/agreement/recorded.json").read_text("utf-8"))["records"]
    ends = [
        record["outcome"]
        for record in recorded
        if (record["outcome"] or {}).get("state") == "failed" and record["name"] not in UNEXPLAINED
    ]
    assert [end["error"] for end in ends if diagnose(end)["id"] is None] == []
