# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run on this host shows of itself while it is under way, and what it can be told: files of one folder.

    /run/livemig/runs/RUN/lock        held by the process of the run; it dies with it
                          progress    what each domain is at, as JSON
                          wish        finish or abort
                          cap         MiB/s for each migration that is under way
                          heartbeat   touched by a controller that watches

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import typing as t

from .._model.api import LivemigError

RUN_DIR = "/run/livemig"
FINISH, ABORT = "finish", "abort"
"""What a run can be asked for: what runs is finished and nothing new starts; or it is aborted."""


class Control:
    """One run's folder. ``run_dir``: as of Records."""

    def __init__(self, run: str, run_dir: str = RUN_DIR) -> None:
        self.run = run
        self._folder = f"{run_dir}/runs/{run}"

    @contextlib.contextmanager
    def held(self) -> t.Iterator[None]:
        """This process is the run while the block lasts. Raises LivemigError where another one is."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        handle = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
            shutil.rmtree(self._folder, ignore_errors=True)
        except BlockingIOError:
            raise LivemigError(
                "run_id",
                value=self.run,
                expected="the id of no run that is under way on this host",
                remedy="give every run an id of its own, or wait for the other one",
            ) from None
        finally:
            os.close(handle)

    def alive(self) -> bool:
        try:
            handle = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def show(self, progress: t.Mapping[str, t.Any]) -> None:
        self._write("progress", json.dumps(progress))

    def shown(self) -> dict[str, t.Any] | None:
        text = self._read("progress")
        return None if text is None else t.cast("dict[str, t.Any]", json.loads(text))

    def ask(self, wish: str) -> None:
        """FINISH or ABORT. A run that was told to abort is not told to finish."""
        if self._read("wish") != ABORT:
            self._write("wish", wish)

    def asked(self) -> str | None:
        return self._read("wish")

    def cap(self, mib_s: int) -> None:
        self._write("cap", str(mib_s))

    def capped(self) -> int | None:
        text = self._read("cap")
        return None if text is None else int(text)

    def beat(self) -> None:
        self._write("heartbeat", "")

    def beats(self) -> int | None:
        """A number that changes with every beat; None where no controller has watched so far."""
        try:
            return os.stat(f"{self._folder}/heartbeat").st_mtime_ns
        except FileNotFoundError:
            return None

    def _write(self, name: str, text: str) -> None:
        path = f"{self._folder}/{name}"
        # Whoever asks is another process than the run; the folder may have gone with its end.
        with contextlib.suppress(FileNotFoundError):
            with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{path}.{os.getpid()}", path)

    def _read(self, name: str) -> str | None:
        try:
            with open(f"{self._folder}/{name}", encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None


def under_way(run_dir: str = RUN_DIR) -> list[str]:
    """Ids of the runs of this host whose process is there."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(run for run in os.listdir(f"{run_dir}/runs") if Control(run, run_dir).alive())
    return []
