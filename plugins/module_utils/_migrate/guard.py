# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands between a guest and its second instance when libvirt rolls a switchover back.

Where the destination's daemon, or the way to it, is lost after the guest was started there and before the source has
the answer, libvirt takes the migration for failed and resumes the source (seen in the lab with 11.3: SIGKILL of the
destination's daemon at its RESUMED event). QEMU's locks on images prevent that where both hosts share them; on block
devices and for guests without a disk nothing does.

It also ends a switchover that stands still on a dead link: see stall.py.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection
from .._model.api import LivemigError
from .stall import CUT, Connections, stands_still
from .truth import ABSENT, SHUTOFF_FAILED, SILENT, place
from .watch import Timeline

HELD, RELEASED = "held", "released"
"""The source was paused until more is known: an event of the timeline, and of the journal."""
_ANSWER_S = 1.0
_EVENT_S = 1.0
# Not an incoming domain that is still paused: its daemon may be about to start it.
_HAS_NOT_RUN = (ABSENT, SHUTOFF_FAILED)
_TRIES = 5
_AGAIN_S = 0.2
_JOIN_S = 10.0
_ROLLED_BACK = "rolled_back"
# A destination is out of reach when so many questions in a row, each of _ANSWER_S, were in vain.
_SILENT = 5


@contextlib.contextmanager
def guarded(
    uuid: str,
    asks: Connection,
    destination: Connection,
    timeline: Timeline,
    note: t.Callable[[str], None],
    connections: Connections,
) -> t.Iterator[None]:
    """While the block runs, a rollback after the switchover is looked into at once, in a thread of its own, and a
    switchover that stands still is ended. A rollback has been looked into when the block ends.

    ``asks``: a connection to the source that the migration does not use. ``note``: keeps HELD, so that recover knows,
    and CUT. ``connections``: of the domain's QEMU.
    """
    over = threading.Event()

    def watch() -> None:
        seen = silent = 0
        while True:
            if timeline.first(_ROLLED_BACK) is not None:
                act(uuid, asks, destination, timeline, note)
                return
            if over.is_set():
                return
            silent = silent + 1 if stands_still(timeline) and _asked(destination, uuid) == SILENT else 0
            # The answer took its time: what has come meanwhile counts.
            if stands_still(timeline) and silent >= _SILENT and connections.end():
                timeline.add(CUT)
                with contextlib.suppress(LivemigError):
                    note(CUT)
            timeline.wait_more(seen, 1.0)
            seen = len(timeline.events)

    watcher = threading.Thread(target=watch, name=f"guard of {uuid}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        timeline.wake()
        watcher.join(_JOIN_S)


def heard(timeline: Timeline) -> None:
    """After an error: the event of a rollback may still be on its way."""
    if timeline.first("suspended") is not None:
        timeline.wait((_ROLLED_BACK,), _EVENT_S)


def act(
    uuid: str, asks: Connection, destination: Connection, timeline: Timeline, note: t.Callable[[str], None]
) -> None:
    """The source runs again. Unless the destination has surely not run the guest, it is paused until that is known.

    settle.py, which comes next, looks twice: it ends the source where the destination runs the guest, and resumes it
    where the destination has none, as after its QEMU has died there.
    """
    if timeline.first("suspended") is None or timeline.first(CUT) is not None:
        # It was never stopped, or was not yet sent as a whole, so nothing can have been started there.
        return
    if timeline.first("resumed") is None and _asked(destination, uuid) in _HAS_NOT_RUN:
        return
    if _suspended(asks, uuid):
        timeline.add(HELD)
        # A full disk must not cost the pause; without the note recover takes it for a user's.
        with contextlib.suppress(LivemigError):
            note(HELD)


def _suspended(asks: Connection, uuid: str) -> bool:
    """The job of the migration may still be there for a moment."""
    for _try in range(_TRIES):
        try:
            asks.lookupByUUIDString(uuid).suspend()
        except LIBVIRT_ERRORS:
            time.sleep(_AGAIN_S)
        else:
            return True
    return False


def _asked(destination: Connection, uuid: str) -> str:
    """What the destination says, if it does so soon: the guest may be running twice meanwhile."""
    found: list[str] = []
    worker = threading.Thread(target=lambda: found.append(place(destination, uuid).word), daemon=True)
    worker.start()
    worker.join(_ANSWER_S)
    return found[0] if found else SILENT
