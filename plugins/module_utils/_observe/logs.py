# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of what a host's log says about one domain: bounded, without secrets and QEMU's command line.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import datetime
import os
import re
import typing as t

from .._model.api import HostLog
from .redact import redacted

SYSTEM = "/var/log/libvirt/qemu"
READ_BYTES = 64 * 1024
KEEP_LINES = 200
LINE_CHARACTERS = 800
MARGIN_S = 10
"""How long before the start a line still counts, where only the time tells: the hosts' clocks differ."""

_STARTING = "starting up libvirt version"
# libvirt writes "2026-11-27 06:20:59.542+0000: ", QEMU "2026-11-27T06:20:59.513362Z "; both in UTC.
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{3})\d*)?(?:\+0000|Z)")


class Mark(t.NamedTuple):
    """Where a log ended; ``inode`` None where there was none yet."""

    path: str
    inode: int | None
    size: int


def log_path(uri: str, domain: str) -> str:
    """Where the daemon behind ``uri``, on this host, lets QEMU write."""
    if uri.split("?")[0].endswith("/session"):
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        return os.path.join(cache, "libvirt", "qemu", "log", f"{domain}.log")
    return os.path.join(SYSTEM, f"{domain}.log")


def log_mark(path: str) -> Mark:
    """The end of the log as it is now."""
    try:
        found = os.stat(path)
    except OSError:
        return Mark(path, None, 0)
    return Mark(path, found.st_ino, found.st_size)


def log_since_mark(host: str, mark: Mark, since_s: int) -> HostLog:
    """What was written since ``mark`` was taken, at ``since_s``. Raises nothing: what cannot be read is said."""
    return _log(host, mark.path, since_s, lambda: _after(mark))


def log_since(host: str, path: str, since_s: int) -> HostLog:
    """The last start of the domain since the Unix second ``since_s``, which may be another host's clock."""
    return _log(host, path, since_s, lambda: _recent(path, since_s - MARGIN_S))


def stamp_ms(line: str) -> int | None:
    """The first time in a line of such a log, in milliseconds since the epoch; None where it has none."""
    found = _STAMP.search(line)
    if found is None:
        return None
    try:
        second = datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    except ValueError:
        return None
    return round(second.timestamp()) * 1000 + int(found[3] or 0)


def _log(host: str, path: str, since_s: int, read: t.Callable[[], tuple[str, bool]]) -> HostLog:
    made: HostLog = {"host": host, "path": path, "since_s": since_s, "lines": [], "cut": False, "unread": None}
    try:
        text, cut = read()
    except OSError as error:
        return {**made, "unread": error.strerror or type(error).__name__}
    lines = [_bounded(line) for line in shortened(redacted(text).splitlines())]
    return {**made, "lines": lines[-KEEP_LINES:], "cut": cut or len(lines) > KEEP_LINES}


def _after(mark: Mark) -> tuple[str, bool]:
    """virtlogd renames a log that has become too long to .0; logrotate copies and then empties it."""
    now = os.stat(mark.path)
    if mark.inode is None or (now.st_ino == mark.inode and now.st_size >= mark.size):
        return _end_of(mark.path, mark.size)
    rotated = log_mark(f"{mark.path}.0")
    if rotated.inode != mark.inode or rotated.size < mark.size:
        text, _cut = _end_of(mark.path, 0)
        return text, True
    before, cut = _end_of(rotated.path, mark.size)
    text, cut_again = _end_of(mark.path, 0)
    return (text, True) if cut_again else (before + text, cut)


def _recent(path: str, since_s: int) -> tuple[str, bool]:
    text, cut = _end_of(path, 0)
    lines = text.splitlines()
    first = next((n for n, line in enumerate(lines) if _is_after(line, since_s)), len(lines))
    starts = [number for number, line in enumerate(lines) if number >= first and _STARTING in line]
    kept = lines[starts[-1] if starts else first :]
    return "\n".join(kept), cut and len(kept) == len(lines)


def _is_after(line: str, since_s: int) -> bool:
    at_ms = stamp_ms(line)
    return at_ms is not None and at_ms >= since_s * 1000


def _end_of(path: str, start: int) -> tuple[str, bool]:
    """The text from byte ``start``, at most READ_BYTES of its end, and whether something before was left out."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(start, size - READ_BYTES)
        file.seek(begin)
        text = file.read(READ_BYTES).decode("utf-8", "replace")
    if begin == start:
        return text, False
    return text.partition("\n")[2], True


def shortened(lines: t.Sequence[str]) -> list[str]:
    """``lines`` with QEMU's environment and command line, which libvirt writes over many lines, as one."""
    result: list[str] = []
    left_out = 0
    for number, line in enumerate(lines):
        continues = line.endswith("\\")
        if continues or (number and lines[number - 1].endswith("\\")):
            left_out += 1
            if not continues:
                result.append(f"(QEMU's command line: {left_out} lines left out)")
                left_out = 0
        else:
            result.append(line)
    return result


def _bounded(line: str) -> str:
    """A message's beginning says who speaks, its end what is wrong; between them may stand a whole device."""
    if len(line) <= LINE_CHARACTERS:
        return line
    return f"{line[:LINE_CHARACTERS // 4]} ... {line[-LINE_CHARACTERS * 3 // 4:]}"
