# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host's log says about a migration that failed, kept with its outcome.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import time
import typing as t

from .._model.api import Move, Outcome
from .._observe.api import log_mark, log_path, log_since_mark, redacted

_EXPLAINED = ("failed", "unknown")


def with_source_log(uri: str, move: Move, migrate: t.Callable[[], Outcome]) -> Outcome:
    """What ``migrate`` returns; after a failure with what QEMU and libvirt wrote about the domain meanwhile.

    ``uri`` is this host's own. The log is read after everything else, when the domain's fate is known.
    """
    mark, since_s = log_mark(log_path(uri, move["domain"])), int(time.time())
    outcome = migrate()
    if outcome["state"] not in _EXPLAINED:
        return outcome
    log = log_since_mark(move["source"], mark, since_s)
    error = outcome["error"]
    return {**outcome, "error": None if error is None else redacted(error), "logs": [*outcome["logs"], log]}
