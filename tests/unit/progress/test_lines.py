# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Progress
from ansible_collections.livemig.libvirt.plugins.plugin_utils._progress import api


def at(**changes: t.Any) -> Progress:
    made: dict[str, t.Any] = {
        "domain": "web1",
        "uuid": "1",
        "destination": "hv2",
        "memory_mib": 400,
        "state": "migrating",
        "outcome": None,
        "percent": 42,
        "remaining_mib": 100.0,
        "rate_mib_s": 10.0,
        "dirty_mib_s": 1.5,
        "iteration": 2,
        "elapsed_s": 9.0,
        "silent_s": 0,
    }
    return t.cast(Progress, {**made, **changes})


def test_a_line() -> None:
    (line,) = api.lines("hv1", [at()], {}).values()
    assert line == (
        "web1 hv1 -> hv2: [########            ]  42 %, 100.0 MiB to go, 10.0 MiB/s, dirties 1.5 MiB/s, pass 2"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state": "over", "outcome": "moved"}, "web1 hv1 -> hv2: moved"),
        ({"state": "switching over"}, "switching over"),
        ({"silent_s": 30}, "no answer for 30 s"),
        ({"domain": "a\x1b[31mb"}, "a?[31mb hv1 -> hv2"),
    ],
)
def test_what_else_is_said(changes: dict[str, t.Any], text: str) -> None:
    (line,) = api.lines("hv1", [at(**changes)], {}).values()
    assert text in line


def test_what_was_said_is_not_said_again() -> None:
    said = api.lines("hv1", [at()], {})
    assert api.lines("hv1", [at()], said) == {}
    assert api.lines("hv1", [at(percent=43)], said) != {}


def test_a_domain_that_waits_says_nothing() -> None:
    assert api.lines("hv1", [at(state="waiting")], {}) == {}


def test_the_estimate() -> None:
    waiting = at(uuid="2", state="waiting")
    assert api.eta_s([at()], 1) == 10
    assert api.eta_s([at(), waiting], 1) == 50
    assert api.eta_s([at(), waiting, at(uuid="3", state="over")], 2) == 30


@pytest.mark.parametrize("domains", [[], [at(rate_mib_s=None)], [at(state="waiting")]])
def test_no_estimate_without_a_rate(domains: list[Progress]) -> None:
    assert api.eta_s(domains, 2) is None


def test_the_end_of_a_run_is_said() -> None:
    outcome: t.Any = {"domain": "web1", "uuid": "1", "destination": "hv2", "state": "moved", "error": None}
    assert api.lines("hv1", api.over([outcome]), {"1": "something else"}) == {"1": "web1 hv1 -> hv2: moved"}
