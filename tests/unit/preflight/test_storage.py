# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two hosts see the same disk: a wrong "same" costs the disk, a wrong "different" costs a migration."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api, identity
from tests.unit.preflight import cases_copy
from tests.unit.preflight.case import device, migration
from tests.unit.preflight.cases_disk import block
from tests.unit.preflight.scene import Scene

NFS = {
    "exists": True,
    "kind": "file",
    "inode": 5,
    "declared_shared": False,
    "fs_type": "nfs4",
    "mount_source": "store:/images",
    "relative": "/a",
}
SMB = {**NFS, "fs_type": "cifs", "mount_source": "//store/images", "mount_options": ["rw", "serverino"]}
LOCAL = {**NFS, "fs_type": "ext4", "mount_source": "/dev/sda1"}
GLUSTER = {**NFS, "fs_type": "fuse.glusterfs", "mount_source": "localhost:/images"}
SHARED = {"declared_shared": True}

TABLE: dict[str, tuple[dict[str, t.Any], dict[str, t.Any], str]] = {
    "same export, path and inode": (NFS, {}, "same"),
    "same export, another inode": (NFS, {"inode": 6}, "different"),
    "same export, mounted elsewhere": (NFS, {"relative": "/b"}, "unknown"),
    "another server name": (NFS, {"mount_source": "store.example.com:/images"}, "unknown"),
    "nfs by localhost": ({**NFS, "mount_source": "localhost:/images"}, {}, "unknown"),
    "nfs by loopback address": ({**NFS, "mount_source": "127.0.0.1:/images"}, {}, "unknown"),
    "nfs by IPv6 loopback": ({**NFS, "mount_source": "[::1]:/images"}, {}, "unknown"),
    "nfs by localhost, another inode": ({**NFS, "mount_source": "localhost:/images"}, {"inode": 6}, "unknown"),
    "smb by loopback": ({**SMB, "mount_source": "//127.0.0.1/images"}, {}, "unknown"),
    "smb, inodes of the server": (SMB, {}, "same"),
    "smb, other inodes of the server": (SMB, {"inode": 6}, "different"),
    "smb, inodes invented there": (SMB, {"mount_options": ["noserverino", "rw"]}, "unknown"),
    "smb, other inodes, invented there": (SMB, {"inode": 6, "mount_options": ["rw"]}, "unknown"),
    "smb, inodes invented on both": ({**SMB, "fs_type": "smb3", "mount_options": ["rw"]}, {}, "unknown"),
    "smb, declared, inodes invented on both": ({**SMB, **SHARED, "mount_options": ["rw"]}, {}, "unknown"),
    "ceph without a monitor": ({**NFS, "fs_type": "ceph", "mount_source": ":/"}, {}, "unknown"),
    "gluster by localhost": (GLUSTER, {}, "same"),
    "gluster by localhost, another inode": (GLUSTER, {"inode": 6}, "different"),
    "local on both": (LOCAL, {}, "unknown"),
    "local on both, another inode": (LOCAL, {"inode": 6}, "unknown"),
    "local here, network there": (LOCAL, NFS, "unknown"),
    "network here, local there": (NFS, LOCAL, "unknown"),
    "gfs2 of a device of the same name": ({**LOCAL, "fs_type": "gfs2"}, {}, "unknown"),
    "declared on both, same inode": ({**LOCAL, **SHARED}, {}, "same"),
    "declared on both, another inode": ({**LOCAL, **SHARED}, {"inode": 6}, "unknown"),
    "declared here only": ({**LOCAL, **SHARED}, {"declared_shared": False}, "unknown"),
    "declared there only": (LOCAL, SHARED, "unknown"),
    "a folder there": (NFS, {"kind": "dir"}, "unknown"),
    "a file and a block device": (NFS, {"kind": "block"}, "unknown"),
    "deleted at the source": ({"exists": False}, NFS, "unknown"),
}


@pytest.mark.parametrize(("here", "changes", "verdict"), TABLE.values(), ids=TABLE.keys())
def test_same_and_different_need_proof(here: dict[str, t.Any], changes: dict[str, t.Any], verdict: str) -> None:
    found, why = identity.compare(Facts("here", here), Facts("there", {**here, **changes}))
    assert found == verdict and why


@pytest.mark.parametrize("size", [0, 1 << 40])
def test_size_says_nothing(size: int) -> None:
    assert identity.compare(Facts("here", NFS), Facts("there", {**NFS, "size": size}))[0] == "same"


def _network(**changes: t.Any) -> Scene:
    scene = Scene()
    del scene.disk["identity"]
    scene.disk.update(type="network", path=None, protocol="rbd", hosts=["mon1", "mon2"], cache="writeback", **changes)
    return scene


def test_a_network_disk_passes() -> None:
    assert _network().findings() == []


@pytest.mark.parametrize("server", ["localhost", "127.0.0.1", "::1", "/run/nbd.sock"])
def test_a_server_on_the_host_itself_is_not_the_same_for_both(server: str) -> None:
    scene = _network()
    scene.disk["hosts"] = [server]
    assert [(f["check"], f["status"], f["blocks"]) for f in scene.findings()] == [("disk_same_object", "unknown", True)]


@pytest.mark.parametrize("kind", ["volume", "nvme", "vhostuser", "dir"])
def test_a_disk_that_cannot_be_compared_stays(kind: str) -> None:
    scene = Scene()
    scene.disk["type"] = kind
    assert [(f["status"], f["blocks"]) for f in scene.of("disk_same_object")] == [("unknown", True)]


@pytest.mark.parametrize("kind", ["file", "block"])
def test_an_empty_drive_has_nothing_to_judge(kind: str) -> None:
    scene = Scene("media1")
    scene.medium.update(type=kind, path=None, identity=None)
    assert scene.findings() == []


def _another_medium(here: str | None, there: str | None) -> Scene:
    """The destination has a file of its own at the path of the guest's medium."""
    scene = Scene("media1")
    path = scene.medium["path"]
    scene.answers["hv2"][f"path:{path}"].update(inode=1, fs_type="ext4", declared_shared=False)
    for host, digest in (("hv1", here), ("hv2", there)):
        scene.answers[host][f"ends:{path}"] = {"digest": digest}
    return scene


def test_read_only_media_may_be_copies() -> None:
    assert _another_medium("aa", "aa").findings() == []


def test_a_medium_with_another_content_is_another_medium() -> None:
    (found,) = _another_medium("aa", "bb").of("disk_readonly_media_present")
    assert found["blocks"] and "is another medium than on hv1" in found["message"]


def test_a_folder_in_the_place_of_the_disk_is_an_error() -> None:
    scene = Scene()
    scene.there["kind"] = "dir"
    assert "is a dir on hv2" in scene.of("disk_path_exists_dest")[0]["message"]


SHARED_FS = [
    ("nfs", 9000000, False, "ok"),
    ("nfs4", 9000000, False, "ok"),
    ("fuse.glusterfs", 9000000, False, "ok"),
    ("beegfs", 9005000, False, "fail"),
    ("beegfs", 9006000, False, "ok"),
    ("fuse.sshfs", 11003000, False, "fail"),
    ("fuse.sshfs", 11003000, True, "ok"),
    ("fuse.sshfs", 10000000, True, "unknown"),
    ("fuse.sshfs", 9000000, True, "fail"),
    ("cifs", 11003000, False, "unknown"),
    ("xfs", 11003000, False, "fail"),
]


@pytest.mark.parametrize(("fs_type", "libvirt_version", "declared", "status"), SHARED_FS)
def test_what_libvirt_takes_for_shared(fs_type: str, libvirt_version: int, declared: bool, status: str) -> None:
    scene = Scene()
    scene.storage(fs_type=fs_type, declared_shared=declared)
    scene.source["libvirt_version"] = libvirt_version
    found = [finding["status"] for finding in scene.of("disk_shared_fs_type")]
    assert found == ([] if status == "ok" else [status])


CACHES = [
    ("unsafe", "nfs4", True, "error"),
    ("unsafe", "ceph", False, "error"),
    ("writeback", "nfs4", False, "warning"),
    ("writethrough", "ext4", False, "warning"),
    ("default", "nfs4", False, "warning"),
    ("default", "nfs4", True, None),
    ("default", "fuse.glusterfs", False, None),
    ("none", "nfs4", False, None),
]


@pytest.mark.parametrize(("cache", "fs_type", "shareable", "severity"), CACHES)
def test_cache_modes(cache: str, fs_type: str, shareable: bool, severity: str | None) -> None:
    scene = Scene()
    scene.storage(fs_type=fs_type)
    scene.disk.update(cache=cache, shareable=shareable)
    assert [finding["severity"] for finding in scene.of("disk_cache_mode")] == ([severity] if severity else [])


SAME = ("disk_shared_fs_type", "disk_path_exists_dest", "disk_same_object", "disk_readonly_media_present")


def _said(scene: Scene) -> list[tuple[str, str, bool]]:
    """What the checks say that are about the same object."""
    found = [finding for finding in scene.findings() if finding["check"] in SAME]
    return [(finding["check"], finding["status"], finding["blocks"]) for finding in found]


def test_an_image_below_is_asked_about_and_passes_where_it_is_proven() -> None:
    scene = Scene()
    scene.backing()
    assert scene.findings() == []
    asked = api.questions(scene.hosts, scene.domains, ["hv2"], {})["hv2"]
    paths = [question["path"] for question in asked if question["ask"] == "path"]
    assert [path for path in paths if path.startswith("/srv/shared/disks/")] == [
        "/srv/shared/disks/base.qcow2",
        "/srv/shared/disks/web1.qcow2",
    ]


@pytest.mark.parametrize(
    ("edit", "check", "status"),
    [
        ({"exists": False}, "disk_path_exists_dest", "fail"),
        ({"kind": "dir"}, "disk_path_exists_dest", "fail"),
        ({"inode": 78}, "disk_same_object", "unknown"),
        ({"declared_shared": False}, "disk_same_object", "unknown"),
    ],
)
def test_an_image_below_that_is_not_the_same_stays(edit: dict[str, t.Any], check: str, status: str) -> None:
    scene = Scene()
    scene.backing().update(edit)
    assert (check, status, True) in _said(scene)
    assert "Backing image 1 of disk vda of domain web1: " in scene.of(check)[0]["message"]


def test_an_image_below_on_another_inode_of_one_export_is_proven_to_differ() -> None:
    scene = Scene()
    there = scene.backing()
    for identity_ in (scene.disk["backing"][0]["identity"], there):
        identity_.update(fs_type="nfs4", mount_source="store:/images", declared_shared=False)
    there["inode"] = 78
    assert _said(scene) == [("disk_same_object", "fail", True)]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"type": "network", "path": None, "hosts": ["store"]}, []),
        ({"type": "network", "path": None, "hosts": ["localhost"]}, [("disk_same_object", "unknown", True)]),
        ({"type": "volume", "path": None}, [("disk_same_object", "unknown", True)]),
        ({"type": "new-kind"}, [("disk_same_object", "unknown", True)]),
    ],
)
def test_kinds_of_images_below(layer: dict[str, t.Any], said: list[t.Any]) -> None:
    scene = Scene()
    scene.backing(**layer)
    assert _said(scene) == said


def test_an_image_below_without_a_path_stays() -> None:
    scene = Scene()
    scene.backing(path=None)
    assert ("disk_same_object", "unknown", True) in _said(scene)


def test_a_chain_that_is_not_known_stays() -> None:
    scene = Scene()
    del scene.disk["backing"]
    scene.domain["unknown"].append({"fact": "disks.vda.backing", "reason": "no <backingStore>"})
    found = scene.of("disk_same_object")
    assert [(finding["status"], finding["blocks"]) for finding in found] == [("unknown", True)]
    assert "no <backingStore>" in found[0]["message"]


def test_an_image_below_that_was_not_looked_at_stays() -> None:
    scene = Scene()
    scene.backing()
    scene.domain["unknown"].append({"fact": "disks.vda.backing.1.identity", "reason": "Permission denied"})
    assert [(f["status"], "Permission denied" in f["message"]) for f in scene.of("disk_same_object")] == [
        ("unknown", True)
    ]


def test_libvirts_own_rule_is_about_the_top_image_alone() -> None:
    scene = Scene()
    there = scene.backing()
    for identity_ in (scene.disk["backing"][0]["identity"], there):
        identity_.update(declared_shared=False)
    assert _said(scene) == [("disk_same_object", "unknown", True)]


def test_a_read_only_disk_must_be_the_same() -> None:
    scene = Scene()
    scene.disk["readonly"] = True
    assert scene.findings() == []
    scene.there["inode"] = 1
    assert _said(scene) == [("disk_same_object", "unknown", True)]
    scene.there["exists"] = False
    assert _said(scene) == [("disk_path_exists_dest", "fail", True)]


def test_a_medium_of_another_size_is_another_medium() -> None:
    scene = Scene("media1")
    scene.answers["hv2"][f"path:{scene.medium['path']}"].update(inode=1, size=7)
    (found,) = scene.of("disk_readonly_media_present")
    assert found["blocks"] and "is another medium than on hv1" in found["message"]


def test_a_conf_that_was_not_readable_is_unknown_and_only_where_it_counts() -> None:
    scene = Scene()
    reason = [{"fact": "declared_shared", "reason": "Permission denied: qemu.conf"}]
    for identity_ in (scene.disk["identity"], scene.there):
        del identity_["declared_shared"]
        identity_["unknown"] = reason
    assert _said(scene) == [("disk_shared_fs_type", "unknown", False), ("disk_same_object", "unknown", True)]
    assert "Permission denied: qemu.conf" in scene.of("disk_same_object")[0]["message"]
    scene.source["libvirt_version"] = 9000000  # which does not read the setting
    assert [finding["status"] for finding in scene.of("disk_shared_fs_type")] == ["fail"]
    scene.storage(fs_type="nfs4", mount_source="store:/images", mount_options=["hard", "vers=4.2"])
    assert _said(scene) == []


@pytest.mark.parametrize(
    "server", ["", "LOCALHOST", "localhost.localdomain", "ip6-localhost", "127.1", "0.0.0.0", "::", "0:0:0:0:0:0:0:1"]
)
def test_other_names_of_the_host_itself(server: str) -> None:
    scene = _network()
    scene.disk["hosts"] = [server]
    assert _said(scene) == [("disk_same_object", "unknown", True)]


@pytest.mark.parametrize("server", ["store", "198.51.100.1", "2001:db8::1", "[2001:db8::2]", "fe80::1", "10.0.0.1"])
def test_servers_that_are_the_same_for_both(server: str) -> None:
    scene = _network()
    scene.disk["hosts"] = [server]
    assert scene.findings() == []


@pytest.mark.parametrize(
    ("copy_storage", "edit", "said"),
    [
        ("inc", {}, []),
        ("inc", {"inode": 78}, [("disk_same_object", "unknown", True)]),
        ("inc", {"exists": False}, [("disk_path_exists_dest", "fail", True)]),
        ("all", {"inode": 78}, []),
    ],
)
def test_an_incremental_copy_needs_what_is_below_the_top(
    copy_storage: str, edit: dict[str, t.Any], said: list[t.Any]
) -> None:
    scene = Scene()
    there = scene.backing()
    scene.policy["migration"] = {"copy_storage": copy_storage}
    there.update(edit)
    assert _said(scene) == said


def test_a_proven_difference_below_an_incremental_copy_stays_unknown() -> None:
    scene = Scene()
    there = scene.backing()
    scene.policy["migration"] = {"copy_storage": "inc"}
    for identity_ in (scene.disk["backing"][0]["identity"], there):
        identity_.update(fs_type="nfs4", mount_source="store:/images", declared_shared=False)
    there["inode"] = 78
    assert _said(scene) == [("disk_same_object", "unknown", True)]


@pytest.mark.parametrize(("copy_storage", "found"), [("inc", 1), ("all", 0)])
def test_what_is_below_an_incremental_copy_is_opened_there(copy_storage: str, found: int) -> None:
    scene = Scene()
    scene.backing()
    scene.policy["migration"] = {"copy_storage": copy_storage}
    opened = scene.answers["hv2"]["open:/srv/shared/disks/base.qcow2"]
    opened.update(access={"user": "qemu", "folder": "/srv", "read": False, "write": False})
    assert len(scene.of("disk_access_as_qemu_user")) == found


@pytest.mark.parametrize(("copy_storage", "found"), [("inc", 1), ("all", 0)])
def test_how_nfs_below_an_incremental_copy_is_mounted(copy_storage: str, found: int) -> None:
    scene = Scene()
    there = scene.backing()
    scene.policy["migration"] = {"copy_storage": copy_storage}
    for identity_ in (scene.disk["backing"][0]["identity"], there):
        identity_.update(fs_type="nfs4", mount_source="store:/images", mount_options=["hard", "vers=4.2"])
    there["mount_options"] = ["hard", "vers=4.2", "local_lock=all"]
    assert len(scene.of("disk_nfs_mount_options")) == found


@pytest.mark.parametrize(("copy_storage", "found"), [("inc", 1), ("all", 0)])
def test_a_device_below_an_incremental_copy_is_compared(copy_storage: str, found: int) -> None:
    scene = Scene()
    there = scene.backing(type="block")
    scene.policy["migration"] = {"copy_storage": copy_storage}
    common = {"kind": "block", "label": None, "read_error": None, "loop_file": None}
    scene.disk["backing"][0]["identity"].update(common, block=block())
    there.update(common, block=block(bytes=4096))
    assert len(scene.of("disk_block_identity")) == found


F1, F2 = "0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002"
MONITORS = ["192.0.2.1", "192.0.2.2"]
CLUSTERS: dict[str, tuple[t.Any, t.Any, list[t.Any]]] = {
    "one fsid": ((F1, None), (F1, MONITORS), []),
    "two fsids": ((F1, MONITORS), (F2, MONITORS), [("disk_same_object", "fail", True)]),
    "one list of monitors": ((None, MONITORS), (F1, MONITORS), []),
    "two lists of monitors": ((None, MONITORS), (None, MONITORS[:1]), [("disk_same_object", "unknown", True)]),
    "nothing named": ((None, None), (None, None), [("disk_same_object", "unknown", True)]),
    "no file here": (None, (F1, MONITORS), [("disk_same_object", "unknown", True)]),
    "no file there": ((F1, MONITORS), None, [("disk_same_object", "unknown", True)]),
    **{
        f"monitor {own}": ((None, [own]), (None, [own]), [("disk_same_object", "unknown", True)])
        for own in ("127.0.0.1:6789", "[v2:127.0.0.1:3300/0", "v1:[::1]:6789/0]", "::1", "localhost")
    },
    **{
        f"monitor {far}": ((None, [far]), (None, [far]), [])
        for far in ("[v2:192.0.2.1:3300/0", "v1:[2001:db8::1]:6789")
    },
}


@pytest.mark.parametrize("config", [None, "/etc/ceph/other.conf"])
@pytest.mark.parametrize(("here", "there", "said"), CLUSTERS.values(), ids=CLUSTERS.keys())
def test_an_image_without_monitors_is_the_same_in_one_cluster(
    here: t.Any, there: t.Any, said: list[t.Any], config: str | None
) -> None:
    scene = _network()
    scene.disk["hosts"] = []
    scene.disk["more"]["rbd_config"] = config
    for host, named in ((scene.source, here), (scene.destination, there)):
        conf = {config or "/etc/ceph/ceph.conf": dict(zip(("fsid", "mon_host"), named, strict=True))} if named else {}
        host["storage"]["ceph"] = conf
    assert _said(scene) == said


def test_below_an_image_without_monitors_the_file_is_not_known() -> None:
    scene = Scene()
    scene.backing(type="network", path=None, protocol="rbd", hosts=[])
    assert _said(scene) == [("disk_same_object", "unknown", True)]


@pytest.mark.parametrize(("exists", "found"), [(False, ["there is no /run/fs.sock on hv2"]), (True, [])])
def test_the_socket_of_a_virtiofs_daemon_must_be_there(exists: bool, found: list[str]) -> None:
    scene = Scene()
    device("filesystems", type="mount", driver="virtiofs", socket="/run/fs.sock", target="data")(scene)
    assert "path:/run/fs.sock" in [question["key"] for question in scene.questions()["hv2"]]
    scene.answers["hv2"]["path:/run/fs.sock"] = {"exists": exists, "kind": "other"}
    said = [finding["message"] for finding in scene.of("fs_virtiofs")]
    assert len(said) == len(found) and all(text in message for text, message in zip(found, said, strict=True))


@pytest.mark.parametrize(("takes", "blocks"), [(0, True), (50, True), (60, False)])
def test_the_room_that_a_target_has_already(takes: int, blocks: bool) -> None:
    """64 MiB are in use, 10 are free."""
    scene = Scene()
    migration(copy_storage="all")(scene)
    cases_copy._local(7)(scene)
    cases_copy._answer(cases_copy._SPACE, exists=True, free=10 * cases_copy.MIB)(scene)
    scene.disk["allocation"] = 64 * cases_copy.MIB
    scene.answers["hv2"][f"path:{scene.disk['path']}"]["allocated"] = takes * cases_copy.MIB
    assert [finding["blocks"] for finding in scene.of("nonshared_space") if finding["severity"] == "error"] == (
        [True] if blocks else []
    )
