# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading certificates and keys, without ever showing a key.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import ipaddress
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError

with contextlib.suppress(ImportError):  # sanity imports without requirements; see require_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.x509.oid import ExtensionOID

if t.TYPE_CHECKING:
    SigningKey = t.Union[
        ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey
    ]
ExtensionT = t.TypeVar("ExtensionT", bound="x509.ExtensionType")

_DAY_S = 86400


def require_cryptography() -> None:
    """Raise an error if the library is missing, or too old to tell times with their zone."""
    found = "not installed"
    with contextlib.suppress(ImportError):
        found = importlib.import_module("cryptography").__version__
        if hasattr(x509.Certificate, "not_valid_after_utc"):
            return
    raise LivemigError(
        "The Python library cryptography of the controller is missing or too old",
        value=found,
        expected="42 or newer",
        remedy="pip install --upgrade cryptography, in the environment that runs ansible-playbook",
    )


def load_certificate(pem: str, what: str) -> x509.Certificate:
    """Return the first certificate of a PEM text; further ones (a bundle) must be readable too."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())[0]
    except (ValueError, IndexError) as error:
        raise LivemigError(
            f"{what} cannot be read",
            value=sketch(pem),
            expected="a certificate in PEM form, starting with -----BEGIN CERTIFICATE-----",
            remedy="give the whole text of the certificate, with its line ends",
        ) from error


def load_key(pem: str, what: str) -> SigningKey:
    """Return an unencrypted private key that can sign certificates."""
    expected = "an unencrypted private key in PEM form (EC, RSA or EdDSA)"
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:
        raise LivemigError(
            f"{what} cannot be read",
            value="a key that is encrypted with a passphrase",
            expected=expected,
            remedy="decrypt it (openssl pkey -in KEY) and keep the result in ansible-vault",
        ) from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm, and PyAsn1-like types in older releases
        raise LivemigError(
            f"{what} cannot be read",
            value=f"a text of {len(pem)} characters (not shown)",
            expected=expected,
            remedy="give the whole text of the key, with its line ends",
        ) from error
    if not isinstance(
        key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)
    ):
        raise LivemigError(
            f"{what} cannot sign certificates",
            value=f"a key of type {type(key).__name__.lstrip('_')}",
            expected=expected,
            remedy="use a CA with an EC or RSA key",
        )
    return key


def sketch(text: str) -> str:
    """Describe a text that should have been a certificate. Content is shown only if it cannot be a key."""
    if not text.strip():
        return "an empty text"
    first = text.strip().splitlines()[0][:40]
    if "PRIVATE" in text or not first.isprintable():
        return f"a text of {len(text)} characters that is no certificate (not shown)"
    return f"a text of {len(text)} characters that starts with '{first}'"


def same_key(certificate: x509.Certificate, key: SigningKey) -> bool:
    """Tell whether a private key belongs to a certificate."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> x509.Extension[ExtensionT] | None:
    """Return an extension of a certificate, ``None`` if it has none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def names_of(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names (lower case) and addresses of a certificate's subjectAltName."""
    found = extension(certificate, x509.SubjectAlternativeName)
    if found is None:
        return set()
    names = {name.lower() for name in found.value.get_values_for_type(x509.DNSName)}
    return names | {str(address) for address in found.value.get_values_for_type(x509.IPAddress)}


def general_name(name: str) -> x509.GeneralName:
    """Return a canonical name as what it is. GnuTLS compares an address only with entries of type IP."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def days_left(certificate: x509.Certificate, now: datetime.datetime) -> int:
    """Return whole days until the certificate ends, negative when it has ended."""
    return int((certificate.not_valid_after_utc - now).total_seconds() // _DAY_S)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the DER form in hexadecimal digits, as a TLS peer sees it."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def to_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_to_pem(key: SigningKey) -> str:
    """Return a private key as unencrypted PEM text (PKCS#8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def describe(certificate: x509.Certificate) -> str:
    """Return a certificate as a few lines for a person, used in diff mode."""
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    lines = [
        f"subject: {certificate.subject.rfc4514_string()}",
        f"issuer: {certificate.issuer.rfc4514_string()}",
        f"valid from: {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
        f"valid until: {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
    ]
    names = sorted(names_of(certificate))
    if names:
        lines.append(f"names: {', '.join(names)}")
    if purposes is not None:
        known = {"1.3.6.1.5.5.7.3.1": "server", "1.3.6.1.5.5.7.3.2": "client"}
        lines.append(f"purposes: {', '.join(known.get(p.dotted_string, p.dotted_string) for p in purposes.value)}")
    lines.append(f"SHA-256: {fingerprint(certificate)}")
    return "\n".join(lines) + "\n"


def key_id(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier | None:
    """Return the subject key identifier of a certificate."""
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    except x509.ExtensionNotFound:
        return None
    return t.cast(x509.SubjectKeyIdentifier, found.value)
