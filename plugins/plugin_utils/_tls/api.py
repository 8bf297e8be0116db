# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The face of this package: report on a host's certificates, or issue a new one.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import ca, leaf, pem
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls.names import default_ca_dir, wanted_names

with contextlib.suppress(ImportError):  # sanity imports without requirements; see require_cryptography()
    from cryptography import x509

__all__ = [
    "CaSource",
    "Installed",
    "Request",
    "Wanted",
    "default_ca_dir",
    "inspect",
    "issue",
    "require_cryptography",
    "wanted_names",
]

Wanted = leaf.Wanted
require_cryptography = pem.require_cryptography

_KEY_REASONS = {
    "missing": ("key_missing", "its private key is missing"),
    "mismatch": ("key_mismatch", "its private key belongs to another certificate"),
}


@dataclass(frozen=True)
class CaSource:
    """Where the CA comes from: PEM texts, or a folder of the controller with the CA ``name`` in it."""

    certificate: str | None
    key: str | None
    folder: str
    name: str
    label: str
    days: int


@dataclass(frozen=True)
class Installed:
    """A certificate file of the host: its text (empty: no file), and what is known of the key beside it."""

    path: str
    text: str
    key: str  # matches, mismatch, missing, unknown


@dataclass(frozen=True)
class Request:
    """All that is asked about one host and one purpose. ``now`` is aware of its time zone."""

    ca: CaSource
    wanted: leaf.Wanted
    installed: tuple[Installed, ...]
    replace_ca: bool
    now: datetime.datetime


def inspect(request: Request) -> dict[str, t.Any]:
    """Tell what is installed, whether it can stay, and why not. Reads the CA, writes nothing."""
    _refuse_request(request)
    authority = _find(request)
    reasons = _reasons(request, authority)
    _refuse_takeover(request, authority, reasons)
    current = _first_certificate(request.installed)
    return {
        "needed": bool(reasons),
        "reasons": [{"code": reason.code, "message": reason.message} for reason in reasons],
        "names": list(request.wanted.names),
        "days_left": None if current is None else pem.days_left(current, request.now),
        "not_after": None if current is None else current.not_valid_after_utc.isoformat(),
        "fingerprint": None if current is None else pem.fingerprint(current),
        "ca_exists": authority is not None,
        "ca_cert": None if authority is None else authority.text,
        "ca_days_left": None if authority is None else pem.days_left(authority.certificate, request.now),
        "diff": _diff(request, authority, bool(reasons)),
        "warnings": _warnings(request, authority),
    }


def issue(request: Request) -> dict[str, t.Any]:
    """Issue a new key and certificate; make the CA first if there is none. The result holds the private key."""
    _refuse_request(request)
    authority = _find(request)
    _refuse_takeover(request, authority, _reasons(request, authority))
    if authority is None:
        source = request.ca
        authority = ca.make_authority(Path(source.folder), source.name, source.label, source.days, request.now)
    certificate, key = leaf.issue(authority, request.wanted, request.now)
    return {
        "certificate": pem.to_pem(certificate),
        "key": pem.key_to_pem(key),
        "fingerprint": pem.fingerprint(certificate),
        "days_left": pem.days_left(certificate, request.now),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "names": list(request.wanted.names),
        "ca_cert": authority.text,
        "ca_made": authority.made,
        "ca_days_left": pem.days_left(authority.certificate, request.now),
    }


def _find(request: Request) -> ca.Authority | None:
    source = request.ca
    if source.certificate is not None:
        return ca.given_authority(source.certificate, source.key, request.now)
    return ca.stored_authority(Path(source.folder), source.name, request.now)


def _refuse_request(request: Request) -> None:
    source, wanted = request.ca, request.wanted
    if source.key is not None and source.certificate is None:
        raise LivemigError(
            "The CA is given in part",
            value="a CA key without a CA certificate",
            expected="both livemig_tls_ca_cert and livemig_tls_ca_key, or neither",
            remedy="give the certificate too, or remove the key to have a CA made",
        )
    if not 0 <= wanted.renew_before_days < wanted.days:
        raise LivemigError(
            "livemig_tls_renew_before_days does not fit the lifetime",
            value=wanted.renew_before_days,
            expected=f"at least 0 and less than livemig_tls_days ({wanted.days}), or every run would renew",
            remedy="lower livemig_tls_renew_before_days or raise livemig_tls_days",
        )


def _reasons(request: Request, authority: ca.Authority | None) -> tuple[leaf.Reason, ...]:
    if not any(item.text.strip() for item in request.installed):
        return (leaf.Reason("missing", "there is none"),)
    found: dict[leaf.Reason, None] = {}
    if len({item.text.strip() for item in request.installed}) > 1:
        found[leaf.Reason("copies_differ", "the server's and the client's file differ")] = None
    for item in request.installed:
        for reason in _reasons_of_file(item, authority, request):
            found[reason] = None
    return tuple(found)


def _reasons_of_file(item: Installed, authority: ca.Authority | None, request: Request) -> t.Iterator[leaf.Reason]:
    certificate = _parse(item)
    if certificate is None and not item.text.strip():
        yield leaf.Reason("missing", f"{item.path} is missing")
        return
    if certificate is None:
        yield leaf.Reason("unreadable", f"{item.path} is not a certificate")
        return
    if item.key in _KEY_REASONS:
        yield leaf.Reason(*_KEY_REASONS[item.key])
    if authority is None:
        issuer = certificate.issuer.rfc4514_string()
        yield leaf.Reason("other_ca", f"it was issued by '{issuer}', and there is no CA of ours yet")
    else:
        yield from leaf.judge(certificate, authority, request.wanted, request.now)


def _refuse_takeover(request: Request, authority: ca.Authority | None, reasons: t.Iterable[leaf.Reason]) -> None:
    """A CA that was made here never silently replaces another one: its folder may just have been lost."""
    foreign = next((reason for reason in reasons if reason.code == "other_ca"), None)
    if foreign is None or request.replace_ca or (authority is not None and authority.given):
        return
    raise LivemigError(
        "The host has a certificate of another CA",
        value=f"{request.installed[0].path}: {foreign.message}",
        expected=f"no certificate, or one of the CA in {request.ca.folder}",
        remedy="bring that folder back, or give the CA as livemig_tls_ca_cert and livemig_tls_ca_key, or set "
        "livemig_tls_replace_ca: true to replace the CA on all hosts in one run",
    )


def _parse(item: Installed) -> x509.Certificate | None:
    try:
        return pem.load_certificate(item.text, item.path)
    except LivemigError:
        return None


def _first_certificate(installed: t.Iterable[Installed]) -> x509.Certificate | None:
    return next((found for found in (_parse(item) for item in installed) if found is not None), None)


def _diff(request: Request, authority: ca.Authority | None, needed: bool) -> list[dict[str, str]]:
    if not needed:
        return []
    path, wanted = request.installed[0].path, request.wanted
    current = _first_certificate(request.installed)
    issuer = authority.certificate.subject.rfc4514_string() if authority else f"a new CA '{request.ca.label}'"
    after = (
        f"subject: CN={wanted.common_name},O={wanted.organization}\nissuer: {issuer}\n"
        f"valid for: {wanted.days} days\nnames: {', '.join(sorted(wanted.names))}\npurposes: server, client\n"
    )
    before = "" if current is None else pem.describe(current)
    return [{"before_header": path, "after_header": path, "before": before, "after": after}]


def _warnings(request: Request, authority: ca.Authority | None) -> list[str]:
    if authority is None:
        return []
    left = pem.days_left(authority.certificate, request.now)
    if left >= request.wanted.renew_before_days:
        return []
    return [
        f"The CA certificate is valid for {left} more days; expected at least {request.wanted.renew_before_days}. "
        "Remedy: prepare a new CA, see docs/tls.md."
    ]
