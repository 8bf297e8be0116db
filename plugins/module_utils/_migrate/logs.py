# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host's log says about a migration that failed, kept with its outcome.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import typing as t

from .._model.api import EXPLAINED, HostLog, Move, Outcome
from .._observe.api import Mark, log_mark, log_path, log_since_mark, redacted


def with_source_log(uri: str, move: Move, migrate: t.Callable[[], Outcome]) -> Outcome:
    """What ``migrate`` returns, its error without secrets; after a failure with what libvirt and QEMU wrote meanwhile.

    ``uri`` is this host's own. The log is read after everything else, when the domain's fate is known.
    """
    mark, since_s = log_mark(log_path(uri, move["domain"])), int(time.time())
    outcome = migrate()
    error = outcome["error"]
    told: Outcome = {**outcome, "error": None if error is None else redacted(error)}
    if told["state"] not in EXPLAINED:
        return told
    return {**told, "logs": [*told["logs"], _log(move["source"], mark, since_s)]}


def _log(host: str, mark: Mark, since_s: int) -> HostLog:
    try:
        return log_since_mark(host, mark, since_s)
    except Exception as error:  # a fault of ours must not cost the outcome
        unread = f"{type(error).__name__}: {error}"
        return {"host": host, "path": mark.path, "since_s": since_s, "lines": [], "cut": False, "unread": unread}
