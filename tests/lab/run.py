# SPDX-License-Identifier: GPL-3.0-or-later
"""Short commands, bounded waits and the lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.lab import places
from tests.lab.errors import LabError

LOCK_TIMEOUT_S = 600.0


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    keeps_lock: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Runs a short command; a LabError when it fails (unless check is off) or does not end in time.

    It inherits the lock: when this process is killed, `down` waits until its last helper has ended, so that no helper
    can create a namespace behind the back of `down`. Commands inside the lab must not (keeps_lock=False), since they
    may leave a daemon behind; `down` finds them by their namespace.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            close_fds=not keeps_lock,
            env=env,
        )
    except FileNotFoundError as error:
        raise LabError(
            f"the command {argv[0]} is missing", "it to be installed", "run `status` for the list"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"`{' '.join(argv)}` is still running after {timeout_s:.0f} s", "it to end", "look at the machine's load"
        ) from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise LabError(f"`{' '.join(argv)}` ended with {done.returncode} and said: {said}", "0", "see what it said")
    return done


def wait_until(ready: Callable[[], bool], timeout_s: float, interval_s: float = 0.05) -> bool:
    """Whether ready() became true in time. For facts of the kernel and other processes that send no event."""
    end = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(interval_s)
    return True


@contextlib.contextmanager
def locked(path: Path = places.LOCK, timeout_s: float = LOCK_TIMEOUT_S, *, last: bool = False) -> Iterator[None]:
    """Holds the lock, by default the lab's, which dies with its holder (and the holder's short helpers, see run).

    last: the file goes away with the lock. Whoever waited for it meanwhile notices and takes the new one.
    """
    held: list[int] = []

    def free() -> bool:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                held.append(descriptor)
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return False

    if not wait_until(free, timeout_s):
        raise LabError(
            f"the lab's lock {path} is held by another command for {timeout_s:.0f} s",
            "it to be free",
            "wait for that command, or find it with `fuser -v` and end it",
        )
    try:
        os.set_inheritable(held[0], True)
        yield
        if last:
            path.unlink()
    finally:
        os.close(held[0])
