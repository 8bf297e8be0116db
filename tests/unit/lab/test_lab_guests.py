# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's definition, its image, and the options of the command line."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.lab import cli, domain, guests, image, lifecycle
from tests.lab.domain import Guest
from tests.lab.errors import LabError


def tree(guest: Guest, octet: int = 11) -> ElementTree.Element:
    return ElementTree.fromstring(domain.domain_xml(guest, octet))


def attribute(root: ElementTree.Element, path: str, name: str) -> str | None:
    found = root.find(path)
    assert found is not None, path
    return found.get(name)


def test_a_plain_guest() -> None:
    root = tree(Guest("web"), 23)
    assert root.get("type") == "qemu"
    assert root.findtext("uuid") == domain.domain_uuid("web")
    assert attribute(root, "memory", "unit") == "MiB"
    assert root.findtext("memory") == "192"
    assert root.findtext("os/cmdline") == "console=ttyS0 quiet octet=23"
    assert root.findtext("cpu/model") == "qemu64"
    assert attribute(root, "devices/interface/mac", "address") == "52:54:00:4c:4d:17"
    assert attribute(root, "devices/interface/source", "bridge") == "br0"
    assert attribute(root, "devices/memballoon", "model") == "none"
    assert root.find("devices/disk") is None


def test_the_console_is_appended_to_at_a_path_that_all_hosts_share() -> None:
    source = tree(Guest("web")).find("devices/serial[@type='file']/source")
    assert source is not None
    assert source.attrib == {"path": "/srv/shared/consoles/web.log", "append": "on"}


@pytest.mark.parametrize(("disk", "ports"), [(None, 4), ("shared", 5), ("local", 5)])
def test_three_ports_stay_free(disk: str | None, ports: int) -> None:
    assert len(tree(Guest("web", disk=disk)).findall("devices/controller[@model='pcie-root-port']")) == ports


@pytest.mark.parametrize(
    ("disk", "path"), [("shared", "/srv/shared/disks/web.qcow2"), ("local", "/var/lib/libvirt/images/web.qcow2")]
)
def test_disks(disk: str, path: str) -> None:
    root = tree(Guest("web", disk=disk))
    assert attribute(root, "devices/disk/source", "file") == path
    assert attribute(root, "devices/disk/driver", "cache") == "none"


def test_cdrom_dirtier_and_bridge() -> None:
    root = tree(Guest("web", memory_mib=256, cdrom="/a/b&c.iso", dirty="100@20", bridge="br-local"))
    assert attribute(root, "devices/disk[@device='cdrom']/source", "file") == "/a/b&c.iso"
    assert root.find("devices/disk[@device='cdrom']/readonly") is not None
    assert str(root.findtext("os/cmdline")).endswith(" dirty=100@20")
    assert attribute(root, "devices/interface/source", "bridge") == "br-local"


def test_uuids_come_from_the_name() -> None:
    assert domain.domain_uuid("a") == domain.domain_uuid("a") != domain.domain_uuid("b")
    assert uuid.UUID(domain.domain_uuid("a")).version == 5


@pytest.mark.parametrize(
    ("guest", "word"),
    [
        (Guest("Web"), "'Web'"),
        (Guest("a/b"), "'a/b'"),
        (Guest(""), "''"),
        (Guest("a", disk="nfs"), "'nfs'"),
        (Guest("a", memory_mib=64), "64"),
        (Guest("a", dirty="100"), "'100'"),
        (Guest("a", dirty="0@5"), "'0@5'"),
        (Guest("a", dirty="100@20"), "--memory 196"),
    ],
)
def test_bad_wishes_are_refused(guest: Guest, word: str) -> None:
    with pytest.raises(LabError, match=word):
        domain.validate(guest)


@pytest.mark.parametrize("guest", [Guest("web-1"), Guest("a", dirty="96@0"), Guest("a", disk="local")])
def test_good_wishes_pass(guest: Guest) -> None:
    domain.validate(guest)


def test_octets() -> None:
    entries = {"a": {"octet": 11}, "c": {"octet": 13}}
    assert guests.free_octet(entries, "c") == 13
    assert guests.free_octet(entries, "b") == 12
    assert guests.free_octet({}, "a") == 11
    with pytest.raises(LabError, match="taken"):
        guests.free_octet({str(octet): {"octet": octet} for octet in range(11, 251)}, "z")


def test_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    entries = [
        image.directory("bin"),
        image.Entry("bin/tool", 0o100755, b"abc"),
        image.Entry("bin/sh", 0o120777, b"tool"),
    ]
    data = image.archive(entries)
    assert data.startswith(b"070701")
    assert data.count(b"070701") == 4
    assert b"TRAILER!!!\0" in data
    assert len(data) % 4 == 0
    # name sizes, mode and data size of the second entry, at their places in the header
    second = data[data.index(b"070701", 6) :]
    assert int(second[14:22], 16) == 0o100755
    assert int(second[54:62], 16) == 3
    assert int(second[94:102], 16) == len("bin/tool") + 1
    assert second[110:119] == b"bin/tool\0"
    assert second[120:123] == b"abc"
    try:
        done = subprocess.run(["cpio", "-t", "--quiet"], input=data, capture_output=True, cwd=tmp_path, check=True)
    except FileNotFoundError:
        return
    assert done.stdout.decode().split() == ["bin", "bin/tool", "bin/sh"]


def test_modules_load_after_what_they_need() -> None:
    dep = (
        "a/virtio_net.ko.xz: a/net_failover.ko.xz b/failover.ko.xz\n"
        "a/net_failover.ko.xz: b/failover.ko.xz\n"
        "b/failover.ko.xz:\n"
    )
    order = image.load_order(dep, ("virtio_net", "net_failover", "built_in"))
    assert order == ["b/failover.ko.xz", "a/net_failover.ko.xz", "a/virtio_net.ko.xz"]


def test_the_image_is_rebuilt_when_a_source_changes() -> None:
    assert image.key("root", [b"a", b"b"]) != image.key("root", [b"a", b"c"])
    assert image.key("root", [b"ab", b""]) != image.key("root", [b"a", b"b"])
    assert image.key("root", [b"a"]) != image.key("other", [b"a"])


def test_guest_options_become_a_guest() -> None:
    words = (
        "guest start hv2 busy --memory 256 --dirty 100@20 --disk shared --bridge br-local --autostart --cdrom /x.iso"
    )
    options = cli.parser().parse_args(words.split())
    assert options.host == "hv2"
    assert cli.guest_of(options) == Guest(
        "busy", 256, disk="shared", dirty="100@20", bridge="br-local", autostart=True, cdrom="/x.iso"
    )
    assert cli.guest_of(cli.parser().parse_args(["guest", "start", "hv1", "plain"])) == Guest("plain")


def test_check_and_up_options() -> None:
    options = cli.parser().parse_args(
        ["check", "--guests", "a,b", "--seconds", "3", "--json", "--save", "s", "--against", "t"]
    )
    assert (options.guests, options.seconds, options.json) == ("a,b", 3.0, True)
    assert (options.save, options.against) == (Path("s"), Path("t"))
    up = cli.parser().parse_args(["up", "--hosts", "hv1", "--no-tls"])
    assert (up.hosts, up.no_tls) == ("hv1", True)


def test_exec_passes_every_word_on() -> None:
    options = cli.parser().parse_args(["exec", "hv1", "--", "ls", "--json", "-l", "--", "x"])
    assert options.host == "hv1"
    assert cli.command_words(options.argv) == ["ls", "--json", "-l", "--", "x"]
    assert cli.command_words(["ls"]) == ["ls"]
    with pytest.raises(LabError, match="no command"):
        cli.command_words(["--"])


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["guest"], ["guest", "start", "hv1"], ["guest", "start", "hv1", "a", "--disk", "x"]]
)
def test_wrong_usage_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2


def test_an_error_is_said_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exec", "hv99", "--", "true"]) == 1
    assert "'hv99'" in capsys.readouterr().err


def status(name: str, init: int | None, libvirtd: bool, ssh: bool) -> lifecycle.HostStatus:
    return lifecycle.HostStatus(name, init, libvirtd, ssh)


def test_status_codes() -> None:
    up, down = status("hv1", 7, True, True), status("hv2", None, False, False)
    assert cli.status_code([up, down]) == 0
    assert cli.status_code([down, down]) == 3
    assert cli.status_code([up, status("hv2", 8, False, True)]) == 1
    assert cli.status_code([up, status("hv2", 8, True, False)]) == 1
