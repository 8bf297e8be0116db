# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations that do not come to an end: the guest goes on, the cause is named, and the next run arrives."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.integration.conftest import Play, place_of
from tests.lab import api

SEEN_WITHIN_S = 60.0


def test_a_migration_that_takes_too_long_is_aborted(guest: str, play: Play) -> None:
    done = play("migrate", {"livemig_domain": guest, "livemig_destination": "hv2", "livemig_timeout_s": 1})
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, said
    assert "aborted after 1 s (timeout_s)" in said
    assert "hv2 does not know the domain" in said
    assert place_of(guest) == ["hv1"]


def migrating(guest: str) -> bool:
    """virsh says "Job type: Unbounded" while the guest is on its way and "None" before."""
    said = api.exec_on("hv1", ["virsh", "domjobinfo", guest]).stdout
    return "Job type:" in said and "None" not in said


def kill_the_module() -> None:
    """With pipelining the module is the one Python on the host, and has no name of its own."""
    pids = api.exec_on("hv1", ["pgrep", "-x", "python3"]).stdout.split()
    assert pids
    for pid in pids:
        api.exec_on("hv1", ["kill", f"-{signal.SIGKILL.value}", pid], check=True)


def test_a_module_that_is_killed_while_it_migrates(guest: str, play: Play) -> None:
    """libvirt goes on without it or rolls back; either way one guest runs, and the next run finds it and arrives."""
    wanted = {"livemig_domain": guest, "livemig_destination": "hv2"}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(play, "migrate", wanted)
        end = time.monotonic() + SEEN_WITHIN_S
        while not migrating(guest):
            assert time.monotonic() < end, "no migration was seen"
            time.sleep(0.05)
        kill_the_module()
        done = first.result()
    assert done.returncode != 0, done.stdout
    assert "did not say what became of this domain" in " ".join(done.stdout.split())

    again = play("migrate", wanted)
    assert again.returncode == 0, again.stdout
    assert place_of(guest) == ["hv2"]
