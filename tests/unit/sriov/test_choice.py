# SPDX-License-Identifier: GPL-3.0-or-later

"""Which strategy, why, and how long the guest would stand still: pure."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import fill
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import parse_domain
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov import strategy
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.api import (
    SEED_MIB_S,
    Asked,
    Device,
    Memory,
    choose,
    forecast_ms,
)
from tests.unit.migrate.standin import XML
from tests.unit.preflight.cases_hostdev import _pci, _vf
from tests.unit.preflight.scene import Scene
from tests.unit.sriov.host import NAMED, STANDBY, vf

VF = Device("VF 1", function=True)
TEAMED = VF._replace(teamed=True)
NATIVE = VF._replace(native=True)
CHOICES: dict[str, tuple[Asked, str, str]] = {
    "nothing": (Asked("auto", ()), "none", "no device"),
    "a team": (Asked("auto", (TEAMED,)), "replug", "standby carries"),
    "a bond": (Asked("auto", (VF._replace(bonded=True),)), "replug", "standby carries"),
    "a driver that migrates": (Asked("auto", (NATIVE,)), "native", "drivers of VF 1"),
    "one of two": (Asked("auto", (NATIVE, TEAMED)), "refuse", "VF 1 has no standby"),
    "bare": (Asked("auto", (VF,)), "refuse", "vf-gap"),
    "a gap is allowed": (Asked("auto", (VF,), gap=True), "replug", "without network"),
    "a graphics card": (Asked("auto", (Device("GPU", function=False),), gap=True), "refuse", "GPU is no virtual"),
    "not known whether it is one": (Asked("auto", (TEAMED._replace(function=None),)), "replug", "standby"),
    "paused": (Asked("auto", (TEAMED,), "paused"), "refuse", "lets go of nothing"),
    "paused with such a driver": (Asked("auto", (NATIVE,), "paused"), "native", "drivers"),
    "shut off": (Asked("auto", (TEAMED,), "shutoff"), "refuse", "by the address on this host"),
    "shut off with such a driver": (Asked("native", (NATIVE,), "shutoff"), "refuse", "by the address on this host"),
    "failover within the limit": (Asked("failover", (TEAMED,), stall_ms=900, ceiling_ms=1000), "failover", "QEMU"),
    "failover over it": (Asked("failover", (TEAMED,), stall_ms=53400, ceiling_ms=1000), "refuse", "53400 ms, and 1000"),
    "failover without a forecast": (Asked("failover", (TEAMED,), ceiling_ms=1000), "failover", "QEMU"),
    "failover without a team": (Asked("failover", (VF._replace(bonded=True),)), "refuse", "choose replug"),
    "native that none can": (Asked("native", (TEAMED,)), "refuse", "no driver"),
    "plain": (Asked("auto", (TEAMED._replace(plain=True),)), "refuse", "define it as <interface type='hostdev'>"),
    "plain with failover": (Asked("failover", (TEAMED._replace(plain=True),)), "refuse", "plain <hostdev>"),
    "plain with such a driver": (Asked("auto", (NATIVE._replace(plain=True),)), "native", "drivers"),
    "refused": (Asked("refuse", (TEAMED,)), "refuse", "not to be moved"),
    "a way without it": (Asked("none", (TEAMED,)), "refuse", "make a new plan"),
}


@pytest.mark.parametrize(("asked", "name", "reason"), CHOICES.values(), ids=CHOICES)
def test_the_choice_and_its_reason(asked: Asked, name: str, reason: str) -> None:
    found = choose(asked)
    assert found.name == name and reason in found.reason


def test_replug_is_what_auto_takes_where_failover_would_do() -> None:
    assert choose(Asked("auto", (TEAMED,), stall_ms=1, ceiling_ms=1000)).name == "replug"


def test_every_row_decides_something() -> None:
    decided = {choose(asked).reason[:20] for asked, _name, _reason in CHOICES.values()}
    assert len(decided) >= len(strategy._ROWS) - 1


FORECASTS: dict[str, tuple[list[Memory], float, int]] = {
    "the report: 53.4 s": ([Memory(131072)], SEED_MIB_S, 53499),
    "nested, 2 GiB in 6.5 s": ([Memory(2048)], 315.0, 6502),
    "twice the memory": ([Memory(4096)], 315.0, 13003),
    "huge pages of 2 MiB": ([Memory(131072, 2048)], SEED_MIB_S, 5350),
    "of 1 GiB": ([Memory(131072, 1024**2)], SEED_MIB_S, 535),
    "allocated at once": ([Memory(131072, allocated=True)], SEED_MIB_S, 5350),
    "half of it": ([Memory(1024), Memory(1024, 2048)], 1024.0, 1100),
}


@pytest.mark.parametrize(("memory", "rate", "expected"), FORECASTS.values(), ids=FORECASTS)
def test_a_forecast(memory: list[Memory], rate: float, expected: int) -> None:
    assert forecast_ms(memory, rate) == expected


def test_the_rate_is_measured_by_the_middle_of_three() -> None:
    times = iter([0.0, 0.5, 1.0, 1.1, 2.0, 2.2])
    assert fill.fill_mib_s(1, lambda: next(times)) == pytest.approx(5.0)
    assert fill.fill_mib_s(8) > 1


def scene(**options: t.Any) -> Scene:
    found = Scene()
    found.policy["migration"] = options
    _pci(teaming="transient")(found)
    _vf("source")(found)
    return found


def test_the_forecast_takes_what_was_measured_there() -> None:
    found = scene(vf="failover")
    assert found.of("hd_vfio_pin_time") == []
    found.answers["hv2"]["fill:memory"] = {"mib_s": 150}
    (finding,) = found.of("hd_vfio_pin_time")
    assert finding["blocks"] and "2560 ms" in finding["message"] and "replug" in finding["remedy"]
    found.policy["migration"]["vf_pin_mib_s"] = 10000
    assert found.of("hd_vfio_pin_time") == []


@pytest.mark.parametrize(
    ("label", "convergence", "severity"),
    [
        (None, {}, "error"),
        ("<p>ceiling_ms=2500</p>", {}, "error"),
        ("<p>ceiling_ms=2600</p>", {}, None),
        (None, {"profile": "deadline"}, None),
        ("<p>profile=gentle</p>", {"profile": "deadline"}, "error"),
        (None, {"settings": {"ceiling_ms": 3000}}, None),
    ],
)
def test_the_forecast_is_judged_by_the_guests_own_profile(
    label: str | None, convergence: dict[str, t.Any], severity: str | None
) -> None:
    found = scene(vf="failover", vf_pin_mib_s=100)
    found.domain["label"] = label
    found.policy["convergence"] = convergence
    assert [each["severity"] for each in found.of("hd_vfio_pin_time")] == ([] if severity is None else [severity])


def test_what_is_allowed_may_still_be_long() -> None:
    found = scene(vf="failover", vf_pin_mib_s=50)
    found.policy["convergence"] = {"settings": {"ceiling_ms": 60000}}
    (finding,) = found.of("hd_vfio_pin_time")
    assert (finding["severity"], finding["blocks"]) == ("warning", False)


def test_a_label_that_cannot_be_meant_is_unknown() -> None:
    found = scene(vf="failover")
    found.domain["label"] = "<p>ceiling=1</p>"
    (finding,) = found.of("hd_vfio_pin_time")
    assert finding["status"] == "unknown" and "ceiling" in finding["message"]


def test_a_long_pin_after_replug_is_only_a_warning() -> None:
    found = scene(vf_pin_mib_s=10)
    (finding,) = found.of("hd_vfio_pin_time")
    assert not finding["blocks"] and "the guest runs meanwhile" in finding["expected"]


@pytest.mark.parametrize(("probe", "asked"), [(True, 1), (False, 0)])
def test_it_is_measured_only_where_probing_is_allowed(probe: bool, asked: int) -> None:
    found = scene()
    found.policy["probe"] = probe
    questions = api.questions(found.hosts, found.domains, ["hv2"], found.policy)
    assert len([each for each in questions.get("hv2", ()) if each["ask"] == "fill"]) == asked


@pytest.mark.parametrize(
    ("teaming", "label", "vf", "gap"),
    [("transient", None, "replug", False), (None, "<p>vf-gap</p>", "replug", True), (None, None, "none", False)],
)
def test_the_way_says_what_was_chosen(teaming: str | None, label: str | None, vf: str, gap: bool) -> None:
    found = scene()
    found.domain["hostdevs"][0]["teaming"] = teaming
    found.domain["label"] = label
    way = api.choose(found.domain, found.source, found.destination, found.policy)
    assert (way["vf"], way["vf_gap"]) == (vf, gap)
    assert bool(way["vf_reason"]) is (vf != "none")


def test_a_bond_is_seen_through_the_agent() -> None:
    found = scene()
    found.domain["hostdevs"][0]["teaming"] = None
    mac = "52:54:00:00:00:03"
    found.domain["agent"] = {"asked": True, "answers": True, "links": {"bond0": mac, "eth0": mac, "eth1": mac}}
    assert found.of("hd_pci_plain") == []
    found.domain["agent"]["links"] = {"eth0": "52:54:00:00:00:09", "eth1": mac}
    assert [finding["blocks"] for finding in found.of("hd_pci_plain")] == [True]


def test_a_bond_of_functions_is_none() -> None:
    found = scene()
    found.domain["hostdevs"][0]["teaming"] = None
    found.domain["hostdevs"].append(dict(found.domain["hostdevs"][0]))
    mac = "52:54:00:00:00:03"
    links = dict.fromkeys(("bond0", "eth1", "eth2"), mac)
    found.domain["agent"] = {"asked": True, "answers": True, "links": links}
    assert [finding["blocks"] for finding in found.of("hd_pci_plain")] == [True]
    links["eth0"] = mac
    assert found.of("hd_pci_plain") == []


def test_a_plain_hostdev_is_refused() -> None:
    found = scene()
    found.domain["hostdevs"][0].update(mode="subsystem", description="pci bus=0x01")
    (finding,) = found.of("hd_pci_plain")
    assert finding["blocks"] and "<interface type='hostdev'>" in finding["message"]


def test_one_that_is_shut_off_and_names_a_network_of_functions_has_nothing_of_this_host() -> None:
    facts = parse_domain(XML.replace("</devices>", f"{NAMED}</devices>"))
    assert facts["hostdevs"] == [] and [nic["type"] for nic in facts["interfaces"]] == ["network"]


@pytest.mark.parametrize("remote", [False, True])
def test_a_guest_with_a_team_passes_every_check(remote: bool) -> None:
    facts = parse_domain(XML.replace("</devices>", f"{STANDBY}{vf('0000:01:10.0')}</devices>"))
    found = Scene(remote=remote)
    found.domain.update(interfaces=facts["interfaces"], hostdevs=facts["hostdevs"])
    if remote:
        found.policy.update(migration={"vf": "replug"}, state="running")
        assert found.volatile() == []
        return
    link = {"kind": "physical", "mac": "52:54:00:09:00:11", "mtu": 1500, "up": True, "carrier": True}
    for host in found.hosts:
        host["net"]["links"]["eth1"] = {**link, "master": None, "lower": []}
        host["nodedevs"].update(iommu=True, locked_memory={"limit": None, "may_raise": True})
    _vf("source")(found)
    _vf("destination")(found)
    said = {finding["check"] for finding in found.findings()}
    assert said == {"hd_vf_strategy", "hd_teaming_guest_ready"}, "the second: no agent was asked"


def test_a_function_of_another_port_is_not_free_for_it() -> None:
    found = scene()
    found.domain["hostdevs"][0]["more"].update(domain="0", bus="1", slot="16", function="0")
    _vf("destination", port="eth2")(found)
    (finding,) = found.of("hd_free_vf_dest")
    assert "hv2 has 0 free of that kind there (1 of them: it is of port eth2, not eth1)" in finding["message"]
    found.policy["edits"] = {"allow": ["parent"], "map": {"hv2": {"parent": {"eth1": "eth2"}}}}
    (finding,) = found.of("hd_free_vf_dest")
    edit = finding["edit"]
    assert finding["status"] == "edited" and not finding["blocks"]
    assert edit is not None and edit["new"] == "eth2"


@pytest.mark.parametrize("name", ["trust", "spoof_check"])
def test_how_the_port_treats_its_functions_is_compared(name: str) -> None:
    found = scene()
    found.domain["hostdevs"][0]["more"].update(domain="0", bus="1", slot="16", function="0")
    _vf("destination")(found)
    assert found.of("hd_vf_same_kind") == []
    here, there = (host["nodedevs"]["vfs"][0] for host in (found.source, found.destination))
    there[name] = not here[name]
    (finding,) = found.of("hd_vf_same_kind")
    assert name in finding["message"] and "ip link set eth1 vf N" in finding["remedy"] and not finding["blocks"]
    there[name] = None
    assert found.of("hd_vf_same_kind") == [], "a PF that does not tell is not taken for another one"


def test_one_that_another_domain_is_defined_with_is_not_free() -> None:
    found = scene()
    found.domain["hostdevs"][0]["more"].update(domain="0", bus="1", slot="16", function="0")
    _vf("destination")(found)
    assert found.of("hd_free_vf_dest") == []
    found.destination["nodedevs"]["defined"] = {"0000:01:10.0": ["db9"]}
    assert [finding["blocks"] for finding in found.of("hd_free_vf_dest")] == [True]
