# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import api, ca, leaf, pem
from tests.unit.tls.material import NOW, WANTED, codes, given, later, request, self_signed, source


@pytest.fixture
def authority() -> ca.Authority:
    return ca.new_authority("test CA", 3650, NOW)


@pytest.fixture
def trusted(authority: ca.Authority, tmp_path: pathlib.Path) -> api.CaSource:
    return source(tmp_path, **given(authority))


def issued(trusted: api.CaSource, **changes: t.Any) -> str:
    return str(api.issue(request(trusted, **changes))["certificate"])


def test_what_was_issued_is_good(trusted: api.CaSource) -> None:
    report = api.inspect(request(trusted, issued(trusted)))
    assert (report["needed"], codes(report), report["diff"], report["warnings"]) == (False, [], [], [])
    assert report["days_left"] == 365


def test_an_issued_certificate_is_what_libvirt_and_qemu_accept(trusted: api.CaSource, authority: ca.Authority) -> None:
    result = api.issue(request(trusted))
    certificate = x509.load_pem_x509_certificate(result["certificate"].encode())
    key = serialization.load_pem_private_key(result["key"].encode(), None)
    extensions = certificate.extensions
    certificate.verify_directly_issued_by(authority.certificate)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
    assert pem.same_key(certificate, key)
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hv1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["198.51.100.1"]
    assert pem.extension(certificate, x509.KeyUsage) is None
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc == later(365)


def test_two_certificates_never_share_a_key(trusted: api.CaSource) -> None:
    assert api.issue(request(trusted))["key"] != api.issue(request(trusted))["key"]


@pytest.mark.parametrize("key", ["missing", "mismatch"])
def test_a_key_that_does_not_fit_is_a_reason(trusted: api.CaSource, key: str) -> None:
    assert codes(api.inspect(request(trusted, issued(trusted), key=key))) == [f"key_{key}"]


def test_a_key_of_which_nothing_is_known_is_no_reason(trusted: api.CaSource) -> None:
    assert codes(api.inspect(request(trusted, issued(trusted), key="unknown"))) == []


def test_nothing_installed(trusted: api.CaSource) -> None:
    report = api.inspect(request(trusted))
    assert (codes(report), report["days_left"]) == (["missing"], None)


def test_one_file_missing(trusted: api.CaSource) -> None:
    assert codes(api.inspect(request(trusted, issued(trusted), ""))) == ["copies_differ", "missing"]


def test_two_different_certificates(trusted: api.CaSource) -> None:
    assert codes(api.inspect(request(trusted, issued(trusted), issued(trusted)))) == ["copies_differ"]


def test_garbage(trusted: api.CaSource) -> None:
    assert codes(api.inspect(request(trusted, "rubbish", issued(trusted)))) == ["copies_differ", "unreadable"]


def test_another_ca_is_replaced_when_the_ca_was_given(trusted: api.CaSource, tmp_path: pathlib.Path) -> None:
    foreign = source(tmp_path, **given(ca.new_authority("foreign", 3650, NOW)))
    assert codes(api.inspect(request(trusted, issued(foreign)))) == ["other_ca"]


def test_a_ca_of_the_same_name_with_another_key_is_another_ca(
    trusted: api.CaSource, authority: ca.Authority, tmp_path: pathlib.Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = authority.certificate.subject
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(later(-1)).not_valid_after(later(3650))
    forged = builder.add_extension(x509.BasicConstraints(True, 0), True).sign(key, hashes.SHA256())
    impostor = source(tmp_path, certificate=pem.to_pem(forged), key=pem.key_to_pem(key))
    assert codes(api.inspect(request(trusted, issued(impostor)))) == ["other_ca"]


def test_a_name_that_is_not_covered(trusted: api.CaSource) -> None:
    wanted = dataclasses.replace(WANTED, names=(*WANTED.names, "2001:db8::1", "hv1.lan"))
    report = api.inspect(request(trusted, issued(trusted), wanted=wanted))
    assert report["reasons"] == [{"code": "names_missing", "message": "it does not name 2001:db8::1, hv1.lan"}]


def test_more_names_than_wanted_are_fine(trusted: api.CaSource) -> None:
    wanted = dataclasses.replace(WANTED, names=("hv1",))
    assert codes(api.inspect(request(trusted, issued(trusted), wanted=wanted))) == []


@pytest.mark.parametrize(
    ("days_later", "expected"),
    [
        (305, []),
        (305.1, ["expiring"]),
        (364.9, ["expiring"]),
        (365, ["expired"]),
        (400, ["expired"]),
        (-1, ["not_yet_valid"]),
    ],
)
def test_the_end_of_a_certificate(authority: ca.Authority, days_later: float, expected: list[str]) -> None:
    certificate, _key = leaf.issue(authority, WANTED, NOW)
    assert [reason.code for reason in leaf.judge(certificate, authority, WANTED, later(days_later))] == expected


def test_a_ca_that_ends_soon_is_a_warning_and_no_endless_renewal(tmp_path: pathlib.Path) -> None:
    short = source(tmp_path, **given(ca.new_authority("short", 30, NOW)))
    report = api.inspect(request(short, issued(short)))
    assert (codes(report), report["days_left"]) == ([], 30)
    assert report["warnings"][0].startswith("The CA certificate is valid for 30 more days; expected at least 60.")


def test_the_certificate_of_a_ca_is_not_one_of_a_host(authority: ca.Authority) -> None:
    found = leaf.judge(authority.certificate, authority, dataclasses.replace(WANTED, names=()), NOW)
    assert [reason.code for reason in found] == ["unfit"]


@pytest.mark.parametrize("usages", [[ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.CLIENT_AUTH]])
def test_a_certificate_for_one_direction_only(usages: list[x509.ObjectIdentifier]) -> None:
    one_way = self_signed((x509.ExtendedKeyUsage(usages), False))
    found = leaf.judge(one_way.certificate, one_way, dataclasses.replace(WANTED, names=()), NOW)
    assert [reason.code for reason in found] == ["unfit"]


def test_a_certificate_that_outlives_nothing_never_outlives_its_ca(tmp_path: pathlib.Path) -> None:
    authority = ca.new_authority("short", 100, NOW)
    assert api.issue(request(source(tmp_path, **given(authority))))["days_left"] == 100


def test_an_rsa_ca_can_sign_and_is_recognised(tmp_path: pathlib.Path) -> None:
    rsa_ca = source(tmp_path, **given(self_signed((x509.BasicConstraints(True, None), True), days=3650)))
    assert codes(api.inspect(request(rsa_ca, issued(rsa_ca)))) == []


@pytest.mark.parametrize("limit", [365, 400, -1])
def test_a_limit_that_would_renew_on_every_run_is_refused(trusted: api.CaSource, limit: int) -> None:
    wanted = dataclasses.replace(WANTED, renew_before_days=limit)
    with pytest.raises(LivemigError, match=rf"livemig_tls_renew_before_days.*: {limit}; expected .*365"):
        api.inspect(request(trusted, wanted=wanted))


def test_the_diff_can_be_read_and_shows_no_key(trusted: api.CaSource) -> None:
    wanted = dataclasses.replace(WANTED, names=("hv1", "new.example"))
    (entry,) = api.inspect(request(trusted, issued(trusted), wanted=wanted))["diff"]
    assert "names: 198.51.100.1, hv1\n" in entry["before"] and "valid until: 2027-06-01 12:00 UTC" in entry["before"]
    assert "names: hv1, new.example\n" in entry["after"]
    assert "PRIVATE" not in str(entry)
