# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that hang, agents that do not answer, documents that nobody would write: the others' results are intact."""

from __future__ import annotations

import threading
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts, UnknownFact
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import agent, api, control, files
from tests.unit import standin_libvirt
from tests.unit.observe.test_snapshots import domain

ERROR = standin_libvirt.libvirtError
CHANNEL = {"target_name": agent.CHANNEL, "target_state": "connected"}
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><domain><name>&b;</name></domain>'
HOSTILE = {
    "entities": BOMB,
    "depth": "<domain>" + "<a>" * 100000,
    "broken": "<domain><name>web</domain>",
    "not a domain": "<x/>",
    "numbers": "<domain><vcpu>many</vcpu><memory>-</memory></domain>",
}


@pytest.fixture(autouse=True)
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "libvirtError", ERROR)
    monkeypatch.setattr(control, "LIBVIRT_ERRORS", (ERROR,))
    monkeypatch.setattr(agent, "LIBVIRT_ERRORS", (ERROR,))
    monkeypatch.setattr(files, "declared", files.Declared)


def _connection(*domains: t.Any, stats: t.Any = None) -> t.Any:
    return mock.Mock(
        listAllDomains=mock.Mock(return_value=list(domains)), getAllDomainStats=stats or mock.Mock(return_value=[])
    )


@pytest.mark.parametrize("xml", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_document_spoils_one_domain_only(xml: str) -> None:
    found: t.Any = api.domain_snapshots(_connection(domain("bad", xml), domain("good")), "hv1")
    bad, good = found
    assert (bad["name"], good["name"]) == ("bad", "good")
    assert good["memory_mib"] == 1 and not good["unknown"]
    assert bad["state"] == "running"
    if xml != HOSTILE["not a domain"]:
        with pytest.raises(UnknownFact, match="memory_mib of domain bad could not be read"):
            Facts("domain bad", bad).get("memory_mib")


def _hung(name: str, seconds: int = 5) -> t.Any:
    made = domain(name)
    made.controlInfo.return_value = [2, 0, seconds * 1000]
    for call in ("XMLDesc", "jobInfo", "blockJobInfo"):
        getattr(made, call).side_effect = AssertionError(f"{call} would wait for QEMU")
    return made


def test_a_guest_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "HANGS_S", 0.05)
    release = threading.Event()
    calls: list[int] = []

    def stats(_what: int, flags: int = 0) -> list[t.Any]:
        calls.append(flags)
        if flags and len([given for given in calls if given]) == 1:
            release.wait(30)
        return []

    found: t.Any = api.domain_snapshots(_connection(_hung("bad"), domain("good"), stats=stats), "hv1")
    release.set()
    assert found[0]["control"] == {"state": "occupied", "seconds": 5}
    assert {"memory_mib", "job", "disks"} <= {entry["fact"] for entry in found[0]["unknown"]}
    assert not found[1]["unknown"]


def test_where_too_many_hang_nothing_more_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "HANGS_S", 0.05)
    release = threading.Event()
    stats = mock.Mock(side_effect=lambda _what, _flags: release.wait(30))
    monitors = control.Monitors(_connection(stats=stats))
    with pytest.raises(OSError, match="several QEMUs"):
        monitors.stats()
    assert stats.call_count == 3
    release.set()


def test_a_busy_guest_is_no_guest_that_hangs() -> None:
    assert not control.hangs({"state": "occupied", "seconds": 1})
    assert not control.hangs({"state": "job", "seconds": 600})
    assert control.hangs({"state": "error", "seconds": 0})
    off = mock.Mock()
    off.controlInfo.side_effect = ERROR("domain is not running", libvirt.VIR_ERR_OPERATION_INVALID)
    assert control.of(off) is None and not control.hangs(None)


def test_an_old_libvirt_has_no_messages() -> None:
    assert control.messages(mock.Mock(spec=[])) is None
    refused = mock.Mock()
    refused.messages.side_effect = ERROR("not supported", libvirt.VIR_ERR_NO_SUPPORT)
    assert control.messages(refused) is None


def _guest(**time: t.Any) -> t.Any:
    return mock.Mock(getTime=mock.Mock(**time))


FROZEN = (
    "internal error: unable to execute QEMU agent command 'guest-get-time': "
    "Command guest-get-time has been disabled: the agent is in frozen state"
)
SAID: tuple[tuple[t.Any, tuple[bool, bool | None, str]], ...] = (
    (_guest(return_value={"seconds": 1}), (True, False, "")),
    (_guest(side_effect=ERROR(FROZEN)), (True, True, "")),
    (_guest(side_effect=ERROR("Command guest-get-time has been disabled for this instance")), (True, None, "")),
    (
        _guest(side_effect=ERROR("Guest agent is not responding: timeout")),
        (False, None, "Guest agent is not responding"),
    ),
)


@pytest.mark.parametrize(("guest", "expected"), SAID)
def test_what_an_agent_says(guest: t.Any, expected: tuple[bool, bool | None, str]) -> None:
    said = agent.Agents(3, 30).of(guest, [CHANNEL])
    assert (said["answers"], said["frozen"]) == expected[:2]
    assert said["reason"].startswith(expected[2])


def test_no_agent_is_asked_that_is_not_there() -> None:
    guest = _guest()
    assert agent.Agents(3, 30).of(guest, []) == {"asked": False}
    assert not agent.Agents(3, 30).of(guest, [{**CHANNEL, "target_state": "disconnected"}])["answers"]
    guest.getTime.assert_not_called()


def test_the_network_devices_of_a_guest() -> None:
    guest = _guest(return_value={"seconds": 1})
    guest.interfaceAddresses.return_value = {"lo": {"hwaddr": None}, "eth0": {"hwaddr": "52:54:00:AA:00:01"}}
    assert agent.Agents(3, 30).of(guest, [CHANNEL], links=True)["links"] == {"eth0": "52:54:00:aa:00:01"}
    guest.interfaceAddresses.side_effect = ERROR("guest agent command failed")
    assert agent.Agents(3, 30).of(guest, [CHANNEL], links=True)["links"] is None
    assert "links" not in agent.Agents(3, 30).of(guest, [CHANNEL])


def test_an_agent_that_hangs_is_given_up() -> None:
    release = threading.Event()
    said = agent.Agents(0.05, 30).of(_guest(side_effect=lambda: release.wait(30)), [CHANNEL])
    release.set()
    assert (said["answers"], said["reason"]) == (False, "no answer within 0 s")


def test_agents_have_one_budget_for_all() -> None:
    now = iter([0.0, 0.0, 31.0])
    agents = agent.Agents(3, 30, lambda: next(now))
    assert agents.of(_guest(return_value={}), [CHANNEL])["answers"]
    with pytest.raises(OSError, match="the 30 s for all agents of this host were used up"):
        agents.of(_guest(return_value={}), [CHANNEL])
