# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates and keys, AppArmor's local rules, SELinux's booleans and labels, from files as they are on hosts."""

from __future__ import annotations

import errno
import functools
import os
import pathlib
import typing as t
import xml.etree.ElementTree as ET
from unittest import mock

import pytest
from cryptography import x509 as made

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers_security,
    area,
    files,
    host,
    host_net,
    host_security,
    x509,
)
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import ca
from tests.unit import standin_libvirt
from tests.unit.tls import material

# The server certificate of a host of the lab, made by the role tls, and one made by openssl with critical usage.
SERVER = """-----BEGIN CERTIFICATE-----
MIIB8TCCAZegAwIBAgIUU1uIvnLYHZ7wrY7tEd/jM6e0gfgwCgYIKoZIzj0EAwIw
QzFBMD8GA1UEAww4bGl2ZW1pZyBRRU1VIENBIDNjODM3MjE4YjMwZDliODE5MWE2
MDI0MWYyZmUxZmVhMDMxYWYzODkwHhcNMjYxMTIwMjI1MDUyWhcNMjcxMTIwMjM1
MDUyWjAlMRUwEwYDVQQKDAxsaXZlbWlnIHFlbXUxDDAKBgNVBAMMA2h2MTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABE3Q3eZPz32Cc0761CAZPNV3ScDqmy1Hxp74
op5x4Yn3I+gMvQth1UrZKk3XRcr7t4Phhh62rWLYJXiZpTQ54pejgYYwgYMwDAYD
VR0TAQH/BAIwADAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwFAYDVR0R
BA0wC4cExjNkAYIDaHYxMB0GA1UdDgQWBBSoZj1vwCpDLpWFksy4PH/WN9gZuzAf
BgNVHSMEGDAWgBRSFaq4JjSJFpVt+Tj2kGSTT6kayjAKBggqhkjOPQQDAgNIADBF
AiBcn0ybUydhq6zwAFJTTnL9rSUeUh9/9xjRfbZmfmxX2gIhAKH0Jx/oH+Z1mR4X
MlrTwyFyofRQin0IdcFNVvz9yPx8
-----END CERTIFICATE-----
"""
SIGNER = """-----BEGIN CERTIFICATE-----
MIIBuzCCAWGgAwIBAgIUPOo4JSl/2gSHG5lgLI4cFxagk2QwCgYIKoZIzj0EAwIw
HTEKMAgGA1UECgwBeDEPMA0GA1UEAwwGc2lnbmVyMB4XDTI2MTEyMTAwMTgyNFoX
DTM2MTExODAwMTgyNFowHTEKMAgGA1UECgwBeDEPMA0GA1UEAwwGc2lnbmVyMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqG1/yDF9zjcnR6tq27787RyySSREq0co
B4883k0eoSnHQ8xp/jSBZJjJAMNlWif+6cuklMNZKWiPbBCgJVq4s6N/MH0wHQYD
VR0OBBYEFGc3+NGG1lVIzyC+NDk46EJO5ApsMB8GA1UdIwQYMBaAFGc3+NGG1lVI
zyC+NDk46EJO5ApsMA4GA1UdDwEB/wQEAwIFIDAgBgNVHSUBAf8EFjAUBggrBgEF
BQcDAwYIKwYBBQUHAwIwCQYDVR0TBAIwADAKBggqhkjOPQQDAgNIADBFAiAK/h38
VVNQHmpoAsu/ebCFLyf3eYbUTRi1rSH9ThC+0gIhALv4PYxqVJAf/K2ZwIAooq8n
z6F75ROsEuCmw7lJSOSL
-----END CERTIFICATE-----
"""


def test_a_file_with_two_certificates() -> None:
    server, signer = x509.read(SERVER + SIGNER)
    assert server["common_name"] == "hv1" and server["ca"] is False
    assert server["key_id"] == "a8663d6fc02a432e958592ccb83c7fd637d819bb"
    assert server["authority"] == "5215aab826348916956df938f69064934fa91aca"
    assert (server["usage"], server["purposes"], server["binding"]) == (None, ["server", "client"], [])
    assert server["issuer"] != server["subject"] and signer["issuer"] == signer["subject"]
    assert signer["usage"] == ["key encipherment"] and signer["purposes"] == ["other", "client"]
    assert signer["binding"] == ["usage", "purposes"]


def test_a_certificate_without_extensions() -> None:
    read = x509.read(_signed().text)[0]
    nothing = ("key_id", "authority", "ca", "usage", "purposes")
    assert read["common_name"] == "odd CA" and [read[name] for name in nothing] == [None] * 5


def test_a_ca() -> None:
    read = x509.read(material.self_signed((made.BasicConstraints(ca=True, path_length=0), True)).text)[0]
    assert read["ca"] is True


@pytest.mark.parametrize(
    "text", ["", "no certificate", SERVER.replace("MIIB8", "MIIC8"), SERVER.replace("MIIB8", "AAAB8")]
)
def test_what_cannot_be_read_as_a_certificate(text: str) -> None:
    with pytest.raises(ValueError, match=r"no whole certificate|cut off|cannot be read|padding"):
        x509.read(text)


@pytest.mark.parametrize("text", ["", "no certificate", SERVER[: len(SERVER) // 2]])
def test_what_nobody_finds_a_certificate_in(text: str) -> None:
    with pytest.raises(x509.NoCertificate):
        x509.read(text)


@functools.lru_cache
def _signed() -> ca.Authority:
    return material.self_signed()


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> tuple[str, str]:
    given = material.given(_signed())
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path, name in zip(paths, ("certificate", "key"), strict=True):
        path.write_text(given[name])
    os.chmod(paths[1], 0o640)
    return str(paths[0]), str(paths[1])


def test_a_key_fits_its_certificate_and_no_other(pair: tuple[str, str], tmp_path: pathlib.Path) -> None:
    assert host_security._key(*pair, None) == {"path": pair[1], "exists": True, "readable": None, "fits": True}
    (tmp_path / "other.pem").write_text(SERVER)
    assert host_security._fits(str(tmp_path / "other.pem"), pair[1]) is False
    assert host_security._key(pair[0], str(tmp_path / "none"), None)["exists"] is False


def test_a_key_with_a_password_is_not_known_to_fit(pair: tuple[str, str], tmp_path: pathlib.Path) -> None:
    key = tmp_path / "locked.pem"
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    assert host_security._fits(pair[0], str(key)) is None


def test_a_folder_that_may_not_be_entered_tells_nothing(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.stat", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    assert host_security._key(*pair, None) == {"path": pair[1], "exists": None, "readable": None, "fits": None}


@pytest.mark.parametrize(
    ("mode", "uid", "group", "readable"),
    [
        (0o600, "own", "other", True),
        (0o600, "other", "own", False),
        (0o640, "other", "own", True),
        (0o640, "other", "other", False),
        (0o644, "other", "other", True),
        (0o044, "own", "own", False),
        (0o000, "root", "other", True),
    ],
)
def test_the_mode_says_who_may_read(pair: tuple[str, str], mode: int, uid: str, group: str, readable: bool) -> None:
    os.chmod(pair[1], mode)
    if os.getuid() == 0:
        os.chown(pair[1], 4242, 4243)
    info = os.stat(pair[1])
    uids = {"own": info.st_uid, "other": 4299, "root": 0}
    groups = {info.st_gid if group == "own" else 4298}
    assert host_security._may(pair[1], uids[uid], groups, 4) is readable


def _host(capabilities: str) -> t.Any:
    return mock.Mock(capabilities=lambda: ET.fromstring(capabilities))


def test_an_unprivileged_daemon_changes_no_owners() -> None:
    models = "<c><host><secmodel><model>{}</model><doi>0</doi>{}</secmodel></host></c>"
    assert host_security.qemu_user(_host(models.format("none", ""))) is None
    label = "<baselabel type='kvm'>+64055:+107</baselabel>"
    assert host_security.qemu_user(_host(models.format("dac", label))) == {"uid": 64055, "gid": 107}
    assert host_security.qemu_user(_host(models.format("dac", label.replace("+64055", "qemu")))) is None


PKI = {
    "nothing there": ({}, False, "/etc/pki/qemu"),
    "a default": ({"default_tls_x509_cert_dir": "/d"}, False, "/d"),
    "its own folder": ({}, True, "/etc/pki/libvirt-{}"),
    "its own folder and a default": ({"default_tls_x509_cert_dir": "/d"}, True, "/etc/pki/libvirt-{}"),
    "its own setting": ({"{}_tls_x509_cert_dir": "/o", "default_tls_x509_cert_dir": "/d"}, True, "/o"),
}


@pytest.mark.parametrize(("conf", "there", "folder"), PKI.values(), ids=PKI)
def test_where_qemu_finds_its_certificates(
    conf: dict[str, str], there: bool, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def exists(path: str) -> bool:
        looked.append(path)
        return there and os.path.basename(path).startswith("libvirt-")

    monkeypatch.setattr("os.path.exists", exists)
    for service in ("migrate", "vnc"):
        given = {name.format(service): value for name, value in conf.items()}
        monkeypatch.setattr(files, "qemu_conf", lambda given=given: {**given, "vnc_tls": 1})
        if service == "migrate":
            assert host.certificates()["qemu_server"]["path"] == folder.format(service) + "/server-cert.pem"
            host_security.certificates(area.Host(mock.Mock()))
        else:
            host_net.console_settings(area.Host(mock.Mock()))
        assert looked[-1].startswith(folder.format(service) + "/")


def test_secrets_are_stored_under_several_endings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_security, "_SECRETS", str(tmp_path / "secrets"))
    assert host_security.stored_secrets(mock.Mock()) == []
    (tmp_path / "secrets").mkdir()
    ids = [f"6c1d000{number}-0000-4000-8000-000000000001" for number in range(3)]
    for name in (*(f"{uuid}.xml" for uuid in ids), f"{ids[0]}.base64", f"{ids[1]}.base64.enc", "README"):
        (tmp_path / "secrets" / name).write_text("")
    assert host_security.stored_secrets(mock.Mock()) == ids[:2]


def test_local_rules_are_compared_without_comments_and_order(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_security, "_APPARMOR", (str(tmp_path / "*"),))
    for name, text in (
        ("a", "# note\n/srv/** rw,\n/dev/x r,\n"),
        ("b", "/dev/x r,\n\n  /srv/** rw,\n"),
        ("c", "# no\n"),
    ):
        (tmp_path / name).write_text(text)
    found = host_security.apparmor(mock.Mock())
    assert sorted(found) == [str(tmp_path / "a"), str(tmp_path / "b")] and len(set(found.values())) == 1


def test_booleans_that_the_policy_does_not_have_are_left_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_security, "_SELINUX", str(tmp_path))
    assert host_security.selinux(mock.Mock()) is None
    (tmp_path / "booleans").mkdir()
    (tmp_path / "enforce").write_text("1")
    (tmp_path / "booleans" / "virt_use_nfs").write_text("0 0")
    assert host_security.selinux(mock.Mock()) == {"enforcing": True, "booleans": {"virt_use_nfs": False}}


def _label(model: str, label: str) -> t.Any:
    asked: t.Any = {"key": "label:x", "ask": "label", "value": {"model": model, "label": label}}
    return answers_security.label(mock.Mock(), asked)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("root:root", ""),
        ("+107:+36", ""),
        ("nobody-here:root", "there is no user nobody-here"),
        ("root:none-here", "there is no group none-here"),
    ],
)
def test_labels_of_users(label: str, reason: str) -> None:
    assert _label("dac", label) == {"valid": not reason, "reason": reason}


def test_labels_of_apparmor(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_security, "_PROFILES", str(tmp_path / "profiles"))
    (tmp_path / "profiles").write_text("libvirtd (enforce)\nmy guests (complain)\n")
    assert _label("apparmor", "my guests")["valid"] is True
    assert _label("apparmor", "guests")["reason"] == "the profile guests is not loaded"


@pytest.mark.parametrize(("error", "valid"), [(None, True), (errno.EINVAL, False)])
def test_labels_of_selinux(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, error: int | None, valid: bool
) -> None:
    monkeypatch.setattr(answers_security, "_CONTEXT", str(tmp_path / "context"))
    (tmp_path / "context").write_text("")
    monkeypatch.setattr("os.write", mock.Mock(side_effect=OSError(error, "no") if error else None))
    assert _label("selinux", "system_u:system_r:svirt_t:s0:c1,c2")["valid"] is valid


class Secrets:
    """A connection to a host with one secret; None: it has no value."""

    def __init__(self, value: bytes | None, secure: bool = True) -> None:
        self.held, self.secure, self.closed = value, secure, False

    def isSecure(self) -> bool:
        return self.secure

    def secretLookupByUUIDString(self, _uuid: str) -> Secrets:
        return self

    def value(self) -> bytes:
        if self.held is None:
            raise standin_libvirt.libvirtError("secret has no value", 66)
        return self.held

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("there", "answer"),
    [
        (Secrets(b"one"), {"same": True}),
        (Secrets(b"two"), {"same": False}),
        (Secrets(None), {"same": False}),
        (Secrets(b"one", secure=False), {"error": "u is not encrypted, and values of secrets are not sent over it"}),
    ],
)
def test_a_secret_is_compared_and_never_told(there: Secrets, answer: dict[str, t.Any]) -> None:
    own = area.Host(t.cast(t.Any, Secrets(b"one")), t.cast(t.Any, lambda _uri: there))
    question: t.Any = {"key": "k", "ask": "secret", "uri": "u", "value": {"here": "a", "there": "b"}}
    assert answers_security.secret(own, question) == answer
    assert there.closed


def test_a_host_that_was_not_reached_is_not_tried_again() -> None:
    tried = []

    def connect(uri: str) -> t.Any:
        tried.append(uri)
        raise LivemigError("Connection", value="no answer", expected="one", remedy="start it")

    own = area.Host(t.cast(t.Any, None), connect)
    question: t.Any = {"key": "k", "ask": "secret", "uri": "u", "value": {"here": "a", "there": "b"}}
    assert [answers_security.secret(own, question) for _time in range(2)] == [{"error": "no answer"}] * 2
    assert tried == ["u"]
