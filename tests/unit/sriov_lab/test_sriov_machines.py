# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of the SR-IOV lab: their table, QEMU's command lines, their files, what they say."""

from __future__ import annotations

import fnmatch
import ipaddress
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.lab import hostfiles, image, inventory, roots
from tests.lab import hosts as lab_hosts
from tests.lab.errors import LabError
from tests.sriov import cli, hosts, images, lifecycle, machine, qemu

SR1, SR2 = hosts.HOSTS
KEYS = hostfiles.Keys("PRIVATE", "ssh-ed25519 HOST sr1", "USER-PRIVATE", "ssh-ed25519 USER me", "KNOWN\n")
SCRIPT = "start-stop-daemon --oknodo --stop --quiet --exec X\nstart-stop-daemon --stop --quiet --exec X\n"


def files(host: lab_hosts.Host) -> dict[str, hostfiles.File]:
    found = machine.files(host, KEYS, SCRIPT, "#!/bin/sh\n")
    assert len({file.path for file in found}) == len(found)
    return {file.path: file for file in found}


def after(words: list[str], option: str) -> list[str]:
    return [words[number + 1] for number, word in enumerate(words) if word == option]


def test_each_machine_is_usable() -> None:
    for host in hosts.HOSTS:
        assert str(uuid.UUID(host.uuid)) == host.uuid
        assert ipaddress.ip_address(host.address) in ipaddress.ip_network("198.51.100.0/24")
        assert host.suite in roots.SUITES
    for field in ("name", "octet", "uuid"):
        assert len({getattr(host, field) for host in hosts.HOSTS}) == len(hosts.HOSTS)


def test_no_address_is_given_twice() -> None:
    macs = [mac(host) for host in hosts.HOSTS for mac in (hosts.management_mac, hosts.pf_mac)]
    assert len(set(macs)) == len(macs)


@pytest.mark.parametrize("name", ["lm", "sriov", "a", "12345678"])
def test_no_other_lab_takes_the_namespace_for_its_own(name: str) -> None:
    assert not fnmatch.fnmatch(hosts.NETNS_NAME, f"{name}-*")


def test_state_is_its_own_and_roots_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEMIG_LAB_STATE", "/s/lab")
    monkeypatch.setenv("LIVEMIG_LAB_CACHE", "/c")
    where = hosts.places()
    assert (where.state, where.roots) == (Path("/s/lab_sriov"), Path("/c/roots"))


def test_addresses_of_vfs_are_those_of_an_82576() -> None:
    assert [hosts.vf_address(number) for number in (0, 1, 3, 4)] == [
        "0000:01:10.0",
        "0000:01:10.2",
        "0000:01:10.6",
        "0000:01:11.0",
    ]


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(LabError, match="'hv1'.*sr1, sr2"):
        hosts.host("hv1")


def test_the_machine_has_an_iommu_and_a_pf_behind_a_root_port() -> None:
    devices = after(qemu.command(SR1, 2048), "-device")
    assert "intel-iommu,intremap=on" in devices
    assert any(device.startswith("pcie-root-port,id=rp1") for device in devices)
    (pf,) = [device for device in devices if device.startswith("igb,")]
    assert "bus=rp1" in pf and f"mac={hosts.pf_mac(SR1)}" in pf
    assert "intel_iommu=on" in after(qemu.command(SR1, 2048), "-append")[0]


def test_qemu_runs_in_the_background_under_its_pid_file() -> None:
    words = qemu.command(SR2, 2048)
    assert "-daemonize" in words
    assert after(words, "-pidfile") == ["/mnt/sr2.pid"]
    assert after(words, "-m") == ["2048M"]


def test_two_machines_share_nothing_that_is_written() -> None:
    def own(host: lab_hosts.Host) -> set[str]:
        return {word for word in qemu.command(host, 2048) if "/mnt/" in word or "mac=" in word or "ifname=" in word}

    assert len(own(SR1)) == len(own(SR2)) == 9
    assert not own(SR1) & own(SR2)


def test_taps_have_names_that_the_kernel_takes() -> None:
    for host in hosts.HOSTS:
        assert all(len(name) <= 15 for name in (qemu.management_tap(host), qemu.wire_tap(host)))


def test_a_command_enters_the_root_with_state_and_images() -> None:
    words = qemu.in_root("/r", "/s", "/i", ["qemu", "-m", "1"])
    assert words[:3] == ["unshare", "--mount", "--propagation"]
    assert words[-6:] == ["/r", "/s", "/i", "qemu", "-m", "1"]


def test_a_machine_gets_its_own_addresses() -> None:
    settings = files(SR2)[machine.SETTINGS].text
    assert "ADDRESS=198.51.100.2/24\n" in settings
    assert "WIRE=203.0.113.2/24\n" in settings
    assert f"PF_MAC={hosts.pf_mac(SR2)}\n" in settings
    assert "hv1" not in files(SR2)["/etc/hosts"].text


def test_a_machine_shares_no_folder() -> None:
    text = files(SR1)["/etc/libvirt/qemu.conf"].text
    assert "shared_filesystems" not in text
    assert 'security_driver = "none"' in text


def test_the_libvirtd_of_a_machine_has_its_uuid() -> None:
    assert f'host_uuid = "{SR1.uuid}"' in files(SR1)["/etc/libvirt/libvirtd.conf"].text


def test_its_files_come_with_their_folders_before_them() -> None:
    entries = machine.entries(files(SR1).values(), b"guest")
    order = [entry.path for entry in entries]
    for entry in entries:
        parent = entry.path.rpartition("/")[0]
        assert not parent or order.index(parent) < order.index(entry.path), entry.path
    modes = {entry.path: entry.mode for entry in entries}
    assert modes[f"host{hostfiles.HOME}/.ssh/id_ed25519"] == 0o100600
    assert modes["host/usr/sbin/init"] == 0o100755
    assert "host/sbin/init" not in modes, "sbin is a link there"


def test_the_kernel_finds_the_second_archive() -> None:
    first = image.archive([image.Entry("a", 0o100644, b"1")])
    whole = machine.initrd(first, [image.Entry("b", 0o100644, b"2")])
    assert whole.startswith(first)
    second = whole.index(b"070701", len(first))
    assert second % 4 == 0 and not whole[len(first) : second].strip(b"\0")


def test_the_general_kernel_is_chosen(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    with pytest.raises(LabError, match="no general kernel"):
        images.kernel_of(tmp_path)
    for name in ("vmlinuz-6.1.0-56-amd64", "vmlinuz-6.1.0-56-cloud-amd64"):
        (boot / name).touch()
    assert images.kernel_of(tmp_path) == "6.1.0-56-amd64"


def test_the_size_of_a_root_counts_blocks(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * (2 << 20))
    (tmp_path / "link").symlink_to("nowhere")
    assert images.size_mib(tmp_path) == 3


@pytest.mark.parametrize("name", ["machine-initramfs", "machine-init", "guest-init"])
def test_a_script_is_sound(name: str) -> None:
    done = subprocess.run(["sh", "-n", str(images.SOURCES / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_applet_of_the_first_program_is_there() -> None:
    script = images.source("machine-initramfs").decode()
    for command in ("mount", "umount", "insmod", "usleep", "rm", "cp", "echo", "switch_root"):
        assert command in script and command in images.MACHINE_APPLETS


def test_stages_are_read_from_the_console() -> None:
    text = "[    1.0] noise\r\nSRIOV-LAB ssh\r\nSRIOV-LAB vfs 2\r\nSRIOV-LAB ready\r\n"
    assert lifecycle.stages(text) == ("ssh", "vfs 2", "ready")
    assert lifecycle.failure(lifecycle.stages(text)) is None


@pytest.mark.parametrize(
    "line", ["SRIOV-LAB failed: modprobe -a igb", "[ 3.1] Kernel panic - not syncing: Attempted to kill init!"]
)
def test_a_failed_machine_is_seen(line: str) -> None:
    assert lifecycle.failure(lifecycle.stages(f"SRIOV-LAB ssh\r\n{line}\r\n")) is not None


def test_memory_is_demanded_with_the_figure() -> None:
    lifecycle.demand_memory(100, 100)
    with pytest.raises(LabError, match="99 MiB.*100 MiB.*--memory"):
        lifecycle.demand_memory(100, 99)


def test_the_words_of_a_status() -> None:
    def entry(pid: int | None, stages: tuple[str, ...], ssh: bool) -> lifecycle.MachineStatus:
        return lifecycle.MachineStatus("sr1", pid, stages, ssh)

    up, down, broken = entry(1, ("ready",), True), entry(None, ("ready",), False), entry(1, ("ssh",), True)
    assert [each.word for each in (up, down, broken)] == ["up", "down", "broken"]
    codes = [cli.status_code(each) for each in ([up, up], [down, down], [up, down], [up, broken])]
    assert codes == [cli.OK, cli.NOT_UP, cli.BAD, cli.BAD]


def test_a_pid_of_another_process_is_not_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIVEMIG_LAB_STATE", str(tmp_path / "x"))
    where = hosts.places()
    assert lifecycle.pid_of(where, SR1) is None
    where.state.mkdir()
    (where.state / "sr1.pid").write_text("1\n", encoding="ascii")
    assert lifecycle.pid_of(where, SR1) is None
    (where.state / "sr1.pid").write_text("", encoding="ascii")
    assert lifecycle.pid_of(where, SR1) is None


def test_the_inventory_names_both_machines() -> None:
    text = inventory.text(hosts.places(), hosts.HOSTS)
    assert 'ansible_host: "198.51.100.1"' in text and "sr2:" in text


def test_the_command_line_knows_its_words() -> None:
    options = cli.parser().parse_args(["guest", "start", "sr1", "web", "--nics", "virtio", "--vf", "1"])
    assert (options.host, options.nics, options.vf, options.memory_mib) == ("sr1", "virtio", 1, 256)
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["guest", "start", "sr1", "web", "--nics", "bond"])
