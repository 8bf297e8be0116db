# SPDX-License-Identifier: GPL-3.0-or-later

"""The address that a host has in the migration network."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.livemig.libvirt.plugins.filter.network_addresses import FilterModule
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options import network

FIND: t.Any = FilterModule().filters()["network_addresses"]


def host(name: str, *addresses: str) -> dict[str, t.Any]:
    return {"name": name, "net": {"addresses": list(addresses)}}


HOSTS = [
    host("hv1", "192.0.2.1", "198.51.100.1", "127.0.0.1"),
    host("hv2", "2001:db8::2", "198.51.100.20", "198.51.100.3"),
]


def test_each_host_has_its_lowest_address_there() -> None:
    assert FIND(HOSTS, "198.51.100.0/24") == {"hv1": "198.51.100.1", "hv2": "198.51.100.3"}
    assert FIND(HOSTS[1:], "2001:db8::/64") == {"hv2": "2001:db8::2"}


def test_no_network_gives_no_addresses() -> None:
    assert FIND(HOSTS, "") == {}


@pytest.mark.parametrize(
    ("hosts", "wanted", "said"),
    [
        (
            HOSTS,
            "2001:db8::/64",
            "on host hv1: 2001:db8::/64; expected an address in it; the host has 127.0.0.1, 192.0.2.1",
        ),
        (HOSTS, "everywhere", "everywhere; expected a network as 198.51.100.0/24"),
        ([{"name": "hv3"}], "198.51.100.0/24", "on host hv3: 198.51.100.0/24; expected the host's addresses: "),
    ],
)
def test_what_is_missing_is_named(hosts: list[t.Any], wanted: str, said: str) -> None:
    with pytest.raises(AnsibleFilterError) as raised:
        FIND(hosts, wanted)
    assert said in str(raised.value) and "Remedy: " in str(raised.value)


def test_netaddr_is_named_where_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "netaddr", None)
    with pytest.raises(AnsibleFilterError, match="pip install netaddr"):
        FIND(HOSTS, "198.51.100.0/24")
