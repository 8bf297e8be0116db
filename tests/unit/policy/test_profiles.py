# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles, what a label makes of them, and that the documentation has the same numbers and reasons."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Guest, fixed_ms, usable_ms
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._policy import api as policy

PAGE = Path(__file__).resolve().parents[3] / "docs" / "convergence.md"


def test_every_number_of_every_profile_has_its_reason_and_is_in_its_range() -> None:
    for name, setting in policy.SETTINGS.items():
        assert set(setting.values) == set(policy.PROFILES)
        for profile, (value, reason) in setting.values.items():
            assert len(reason) > 5, (name, profile)
            again = policy.profile(profile, {name: value})
            assert getattr(again, name) == value == getattr(policy.PROFILES[profile], name)


def test_the_table_is_all_there_is() -> None:
    assert set(policy.Profile._fields) == {"name", *policy.SETTINGS}


def test_profiles_are_ordered_as_their_names_say() -> None:
    gentle, balanced, deadline = (policy.PROFILES[name] for name in ("gentle", "balanced", "deadline"))
    assert gentle.ceiling_ms < balanced.ceiling_ms < deadline.ceiling_ms
    assert gentle.budget > balanced.budget > deadline.budget
    assert gentle.worth < balanced.worth < deadline.worth
    assert not gentle.throttle and not gentle.postcopy


def test_without_a_word_qemus_own_limit_is_left_alone() -> None:
    assert policy.profile().target_ms == policy.QEMU_LIMIT_MS


LABELS: list[tuple[list[str], dict[str, t.Any]]] = [
    ([], {"name": "balanced", "ceiling_ms": 1000}),
    (["production", "web"], {"name": "balanced"}),
    (["profile=gentle"], {"name": "gentle", "ceiling_ms": 500}),
    (["profile=deadline", "deadline_s=600", "postcopy=no"], {"ceiling_ms": 5000, "deadline_s": 600, "postcopy": False}),
    (["ceiling_ms=2000", "budget=3.5", "throttle=false"], {"ceiling_ms": 2000, "budget": 3.5, "throttle": False}),
    (["ceiling_ms=200"], {"ceiling_ms": 200, "target_ms": 200}),
]


@pytest.mark.parametrize(("words", "expected"), LABELS)
def test_labels(words: list[str], expected: dict[str, t.Any]) -> None:
    found = policy.from_label(words)
    assert {key: getattr(found, key) for key in expected} == expected


WRONG: list[tuple[str, str]] = [
    ("profile=fast", "fast; expected one of gentle, balanced, deadline"),
    ("celing_ms=1000", "celing_ms; expected one of profile, target_ms, ceiling_ms"),
    ("ceiling_ms=soon", "ceiling_ms: soon; expected a whole number from 100 to 600000"),
    ("ceiling_ms=1000.5", "ceiling_ms: 1000.5; expected a whole number"),
    ("ceiling_ms=99", "ceiling_ms: 99; expected a whole number from 100"),
    ("ceiling_ms=", "ceiling_ms: ; expected a whole number"),
    ("budget=nan", "budget: nan; expected a number from 1 to 100"),
    ("budget=inf", "budget: inf; expected a number from 1 to 100"),
    ("worth=-1", "worth: -1; expected a number from 0 to 1"),
    ("postcopy=maybe", "postcopy: maybe; expected yes or no"),
    ("target_ms=5000", "target_ms: 5000; expected no more than ceiling_ms, 1000"),
    ("ceiling_ms=500 gold ceiling_ms=5000", "ceiling_ms=500 and ceiling_ms=5000; expected each setting once"),
    ("profile=gentle profile=gentle", "profile=gentle and profile=gentle; expected each setting once"),
]


@pytest.mark.parametrize(("label", "text"), WRONG)
def test_what_a_label_cannot_mean(label: str, text: str) -> None:
    with pytest.raises(LivemigError) as caught:
        policy.from_label(label.split(), where="label of web1")
    assert str(caught.value).startswith("label of web1")
    assert text in str(caught.value)


RUNS: list[tuple[list[str], dict[str, t.Any], tuple[int, int]]] = [
    (["ceiling_ms=500"], {"ceiling_ms": 2000, "target_ms": 800}, (500, 500)),
    (["ceiling_ms=2000"], {"ceiling_ms": 200}, (2000, 300)),
    (["target_ms=700"], {"ceiling_ms": 2000, "target_ms": 800}, (2000, 700)),
]


@pytest.mark.parametrize(("words", "settings", "expected"), RUNS)
def test_the_run_gives_way_to_a_label(words: list[str], settings: dict[str, t.Any], expected: tuple[int, int]) -> None:
    found = policy.from_label(words, settings=settings)
    assert (found.ceiling_ms, found.target_ms) == expected


def test_a_target_of_the_label_itself_must_fit_the_ceiling_of_the_run() -> None:
    with pytest.raises(LivemigError, match="target_ms: 800; expected no more than ceiling_ms, 500"):
        policy.from_label(["target_ms=800"], settings={"ceiling_ms": 500})


def test_the_lowest_ceiling_leaves_room_for_what_every_switchover_takes() -> None:
    lowest = policy.SETTINGS["ceiling_ms"].lowest
    assert lowest is not None
    bounds = policy.limits(policy.profile("gentle", {"ceiling_ms": lowest}), 0)
    assert usable_ms(bounds) > fixed_ms(Guest(touched_mib=1024, link_mib_s=100))


@pytest.mark.parametrize("value", [True, None, [], {}, float("inf"), 10**400])
def test_variables_of_other_types_are_refused(value: t.Any) -> None:
    with pytest.raises(LivemigError):
        policy.profile("balanced", {"ceiling_ms": value})


def rows() -> dict[str, list[str]]:
    found = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {cells[0].strip("`"): cells[1:] for cells in found if len(cells) == 5}


@pytest.mark.parametrize("name", policy.SETTINGS)
def test_the_page_has_every_number(name: str) -> None:
    setting = policy.SETTINGS[name]
    words = {"True": "yes", "False": "no"}
    shown = [words.get(str(value), str(value)) for value, _reason in setting.values.values()]
    assert rows()[name] == [setting.meaning, *shown]


@pytest.mark.parametrize("name", policy.SETTINGS)
def test_the_page_has_every_reason(name: str) -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for profile, (_value, reason) in policy.SETTINGS[name].values.items():
        assert f"{profile}: {reason}" in text, f"{name}: {profile}: {reason}"


@pytest.mark.parametrize("action", policy.ACTIONS)
def test_the_page_has_every_action(action: str) -> None:
    assert f"`{action}`" in PAGE.read_text(encoding="utf-8")
    assert policy.ACTIONS[action] in " ".join(PAGE.read_text(encoding="utf-8").split())
