# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests against the lab's real hypervisors. KEEP=1 leaves the lab up for the next run.

--some N --seed S runs N of them, chosen by the seed; --record keeps what became of all in docs/integration.md.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess
import typing as t
from collections.abc import Generator, Iterator

import pytest

from tests.integration import whole
from tests.lab import api

ANSIBLE_TIMEOUT_S = 300.0
ALIVE_S = 60.0

Play = t.Callable[..., subprocess.CompletedProcess[str]]


RESULTS = pytest.StashKey[dict[str, tuple[str, float]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--some", type=int, default=0, help="so many integration tests, chosen by --seed")
    parser.addoption("--seed", type=int, default=0)
    parser.addoption("--record", action="store_true", help="keep what became of them in docs/integration.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    some = config.getoption("--some")
    if not 0 < some < len(items):
        return
    chosen = set(random.Random(config.getoption("--seed")).sample(range(len(items)), some))
    config.hook.pytest_deselected(items=[item for number, item in enumerate(items) if number not in chosen])
    items[:] = [item for number, item in enumerate(items) if number in chosen]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test's worst result and its time, over its preparation, itself and what comes after."""
    report = yield
    results = item.config.stash.setdefault(RESULTS, {})
    before, seconds = results.get(item.nodeid, ("passed", 0.0))
    outcome = before if report.outcome == "passed" else report.outcome
    results[item.nodeid] = outcome, seconds + report.duration
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--record"):
        results = session.config.stash.get(RESULTS, {})
        whole.PAGE.write_text(whole.page(results, datetime.date.today()), encoding="utf-8")


@pytest.fixture(scope="session")
def lab() -> Iterator[None]:
    api.up()
    yield
    if os.environ.get("KEEP") != "1":
        api.down()


@pytest.fixture(scope="module")
def _guest(lab: None) -> Iterator[str]:
    name = "subject1"
    api.guest_stop(name)
    api.guest_start("hv1", name)
    yield name
    api.guest_stop(name)


@pytest.fixture
def guest(_guest: str) -> str:
    """A guest on hv1 that ticks; begun anew only after a test that moved or harmed it."""
    proof = api.check([_guest])
    if not proof["ok"] or proof["guests"][_guest]["runs_on"] != ["hv1"]:
        api.guest_stop(_guest)
        api.guest_start("hv1", _guest)
    return _guest


@pytest.fixture
def play(lab: None) -> Play:
    """Runs a playbook in the controller's namespace: play("evacuate", {"livemig_evacuate_hosts": []}, "--check")."""

    def run(playbook: str, variables: dict[str, t.Any], *words: str) -> subprocess.CompletedProcess[str]:
        command = ["ansible-playbook", f"livemig.libvirt.{playbook}", "-e", json.dumps(variables), *words]
        environment = {**api.ansible_environment(), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}
        return api.exec_on("ctl", command, env=environment, timeout_s=ANSIBLE_TIMEOUT_S)

    return run


def place_of(guest: str) -> list[str]:
    """Where the guest's processes are, after proving that it is alive and runs once."""
    proof = api.check([guest], seconds=ALIVE_S)
    assert proof["ok"], proof["guests"][guest]["problems"]
    return t.cast("list[str]", proof["guests"][guest]["runs_on"])
