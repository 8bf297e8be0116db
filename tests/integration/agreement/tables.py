# SPDX-License-Identifier: GPL-3.0-or-later
"""All cases, and which of them are run."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

from tests.integration.agreement import mutations, recording
from tests.integration.agreement.case import Case
from tests.lab.errors import LabError

CHUNK = 4


def every() -> list[Case]:
    """The cases of every cases_*.py beside this file, and the generated ones."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))
    modules = [importlib.import_module(f"tests.integration.agreement.{name}") for name in names]
    found = [case for module in modules for case in module.CASES]
    found += mutations.cases(mutations.DEFAULT_SEED, mutations.DEFAULT_COUNT)
    twice = {case.name for case in found if sum(other.name == case.name for other in found) > 1}
    if twice:
        raise LabError(f"cases of one name: {', '.join(sorted(twice))}", "a name of its own for each", "rename one")
    return found


def choose(only: str, kind: str, sample: int, seed: int) -> list[Case]:
    """The cases of these names or of this kind, all by default.

    With a sample so many of those that have a result, the same ones for the same seed.
    """
    names = {word for word in only.split(",") if word}
    found = [case for case in every() if (not names or case.name in names) and (not kind or case.kind == kind)]
    missing = names - {case.name for case in found}
    if missing or not found:
        raise LabError(f"no case '{', '.join(sorted(missing)) or kind}'", "names of the tables", "see cases_*.py")
    if not sample:
        return found
    # What has never been seen right is for somebody who looks at it, and not for CI.
    tried = {record["name"] for record in recording.load(recording.RECORDED)[0]}
    found = [case for case in found if case.name in tried]
    chosen = random.Random(seed).sample(found, min(sample, len(found)))
    return sorted(chosen, key=found.index)


def chunks(cases: list[Case]) -> list[list[Case]]:
    """Cases that can be run together: a few at a time of those that need nothing but their guest; the rest alone."""
    ways: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if not case.alone:
            ways.setdefault((case.source, case.destination), []).append(case)
    together = [same[at : at + CHUNK] for same in ways.values() for at in range(0, len(same), CHUNK)]
    return together + [[case] for case in cases if case.alone]


def part(all_of_them: list[list[Case]], wanted: str) -> list[list[Case]]:
    """Every Nth chunk from the Ith on, by I/N; all of them without."""
    number, _slash, of = wanted.partition("/")
    return all_of_them[int(number) :: int(of)] if wanted else all_of_them
