# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight says of a destination's virtual functions is what a migration would find: pure."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from tests.unit.preflight.case import Edit, both
from tests.unit.preflight.cases_hostdev import _network, _of_network, _pci, _vf
from tests.unit.preflight.scene import Scene

CHECK = "hd_free_vf_dest"


def scene(*edits: Edit, **options: t.Any) -> Scene:
    found = Scene()
    found.policy["migration"] = options
    both(*edits)(found)
    return found


def held(*edits: Edit, **columns: t.Any) -> Scene:
    return scene(_pci(teaming="transient", **columns), _vf("source"), *edits)


OBSTACLES: dict[str, tuple[dict[str, t.Any], str]] = {
    "another port": ({"port": "eth2"}, "it is of port eth2, not eth1"),
    "no port": ({"port": None, "pf_link": None}, "it is of port None, not eth1"),
    "another card": ({"kind": "15b3:101e"}, "it is a 15b3:101e, not a 8086:10ca"),
    "the host's": ({"net": "eth5", "net_link": "up"}, "the host itself uses it as eth5"),
    "no link": ({"pf_link": "down"}, "its port eth1 has no link"),
    "a shared group": ({"others": ["0000:01:00.0 (igb)"]}, "drivers of the host have 0000:01:00.0 (igb)"),
}


@pytest.mark.parametrize(("changes", "text"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_stands_in_the_way_of_a_migration_rules_the_move_out(changes: dict[str, t.Any], text: str) -> None:
    (finding,) = held(_vf("destination", **changes)).of(CHECK)
    assert finding["blocks"] and f"(1 of them: {text}" in finding["message"]


def test_two_obstacles_on_two_functions() -> None:
    """One alone would leave the other function."""
    found = held(_vf("destination", pf_link="down"), _vf("destination", "0000:01:10.2", others=["0000:01:00.0 (igb)"]))
    (finding,) = found.of(CHECK)
    assert finding["blocks"] and finding["message"].count("1 of them") == 2


def test_a_device_of_the_hosts_that_is_down_is_none() -> None:
    assert held(_vf("destination", net="eth5", net_link="down")).of(CHECK) == []


def test_what_libvirt_does_not_rebind_must_be_bound() -> None:
    (finding,) = held(_vf("destination"), managed="no").of(CHECK)
    assert finding["blocks"] and "its driver is igbvf, not vfio-pci" in finding["message"]
    assert held(_vf("destination", driver="vfio-pci"), managed="no").of(CHECK) == []


def test_one_that_a_network_gives_out_is_left_to_it() -> None:
    (finding,) = held(_vf("destination"), _network("destination")).of(CHECK)
    assert finding["blocks"] and "network vfs gives it out" in finding["message"]
    assert held(_vf("destination"), _network("destination", active=False)).of(CHECK) == []


def test_a_port_that_nobody_knows() -> None:
    found = scene(_pci(teaming="transient"), _vf("source", port=None), _vf("destination"))
    (finding,) = found.of(CHECK)
    assert finding["blocks"] and "a PF without a network device" in finding["message"]


def test_what_the_domain_itself_is_defined_with_there_is_free_for_it() -> None:
    found = held(_vf("destination"))
    found.destination["nodedevs"]["defined"] = {"0000:01:10.0": ["web1"]}
    assert found.of(CHECK) == []


def test_many_functions_make_no_long_message() -> None:
    others = [_vf("destination", f"0000:01:{number:02x}.0", port=f"eth{number}") for number in range(2, 14)]
    (finding,) = held(*others).of(CHECK)
    assert "and 7 more reasons" in finding["message"] and finding["message"].count("of them") == 5


NETWORKS: dict[str, tuple[list[Edit], str | None]] = {
    "enough": ([_network("destination")], None),
    "none left": ([_network("destination", used=2)], "network vfs of hv2 has 0 functions left"),
    "not active": ([_network("destination", active=False)], "is not there, not active or has no functions"),
    "not there": ([], "is not there, not active or has no functions"),
}


@pytest.mark.parametrize(("there", "text"), NETWORKS.values(), ids=NETWORKS)
def test_a_network_of_functions_is_judged_as_such(there: list[Edit], text: str | None) -> None:
    """Whatever ports and kinds there are: no function of the destination's is looked at."""
    said = scene(_of_network(), _vf("source"), *there).of(CHECK)
    assert [finding["blocks"] for finding in said] == ([] if text is None else [True])
    assert text is None or text in said[0]["message"]


def test_a_network_without_functions_is_the_standbys() -> None:
    """A bond's other NIC has the same MAC address, and may be on a network."""
    found = held(_vf("destination"), network="lan")
    found.source["net"]["networks"]["lan"] = {"functions": None}
    assert found.of(CHECK) == []


def mapping(found: Scene, *allow: str) -> Scene:
    found.policy["edits"] = {"allow": list(allow), "map": {"hv2": {"parent": {"eth1": "eth3"}}}}
    return found


@pytest.mark.parametrize("allow", [(), ("parent",)])
def test_a_port_that_is_mapped_goes_before_one_of_the_same_name(allow: tuple[str, ...]) -> None:
    both_ports = _vf("destination"), _vf("destination", "0000:03:10.0", port="eth3")
    (finding,) = mapping(held(*both_ports), *allow).of(CHECK)
    assert finding["edit"] == {"kind": "parent", "item": None, "old": "eth1", "new": "eth3"}
    assert (finding["status"], finding["blocks"]) == (("edited", False) if allow else ("fail", True))
    assert allow or "take eth1 out of livemig_edits.map" in finding["remedy"]


def test_a_mapped_port_that_has_none_is_no_reason_to_take_the_other() -> None:
    (finding,) = mapping(held(_vf("destination")), "parent").of(CHECK)
    assert finding["blocks"] and finding["edit"] is None
    assert "it is of port eth1, not eth3" in finding["message"] and "livemig_edits.map" in finding["remedy"]


@pytest.mark.parametrize(
    ("teaming", "there", "vf", "severity"),
    [
        ("transient", True, "native", None),
        ("transient", False, "replug", "info"),
        (None, True, "native", None),
        (None, False, "none", "error"),
    ],
)
def test_native_is_judged_by_both_hosts(teaming: str | None, there: bool, vf: str, severity: str | None) -> None:
    found = scene(_pci(teaming=teaming), _vf("source", migratable=True), _vf("destination", migratable=there))
    assert api.choose(found.domain, found.source, found.destination, found.policy)["vf"] == vf
    said = found.of("hd_vfio_migratable")
    assert [finding["severity"] for finding in said] == ([] if severity is None else [severity])
    assert [finding["blocks"] for finding in said] == ([] if severity is None else [severity == "error"])


def test_native_needs_as_many_there() -> None:
    more = {"bus": "0x01", "slot": "0x10", "function": "0x2"}
    found = scene(_pci(teaming="transient"), _pci(teaming="transient", **more))
    for address in ("0000:01:10.0", "0000:01:10.2"):
        _vf("source", address, migratable=True)(found)
    _vf("destination", migratable=True)(found)
    assert api.choose(found.domain, found.source, found.destination, found.policy)["vf"] == "replug"


def test_the_strategy_says_what_happens_where_the_destination_cannot() -> None:
    found = scene(_pci(teaming="transient"), _vf("source", migratable=True))
    (finding,) = found.of("hd_vf_strategy")
    assert "native: the drivers" in finding["message"] and "cannot, replug: its standby" in finding["message"]
