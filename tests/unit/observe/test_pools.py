# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools, daemons for folders, targets of copies, hooks and speeds, from texts and files as real hosts have them."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers_copy,
    domain,
    host_config,
    host_pools,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.area import Host
from tests.unit import standin_libvirt

# virsh pool-dumpxml of libvirt 11.3 in the lab
POOL = """<pool type='dir'><name>pl</name><uuid>3628171e-b3f1-42c3-887d-cad59492c7f4</uuid>
<source></source><target><path>/srv/shared/pool</path></target></pool>"""
RBD = "<pool type='rbd'><name>vms</name><source><name>vms</name></source></pool>"
# qemu-img create -f qcow2 x 64M, QEMU 10.0: its first bytes
QCOW2 = bytes.fromhex("514649fb00000003000000000000000000000000000000100000000004000000")
# Debian's virtiofsd 1.13.2
DAEMON = {
    "description": "virtiofsd vhost-user-fs",
    "type": "fs",
    "binary": "/usr/libexec/virtiofsd",
    "features": ["migrate-precopy", "separate-options"],
}
# virsh domstats --block of libvirt 11.3, and an empty drive
STATS = {
    "block.count": 2,
    "block.0.name": "vda",
    "block.0.allocation": 1310720,
    "block.0.capacity": 67108864,
    "block.0.physical": 1134592,
    "block.1.name": "sda",
}


@pytest.fixture(autouse=True)
def its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's error and codes, with or without the real module."""
    monkeypatch.setattr(libvirt, "libvirtError", standin_libvirt.libvirtError)


def _pool(xml: str, active: bool = True) -> t.Any:
    made = mock.Mock(XMLDesc=mock.Mock(return_value=xml), isActive=mock.Mock(return_value=int(active)))
    made.name.return_value = "pl"
    return made


def test_pools() -> None:
    connection = mock.Mock(listAllStoragePools=mock.Mock(return_value=[_pool(POOL), _pool(RBD, active=False)]))
    assert host_pools.pools(Host(connection)) == [
        {"name": "pl", "type": "dir", "active": True, "path": "/srv/shared/pool"},
        {"name": "pl", "type": "rbd", "active": False, "path": None},
    ]


def test_a_file_of_the_administrator_replaces_that_of_the_package(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_words: False)
    for folder, features in (("etc", []), ("usr", DAEMON["features"])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "50-fs.json").write_text(json.dumps({**DAEMON, "features": features}))
    (tmp_path / "usr" / "50-gpu.json").write_text(json.dumps({**DAEMON, "type": "gpu"}))
    monkeypatch.setattr(host_pools, "_VHOST_USER", (f"{tmp_path}/etc/*.json", f"{tmp_path}/usr/*.json"))
    assert host_pools.folder_daemons(mock.Mock()) == [
        {"binary": "/usr/libexec/virtiofsd", "runs": False, "features": []}
    ]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (QCOW2, {"exists": True, "format": "qcow2", "capacity": 64 * 1024**2}),
        (bytes(4096), {"exists": True, "format": "raw", "capacity": 4096}),
    ],
)
def test_the_size_that_a_guest_would_see(tmp_path: pathlib.Path, content: bytes, answer: dict[str, t.Any]) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert answers_copy.image(mock.Mock(), {"path": str(path)}) == answer


def test_no_image_and_no_folder(tmp_path: pathlib.Path) -> None:
    where = str(tmp_path / "none")
    assert answers_copy.image(mock.Mock(), {"path": where}) == {"exists": False}
    assert answers_copy.space(mock.Mock(), {"path": where}) == {"exists": False}
    assert answers_copy.space(mock.Mock(), {"path": str(tmp_path)})["free"] > 0


def _error(code: str) -> t.Any:
    return standin_libvirt.libvirtError("not found", standin_libvirt.CONSTANTS[code])


@pytest.mark.parametrize(
    ("pool", "answer"),
    [
        (mock.Mock(side_effect=_error("VIR_ERR_NO_STORAGE_POOL")), {"pool": "missing", "volume": False}),
        (
            mock.Mock(
                return_value=mock.Mock(storageVolLookupByName=mock.Mock(side_effect=_error("VIR_ERR_NO_STORAGE_VOL")))
            ),
            {"pool": "active", "volume": False},
        ),
        (
            mock.Mock(return_value=mock.Mock(isActive=mock.Mock(return_value=0))),
            {"pool": "inactive", "volume": False},
        ),
    ],
)
def test_a_volume_that_is_not_there(pool: t.Any, answer: dict[str, t.Any]) -> None:
    host = Host(mock.Mock(storagePoolLookupByName=pool))
    assert answers_copy.volume(host, {"value": ["disks", "v.qcow2"]}) == answer


def test_other_errors_of_pools_are_not_an_answer() -> None:
    host = Host(mock.Mock(storagePoolLookupByName=mock.Mock(side_effect=_error("VIR_ERR_OPERATION_FAILED"))))
    with pytest.raises(standin_libvirt.libvirtError):
        answers_copy.volume(host, {"value": ["disks", "v.qcow2"]})


def test_sizes_of_disks() -> None:
    assert domain._sizes([(mock.Mock(), STATS)]) == {"vda": (67108864, 1310720)}


def test_the_operation_is_asked_for_only_where_there_is_a_job() -> None:
    busy = mock.Mock(jobStats=mock.Mock(return_value={"type": 2, "operation": 9}))
    assert domain._operation(busy, "unbounded") == "backup"
    assert domain._operation(busy, "completed") is None
    assert busy.jobStats.call_count == 1


def test_hooks(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_config._listed(str(tmp_path / "none")) == []
    hook = tmp_path / "qemu"
    hook.write_text("#!/bin/sh\n")
    monkeypatch.setattr(host_config, "_HOOKS", str(tmp_path))
    assert [entry["executable"] for entry in host_config.hooks(mock.Mock())] == [False]
    hook.chmod(0o755)
    (tmp_path / "qemu.d").mkdir()
    (tmp_path / "qemu.d" / "10-more").touch()
    (tmp_path / "lxc").touch()
    entry, other = host_config.hooks(mock.Mock())
    assert (other["path"], other["executable"]) == (f"{tmp_path}/qemu.d/10-more", False)
    assert (entry["path"], entry["executable"], len(entry["digest"])) == (str(hook), True, 16)


@pytest.mark.parametrize(
    ("devices", "speed"),
    [
        ({"eth0": ("1000", "device"), "vnet0": ("10000", "tun_flags"), "br0": ("10000", "bridge")}, 1000),
        ({"veth0": ("10000", ""), "lo": (None, "")}, 10000),
        ({"eth0": ("-1", "device"), "lo": (None, "")}, None),
    ],
)
def test_speed(tmp_path: pathlib.Path, devices: dict[str, tuple[str | None, str]], speed: int | None) -> None:
    for name, (text, kind) in devices.items():
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / "speed").write_text(f"{text}\n")
        if kind:
            (tmp_path / name / kind).touch()
    assert host_config.nic_speed(mock.Mock(), str(tmp_path)) == speed
