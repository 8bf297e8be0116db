# SPDX-License-Identifier: GPL-3.0-or-later
"""When libvirt resumes the source after the switchover, although the destination may run the guest."""

from __future__ import annotations

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import UUID, Pair, fail, pair, run

libvirt = _libvirt.libvirt
__all__ = ["pair"]


def switch_over(source: Domain, destination: Host, *, resumed: bool) -> None:
    source.host.send(UUID, "SUSPENDED", "SUSPENDED_MIGRATED")
    if resumed:
        destination.send(UUID, "RESUMED", "RESUMED_MIGRATED")


def roll_back(source: Domain) -> None:
    source.host.send(UUID, "RESUMED", "RESUMED_MIGRATED")


def test_the_destination_runs_it(pair: Pair) -> None:
    """Its daemon was killed before the source had its answer, and comes back: the domain has moved."""

    def lost(domain: Domain) -> None:
        switch_over(domain, pair.destination, resumed=True)
        pair.destination.add(UUID)
        roll_back(domain)

    pair.source.domains[UUID].migration = fail("client socket is closed", lost)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("moved", "hv2")
    assert "held" in [phase["name"] for phase in result["phases"]]
    assert UUID not in pair.source.domains


def test_the_destination_ran_it_and_died(pair: Pair) -> None:
    """Its QEMU was killed right after it had begun: the source is right to go on."""
    domain = pair.source.domains[UUID]

    def died(domain: Domain) -> None:
        switch_over(domain, pair.destination, resumed=True)
        roll_back(domain)

    domain.migration = fail("QEMU unexpectedly closed the monitor", died)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert domain.calls == ["mark", "suspend", "resume", "unmark"]


def test_nobody_knows_whether_it_does(pair: Pair) -> None:
    """The source stands still until somebody knows; a second run, once the destination answers, ends it."""
    domain = pair.source.domains[UUID]

    def lost(domain: Domain) -> None:
        switch_over(domain, pair.destination, resumed=False)
        pair.destination.answers = False
        roll_back(domain)

    domain.migration = fail("client socket is closed", lost)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("unknown", None)
    assert "suspend" in domain.calls
    assert domain.where[0] == libvirt.VIR_DOMAIN_PAUSED
    pair.destination.answers = True
    # The daemon is back, and has no such domain: the guest goes on where it was.
    domain.migration = fail("not this time")
    again = run(pair)
    assert (again["state"], again["running_on"]) == ("failed", "hv1")
    assert domain.where[0] == libvirt.VIR_DOMAIN_RUNNING
    assert domain.calls.count("resume") == 1


def test_an_incoming_domain_may_still_be_started(pair: Pair) -> None:
    """Its daemon works on Finish while the way to it is lost: the source stands still until it has been ended."""
    domain = pair.source.domains[UUID]

    def lost(domain: Domain) -> None:
        switch_over(domain, pair.destination, resumed=False)
        pair.destination.add(UUID).become("PAUSED", "PAUSED_MIGRATION").persistent = False
        roll_back(domain)

    domain.migration = fail("keepalive timeout", lost)
    result = run(pair)
    assert (result["state"], result["running_on"]) == ("failed", "hv1")
    assert domain.calls == ["mark", "suspend", "resume", "unmark"]
    assert UUID not in pair.destination.domains


def test_a_full_disk_does_not_cost_the_pause(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = pair.source.domains[UUID]
    noted = pair.records.note

    def note(run: str, event: str, **values: object) -> None:
        if event == "held":
            raise LivemigError("Folder", value="No space left", expected="space", remedy="make some")
        noted(run, event, **values)

    def lost(domain: Domain) -> None:
        switch_over(domain, pair.destination, resumed=True)
        pair.destination.answers = False
        roll_back(domain)

    monkeypatch.setattr(pair.records, "note", note)
    domain.migration = fail("client socket is closed", lost)
    run(pair)
    assert "suspend" in domain.calls


def test_the_pause_is_tried_again_while_the_job_is_still_there(pair: Pair) -> None:
    domain = pair.source.domains[UUID]
    tried: list[int] = []
    suspend = domain.suspend

    def busy() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise libvirt.libvirtError("cannot acquire state change lock")
        suspend()

    domain.suspend = busy  # type: ignore[method-assign]

    def lost(domain: Domain) -> None:
        switch_over(domain, pair.destination, resumed=True)
        pair.destination.answers = False
        roll_back(domain)

    domain.migration = fail("client socket is closed", lost)
    run(pair)
    assert domain.where[0] == libvirt.VIR_DOMAIN_PAUSED


@pytest.mark.parametrize("stopped", [True, False])
def test_an_ordinary_rollback_is_left_alone(pair: Pair, stopped: bool) -> None:
    domain = pair.source.domains[UUID]

    def rolled_back(domain: Domain) -> None:
        if stopped:
            switch_over(domain, pair.destination, resumed=False)
        else:
            pair.destination.answers = False
        roll_back(domain)

    domain.migration = fail("unable to connect", rolled_back)
    run(pair)
    assert domain.running and not {"suspend", "destroy"} & set(domain.calls)
