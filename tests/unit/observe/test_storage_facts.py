# SPDX-License-Identifier: GPL-3.0-or-later

"""Block devices as sysfs shows them, what stands in their first sectors, DRBD's state, and opening as another user."""

from __future__ import annotations

import os
import pathlib
import time
import typing as t
import xml.etree.ElementTree as ET
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts, UnknownFact
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers_storage,
    blockdev,
    child,
    drbd,
    files,
    host_storage,
)

VG, LV = "Q8kzaTnV0yP5rW2bC4dE6fG8hJ0kL1mN", "aB3cD5eF7gH9iJ1kL3mN5oP7qR9sT1uV"
NAA = "naa.60014051a2b3c4d5e6f708192a3b4c5d"
ISCSI = "sys/devices/platform/host3/session1/target3:0:0/3:0:0:0/block/sdb"
FC = "sys/devices/pci0000:00/0000:00:03.0/host5/rport-5:0-2/target5:0:0/5:0:0:1/block/sdc"


class Kernel:
    """A folder in the form of the kernel's sysfs (Documentation/ABI: sysfs-block, sysfs-block-dm, sysfs-bus-rbd)."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.sysfs = blockdev.Sysfs(str(root))

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")

    def device(self, number: str, folder: str, **attributes: str) -> None:
        for name, text in {"dev": number, "size": "131072", "ro": "0", **attributes}.items():
            self.write(f"{folder}/{name.replace('__', '/')}", text)
        link = self.root / "sys/dev/block" / number
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.root / folder)

    def slave(self, folder: str, of: str) -> None:
        place = self.root / of / "slaves" / folder.rpartition("/")[2]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(self.root / folder)

    def describe(self, number: str) -> t.Any:
        return blockdev.describe(number, self.sysfs)


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> Kernel:
    found = Kernel(tmp_path)
    found.device("8:16", ISCSI, device__wwid=NAA, device__state="running", queue__logical_block_size="4096")
    found.device("8:32", FC, device__wwid=NAA, device__state="transport-offline")
    return found


def test_a_lun(kernel: Kernel) -> None:
    assert kernel.describe("8:16") == {
        "kernel": "sdb",
        "kind": "disk",
        "own": None,
        "bytes": 67108864,
        "sector": 4096,
        "readonly": False,
        "layer": None,
        "leaves": [
            {"kernel": "sdb", "kind": "disk", "transport": "iscsi", "ids": [NAA], "part": "", "backing": None},
        ],
        "paths": {"running": 1, "total": 1},
        "drbd": None,
    }


def test_the_paths_of_a_multipath_device_are_one(kernel: Kernel) -> None:
    kernel.device("253:0", "sys/devices/virtual/block/dm-0", dm__uuid=f"mpath-3{NAA[4:]}", dm__name="mpatha")
    for folder in (ISCSI, FC):
        kernel.slave(folder, "sys/devices/virtual/block/dm-0")
    found = kernel.describe("253:0")
    assert (found["kind"], found["paths"]) == ("multipath", {"running": 1, "total": 2})
    assert [(leaf["kernel"], leaf["ids"], leaf["transport"]) for leaf in found["leaves"]] == [("dm-0", [NAA], "iscsi")]


def test_a_volume_on_a_partition(kernel: Kernel) -> None:
    kernel.device("8:17", f"{ISCSI}/sdb1", partition="1", start="2048", size="1024")
    kernel.device("253:1", "sys/devices/virtual/block/dm-1", dm__uuid=f"LVM-{VG}{LV}", dm__name="vg-vm1")
    kernel.slave(f"{ISCSI}/sdb1", "sys/devices/virtual/block/dm-1")
    found = kernel.describe("253:1")
    assert (found["kind"], found["own"], found["layer"]) == ("lvm", f"LVM-{VG}{LV}", None)
    assert [(leaf["kernel"], leaf["ids"], leaf["part"]) for leaf in found["leaves"]] == [("sdb", [NAA], "2048+1024")]
    part = kernel.describe("8:17")
    assert (part["kernel"], part["bytes"], part["leaves"][0]["part"]) == ("sdb1", 524288, "2048+1024")


@pytest.mark.parametrize(
    ("suffix", "layer"),
    [("-tpool", "thin"), ("-cow", "snapshot"), ("-cpool", "cache"), ("-vpool", "vdo"), ("-x", None)],
)
def test_what_a_volume_goes_through(kernel: Kernel, suffix: str, layer: str | None) -> None:
    kernel.device("253:1", "sys/devices/virtual/block/dm-1", dm__uuid=f"LVM-{VG}{LV[::-1]}{suffix}")
    kernel.device("253:2", "sys/devices/virtual/block/dm-2", dm__uuid=f"LVM-{VG}{LV}")
    kernel.slave(ISCSI, "sys/devices/virtual/block/dm-1")
    kernel.slave("sys/devices/virtual/block/dm-1", "sys/devices/virtual/block/dm-2")
    found = kernel.describe("253:2")
    assert (found["layer"], [leaf["kernel"] for leaf in found["leaves"]]) == (layer, ["sdb"])


def test_names_of_udev_where_the_kernel_has_none(kernel: Kernel) -> None:
    kernel.device("254:0", "sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda", serial="disk1")
    kernel.device("8:48", "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sdd")
    kernel.write(
        "run/udev/data/b8:48", "S:disk/by-id/wwn-0x5000c500a1b2c3d4\nE:ID_WWN=0x5000c500a1b2c3d4\nE:ID_BUS=ata"
    )
    leaves = [kernel.describe(number)["leaves"][0] for number in ("254:0", "8:48")]
    assert [(leaf["transport"], leaf["ids"]) for leaf in leaves] == [
        ("virtio", ["serial.disk1"]),
        ("ata", ["naa.5000c500a1b2c3d4"]),
    ]


def test_links_of_udev_where_its_database_is_not_there(kernel: Kernel) -> None:
    """As in the lab, whose loop devices have links and nothing else."""
    kernel.device("7:3", "sys/devices/virtual/block/loop3", loop__backing_file="/srv/image (deleted)")
    kernel.write("dev/loop3", "")
    for name in ("wwn-0x60014051a2b3c4d5e6f708192a3b4c5d", "lvm-pv-uuid-abc"):
        link = kernel.root / "dev/disk/by-id" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../../loop3")
    leaf = kernel.describe("7:3")["leaves"][0]
    assert (leaf["kind"], leaf["ids"], leaf["backing"]) == ("loop", [NAA], "/srv/image (deleted)")


def test_nvme_with_its_own_multipath(kernel: Kernel) -> None:
    folder = "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1"
    kernel.device("259:0", folder, wwid="uuid.6c1d0001-5a1b-4a6e-8b1e-2f0d0000d15c")
    for name, state in (("nvme0", "live"), ("nvme1", "connecting")):
        kernel.write(f"{folder}/device/{name}/state", state)
        kernel.write(f"{folder}/device/{name}/transport", "tcp")
    found = kernel.describe("259:0")
    assert found["paths"] == {"running": 1, "total": 2}
    assert found["leaves"][0]["transport"] == "nvme-tcp"


def test_a_mapped_ceph_image(kernel: Kernel) -> None:
    kernel.device("251:0", "sys/devices/rbd/0/block/rbd0")
    names = {"cluster_fsid": "f5", "pool": "vms", "pool_ns": "", "image_id": "10d2", "current_snap": "-"}
    for name, text in names.items():
        kernel.write(f"sys/bus/rbd/devices/0/{name}", text)
    assert kernel.describe("251:0")["own"] == "rbd f5/vms//10d2/-"


def test_a_device_that_sysfs_does_not_know(kernel: Kernel) -> None:
    with pytest.raises(OSError, match="no device 9:9 in sysfs"):
        kernel.describe("9:9")


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (f"0x{NAA[4:]}", NAA),
        (f"mpath:3{NAA[4:]}", NAA),
        (NAA.upper().replace("NAA", "naa"), NAA),
        ("mpath:20025385b71b0a1c3", "eui.0025385b71b0a1c3"),
        ("t10.ATA     QEMU HARDDISK   QM1", "t10.ATA_QEMU_HARDDISK_QM1"),
    ],
)
def test_one_form_of_a_name(written: str, same: str) -> None:
    assert blockdev.normal(written) == same


def test_labels_of_first_sectors() -> None:
    data = bytearray(128 * 1024)
    assert blockdev.label(bytes(data)) == ""
    data[510:512], data[440:444] = b"\x55\xaa", b"\x01\x02\x03\x04"
    data[512:520], data[568:584] = b"EFI PART", bytes(range(16))
    data[1080:1082], data[1128:1144] = b"\x53\xef", b"u" * 16
    assert blockdev.label(bytes(data)) == (
        "mbr:01020304 gpt:000102030405060708090a0b0c0d0e0f ext:75757575757575757575757575757575"
    )


def test_labels_do_not_change_with_what_the_guest_writes() -> None:
    data = bytearray(128 * 1024)
    data[1080:1082], data[1128:1144] = b"\x53\xef", b"u" * 16
    before = blockdev.label(bytes(data))
    data[1024:1072] = b"x" * 48  # counters and times of the superblock
    data[4096:] = b"y" * len(data[4096:])
    assert blockdev.label(bytes(data)) == before


def test_a_label_is_read_past_the_page_cache(tmp_path: pathlib.Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"LUKS\xba\xbe".ljust(168, b"\0") + b"6c1d0001-5a1b-4a6e-8b1e-2f0d0000d15c" + bytes(8192))
    assert blockdev.read_label(str(image)).startswith("luks:36633164")
    with pytest.raises(FileNotFoundError):
        blockdev.read_label(str(tmp_path / "none"))


def test_what_does_not_answer_is_given_up() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="a dead disk: no answer within"):
        child.bounded(lambda: time.sleep(60), "a dead disk", timeout_s=0.2)
    assert time.monotonic() - start < 10


def test_a_child_hands_back_results_and_errors() -> None:
    assert child.bounded(lambda: {"a": [1, None]}, "work") == {"a": [1, None]}
    with pytest.raises(PermissionError, match=r"work: .*Permission denied"):
        child.bounded(_refused, "work")
    with pytest.raises(OSError, match="work: it ended without an answer"):
        child.bounded(lambda: os._exit(3), "work")


def _refused() -> None:
    raise PermissionError(13, "Permission denied")


STATUS = """\
[{"name": "r0", "node-id": 0, "role": "Primary", "suspended": false, "write-ordering": "flush",
  "devices": [{"volume": 0, "minor": 1000, "disk-state": "UpToDate", "client": false, "quorum": true}],
  "connections": [{"peer-node-id": 1, "name": "hv2", "connection-state": "Connected", "peer-role": "Secondary",
    "peer_devices": [{"volume": 0, "replication-state": "Established", "peer-disk-state": "UpToDate"}]},
   {"peer-node-id": 2, "name": "hv3", "connection-state": "Connecting", "peer-role": "Unknown"}]}]
"""
PROC = """\
version: 8.4.11 (api:1/proto:86-101)
 1: cs:Connected ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:10 nr:0 dw:10 dr:20 al:1 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
"""


def test_drbd_9() -> None:
    found = drbd.parse_status(STATUS, 1000)
    assert found is not None
    assert (found["resource"], found["role"], found["disk"]) == ("r0", "Primary", "UpToDate")
    assert found["peers"] == [
        {"name": "hv2", "connection": "Connected", "role": "Secondary", "disk": "UpToDate"},
        {"name": "hv3", "connection": "Connecting", "role": "Unknown", "disk": ""},
    ]
    assert drbd.parse_status(STATUS, 7) is None


def test_drbd_8() -> None:
    found = drbd.parse_proc(PROC, 1)
    assert found is not None
    assert (found["resource"], found["role"], found["peers"][0]["disk"]) == (None, "Primary", "Inconsistent")
    assert drbd.parse_proc(PROC, 2) is None


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("    net {\n        allow-two-primaries yes;\n    }\n", True), ("    net {\n    }\n", False)],
)
def test_two_primaries(text: str, allowed: bool) -> None:
    assert drbd.allows_two(text) is allowed


def test_who_has_a_file_open(tmp_path: pathlib.Path) -> None:
    for pid, name in (("10", "qemu-nbd"), ("11", "tail"), ("self", "x")):
        folder = tmp_path / "proc" / pid / "fd"
        folder.mkdir(parents=True)
        (folder.parent / "comm").write_text(f"{name}\n", encoding="utf-8")
    image = tmp_path / "image"
    image.touch()
    (tmp_path / "proc/10/fd/3").symlink_to(image)
    (tmp_path / "proc/11/fd/3").symlink_to(tmp_path / "gone")
    assert answers_storage._open_files(str(tmp_path / "proc")) == {
        str(image): ["qemu-nbd (10)"],
        str(tmp_path / "gone"): ["tail (11)"],
    }


class LocalHost:
    """What answers ask of a host."""

    def __init__(self, label: str, conf: dict[str, t.Any]) -> None:
        self.label, self.conf = label, conf

    def capabilities(self) -> ET.Element:
        model = f"<secmodel><model>dac</model><baselabel type='qemu'>{self.label}</baselabel></secmodel>"
        return ET.fromstring(f"<capabilities><host>{model}</host></capabilities>")

    def qemu_conf(self) -> dict[str, t.Any]:
        return self.conf

    def once(self, _name: str, read: t.Callable[[], t.Any]) -> t.Any:
        return read()


def _opened(path: pathlib.Path, host: LocalHost, label: str | None = None) -> Facts:
    answer = answers_storage.openable(t.cast(t.Any, host), {"path": str(path), "value": label})
    return Facts("answer", answer)


def test_opening_as_qemus_user(tmp_path: pathlib.Path) -> None:
    image = tmp_path / "image"
    image.touch()
    label = f"+{os.getuid()}:+{os.getgid()}"
    found = _opened(image, LocalHost(label, {"dynamic_ownership": 0}))
    assert (found.get("access")["read"], found.get("access")["folder"], found.get("dynamic")) == (True, None, False)
    assert _opened(image, LocalHost("+12345678:+1", {}), label).get("dynamic") is True
    assert _opened(tmp_path / "none", LocalHost(label, {})).get("exists") is False


def test_what_cannot_be_told_of_opening_is_unknown_for_itself(tmp_path: pathlib.Path) -> None:
    image = tmp_path / "image"
    image.touch()
    found = _opened(image, LocalHost("+12345678:+1", {}))
    assert found.get("direct") in (True, False)
    with pytest.raises(UnknownFact, match="there is no such user"):
        found.get("access")


def test_folders_that_a_user_cannot_enter(tmp_path: pathlib.Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with mock.patch.object(os, "access", lambda path, _mode: path != str(closed)):
        assert answers_storage._access(str(closed / "image"))["folder"] == str(closed)


def test_a_mount_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    asked = []

    def silent(_work: t.Any, what: str, _user: t.Any) -> None:
        asked.append(what)
        raise TimeoutError("no answer within 5 s")

    monkeypatch.setattr(files, "mount_of", lambda _path, _mounts: ("/nfs", "/", "nfs4", "store:/images"))
    monkeypatch.setattr(files, "_suspects", lambda _text: ("/",))
    monkeypatch.setattr(files, "bounded", silent)
    monkeypatch.setattr(files, "_SILENT", {})
    for name in ("a", "b"):
        with pytest.raises(TimeoutError, match="no answer within 5 s"):
            files.path_identity(f"/nfs/{name}", files.Declared())
    assert asked == ["looking at /nfs/a"]
    monkeypatch.setattr(files, "bounded", lambda work, _what, _user: work())
    monkeypatch.setattr(files, "_SILENT", {})
    assert files.path_identity(str(tmp_path), files.Declared())["fs_type"] == "nfs4"


def test_io_uring_of_an_older_kernel_is_for_all(tmp_path: pathlib.Path) -> None:
    assert host_storage.io_uring_disabled(t.cast(t.Any, None), str(tmp_path / "none")) == 0
    (tmp_path / "set").write_text("2\n", encoding="utf-8")
    assert host_storage.io_uring_disabled(t.cast(t.Any, None), str(tmp_path / "set")) == 2


def test_options_of_the_last_mount_of_a_place() -> None:
    text = (
        "40 21 0:33 / /srv rw,relatime - nfs4 store:/export rw,vers=4.2,hard,local_lock=none\n"
        "41 40 0:34 / /srv ro - nfs store:/other rw,vers=3,soft,nolock\n"
    )
    assert files.mount_options(text, "/srv") == ["nolock", "ro", "rw", "soft", "vers=3"]
    assert files.mount_options(text, "/") == []
