# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of daemons and of the operating system, from texts as real hosts have them."""

from __future__ import annotations

import os
import pathlib
import socket
import struct
import threading
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers_host,
    area,
    cluster,
    files,
    host_daemon,
    host_ram,
    host_system,
)
from tests.unit import standin_libvirt

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            20000                524288               files
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:C000 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 026433C6:C001 016433C6:4132 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 0 10 -1
   2: 026433C6:8001 016433C6:4132 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 0 10 -1
"""
CIB = """\
<cib><configuration>
 <crm_config><cluster_property_set id="cib-bootstrap-options">{whole}</cluster_property_set></crm_config>
 <resources>
  <primitive id="fence" class="stonith" type="fence_ipmilan"/>
  <group id="g"><meta_attributes id="gm">{group}</meta_attributes>
   <primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">
    <instance_attributes id="i"><nvpair id="c" name="config" value="/etc/libvirt/qemu/web1.xml"/></instance_attributes>
    <meta_attributes id="m">{own}</meta_attributes>
   </primitive>
  </group>
 </resources>
</configuration></cib>
"""


def test_the_soft_limit_of_open_files_is_the_one_that_holds() -> None:
    assert host_daemon.max_open_files(LIMITS) == 20000
    assert host_daemon.max_open_files(LIMITS.replace("20000", "unlimited")) is None
    with pytest.raises(ValueError, match="no limit of open files"):
        host_daemon.max_open_files("")


@pytest.mark.parametrize(
    ("text", "begin"),
    [("", 10), ("MaxStartups 3:30:100\n", 3), ("#MaxStartups 3\nmaxstartups=60\nMaxStartups 5\n", 60)],
)
def test_sshd_begins_to_drop(text: str, begin: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sshd_config").write_text(text + "Match User x\nMaxStartups 1\n")
    assert host_daemon.max_startups(host_daemon.sshd_words(str(tmp_path / "sshd_config"))) == begin


def test_sshd_includes_files_in_their_place(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.conf").write_text("MaxStartups 7\n")
    (tmp_path / "sshd_config").write_text(f"Include {tmp_path}/*.conf\nMaxStartups 9\n")
    assert host_daemon.max_startups(host_daemon.sshd_words(str(tmp_path / "sshd_config"))) == 7


def test_each_driver_answers_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_daemon, "LIBVIRT_ERRORS", (standin_libvirt.libvirtError,))
    connection = mock.Mock()
    connection.numOfNWFilters.side_effect = standin_libvirt.libvirtError("this function is not supported")
    drivers = host_daemon.FACTS["drivers"].read(area.Host(connection))
    assert {name for name, trouble in drivers.items() if trouble} == {"nwfilter"}
    assert "not supported" in drivers["nwfilter"]
    connection.isAlive.return_value = 0
    with pytest.raises(standin_libvirt.libvirtError, match="not supported"):
        host_daemon.FACTS["drivers"].read(area.Host(connection))


def test_qemu_conf_has_libvirts_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "qemu_conf", lambda: {"keepalive_interval": 9, "user": "root", "unheard": 1})
    conf = host_daemon.FACTS["qemu_conf"].read(area.Host(mock.Mock()))
    assert (conf["keepalive_interval"], conf["keepalive_count"], conf["user"], conf["group"]) == (9, 5, "root", None)
    assert "unheard" not in conf


def test_a_conf_that_may_not_be_read_is_not_taken_for_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "qemu_conf", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(OSError, match="Permission denied"):
        host_daemon.FACTS["qemu_conf"].read(area.Host(mock.Mock()))


def test_what_a_host_calls_itself() -> None:
    hosts = "127.0.0.1 localhost\n127.0.1.1\thv2.example.com hv2 # the installer\n::1 localhost\n\n"
    assert host_system.own_addresses(hosts, "hv2.example.com") == ["127.0.1.1"]
    assert host_system.own_addresses(hosts, "hv3") == []


def test_ports_that_connections_hold() -> None:
    assert host_system.held_ports(49152, 49215, TCP) == 1
    assert host_system.held_ports(32768, 49215, TCP, TCP) == 2
    assert host_system.port_ranges("8080,49152-49215\n") == [[8080, 8080], [49152, 49215]]
    assert host_system.port_ranges("\n") == []
    assert host_system.threads_in_use("0.46 0.71 0.53 2/368 517\n") == 368


def test_a_file_system_that_counts_no_inodes() -> None:
    found = host_system._space(os.statvfs_result((4096, 4096, 1000, 500, 25600, 0, 0, 0, 0, 255)))
    assert found == {"free_mib": 100, "free_inodes_percent": None, "read_only": False}
    read_only = host_system._space(os.statvfs_result((4096, 4096, 1000, 500, 25600, 0, 0, 0, os.ST_RDONLY, 255)))
    assert read_only["read_only"]


def _resources(**given: str) -> t.Any:
    pairs = {"whole": "", "group": "", "own": "", **given}
    return cluster.virtual_domains(CIB.format(**pairs), lambda path: os.path.basename(path)[:-4])


@pytest.mark.parametrize(
    ("given", "managed"),
    [
        ({}, True),
        ({"own": '<nvpair id="x" name="is-managed" value="false"/>'}, False),
        ({"group": '<nvpair id="x" name="is-managed" value="false"/>'}, False),
        ({"own": '<nvpair id="x" name="maintenance" value="true"/>'}, False),
        ({"whole": '<nvpair id="x" name="maintenance-mode" value="true"/>'}, False),
        ({"whole": '<nvpair id="x" name="maintenance-mode" value="false"/>'}, True),
    ],
)
def test_pacemaker_names_its_domains(given: dict[str, str], managed: bool) -> None:
    assert _resources(**given) == [{"resource": "vm", "domain": "web1", "managed": managed}]


TEMPLATE = """\
<cib><configuration><crm_config/><resources>
 <template id="guest" class="ocf" provider="heartbeat" type="VirtualDomain">
  <instance_attributes id="ti"><nvpair id="tc" name="config" value="/x/of-template.xml"/></instance_attributes>
  <meta_attributes id="tm"><nvpair id="tk" name="is-managed" value="false"/></meta_attributes>
 </template>
 <template id="fence" class="stonith" type="fence_ipmilan"/>
 <primitive id="plain" template="guest"/>
 <primitive id="own" template="guest">
  <instance_attributes id="i"><nvpair id="c" name="config" value="/x/web1.xml"/></instance_attributes>
  <meta_attributes id="m"><nvpair id="k" name="is-managed" value="true"/></meta_attributes>
 </primitive>
 <primitive id="other" template="fence"/>
</resources></configuration></cib>
"""


def test_pacemakers_templates_are_resolved() -> None:
    found = cluster.virtual_domains(TEMPLATE, lambda path: os.path.basename(path)[:-4])
    assert found == [
        {"resource": "plain", "domain": "of-template", "managed": False},
        {"resource": "own", "domain": "web1", "managed": True},
    ]


@pytest.fixture
def pacemaker(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """Installed, and never configured."""
    (tmp_path / "pacemaker" / "cib").mkdir(parents=True)
    monkeypatch.setattr(cluster, "_FOLDER", str(tmp_path / "pacemaker" / "cib"))
    monkeypatch.setattr(cluster, "_AUTHKEY", str(tmp_path / "authkey"), raising=False)
    monkeypatch.setattr(cluster, "_commands", lambda: iter(["systemd"]), raising=False)
    return tmp_path


def test_a_pacemaker_that_was_never_configured_has_no_guests(pacemaker: pathlib.Path) -> None:
    assert cluster.pacemaker(mock.Mock()) == []
    (pacemaker / "pacemaker" / "cib").rmdir()
    assert cluster.pacemaker(mock.Mock()) == []


@pytest.mark.parametrize("sign", ["authkey", "pacemaker/cib/cib.last"])
def test_a_node_without_the_configuration_is_not_taken_for_none(pacemaker: pathlib.Path, sign: str) -> None:
    (pacemaker / sign).write_text("1")
    with pytest.raises(OSError, match="belongs to a Pacemaker cluster"):
        cluster.pacemaker(mock.Mock())


def test_a_remote_node_is_known_by_its_daemon(pacemaker: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_commands", lambda: iter(["systemd", "pacemaker-remot"]), raising=False)
    with pytest.raises(OSError, match="pacemaker-remot runs"):
        cluster.pacemaker(mock.Mock())


@pytest.mark.parametrize("path", ["/var/lib/ganeti/ssconf_cluster_name", "/etc/nova/nova-cpu.conf", "/var/lib/nova"])
def test_managers_are_known_on_all_their_nodes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.exists", lambda asked: asked == path)
    assert host_system._managers(mock.Mock()) == ["Ganeti" if "ganeti" in path else "nova"]


def test_a_name_that_is_not_found_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", mock.Mock(side_effect=OSError("Name or service not known")))
    question: t.Any = {"key": "resolve:x", "ask": "resolve", "value": "x"}
    answer = answers_host.resolve(area.Host(mock.Mock()), question)
    assert answer == {"addresses": [], "reason": "Name or service not known"}


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_words, **_named: release.wait(30) and [])
    monkeypatch.setattr(answers_host, "_RESOLVE_S", 0.05)
    question: t.Any = {"key": "resolve:x", "ask": "resolve", "value": "x"}
    with pytest.raises(OSError, match="took longer"):
        answers_host.resolve(area.Host(mock.Mock()), question)
    release.set()


def test_a_refusal_shows_that_the_way_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        question: t.Any = {"key": "reach:x", "ask": "reach", "value": ["127.0.0.1", port]}
        assert answers_host.reach(area.Host(mock.Mock()), question)["ok"]
    assert answers_host.reach(area.Host(mock.Mock()), question) == {"ok": True, "reason": ""}


def test_a_way_that_is_closed_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", mock.Mock(side_effect=OSError(113, "No route to host")))
    question: t.Any = {"key": "reach:x", "ask": "reach", "value": ["198.51.100.9", 49215]}
    assert answers_host.reach(area.Host(mock.Mock()), question) == {"ok": False, "reason": "No route to host"}


@pytest.mark.parametrize(
    ("origin", "ok"),
    [(0, True), (1, True), (2, False)],  # SO_EE_ORIGIN_NONE, LOCAL, ICMP
)
def test_a_refusal_by_icmp_is_a_firewalls(monkeypatch: pytest.MonkeyPatch, origin: int, ok: bool) -> None:
    queued = struct.pack("=IBBBBII", 111, origin, 3, 3, 0, 0, 0) + bytes(16)
    monkeypatch.setattr("socket.socket.connect", mock.Mock(side_effect=OSError(111, "Connection refused")))
    monkeypatch.setattr("socket.socket.recvmsg", lambda *_arguments: (b"", [(0, 11, queued)], 0, None))
    question: t.Any = {"key": "reach:x", "ask": "reach", "value": ["198.51.100.9", 49215]}
    answer = answers_host.reach(area.Host(mock.Mock()), question)
    assert answer["ok"] == ok and ("a firewall rejects it" in answer["reason"]) != ok


def test_the_schema_of_libvirt_tells_its_models() -> None:
    attribute = "<attribute name='model'><choice><value>{}</value><value>{}</value></choice></attribute>"
    defines = "".join(
        f"<define name='{kind}'><element name='{kind}'>{attribute.format(*models)}</element></define>"
        for kind, models in (("watchdog", ("itco", "i6300esb")), ("disk", ("a", "b")))
    )
    text = f"<grammar xmlns='http://relaxng.org/ns/structure/1.0'>{defines}<define name='panic'/></grammar>"
    assert host_daemon.schema_models(text) == {"watchdog": ["i6300esb", "itco"]}


_UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 17021 {path}
0000000000000000: 00000003 00000000 00000000 0001 03 17022 /run/libvirt/libvirt-sock
"""


@pytest.mark.parametrize(
    ("path", "listens"),
    [
        ("/run/libvirt/virtlogd-sock", True),
        ("/var/run/libvirt/virtlogd-sock", True),
        ("/run/libvirt/virtlogd-admin-sock", False),
    ],
)
def test_who_listens_for_virtlogd(monkeypatch: pytest.MonkeyPatch, path: str, listens: bool) -> None:
    monkeypatch.setattr(host_ram, "daemon", lambda: 7)
    monkeypatch.setattr(files, "read", {"/proc/7/net/unix": _UNIX.format(path=path)}.__getitem__)
    assert host_daemon.FACTS["logd_listens"].read(area.Host(mock.Mock())) is listens
