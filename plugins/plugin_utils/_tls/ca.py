# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The authority that signs: given as PEM texts, or made on the spot and kept in a folder of the controller.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls.pem import (
    extension,
    key_to_pem,
    load_certificate,
    load_key,
    same_key,
    to_pem,
)

with contextlib.suppress(ImportError):  # sanity imports without requirements; see require_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
    from cryptography.x509.oid import NameOID

if t.TYPE_CHECKING:
    from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls.pem import SigningKey

_DIR_MODE = 0o700
_KEY_MODE = 0o600
_CERT_MODE = 0o644
# Clocks of controller and hosts differ; libvirt and QEMU refuse a certificate that is not yet valid.
CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Authority:
    """A CA. ``text`` is what hosts get as their trust anchor (a bundle where one was given); ``key`` may be absent."""

    certificate: x509.Certificate
    text: str
    key: SigningKey | None
    given: bool
    made: bool = False


def signature_hash(key: SigningKey) -> hashes.SHA256 | None:
    """Return the hash to sign with; EdDSA keys bring their own."""
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()


def given_authority(certificate_pem: str, key_pem: str | None, now: datetime.datetime) -> Authority:
    """Check and return a CA from PEM texts. The first certificate of a bundle is the one that signs."""
    certificate = load_certificate(certificate_pem, "The CA certificate")
    key = load_key(key_pem, "The CA key") if key_pem is not None else None
    _refuse_unfit(certificate, key, now, remedy="give the certificate and the key of one CA that is valid")
    text = certificate_pem if certificate_pem.endswith("\n") else certificate_pem + "\n"
    return Authority(certificate, text, key, given=True)


def stored_authority(folder: Path, name: str, now: datetime.datetime) -> Authority | None:
    """Read the made CA ``name`` from its folder, ``None`` if there is none yet."""
    if not folder.is_dir():
        # not "no CA": a file in the place of the folder is reported by the attempt to read it
        return _stored(folder, name, now)
    with _locked(folder, fcntl.LOCK_SH):
        return _stored(folder, name, now)


def _stored(folder: Path, name: str, now: datetime.datetime) -> Authority | None:
    certificate_path, key_path = paths(folder, name)
    certificate_pem, key_pem = _read(certificate_path), _read(key_path)
    if certificate_pem is None and key_pem is None:
        return None
    if certificate_pem is None or key_pem is None:
        there, absent = (key_path, certificate_path) if certificate_pem is None else (certificate_path, key_path)
        raise LivemigError(
            "The made CA is incomplete",
            value=f"{there} without {absent}",
            expected="both files",
            remedy="restore the missing file from a backup, or move the folder away and run again with "
            "livemig_tls_replace_ca: true",
        )
    certificate = load_certificate(certificate_pem, f"The CA certificate {certificate_path}")
    key = load_key(key_pem, f"The CA key {key_path}")
    _refuse_unfit(
        certificate,
        key,
        now,
        remedy=f"restore {folder} from a backup, or move it away and run again with livemig_tls_replace_ca: true",
    )
    return Authority(certificate, certificate_pem, key, given=False)


def make_authority(folder: Path, name: str, label: str, days: int, now: datetime.datetime) -> Authority:
    """Return the CA ``name`` of the folder; make it if there is none. Hosts are handled by parallel processes."""
    _make_folder(folder)
    with _locked(folder, fcntl.LOCK_EX):
        found = _stored(folder, name, now)
        if found is not None:
            return found
        authority = new_authority(label, days, now)
        certificate_path, key_path = paths(folder, name)
        _write(key_path, key_to_pem(t.cast("SigningKey", authority.key)), _KEY_MODE)
        _write(certificate_path, authority.text, _CERT_MODE)
        return authority


def new_authority(label: str, days: int, now: datetime.datetime) -> Authority:
    """Make a self-signed CA in memory: P-256, path length 0, may only sign certificates and revocation lists."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Two made CAs never share a subject: chain building by name alone would otherwise pick the wrong one.
    serial = x509.random_serial_number()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{label} {serial:x}"[:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_sign_only(), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, to_pem(certificate), key, given=False, made=True)


def paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the certificate's and the key's path of a made CA."""
    return folder / f"{name}-cert.pem", folder / f"{name}-key.pem"


def _sign_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _refuse_unfit(certificate: x509.Certificate, key: SigningKey | None, now: datetime.datetime, remedy: str) -> None:
    subject = certificate.subject.rfc4514_string() or "without a subject"
    constraints = extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca:
        raise LivemigError(
            "The CA certificate is not one of a CA",
            value=subject,
            expected="basicConstraints with CA:TRUE, which libvirt and QEMU demand",
            remedy=remedy,
        )
    usage = extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.value.key_cert_sign:
        raise LivemigError(
            "The CA certificate may not sign certificates",
            value=subject,
            expected="keyUsage with keyCertSign",
            remedy=remedy,
        )
    if certificate.not_valid_after_utc <= now:
        raise LivemigError(
            "The CA certificate has expired",
            value=f"{subject}, valid until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            expected=f"a date after {now:%Y-%m-%d %H:%M} UTC",
            remedy=remedy,
        )
    if certificate.not_valid_before_utc > now:
        raise LivemigError(
            "The CA certificate is not yet valid",
            value=f"{subject}, valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            expected=f"a date before {now:%Y-%m-%d %H:%M} UTC",
            remedy="check the clock of the controller, or " + remedy,
        )
    if key is not None and not same_key(certificate, key):
        raise LivemigError(
            "The CA key does not belong to the CA certificate",
            value=subject,
            expected="the private key of this certificate (of its first one in a bundle)",
            remedy=remedy,
        )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _write(path: Path, text: str, mode: int) -> None:
    partial = path.with_name(f".{path.name}.new")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=_DIR_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> t.Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unreadable(folder, error) from error
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: Exception) -> LivemigError:
    return LivemigError(
        "The folder of the made CA cannot be read",
        value=f"{path} ({getattr(error, 'strerror', None) or 'no text'})",
        expected=f"a readable file, owned by the user who runs Ansible (uid {os.getuid()})",
        remedy="correct owner and mode, or set livemig_tls_ca_dir to another folder",
    )


def _unwritable(path: Path, error: OSError) -> LivemigError:
    return LivemigError(
        "The folder of the made CA cannot be written",
        value=f"{path} ({error.strerror})",
        expected=f"a folder of the controller that uid {os.getuid()} can write to",
        remedy="correct owner and mode, or set livemig_tls_ca_dir to another folder",
    )
