# SPDX-License-Identifier: GPL-3.0-or-later

"""Firmware in images, sshd's limit and QEMU's modules: what goes beyond one firing and one near miss."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.questions import key_of, path_key
from tests.unit.preflight.case import more
from tests.unit.preflight.scene import Scene

CODE, VARS, TEMPLATE = "/srv/fw/CODE.qcow2", "/srv/fw/web1.qcow2", "/srv/fw/VARS.qcow2"
SIZE = 3653632


def _scene(**there: t.Any) -> Scene:
    """A guest on firmware in qcow2 files, whose sizes as files are nobody's business."""
    scene = Scene()
    boot = {"loader": CODE, "nvram": VARS, "nvram_template": TEMPLATE}
    scene.domain["settings"]["os"].update(
        boot, loader_format="qcow2", nvram_format="qcow2", nvram_template_format="qcow2"
    )
    scene.domain["boot_files"] += [{"path": CODE, "size": SIZE}, {"path": VARS, "size": SIZE}]
    for number, path in enumerate((CODE, VARS, TEMPLATE)):
        scene.answers["hv2"][path_key(path)] = {"path": path, "exists": path != VARS, "size": 1000 + number}
        answer = {"exists": True, "size": SIZE} if path != VARS else {"exists": False}
        scene.answers["hv2"][key_of("firmware_size", [path, "qcow2"])] = there.get(path, answer)
    return scene


def test_of_firmware_in_qcow2_the_virtual_sizes_are_compared() -> None:
    assert _scene().of("fw_pflash_size_equal") == []
    found = _scene(**{TEMPLATE: {"exists": True, "size": 540672}}).of("fw_pflash_size_equal")
    assert [finding["blocks"] for finding in found] == [True]
    assert f"{TEMPLATE} has 540672 bytes on hv2; expected {SIZE} bytes" in found[0]["message"]


def test_a_size_that_the_destination_cannot_tell_is_unknown() -> None:
    found = _scene(**{CODE: {"error": "it is not of format qcow2"}}).of("fw_pflash_size_equal")
    assert [finding["status"] for finding in found] == ["unknown"]


def test_only_images_are_asked_for_their_size() -> None:
    asked = [question["value"] for question in _scene().questions()["hv2"] if question["ask"] == "firmware_size"]
    assert sorted(asked) == [[CODE, "qcow2"], [TEMPLATE, "qcow2"], [VARS, "qcow2"]]
    scene = _scene()
    scene.domain["settings"]["os"].update(loader_format=None, nvram_format="raw", nvram_template_format=None)
    assert not [question for question in scene.questions()["hv2"] if question["ask"] == "firmware_size"]


@pytest.mark.parametrize(
    ("others", "startups", "warned"), [(0, 10, False), (4, 10, False), (5, 10, True), (5, 12, False)]
)
def test_sshd_takes_one_login_for_each_migration_that_starts(others: int, startups: int, warned: bool) -> None:
    scene = Scene()
    scene.policy["uris"] = {"hv2": "qemu+ssh://198.51.100.2/system"}
    scene.destination["daemon"]["ssh_startups"] = startups
    names = ["hv2", *(f"other{number}" for number in range(others))]
    scene.domains += [{**scene.domain, "host": name, "name": name} for name in names]
    assert bool(scene.of("host_client_limits")) is warned


def test_modules_of_disks_are_another_checks() -> None:
    scene = Scene()
    scene.disk.update(type="network", protocol="rbd", path=None)
    more("disk", pool=None)(scene)
    scene.source["daemon"]["qemu_modules"] = ["block-rbd"]
    scene.destination["daemon"]["qemu_modules"] = []
    assert scene.of("host_qemu_modules") == []
    assert "block-rbd" in scene.of("disk_network_driver_available")[0]["message"]


@pytest.mark.parametrize(("size", "blocks"), [(10, False), (11, True)])
@pytest.mark.parametrize("fact", ["kernel", "initrd"])
def test_another_kernel_at_the_destination(fact: str, size: int, blocks: bool) -> None:
    scene = Scene()
    path = "/boot/guest"
    scene.domain["settings"]["os"].update({fact: path})
    scene.domain["boot_files"].append({"path": path, "size": 10})
    scene.answers["hv2"][path_key(path)] = {"path": path, "exists": True, "size": size}
    assert [finding["blocks"] for finding in scene.of("fw_direct_kernel_boot")] == [True] * blocks
