# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about how this host finds and reaches another one.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import typing as t

from .._model.api import Answer, Question
from . import area

_RESOLVE_S = 10.0
_CONNECT_S = 3.0
# <linux/in.h>, <linux/in6.h>, <linux/errqueue.h>: socket has no names for them
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_ORIGINS = (2, 3)  # SO_EE_ORIGIN_ICMP and ICMP6
_REJECTED = "a firewall rejects it: the refusal came by ICMP and not from the port"


def resolve(_host: area.Host, question: Question) -> Answer:
    """``addresses``: what this host finds for the name, and ``reason`` where it finds none.

    In a thread, since getaddrinfo has no time limit of its own. Raises OSError when it does not end in time.
    """
    name = str(question["value"])
    found: list[Answer] = []
    worker = threading.Thread(target=lambda: found.append(_resolved(name)), daemon=True)
    worker.start()
    worker.join(_RESOLVE_S)
    if not found:
        raise OSError(f"the look-up of {name} took longer than {_RESOLVE_S:.0f} s")
    return found[0]


def _resolved(name: str) -> Answer:
    try:
        entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return {"addresses": [], "reason": str(error)}
    return {"addresses": sorted({str(entry[4][0]).partition("%")[0] for entry in entries}), "reason": ""}


def reach(_host: area.Host, question: Question) -> Answer:
    """Whether a packet to this port comes back: ``ok``, and ``reason`` where it does not.

    That nothing listens there is an answer too, as on a migration port that waits for nobody yet: what drops packets
    does not refuse. A firewall's REJECT looks the same to connect(2), but comes by ICMP; where it sends the very RST
    of a closed port (``--reject-with tcp-reset``), nothing tells the two apart.
    """
    address, port = question["value"]
    reason = ""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        for family, kind, _protocol, _name, target in found:
            with socket.socket(family, kind) as way:
                reason = _obstacle(way, target)
            if not reason:
                break
    except OSError as error:
        reason = _said(error)
    return {"ok": not reason, "reason": reason}


def _obstacle(way: socket.socket, target: t.Any) -> str:
    """Why no connection to there comes about; empty where one does, or a closed port refuses it."""
    way.settimeout(_CONNECT_S)
    level, option = _RECVERR[way.family]
    way.setsockopt(level, option, 1)
    try:
        way.connect(target)
    except socket.timeout:
        return f"no answer within {_CONNECT_S:.0f} s"
    except OSError as error:
        if error.errno != errno.ECONNREFUSED:
            return _said(error)
    return _REJECTED if _icmp_came(way) else ""


def _icmp_came(way: socket.socket) -> bool:
    """Whether the socket's queue of errors has one of ICMP; the queue is empty after a RST, and before Linux 5.13."""
    way.setblocking(False)
    try:
        extra = way.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1]
    except OSError:
        return False
    return any((level, kind) in _RECVERR.values() and data[4] in _ORIGINS for level, kind, data in extra)


def _said(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


ASKS: t.Mapping[str, area.Ask] = {"resolve": resolve, "reach": reach}
