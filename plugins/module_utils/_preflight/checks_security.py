# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of certificates and of the way from daemon to daemon.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import typing as t

from .._model.api import Facts, Question
from .check import Check, Problem, View, each
from .questions import peer_key

_DAY_S = 86400

# The source is the client of both connections; QEMU's server asks for its certificate unless told not to.
_QEMU = {"source": ("qemu_ca", "qemu_client"), "destination": ("qemu_ca", "qemu_server")}
_LIBVIRT = {"source": ("ca", "client"), "destination": ("ca", "server")}


def _certs(view: View) -> t.Iterator[Problem]:
    if not view.tls:
        return
    needed = [Facts(f"{name} of {view.host.who}", view.host.get(f"tls.{name}")) for name in _QEMU[view.role]]
    missing = [certificate.get("path") for certificate in needed if not certificate.get("exists")]
    if missing:
        yield Problem(f"TLS certificates of {_name(view)}", "there is no " + " and no ".join(missing))


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
    return each(certificates, judge)


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
        title="The host has certificates for encrypted migration",
        expected="QEMU's CA certificate and its own, since livemig_tls is required",
        remedy="run playbooks/tls.yml (the role livemig.libvirt.tls) on all hosts, or set livemig_tls=off for a "
        "trusted network",
        evaluate=_certs,
        evidence="recorded",
    ),
    Check(
        id="sec_tls_cert_validity",
        category="security",
        severity="error",
        scope="host",
        title="The host's certificates are valid now",
        expected="a certificate that is valid by this host's clock",
        remedy="correct the clock, or run playbooks/tls.yml (the role livemig.libvirt.tls) to renew it",
        evaluate=_validity,
        evidence="recorded",
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
        evidence="recorded",
    ),
)
