# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases that nobody thought of: good guests with one to three random changes, the same for the same seed.

Whether such a guest can move is not known beforehand: verdict and truth only have to agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from tests.firing.provocation import XmlEdit
from tests.integration.agreement.case import MUTATION, Case
from tests.integration.agreement.mutation_devices import MORE
from tests.integration.agreement.mutation_kinds import BASES, FIRST, Base, Mutation

DEFAULT_SEED = 355
DEFAULT_COUNT = 44
LONGEST_NAME = 34
HOW_MANY = (1, 1, 2, 3, 3)
MUTATIONS: tuple[Mutation, ...] = (*FIRST, *MORE)
INCOMPATIBLE: tuple[frozenset[str], ...] = tuple(
    frozenset(pair)
    for pair in (
        # its image is qcow2, and a raw one has no room for a snapshot
        ("as-raw", "no-disk"),
        ("as-raw", "snapshot"),
        # what is not defined does not start with its host
        ("transient", "autostart"),
        # one chunk, one folder
        ("redirected", "shown"),
    )
)


@dataclass
class Deck:
    """Every kind is drawn before any is drawn again."""

    chance: random.Random
    cards: list[Mutation] = field(default_factory=list)

    def draw(self, base: Base, chosen: Sequence[Mutation]) -> Mutation:
        """The next that goes with this guest and these changes; those passed over stay where they are."""
        if not any(fits(base, chosen, card) for card in self.cards):
            self.cards += self.chance.sample(MUTATIONS, len(MUTATIONS))
        card = next(card for card in self.cards if fits(base, chosen, card))
        self.cards.remove(card)
        return card


def fits(base: Base, chosen: Iterable[Mutation], card: Mutation) -> bool:
    """No two change one thing, and no pair of the table of incompatible ones."""
    taken = {*base.has, *(what for each in chosen for what in each.of)}
    names = {base.name, *(each.name for each in chosen)}
    return taken.isdisjoint(card.of) and not any(
        card.name in pair and not names.isdisjoint(pair - {card.name}) for pair in INCOMPATIBLE
    )


def cases(seed: int, count: int) -> tuple[Case, ...]:
    chance = random.Random(seed)
    deck = Deck(chance)
    return tuple(_case(chance, deck, number) for number in range(1, count + 1))


def _case(chance: random.Random, deck: Deck, number: int) -> Case:
    base = chance.choice(BASES)
    chosen: list[Mutation] = []
    for _turn in range(chance.choice(HOW_MANY)):
        chosen.append(deck.draw(base, chosen))
    fields: dict[str, Any] = {}
    for mutation in chosen:
        fields |= mutation.fields
    return Case(
        f"m{number:02}-{'-'.join(each.name for each in chosen)}"[:LONGEST_NAME].rstrip("-"),
        f"{base.what}: {'; '.join(each.what for each in chosen)}",
        kind=MUTATION,
        wanted=_merged([base.wanted, *(each.wanted for each in chosen)]),
        guest=_all([edit for edit in (base.edit, *(each.edit for each in chosen)) if edit]),
        before=_joined([each.before for each in chosen]),
        then=_joined([each.then for each in chosen]),
        after=_joined([each.after for each in chosen]),
        stricter="; ".join(each.stricter for each in chosen if each.stricter),
        **fields,
    )


def _all(edits: Sequence[XmlEdit]) -> XmlEdit:
    return lambda xml: reduce(lambda text, edit: edit(text), edits, xml)


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _joined(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Host -> all of its commands, one after the other."""
    commands: dict[str, list[str]] = {}
    for part in parts:
        for host, command in part.items():
            commands.setdefault(host, []).append(command)
    return {host: "; ".join(lines) for host, lines in commands.items()}
