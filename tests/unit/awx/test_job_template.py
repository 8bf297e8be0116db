# SPDX-License-Identifier: GPL-3.0-or-later

"""The job template is data that AWX accepts, and its survey asks for what the role takes."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
TEMPLATES: list[dict[str, t.Any]] = yaml.safe_load(
    (ROOT / "docs" / "awx" / "job_template_evacuate.yml").read_text(encoding="utf-8")
)["controller_templates"]
TEMPLATE = TEMPLATES[0]
SURVEY: list[dict[str, t.Any]] = TEMPLATE["survey_spec"]["spec"]
RECORDED = json.loads((pathlib.Path(__file__).parent / "job_template_options.json").read_text(encoding="utf-8"))
OPTIONS: dict[str, dict[str, t.Any]] = RECORDED["options"]
PYTHON_TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}

# awx/main/constants.py, SURVEY_TYPE_MAPPING, with the type that a default must have
SURVEY_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "textarea": (str,),
    "password": (str,),
    "multiplechoice": (str,),
    "multiselect": (str,),
    "integer": (int,),
    "float": (float, int),
}
# What awx/api/views/__init__.py (JobTemplateSurveySpec._validate_spec_data) and the user interface know of a question
QUESTION_KEYS = {
    "question_name",
    "question_description",
    "variable",
    "type",
    "required",
    "default",
    "min",
    "max",
    "choices",
}
questions = pytest.mark.parametrize("question", SURVEY, ids=lambda question: question["variable"])


def is_a(value: object, wanted: type) -> bool:
    """True is no int here."""
    return isinstance(value, wanted) and isinstance(value, bool) is (wanted is bool)


def role_options() -> dict[str, dict[str, t.Any]]:
    path = ROOT / "roles" / "evacuate" / "meta" / "argument_specs.yml"
    options: dict[str, dict[str, t.Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"][
        "options"
    ]
    return options


def test_the_recorded_options_are_of_the_stated_version() -> None:
    assert (RECORDED["origin"]["collection"], RECORDED["origin"]["version"]) == ("awx.awx", "24.6.1")
    assert {name for name, option in OPTIONS.items() if option.get("required")} == {"name"}


@pytest.mark.parametrize("key", sorted(TEMPLATE))
def test_every_key_is_an_option_of_the_module(key: str) -> None:
    option, value = OPTIONS[key], TEMPLATE[key]
    assert is_a(value, PYTHON_TYPES[option["type"]])
    assert value in option.get("choices", [value])
    entries: list[t.Any] = TEMPLATE[key] if "elements" in option else []
    assert all(is_a(entry, PYTHON_TYPES[option["elements"]]) for entry in entries)


def test_there_is_one_template_and_it_runs_the_playbook_of_the_collection() -> None:
    assert len(TEMPLATES) == 1
    assert (ROOT / TEMPLATE["playbook"]).is_file()


def test_the_job_sees_all_hosts_and_runs_alone() -> None:
    assert TEMPLATE["ask_limit_on_launch"] is False
    assert "limit" not in TEMPLATE
    assert TEMPLATE["job_slice_count"] == 1
    assert TEMPLATE["allow_simultaneous"] is False
    assert TEMPLATE["ask_job_type_on_launch"] is True
    assert TEMPLATE["ask_diff_mode_on_launch"] is True
    assert TEMPLATE["timeout"] > 0


def test_the_survey_has_what_awx_demands() -> None:
    assert TEMPLATE["survey_enabled"] is True
    assert set(TEMPLATE["survey_spec"]) == {"name", "description", "spec"}
    assert len({question["variable"] for question in SURVEY}) == len(SURVEY)


@questions
def test_question_has_the_form_that_awx_accepts(question: dict[str, t.Any]) -> None:
    assert {"question_name", "variable", "type", "required"} <= set(question) <= QUESTION_KEYS
    assert isinstance(question["required"], bool)
    assert isinstance(question["default"], SURVEY_TYPES[question["type"]])
    assert all(is_a(question[key], int) for key in ("min", "max") if key in question)
    assert ("choices" in question) is question["type"].startswith("multi")
    if "choices" in question:
        assert all(isinstance(choice, str) for choice in question["choices"])
        assert question["default"] in question["choices"]


@questions
def test_question_asks_for_a_variable_of_the_role(question: dict[str, t.Any]) -> None:
    option = role_options()[question["variable"]]
    assert question["required"] >= option.get("required", False)
    assert sorted(question.get("choices", [])) == sorted(option.get("choices", []))
    if "default" in option:
        assert question["default"] == option["default"]
    # A survey delivers text, so a list has to be taken as text with commas too.
    wanted = {"integer": "int", "multiplechoice": "str", "text": "raw"}
    assert option["type"] == wanted[question["type"]]


def test_extra_vars_are_variables_of_the_playbook() -> None:
    playbook = (ROOT / TEMPLATE["playbook"]).read_text(encoding="utf-8")
    for name in TEMPLATE["extra_vars"]:
        assert re.search(rf"\b{name}\b", playbook)


def test_the_page_names_the_artifacts_that_the_role_sets() -> None:
    page = (ROOT / "docs" / "awx.md").read_text(encoding="utf-8")
    tasks = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "roles" / "evacuate" / "tasks").glob("*.yml")
    )
    stats = re.search(r"ansible\.builtin\.set_stats:\n\s+data:\n((?:\s+\w+: .*\n)+)", tasks)
    assert stats is not None
    names = set(re.findall(r"^\s+(\w+):", stats[1], re.MULTILINE)) - {"run_once"}
    assert names == {"livemig_run_id", "livemig_plan_digest", "livemig_summary"}
    assert all(f"`{name}`" in page for name in names)
