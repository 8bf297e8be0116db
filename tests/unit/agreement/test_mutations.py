# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
import re
from dataclasses import fields
from xml.etree import ElementTree

import pytest

from tests.integration.agreement import cases_clean, cases_clean_more
from tests.integration.agreement.case import CLEAN, HAND, MUTATION, Case
from tests.integration.agreement.mutation_kinds import BASES, Mutation
from tests.integration.agreement.mutations import (
    DEFAULT_COUNT,
    DEFAULT_SEED,
    INCOMPATIBLE,
    MUTATIONS,
    Deck,
    cases,
    fits,
)
from tests.lab import domain
from tests.lab.hosts import BY_NAME, STORE

DEFAULT = cases(DEFAULT_SEED, DEFAULT_COUNT)
MANY = cases(7, 300)
GOOD = (*cases_clean.CASES, *cases_clean_more.CASES)
PLAIN = {"memory_mib": 128, "disk": "shared"}
BY_KIND = {mutation.name: mutation for mutation in MUTATIONS}


def xml_of(case: Case) -> str:
    guest = domain.Guest(case.guest_name, **{**PLAIN, **case.wanted})
    domain.validate(guest)
    plain = domain.domain_xml(guest, 11)
    return (plain if case.guest is None else case.guest(plain)).replace("{name}", case.guest_name)


def plain_data(case: Case) -> dict[str, object]:
    data = {each.name: getattr(case, each.name) for each in fields(case) if each.name != "guest"}
    return {**data, "xml": xml_of(case)}


def test_the_same_seed_makes_the_same_cases() -> None:
    assert [plain_data(case) for case in cases(5, 60)] == [plain_data(case) for case in cases(5, 60)]


def test_another_seed_makes_others() -> None:
    assert [case.name for case in cases(5, 60)] != [case.name for case in cases(6, 60)]


def test_fewer_cases_are_the_first_ones() -> None:
    assert [plain_data(case) for case in cases(5, 10)] == [plain_data(case) for case in cases(5, 60)][:10]


def test_as_many_as_wanted() -> None:
    assert (len(DEFAULT), len(MANY), cases(1, 0)) == (DEFAULT_COUNT, 300, ())


def test_names_are_unique_and_fit() -> None:
    for several in (DEFAULT, MANY, GOOD):
        names = [case.name for case in several]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,33}", name) for name in names)


@pytest.mark.parametrize("case", [*DEFAULT, *MANY, *GOOD], ids=lambda case: case.name)
def test_guests_are_well_formed_and_hosts_exist(case: Case) -> None:
    root = ElementTree.fromstring(xml_of(case))
    assert root.findtext("name") == case.guest_name
    hosts = {case.source, case.destination, *case.before, *case.then, *case.after}
    assert hosts <= {*BY_NAME, STORE.name}
    assert case.source != case.destination


def test_nothing_is_expected_of_them() -> None:
    assert {case.kind for case in (*DEFAULT, *MANY)} == {MUTATION}
    assert {case.kind for case in GOOD} == {CLEAN, HAND}
    assert not any(case.expects for case in (*DEFAULT, *MANY, *GOOD))
    assert {case.kind for case in GOOD if case.stricter} == {HAND}


def test_the_default_cases_have_nearly_every_kind() -> None:
    text = "; ".join(case.what for case in DEFAULT)
    missing = [mutation.name for mutation in MUTATIONS if mutation.what not in text]
    assert len(MUTATIONS) >= 35
    assert len(missing) <= len(MUTATIONS) // 10


def test_kinds_are_told_apart() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({base.name for base in BASES}) == len(BASES)
    assert all(mutation.of for mutation in MUTATIONS)


def test_every_kind_goes_with_some_guest() -> None:
    for mutation in MUTATIONS:
        assert any(fits(base, [], mutation) for base in BASES), mutation.name


def test_the_table_of_incompatible_ones_names_kinds_and_guests() -> None:
    known = {*BY_KIND, *(base.name for base in BASES)}
    for pair in INCOMPATIBLE:
        assert len(pair) == 2
        assert pair <= known


def _named(*names: str) -> list[Mutation]:
    return [BY_KIND[name] for name in names]


def test_what_does_not_fit() -> None:
    bases = {base.name: base for base in BASES}
    assert fits(bases["plain"], _named("writeback"), BY_KIND["no-nic"])
    assert not fits(bases["plain"], _named("writeback"), BY_KIND["unsafe"])
    assert not fits(bases["i440fx"], [], BY_KIND["q35-8-2"])
    assert not fits(bases["plain"], _named("transient"), BY_KIND["autostart"])
    assert not fits(bases["plain"], _named("autostart"), BY_KIND["transient"])


def test_a_deck_is_drawn_to_its_end() -> None:
    deck = Deck(random.Random(3))
    drawn = [deck.draw(BASES[0], []).name for _mutation in MUTATIONS]
    assert sorted(drawn) == sorted(BY_KIND)


def test_stricter_stands_in_the_case_that_has_the_mutation() -> None:
    for case in MANY:
        wanted = [mutation.stricter for mutation in MUTATIONS if mutation.what in case.what and mutation.stricter]
        assert all(reason in case.stricter for reason in wanted)
