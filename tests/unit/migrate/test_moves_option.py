# SPDX-License-Identifier: GPL-3.0-or-later

"""The moves as a module takes them: a way is always complete, and documented as it is taken."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.livemig.libvirt.plugins.doc_fragments.moves import ModuleDocFragment
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._module import MOVES_OPTION
from tests.unit.migrate.test_migrate import move

DOCUMENTED = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["moves"]["suboptions"]["way"]["suboptions"]


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


def test_a_way_is_documented_as_it_is_taken() -> None:
    documented = {
        name: {key: value for key, value in entry.items() if key != "description"} for name, entry in DOCUMENTED.items()
    }
    assert documented == MOVES_OPTION["moves"]["options"]["way"]["options"]
