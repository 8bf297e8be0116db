# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of disks beyond their one case: what is copied, milder and stricter findings, who is meant."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.preflight.case import Edit, both, fact, migration, more, put
from tests.unit.preflight.cases_disk import access, block, drbd, leaf, mounted_read_only, nfs, on_block, opened, space
from tests.unit.preflight.scene import Scene


def said(check: str, *edits: Edit, domain: str = "web1") -> list[tuple[str, str, bool]]:
    scene = Scene(domain)
    both(*edits)(scene)
    return [(finding["severity"], finding["status"], finding["blocks"]) for finding in scene.of(check)]


ERROR, WARNING = ("error", "fail", True), ("warning", "fail", False)
STATIC = {"model": "dac", "type": "static", "label": "+107:+107", "relabel": "no"}


def _local(scene: Scene) -> None:
    scene.storage(declared_shared=False, fs_type="ext4", mount_source="/dev/sda1")
    scene.there["inode"] = 1


@pytest.mark.parametrize("check", ["disk_shared_fs_type", "disk_same_object"])
def test_a_disk_that_is_copied_need_not_be_the_same(check: str) -> None:
    assert said(check, _local) != []
    assert said(check, _local, migration(copy_storage="all")) == []
    assert said(check, _local, migration(copy_storage="all", copy_disks=["vda"])) == []
    assert said(check, _local, migration(copy_storage="all", copy_disks=["vdb"])) != []
    assert said(check, _local, migration(copy_storage="all"), put("disk", shareable=True)) != []


def test_an_incremental_copy_needs_the_images_below() -> None:
    def without_base(scene: Scene) -> None:
        scene.backing()["exists"] = False

    assert said("disk_path_exists_dest", without_base) == [ERROR]
    assert said("disk_path_exists_dest", without_base, migration(copy_storage="inc")) == [ERROR]
    assert said("disk_path_exists_dest", without_base, migration(copy_storage="all")) == []


@pytest.mark.parametrize(
    ("edits", "findings"),
    [
        ((access(write=False),), []),
        ((access(write=False), opened(dynamic=False)), [ERROR]),
        ((access(write=False), mounted_read_only), [ERROR]),
        ((access(write=False), mounted_read_only, put("disk", readonly=True)), []),
        ((access(folder="/srv"),), [ERROR]),
        ((access(read=False, write=False), nfs([], [])), [WARNING]),
        ((access(read=False, write=False), put("disk", readonly=True), opened(dynamic=False)), [ERROR]),
    ],
)
def test_what_qemus_user_lacks(edits: tuple[Edit, ...], findings: list[t.Any]) -> None:
    assert said("disk_access_as_qemu_user", *edits) == findings


def test_a_user_that_the_definition_fixes_is_asked_about() -> None:
    scene = Scene()
    scene.domain["lists"]["seclabels"] = [{"name": "seclabel1", **STATIC}]
    assert [finding["status"] for finding in scene.of("disk_access_as_qemu_user")] == ["unknown"]
    answers = scene.answers["hv2"]
    own = f"open:{scene.disk['path']} as +107:+107"
    answers[own] = {**answers[f"open:{scene.disk['path']}"], "access": {"user": "qemu", "folder": None, "read": False}}
    answers[own]["access"]["write"] = False
    assert "qemu, who runs QEMU on hv2, may not write" in scene.of("disk_access_as_qemu_user")[0]["message"]


@pytest.mark.parametrize(("disabled", "io", "count"), [(2, "io_uring", 1), (0, "io_uring", 0), (2, "native", 0)])
def test_io_uring_that_the_destination_forbids(disabled: int, io: str, count: int) -> None:
    edits = (fact("destination", "storage.io_uring_disabled", disabled), more("disk", io=io))
    assert said("disk_cache_direct_supported", *edits) == [ERROR] * count


def test_a_dead_device_of_the_source_is_a_warning() -> None:
    edit = put("disk", identity={"path": "/x", "exists": True, "kind": "block", "block": block(), "read_error": "gone"})
    assert said("disk_dead_path_probe", on_block(), edit) == [WARNING]


@pytest.mark.parametrize(
    ("here", "there", "findings"),
    [
        (["soft"], [], [WARNING]),
        (["nolock"], ["nolock"], [WARNING, WARNING]),
        ([], ["ro"], [ERROR]),
        ([], ["local_lock=flock"], []),
    ],
)
def test_options_of_nfs(here: list[str], there: list[str], findings: list[t.Any]) -> None:
    assert said("disk_nfs_mount_options", nfs(here, there)) == findings


def test_nfs_of_two_versions() -> None:
    edit = both(nfs([], []), lambda scene: scene.there.update(mount_options=["hard", "vers=3"]))
    assert said("disk_nfs_mount_options", edit) == [WARNING]


@pytest.mark.parametrize(
    ("edits", "findings"),
    [
        ((space(6000),), []),
        ((space(30000), lambda scene: scene.disk["identity"].update(fs_size=1 << 50)), []),
        ((space(10), put("disk", format="raw"), lambda scene: scene.disk["identity"].update(allocated=1 << 40)), []),
        ((space(10), put("disk", format="raw"), lambda scene: scene.disk["identity"].update(allocated=0)), [WARNING]),
    ],
)
def test_room_for_what_grows(edits: tuple[Edit, ...], findings: list[t.Any]) -> None:
    assert said("disk_io_pressure_space", *edits) == findings


@pytest.mark.parametrize("path", ["/dev/sdb", "/dev/vdb1", "/dev/dm-3", "/dev/nvme0n1", "/dev/mapper/mpatha"])
def test_names_in_the_order_of_discovery(path: str) -> None:
    def renamed(scene: Scene) -> None:
        scene.answers["hv2"][f"path:{path}"] = scene.there
        scene.disk["path"] = path

    assert said("disk_block_identity", on_block(), renamed) == [WARNING]


def test_a_device_that_is_read_only_there() -> None:
    assert said("disk_block_identity", on_block(there={"readonly": True})) == [ERROR]
    assert said("disk_block_identity", on_block(there={"readonly": True}), put("disk", readonly=True)) == []
    assert said("disk_block_identity", on_block(there={"sector": 4096})) == [ERROR]


@pytest.mark.parametrize(
    ("device", "local"),
    [
        ({}, False),
        ({"leaves": [leaf(transport=None)]}, False),
        ({"leaves": [leaf(transport="ata")]}, True),
        ({"leaves": [leaf(), leaf(transport="pcie")]}, True),
        ({"leaves": [leaf(kind="zvol")]}, True),
        ({"kind": "md"}, True),
    ],
)
def test_local_devices(device: dict[str, t.Any], local: bool) -> None:
    assert said("disk_zfs_zvol_local", on_block(device)) == [ERROR] * local


@pytest.mark.parametrize(("running", "findings"), [(2, []), (1, [WARNING]), (0, [ERROR])])
def test_paths_of_the_destination(running: int, findings: list[t.Any]) -> None:
    two = {"paths": {"running": 2, "total": 2}}
    assert said("disk_iscsi_fc_sessions", on_block(two, {"paths": {"running": running, "total": 2}})) == findings


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"disk": "Inconsistent"}, 1),
        ({"peers": [{"name": "hv1", "connection": "StandAlone", "role": "", "disk": ""}]}, 1),
        ({"two_primaries": False, "role": "Primary"}, 0),
        ({"two_primaries": None}, 0),
    ],
)
def test_replicas_of_the_destination(changes: dict[str, t.Any], count: int) -> None:
    here, there = ({"kind": "drbd", "drbd": state} for state in (drbd("hv1"), drbd("hv2", **changes)))
    assert said("disk_drbd_dual_primary", on_block(here, there)) == [ERROR] * count


def test_a_disk_that_may_be_missing_is_not_just_a_medium() -> None:
    edits = (put("disk", startup_policy="optional"), put("there", exists=False))
    assert said("disk_startup_policy", *edits) == [ERROR]


@pytest.mark.parametrize("form", ["raw", "qcow2", "luks", None])
def test_formats_that_move(form: str | None) -> None:
    assert said("disk_format_migratable", put("disk", format=form)) == []
