# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that may hang in the kernel, or that must be done as another user: in a child process, with a time limit.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import typing as t
import warnings

TIMEOUT_S = 5.0


class User(t.NamedTuple):
    """Whom the child becomes before it works."""

    name: str
    uid: int
    gid: int


def bounded(work: t.Callable[[], t.Any], what: str, user: User | None = None, timeout_s: float = TIMEOUT_S) -> t.Any:
    """What ``work`` returns in a child process, as JSON carries it. ``what`` names it in errors.

    Raises OSError with the child's error, and TimeoutError (an OSError) when it has not answered in time: a process
    that waits for a dead disk cannot be killed, and is not waited for.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python warns of threads that might hold locks; the child uses none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _child(writer, work, user)
    os.close(writer)
    try:
        said = _read(reader, what, timeout_s)
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        _reap(pid)
    answer = json.loads(said or b'{"error": "it ended without an answer"}')
    if "error" in answer:
        text = f"{what}: {answer['error']}"
        raise OSError(answer["errno"], text) if answer.get("errno") else OSError(text)
    return answer["result"]


def _child(writer: int, work: t.Callable[[], t.Any], user: User | None) -> t.NoReturn:
    try:
        if user is not None:
            os.initgroups(user.name, user.gid)
            os.setgid(user.gid)
            os.setuid(user.uid)
        answer = {"result": work()}
    except Exception as error:  # whatever it is, the parent must hear of it
        answer = {"error": str(error), "errno": getattr(error, "errno", None)}
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)


def _read(reader: int, what: str, timeout_s: float) -> bytes:
    end, said = time.monotonic() + timeout_s, b""
    while True:
        ready, _writable, _broken = select.select([reader], [], [], max(end - time.monotonic(), 0))
        if not ready:
            raise TimeoutError(f"{what}: no answer within {timeout_s:.0f} s")
        part = os.read(reader, 65536)
        if not part:
            return said
        said += part


def _reap(pid: int) -> None:
    for _attempt in range(20):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        select.select([], [], [], 0.01)
