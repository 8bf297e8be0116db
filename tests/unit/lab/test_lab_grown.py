# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the lab's hosts differ: limits, disks, the store, fakes."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import blocks, cgroups, cli, cli_grown, domain, fakes, guests, hosts, places, roots, store
from tests.lab.errors import LabError
from tests.lab.places import Places

V1 = """\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw,nsdelegate
"""
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HV1 = hosts.host("hv1")


def state(tmp_path: Path) -> Places:
    return replace(places.places({}), state=tmp_path / "state", checkout=tmp_path / "checkout")


def test_hierarchies_of_version_1_and_an_empty_one_of_version_2() -> None:
    found = {str(entry.mount): entry for entry in cgroups.parse(V1, {"/sys/fs/cgroup/unified": "\n"})}
    assert found["/sys/fs/cgroup/cpu,cpuacct"].controllers == {"cpu", "cpuacct"}
    assert found["/sys/fs/cgroup/memory"].options == "memory"
    assert found["/sys/fs/cgroup/unified"].version == 2
    assert cgroups.with_controller(found.values(), cgroups.MEMORY).version == 1


def test_a_controller_of_version_2() -> None:
    entry = cgroups.with_controller(cgroups.parse(V2, {"/sys/fs/cgroup": "cpuset cpu io memory pids\n"}), "cpuset")
    assert (entry.version, entry.mount) == (2, Path("/sys/fs/cgroup"))


@pytest.mark.parametrize("text", ["", V1, V2])
def test_a_machine_without_the_controller_is_told_so(text: str) -> None:
    with pytest.raises(LabError, match="has the controller cpuset"):
        cgroups.with_controller(cgroups.parse(text, {}), cgroups.CPUSET)


def test_the_group_of_a_process_in_each_hierarchy() -> None:
    found = cgroups.parse(V1, {})
    groups = cgroups.own_groups("5:cpu,cpuacct:/a\n4:memory:/job/7\n1:name=systemd:/init.scope\n0::/u\n", found)
    assert groups == {
        Path("/sys/fs/cgroup/cpu,cpuacct"): Path("/sys/fs/cgroup/cpu,cpuacct/a"),
        Path("/sys/fs/cgroup/memory"): Path("/sys/fs/cgroup/memory/job/7"),
        Path("/sys/fs/cgroup/systemd"): Path("/sys/fs/cgroup/systemd/init.scope"),
        Path("/sys/fs/cgroup/unified"): Path("/sys/fs/cgroup/unified/u"),
    }


@pytest.mark.parametrize(
    ("top", "group", "expected"),
    [("/", "/", "/c"), ("/", "/a/b", "/c/a/b"), ("/docker/1", "/docker/1", "/c"), ("/docker/1", "/docker/1/x", "/c/x")],
)
def test_a_hierarchy_that_is_mounted_from_within(top: str, group: str, expected: str) -> None:
    assert cgroups.Hierarchy(1, Path("/c"), top, frozenset(), "").path(group) == Path(expected)


def test_version_2_goes_up_to_a_group_without_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = tmp_path / "user.slice" / "session"
    session.mkdir(parents=True)
    for path, processes_there in ((tmp_path, "1\n"), (session.parent, ""), (session, "7\n")):
        (path / "cgroup.controllers").write_text("cpuset memory\n")
        (path / "cgroup.procs").write_text(processes_there)
        (path / "cgroup.subtree_control").write_text("memory\n")
    entry = cgroups.Hierarchy(2, tmp_path, "/", frozenset({"memory", "cpuset"}), "")
    monkeypatch.setattr(cgroups, "_groups_of_process", lambda _pid, _found: {tmp_path: session})
    assert cgroups._base(entry, cgroups.MEMORY) == session.parent
    (session.parent / "cgroup.procs").write_text("8\n")
    assert cgroups._base(entry, cgroups.MEMORY) == tmp_path


def test_version_1_stays_below_the_group_of_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = cgroups.Hierarchy(1, tmp_path, "/", frozenset({"memory"}), "memory")
    monkeypatch.setattr(cgroups, "_groups_of_process", lambda _pid, _found: {tmp_path: tmp_path / "job"})
    assert cgroups._base(entry, cgroups.MEMORY) == tmp_path / "job"


def test_groups_are_found_and_removed_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = cgroups.Hierarchy(1, tmp_path, "/", frozenset({"memory"}), "memory")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [entry])
    base = tmp_path / "job" / "7" / cgroups.lab_name()
    (base / "hv1").mkdir(parents=True)
    (base / "hv2").mkdir()
    (tmp_path / "job" / f"{cgroups.lab_name()}x" / "hv1").mkdir(parents=True)
    cgroups.remove("hv1")
    assert [path.name for path in base.iterdir()] == ["hv2"]
    cgroups.remove()
    assert not base.exists()
    assert (tmp_path / "job" / f"{cgroups.lab_name()}x" / "hv1").is_dir()


def test_what_is_written_for_limits() -> None:
    assert cgroups.Limits(512, "0-1").values() == {"memory": str(512 << 20), "cpuset": "0-1"}
    assert cgroups.Limits().values() == {}


@pytest.mark.parametrize("limits", [cgroups.Limits(16), cgroups.Limits(None, "0-"), cgroups.Limits(None, "a")])
def test_bad_limits(limits: cgroups.Limits) -> None:
    with pytest.raises(LabError, match=r"--memory is 16|--cpus is"):
        cgroups.validate(limits)


def test_every_mounted_group_is_made_read_only() -> None:
    for text, first in ((V1, "tmpfs"), (V2, "cgroup2")):
        commands = cgroups.mounts(cgroups.parse(text, {}))
        mounted = [words[-1] for words in commands if words[:2] == ["mount", "-t"] and "tmpfs" not in words]
        assert commands[0][2] == first
        assert mounted == [words[-1] for words in commands if "remount,bind,ro" in words]


def test_a_host_without_limits_is_entered_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "groups_of", lambda *_arguments: {})
    assert cgroups.joining(HV1, 7) == []
    monkeypatch.setattr(cgroups, "groups_of", lambda *_arguments: {Path("/c"): Path("/c/livemig-lm/hv1")})
    assert cgroups.joining(HV1, 7)[-1] == "/c/livemig-lm/hv1"


def test_joining_runs_the_command_from_inside_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {tmp_path / "a": tmp_path / "a", tmp_path / "b": tmp_path / "b"}
    for path in groups:
        path.mkdir()
    monkeypatch.setattr(cgroups, "groups_of", lambda *_arguments: groups)
    words = [*cgroups.joining(HV1, 7), "sh", "-c", 'echo "$$ $1"', "sh", "two words"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split(maxsplit=1)
    assert said[1] == "two words\n"
    assert {(path / "cgroup.procs").read_text().strip() for path in groups} == {said[0]}


@pytest.mark.parametrize(
    ("name", "size"), [("Big", 64), ("", 64), ("a/b", 64), ("a", 0), ("a", blocks.MAXIMUM_MIB + 1)]
)
def test_bad_disks(name: str, size: int) -> None:
    with pytest.raises(LabError, match=r"the disk's name|--size"):
        blocks.validate(name, size, [HV1])


def test_a_disk_needs_a_host() -> None:
    with pytest.raises(LabError, match="the list of hosts is empty"):
        blocks.validate("a", 1, [])


def test_one_device_has_one_identity_and_look_alikes_have_their_own() -> None:
    names = [blocks.wwn("san", owner) for owner in (blocks.SAME, "hv1", "hv2")]
    assert len(set(names)) == 3
    assert all(len(name) == 32 and name.startswith("6") and int(name, 16) for name in names)
    assert blocks.wwn("san", "hv1") == names[1]


def test_loop_devices_of_the_lab_are_told_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"loop0": "/s/blocks/a/same.img", "loop1": "/s/blocks/a/hv1.img (deleted)", "loop2": "/s/blocks2/x.img"}
    for loop, text in files.items():
        (tmp_path / loop / "loop").mkdir(parents=True)
        (tmp_path / loop / "loop" / "backing_file").write_text(f"{text}\n")
    (tmp_path / "loop3").mkdir()
    monkeypatch.setattr(blocks, "SYS_BLOCK", tmp_path)
    found = {Path("/s/blocks/a/same.img"): "loop0", Path("/s/blocks/a/hv1.img"): "loop1"}
    assert blocks.loops(Path("/s/blocks")) == found


def test_a_disk_keeps_its_kind_and_size_and_there_are_not_too_many(tmp_path: Path) -> None:
    where = state(tmp_path)
    file = blocks.image(where, "san", blocks.SAME)
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(1 << 20))
    blocks._check_kind(where, "san", 1, {blocks.SAME})
    for size, owners, word in ((1, {"hv1"}, "one device for all"), (2, {blocks.SAME}, "1 MiB")):
        with pytest.raises(LabError, match=word):
            blocks._check_kind(where, "san", size, owners)
    with pytest.raises(LabError, match="loop devices"):
        blocks._check_kind(where, "more", 1, {f"hv{number}" for number in range(blocks.MAXIMUM_DISKS)})


@pytest.mark.parametrize("path", ["proc/cpuinfo", "/proc/", "/proc/../etc/passwd", "/a\nb"])
def test_bad_paths_of_fakes(path: str) -> None:
    with pytest.raises(LabError, match="PATH is"):
        fakes.validate(path)


def test_texts_of_different_paths_do_not_meet() -> None:
    assert len({fakes.slot(path) for path in ("/a/b", "/a%2Fb", "/a%b", "/a/b/c")}) == 4
    assert "/" not in fakes.slot("/a/b").removeprefix(f"{fakes.FOLDER}/")


@pytest.mark.parametrize("text", [fakes.script("/sys/a b/c'd"), fakes.undo_script("/etc/x;y"), store.creation()])
def test_scripts_are_shell(text: str) -> None:
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_fakes_are_kept_in_order_and_gone_with_the_host(tmp_path: Path) -> None:
    where = state(tmp_path)
    assert fakes.record(where, "hv1") == {}
    where.host("hv1").mkdir(parents=True)
    fakes._write_record(where, "hv1", {"/z": "1", "/a": "2"})
    assert list(fakes.record(where, "hv1")) == ["/z", "/a"]
    shutil.rmtree(where.host("hv1"))
    assert fakes.record(where, "hv1") == {}


def test_mount_points_are_read() -> None:
    assert fakes.mount_points(V2) == ["/sys/fs/cgroup"]


def test_the_store_is_known_to_all_and_no_hypervisor() -> None:
    assert "198.51.100.252 store" in hosts.etc_hosts().splitlines()
    assert hosts.machine("store") is hosts.STORE
    assert hosts.machine("hv3").suite == "bookworm"
    assert hosts.STORE not in hosts.HOSTS
    with pytest.raises(LabError, match="'store'"):
        hosts.select("store")
    assert hosts.LAST_GUEST_OCTET < hosts.STORE.octet < hosts.WITNESS_OCTET


def test_the_store_starts_glusterd_and_no_libvirtd() -> None:
    by_path = {file.path: file for file in store.files()}
    assert "\nglusterd\n" in by_path["/sbin/init"].text
    assert not [path for path in by_path if "libvirt" in path]
    assert all(f"volume set vm {name} " in store.creation() for name in store.OPTIONS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("9 1 0:5 / /srv/gluster rw - fuse.glusterfs store:/vm rw,user_id=0", True),
        ("9 1 0:5 / /srv/gluster rw shared:3 - fuse.glusterfs store:/vm rw", True),
        ("9 1 0:5 / /srv/gluster rw - ext4 /dev/vda rw", False),
        ("9 1 0:5 / /srv/gluster2 rw - fuse.glusterfs store:/vm rw", False),
    ],
)
def test_a_mounted_volume_is_seen(line: str, expected: bool) -> None:
    assert store.mounted_in(f"{V2}{line}\n") is expected


def test_no_gluster_disk_without_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = domain.Guest("web", disk="gluster")
    assert domain.disk_path(guest) == "/srv/gluster/web.qcow2"
    monkeypatch.setattr(store, "is_mounted", lambda _host: False)
    with pytest.raises(LabError, match="store up"):
        guests._define_and_start(state(tmp_path), HV1, guest, 11)


def test_each_suite_has_its_own_packages() -> None:
    assert "virtiofsd" in roots.packages("trixie")
    assert "virtiofsd" not in roots.packages("bookworm")
    for suite in {host.suite for host in (*hosts.HOSTS, hosts.STORE)}:
        names = roots.packages(suite)
        assert len(set(names)) == len(names)
        assert {"swtpm", "ovmf", "dnsmasq-base", "lvm2"} <= set(names)
        assert ("glusterfs-client" in names) is (suite != "testing")


def parsed(*words: str) -> argparse.Namespace:
    return cli.parser().parse_args(words)


def test_options_of_the_commands() -> None:
    assert parsed("limit", "hv1", "--memory", "512", "--cpus", "0").memory_mib == 512
    assert parsed("disk", "hv1,hv2", "san", "--same").same is True
    assert parsed("disk", "hv1", "own", "--look-alike").same is False
    assert parsed("fake", "hv1", "--none").path is None
    assert set(cli_grown.COMMANDS) <= set(cli.COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        ("disk", "hv1", "san", "--same", "--look-alike"),
        ("fake", "hv1", "/proc/cpuinfo"),
        ("fake", "hv1", "/proc/cpuinfo", "--text", "x", "--none"),
        ("store", "restart"),
    ],
)
def test_refused_options(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*words)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_fake_needs_a_path() -> None:
    with pytest.raises(LabError, match="PATH is missing"):
        cli_grown.cmd_fake(parsed("fake", "hv1", "--text", "x"))
