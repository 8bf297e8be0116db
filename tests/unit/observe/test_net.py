# SPDX-License-Identifier: GPL-3.0-or-later

"""Network devices, addresses, sockets, libvirt's networks and filters, from texts as they were seen."""

from __future__ import annotations

import pathlib
import socket
import struct
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers_net,
    host_net,
    netdevs,
    virtual_networks,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.area import Host
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.xml import parse
from tests.unit import standin_libvirt

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:170C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21
   1: 016433C6:0016 026433C6:D2C0 01 00000000:00000000 00:00000000 00000000     0        0 22
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0 0 0 0
   1: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 0 0 0 0
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  312: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 23 2 0 0
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000b47d20fffe3fef94 02 40 20 80      br0
"""
NETWORK = """
<network><name>lan</name><uuid>5a732466-5ed4-5747-b616-064ffacb230e</uuid>
<forward dev='eth1' mode='nat'><interface dev='eth2'/></forward><bridge name='virbr7' stp='on' delay='0'/>
<mtu size='9000'/><bandwidth><inbound average='1000' peak='2000' burst='100'/></bandwidth>
<ip address='198.51.100.129' netmask='255.255.255.240'><dhcp>
<host mac='52:54:00:4C:4D:FA' name='web1' ip='198.51.100.131'/><host id='0:1' ip='198.51.100.132'/></dhcp></ip>
<portgroup name='staff' default='yes'><vlan trunk='yes'><tag id='42'/><tag id='7'/></vlan>
<virtualport type='openvswitch'/></portgroup></network>
"""


def test_only_what_listens_is_bound_of_tcp() -> None:
    assert list(netdevs.bound("tcp", TCP)) == ["tcp 127.0.0.1 5900"]
    assert list(netdevs.bound("tcp", TCP6)) == ["tcp :: 22", "tcp ::1 631"]
    assert list(netdevs.bound("udp", UDP)) == ["udp 0.0.0.0 67"]


def test_addresses_of_both_families() -> None:
    entries = [(b"lo", 2, 0, bytes((127, 0, 0, 1))), (b"br0:1", 2, 0, bytes((198, 51, 100, 1)))]
    assert netdevs.ipv4(b"".join(struct.pack("16sHH4s16x", *entry) for entry in entries)) == [
        "127.0.0.1",
        "198.51.100.1",
    ]
    assert netdevs.ipv6(IF_INET6) == ["::1", "fe80::b47d:20ff:fe3f:ef94"]
    assert "127.0.0.1" in netdevs.addresses()


def _device(root: pathlib.Path, name: str, flags: str = "0x1003", carrier: str = "1", **entries: str) -> pathlib.Path:
    folder = root / name
    folder.mkdir(parents=True)
    texts = {"flags": flags, "address": "fe:54:00:4c:4d:0b", "mtu": "1500", "carrier": carrier, "uevent": "", **entries}
    for entry, text in texts.items():
        (folder / entry).write_text(f"{text}\n")
    return folder


def test_devices_and_what_they_are(tmp_path: pathlib.Path) -> None:
    bridge = _device(tmp_path, "br0")
    (bridge / "bridge").mkdir()
    (bridge / "lower_vnet0").mkdir()
    (_device(tmp_path, "vnet0", tun_flags="0x5002") / "master").symlink_to("../br0")
    _device(tmp_path, "tun0", tun_flags="0x1001")
    macvtap = _device(tmp_path, "macvtap0")
    (macvtap / "macvtap").mkdir()
    (macvtap / "lower_eth1").mkdir()
    _device(tmp_path, "eth0.7", flags="0x1002", uevent="DEVTYPE=vlan\nINTERFACE=eth0.7")
    (_device(tmp_path, "eth1", carrier="0") / "device").mkdir()
    (tmp_path / "bonding_masters").write_text("bond0\n")
    found = netdevs.links(str(tmp_path))
    kinds = {name: link["kind"] for name, link in found.items()}
    assert kinds == {
        "br0": "bridge",
        "eth0.7": "vlan",
        "eth1": "physical",
        "macvtap0": "macvtap",
        "tun0": "tun",
        "vnet0": "tap",
    }
    assert found["vnet0"]["master"] == "br0" and found["br0"]["master"] is None
    assert found["macvtap0"]["lower"] == ["eth1"] and found["br0"]["lower"] == []
    assert (found["eth0.7"]["up"], found["eth0.7"]["carrier"]) == (False, None)
    assert (found["eth1"]["up"], found["eth1"]["carrier"]) == (True, False)


def test_a_bridge_without_vlans_in_its_kernel_says_so(tmp_path: pathlib.Path) -> None:
    for name, entries in (("br0", {}), ("br1", {"vlan_filtering": "1"})):
        folder = _device(tmp_path, name) / "bridge"
        folder.mkdir()
        for entry, text in {"stp_state": "1", "forward_delay": "1500", **entries}.items():
            (folder / entry).write_text(f"{text}\n")
    assert netdevs.bridges(str(tmp_path)) == {
        "br0": {"stp": True, "forward_delay_s": 15.0, "vlan_filtering": None},
        "br1": {"stp": True, "forward_delay_s": 15.0, "vlan_filtering": True},
    }


def _ovs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = tmp_path / "ovs-vsctl"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_open_vswitch(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ovs(tmp_path, monkeypatch, "printf 'ovs1\\novs0\\n'")
    assert netdevs.openvswitch() == {"installed": True, "bridges": ["ovs0", "ovs1"]}
    _ovs(tmp_path, monkeypatch, "echo 'ovs-vsctl: unix:/run/openvswitch/db.sock: no such file' >&2; exit 1")
    with pytest.raises(OSError, match="db.sock: no such file"):
        netdevs.openvswitch()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert netdevs.openvswitch() == {"installed": False, "bridges": []}


def test_a_network() -> None:
    assert virtual_networks.network(parse(NETWORK)) == {
        "forward": "nat",
        "devs": ["eth1", "eth2"],
        "bridge": "virbr7",
        "mtu": 9000,
        "inbound_kib": 1000,
        "addresses": ["198.51.100.129"],
        "functions": None,
        "reservations": {"52:54:00:4c:4d:fa": "198.51.100.131"},
        "portgroups": {"staff": {"vlans": [7, 42], "virtualport": "openvswitch"}},
        "vlans": [],
        "virtualport": None,
    }
    assert virtual_networks.network(parse("<network><name>x</name></network>"))["forward"] == "isolated"
    address = "<address type='pci' domain='0' bus='1' slot='16' function='{}'/>"
    functions = f"<forward mode='hostdev'>{address.format(0)}{address.format(2)}</forward>"
    pool = virtual_networks.network(parse(f"<network connections='1'><name>vf</name>{functions}</network>"))
    assert pool["functions"] == {"total": 2, "used": 1, "addresses": ["0000:01:10.0", "0000:01:10.2"]}


def test_what_a_network_has_promised() -> None:
    ports = [
        mock.Mock(XMLDesc=mock.Mock(return_value=f"<networkport><bandwidth>{inner}</bandwidth></networkport>"))
        for inner in ("<inbound average='300' floor='200'/>", "<inbound average='300'/>", "<inbound floor='50'/>")
    ]
    network = mock.Mock(XMLDesc=mock.Mock(return_value=NETWORK), listAllPorts=mock.Mock(return_value=ports))
    network.name.return_value = "lan"
    connection = mock.Mock(listAllNetworks=mock.Mock(return_value=[network]))
    assert virtual_networks.networks(Host(connection))["lan"]["floor_used_kib"] == 250


_BODY = "<rule action='accept' direction='inout'/>"


def _filters(monkeypatch: pytest.MonkeyPatch, used: str | None, **texts: str) -> Host:
    monkeypatch.setattr(libvirt, "libvirtError", standin_libvirt.libvirtError)
    monkeypatch.setattr(libvirt, "VIR_ERR_NO_NWFILTER", 61, raising=False)

    def lookup(name: str) -> t.Any:
        if name not in texts:
            raise standin_libvirt.libvirtError("no nwfilter", 61)
        return mock.Mock(XMLDesc=mock.Mock(return_value=texts[name]))

    known = [mock.Mock(**{"name.return_value": name}) for name in texts]
    bindings = [mock.Mock(**{"filterName.return_value": used})] if used else []
    connection = mock.Mock(
        nwfilterLookupByName=lookup,
        listAllNWFilters=mock.Mock(return_value=known),
        listAllNWFilterBindings=mock.Mock(return_value=bindings),
    )
    return Host(connection)


def _text(name: str, inner: str, uuid: str = "1") -> str:
    return f"<filter name='{name}'>\n  <uuid>{uuid}</uuid>\n  {inner}\n</filter>"


def test_filters_are_told_apart_by_all_that_they_include(monkeypatch: pytest.MonkeyPatch) -> None:
    include = "<filterref filter='below'/>"
    here = _filters(monkeypatch, "top", top=_text("top", include), below=_text("below", _BODY))
    there = _filters(monkeypatch, None, top=_text("top", include, "2"), below=_text("below", _BODY, "3"))
    other = _filters(monkeypatch, None, top=_text("top", include), below=_text("below", ""))
    digests = virtual_networks.filters(here)
    assert digests["below"] is None and digests["top"]
    question: t.Any = {"key": "k", "ask": "nwfilter", "value": "top"}
    assert answers_net.nwfilter(there, question) == {"digest": digests["top"]}
    assert answers_net.nwfilter(other, question) != {"digest": digests["top"]}
    assert answers_net.nwfilter(_filters(monkeypatch, None), question) == {"digest": None}


def test_a_filter_that_includes_a_missing_one_cannot_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = _filters(monkeypatch, None, top=_text("top", "<filterref filter='gone'/>"))
    with pytest.raises(standin_libvirt.libvirtError):
        virtual_networks.filter_digest(broken, "top")


def test_vsock_addresses_of_running_guests() -> None:
    guest = mock.Mock(
        XMLDesc=mock.Mock(
            return_value="<domain><devices><vsock><cid auto='no' address='42'/></vsock></devices></domain>"
        )
    )
    guest.name.return_value = "web1"
    host = Host(mock.Mock(listAllDomains=mock.Mock(return_value=[guest])))
    assert answers_net.vsock_cids(host, {"key": "vsock_cids", "ask": "vsock_cids"}) == {"cids": {"42": "web1"}}


def test_no_password_of_a_console_is_kept(tmp_path: pathlib.Path) -> None:
    host = Host(mock.Mock())
    (tmp_path / "server-cert.pem").write_text("x")
    conf = {"vnc_password": "hunter2", "vnc_tls": 1, "vnc_tls_x509_cert_dir": str(tmp_path), "spice_tls": 1}
    conf["spice_tls_x509_cert_dir"] = str(tmp_path / "none")
    with mock.patch.object(Host, "qemu_conf", return_value=conf):
        found = host_net.console_settings(host)
    assert found["vnc_password"] is True and "hunter2" not in str(found)
    assert found["vnc_certificate"] is True and found["spice_certificate"] is False


def test_who_listens_at_a_unix_socket(tmp_path: pathlib.Path) -> None:
    live, stale = str(tmp_path / "live"), str(tmp_path / "stale")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as bound:
        listening.bind(live)
        listening.listen()
        bound.bind(stale)
        found = [
            answers_net.listener(t.cast(t.Any, None), {"key": "k", "ask": "listener", "path": path})
            for path in (live, stale, str(tmp_path / "none"))
        ]
    assert found == [{"listens": True}, {"listens": False}, {"listens": False}]
