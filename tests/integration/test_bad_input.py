# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one clear message with value, expected and remedy, and nothing moved."""

from __future__ import annotations

import typing as t

import pytest

from tests.integration.conftest import Play, place_of
from tests.lab import api

KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
HV1 = {"livemig_evacuate_hosts": ["hv1"]}
CASES: dict[str, tuple[str, dict[str, t.Any], list[str], list[str]]] = {
    "host that does not exist": (
        "evacuate",
        {"livemig_evacuate_hosts": ["hv9"]},
        [],
        ["Host hv9: not in the inventory", "expected one of hv1, hv2, hv4"],
    ),
    "destination that does not exist": (
        "evacuate",
        {**HV1, "livemig_destinations": "hv2,hv9"},
        [],
        ["Host hv9: not in the inventory", "livemig_destinations"],
    ),
    "empty list of hosts": ("evacuate", {"livemig_evacuate_hosts": []}, [], ["livemig_evacuate_hosts: empty"]),
    "no list of hosts": ("evacuate", {}, [], ["livemig_evacuate_hosts: empty", "-e livemig_evacuate_hosts=hv1"]),
    "empty text": ("evacuate", {"livemig_evacuate_hosts": ""}, [], ["livemig_evacuate_hosts: empty"]),
    "destination equal to the source": (
        "evacuate",
        {**HV1, "livemig_destinations": ["hv1"]},
        [],
        ["Destination hv1: is also a host to empty", "take it out"],
    ),
    "limit hides the destinations": (
        "evacuate",
        HV1,
        ["--limit", "hv1"],
        ["Destinations: none", "--limit hv1", "run without --limit"],
    ),
    "limit hides the source": ("evacuate", HV1, ["--limit", "hv2"], ["Host hv1: not in this play (--limit hv2)"]),
    "group that does not exist": (
        "evacuate",
        {**HV1, "livemig_hosts": "nodes"},
        [],
        ["livemig_hosts: nodes", "put the hypervisors into a group"],
    ),
    "wrong credentials": (
        "evacuate",
        {**HV1, "ansible_ssh_private_key_file": "/nonexistent", "ansible_control_path": "/tmp/livemig-none-%%h"},
        [],
        ["Permission denied", "make SSH, the user's rights and the libvirt daemon work there"],
    ),
    "libvirt connection refused": (
        "evacuate",
        {**HV1, "livemig_local_uri": "qemu+unix:///system?socket=/nonexistent"},
        [],
        ["Host hv1:", "Host hv2:", "/nonexistent", "expected an answer from every host"],
    ),
    "domain that is not there": (
        "evacuate",
        {**HV1, "livemig_domains": ["nobody"]},
        [],
        ["Domain nobody: not on hv1", "subject1"],
    ),
    "unknown choice": ("evacuate", {**HV1, "livemig_tls": "maybe"}, [], ["maybe", "required, off"]),
    "number that is none": ("evacuate", {**HV1, "livemig_max_parallel": 0}, [], ["livemig_max_parallel", "1 or more"]),
    "one domain, not there": (
        "migrate",
        {"livemig_domain": "nobody"},
        [],
        ["Domain nobody: active on no host", "subject1"],
    ),
    "one domain, not named": ("migrate", {}, [], ["livemig_domain: not set"]),
    "one domain, to where it cannot go": (
        "migrate",
        {"livemig_domain": "subject1", "livemig_destination": "hv9"},
        [],
        ["Host hv9: not in the inventory"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, guest: str, play: Play) -> None:
    playbook, variables, words, expected = CASES[name]
    done = play(playbook, variables, *words)
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, said
    for text in expected:
        assert text in said
    for mark in ("Traceback", "Unexpected failure", "object of type"):
        assert mark not in said
    assert place_of(guest) == ["hv1"]


def test_a_destination_that_is_down(guest: str, play: Play) -> None:
    """Its SSH answers, its libvirt daemon does not."""
    api.exec_on("hv4", ["service", "libvirtd", "stop"], check=True)
    try:
        done = play("evacuate", HV1)
        said = " ".join(done.stdout.split())
        assert done.returncode != 0, said
        assert "Host hv4:" in said
        assert "Remedy: make SSH" in said
        assert "Host hv2:" not in said
        assert place_of(guest) == ["hv1"]
        without_it = play("evacuate", {**HV1, "livemig_destinations": "hv2", "livemig_domains": guest})
        assert without_it.returncode == 0, without_it.stdout
        assert place_of(guest) == ["hv2"]
    finally:
        api.exec_on("hv4", ["service", "libvirtd", "start"], check=True)


def test_a_way_to_the_destination_that_would_ask_a_question(guest: str, play: Play) -> None:
    """Without pipelining the module has a terminal, on which ssh would wait for an answer for ever."""
    over_ssh = {"livemig_uri": "qemu+ssh://root@{host}/system", "ansible_pipelining": False}
    wanted = {"livemig_domain": guest, "livemig_destination": "hv2", **over_ssh}
    api.exec_on("hv1", ["mv", KNOWN_HOSTS, f"{KNOWN_HOSTS}.aside"], check=True)
    try:
        done = play("migrate", wanted)
        said = " ".join(done.stdout.split())
        assert done.returncode != 0, said
        assert "sec_libvirt_remote_auth" in said
        assert "let root on the source log in there by key" in said
        assert place_of(guest) == ["hv1"]
    finally:
        api.exec_on("hv1", ["mv", f"{KNOWN_HOSTS}.aside", KNOWN_HOSTS], check=True)
    done = play("migrate", wanted)
    assert done.returncode == 0, done.stdout
    assert place_of(guest) == ["hv2"]
