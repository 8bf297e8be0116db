# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host's certificate: judged, and issued.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from dataclasses import dataclass

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls.ca import CLOCK_SKEW, Authority, signature_hash
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls.pem import (
    days_left,
    extension,
    general_name,
    key_id,
    names_of,
)

with contextlib.suppress(ImportError):  # sanity imports without requirements; see require_cryptography()
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Wanted:
    """What a host's certificate has to be. Days are days; ``names`` are canonical."""

    names: tuple[str, ...]
    common_name: str
    organization: str
    days: int
    renew_before_days: int


@dataclass(frozen=True)
class Reason:
    """Why a certificate cannot stay: a stable code, and a sentence."""

    code: str
    message: str


def judge(
    certificate: x509.Certificate, authority: Authority, wanted: Wanted, now: datetime.datetime
) -> tuple[Reason, ...]:
    """Return every reason why an installed certificate has to be replaced; none means that it is good."""
    rules: tuple[t.Callable[[], Reason | None], ...] = (
        lambda: _foreign(certificate, authority),
        lambda: _uncovered(certificate, wanted),
        lambda: _unfit(certificate),
        lambda: _early(certificate, now),
        lambda: _ending(certificate, authority, wanted, now),
    )
    return tuple(reason for reason in (rule() for rule in rules) if reason is not None)


def issue(
    authority: Authority, wanted: Wanted, now: datetime.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Make a new key and a certificate for it, valid as server and as client.

    P-256, and no keyUsage at all: RFC 8813 forbids keyEncipherment for ECDSA, while libvirt 9.0 refuses a critical
    keyUsage without it (older QEMU too, ``crypto/tlscredsx509.c``) and logs a warning per connection for one that is
    not critical. RFC 5280 demands keyUsage only of a CA.
    """
    if authority.key is None:
        raise LivemigError(
            "A certificate is to be issued without the CA key",
            value="livemig_tls_ca_cert alone",
            expected="both livemig_tls_ca_cert and livemig_tls_ca_key",
            remedy="give the key, or only check with livemig_tls_check_only: true",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + datetime.timedelta(days=wanted.days), authority.certificate.not_valid_after_utc)
    begins = max(now - CLOCK_SKEW, authority.certificate.not_valid_before_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(wanted))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes()), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in wanted.names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key(authority), critical=False)
    )
    return builder.sign(authority.key, signature_hash(authority.key)), key


def _purposes() -> tuple[x509.ObjectIdentifier, ...]:
    return (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def _subject(wanted: Wanted) -> x509.Name:
    # X.520 ends common names at 64 characters; nothing reads them here, names are in subjectAltName.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name[:64]),
        ]
    )


def _authority_key(authority: Authority) -> x509.AuthorityKeyIdentifier:
    own = key_id(authority.certificate)
    if own is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(t.cast(t.Any, authority.certificate.public_key()))


def _foreign(certificate: x509.Certificate, authority: Authority) -> Reason | None:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        issuer = certificate.issuer.rfc4514_string()
        return Reason(
            "other_ca", f"it was issued by '{issuer}', not by '{authority.certificate.subject.rfc4514_string()}'"
        )
    return None


def _uncovered(certificate: x509.Certificate, wanted: Wanted) -> Reason | None:
    missing = [name for name in wanted.names if name not in names_of(certificate)]
    return Reason("names_missing", f"it does not name {', '.join(missing)}") if missing else None


def _unfit(certificate: x509.Certificate) -> Reason | None:
    constraints = extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        return Reason("unfit", "it is the certificate of a CA, which libvirt and QEMU refuse for a host")
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and not set(_purposes()) <= set(purposes.value):
        return Reason("unfit", "its extendedKeyUsage does not allow both server and client")
    usage = extension(certificate, x509.KeyUsage)
    if usage is not None and usage.critical and not (usage.value.digital_signature and usage.value.key_encipherment):
        return Reason(
            "unfit", "its critical keyUsage lacks digitalSignature or keyEncipherment, which libvirt 9.0 refuses"
        )
    return None


def _early(certificate: x509.Certificate, now: datetime.datetime) -> Reason | None:
    begins = certificate.not_valid_before_utc
    return Reason("not_yet_valid", f"it is valid only from {begins:%Y-%m-%d %H:%M} UTC") if begins > now else None


def _ending(
    certificate: x509.Certificate, authority: Authority, wanted: Wanted, now: datetime.datetime
) -> Reason | None:
    ends = certificate.not_valid_after_utc
    if ends <= now:
        return Reason("expired", f"it expired on {ends:%Y-%m-%d %H:%M} UTC")
    if ends >= authority.certificate.not_valid_after_utc:
        return None  # a new one could not live longer; the CA's own end is reported instead
    left = days_left(certificate, now)
    if left < wanted.renew_before_days:
        return Reason("expiring", f"it expires in {left} days, and {wanted.renew_before_days} is the limit for renewal")
    return None
