# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts, UnknownFact
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import files
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
