# SPDX-License-Identifier: GPL-3.0-or-later

"""Which virtual functions of a host a guest can have, and why it cannot have the others."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import parse_xml
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov import nic as nics
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.functions import (
    Function,
    Wanted,
    functions,
    given_out,
    obstacle,
    usable,
    users,
    why_none,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.nic import (
    allocated_at_once,
    attach_xml,
    find,
    nics_of,
    placed,
    with_bond,
)
from tests.unit.migrate.standin import XML
from tests.unit.sriov.host import MAC, STANDBY, Process, SriovHost, place, twin, vf, without_team

GOOD = Function("0000:01:10.0", "8086:10ca", "igbvf", "eth1", "up")
WANTED = Wanted("8086:10ca", "eth1", True)
OBSTACLES: dict[str, tuple[dict[str, t.Any], str]] = {
    "another port": ({"port": "eth2"}, "it is of port eth2, not eth1"),
    "another card": ({"kind": "15b3:101e"}, "it is a 15b3:101e, not a 8086:10ca"),
    "in use": ({"user": "db1"}, "domain db1 has it"),
    "the host's": ({"net": "eth5"}, "the host itself uses it as eth5"),
    "a network's": ({"network": "vfs"}, "network vfs gives it out"),
    "no link": ({"link": "down"}, "its port eth1 has no link"),
    "a shared group": ({"others": ("0000:01:00.0 (igb)",)}, "drivers of the host have 0000:01:00.0 (igb)"),
}


@pytest.mark.parametrize(("changes", "text"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_stands_in_the_way(changes: dict[str, t.Any], text: str) -> None:
    each = GOOD._replace(**changes)
    assert text in (obstacle(each, WANTED) or "")
    assert usable([each], WANTED) == [] and text in why_none([each], WANTED)


def test_nothing_does() -> None:
    assert obstacle(GOOD, WANTED) is None
    assert obstacle(GOOD._replace(link=None), WANTED) is None, "a PF that does not tell is no PF without a link"


def test_what_libvirt_does_not_rebind_must_be_bound() -> None:
    wanted = WANTED._replace(managed=False)
    assert "not vfio-pci" in (obstacle(GOOD, wanted) or "")
    assert obstacle(GOOD._replace(driver="vfio-pci"), wanted) is None


def test_the_planned_one_comes_first() -> None:
    found = [GOOD._replace(address=f"0000:01:10.{number}") for number in (0, 2, 4)]
    assert usable(found, WANTED, "0000:01:10.4") == ["0000:01:10.4", "0000:01:10.0", "0000:01:10.2"]


def test_from_node_devices() -> None:
    host = SriovHost("hv1", 1, Process())
    host.nets = {"0000:01:10.2": "eth7"}
    texts = [each.XMLDesc(0) for each in host.listAllDevices(0)]
    pool = (
        "<network><name>vfs</name><forward mode='hostdev'><address type='pci' domain='0x0000' bus='0x01' slot='0x10' "
        "function='0x2'/></forward></network>"
    )
    assert functions(texts, {"0000:01:10.0": "web1"}, given_out([pool, "<network><name>nat</name></network>"])) == [
        Function("0000:01:10.0", "8086:10ca", "igbvf", "eth1", "up", (), None, "web1"),
        Function("0000:01:10.2", "8086:10ca", "igbvf", "eth1", "up", (), "eth7", None, "vfs"),
    ]


def _domain(*devices: str) -> str:
    return XML.replace("</devices>", f"{''.join(devices)}</devices>")


def test_who_uses_what() -> None:
    first, second = _domain(vf("0000:01:10.0")), _domain(vf("0000:01:10.2"))
    assert users({"a": [first], "b": ["<domain/>", second]}) == {"0000:01:10.0": "a", "0000:01:10.2": "b"}


def test_a_nic_and_its_standby() -> None:
    (found,) = nics_of(_domain(STANDBY, vf("0000:01:10.0")), None)
    assert (found.alias, found.mac, found.address, found.standby) == ("ua-vf", MAC, "0000:01:10.0", "macvtap0")
    assert found.network is None and found.managed


def test_a_network_of_functions_gives_one_out_again() -> None:
    """The live definition shows the function and not the network (virDomainActualNetDefContentsFormat)."""
    named = (
        f"<interface type='network'><mac address='{MAC}'/><source network='vfs'/>"
        "<teaming type='transient' persistent='ua-standby'/></interface>"
    )
    standby = STANDBY.replace("type='direct'", "type='network'", 1)
    live, definition = _domain(standby, vf("0000:01:10.0")), _domain(standby, named)
    (found,) = nics_of(live, definition, lambda name: name == "vfs")
    assert found.network == "vfs" and found.address is None
    text = attach_xml(found, None)
    assert 'network="vfs"' in text and 'bus="0x02"' in text and "hostdev" not in text


def test_the_standby_of_a_bond_is_no_function_of_a_network() -> None:
    """It has the same MAC address, no <teaming>, and its network gives out no functions."""
    plain = without_team(STANDBY)
    named = plain.replace("type='direct'", "type='network'", 1).replace("dev='eth1' mode='bridge'", "network='lan'")
    alone = without_team(vf("0000:01:10.0"))
    (found,) = nics_of(_domain(plain, alone), _domain(named, alone))
    assert found.network is None and found.address == "0000:01:10.0"


def test_two_with_one_mac_address_are_told_apart_by_alias_or_place() -> None:
    first, second = vf("0000:01:10.0"), twin("0000:01:10.2")
    for aliases in (("ua-vf", "ua-twin"), ("hostdev0", "hostdev1")):
        texts = [first.replace("ua-vf", aliases[0]), second.replace("ua-twin", aliases[1])]
        one, other = nics_of(_domain(*texts), None)
        assert one.twin and other.twin and one.key != other.key and one.called != other.called
        assert find(_domain(texts[1]), one) is None and find(_domain(texts[1]), other) is not None
        changed = placed(_domain(*texts), other, "0000:01:10.6")
        assert changed is not None
        device = find(changed, other)
        assert device is not None and nics.host_address(device) == "0000:01:10.6"


def test_one_of_two_is_told_apart_also_while_the_other_is_off() -> None:
    first, second = vf("0000:01:10.0"), twin("0000:01:10.2")
    (found,) = nics_of(_domain(second), _domain(first, second))
    assert found.twin and find(_domain(first), found) is None
    missing = nics.defined_nics(_domain(first, second), _domain(second), lambda _name: False)
    assert [find(_domain(second), nic) is None for nic in missing] == [True, False]


def test_the_same_nic_at_another_place() -> None:
    definition = _domain(STANDBY, vf("0000:01:10.0"))
    (found,) = nics_of(definition, None)
    text = attach_xml(found, "0000:02:10.3")
    assert place(text) == "0000:02:10.3"
    assert nics.address_text(parse_xml(text).find("address")) == "0000:02:00.0", "its place in the guest stays"
    changed = placed(definition, found, "0000:02:10.3")
    assert changed is not None
    device = find(changed, found)
    assert device is not None and nics.host_address(device) == "0000:02:10.3"
    assert placed(definition, found, "0000:01:10.0") is None, "nothing is to be changed"


def test_the_other_nic_of_a_bond_is_the_standby() -> None:
    plain, alone = without_team(STANDBY), without_team(vf("0000:01:10.0"))
    live = _domain(plain, alone)
    (found,) = nics_of(live, None)
    assert found.standby is None
    links = {"bond0": MAC, "eth0": MAC, "eth1": MAC}
    assert with_bond(found, live, links).standby == "macvtap0"
    assert with_bond(found, live, {"eth1": MAC}).standby is None
    two = _domain(plain, plain.replace("macvtap0", "macvtap1"), alone)
    assert with_bond(found, two, links).standby == "", "there is one, and which of them is not known"


OTHER = "52:54:00:aa:00:02"
BONDS: dict[str, tuple[list[str], list[str | None], list[str], bool]] = {
    "a function and a NIC": (["bond0", "eth0", "eth1"], [MAC], [MAC], True),
    "the function is off": (["bond0", "eth0"], [], [MAC], True),
    "a NIC that was given the bond's address": (["bond0", "eth0", "eth1"], [MAC], [OTHER], True),
    "two functions": (["bond0", "eth0", "eth1"], [MAC, MAC], [OTHER], False),
    "the other was given the bond's address": (["bond0", "eth0", "eth1"], [MAC, OTHER], [MAC], False),
    "one that does not tell its address": (["bond0", "eth0", "eth1"], [MAC, None], [MAC], False),
    "two functions and a NIC": (["bond0", "eth0", "eth1", "eth2"], [MAC, MAC], [MAC], True),
    "no other NIC": (["bond0", "eth0", "eth1"], [MAC], [], False),
    "a VLAN on the bond": (["bond0", "bond0.42", "eth0"], [MAC], [MAC], False),
    "no bond": (["eth0", "eth1"], [MAC], [MAC], False),
}


@pytest.mark.parametrize(("names", "functions", "others", "expected"), BONDS.values(), ids=BONDS)
def test_what_a_bond_is(names: list[str], functions: list[str | None], others: list[str], expected: bool) -> None:
    assert nics.bonded(dict.fromkeys(names, MAC), MAC, functions, others) is expected


def test_a_nic_that_shows_its_own_address_is_in_no_bond() -> None:
    links = {**dict.fromkeys(("bond0", "eth0", "eth1"), MAC), "eth2": OTHER}
    assert not nics.bonded(links, MAC, [MAC], [OTHER])


def test_memory_that_is_allocated_at_once() -> None:
    once = allocated_at_once(_domain(STANDBY))
    assert '<allocation mode="immediate" />' in once and allocated_at_once(once) == once
    kept = allocated_at_once(XML.replace("<vcpu>", "<memoryBacking><hugepages/></memoryBacking><vcpu>"))
    assert "<hugepages />" in kept and kept.count("memoryBacking>") == 2


def test_a_plain_hostdev_is_known_by_its_place_in_the_guest() -> None:
    plain = (
        "<hostdev mode='subsystem' type='pci' managed='no'><source><address domain='0' bus='0x01' slot='0x10' "
        "function='0x0'/></source><alias name='hostdev0'/><address type='pci' domain='0x0000' bus='0x05' slot='0x00' "
        "function='0x0'/></hostdev>"
    )
    (found,) = nics_of(_domain(plain), None)
    assert found.mac is None and not found.managed and "hostdev0" not in found.xml
    assert find(_domain(plain.replace("hostdev0", "hostdev1")), found) is not None
    assert find(_domain(plain.replace("bus='0x05'", "bus='0x06'")), found) is None
