# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError, Proof, plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._verify import api
from ansible_collections.livemig.libvirt.plugins.module_utils._verify.api import absent, present
from ansible_collections.livemig.libvirt.plugins.modules import verify as module
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import UUID, move

WITH_NIC = (
    "<domain type='qemu'><name>web1</name><memory unit='MiB'>256</memory><devices>"
    "<interface type='bridge'><mac address='52:54:00:00:00:01'/>"
    "<source bridge='br0'/><target dev='vnet-not-there'/></interface></devices></domain>"
)


class Ticking(Domain):
    """A domain whose vCPU time advances by ``step_ns`` with each look."""

    step_ns = 1000
    xml: str | None = None

    def vcpus(self) -> tuple[list[tuple[int, int, int, int]], list[object]]:
        self.time = getattr(self, "time", 0) + self.step_ns
        return [(0, 1, self.time, 0)], []

    def XMLDesc(self, flags: int) -> str:
        return self.xml or super().XMLDesc(flags)


@pytest.fixture
def host() -> Host:
    made = Host("hv2", 2)
    made.domains[UUID] = Ticking(made, UUID)
    made.domains[UUID].auto = 1
    return made


def verdicts(proofs: t.Iterable[Proof]) -> dict[str, bool]:
    return {proof["check"]: proof["ok"] for proof in proofs}


def test_a_domain_that_is_as_it_was(host: Host) -> None:
    found = verdicts(present(host, "hv2", move(), 1))
    assert found == {"running": True, "persistent": True, "autostart": True, "vcpus_advance": True}


def test_a_domain_that_is_not_there(host: Host) -> None:
    host.domains.clear()
    assert verdicts(present(host, "hv2", move(), 1)) == {"running": False}


def test_a_domain_that_is_paused(host: Host) -> None:
    host.domains[UUID].running = False
    assert verdicts(present(host, "hv2", move(), 1)) == {"running": False}


def in_state(state: str) -> t.Any:
    return move(way={**plain_way(), "state": state})


def test_a_paused_guest_is_proven_paused(host: Host) -> None:
    host.domains[UUID].become("PAUSED", "PAUSED_USER")
    t.cast(Ticking, host.domains[UUID]).step_ns = 0
    found = present(host, "hv2", in_state("paused"), 0)
    assert verdicts(found) == {"paused": True, "persistent": True, "autostart": True}
    host.domains[UUID].running = True
    (proof,) = present(host, "hv2", in_state("paused"), 0)
    assert (proof["ok"], proof["message"]) == (False, "running")


def test_of_a_definition_nothing_is_looked_at_but_itself(host: Host) -> None:
    host.domains[UUID].become("SHUTOFF")
    t.cast(Ticking, host.domains[UUID]).xml = WITH_NIC
    assert verdicts(present(host, "hv2", in_state("shutoff"), 0)) == {
        "shutoff": True,
        "persistent": True,
        "autostart": True,
    }


@pytest.mark.parametrize(
    ("change", "broken"), [({"persistent": False}, "persistent"), ({"autostart": False}, "autostart")]
)
def test_a_definition_that_differs(host: Host, change: dict[str, bool], broken: str) -> None:
    assert not verdicts(present(host, "hv2", move(**{"autostart": True, **change}), 1)).get(broken, True)


def test_vcpus_that_stand_still(host: Host) -> None:
    t.cast(Ticking, host.domains[UUID]).step_ns = 0
    assert not verdicts(present(host, "hv2", move(), 0.2))["vcpus_advance"]


def test_a_nic_whose_tap_is_gone(host: Host) -> None:
    t.cast(Ticking, host.domains[UUID]).xml = WITH_NIC
    assert not verdicts(present(host, "hv2", move(), 1))["nic_up"]


@pytest.mark.parametrize(
    ("kind", "port", "checked"),
    [("bridge", "", True), ("bridge", "<virtualport type='openvswitch'/>", True), ("vhostuser", "", False)],
)
def test_only_what_has_a_netdev_is_looked_at(host: Host, kind: str, port: str, checked: bool) -> None:
    xml = WITH_NIC.replace("interface type='bridge'", f"interface type='{kind}'").replace("<target", f"{port}<target")
    t.cast(Ticking, host.domains[UUID]).xml = xml
    assert ("nic_up" in verdicts(present(host, "hv2", move(), 1))) == checked


def test_gone_from_the_source(host: Host) -> None:
    assert verdicts(absent(host, "hv1", "00000000-0000-4000-8000-000000000000")) == {"gone": True}


@pytest.mark.parametrize("running", [True, False])
def test_left_behind_on_the_source(host: Host, running: bool) -> None:
    host.domains[UUID].running = running
    (proof,) = absent(host, "hv1", UUID)
    assert not proof["ok"]
    assert ("running" if running else "still defined") in proof["message"]


def not_arrived(**changes: t.Any) -> t.Any:
    source = {"host": "hv1", "since_s": 1795761000}
    return {
        "domain": "web1", "uuid": UUID, "source": "hv1", "destination": "hv2", "state": "failed", "logs": [source],
        **changes,
    }  # fmt: skip


def test_the_destination_tells_why_a_domain_did_not_arrive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "web1.log").write_text("2026-11-27 06:30:02.000+0000: shutting down, reason=failed\n")
    monkeypatch.setattr(api, "log_path", lambda uri, domain: str(tmp_path / f"{domain}.log"))
    found = api.why_not("qemu:///system", "hv2", [not_arrived()])
    assert (found[UUID]["host"], len(found[UUID]["lines"]), found[UUID]["since_s"]) == ("hv2", 1, 1795761000)


@pytest.mark.parametrize(
    "changes",
    [{"state": "moved"}, {"state": "refused"}, {"destination": "hv3"}, {"logs": []}, {"logs": [{"host": "hv2"}]}],
)
def test_whom_this_host_knows_nothing_of(changes: dict[str, t.Any]) -> None:
    assert api.why_not("qemu:///system", "hv2", [not_arrived(**changes)]) == {}


def asked(**params: t.Any) -> t.Any:
    """The module as Ansible hands it over."""
    return mock.Mock(
        params={"uri": "qemu:///system", "name": "hv2", "wait_s": 1, "moves": [], "outcomes": [], **params}
    )


def test_a_daemon_that_is_gone_does_not_cost_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be what failed."""

    def refused(uri: str) -> t.Any:
        raise LivemigError(uri, value="refused", expected="a daemon", remedy="start it")

    monkeypatch.setattr(module, "connect", refused)
    monkeypatch.setattr(module, "why_not", lambda uri, host, outcomes: {UUID: (uri, host, outcomes)})
    only_logs = module.look(asked(outcomes=["one"]))
    assert only_logs == {
        "changed": False,
        "proofs": {},
        "broken": [],
        "logs": {UUID: ("qemu:///system", "hv2", ["one"])},
    }
    result = module.look(asked(moves=[move()], outcomes=["one"]))
    assert result["failed"] and result["remedy"] == "start it" and UUID in result["logs"]
