# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/data-types.md says what the code says: every type, every key, every type of a key, and examples that fit."""

from __future__ import annotations

import re
import types
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model import outcomes, way
from ansible_collections.livemig.libvirt.plugins.module_utils._model import types as model
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api as preflight
from ansible_collections.livemig.libvirt.plugins.plugin_utils._audit import types as audit
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan.api import digest
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report import api
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report import types as report
from tests.unit.report.samples import EXAMPLES, PAGE

TYPES: dict[str, t.Any] = {
    name: value
    for module in (model, outcomes, way, report, audit)
    for name, value in vars(module).items()
    if t.is_typeddict(value) and value.__module__ == module.__name__
}
HINTS: dict[str, dict[str, t.Any]] = {name: t.get_type_hints(value) for name, value in TYPES.items()}
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE))
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEXT = {str: "text", int: "integer", float: "number", bool: "boolean", types.NoneType: "null", t.Any: "any"}


def shown(hint: t.Any) -> str:
    """How the page writes a type."""
    origin, inner = t.get_origin(hint), t.get_args(hint)
    if origin in (t.Union, types.UnionType):
        return " or ".join(map(shown, inner))
    if origin is list:
        return f"list of {shown(inner[0])}"
    if origin is dict:
        return f"map of {shown(inner[1])}"
    if origin is t.Literal:
        return "text"
    return hint.__name__ if t.is_typeddict(hint) else TEXT[hint]


def misfits(value: t.Any, hint: t.Any, where: str) -> list[str]:
    """Where ``value`` is not of the type ``hint``."""
    if hint is t.Any:
        return []
    origin, inner = t.get_origin(hint), t.get_args(hint)
    if origin in (t.Union, types.UnionType):
        return min((misfits(value, option, where) for option in inner), key=len)
    if origin is list and isinstance(value, list):
        return [fault for i, entry in enumerate(value) for fault in misfits(entry, inner[0], f"{where}[{i}]")]
    if origin is dict and isinstance(value, dict):
        return [fault for key, entry in value.items() for fault in misfits(entry, inner[1], f"{where}.{key}")]
    if t.is_typeddict(hint):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no {hint.__name__}"]
        hints = HINTS[hint.__name__]
        wrong = [f"{where}: {key}" for key in (set(value) - set(hints)) | (hint.__required_keys__ - set(value))]
        return wrong + [
            fault for key in set(value) & set(hints) for fault in misfits(value[key], hints[key], f"{where}.{key}")
        ]
    if origin is t.Literal:
        return [] if value in inner else [f"{where}: {value!r}"]
    # True is an int to Python, and none to a reader of JSON.
    fits = isinstance(value, hint) and isinstance(value, bool) is (hint is bool)
    return [] if fits else [f"{where}: {value!r} is not {hint}"]


def test_every_type_has_a_section_and_every_section_a_type() -> None:
    assert set(SECTIONS) == set(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_keys_and_types(name: str) -> None:
    rows = {key: kind for key, kind, _unit, _meaning, _source in ROW.findall(SECTIONS[name])}
    assert rows == {key: shown(hint) for key, hint in HINTS[name].items()}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_units_in_names_are_the_units_of_the_page(name: str) -> None:
    for key, _kind, unit, _meaning, _source in ROW.findall(SECTIONS[name]):
        wanted = {"mib": "MiB", "ms": "ms"}.get(key.rpartition("_")[2])
        assert wanted is None or unit == wanted, key


@pytest.mark.parametrize(
    "name", ["DomainSnapshot", "HostSnapshot", "Question", "Finding", "Plan", "Outcome", "Report", "Audit"]
)
def test_examples_fit_their_types(name: str) -> None:
    assert misfits(EXAMPLES[name], TYPES[name], name) == []


@pytest.mark.parametrize("name", ["DomainSnapshot", "HostSnapshot", "Finding", "Plan", "Outcome", "Report", "Audit"])
def test_examples_show_every_key(name: str) -> None:
    unknown = {entry["fact"].split(".")[0] for entry in EXAMPLES[name].get("unknown", [])}
    assert set(HINTS[name]) - unknown <= set(EXAMPLES[name])


def test_examples_carry_the_schema_of_the_code() -> None:
    assert {example["schema"] for example in EXAMPLES.values() if "schema" in example} == {model.SCHEMA}
    assert f"now `{model.SCHEMA}`" in PAGE


def test_the_example_of_a_report_is_the_report_on_the_other_examples() -> None:
    shown_report = EXAMPLES["Report"]
    assert shown_report == api.make_report(
        EXAMPLES["Plan"],
        [EXAMPLES["Outcome"]],
        [EXAMPLES["Finding"]],
        shown_report["run_id"],
        shown_report["started"],
        shown_report["finished"],
        hosts=[EXAMPLES["HostSnapshot"]],
    )


def test_the_digest_of_the_example_is_its_digest() -> None:
    assert EXAMPLES["Plan"]["digest"] == digest(EXAMPLES["Plan"])


def test_the_checks_of_the_examples_exist() -> None:
    finding = EXAMPLES["Finding"]
    check = preflight.registry()[finding["check"]]
    assert {key: finding[key] for key in ("category", "severity", "scope", "remedy", "evidence")} == {
        key: getattr(check, key) for key in ("category", "severity", "scope", "remedy", "evidence")
    }


def test_misfits_are_found() -> None:
    broken = {**EXAMPLES["Outcome"], "total_ms": "2140", "bytes": True, "surplus": 1}
    del broken["state"]
    assert sorted(misfits(broken, TYPES["Outcome"], "Outcome")) == [
        "Outcome.bytes: True is not <class 'int'>",
        "Outcome.total_ms: '2140' is not <class 'int'>",
        "Outcome: state",
        "Outcome: surplus",
    ]
