# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit's job template is data that AWX accepts, and its variables are those of the role."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from tests.unit.awx.test_job_template import OPTIONS, PYTHON_TYPES, ROOT, is_a

(TEMPLATE,) = yaml.safe_load((ROOT / "docs" / "awx" / "job_template_audit.yml").read_text(encoding="utf-8"))[
    "controller_templates"
]
SPECS: dict[str, t.Any] = yaml.safe_load(
    (ROOT / "roles" / "audit" / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
)["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("key", sorted(TEMPLATE))
def test_every_key_is_an_option_of_the_module(key: str) -> None:
    option, value = OPTIONS[key], TEMPLATE[key]
    assert is_a(value, PYTHON_TYPES[option["type"]])
    assert value in option.get("choices", [value])


def test_it_runs_the_playbook_alone_over_all_hosts_and_asks_nothing() -> None:
    assert (ROOT / TEMPLATE["playbook"]).is_file()
    assert TEMPLATE["ask_limit_on_launch"] is False and "limit" not in TEMPLATE
    assert TEMPLATE["job_slice_count"] == 1 and TEMPLATE["allow_simultaneous"] is False
    assert "survey_spec" not in TEMPLATE


def test_its_variables_are_those_of_the_role_and_the_playbook() -> None:
    playbook = (ROOT / TEMPLATE["playbook"]).read_text(encoding="utf-8")
    for name, value in TEMPLATE["extra_vars"].items():
        assert name in SPECS or re.search(rf"\b{name}\b", playbook)
        assert value in SPECS.get(name, {}).get("choices", [value])


def test_the_page_names_the_artifact_that_the_role_sets() -> None:
    tasks = (ROOT / "roles" / "audit" / "tasks" / "audit.yml").read_text(encoding="utf-8")
    stats = re.search(r"ansible\.builtin\.set_stats:\n\s+data:\n\s+(\w+):", tasks)
    assert stats is not None
    assert f"`{stats[1]}`" in (ROOT / "docs" / "awx.md").read_text(encoding="utf-8")
