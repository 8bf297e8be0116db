# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import socket
import time
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts, UnknownFact
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers,
    area,
    boot_files,
    child,
    definition,
    files,
    host_storage,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.collector import Collector

MOUNTINFO = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 21 0:33 / /srv rw - nfs4 store:/export rw,vers=4.2
41 40 0:34 /pool/vm /srv/with\\040space rw - fuse.glusterfs store:vol0 rw
42 21 254:0 /data /bind rw - ext4 /dev/vda1 rw
"""


def test_the_longest_mount_point_holds_the_path() -> None:
    mounts = files.parse_mountinfo(MOUNTINFO)
    assert files.mount_of("/srv/a", mounts) == ("/srv", "/", "nfs4", "store:/export")
    assert files.mount_of("/srvx/a", mounts) == ("/", "/", "ext4", "/dev/vda1")
    assert files.mount_of("/srv/with space/a", mounts) == (
        "/srv/with space",
        "/pool/vm",
        "fuse.glusterfs",
        "store:vol0",
    )


def test_a_later_mount_on_the_same_point_hides_the_earlier() -> None:
    mounts = files.parse_mountinfo(MOUNTINFO + "50 40 0:50 / /srv rw - tmpfs tmpfs rw\n")
    found = files.mount_of("/srv/a", mounts)
    assert found is not None
    assert found[2] == "tmpfs"


def test_conf_reads_what_libvirt_reads() -> None:
    conf = files.parse_conf(
        '# migration_port_min = 1\nmigration_port_min = 50000\nuser = "root"\n'
        'shared_filesystems = [\n  "/srv/a",\n  "/b"\n]\n'
        "namespaces = []\nuser = 'x'\n"
    )
    assert conf["migration_port_min"] == 50000
    assert conf["shared_filesystems"] == ["/srv/a", "/b"]
    assert conf["namespaces"] == []


def test_conf_ignores_comments_inside_a_list() -> None:
    assert files.parse_conf('shared_filesystems = [\n#  "/old",\n  "/new" ]\n')["shared_filesystems"] == ["/new"]


def test_identity_of_a_missing_and_of_a_present_file(tmp_path: pathlib.Path) -> None:
    image = tmp_path / "disk.img"
    assert files.path_identity(str(image), files.Declared()) == {"path": str(image), "exists": False}
    image.write_bytes(b"12345")
    link = tmp_path / "link"
    link.symlink_to(image)
    identity = files.path_identity(str(link), files.Declared([str(tmp_path)]))
    assert (identity["kind"], identity["size"], identity["declared_shared"]) == ("file", 5, True)
    assert identity["inode"] == image.stat().st_ino
    assert not files.path_identity(str(image), files.Declared([str(tmp_path) + "x"]))["declared_shared"]


def test_a_conf_that_may_not_be_read_is_not_one_that_declares_nothing(tmp_path: pathlib.Path) -> None:
    image = tmp_path / "disk.img"
    image.touch()
    # A folder fails for root as well, who may read every file.
    unreadable = files.declared(str(tmp_path))
    identity = Facts("disk", files.path_identity(str(image), unreadable))
    assert identity.get("exists")
    with pytest.raises(UnknownFact, match="could not be read: .*Is a directory"):
        identity.get("declared_shared")
    assert files.declared(str(tmp_path / "no.conf")) == files.Declared()


def test_listening_ports_only() -> None:
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 00000000:C000 00000000:0000 0A 0\n"
        "   1: 0100007F:C001 0100007F:9999 01 0\n"
    )
    assert files.listening_ports(table) == {49152}


def test_a_fact_that_cannot_be_read_is_unknown_with_its_reason() -> None:
    collector = Collector()

    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/etc/libvirt/qemu.conf")

    collector.add("tls", refuse)
    collector.add("kernel", lambda: "6.12")
    facts = Facts("host hv1", {**collector.facts, "unknown": collector.unknown})
    assert facts.get("kernel") == "6.12"
    with pytest.raises(UnknownFact, match=r"tls\.server of host hv1 .*Permission denied"):
        facts.get("tls.server")
    with pytest.raises(UnknownFact, match="was not observed"):
        facts.get("memory.available_mib")


def test_a_fault_of_ours_is_said_to_be_one_and_stops_nothing_else() -> None:
    def fault() -> None:
        raise AttributeError("typo")

    collector = Collector()
    collector.add("x", fault)
    collector.add("y", lambda: 1)
    assert collector.facts == {"y": 1}
    assert collector.unknown == [{"fact": "x", "reason": "AttributeError: typo"}]


MOUNTS = """\
21 1 254:0 / / rw - ext4 /dev/vda1 rw
40 21 0:33 / /dead rw - nfs4 store:/export rw,vers=4.2
41 40 0:34 / /dead/here rw - tmpfs tmpfs rw
42 21 0:35 / /cluster rw - gfs2 /dev/vdb rw
43 21 0:36 / /net rw - autofs auto.net rw
"""
LINKS = {
    "/images": "/dead/images",
    "/a": "b",
    "/b": "srv/../images",
    "/loop": "/loop",
    "/var/deep": "../../dead/x",
    "/to-here": "/dead/here",
}
WAITS = [
    ("/dead/a.img", "/dead"),
    ("/dead", "/dead"),
    ("/deadly/a.img", None),
    ("/images/a.img", "/dead"),
    ("/a/a.img", "/dead"),
    ("/var/deep/a.img", "/dead"),
    ("/srv/../dead/a.img", "/dead"),
    ("/dead/../srv/a.img", "/dead"),
    ("/cluster/a.img", "/cluster"),
    ("/net/store/a.img", "/net"),
    ("/loop/a.img", None),
    ("/srv/a.img", None),
]


@pytest.mark.parametrize(("path", "point"), WAITS)
def test_the_mount_that_a_look_waits_for_is_found_without_touching_it(path: str, point: str | None) -> None:
    def readlink(place: str) -> str:
        assert not place.startswith(("/dead/", "/cluster/", "/net/")) and place not in ("/dead", "/cluster", "/net")
        if place not in LINKS:
            raise OSError(22, "Invalid argument")
        return LINKS[place]

    assert files.waits_for(path, MOUNTS, readlink) == point


DEAD = "40 1 0:33 / {} rw - nfs4 store:/export rw,vers=4.2\n"


@pytest.fixture
def dead(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A file behind a link, on a mount that does not answer: a look from this process fails the test."""
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "image").touch()
    (tmp_path / "link").symlink_to(mount)
    this = os.getpid()
    real_stat, real_statvfs, real_open = os.stat, os.statvfs, os.open

    def hanging(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def look(path: t.Any, *words: t.Any, **named: t.Any) -> t.Any:
            if isinstance(path, str) and os.path.abspath(path).startswith((str(mount), str(tmp_path / "link"))):
                assert os.getpid() != this, f"{path} was looked at without a child"
                time.sleep(60)
            return real(path, *words, **named)

        return look

    table = files.read("/proc/self/mountinfo") + DEAD.format(mount)
    read = files.read
    monkeypatch.setattr(files, "read", lambda path: table if path == "/proc/self/mountinfo" else read(path))
    monkeypatch.setattr(files, "_SILENT", {})
    monkeypatch.setattr(child, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(child.bounded, "__defaults__", (None, 0.3))
    monkeypatch.setattr(os, "stat", hanging(real_stat))
    monkeypatch.setattr(os, "statvfs", hanging(real_statvfs))
    monkeypatch.setattr(os, "open", hanging(real_open))
    return tmp_path / "link" / "image"


def _asked(ask: str, path: pathlib.Path) -> t.Any:
    host = area.Host(mock.Mock())
    return answers.ASKS[ask](host, t.cast(t.Any, {"key": "x", "ask": ask, "path": str(path), "value": "+0:+0"}))


@pytest.mark.parametrize("ask", ["path", "open", "image", "space"])
def test_no_question_about_a_dead_mount_hangs(ask: str, dead: pathlib.Path) -> None:
    for expected in ("no answer within", "mount does not answer"):
        with pytest.raises(TimeoutError, match=expected):
            _asked(ask, dead)


def test_a_dead_mount_is_known_to_all_questions(dead: pathlib.Path) -> None:
    with pytest.raises(TimeoutError):
        _asked("path", dead)
    for ask in ("open", "image", "space"):
        with pytest.raises(TimeoutError, match="mount does not answer"):
            _asked(ask, dead)


def test_a_boot_file_on_a_dead_mount_is_unknown(dead: pathlib.Path) -> None:
    collector = Collector()
    boot = dict.fromkeys(definition.SETTINGS["os"].columns)
    collector.facts.update(settings={"os": {**boot, "kernel": str(dead)}}, lists={"roms": [], "fwcfg_entries": []})
    boot_files.add(collector)
    assert [(entry["fact"], "no answer within" in entry["reason"]) for entry in collector.unknown] == [
        (f"boot_files.{dead}.size", True)
    ]


def test_every_question_has_one_that_answers_it() -> None:
    names = [name for table in answers.TABLES for name in table]
    assert len(names) == len(set(names)) == len(answers.ASKS)


def test_a_server_that_refuses_is_not_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert answers.ASKS["connect"](mock.Mock(), {"key": "x", "ask": "connect", "value": ["127.0.0.1", port]})["ok"]
    for ask, ok in (("connect", False), ("reach", True)):
        assert answers.ASKS[ask](mock.Mock(), {"key": "x", "ask": ask, "value": ["127.0.0.1", port]})["ok"] is ok


CEPH_CONF = """\
[global]
# fsid = 1
fsid = 0A1B2C3D-0000-4000-8000-000000000001  ; ours
mon host = 192.0.2.2, 192.0.2.1
[osd]
mon_host = 192.0.2.9
[client.libvirt]
keyring = /etc/ceph/keyring
"""
CEPH = [
    (CEPH_CONF, "0a1b2c3d-0000-4000-8000-000000000001", ["192.0.2.1", "192.0.2.2"]),
    ("mon-host=\\\n192.0.2.1\n", None, ["192.0.2.1"]),
    ("[client.a]\nmon_host = 192.0.2.3\n" + CEPH_CONF, "0a1b2c3d-0000-4000-8000-000000000001", None),
    ("[mon.a]\nhost = a\n", None, None),
]


@pytest.mark.parametrize(("text", "fsid", "mon_host"), CEPH)
def test_the_cluster_that_a_ceph_conf_names(
    text: str, fsid: str | None, mon_host: list[str] | None, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "ceph.conf").write_text(text, encoding="utf-8")
    (tmp_path / "ceph.keyring").write_text("secret", encoding="utf-8")
    found = host_storage.ceph(mock.Mock(), str(tmp_path))
    assert found == {str(tmp_path / "ceph.conf"): {"fsid": fsid, "mon_host": mon_host}}
    assert host_storage.ceph(mock.Mock(), str(tmp_path / "none")) == {}
