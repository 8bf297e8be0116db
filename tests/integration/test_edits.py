# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition that is changed on its way: proposed, shown, applied only when allowed, and the same way back."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Play, place_of
from tests.lab import api

NAME = "edited1"
MEDIUM = "/var/lib/libvirt/images/here.iso"
MAP = {"hv2": {"bridge": {"br-here": "br-there"}}, "hv1": {"bridge": {"br-there": "br-here"}}}


@pytest.fixture
def tied(lab: None) -> Iterator[str]:
    """A guest on hv1 with a bridge and a medium that hv2 does not have; hv2 has another bridge."""
    api.exec_on("hv1", ["sh", "-ec", f"echo medium > {MEDIUM}"], check=True)
    api.exec_on("hv2", ["ip", "link", "add", "br-there", "type", "bridge"], check=True)
    api.guest_start("hv1", NAME, bridge="br-here", cdrom=MEDIUM)
    yield NAME
    api.guest_stop(NAME)
    api.exec_on("hv2", ["ip", "link", "del", "br-there"])
    api.exec_on("hv1", ["sh", "-c", f"rm -f {MEDIUM}; ip link del br-here"])


def wanted(source: str, destination: str, *allow: str) -> dict[str, t.Any]:
    edits = {"map": MAP, "allow": list(allow), "eject_media": True}
    hosts = {"livemig_evacuate_hosts": source, "livemig_destinations": destination}
    return {**hosts, "livemig_domains": NAME, "livemig_edits": edits}


def definition(host: str, *words: str) -> str:
    return api.exec_on(host, ["virsh", "-q", "dumpxml", *words, NAME], check=True).stdout


def test_the_way_there_and_back(tied: str, play: Play) -> None:
    forbidden = play("evacuate", wanted("hv1", "hv2"))
    said = " ".join(forbidden.stdout.split())
    assert "its bridge br-here is not on hv2" in said or "br-here is not on the destination" in said, said
    assert "add bridge to livemig_edits.allow" in said and "bridge br-here -> br-there" in said
    assert "add medium to livemig_edits.allow" in said
    assert place_of(tied) == ["hv1"]

    shown = play("evacuate", wanted("hv1", "hv2", "bridge", "medium"), "--check", "--diff")
    assert "-  bridge br-here" in shown.stdout and "+  bridge br-there" in shown.stdout, shown.stdout
    assert f"-  medium {MEDIUM}" in shown.stdout
    assert place_of(tied) == ["hv1"]

    done = play("evacuate", wanted("hv1", "hv2", "bridge", "medium"))
    assert done.returncode == 0, done.stdout
    assert f"{NAME} is changed on its way:" in done.stdout
    assert place_of(tied) == ["hv2"]
    for words in ((), ("--inactive",)):
        xml = definition("hv2", *words)
        assert "br-there" in xml and "br-here" not in xml and MEDIUM not in xml, xml

    back = play("evacuate", wanted("hv2", "hv1", "bridge"))
    assert back.returncode == 0, back.stdout
    assert place_of(tied) == ["hv1"]
    assert "br-here" in definition("hv1") and "br-here" in definition("hv1", "--inactive")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"livemig_checks": [{"check": "no_such", "set": "silence", "reason": "x"}]},
            "no_such; expected the id of a check",
        ),
        ({"livemig_edits": {"allow": ["bridges"]}}, "livemig_edits: allow: bridges; expected one of bridge"),
    ],
)
def test_decisions_that_cannot_be_meant(tied: str, play: Play, variables: dict[str, t.Any], said: str) -> None:
    done = play("evacuate", {**wanted("hv1", "hv2"), **variables})
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())
    assert place_of(tied) == ["hv1"]
