# SPDX-License-Identifier: GPL-3.0-or-later

"""What is at the destination and does not help: read-only folders, sockets without a listener, files in use, leases
that nobody takes, and devices that only QEMU's own arguments name."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.preflight.case import device, fact, migration
from tests.unit.preflight.scene import Scene

FOLDER = "/srv/logs"
SOCKET = "/srv/logs/agent.sock"


def _chardev(mode: str | None, kind: str, path: str, **there: t.Any) -> Scene:
    scene = Scene()
    device("channels", type=kind, mode=mode, path=path, target_type="virtio")(scene)
    asked = path if mode == "connect" else FOLDER
    scene.answers["hv2"][f"path:{path}"] = {"path": path, "exists": False}
    scene.answers["hv2"][f"path:{asked}"] = {"path": asked, "exists": True, "read_only": False, "kind": "dir", **there}
    return scene


@pytest.mark.parametrize(("read_only", "found"), [(False, 0), (True, 1)])
def test_a_file_in_a_folder_that_is_mounted_read_only(read_only: bool, found: int) -> None:
    scene = _chardev(None, "file", f"{FOLDER}/serial.log", read_only=read_only)
    assert len(scene.of("dev_chardev_unix_path")) == found


@pytest.mark.parametrize(("kind", "found"), [("file", 0), ("dir", 1)])
def test_a_folder_in_the_place_of_a_file(kind: str, found: int) -> None:
    scene = _chardev(None, "file", f"{FOLDER}/serial.log")
    scene.answers["hv2"][f"path:{FOLDER}/serial.log"] = {"path": FOLDER, "exists": True, "kind": kind}
    assert len(scene.of("dev_chardev_unix_path")) == found


@pytest.mark.parametrize(
    ("answer", "status"), [({"listens": True}, []), ({"listens": False}, ["fail"]), ({}, ["unknown"])]
)
def test_a_socket_at_which_nobody_listens(answer: dict[str, t.Any], status: list[str]) -> None:
    scene = _chardev("connect", "unix", SOCKET)
    scene.answers["hv2"][f"listener:{SOCKET}"] = answer
    assert [finding["status"] for finding in scene.of("dev_chardev_unix_path")] == status


@pytest.mark.parametrize(("users", "severity"), [([], "warning"), (["qemu-nbd (7)"], "error")])
def test_a_target_of_a_copy_that_is_in_use(users: list[str], severity: str) -> None:
    scene = Scene()
    migration(copy_storage="all")(scene)
    scene.disk["identity"].update(fs_type="ext4", inode=1)
    scene.there.update(fs_type="ext4", inode=2)
    scene.answers["hv2"][f"open:{scene.disk['path']}"]["open_by"] = users
    assert [finding["severity"] for finding in scene.of("nonshared_target_stale")] == [severity]


@pytest.mark.parametrize(("manager", "severity"), [("nop", "warning"), ("lockd", "error")])
def test_a_lease_counts_where_there_is_a_lock_manager(manager: str, severity: str) -> None:
    scene = Scene()
    device("leases", key="vm1", path="/leases/vm1")(scene)
    scene.answers["hv2"]["path:/leases/vm1"] = {"path": "/leases/vm1", "exists": False}
    scene.destination["storage"]["lock_manager"] = manager
    assert [finding["severity"] for finding in scene.of("disk_leases")] == [severity]


@pytest.mark.parametrize(("driver", "blocks"), [("virtio-rng-pci", [False]), ("nvme", [False, True])])
def test_devices_of_qemus_own_arguments(driver: str, blocks: list[bool]) -> None:
    scene = Scene()
    fact("domain", "lists.qemu_arguments", ["-device", ""])(scene)
    fact("domain", "lists.qemu_devices", [driver])(scene)
    assert [finding["blocks"] for finding in scene.of("machine_qemu_commandline")] == blocks


@pytest.mark.parametrize(
    ("handler", "listens", "blocks"), [("file", False, []), ("logd", True, []), ("logd", False, [True])]
)
def test_virtlogd_must_be_there_where_it_writes_the_logs(handler: str, listens: bool, blocks: list[bool]) -> None:
    scene = Scene()
    scene.destination["daemon"]["qemu_conf"]["stdio_handler"] = handler
    scene.destination["daemon"]["logd_listens"] = listens
    found = scene.of("host_disk_space_runtime")
    assert [finding["blocks"] for finding in found] == blocks
    assert all("nobody listens at virtlogd's socket" in finding["message"] for finding in found)


def test_it_is_unknown_where_nobody_looked_for_virtlogd() -> None:
    scene = Scene()
    scene.destination["daemon"]["qemu_conf"]["stdio_handler"] = "logd"
    del scene.destination["daemon"]["logd_listens"]
    (found,) = scene.of("host_disk_space_runtime")
    assert found["status"] == "unknown" and not found["blocks"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"read_only": True}, "below /etc/libvirt/qemu of hv2: mounted read-only"),
        ({"free_mib": 0}, "below /etc/libvirt/qemu of hv2: 0 MiB; expected 1 MiB or more"),
        ({"free_mib": 1}, None),
    ],
)
def test_the_folder_of_definitions_must_take_one_more(changes: t.Any, text: str | None) -> None:
    scene = Scene()
    scene.destination["system"]["spaces"]["/etc/libvirt/qemu"].update(changes)
    found = scene.of("host_disk_space_runtime")
    assert len(found) == (1 if text else 0)
    assert text is None or text in found[0]["message"]


_OLDER = {"panic": ["isa"], "watchdog": ["i6300esb"]}


@pytest.mark.parametrize(
    ("family", "columns", "schema", "text"),
    [
        ("panics", {"model": "pvpanic"}, _OLDER, "panic pvpanic is not known to libvirt on hv2, 11.3.0"),
        ("panics", {"model": "isa"}, _OLDER, None),
        ("panics", {"model": "of tomorrow"}, _OLDER, None),
        ("watchdogs", {"model": "itco", "action": "none"}, _OLDER, "watchdog itco is not known to libvirt on hv2"),
    ],
)
def test_models_are_looked_for_in_the_schema_of_the_destination(
    family: str, columns: t.Any, schema: t.Any, text: str | None
) -> None:
    scene = Scene()
    scene.domain["devices"]["watchdogs"].clear()
    device(family, **columns)(scene)
    scene.destination["daemon"]["schema_models"] = schema
    found = [entry for entry in scene.of("dev_models_supported_dest") if "not known to" in entry["message"]]
    assert [(text or "") in entry["message"] and entry["blocks"] for entry in found] == ([True] if text else [])


@pytest.mark.parametrize("schema", [None, _OLDER])
def test_q35s_own_watchdog_is_not_held_against_an_older_libvirt(schema: t.Any) -> None:
    scene = Scene()
    scene.destination["daemon"]["schema_models"] = schema
    (found,) = scene.of("dev_models_supported_dest")
    assert found["status"] == "unknown" and not found["blocks"]


@pytest.mark.parametrize(
    ("sockets", "changes", "found"),
    [
        ([], {}, 1),
        (["tcp 127.0.0.1 7793"], {}, 0),
        (["tcp 0.0.0.0 7793"], {}, 0),
        (["udp 127.0.0.1 7793"], {}, 1),
        ([], {"reconnect": "yes"}, 0),
        ([], {"type": "udp"}, 0),
        # Who listens on another host is not known from here.
        ([], {"connect_host": "198.51.100.9"}, 0),
    ],
)
@pytest.mark.parametrize("family", ["serials", "rngs"])
def test_a_server_that_a_device_connects_to(
    family: str, sockets: list[str], changes: dict[str, t.Any], found: int
) -> None:
    scene = Scene()
    wanted = {"type": "tcp", "connect_host": "127.0.0.1", "connect_service": "7793", **changes}
    device(family, **wanted)(scene)
    scene.destination["net"]["sockets"] = sockets
    said = scene.of("dev_chardev_tcp_ports")
    assert [finding["blocks"] for finding in said] == [True] * found
    assert not found or "where nothing listens on hv2" in said[0]["message"]


@pytest.mark.parametrize(("port", "found"), [("5789", 1), ("5790", 0), ("-1", 0)])
def test_the_port_for_websockets(port: str, found: int) -> None:
    scene = Scene()
    device("graphics", type="vnc", autoport="no", port="5988", websocket=port, listen="127.0.0.1")(scene)
    scene.destination["net"]["sockets"] = ["tcp 0.0.0.0 5789"]
    assert len(scene.of("dev_graphics_port_free")) == found


@pytest.mark.parametrize("fact", ["socket", "own_socket"])
@pytest.mark.parametrize(
    ("path", "found"), [("/run/consoles/web1", 1), ("/var/lib/libvirt/qemu/domain-1-web1/vnc.sock", 0)]
)
def test_a_console_that_is_a_socket(fact: str, path: str, found: int) -> None:
    scene = Scene()
    device("graphics", **{"type": "vnc", fact: path})(scene)
    folder = path.rpartition("/")[0]
    for asked in (path, folder):
        scene.answers["hv2"][f"path:{asked}"] = {"path": asked, "exists": False}
    assert len(scene.of("dev_chardev_unix_path")) == found


@pytest.mark.parametrize(("there", "blocks"), [(["chardev-spice"], True), ([], False)])
def test_a_qemu_without_any_module_may_have_them_built_in(there: list[str], blocks: bool) -> None:
    scene = Scene()
    device("graphics", type="spice")(scene)
    scene.source["daemon"]["qemu_modules"] = ["ui-spice-core"]
    scene.destination["daemon"]["qemu_modules"] = there
    assert [finding["blocks"] for finding in scene.of("host_qemu_modules")] == [blocks]


@pytest.mark.parametrize("mode", ["host", "host-certificates", "passthrough"])
def test_the_module_for_smart_cards(mode: str) -> None:
    scene = Scene()
    device("smartcards", backend=mode)(scene)
    scene.source["daemon"]["qemu_modules"] = ["hw-usb-smartcard"]
    scene.destination["daemon"]["qemu_modules"] = ["chardev-spice"]
    assert [finding["blocks"] for finding in scene.of("host_qemu_modules")] == [True]


def test_what_was_given_to_qemu_past_libvirt_stays_a_warning() -> None:
    scene = Scene()
    fact("domain", "lists.qemu_arguments", ["-fw_cfg", ""])(scene)
    (found,) = scene.of("machine_qemu_commandline")
    assert "of domain web1: -fw_cfg" in found["message"] and not found["blocks"]


def test_both_hosts_are_asked_for_files_that_qemus_own_arguments_name() -> None:
    scene = Scene()
    fact("domain", "lists.qemu_files", ["/srv/own.raw"])(scene)
    asked = scene.questions()
    assert all("path:/srv/own.raw" in [question["key"] for question in asked[host]] for host in ("hv1", "hv2"))
    assert [finding["status"] for finding in scene.of("machine_qemu_commandline")] == ["unknown"]
