# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of the kernel's and libvirt's texts about memory. The texts are recorded, cut to what matters."""

from __future__ import annotations

import os
import pathlib
import types
import typing as t
import xml.etree.ElementTree as ET
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import boot_files, cgroups, files, host_ram
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.collector import Collector

# Debian 13 in the lab, while hv2 was limited to 1024 MiB: version 1 counts memory, version 2 has no controllers.
MOUNTS_V1 = """\
325 494 0:219 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
328 325 0:29 / /sys/fs/cgroup/cpu ro,relatime - cgroup cgroup rw,cpu
339 325 0:32 / /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory
343 325 0:38 / /sys/fs/cgroup/unified ro,relatime - cgroup2 cgroup rw
"""
GROUPS_V1 = """\
9:name=systemd:/
4:memory:/process_api/4f689b5f/livemig-lmem/hv2
3:cpuset:/
0::/
"""
# The form of a host with systemd and version 2 alone, as in cgroups(7).
MOUNTS_V2 = "26 22 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
GROUPS_V2 = "0::/lxc/box/system.slice/libvirtd.service\n"

NODE = """\
Node 0 MemTotal:        8743116 kB
Node 0 MemFree:         1048576 kB
Node 0 FilePages:        921600 kB
Node 0 Shmem:            716800 kB
Node 0 SReclaimable:      51200 kB
"""
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         8388608              8388608              bytes
Max file locks            unlimited            unlimited            locks
"""


def test_the_group_of_a_process_and_its_hierarchy() -> None:
    first = cgroups.memory_hierarchy(MOUNTS_V1, GROUPS_V1)
    assert first == (cgroups.Hierarchy(1, "/sys/fs/cgroup/memory", "/"), "/process_api/4f689b5f/livemig-lmem/hv2")
    second = cgroups.memory_hierarchy(MOUNTS_V2, GROUPS_V2)
    assert second == (cgroups.Hierarchy(2, "/sys/fs/cgroup", "/"), "/lxc/box/system.slice/libvirtd.service")
    assert cgroups.memory_hierarchy("", GROUPS_V2) is None


@pytest.mark.parametrize(
    ("group", "above"),
    [
        ("/lxc/box/system.slice/libvirtd.service", ["", "lxc", "lxc/box"]),
        ("/system.slice/libvirtd.service", [""]),
        ("/livemig-lmem/hv2", ["", "livemig-lmem", "livemig-lmem/hv2"]),
        ("/", [""]),
    ],
)
def test_limits_of_the_daemons_own_unit_are_not_those_of_guests(group: str, above: list[str]) -> None:
    assert list(dict.fromkeys(cgroups.above_units(group))) == above


@pytest.mark.parametrize(
    ("top", "group", "found"),
    [
        ("/", "a/b", "/m/a/b"),
        ("/docker/x", "/docker/x/a", "/m/a"),
        ("/docker/x", "/docker/y", None),
        ("/..", "a", "/m/a"),
    ],
)
def test_a_group_is_looked_for_below_what_is_mounted(top: str, group: str, found: str | None) -> None:
    assert cgroups.folder(cgroups.Hierarchy(2, "/m", top), group) == found


def _group(folder: pathlib.Path, limit: str, used: int, cache: int) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n", encoding="ascii")
    (folder / "memory.current").write_text(f"{used}\n", encoding="ascii")
    (folder / "memory.stat").write_text(f"anon 1\nactive_file 7\ninactive_file {cache}\n", encoding="ascii")
    return folder


def test_the_cache_that_can_be_given_back_is_not_used(tmp_path: pathlib.Path) -> None:
    assert cgroups.limit_of(2, str(_group(tmp_path / "a", "1000", 600, 200))) == cgroups.Group(1000, 400)
    assert cgroups.limit_of(2, str(_group(tmp_path / "b", "max", 600, 200))) is None
    assert cgroups.limit_of(2, str(tmp_path / "none")) is None


def _mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, group: str) -> None:
    real = files.read
    texts = {
        "/proc/self/mountinfo": f"26 22 0:23 / {tmp_path} rw - cgroup2 cgroup2 rw\n",
        "/proc/7/cgroup": f"0::{group}\n",
        "/proc/self/cgroup": f"0::{group}\n",
    }
    monkeypatch.setattr(files, "read", lambda path: texts.get(path) or real(path))


def test_the_tightest_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    mib = 1024**2
    _group(tmp_path / "lxc", str(900 * mib), 500 * mib, 0)
    _group(tmp_path / "lxc" / "box", str(600 * mib), 300 * mib, 0)
    _group(tmp_path / "lxc" / "box" / "system.slice", str(2 * mib), 1 * mib, 0)
    _mounted(monkeypatch, tmp_path, "/lxc/box/system.slice/libvirtd.service")
    assert cgroups.left_mib(7) == 300


def test_partitions_with_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    mib = 1024**2
    _group(tmp_path / "machine.slice", "max", 500 * mib, 0)
    _group(tmp_path / "machine.slice" / "machine-prod.slice", str(900 * mib), 500 * mib, 100 * mib)
    _group(tmp_path / "machine.slice" / "machine-qemu.scope", str(100 * mib), 50 * mib, 0)
    _mounted(monkeypatch, tmp_path, "/")
    wanted = {"path": "machine.slice/machine-prod.slice", "limit_mib": 900, "used_mib": 400}
    assert cgroups.partitions() == [wanted]


def test_a_node_can_give_its_page_cache_but_no_tmpfs() -> None:
    assert host_ram.node_available_mib(NODE) == (1048576 + 921600 - 716800 + 51200) // 1024


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0", 2048),
        ("hugetlbfs /mnt/huge hugetlbfs rw,relatime,pagesize=1024M 0 0", 1048576),
        ("hugetlbfs /mnt/old hugetlbfs rw,relatime 0 0", 64),
    ],
)
def test_page_size_of_a_mount(line: str, size: int) -> None:
    found = host_ram.parse_hugetlbfs(f"proc /proc proc rw 0 0\n{line}\n", 64)
    assert found == [{"path": line.split()[1], "size_kib": size}]


def test_what_the_daemon_may_lock() -> None:
    assert host_ram.lock_limit_mib(LIMITS) == 8
    assert host_ram.lock_limit_mib(LIMITS.replace("8388608", "unlimited")) is None
    with pytest.raises(ValueError, match="does not tell"):
        host_ram.lock_limit_mib("")


@pytest.mark.parametrize(("effective", "raises"), [("000001fffeffffff", False), ("000001ffffffffff", True)])
def test_only_one_capability_raises_limits(effective: str, raises: bool) -> None:
    assert host_ram.may_raise(f"CapPrm:\t0000000000000000\nCapEff:\t{effective}\n") is raises


def test_swap_of_a_process() -> None:
    assert host_ram.status_kib("VmRSS:\t  100 kB\nVmSwap:\t  2048 kB\n", "VmSwap") == 2048
    assert host_ram.status_kib("Name:\tkthread\n", "VmSwap") == 0


def _host(capabilities: str = "<capabilities/>", **conf: t.Any) -> t.Any:
    connection = types.SimpleNamespace(
        getFreePages=lambda sizes, cell, _count: {cell: {size: size // 1024 + cell for size in sizes}},
        getCellsFreeMemory=lambda cell, _count: [(cell + 1) * 1024**3],
    )
    return types.SimpleNamespace(
        capabilities=lambda: ET.fromstring(capabilities), qemu_conf=lambda: conf, connection=connection
    )


CELLS = """<capabilities><host><topology><cells num='2'>
<cell id='0'><pages unit='KiB' size='4'>1</pages><pages unit='KiB' size='2048'>0</pages></cell>
<cell id='8'><pages unit='KiB' size='4'>1</pages></cell>
</cells></topology>
<secmodel><model>none</model></secmodel>
<secmodel><model>dac</model><baselabel type='kvm'>+64055:+993</baselabel></secmodel></host></capabilities>"""


def test_cells_may_have_gaps_and_no_huge_pages() -> None:
    assert host_ram.cells(_host(CELLS)) == [
        {"id": 0, "free_mib": 1024, "pages": [{"size_kib": 2048, "free": 2}]},
        {"id": 8, "free_mib": 9216, "pages": []},
    ]


def test_the_user_of_qemu() -> None:
    assert host_ram.qemu_user(_host(CELLS)) == 64055
    assert host_ram.qemu_user(_host()) is None


@pytest.mark.parametrize(
    ("conf", "hands"),
    [
        ({}, True),
        ({"namespaces": []}, False),
        ({"cgroup_device_acl": ["/dev/null"]}, False),
        ({"namespaces": ["mount"], "cgroup_device_acl": ["/dev/null", "/dev/userfaultfd"]}, True),
    ],
)
def test_when_libvirt_hands_over_the_device(conf: dict[str, t.Any], hands: bool) -> None:
    assert host_ram.hands_over_userfaultfd(_host(**conf)) is hands


def test_a_folder_that_is_not_there_yet_is_measured_where_it_will_be(tmp_path: pathlib.Path) -> None:
    found = host_ram.backing(_host(memory_backing_dir=str(tmp_path / "ram" / "deep")))
    assert (found["path"], found["exists"]) == (str(tmp_path / "ram" / "deep"), False)
    assert found["free_mib"] > 0


def _boot(**os_facts: str) -> Collector:
    names = (
        "loader",
        "loader_format",
        "nvram",
        "nvram_format",
        "nvram_source",
        "kernel",
        "initrd",
        "dtb",
        "acpi_table",
    )
    collector = Collector()
    collector.facts["settings"] = {"os": {**dict.fromkeys(names), **os_facts}}
    collector.facts["lists"] = {"roms": ["rom-by-name"], "fwcfg_entries": []}
    return collector


def test_boot_files_each_once_with_their_size(tmp_path: pathlib.Path) -> None:
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(b"12345")
    collector = _boot(kernel=str(kernel), initrd=str(kernel), loader=str(tmp_path / "gone"))
    boot_files.add(collector)
    gone = {"path": str(tmp_path / "gone"), "size": None}
    assert collector.facts["boot_files"] == [gone, {"path": str(kernel), "size": 5}]
    assert collector.unknown == []


def test_a_boot_file_that_may_not_be_looked_at_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> t.Any:
        raise PermissionError("not for you")

    monkeypatch.setattr(os, "stat", refuse)
    collector = _boot(nvram="/var/lib/x.fd")
    boot_files.add(collector)
    assert collector.unknown == [{"fact": "boot_files./var/lib/x.fd.size", "reason": "not for you"}]


def test_a_broken_definition_leaves_boot_files_unknown() -> None:
    collector = Collector()
    boot_files.add(collector)
    assert [entry["fact"] for entry in collector.unknown] == ["boot_files"]


def _qcow2(path: pathlib.Path, virtual: int) -> str:
    path.write_bytes(b"QFI\xfb" + bytes(20) + virtual.to_bytes(8, "big") + bytes(100))
    return str(path)


def test_firmware_in_qcow2_has_the_size_that_the_guest_sees(tmp_path: pathlib.Path) -> None:
    code, variables = _qcow2(tmp_path / "code", 3653632), tmp_path / "vars"
    variables.write_bytes(bytes(528))
    collector = _boot(loader=code, loader_format="qcow2", nvram=str(variables), nvram_format="raw")
    boot_files.add(collector)
    assert [entry["size"] for entry in collector.facts["boot_files"]] == [3653632, 528]


def test_firmware_of_another_format_has_no_known_size(tmp_path: pathlib.Path) -> None:
    (tmp_path / "code").write_bytes(bytes(64))
    for image_format in ("qcow2", "vmdk"):
        collector = _boot(loader=str(tmp_path / "code"), loader_format=image_format)
        boot_files.add(collector)
        assert collector.unknown[0]["fact"] == f"boot_files.{tmp_path}/code.size"


def test_the_destination_tells_the_size_in_qcow2(tmp_path: pathlib.Path) -> None:
    def asked(path: str) -> t.Any:
        question: t.Any = {"key": "x", "ask": "firmware_size", "value": [path, "qcow2"]}
        return boot_files.ASKS["firmware_size"](mock.Mock(), question)

    assert asked(_qcow2(tmp_path / "code", 2097152)) == {"exists": True, "size": 2097152}
    assert asked(str(tmp_path / "none")) == {"exists": False}
