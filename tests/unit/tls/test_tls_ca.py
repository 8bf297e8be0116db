# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import multiprocessing
import os
import pathlib
import stat
import sys
import types
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import api, ca, pem
from tests.unit.tls.material import NOW, codes, given, later, request, self_signed, source

CA_TRUE = (x509.BasicConstraints(True, None), True)


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_made_ca_is_kept_with_tight_modes_and_used_again(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "site" / "livemig-ca"
    first = api.issue(request(source(folder)))
    second = api.issue(request(source(folder)))
    assert (first["ca_made"], second["ca_made"]) == (True, False)
    assert first["ca_cert"] == second["ca_cert"] == (folder / "ca-cert.pem").read_text()
    assert (mode(folder), mode(folder / "ca-key.pem")) == (0o700, 0o600)
    assert sorted(os.listdir(folder)) == ["ca-cert.pem", "ca-key.pem"]
    assert codes(api.inspect(request(source(folder), first["certificate"]))) == []


def test_looking_makes_no_ca(tmp_path: pathlib.Path) -> None:
    report = api.inspect(request(source(tmp_path / "livemig-ca")))
    assert (codes(report), report["ca_exists"], report["ca_cert"]) == (["missing"], False, None)
    assert "a new CA 'livemig CA'" in report["diff"][0]["after"]
    assert os.listdir(tmp_path) == []


def _issue_in_child(folder: str, queue: t.Any) -> None:
    queue.put(api.issue(request(source(pathlib.Path(folder))))["ca_cert"])


def test_hosts_handled_at_the_same_time_get_one_ca(tmp_path: pathlib.Path) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_issue_in_child, args=(str(tmp_path / "ca"), queue)) for _child in range(6)]
    for child in children:
        child.start()
    authorities = {queue.get(timeout=60) for _child in children}
    for child in children:
        child.join(60)
    assert len(authorities) == 1


def test_a_made_ca_is_fit_to_sign_and_for_nothing_else(tmp_path: pathlib.Path) -> None:
    certificate = ca.new_authority("livemig CA", 10, NOW).certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert (usage.key_cert_sign, usage.digital_signature, usage.key_encipherment) == (True, False, False)


def test_a_made_ca_never_replaces_another_one_unasked(tmp_path: pathlib.Path) -> None:
    theirs = api.issue(request(source(tmp_path / "theirs")))["certificate"]
    for folder in (tmp_path / "lost", tmp_path / "ours"):
        if folder.name == "ours":
            api.issue(request(source(folder)))
        for call in (api.inspect, api.issue):
            with pytest.raises(LivemigError, match="certificate of another CA.*livemig_tls_replace_ca: true"):
                call(request(source(folder), theirs))
    assert not (tmp_path / "lost").exists()


def test_a_made_ca_replaces_another_one_when_told_to(tmp_path: pathlib.Path) -> None:
    theirs = api.issue(request(source(tmp_path / "theirs")))["certificate"]
    asked = request(source(tmp_path / "ours"), theirs, replace_ca=True)
    assert codes(api.inspect(asked)) == ["other_ca"]
    assert api.issue(asked)["ca_made"] is True


def refusal(ca_source: api.CaSource, call: t.Callable[[api.Request], t.Any] = api.inspect) -> str:
    with pytest.raises(LivemigError) as caught:
        call(request(ca_source))
    text = str(caught.value)
    assert "; expected " in text and "Remedy: " in text
    return text


def test_a_key_that_does_not_belong_to_the_certificate(tmp_path: pathlib.Path) -> None:
    one, other = given(ca.new_authority("one", 10, NOW)), given(ca.new_authority("other", 10, NOW))
    text = refusal(source(tmp_path, certificate=one["certificate"], key=other["key"]))
    assert text.startswith("The CA key does not belong to the CA certificate: CN=one ")
    assert other["key"].splitlines()[1] not in text


@pytest.mark.parametrize(
    ("authority", "start"),
    [
        (
            lambda: self_signed(CA_TRUE, days=0),
            "The CA certificate has expired: CN=odd CA, valid until 2026-06-01 12:00",
        ),
        (
            lambda: self_signed(CA_TRUE, begins=1),
            "The CA certificate is not yet valid: CN=odd CA, valid from 2026-06-02",
        ),
        (self_signed, "The CA certificate is not one of a CA: CN=odd CA"),
        (
            lambda: self_signed((x509.BasicConstraints(False, None), True)),
            "The CA certificate is not one of a CA: CN=odd",
        ),
        (
            lambda: self_signed(CA_TRUE, (x509.KeyUsage(True, *[False] * 8), True)),
            "The CA certificate may not sign certificates: CN=odd CA",
        ),
    ],
)
def test_an_unfit_ca_is_refused(tmp_path: pathlib.Path, authority: t.Callable[[], ca.Authority], start: str) -> None:
    assert refusal(source(tmp_path, **given(authority()))).startswith(start)


def test_a_key_without_a_certificate(tmp_path: pathlib.Path) -> None:
    key = given(ca.new_authority("one", 10, NOW))["key"]
    assert refusal(source(tmp_path, key=key)).startswith("The CA is given in part: a CA key without a CA certificate")


def test_a_certificate_without_a_key_is_enough_to_look_and_not_to_issue(tmp_path: pathlib.Path) -> None:
    lone = source(tmp_path, certificate=ca.new_authority("one", 3650, NOW).text)
    assert codes(api.inspect(request(lone))) == ["missing"]
    assert refusal(lone, api.issue).startswith("A certificate is to be issued without the CA key: livemig_tls_ca_cert")


@pytest.mark.parametrize("text", ["rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "  \n"])
def test_a_garbage_certificate(tmp_path: pathlib.Path, text: str) -> None:
    assert refusal(source(tmp_path, certificate=text)).startswith("The CA certificate cannot be read: ")


def test_a_key_in_the_place_of_the_certificate_is_not_shown(tmp_path: pathlib.Path) -> None:
    key = given(ca.new_authority("one", 10, NOW))["key"]
    text = refusal(source(tmp_path, certificate=key, key=key))
    assert "(not shown)" in text and "PRIVATE" not in text and key.splitlines()[1] not in text


@pytest.mark.parametrize("secret", ["hunter2", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"])
def test_a_garbage_key_is_not_shown(tmp_path: pathlib.Path, secret: str) -> None:
    text = refusal(source(tmp_path, certificate=ca.new_authority("one", 10, NOW).text, key=secret))
    assert text.startswith(f"The CA key cannot be read: a text of {len(secret)} characters (not shown)")
    assert "hunter2" not in text and "c2VjcmV0" not in text


def test_an_encrypted_key(tmp_path: pathlib.Path) -> None:
    authority = ca.new_authority("one", 10, NOW)
    if authority.key is None:
        raise ValueError("an authority with a key is needed")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    text = refusal(source(tmp_path, certificate=authority.text, key=authority.key.private_bytes(*form).decode()))
    assert "encrypted with a passphrase" in text and "openssl pkey" in text


def test_a_key_that_cannot_sign(tmp_path: pathlib.Path) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = x25519.X25519PrivateKey.generate().private_bytes(*form).decode()
    assert "cannot sign certificates" in refusal(source(tmp_path, certificate=self_signed(CA_TRUE).text, key=key))


def test_half_a_made_ca(tmp_path: pathlib.Path) -> None:
    api.issue(request(source(tmp_path)))
    (tmp_path / "ca-key.pem").unlink()
    text = refusal(source(tmp_path))
    assert text.startswith(f"The made CA is incomplete: {tmp_path}/ca-cert.pem without {tmp_path}/ca-key.pem")


def test_a_made_ca_that_expired(tmp_path: pathlib.Path) -> None:
    ca.make_authority(tmp_path, "ca", "old", 10, later(-20))
    assert refusal(source(tmp_path)).startswith("The CA certificate has expired: CN=old ")


def test_a_folder_that_cannot_be_read_or_written(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "odd" / "ca-cert.pem").mkdir(parents=True)
    assert "cannot be read" in refusal(source(tmp_path / "odd"))
    assert "cannot be read" in refusal(source(tmp_path / "file"))
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere" / "deeper")
    assert "cannot be written" in refusal(source(link), api.issue)


def test_a_bundle_is_installed_as_a_whole_and_its_first_ca_signs(tmp_path: pathlib.Path) -> None:
    new, old = ca.new_authority("new", 3650, NOW), ca.new_authority("old", 3650, NOW)
    key = given(new)["key"]
    result = api.issue(request(source(tmp_path, certificate=new.text + old.text, key=key)))
    assert result["ca_cert"] == new.text + old.text
    pem.load_certificate(result["certificate"], "it").verify_directly_issued_by(new.certificate)


def test_an_old_cryptography_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    api.require_cryptography()
    monkeypatch.setattr(pem, "x509", types.SimpleNamespace(Certificate=object))
    with pytest.raises(LivemigError, match=r"cryptography of the controller .*: \d.*; expected 42 or newer"):
        api.require_cryptography()


def test_a_missing_cryptography_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(LivemigError, match="not installed; expected 42 or newer"):
        api.require_cryptography()
