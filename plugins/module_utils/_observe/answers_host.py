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
_REFUSED = (errno.ECONNREFUSED,)


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
    does not refuse.
    """
    address, port = question["value"]
    try:
        with socket.create_connection((address, port), timeout=_CONNECT_S):
            return {"ok": True, "reason": ""}
    except socket.timeout:
        return {"ok": False, "reason": f"no answer within {_CONNECT_S:.0f} s"}
    except OSError as error:
        if error.errno in _REFUSED:
            return {"ok": True, "reason": ""}
        return {"ok": False, "reason": os.strerror(error.errno) if error.errno else str(error)}


ASKS: t.Mapping[str, area.Ask] = {"resolve": resolve, "reach": reach}
