# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the standard library does not tell of a certificate: who signed it, by key id, and what it may be used for.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import typing as t

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_MULTIPLE = 0x1F
_VERSION, _EXTENSIONS, _BOOLEAN, _KEY_ID, _OID = 0xA0, 0xA3, 0x01, 0x80, 0x06

# X.509 extensions and names by the bytes of their object identifiers (RFC 5280)
_KEY_USAGE, _CONSTRAINTS, _PURPOSES = b"\x55\x1d\x0f", b"\x55\x1d\x13", b"\x55\x1d\x25"
_SUBJECT_KEY, _AUTHORITY_KEY = b"\x55\x1d\x0e", b"\x55\x1d\x23"
_COMMON_NAME = b"\x55\x04\x03"
_USES = ((0x80, "digital signature"), (0x20, "key encipherment"), (0x04, "certificate signing"))
_PURPOSE = {
    b"\x2b\x06\x01\x05\x05\x07\x03\x01": "server",
    b"\x2b\x06\x01\x05\x05\x07\x03\x02": "client",
    b"\x55\x1d\x25\x00": "any",
}

Certificate = dict[str, t.Any]
"""``subject`` and ``issuer``: digests of the names; ``key_id``, ``authority``: hex, None where it does not say; ``ca``:
None where it does not say; ``usage``, ``purposes``: None where all are allowed, and ``binding``: which of the two are
marked critical, so that QEMU and libvirt insist on them; ``common_name``."""


class Element(t.NamedTuple):
    """One element of DER: its tag, its content, and all of its bytes."""

    tag: int
    content: bytes
    whole: bytes


class NoCertificate(ValueError):
    """No program will find one in it."""


def read(text: str) -> list[Certificate]:
    """The certificates of a PEM file, in order. Raises NoCertificate, and ValueError where one cannot be read here."""
    found = [ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM.findall(text)]
    if not found:
        raise NoCertificate("there is no whole certificate in it")
    try:
        return [_certificate(der) for der in found]
    except (IndexError, StopIteration) as error:
        raise ValueError("it is not a certificate that can be read") from error


def elements(data: bytes) -> list[Element]:
    """The elements that follow each other in ``data``. Raises ValueError where it is cut off."""
    found, at = [], 0
    while at < len(data):
        start, length = at + 2, data[at + 1]
        if data[at] & _MULTIPLE == _MULTIPLE:
            raise ValueError("a tag of several bytes")
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start], "big")
        end = start + length
        if end > len(data):
            raise ValueError("it is cut off")
        found.append(Element(data[at], data[start:end], data[at:end]))
        at = end
    return found


def _certificate(der: bytes) -> Certificate:
    signed = elements(elements(elements(der)[0].content)[0].content)
    # serial number, algorithm, issuer, validity, subject, key; a version before them, extensions after
    fields = signed[1:] if signed[0].tag == _VERSION else signed
    issuer, subject = fields[2], fields[4]
    extensions = next((entry.content for entry in fields[6:] if entry.tag == _EXTENSIONS), None)
    known = dict(_extensions(extensions)) if extensions is not None else {}
    names = (("usage", _KEY_USAGE), ("purposes", _PURPOSES))
    return {
        "subject": _digest(subject.whole),
        "issuer": _digest(issuer.whole),
        "common_name": _common_name(subject.content),
        "key_id": _key_id(known, _SUBJECT_KEY),
        "authority": _authority(known),
        "ca": _is_ca(known),
        "usage": _usage(known),
        "purposes": _purposes(known),
        "binding": [name for name, oid in names if known.get(oid, (False,))[0]],
    }


def _extensions(content: bytes) -> t.Iterator[tuple[bytes, tuple[bool, bytes]]]:
    for extension in elements(elements(content)[0].content):
        oid, *rest = elements(extension.content)
        critical = rest[0].tag == _BOOLEAN and rest[0].content != b"\x00"
        yield oid.content, (critical, rest[-1].content)


def _digest(name: bytes) -> str:
    return hashlib.sha256(name).hexdigest()[:16]


def _common_name(subject: bytes) -> str | None:
    for part in elements(subject):
        for pair in elements(part.content):
            oid, value = elements(pair.content)
            if oid.content == _COMMON_NAME:
                return value.content.decode("utf-8", "replace")
    return None


def _key_id(known: t.Mapping[bytes, tuple[bool, bytes]], oid: bytes) -> str | None:
    return elements(known[oid][1])[0].content.hex() if oid in known else None


def _authority(known: t.Mapping[bytes, tuple[bool, bytes]]) -> str | None:
    if _AUTHORITY_KEY not in known:
        return None
    parts = elements(elements(known[_AUTHORITY_KEY][1])[0].content)
    return next((part.content.hex() for part in parts if part.tag == _KEY_ID), None)


def _is_ca(known: t.Mapping[bytes, tuple[bool, bytes]]) -> bool | None:
    if _CONSTRAINTS not in known:
        return None
    parts = elements(elements(known[_CONSTRAINTS][1])[0].content)
    return any(part.tag == _BOOLEAN and part.content != b"\x00" for part in parts)


def _usage(known: t.Mapping[bytes, tuple[bool, bytes]]) -> list[str] | None:
    if _KEY_USAGE not in known:
        return None
    bits = elements(known[_KEY_USAGE][1])[0].content[1:2] or b"\x00"
    return [name for mask, name in _USES if bits[0] & mask]


def _purposes(known: t.Mapping[bytes, tuple[bool, bytes]]) -> list[str] | None:
    if _PURPOSES not in known:
        return None
    listed = elements(elements(known[_PURPOSES][1])[0].content)
    return [_PURPOSE.get(entry.content, "other") for entry in listed if entry.tag == _OID]
