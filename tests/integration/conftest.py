# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests against the lab's real hypervisors. KEEP=1 leaves the lab up for the next run."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from collections.abc import Iterator

import pytest

from tests.lab import api

ANSIBLE_TIMEOUT_S = 300.0
ALIVE_S = 60.0

Play = t.Callable[..., subprocess.CompletedProcess[str]]


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
