# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of hosts and what is written into a host."""

from __future__ import annotations

import ipaddress
import re
import uuid
from pathlib import Path

import pytest

from tests.lab import hostfiles, hosts, inventory, keys, places, requirements, roots, tls
from tests.lab.errors import LabError

WHERE = places.places({"LIVEMIG_LAB_STATE": "/s", "LIVEMIG_LAB_CACHE": "/c", "LIVEMIG_VENV": "/v"})
KEYS = hostfiles.Keys("PRIVATE", "ssh-ed25519 HOST hv1", "USER-PRIVATE", "ssh-ed25519 USER me", "KNOWN\n")
SCRIPT = "start-stop-daemon --oknodo --stop --quiet --exec X\nstart-stop-daemon --stop --quiet --exec X\n"


def test_names_octets_and_uuids_are_unique() -> None:
    for field in ("name", "octet", "uuid"):
        values = [getattr(host, field) for host in hosts.HOSTS]
        assert len(set(values)) == len(values), field


@pytest.mark.parametrize("host", hosts.HOSTS, ids=lambda host: host.name)
def test_each_row_is_usable(host: hosts.Host) -> None:
    assert str(uuid.UUID(host.uuid)) == host.uuid
    assert len(set(host.uuid.replace("-", ""))) > 1, "libvirt refuses a UUID of one digit"
    assert ipaddress.ip_address(host.address) in ipaddress.ip_network("198.51.100.0/24")
    assert host.octet < hosts.FIRST_GUEST_OCTET
    assert re.fullmatch(r"hv\d+", host.name)


def test_the_three_hosts_of_every_lab() -> None:
    rows = {host.name: (host.suite, host.octet) for host in hosts.select(None)}
    assert rows == {"hv1": ("trixie", 1), "hv2": ("trixie", 2), "hv4": ("trixie", 4)}


def test_select_keeps_the_tables_order_and_drops_repeats() -> None:
    assert [host.name for host in hosts.select("hv4, hv1,hv4")] == ["hv1", "hv4"]


@pytest.mark.parametrize(("names", "word"), [("hv9", "'hv9'"), ("hv1,ctl", "'ctl'"), ("", "empty"), (" , ", "empty")])
def test_select_names_what_is_wrong(names: str, word: str) -> None:
    with pytest.raises(LabError, match=word):
        hosts.select(names)


def test_etc_hosts_resolves_every_host() -> None:
    lines = hosts.etc_hosts().splitlines()
    for expected in ("198.51.100.1 hv1", "198.51.100.2 hv2", "198.51.100.4 hv4", "198.51.100.254 ctl"):
        assert expected in lines


def test_a_host_gets_its_own_uuid_and_keys() -> None:
    host = hosts.host("hv2")
    by_path = {file.path: file for file in hostfiles.files(host, KEYS, SCRIPT)}
    assert f'host_uuid = "{host.uuid}"' in by_path["/etc/libvirt/libvirtd.conf"].text
    assert by_path["/etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert by_path[f"{hostfiles.HOME}/.ssh/authorized_keys"].text == KEYS.user_public
    assert by_path["/sbin/init"].mode == 0o755
    assert by_path["/etc/hostname"].text == "hv2\n"
    assert not {file.path for file in by_path.values()} & {"/etc/default/libvirtd"}, "belongs to the role tls"


def test_libvirtd_does_not_listen_before_the_role_ran() -> None:
    texts = "".join(file.text for file in hostfiles.files(hosts.host("hv1"), KEYS, SCRIPT))
    assert "--listen" not in texts
    assert "listen_tcp" not in texts


def test_the_shared_folder_is_declared_shared() -> None:
    assert f'shared_filesystems = [ "{places.SHARED_INSIDE}" ]' in hostfiles.QEMU_CONF.format(
        shared=places.SHARED_INSIDE
    )


def test_stop_waits_in_both_places() -> None:
    text = hostfiles.patient(SCRIPT)
    assert text.count("--retry=TERM/10/KILL/5 --remove-pidfile") == 2
    assert "--oknodo --stop --retry" in text


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(LabError, match="libvirtd"):
        hostfiles.patient("exec libvirtd\n")


def test_known_hosts_has_name_and_address_without_the_comment() -> None:
    public = {host.name: f"ssh-ed25519 KEY{host.octet} root@somewhere\n" for host in hosts.HOSTS}
    assert keys.known_hosts(public).splitlines()[1] == "hv2,198.51.100.2 ssh-ed25519 KEY2"


def test_inventory_text() -> None:
    text = inventory.text(WHERE, [hosts.host("hv1"), hosts.host("hv4")])
    assert text == (
        "---\n"
        "# written by `python3 -m tests.lab up`\n"
        "all:\n"
        "  children:\n"
        "    hypervisors:\n"
        "      hosts:\n"
        "        hv1:\n"
        '          ansible_host: "198.51.100.1"\n'
        "        hv4:\n"
        '          ansible_host: "198.51.100.4"\n'
        "      vars:\n"
        '        ansible_user: "root"\n'
        '        ansible_ssh_private_key_file: "/s/ssh/id_ed25519"\n'
        '        ansible_ssh_common_args: "-F none -o UserKnownHostsFile=/s/ssh/known_hosts'
        ' -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"\n'
        '        ansible_control_path_dir: "/s/ssh/cp"\n'
        "        ansible_pipelining: true\n"
        '        ansible_python_interpreter: "/usr/bin/python3"\n'
        '        livemig_tls_ca_dir: "/s/ca"\n'
    )


def test_a_root_is_rebuilt_when_its_packages_change() -> None:
    assert roots.key("trixie") == roots.key("trixie", roots.packages("trixie"))
    assert roots.key("trixie") != roots.key("trixie", (*roots.packages("trixie"), "gdb"))
    assert roots.key("trixie") != roots.key("bookworm")
    assert roots.key("trixie") == roots.key("trixie")
    assert roots.path(WHERE, "trixie").parent == Path("/c/roots")


ROW = "   0: 00000000:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 45 1\n"


@pytest.mark.parametrize(
    ("port", "state", "expected"), [("4082", "0A", True), ("4082", "01", False), ("0016", "0A", False)]
)
def test_a_listening_port_is_seen(port: str, state: str, expected: bool) -> None:
    assert tls.listens("  sl  local_address rem_address   st\n" + ROW.format(port=port, state=state)) is expected


GOOD = requirements.Machine(0, frozenset(), True, True, frozenset(requirements.NAMESPACES))


def test_a_complete_machine_lacks_nothing() -> None:
    assert requirements.lacking(GOOD) == []
    assert requirements.lacking_for_roots(GOOD) == []


@pytest.mark.parametrize(
    ("machine", "value", "remedy"),
    [
        (requirements.Machine(1000, GOOD.missing_commands, True, True, GOOD.namespaces), "user id is 1000", "root"),
        (requirements.Machine(0, frozenset({"ip"}), True, True, GOOD.namespaces), "command ip", "iproute2"),
        (requirements.Machine(0, frozenset({"ssh"}), True, True, GOOD.namespaces), "command ssh", "openssh-client"),
        (requirements.Machine(0, GOOD.missing_commands, False, True, GOOD.namespaces), "overlay", "CONFIG_OVERLAY_FS"),
        (requirements.Machine(0, GOOD.missing_commands, True, False, GOOD.namespaces), "/dev/net/tun", "modprobe tun"),
        (requirements.Machine(0, GOOD.missing_commands, True, True, GOOD.namespaces - {"pid"}), "ns/pid", "kernel"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(machine: requirements.Machine, value: str, remedy: str) -> None:
    (problem,) = requirements.lacking(machine)
    assert value in problem.value
    assert remedy in problem.remedy


def test_mmdebstrap_is_only_needed_to_build() -> None:
    machine = requirements.Machine(0, frozenset({"mmdebstrap"}), True, True, GOOD.namespaces)
    assert requirements.lacking(machine) == []
    assert "apt-get install mmdebstrap" in requirements.lacking_for_roots(machine)[0].remedy


def test_several_problems_come_in_one_message() -> None:
    machine = requirements.Machine(1000, frozenset({"ip"}), True, False, GOOD.namespaces)
    with pytest.raises(LabError) as caught:
        requirements.demand(requirements.lacking(machine))
    for part in ("user id is 1000", "command ip", "/dev/net/tun", "iproute2", "modprobe tun"):
        assert part in str(caught.value)
