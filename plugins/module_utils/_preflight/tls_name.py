# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which name the source's QEMU knows the destination's certificate.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import ipaddress
import urllib.parse

from .check import View


def uri_of(view: View) -> urllib.parse.SplitResult:
    """By which the source's daemon reaches the destination's; empty parts where none is given."""
    return urllib.parse.urlsplit(view.policy.get("uris", {}).get(view.destination_name) or "")


def address_of(view: View) -> str | None:
    """The address that the memory goes to."""
    return view.policy.get("addresses", {}).get(view.destination_name) or uri_of(view).hostname


def tls_name(view: View) -> str:
    """The name to verify instead of the address; empty where the address itself is verified.

    What the user says; or else, where the certificate does not carry the address, as one in a network for migrations,
    the name by which the daemon is reached, if the certificate carries that. Raises UnknownFact.
    """
    said = str(view.option("tls_destination"))
    address, name = address_of(view), uri_of(view).hostname
    if said or not address or not name or not view.destination.get("tls.qemu_server.exists"):
        return said
    return name if not carries(view, "qemu_server", address) and carries(view, "qemu_server", name) else ""


def carries(view: View, certificate: str, name: str) -> bool:
    """Whether one of the destination's certificates is for this name or address."""
    return any(_is_named(name, entry) for entry in names_of(view, certificate))


def names_of(view: View, certificate: str) -> list[str]:
    """Names and addresses; GnuTLS takes the common name where the certificate has no alternative names."""
    names = view.destination.get(f"tls.{certificate}.names")
    if names:
        return list(names)
    known = view.destination.get("security.certificates").get(certificate, {}).get("all") or [{}]
    common = known[0].get("common_name")
    return [common] if common else []


def _is_named(wanted: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(wanted) == ipaddress.ip_address(entry)
    except ValueError:
        pass
    wanted, entry = wanted.lower().rstrip("."), entry.lower().rstrip(".")
    if entry.startswith("*."):
        return wanted.partition(".")[2] == entry[2:]
    return wanted == entry
