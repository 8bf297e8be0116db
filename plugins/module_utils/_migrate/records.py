# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host keeps about its migrations: a journal for each run, definitions on their way, locks that die.

    /var/lib/livemig/runs/RUN.jsonl        append-only: begun, ended, held, released, cut, vf_*; of the run over, heard
    /var/lib/livemig/runs/vf-UUID.jsonl    the same of the module vf: vf_*
    /var/lib/livemig/domains/UUID.json     the definition with its secrets, from the start to the end of a migration
    /run/livemig/UUID.lock                 held by the process that works on the domain
    /run/livemig/to-HOST.lock              held while what a destination has once only is promised to a domain

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
import typing as t
import urllib.parse

from .._model.api import LivemigError, Outcome, Unheard
from .control import RUN_DIR, Control

STATE_DIR = "/var/lib/livemig"
KEPT_RUNS = 100
"""Journals of runs that are over and of which nothing is open; older ones are removed."""
BY_HAND = "vf-"
"""Begins the names of journals of virtual functions that were taken off without a run: one for each domain."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AGAIN_S = 0.2
_PROMISE_S = 60.0
_OVER, _HEARD = "over", "heard"
_LEARNT_FROM = 1000
"""Outcomes: more would make a plan of many domains slow."""
_LEARNT = ("uuid", "source", "destination", "downtime", "convergence")

Entry = dict[str, t.Any]
"""``at``: seconds since the epoch, for people; ``event``: as above."""


class Busy(LivemigError):
    """Another process works on this domain, or promises what this one wants."""


class Records:
    """The files of one host. ``state_dir`` and ``run_dir`` are made with mode 0700 when first needed."""

    def __init__(self, state_dir: str = STATE_DIR, run_dir: str = RUN_DIR) -> None:
        self._state, self._run = state_dir, run_dir

    def ready(self) -> None:
        """Raises LivemigError where this host cannot keep what it must: nothing may be started then."""
        for folder in (self._state, f"{self._state}/runs", f"{self._state}/domains", self._run):
            with _kept(folder):
                os.makedirs(folder, mode=0o700, exist_ok=True)

    def lock(self, uuid: str, wait_s: float = 0.0) -> t.ContextManager[None]:
        """Held by this process while the block runs. Raises Busy where another one holds it for longer than that."""
        return self._held(uuid, wait_s, f"Domain {uuid}", "one run at a time for each domain")

    def promising(self, destination: str) -> t.ContextManager[None]:
        """From the look at what the destination has left until the journal tells what of it was promised: no other move
        from here looks meanwhile. Raises Busy."""
        name = urllib.parse.quote(destination, safe="")
        return self._held(f"to-{name}", _PROMISE_S, f"Destination {destination}", "one choice of functions at a time")

    @contextlib.contextmanager
    def _held(self, name: str, wait_s: float, what: str, expected: str) -> t.Iterator[None]:
        path = f"{self._run}/{name}.lock"
        end = time.monotonic() + wait_s
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(handle):
                if time.monotonic() >= end:
                    raise Busy(
                        what,
                        value=f"process {os.pread(handle, 20, 0).decode() or '?'} of this host works on it",
                        expected=expected,
                        remedy="wait until the other run is over, or end that process if it hangs",
                    )
                # flock has no timeout, and SIGALRM reaches the main thread only.
                time.sleep(_AGAIN_S)
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            yield
        finally:
            # The file stays: whoever removed it would let a third process lock another file of the same name.
            os.close(handle)

    def control(self, run: str) -> Control:
        return Control(run, self._run)

    def note(self, run: str, event: str, **values: t.Any) -> None:
        """Appends one line to the run's journal, which is on the disk when this returns. Raises LivemigError."""
        line = json.dumps({"at": round(time.time(), 3), "event": event, **values}, sort_keys=True) + "\n"
        # Unbuffered: a line is one write, so that two processes do not mix theirs.
        with _kept(self._state), open(self._journal(run), "a+b", buffering=0, opener=_private) as file:
            # What a full disk or a crash has cut off must not swallow this line.
            end = file.seek(0, os.SEEK_END)
            torn = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
            data = (b"\n" if torn else b"") + line.encode()
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())

    def entries(self, run: str) -> list[Entry]:
        """The run's journal; what a crash has cut off at its end is left out. Empty where there is none. Raises
        LivemigError where it cannot be read."""
        found = []
        none = contextlib.suppress(FileNotFoundError)
        with _kept(self._state), none, open(self._journal(run), encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def runs(self) -> list[str]:
        """Ids of the runs whose journals are here, the newest first."""
        folder = f"{self._state}/runs"
        found = []
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            # Another run may have pruned it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(".jsonl"):
                    found.append((os.stat(f"{folder}/{name}").st_mtime_ns, name[: -len(".jsonl")]))
        return [run for _time, run in sorted(found, reverse=True)]

    def unheard(self) -> list[Unheard]:
        """The runs that ended without the controller that was to watch them, the oldest first."""
        found: list[Unheard] = []
        for run in self.runs():
            entries = self.entries(run)
            over = [entry for entry in entries if entry["event"] == _OVER and entry.get("watched")]
            if over and not any(entry["event"] == _HEARD for entry in entries):
                outcomes = over[-1]["outcomes"]
                found.insert(0, {"run": run, "outcomes": outcomes, "sentence": _sentence(run, outcomes)})
        return found

    def over(self, run: str, outcomes: t.Sequence[Outcome], watched: bool) -> None:
        """The run's last line, unless it is watched: then its controller's follows."""
        self.note(run, _OVER, outcomes=outcomes, watched=watched)

    def outcomes(self, run: str) -> t.Any:
        """Of the run, once it is over; None before, or where its process was killed."""
        found = [entry["outcomes"] for entry in self.entries(run) if entry["event"] == _OVER]
        return found[-1] if found else None

    def history(self) -> list[dict[str, t.Any]]:
        """What the runs of this host have shown of their guests and links: the outcomes, without all that a forecast
        does not need, the oldest first."""
        found: list[dict[str, t.Any]] = []
        for run in reversed(self.runs()):
            for outcome in self.outcomes(run) or ():
                if outcome.get("convergence"):
                    found.append({key: outcome[key] for key in _LEARNT})
        return found[-_LEARNT_FROM:]

    def hear(self, run: str) -> None:
        """Somebody was told how the run ended."""
        if not any(entry["event"] == _HEARD for entry in self.entries(run)):
            with contextlib.suppress(LivemigError):  # it is told again then
                self.note(run, _HEARD)

    def open_moves(self) -> dict[str, tuple[str, t.Any, str, t.Any]]:
        """uuid -> (run, move, tls, nics) of every migration that was begun here and of which no end was noted."""
        found: dict[str, tuple[str, t.Any, str, t.Any]] = {}
        closed: set[str] = set()
        for run in self.runs():
            for entry in reversed(self.entries(run)):
                uuid = entry.get("uuid")
                if entry["event"] == "ended" and uuid is not None and uuid not in found:
                    closed.add(uuid)
                elif entry["event"] == "begun" and uuid not in closed:
                    found.setdefault(str(uuid), (run, entry["move"], entry["tls"], entry.get("nics", ())))
        return found

    def keep_definition(self, uuid: str, definition: t.Mapping[str, t.Any]) -> None:
        """Keeps it, secrets and all, until ``drop_definition``. On the disk when this returns. Raises LivemigError."""
        path = self._definition(uuid)
        with _kept(self._state):
            with open(f"{path}.new", "w", encoding="utf-8", opener=_private) as file:
                json.dump(definition, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{path}.new", path)

    def definition(self, uuid: str) -> dict[str, t.Any] | None:
        with contextlib.suppress(FileNotFoundError, ValueError), open(self._definition(uuid), encoding="utf-8") as file:
            return t.cast("dict[str, t.Any]", json.load(file))
        return None

    def drop_definition(self, uuid: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._definition(uuid))

    def prune(self) -> None:
        """Removes journals beyond KEPT_RUNS, but none with an open migration, and none that is no run's."""
        needed = {run for run, *_rest in self.open_moves().values()}
        for run in [run for run in self.runs() if not run.startswith(BY_HAND)][KEPT_RUNS:]:
            if run not in needed:
                with contextlib.suppress(OSError):
                    os.remove(self._journal(run))

    def _journal(self, run: str) -> str:
        return f"{self._state}/runs/{run}.jsonl"

    def _definition(self, uuid: str) -> str:
        return f"{self._state}/domains/{uuid}.json"


def _sentence(run: str, outcomes: t.Sequence[Outcome]) -> str:
    told = (
        f"{each['domain']}: {each['state']}" + (f" ({each['error']})" if each["error"] else "") for each in outcomes
    )
    return f"Run {run} ended without its controller. {'; '.join(told)}."


def run_id(given: str | None) -> str:
    """The run's id, or one made of the time and the process. Raises LivemigError where it cannot be a file's name."""
    if not given:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
    if not _RUN_ID.fullmatch(given):
        raise LivemigError(
            "run_id",
            value=given,
            expected="letters, digits, '.', '_' and '-', at most 100, the first a letter or a digit",
            remedy="correct it, or leave it out",
        )
    return given


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def _kept(folder: str) -> t.Iterator[None]:
    """LivemigError where the host cannot keep what the block writes."""
    try:
        yield
    except OSError as error:
        raise LivemigError(
            f"Folder {folder}",
            value=str(error.strerror),
            expected="a folder that this host can keep its journal of migrations in, so that each can be recovered",
            remedy="run the module as root (become: true), and see whether the file system is full or read-only",
        ) from error
