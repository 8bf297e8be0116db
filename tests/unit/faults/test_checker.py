# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checker of the fault suite makes of what was seen."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import checker
from tests.faults.recording import RECORDED
from tests.faults.table import FAULTS

HERE = {"active": True, "persistent": True, "marks": []}
SHUT = {"active": False, "persistent": True, "marks": []}
GOOD: dict[str, Any] = {
    "name": "a",
    "what": "a fault",
    "dies": False,
    "ends": ["hv1", "hv2"],
    "fired": True,
    "play": {"code": 2, "said": ""},
    "then": {"code": 0, "said": ""},
    "steady": {"code": 0, "said": "changed=0"},
    "after": {"guests": {"f-a": {"runs_on": ["hv2"], "problems": [], "evidence": {"console": {"boots": [1]}}}}},
    "known": {"hv1": None, "hv2": HERE},
    "kept": {"hv1": [], "hv2": []},
}


def guest(record: dict[str, Any]) -> Any:
    return record["after"]["guests"]["f-a"]


def died(record: dict[str, Any]) -> None:
    record["dies"] = True
    guest(record)["runs_on"] = []
    record["known"] = {"hv1": SHUT, "hv2": None}
    record["then"]["said"] = "f-a: ended: the domain runs on neither host"


def rebooted(record: dict[str, Any]) -> None:
    guest(record)["evidence"]["console"].update(boots=[1, 2])


def complains(record: dict[str, Any]) -> None:
    guest(record).update(problems=["its kernel says: [  186.3] watchdog: BUG: soft lockup - CPU#0 stuck for 139s!"])


def both(*edits: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    def apply(record: dict[str, Any]) -> None:
        for edit in edits:
            edit(record)

    return apply


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "as it should be": (lambda record: None, checker.RECOVERED),
    "the moment never came": (lambda record: record.update(fired=False), checker.UNFIT),
    "broken off": (lambda record: record.pop("after"), checker.UNFIT),
    "twice": (lambda record: guest(record).update(runs_on=["hv1", "hv2"]), checker.DOUBLED),
    "nowhere": (lambda record: guest(record).update(runs_on=[]), checker.LOST),
    "stands still": (lambda record: guest(record).update(problems=["does not tick"]), checker.LOST),
    "another boot": (rebooted, checker.REBOOTED),
    "the boot that was asked for": (both(rebooted, lambda record: record.update(reboots=True)), checker.RECOVERED),
    "no boot that was asked for": (lambda record: record.update(reboots=True), checker.REBOOTED),
    "it stood still, as it had to": (
        both(complains, lambda record: record.update(stalls=True)),
        checker.RECOVERED,
    ),
    "it stood still": (complains, checker.LOST),
    "on the wrong host": (lambda record: record.update(ends=["hv1"]), checker.OPEN),
    "defined on both": (lambda record: record["known"].update(hv1=SHUT), checker.OPEN),
    "not persistent": (lambda record: record["known"].update(hv2={**HERE, "persistent": False}), checker.OPEN),
    "its mark is left": (lambda record: record["known"].update(hv2={**HERE, "marks": [1]}), checker.OPEN),
    "its definition is left": (lambda record: record["kept"].update(hv1=["/x.json"]), checker.OPEN),
    "recover failed": (lambda record: record["then"].update(code=2), checker.OPEN),
    "more to do": (lambda record: record["steady"].update(said="changed=1"), checker.OPEN),
    "a play hung": (lambda record: record.update(hung=True), checker.OPEN),
    "ended, and said so": (died, checker.RECOVERED),
    "ended, and nobody said so": (both(died, lambda record: record["then"].update(said="")), checker.OPEN),
    "ended, and defined nowhere": (both(died, lambda record: record["known"].update(hv1=None)), checker.LOST),
    "ended, and defined twice": (both(died, lambda record: record["known"].update(hv2=SHUT)), checker.OPEN),
    "ended, and yet it runs": (both(died, lambda record: guest(record).update(runs_on=["hv1"])), checker.OPEN),
}


@pytest.mark.parametrize(("change", "result"), CHANGES.values(), ids=CHANGES)
def test_what_it_says(change: Callable[[dict[str, Any]], object], result: str) -> None:
    record = copy.deepcopy(GOOD)
    change(record)
    assert checker.judge(record)[0] == result
    assert checker.conclude([record]) == (0 if result == checker.RECOVERED else 1)


def test_no_result_is_not_a_good_one() -> None:
    assert checker.conclude([]) == 1


def test_what_is_recorded_has_recovered() -> None:
    records = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert [record["name"] for record in records if checker.judge(record)[0] != checker.RECOVERED] == []
    assert {record["name"] for record in records} <= {fault.name for fault in FAULTS}
