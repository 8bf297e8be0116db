# SPDX-License-Identifier: GPL-3.0-or-later

"""TPM states on shared storage, secrets by usage and users."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.preflight.case import device, listed
from tests.unit.preflight.scene import Scene

LOCAL = {"fs_type": "ext4", "mount_source": "/dev/sda1", "relative": "/tpm", "inode": 5, "declared_shared": False}
NFS = {**LOCAL, "fs_type": "nfs4", "mount_source": "store:/tpm"}
NEW = ["tpm-2.0", "cmdarg-migration"]

OLD = ["tpm-2.0"]
CANNOT = "cannot leave it to another"

STATES: dict[str, tuple[dict[str, t.Any], dict[str, t.Any], list[str], list[tuple[str, bool]]]] = {
    "local on both": (LOCAL, {**LOCAL, "inode": 6}, OLD, []),
    "shared, and swtpm can": (NFS, NFS, NEW, []),
    "shared, and swtpm cannot": (NFS, NFS, OLD, [(f"of hv1 {CANNOT}", True), (f"of hv2 {CANNOT}", True)]),
    "shared here only, and swtpm can": (NFS, LOCAL, NEW, [("it is shared on hv1 and not on hv2", False)]),
    "shared here only": (NFS, LOCAL, OLD, [("it is shared on hv1", False), (f"of hv1 {CANNOT}", True)]),
    "shared there only": (LOCAL, NFS, OLD, [("it is shared on hv2 and not on hv1", False)]),
    "two exports": (NFS, {**NFS, "inode": 6}, NEW, [("but not the same", False)]),
    "nobody knows": (NFS, {**NFS, "mount_source": "other:/tpm"}, NEW, [("nothing proves", False)]),
}


def _tpm(source: dict[str, t.Any], destination: dict[str, t.Any], features: list[str]) -> Scene:
    scene = Scene()
    device("tpms", backend="emulator", version="2.0")(scene)
    for host, state in ((scene.source, source), (scene.destination, destination)):
        host["security"]["tpm_state"] = {"path": "/var/lib/libvirt/swtpm", "exists": True, "kind": "dir", **state}
        host["security"]["swtpm"]["features"] = features
    return scene


@pytest.mark.parametrize(("source", "destination", "features", "said"), STATES.values(), ids=STATES)
def test_the_folder_of_the_states(
    source: dict[str, t.Any], destination: dict[str, t.Any], features: list[str], said: list[tuple[str, bool]]
) -> None:
    found = _tpm(source, destination, features).of("sec_tpm_state_shared_consistency")
    assert [finding["blocks"] for finding in found] == [blocks for _text, blocks in said]
    assert all(text in finding["message"] for finding, (text, _blocks) in zip(found, said, strict=True))


def test_a_state_in_a_folder_of_its_own_is_unknown() -> None:
    scene = _tpm(LOCAL, LOCAL, NEW)
    scene.domain["devices"]["tpms"][0]["source_path"] = "/srv/tpm"
    assert [finding["status"] for finding in scene.of("sec_tpm_state_shared_consistency")] == ["unknown"]


def _secrets(**entry: t.Any) -> Scene:
    scene = Scene()
    listed("secrets", type="ceph", usage="client.guests")(scene)
    entry = {"uuid": "u", "type": "ceph", "usage": "client.guests", "ephemeral": False, **entry}
    scene.source["security"].update(secrets=[dict(entry)])
    scene.destination["security"].update(secrets=[entry], stored_secrets=[] if entry["ephemeral"] else ["u"])
    for question in scene.questions()["hv1"]:
        if question["ask"] == "secret":
            scene.answers["hv1"][question["key"]] = {"same": True}
    return scene


def test_a_secret_is_found_by_its_usage() -> None:
    assert _secrets().of("sec_secrets_present") == []
    scene = _secrets()
    scene.destination["security"]["secrets"][0]["type"] = "iscsi"
    assert "no secret 'client.guests' for ceph" in scene.of("sec_secrets_present")[0]["message"]


def test_the_values_of_a_secret_are_compared_by_the_source() -> None:
    assert _secrets(ephemeral=True).of("sec_secrets_present") == []
    scene = _secrets()
    key = next(key for key in scene.answers["hv1"] if key.startswith("secret:"))
    scene.answers["hv1"][key] = {"same": False}
    assert "of hv2 has another value" in scene.of("sec_secrets_present")[0]["message"]
    scene.answers["hv1"][key] = {"error": "the secret is private"}
    assert [finding["status"] for finding in scene.of("sec_secrets_present")] == ["unknown"]
    scene.source["security"]["secrets"] = []
    assert [finding["status"] for finding in scene.of("sec_secrets_present")] == ["unknown"]


def test_root_at_the_destination_may_read_everything() -> None:
    scene = Scene()
    scene.source["security"]["qemu_user"] = {"uid": 107, "gid": 107}
    assert scene.of("sec_dac_uid_gid") == []
    scene.destination["security"]["qemu_user"] = {"uid": 64055, "gid": 107}
    assert len(scene.of("sec_dac_uid_gid")) == 1
