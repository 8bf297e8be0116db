# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations that do not come to an end: the guest goes on, the cause is named, and the next run arrives."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.conftest import Play, place_of
from tests.lab import api

SEEN_WITHIN_S = 60.0


@pytest.fixture
def slow(guest: str) -> str:
    """Its migration takes half a minute and more, long enough for two plays meanwhile."""
    api.exec_on("hv1", ["virsh", "migrate-setspeed", guest, "2"], check=True)
    return guest


def test_a_migration_that_takes_too_long_is_aborted(slow: str, play: Play) -> None:
    done = play("migrate", {"livemig_domain": slow, "livemig_destination": "hv2", "livemig_timeout_s": 1})
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, said
    assert "aborted after 1 s (timeout_s)" in said
    assert "hv2 does not know the domain" in said
    assert place_of(slow) == ["hv1"]


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


def test_a_module_that_is_killed_while_it_migrates(slow: str, play: Play) -> None:
    """libvirt goes on without it, and the next run ends what is left of it."""
    guest = slow
    wanted = {"livemig_evacuate_hosts": "hv1", "livemig_domains": guest, "livemig_destinations": "hv2"}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(play, "evacuate", wanted)
        within(SEEN_WITHIN_S, lambda: migrating(guest))
        kill_the_module()
        killed = first.result()
    assert killed.returncode != 0, killed.stdout
    assert "did not say what became of this domain" in " ".join(killed.stdout.split())

    # The same command again: it waits for the migration that goes on, ends what is left of it, and finds nothing to do.
    again = play("evacuate", wanted)
    said = " ".join(again.stdout.split())
    assert again.returncode == 0, said
    assert f"{guest}: moved: the domain runs at the destination" in said
    assert place_of(guest) == ["hv2"]
    for words in ([], ["--inactive"]):
        definition = api.exec_on("hv2", ["virsh", "dumpxml", guest, *words], check=True).stdout
        assert guest in definition and "urn:livemig:state" not in definition
    third = play("recover", {})
    assert third.returncode == 0, third.stdout
    assert guest not in third.stdout


def within(seconds: float, happened: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(0.05)


def test_one_domain_active_on_two_hosts_stops_everything(guest: str, play: Play) -> None:
    """A paused copy with the same UUID, as a failed migration can leave one behind."""
    xml = api.exec_on("hv1", ["virsh", "dumpxml", "--migratable", guest], check=True).stdout
    # A console of its own, so that the proof goes on counting one writer.
    copy = re.sub(r"<source path='[^']*'[^>]*/>", "<source path='/tmp/copy.log'/>", xml)
    api.exec_on("hv4", ["tee", "/tmp/copy.xml"], stdin=copy, check=True)
    api.exec_on("hv4", ["virsh", "create", "/tmp/copy.xml", "--paused"], check=True)
    try:
        done = play("evacuate", {"livemig_evacuate_hosts": "hv1", "livemig_destinations": "hv2,hv4"})
        said = " ".join(done.stdout.split())
        assert done.returncode != 0, said
        assert f"omain {guest}" in said
        assert "hv4" in said
        assert "Nothing was moved" in said
    finally:
        api.exec_on("hv4", ["virsh", "destroy", guest], check=True)
    assert place_of(guest) == ["hv1"]


def test_a_daemon_that_hangs_counts_as_silent(guest: str, play: Play) -> None:
    """The task's own limit is shorter here than that of opening a connection, which is 30 s."""
    (pid,) = api.exec_on("hv4", ["pgrep", "-x", "libvirtd"], check=True).stdout.split()
    api.exec_on("hv4", ["kill", "-STOP", pid], check=True)
    try:
        done = play("evacuate", {"livemig_evacuate_hosts": "hv1", "livemig_observe_timeout_s": 15})
        said = " ".join(done.stdout.split())
        assert done.returncode != 0, said
        assert "Host hv4: Timed out after 15" in said
    finally:
        api.exec_on("hv4", ["kill", "-CONT", pid], check=True)
    assert place_of(guest) == ["hv1"]
