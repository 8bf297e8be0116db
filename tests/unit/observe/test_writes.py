# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast guests write: who is looked at, and that nobody waits for one that hangs."""

from __future__ import annotations

import threading
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import api, files, writes
from tests.unit.observe.test_snapshots import domain


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_MORE_S", 0.0)
    monkeypatch.setattr(writes, "time", mock.Mock())
    monkeypatch.setattr(files, "declared", files.Declared)


def running(name: str, uuid: str, memory_mib: int = 1024, rss_mib: int = 300) -> t.Any:
    made = domain(name)
    made.UUIDString.return_value, made.maxMemory.return_value = uuid, memory_mib * 1024
    made.stats = {"balloon.rss": rss_mib * 1024, "state.state": 1, "state.reason": 1}
    return made


def looked_at(*guests: t.Any, rate: dict[str, t.Any] | None = None, seconds: int = 2) -> dict[str, t.Any]:
    measured = {"dirtyrate.calc_status": 2, "dirtyrate.megabytes_per_second": 17} if rate is None else rate
    connection = mock.Mock()
    connection.listAllDomains.return_value = list(guests)
    connection.getAllDomainStats.side_effect = lambda *_what: [(guest, guest.stats) for guest in guests]
    connection.domainListGetStats.side_effect = lambda asked, *_what: [(guest, measured) for guest in asked]
    found: t.Any = api.domain_snapshots(connection, "hv1", dirty_rate_s=seconds)
    return {entry["name"]: entry for entry in found}


def test_all_that_run_are_sampled() -> None:
    first, second = running("a", "1"), running("b", "2")
    found = looked_at(first, second)
    assert {name: entry["dirty_mib_s"] for name, entry in found.items()} == {"a": 17, "b": 17}
    first.startDirtyRateCalc.assert_called_once_with(2, 0)


def test_nobody_is_sampled_unasked() -> None:
    guest = running("a", "1")
    found = looked_at(guest, seconds=0)["a"]
    assert (found["dirty_mib_s"], found["resident_mib"]) == (None, 300)
    guest.startDirtyRateCalc.assert_not_called()


def _small(guest: t.Any) -> None:
    guest.maxMemory.return_value = 127 * 1024


def _migrating(guest: t.Any) -> None:
    guest.jobInfo.return_value = [2]


def _paused(guest: t.Any) -> None:
    guest.stats = {**guest.stats, "state.state": 3}


def _hanging(guest: t.Any) -> None:
    guest.controlInfo.return_value = [2, 0, 9000]


@pytest.mark.parametrize("make", [_small, _migrating, _paused, _hanging])
def test_who_is_left_out(make: t.Callable[[t.Any], None]) -> None:
    guest, other = running("a", "1"), running("b", "2")
    make(guest)
    found = looked_at(guest, other)
    assert (found["a"]["dirty_mib_s"], found["b"]["dirty_mib_s"]) == (None, 17)
    guest.startDirtyRateCalc.assert_not_called()


@pytest.mark.parametrize("rate", [{}, {"dirtyrate.calc_status": 1, "dirtyrate.megabytes_per_second": 0}])
def test_what_was_not_measured_is_not_zero(rate: dict[str, t.Any]) -> None:
    assert looked_at(running("a", "1"), rate=rate)["a"]["dirty_mib_s"] is None


def test_an_error_of_one_costs_the_others_nothing() -> None:
    guest, other = running("a", "1"), running("b", "2")
    guest.startDirtyRateCalc.side_effect = libvirt.libvirtError("busy")
    found = looked_at(guest, other)
    assert (found["a"]["dirty_mib_s"], found["b"]["dirty_mib_s"]) == (None, 17)


def test_one_that_hangs_meanwhile_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_ANSWER_S", 0.05)
    guest, release = running("a", "1"), threading.Event()
    guest.startDirtyRateCalc.side_effect = lambda *_what: release.wait(30)
    assert looked_at(guest)["a"]["dirty_mib_s"] is None
    release.set()
