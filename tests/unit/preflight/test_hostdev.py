# SPDX-License-Identifier: GPL-3.0-or-later

"""USB and SCSI devices that are passed through, and teams of NICs."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.preflight.scene import Scene


def test_a_usb_device_that_is_needed_and_missing_rules_the_move_out() -> None:
    scene = Scene()
    more = {"vendor": "0x0951", "product": "0x1666", "bus": None, "device": None, "missing": None}
    hostdev = {"type": "usb", "mode": "subsystem", "description": "usb", "teaming": None}
    scene.domain["hostdevs"].append({**hostdev, "more": {**more, "startup_policy": None}})
    assert [finding["blocks"] for finding in scene.of("hd_usb")] == [True]
    scene.domain["hostdevs"][0]["more"]["startup_policy"] = "optional"
    assert [finding["blocks"] for finding in scene.of("hd_usb")] == [False]


@pytest.mark.parametrize(
    ("name", "qemu", "blocks"),
    [
        (None, 10000013, True),
        ("iqn.2026-11.com.example:a/0", 10000013, False),
        ("iqn.2026-11.com.example:a/0", 5002000, True),
    ],
)
def test_a_lun_over_iscsi_is_the_same_one_everywhere(name: str | None, qemu: int, blocks: bool) -> None:
    scene = Scene()
    scene.source["qemu_version"] = qemu
    hostdev = {"type": "scsi", "mode": "subsystem", "description": "scsi", "teaming": None}
    scene.domain["hostdevs"].append({**hostdev, "more": {"iscsi_name": name}})
    assert [finding["blocks"] for finding in scene.of("hd_scsi_generic")] == [blocks]


TEAMS: dict[str, tuple[dict[str, t.Any], str | None]] = {
    "a pair": ({}, None),
    "no such alias": ({"more": {"alias": "net0"}}, "is no NIC of the domain"),
    "not persistent": ({"teaming": None}, "has no <teaming type='persistent'/>"),
    "another MAC address": ({"mac": "52:54:00:00:00:04"}, "another MAC address"),
}


@pytest.mark.parametrize(("changes", "text"), TEAMS.values(), ids=TEAMS)
def test_a_team(changes: dict[str, t.Any], text: str | None) -> None:
    scene = Scene()
    transient = {"type": "pci", "mode": "interface", "description": "interface 52:54:00:00:00:03"}
    more = {"teaming_persistent": "ua-standby", "bus": None, "slot": None, "function": None}
    scene.domain["hostdevs"].append({**transient, "teaming": "transient", "more": more})
    nic = {"mac": "52:54:00:00:00:03", "teaming": "persistent", "more": {"alias": "ua-standby"}, **changes}
    scene.nic.update({**nic, "more": {**scene.nic["more"], **nic["more"]}})
    found = scene.of("hd_teaming_pair_valid")
    assert [finding["blocks"] for finding in found] == ([True] if text else [])
    assert text is None or text in found[0]["message"]
