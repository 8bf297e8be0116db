# SPDX-License-Identifier: GPL-3.0-or-later
"""Observation on real hosts: no secret leaves them, rights that are missing become unknown, old versions answer too."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api as preflight
from tests.firing import stage
from tests.firing.provocation import device, element
from tests.lab import api, observe

NAME = "secretive"
SECRETS = ("nOtReAl1", "not-a-real-argument", "not-a-real-variable")
USER = "watcher"


@pytest.fixture(scope="module")
def secretive(lab: None) -> Iterator[str]:
    """A paused guest whose definition holds secrets: a console's password, QEMU's arguments and environment."""
    xml = device(f"<graphics type='vnc' autoport='yes' passwd='{SECRETS[0]}'/>")(stage.plain_xml(NAME))
    xml = xml.replace("<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
    xml = element(
        "<qemu:commandline><qemu:arg value='-fw_cfg'/>"
        f"<qemu:arg value='name=opt/x,string={SECRETS[1]}'/><qemu:env name='LIVEMIG' value='{SECRETS[2]}'/>"
        "</qemu:commandline>"
    )(xml)
    assert stage.start({NAME: xml}) == {}
    yield NAME
    stage.stop([NAME])


def snapshots(user: str | None) -> tuple[t.Any, list[t.Any]]:
    return observe.host_snapshot("hv1", user=user), observe.domain_snapshots("hv1", user=user)


def test_no_secret_is_in_a_snapshot(secretive: str) -> None:
    assert SECRETS[0] in api.exec_on("hv1", ["virsh", "dumpxml", "--security-info", secretive], check=True).stdout
    text = json.dumps(snapshots(None))
    assert secretive in text and "-fw_cfg" in text and "LIVEMIG" in text
    assert [secret for secret in SECRETS if secret in text] == []


def test_root_can_read_everything(secretive: str) -> None:
    host, domains = snapshots(None)
    assert host["unknown"] == []
    assert {domain["name"]: domain["unknown"] for domain in domains}[secretive] == []


def test_a_member_of_the_group_libvirt_sees_less_and_is_told_so(secretive: str) -> None:
    (root, _all), (host, domains) = snapshots(None), snapshots(USER)
    assert host["uuid"] == root["uuid"] and host["networks"] == root["networks"]
    assert host["unknown"] and all(entry["reason"] for entry in host["unknown"])
    found = preflight.findings([host, root | {"name": "hv2", "uuid": "x"}], domains, ["hv2"], {}, {"tls": "required"})
    unknown = [finding for finding in found if finding["status"] == "unknown"]
    assert unknown and all("unknown, since" in finding["message"] for finding in unknown)


def test_debian_12_answers_too(lab: None) -> None:
    api.up("hv1,hv2,hv3,hv4")
    host = observe.host_snapshot("hv3")
    assert host["libvirt_version"] // 1000000 == 9
    assert host["unknown"] == []
