# SPDX-License-Identifier: GPL-3.0-or-later

"""The moves as a module takes them: a way is always complete, and documented as it is taken."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.livemig.libvirt.plugins.doc_fragments.moves import ModuleDocFragment
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.converge import profile_of
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import MoveProfile, plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._module import MOVES_OPTION
from ansible_collections.livemig.libvirt.plugins.module_utils._policy.api import PROFILES, SETTINGS
from tests.unit.migrate.test_migrate import move

SUBOPTIONS = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["moves"]["suboptions"]


def taken(way: t.Any) -> t.Any:
    given = {name: value for name, value in move().items() if name != "way"}
    result = ArgumentSpecValidator(MOVES_OPTION).validate({"moves": [given if way is None else {**given, "way": way}]})
    assert result.error_messages == []
    return result.validated_parameters["moves"][0]["way"]


@pytest.mark.parametrize(
    ("way", "changes"),
    [(None, {}), ({}, {}), ({"parallel": 4, "state": "paused"}, {"parallel": 4, "state": "paused"})],
)
def test_a_way_is_always_complete(way: t.Any, changes: dict[str, t.Any]) -> None:
    assert taken(way) == {**plain_way(), **changes}


@pytest.mark.parametrize("name", ["way", "profile"])
def test_it_is_documented_as_it_is_taken(name: str) -> None:
    documented = {
        key: {word: value for word, value in entry.items() if word != "description"}
        for key, entry in SUBOPTIONS[name]["suboptions"].items()
    }
    assert documented == MOVES_OPTION["moves"]["options"][name]["options"]


def test_a_profile_is_the_policys() -> None:
    assert set(MOVES_OPTION["moves"]["options"]["profile"]["options"]) == {"name", "obstacles", *SETTINGS}
    assert set(MoveProfile.__annotations__) == {"name", "obstacles", *SETTINGS}


@pytest.mark.parametrize("profile", [{}, {"name": "gentle", "budget": 4}, {**PROFILES["deadline"]._asdict()}])
def test_a_profile_can_be_said_in_part(profile: t.Any) -> None:
    result = ArgumentSpecValidator(MOVES_OPTION).validate({"moves": [{**move(), "profile": profile}]})
    assert result.error_messages == []
    chosen = profile_of(result.validated_parameters["moves"][0]["profile"])
    assert chosen == PROFILES[profile.get("name", "balanced")]._replace(**profile)
