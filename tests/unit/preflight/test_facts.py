# SPDX-License-Identifier: GPL-3.0-or-later

"""No fact is observed for nobody: each is read by a check, or stands here with who else needs it."""

from __future__ import annotations

import pathlib
import re

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import definition
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.areas import AREAS
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import registry
from tests.unit.preflight.cases import CASES
from tests.unit.preflight.test_checks import REGISTRY, Reads

SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted(pathlib.Path(registry.__file__).parent.rglob("*.py"))
)
# What people look up in a snapshot, and what another room reads: fact -> who.
FOR_OTHERS: dict[str, str] = {}


def _read() -> set[str]:
    """Paths that some check read of a snapshot, in its case or in its near miss."""
    paths = set()
    for check, case in CASES.items():
        for edit in (case.fires, case.passes):
            scene = case.scene()
            edit(scene)
            owners = ("host ", "domain ")
            paths |= {path for who, path in Reads().watch(REGISTRY[check], scene) if who.startswith(owners)}
    return paths


READ = _read()


def _is_read(path: str) -> bool:
    return any(f"{path}.".startswith(f"{read}.") or f"{read}.".startswith(f"{path}.") for read in READ)


def test_every_fact_of_a_host_is_read() -> None:
    facts = {f"{area}.{fact}" for area, rows in AREAS.items() for fact in rows}
    assert {fact for fact in facts if not _is_read(fact)} - set(FOR_OTHERS) == set()


def test_every_kind_of_element_of_a_domain_is_read() -> None:
    facts = {f"devices.{fact}" for fact in definition.DEVICES} | {f"lists.{fact}" for fact in definition.LISTS}
    facts |= {f"lists.{word}" for word in definition.WORDS} | {f"settings.{fact}" for fact in definition.SETTINGS}
    assert {fact for fact in facts if not _is_read(fact)} - set(FOR_OTHERS) == set()


def test_every_column_is_named_where_checks_are() -> None:
    tables = {
        "devices": definition.DEVICES,
        "lists": definition.LISTS,
        "settings": definition.SETTINGS,
        "more": definition.MORE,
    }
    columns = {
        f"{key}.{fact}.{column}"
        for key, table in tables.items()
        for fact, family in table.items()
        for column in family.columns
    }
    unnamed = {path for path in columns if not re.search(rf"""["'.]{path.rpartition('.')[2]}["']""", SOURCE)}
    assert unnamed - set(FOR_OTHERS) == set()


def test_what_is_for_others_exists_and_no_check_reads_it() -> None:
    assert {fact for fact in FOR_OTHERS if fact.count(".") == 1 and _is_read(fact)} == set()
