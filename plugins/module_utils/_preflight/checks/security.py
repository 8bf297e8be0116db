# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of certificates and of the way from daemon to daemon.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import itertools
import time
import typing as t
import urllib.parse

from ..._model.api import Facts, Question
from ..check import Check, Problem, View, each, unknown
from ..questions import peer_key
from ..tls_name import address_of, carries, names_of, tls_name, uri_of

_DAY_S = 86400

# The source is the client of both connections; QEMU's server asks for its certificate unless told not to.
_QEMU = {"source": ("qemu_ca", "qemu_client"), "destination": ("qemu_ca", "qemu_server")}
_LIBVIRT = {"source": ("ca", "client"), "destination": ("ca", "server")}
_TRUST = {"qemu": [("qemu_ca", "qemu_client", "qemu_server")], "libvirt": [("ca", "client", "server")]}
_PURPOSE = {
    "ca": "CA",
    "client": "client",
    "qemu_ca": "CA",
    "qemu_client": "client",
    "qemu_server": "server",
    "server": "server",
}


def _certs(view: View) -> t.Iterator[Problem]:
    if not view.tls:
        return
    needed = [Facts(f"{name} of {view.host.who}", view.host.get(f"tls.{name}")) for name in _QEMU[view.role]]
    missing = [certificate.get("path") for certificate in needed if not certificate.get("exists")]
    if needed[1].get("path") in missing and view.role == "source" and not _client_asked_for(view):
        missing.remove(needed[1].get("path"))
    if missing:
        yield Problem(f"TLS certificates of {_name(view)}", "there is no " + " and no ".join(missing))
        return
    known = view.host.get("security.certificates")
    own = _QEMU[view.role][1]
    yield from _unreadable(view, known, _QEMU[view.role])
    yield from _key_problems(view, known.get(own, {}).get("key") or {}, needed[1].get("path"))
    if not _signed_by(known.get(own), known.get("qemu_ca")):
        yield Problem(
            f"Certificate {needed[1].get('path')} of {_name(view)}",
            f"no CA in {needed[0].get('path')} has signed it",
            expected="a certificate of the CA that is next to it: QEMU does not start with others",
        )


def _client_asked_for(view: View) -> bool:
    """Whether some destination wants to see the source's certificate."""
    names = [name for name in view.policy.get("uris", {}) if name in view.fleet.hosts and name != view.source_name]
    return not names or any(_verifies(view.fleet.hosts[name]) for name in names)


def _verifies(host: Facts) -> bool:
    """Whether QEMU there, as the server of a migration, asks for the client's certificate."""
    own = host.get("daemon.qemu_conf.migrate_tls_x509_verify")
    return bool(host.get("daemon.qemu_conf.default_tls_x509_verify") if own is None else own)


def _unreadable(view: View, known: t.Mapping[str, t.Any], names: t.Iterable[str]) -> t.Iterator[Problem]:
    for entry in (known.get(name, {}) for name in names):
        what = f"Certificate {entry.get('path')} of {_name(view)}"
        if "broken" in entry:
            yield Problem(what, entry["broken"], expected="a certificate in PEM format, from its BEGIN to its END")
        if "error" in entry:
            yield unknown(entry["error"], what)


def _key_problems(view: View, key: t.Mapping[str, t.Any], certificate: str) -> t.Iterator[Problem]:
    # QEMU, and not libvirt's daemon, opens the key, as the user that it runs as.
    what = f"Key {key.get('path')} of {_name(view)}"
    if key.get("exists") is False:
        yield Problem(what, "there is none", expected=f"the key of {certificate}")
    if key.get("fits") is False:
        yield Problem(what, f"it does not belong to {certificate}", expected="the certificate's own key")
    if key.get("readable") is False:
        user = view.host.get("security.qemu_user")
        yield Problem(
            what,
            f"QEMU, with uid {user['uid']} and gid {user['gid']}, may not read it",
            expected="a key that the user who runs QEMU may read, in folders that it may enter",
            remedy="give it to QEMU's group with mode 0640, as the role livemig.libvirt.tls does",
        )


def _signed_by(certificate: t.Mapping[str, t.Any] | None, authority: t.Mapping[str, t.Any] | None) -> bool:
    """False only where names or key ids contradict it; what cannot be read is spoken of elsewhere."""
    signed, signers = (entry.get("all") if entry else None for entry in (certificate, authority))
    if not signed or not signers:
        return True
    # A file may hold a chain: its last certificate is the one whose signer must be known.
    last = signed[-1]
    return any(
        last["issuer"] == signer["subject"] and _same_key(last["authority"], signer["key_id"]) for signer in signers
    )


def _same_key(authority: str | None, key_id: str | None) -> bool:
    return authority is None or key_id is None or authority == key_id


def _validity(view: View) -> t.Iterator[Problem]:
    over_tls = any("+tls" in uri for uri in view.policy.get("uris", {}).values())
    names = [*(_QEMU[view.role] if view.tls else ()), *(_LIBVIRT[view.role] if over_tls else ())]
    if not names:
        return iter(())
    now = view.host.get("time")

    def judge(certificate: Facts) -> t.Iterator[Problem]:
        if not certificate.get("exists"):
            return
        what = f"Certificate {certificate.get('path')} of {_name(view)}"
        begin, end = certificate.get("not_before"), certificate.get("not_after")
        if now < begin:
            yield Problem(what, f"valid from {_date(begin)}, and the host's clock says {_date(now)}")
        elif now > end:
            yield Problem(what, f"it ended {_date(end)}, and the host's clock says {_date(now)}")
        elif now > end - _DAY_S:
            yield Problem(what, f"it ends {_date(end)}", expected="more than a day to go", severity="warning")

    certificates = (Facts(f"certificate {name} of {view.host.who}", view.host.get(f"tls.{name}")) for name in names)
    return itertools.chain(each(certificates, judge), _misused(view, names))


def _misused(view: View, names: t.Iterable[str]) -> t.Iterator[Problem]:
    """Both QEMU and libvirt look at purpose and usage of their own certificates, and insist where they are critical."""
    known = view.host.get("security.certificates")
    for name in names:
        entry = known.get(name, {})
        for certificate in entry.get("all", ())[:1]:
            why = _why_not_for(certificate, _PURPOSE[name])
            if why is not None:
                yield Problem(
                    f"Certificate {entry['path']} of {_name(view)}",
                    why,
                    expected=f"one for a TLS {_PURPOSE[name]}" if _PURPOSE[name] != "CA" else "the certificate of a CA",
                    remedy="run playbooks/tls.yml (the role livemig.libvirt.tls), or issue it anew for this purpose",
                )


def _why_not_for(certificate: t.Mapping[str, t.Any], purpose: str) -> str | None:
    usage, purposes, binding = (certificate[part] for part in ("usage", "purposes", "binding"))
    if purpose == "CA":
        if not certificate["ca"]:
            return "it is not marked as that of a CA"
        return None if "usage" not in binding or "certificate signing" in usage else "it may not sign certificates"
    if certificate["ca"]:
        return "it is that of a CA"
    if "usage" in binding and "digital signature" not in usage:
        return "it may not be used for digital signatures"
    if "purposes" in binding and not {purpose, "any"} & set(purposes):
        return "its purpose is " + (", ".join(purposes) or "none")
    return None


def _hostname(view: View) -> t.Iterator[Problem]:
    uri = uri_of(view)
    named = view.option("tls_destination") or (tls_name(view) if view.tls else "")
    by = (named, "tls_destination") if named else (address_of(view), "livemig_address")
    asked = [("qemu_server", *by)] if view.tls else []
    asked += [("server", uri.hostname, "livemig_uri")] if uri.scheme.endswith("+tls") else []
    for name, wanted, variable in asked:
        if wanted is None:
            yield unknown(f"no address of {view.destination_name} is given", remedy="set livemig_address")
            continue
        if not view.destination.get(f"tls.{name}.exists"):
            continue  # sec_tls_migration_certs says so
        if not carries(view, name, wanted):
            names = names_of(view, name)
            path = view.destination.get(f"tls.{name}.path")
            yield Problem(
                f"Certificate {path} of {view.destination_name}",
                f"it is for {', '.join(names) or 'no name at all'}",
                expected=f"{wanted} among its names, by which {variable} reaches the host",
                remedy=f"add it to livemig_tls_names and run playbooks/tls.yml, or set {variable} to one of its names",
            )


def _authorities(view: View) -> t.Iterator[Problem]:
    over_tls = urllib.parse.urlsplit(view.policy.get("uris", {}).get(view.destination_name) or "").scheme
    pairs = [*(_TRUST["qemu"] if view.tls else ()), *(_TRUST["libvirt"] if over_tls.endswith("+tls") else ())]
    if not pairs:
        return
    here, there = (view.facts[part].get("security.certificates") for part in ("source", "destination"))
    for authority, client, server in pairs:
        ways = (
            (view.source_name, here, view.destination_name, there, server),
            (view.destination_name, there, view.source_name, here, client),
        )
        for judge, own, owner, others, name in ways:
            if not _signed_by(others.get(name), own.get(authority)):
                if name == "qemu_client" and not _verifies(view.destination):
                    continue
                yield Problem(
                    f"Certificate {others[name]['path']} of {owner}",
                    f"none of the CAs in {own[authority]['path']} of {judge} has signed it",
                )


def _name(view: View) -> str | None:
    return view.source_name or view.destination_name


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _ask_peer(view: View) -> t.Iterator[tuple[str, Question]]:
    uri = view.policy.get("uris", {}).get(view.destination_name)
    if uri is not None:
        yield view.source_name or "", {"key": peer_key(uri), "ask": "peer", "uri": uri}


def _peer(view: View) -> t.Iterator[Problem]:
    uri = Facts("the policy", view.policy).get("uris").get(view.destination_name)
    if uri is None:
        yield Problem(f"URI of {view.destination_name}", "none", expected="a libvirt URI by which the sources reach it")
        return
    answer = view.answer(view.source_name, peer_key(uri))
    if not answer.get("ok"):
        yield Problem(f"Connection from {view.link} by {uri}", str(answer.get("reason")))
        return
    found, wanted = answer.get("uuid"), view.destination.get("uuid")
    if found != wanted:
        yield Problem(
            f"Connection from {view.link} by {uri}",
            f"it leads to the host with UUID {found}",
            expected=f"the host with UUID {wanted}",
            remedy="correct livemig_uri, or the name or address by which the source finds the destination",
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="sec_tls_migration_certs",
        category="security",
        severity="error",
        scope="host",
        title="The host has certificates and keys for encrypted migration",
        expected="QEMU's CA certificate and its own, since livemig_tls is required",
        remedy="run playbooks/tls.yml (the role livemig.libvirt.tls) on all hosts, or set livemig_tls=off for a "
        "trusted network",
        evaluate=_certs,
        evidence="lab",
    ),
    Check(
        id="sec_tls_cert_validity",
        category="security",
        severity="error",
        scope="host",
        title="The host's certificates are valid now, and for their purpose",
        expected="a certificate that is valid by this host's clock",
        remedy="correct the clock, or run playbooks/tls.yml (the role livemig.libvirt.tls) to renew it",
        evaluate=_validity,
        evidence="lab",
    ),
    Check(
        id="sec_tls_hostname",
        category="security",
        severity="error",
        scope="link",
        title="The destination's certificate carries the name by which it is reached",
        expected="a certificate with the address that the migration uses",
        remedy="run playbooks/tls.yml (the role livemig.libvirt.tls), or reach the host by a name that it carries",
        evaluate=_hostname,
        evidence="lab",
    ),
    Check(
        id="sec_tls_ca_known",
        category="security",
        severity="error",
        scope="link",
        title="Each side knows the CA of the other",
        expected="certificates of one CA on both hosts",
        remedy="run playbooks/tls.yml (the role livemig.libvirt.tls) on both hosts in one run, or add the other's CA "
        "certificate to the file on each",
        evaluate=_authorities,
        evidence="lab",
    ),
    Check(
        id="sec_libvirt_remote_auth",
        category="security",
        severity="error",
        scope="link",
        title="The source's daemon reaches the destination's",
        expected="a connection without a question, as the user that runs the source's daemon",
        remedy="for qemu+tls run the role livemig.libvirt.tls on both hosts; for qemu+ssh let root on the source "
        "log in there by key",
        evaluate=_peer,
        asks=_ask_peer,
        evidence="lab",
    ),
)
