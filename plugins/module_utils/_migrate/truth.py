# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a domain is and in what state, read from a host over a live connection.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connect, Connection, error_code, libvirt
from .._model.api import LivemigError

RETURN_S = 15.0
"""How long a daemon that does not answer is given to come back."""
APART_S = 2.0
"""Both hosts are read twice, so far apart: a state that is on its way to another one is not acted upon."""
NO_CONNECTION: tuple[type[Exception], ...] = (LivemigError, *LIBVIRT_ERRORS)
_AGAIN_S = 0.5
_JOB_S = 10.0

SILENT, ABSENT, FENCED = "silent", "absent", "fenced"
RUNNING, PAUSED, SHUTOFF, CRASHED = "running", "paused", "shutoff", "crashed"
PAUSED_MIGRATION, PAUSED_POSTCOPY, POSTCOPY_FAILED = "paused_migration", "paused_postcopy", "postcopy_failed"
RUNNING_POSTCOPY, SHUTOFF_MIGRATED, SHUTOFF_FAILED = "running_postcopy", "shutoff_migrated", "shutoff_failed"

# (state, reason) in libvirt's words -> ours; every other reason of a state has the state's own word.
_WITH_REASON = {
    ("RUNNING", "RUNNING_POSTCOPY"): RUNNING_POSTCOPY,
    ("RUNNING", "RUNNING_POSTCOPY_FAILED"): POSTCOPY_FAILED,
    ("PAUSED", "PAUSED_MIGRATION"): PAUSED_MIGRATION,
    # libvirt wanted to resume it after a failed migration, and QEMU did not get its locks back: see guard.py.
    ("PAUSED", "PAUSED_API_ERROR"): PAUSED_MIGRATION,
    # An incoming domain until QEMU has connected.
    ("PAUSED", "PAUSED_STARTING_UP"): PAUSED_MIGRATION,
    ("PAUSED", "PAUSED_POSTCOPY"): PAUSED_POSTCOPY,
    ("PAUSED", "PAUSED_POSTCOPY_FAILED"): POSTCOPY_FAILED,
    ("SHUTOFF", "SHUTOFF_MIGRATED"): SHUTOFF_MIGRATED,
    # It did not start: libvirt gives an incoming domain this reason when Prepare or Finish fails.
    ("SHUTOFF", "SHUTOFF_FAILED"): SHUTOFF_FAILED,
}
_STATES = {
    "RUNNING": RUNNING,
    "BLOCKED": RUNNING,
    "PAUSED": PAUSED,
    "PMSUSPENDED": PAUSED,
    # It still runs, until it does not.
    "SHUTDOWN": RUNNING,
    "SHUTOFF": SHUTOFF,
    "CRASHED": CRASHED,
}


class Place(t.NamedTuple):
    """A domain on one host: ``word`` is one of those above.

    ``job``: a job of libvirt's is at work on it; None where that could not be found out in time.
    """

    word: str
    job: bool | None = False
    persistent: bool = False

    @property
    def present(self) -> bool | None:
        return None if self.word == SILENT else self.word != ABSENT

    @property
    def running(self) -> bool | None:
        return None if self.word == SILENT else self.word == RUNNING


def word_of(state: int, reason: int) -> str:
    """libvirt's numbers as one of the words above. A state that libvirt does not name is taken for a running one."""
    for (state_name, reason_name), word in _WITH_REASON.items():
        numbers = [getattr(libvirt, f"VIR_DOMAIN_{name}", None) for name in (state_name, reason_name)]
        if [state, reason] == numbers:
            return word
    return next(
        (word for name, word in _STATES.items() if getattr(libvirt, f"VIR_DOMAIN_{name}", None) == state), RUNNING
    )


def place(connection: Connection, uuid: str, job: bool = False) -> Place:
    """``job``: ask for the job too. Only the source's matters, and an incoming domain of libvirt 11.0 to 11.4 can keep
    the caller waiting for 30 s (NEWS 11.5)."""
    try:
        domain = connection.lookupByUUIDString(uuid)
        word = word_of(*domain.state()[:2])
        persistent = bool(domain.isPersistent())
    except LIBVIRT_ERRORS as error:
        return Place(ABSENT if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN else SILENT)
    # libvirt keeps the job of a failed post-copy until that is resumed; nothing is at work there.
    idle = word in (SHUTOFF, SHUTOFF_MIGRATED, SHUTOFF_FAILED, CRASHED, POSTCOPY_FAILED)
    return Place(word, _job(domain) if job and not idle else False, persistent)


def _job(domain: t.Any) -> bool | None:
    """Whether a job is at work. It asks QEMU, which may hang; so it is asked by a thread that is left behind then."""
    found: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(*LIBVIRT_ERRORS):
            found.append(domain.jobInfo()[0] in (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED))

    worker = threading.Thread(target=ask, name=f"job of {domain.name()}", daemon=True)
    worker.start()
    worker.join(_JOB_S)
    return found[0] if found else None


def look(connect: Connect, uri: str, uuid: str, wait_s: float = RETURN_S, job: bool = False) -> Place:
    """Asks over a new connection, again and again while the daemon does not answer, for at most ``wait_s``.

    After an error the old connection may be what has failed; and a daemon that was restarted comes back by itself.
    """
    end = time.monotonic() + wait_s
    while True:
        found = _look_once(connect, uri, uuid, job)
        if found.word != SILENT or time.monotonic() >= end:
            return found
        time.sleep(_AGAIN_S)


def _look_once(connect: Connect, uri: str, uuid: str, job: bool) -> Place:
    try:
        connection = connect(uri)
    except NO_CONNECTION:
        return Place(SILENT)
    try:
        return place(connection, uuid, job)
    finally:
        with contextlib.suppress(*LIBVIRT_ERRORS):
            connection.close()
