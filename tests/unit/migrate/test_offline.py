# SPDX-License-Identifier: GPL-3.0-or-later

"""What an interrupted move of a definition amounts to: one definition is left, and nothing that runs is touched."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import truth
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.offline import verdict
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.truth import (
    ABSENT,
    FENCED,
    PAUSED,
    PAUSED_MIGRATION,
    RUNNING,
    SHUTOFF,
    SILENT,
    Place,
)

WORDS = sorted(
    value for name, value in vars(truth).items() if name.isupper() and isinstance(value, str) and name[0] != "_"
)


@pytest.mark.parametrize(
    ("source", "destination", "name", "action"),
    [
        (SHUTOFF, ABSENT, "rolled_back", "release_source"),
        (SHUTOFF, SHUTOFF, "rolled_back", "release_source"),
        (RUNNING, SHUTOFF, "rolled_back", "release_source"),
        (SHUTOFF, FENCED, "rolled_back", "release_source"),
        (ABSENT, SHUTOFF, "moved", "release_destination"),
        (ABSENT, RUNNING, "moved", "release_destination"),
        (FENCED, SHUTOFF, "moved", "release_destination"),
        (SHUTOFF, RUNNING, "twice", "nothing"),
        (RUNNING, PAUSED, "twice", "nothing"),
        (ABSENT, ABSENT, "definition_lost", "release_ended"),
        (FENCED, ABSENT, "unknown", "nothing"),
        (SILENT, SHUTOFF, "unknown", "nothing"),
        (SHUTOFF, SILENT, "unknown", "nothing"),
        (SHUTOFF, PAUSED_MIGRATION, "unknown", "nothing"),
    ],
)
def test_the_table(source: str, destination: str, name: str, action: str) -> None:
    found = verdict(Place(source), Place(destination))
    assert (found.name, found.action) == (name, action)


@pytest.mark.parametrize(("source", "destination"), list(itertools.product(WORDS, WORDS)))
def test_every_pair_has_a_verdict_and_a_silent_host_stops_everything(source: str, destination: str) -> None:
    found = verdict(Place(source), Place(destination))
    if SILENT in (source, destination):
        assert (found.action, found.outcome) == ("nothing", "unknown")
    assert found.action in ("nothing", "release_source", "release_destination", "release_ended")
