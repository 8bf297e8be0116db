# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates: what QEMU and libvirt would refuse, and what they would not."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import tls_name
from tests.unit.preflight.scene import Scene


def _certificates(scene: Scene, host: str = "destination") -> t.Any:
    return getattr(scene, host)["security"]["certificates"]


KEYS: dict[str, tuple[dict[str, t.Any], str | None]] = {
    "as it should be": ({}, None),
    "not there": ({"exists": False, "readable": None, "fits": None}, "there is none; expected the key of"),
    "another one": ({"fits": False}, "it does not belong to /etc/pki/qemu/server-cert.pem"),
    "for root alone": ({"readable": False}, "QEMU, with uid 0 and gid 0, may not read it"),
    "nothing known": ({"exists": None, "readable": None, "fits": None}, None),
}


@pytest.mark.parametrize(("changes", "text"), KEYS.values(), ids=KEYS)
def test_the_key(changes: dict[str, t.Any], text: str | None) -> None:
    scene = Scene()
    _certificates(scene)["qemu_server"]["key"].update(changes)
    found = scene.of("sec_tls_migration_certs")
    assert [finding["blocks"] for finding in found] == ([True] if text else [])
    assert text is None or text in found[0]["message"]


def test_a_certificate_of_another_ca_than_the_one_next_to_it() -> None:
    scene = Scene()
    _certificates(scene)["qemu_server"]["all"][0]["authority"] = "00"
    assert "no CA in /etc/pki/qemu/ca-cert.pem has signed it" in scene.of("sec_tls_migration_certs")[0]["message"]


def test_a_certificate_that_cannot_be_read_is_unknown() -> None:
    scene = Scene()
    _certificates(scene)["qemu_server"] = {"path": "/x.pem", "error": "it is cut off"}
    assert [finding["status"] for finding in scene.of("sec_tls_migration_certs")] == ["unknown"]


def test_a_file_without_a_whole_certificate_is_refused() -> None:
    scene = Scene()
    _certificates(scene)["qemu_server"] = {"path": "/x.pem", "broken": "there is no whole certificate in it"}
    (found,) = scene.of("sec_tls_migration_certs")
    assert found["blocks"]
    assert "Certificate /x.pem of hv2: there is no whole certificate in it" in found["message"]


USES: dict[str, tuple[str, dict[str, t.Any], str | None]] = {
    "purposes that are a hint": ("qemu_server", {"purposes": ["client"], "binding": []}, None),
    "critical purposes": ("qemu_server", {"purposes": ["client"], "binding": ["purposes"]}, "its purpose is client"),
    "any critical purpose": ("qemu_server", {"purposes": ["any"], "binding": ["purposes"]}, None),
    "critical usage": (
        "qemu_server",
        {"usage": ["key encipherment"], "binding": ["usage"]},
        "it may not be used for digital signatures",
    ),
    # QEMU has not asked for it since 10.2, nor have the stable versions since 10.0.7; TLS 1.3 does not need it.
    "no key encipherment": ("qemu_server", {"usage": ["digital signature"], "binding": ["usage"]}, None),
    "a CA as server": ("qemu_server", {"ca": True}, "it is that of a CA"),
    "no CA": ("qemu_ca", {"ca": None}, "it is not marked as that of a CA"),
    "a CA that may not sign": ("qemu_ca", {"usage": [], "binding": ["usage"]}, "it may not sign certificates"),
}


@pytest.mark.parametrize(("name", "changes", "text"), USES.values(), ids=USES)
def test_the_purpose(name: str, changes: dict[str, t.Any], text: str | None) -> None:
    scene = Scene()
    _certificates(scene)[name]["all"][0].update(changes)
    found = scene.of("sec_tls_cert_validity")
    assert [finding["blocks"] for finding in found] == ([True] if text else [])
    assert text is None or text in found[0]["message"]


@pytest.mark.parametrize(
    ("wanted", "entry", "named"),
    [
        ("hv2", "hv2", True),
        ("HV2.example.com.", "hv2.example.com", True),
        ("hv2.example.com", "*.example.com", True),
        ("hv2.rack.example.com", "*.example.com", False),
        ("example.com", "*.example.com", False),
        ("198.51.100.2", "198.51.100.2", True),
        ("198.51.100.2", "198.51.100.20", False),
        ("fd00::2", "FD00:0:0:0:0:0:0:2", True),
        ("hv2", "198.51.100.2", False),
    ],
)
def test_names(wanted: str, entry: str, named: bool) -> None:
    assert tls_name._is_named(wanted, entry) is named


def test_the_name_in_the_uri_counts_for_libvirts_own_connection() -> None:
    scene = Scene()
    scene.policy.update(tls="off", uris={"hv2": "qemu+tls://hv2.example.com/system"})
    assert "servercert.pem of hv2" in scene.of("sec_tls_hostname")[0]["message"]
    scene.policy.update(uris={"hv2": "qemu+ssh://hv2.example.com/system"})
    assert scene.of("sec_tls_hostname") == []


def test_without_alternative_names_the_common_name_counts() -> None:
    scene = Scene()
    scene.policy.update(addresses={"hv2": "hv2"})
    scene.destination["tls"]["qemu_server"]["names"] = []
    assert scene.of("sec_tls_hostname") == []
    scene.policy.update(addresses={"hv2": "hv3"})
    assert "it is for hv2; expected hv3" in scene.of("sec_tls_hostname")[0]["message"]


def test_the_name_that_the_migration_expects_counts_before_the_address() -> None:
    scene = Scene()
    scene.policy.update(addresses={"hv2": "elsewhere"}, migration={"tls_destination": "hv2"})
    assert scene.of("sec_tls_hostname") == []
    scene.policy.update(addresses={"hv2": "hv2"}, migration={"tls_destination": "hv3"})
    assert "expected hv3 among its names, by which tls_destination" in scene.of("sec_tls_hostname")[0]["message"]


VERIFY: tuple[tuple[dict[str, t.Any], bool], ...] = (
    ({"default_tls_x509_verify": 1, "migrate_tls_x509_verify": None}, True),
    ({"default_tls_x509_verify": 0, "migrate_tls_x509_verify": None}, False),
    ({"default_tls_x509_verify": 1, "migrate_tls_x509_verify": 0}, False),
    ({"default_tls_x509_verify": 0, "migrate_tls_x509_verify": 1}, True),
)


@pytest.mark.parametrize(("conf", "asked_for"), VERIFY)
def test_a_destination_that_asks_for_no_client_certificate(conf: dict[str, t.Any], asked_for: bool) -> None:
    scene = Scene()
    scene.destination["daemon"]["qemu_conf"].update(conf)
    _certificates(scene, "source")["qemu_client"]["all"][0]["authority"] = "00"
    # The source's own QEMU refuses a certificate that its CA has not signed; that is another check's.
    assert bool(scene.of("sec_tls_ca_known")) is asked_for
    scene.source["tls"]["qemu_client"]["exists"] = False
    del _certificates(scene, "source")["qemu_client"]
    assert bool(scene.of("sec_tls_migration_certs")) is asked_for


def test_without_a_ca_nobody_is_trusted() -> None:
    scene = Scene()
    scene.destination["daemon"]["qemu_conf"].update(migrate_tls_x509_verify=0)
    scene.source["tls"]["qemu_ca"]["exists"] = scene.source["tls"]["qemu_client"]["exists"] = False
    found = scene.of("sec_tls_migration_certs")
    assert found[0]["message"].count("there is no") == 1 and "ca-cert.pem" in found[0]["message"]
