# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests, certificates and keys for the tests of TLS. Times are relative to NOW."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import api, ca, leaf, pem

NOW = datetime.datetime(2026, 6, 1, 12, 0, tzinfo=datetime.UTC)
WANTED = leaf.Wanted(("hv1", "198.51.100.1"), "hv1", "livemig libvirt", days=365, renew_before_days=60)


def later(days: float) -> datetime.datetime:
    return NOW + datetime.timedelta(days=days)


def source(folder: pathlib.Path, **changes: t.Any) -> api.CaSource:
    base = api.CaSource(None, None, str(folder), name="ca", label="livemig CA", days=3650)
    return dataclasses.replace(base, **changes)


def given(authority: ca.Authority) -> dict[str, str]:
    if authority.key is None:
        raise ValueError("an authority with a key is needed")
    return {"certificate": authority.text, "key": pem.key_to_pem(authority.key)}


def request(ca_source: api.CaSource, *texts: str, key: str = "matches", **changes: t.Any) -> api.Request:
    """A request about a server's and a client's file with these texts (one text: both)."""
    both = texts * 2 if len(texts) == 1 else texts or ("", "")
    installed = tuple(
        api.Installed(f"/pki/{name}.pem", text, key) for name, text in zip(("server", "client"), both, strict=True)
    )
    base = api.Request(ca_source, WANTED, installed, replace_ca=False, now=NOW)
    return dataclasses.replace(base, **changes)


def codes(report: dict[str, t.Any]) -> list[str]:
    return [reason["code"] for reason in report["reasons"]]


def self_signed(*extensions: tuple[x509.ExtensionType, bool], days: int = 30, begins: float = -1) -> ca.Authority:
    """A certificate that signed itself with RSA, with just these extensions."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd CA")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(later(begins)).not_valid_after(later(days))
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    certificate = builder.sign(key, ca.signature_hash(key))
    return ca.Authority(certificate, pem.to_pem(certificate), key, given=True)
