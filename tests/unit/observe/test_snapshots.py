# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of domains and hosts over a stand-in of libvirt: what is gone, what is not known, what is counted."""

from __future__ import annotations

import pathlib
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts, LivemigError, UnknownFact
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import answers, api, files, host
from tests.unit import standin_libvirt

UUID = "11111111-1111-4111-8111-111111111111"
XML = """
<domain type='kvm'><os><type arch='x86_64' machine='q35'>hvm</type></os><memory>1024</memory><vcpu>1</vcpu>
<devices><emulator>/usr/bin/qemu</emulator>
<disk type='file'><driver type='qcow2'/><source file='{top}'/><target dev='vda'/>{chain}</disk>
</devices></domain>
"""
CHAIN = "<backingStore type='file'><format type='raw'/><source file='{base}'/><backingStore/></backingStore>"


def domain(name: str, xml: str = XML.format(top="/none", chain="<backingStore/>")) -> t.Any:
    made = mock.Mock()
    made.name.return_value, made.UUIDString.return_value = name, UUID
    made.state.return_value, made.XMLDesc.return_value = [1, 1], xml
    made.jobInfo.return_value, made.snapshotNum.return_value, made.listAllCheckpoints.return_value = [0], 0, []
    made.metadata.return_value = None
    made.controlInfo.return_value, made.messages.return_value = [0, 0, 0], []
    made.blockJobInfo.return_value = {}
    made.connect.return_value.domainListGetStats.return_value = []
    return made


def vanished(name: str, call: str) -> t.Any:
    made = domain(name)
    getattr(made, call).side_effect = standin_libvirt.libvirtError(
        "gone", standin_libvirt.CONSTANTS["VIR_ERR_NO_DOMAIN"]
    )
    return made


@pytest.fixture(autouse=True)
def no_conf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "declared", files.Declared)


@pytest.fixture(autouse=True)
def gone_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's error, with or without the real module."""
    monkeypatch.setattr(libvirt, "libvirtError", standin_libvirt.libvirtError)


def _connection(*domains: t.Any) -> t.Any:
    return mock.Mock(listAllDomains=mock.Mock(return_value=list(domains)), getAllDomainStats=mock.Mock(return_value=[]))


@pytest.mark.parametrize("call", ["state", "XMLDesc"])
def test_a_domain_that_vanishes_is_left_out(call: str) -> None:
    connection = _connection(domain("b"), vanished("a", call))
    assert [entry["name"] for entry in api.domain_snapshots(connection, "hv1")] == ["b"]


def test_a_domain_that_vanishes_is_an_error_where_it_was_named() -> None:
    with pytest.raises(LivemigError, match="Domain on host hv1: a; expected one of b"):
        api.domain_snapshots(_connection(domain("b"), vanished("a", "XMLDesc")), "hv1", ["a"])


@pytest.mark.parametrize(("call", "fact"), [("XMLDesc", "disks"), ("state", "state")])
def test_other_errors_spoil_one_domain_only(call: str, fact: str) -> None:
    broken = domain("a")
    getattr(broken, call).side_effect = standin_libvirt.libvirtError("internal error")
    spoilt, whole = api.domain_snapshots(_connection(broken, domain("b")), "hv1")
    assert {"fact": fact, "reason": "internal error"} in spoilt["unknown"] and fact not in spoilt
    assert fact in whole


def test_a_host_does_not_know_domains_that_vanished() -> None:
    known = host.known_domains(_connection(domain("b"), vanished("a", "isActive")))
    assert [entry["name"] for entry in known] == ["b"]


def test_every_layer_has_its_identity(tmp_path: pathlib.Path) -> None:
    top, base = tmp_path / "top", tmp_path / "base"
    base.write_bytes(b"123")
    xml = XML.format(top=top, chain=CHAIN.format(base=base))
    disk = api.domain_snapshot(domain("a", xml), "hv1")["disks"][0]
    assert disk["identity"] == {"path": str(top), "exists": False}
    assert disk["backing"][0]["identity"]["inode"] == base.stat().st_ino


def test_a_chain_that_is_not_known_says_so() -> None:
    snapshot = t.cast("dict[str, t.Any]", api.domain_snapshot(domain("a", XML.format(top="/none", chain="")), "hv1"))
    with pytest.raises(UnknownFact, match="no complete <backingStore>"):
        Facts("domain a", snapshot).items("disks", "target")[0].get("backing")


def test_a_layer_that_may_not_be_looked_at_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.stat", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    xml = XML.format(top="/none/top", chain=CHAIN.format(base="/none/base"))
    snapshot = t.cast("dict[str, t.Any]", api.domain_snapshot(domain("a", xml), "hv1"))
    layer = Facts("domain a", snapshot).items("disks", "target")[0].items("backing", "layer")[0]
    with pytest.raises(UnknownFact, match="Permission denied"):
        layer.get("identity")


def test_an_answer_about_a_path_says_what_it_does_not_know(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "declared", lambda: files.Declared(unreadable="Permission denied"))
    question: t.Any = {"key": "path:x", "ask": "path", "path": str(tmp_path)}
    answer = answers.answers(None, mock.Mock(), [question])["path:x"]
    assert answer["exists"] and "declared_shared" not in answer
    assert answer["unknown"] == [{"fact": "declared_shared", "reason": "Permission denied"}]


def _stats(**kib: int) -> t.Any:
    made = mock.MagicMock(getMemoryStats=mock.Mock(return_value=kib), getCapabilities=mock.Mock(return_value="<x/>"))
    made.listAllNetworks.return_value = made.listAllDomains.return_value = made.listAllSecrets.return_value = []
    return made


def test_a_host_counts_what_the_kernel_calls_available(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 900 MiB page cache 700 are tmpfs, which no guest can have."""
    monkeypatch.setattr(files, "read", lambda _path: "MemTotal: 2048000 kB\nMemAvailable:  307200 kB\n")
    stats = _stats(total=2048000, free=102400, buffers=0, cached=921600)
    assert host.memory_here(stats) == {"total_mib": 2000, "available_mib": 300}
    assert host.memory(stats) == {"total_mib": 2000, "available_mib": 1000}
    here = Facts("hv1", t.cast("dict[str, t.Any]", host.host_snapshot(stats, "hv1")))
    there = Facts("hv1", t.cast("dict[str, t.Any]", host.remote_snapshot(stats, "hv1")))
    assert (here.get("memory.available_mib"), there.get("memory.available_mib")) == (300, 1000)
