# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that one kernel cannot vary: a text bound over a file inside one host. What is faked is kept on record."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from tests.lab import processes
from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.places import Places
from tests.lab.run import run

FOLDER = "/run/livemig-fake"
"""Inside the host, in its own tmpfs."""
RECORD = "fakes.json"
OVERLAID = "/sys/"
"""Nobody can create a file there: a missing one is laid over its nearest folder. /proc takes no overlay."""


def validate(path: str) -> None:
    if not path.startswith("/") or path.endswith("/") or ".." in Path(path).parts or "\n" in path:
        raise LabError(f"PATH is '{path}'", "the absolute path of a file", "for example /proc/cpuinfo")


def slot(path: str) -> str:
    """Where the text is, inside: one level below FOLDER, a name of its own per path."""
    return f"{FOLDER}/{path.strip('/').replace('%', '%25').replace('/', '%2F')}"


def record(where: Places, host: str) -> dict[str, str]:
    """Path -> text of everything that is faked on the host."""
    file = where.host(host) / RECORD
    if not file.exists():
        return {}
    loaded: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def _write_record(where: Places, host: str, entries: dict[str, str]) -> None:
    file = where.host(host) / RECORD
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    partial.rename(file)


def _init(host: Host) -> int:
    init = processes.init_of(host.netns)
    if init is None:
        raise LabError(f"{host.name} is down", "a running host", "python3 -m tests.lab up")
    return init


def mount_points(mountinfo: str) -> list[str]:
    return [line.split()[4] for line in mountinfo.splitlines() if len(line.split()) > 4]


def script(path: str) -> str:
    """The shell script that lays the text in slot(path) over the path, inside the host.

    A file that exists is bound over. A missing one below /sys gets an overlay of the nearest folder that exists, any
    other is created. Only the host's own mounts are changed, never the kernel.
    """
    source, target = shlex.quote(slot(path)), shlex.quote(path)
    return f"""\
set -e
source={source} target={target}
if [ ! -e "$target" ]; then
    case "$target" in
    {OVERLAID}*)
        base=$(dirname "$target")
        while [ ! -d "$base" ]; do base=$(dirname "$base"); done
        mkdir -p "$source.upper" "$source.work"
        mkdir -p "$(dirname "$source.upper${{target#"$base"}}")"
        cp "$source" "$source.upper${{target#"$base"}}"
        mount -t overlay livemig-fake -o "lowerdir=$base,upperdir=$source.upper,workdir=$source.work" "$base"
        echo "$base" >"$source.base" ;;
    *)
        mkdir -p "$(dirname "$target")"
        : >"$target"
        echo "$target" >"$source.created" ;;
    esac
fi
mount --bind "$source" "$target"
"""


def undo_script(path: str) -> str:
    source, target = shlex.quote(slot(path)), shlex.quote(path)
    return f"""\
source={source} target={target}
! mountpoint -q "$target" || umount "$target" || umount --lazy "$target"
[ ! -e "$source.base" ] || umount --lazy "$(cat "$source.base")"
[ ! -e "$source.created" ] || rm -f "$target"
rm -rf "$source" "$source.base" "$source.created" "$source.upper" "$source.work"
"""


def _inside(init: int, text: str) -> str:
    # --pid too: /proc/self of the shell must exist in the host's own /proc
    words = [
        "nsenter",
        f"--target={init}",
        "--mount",
        "--pid",
        f"--root=/proc/{init}/root",
        f"--wd=/proc/{init}/root",
        "--",
    ]
    done = run([*words, "sh", "-c", text], check=False)
    if done.returncode != 0:
        raise LabError(
            f"inside the host: {done.stderr.strip()}",
            "a file that can be bound over (in /proc only one that exists)",
            "choose another path",
        )
    return done.stdout


def fake(where: Places, host: Host, path: str, text: str) -> str:
    """Makes every program of that host read the text at the path; a second text replaces the first.

    Returns the path without symbolic links, under which it is on record.
    """
    validate(path)
    init = _init(host)
    path = _real(init, path)
    source = Path(f"/proc/{init}/root{slot(path)}")
    source.parent.mkdir(mode=0o755, exist_ok=True)
    source.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    source.chmod(0o444)
    entries = record(where, host.name)
    # On record first: what is on record and not mounted is undone without harm, the reverse would go unnoticed.
    _write_record(where, host.name, {**entries, path: text})
    if path not in mount_points(Path(f"/proc/{init}/mountinfo").read_text(encoding="utf-8")):
        try:
            _inside(init, script(path))
        except LabError:
            _inside(init, undo_script(path))
            _write_record(where, host.name, entries)
            raise
    return path


def _real(init: int, path: str) -> str:
    return _inside(init, f"realpath --canonicalize-missing {shlex.quote(path)}").rstrip("\n")


def undo(where: Places, host: Host, path: str | None = None) -> list[str]:
    """Takes the fake off the path, or all fakes off the host; returns the paths. The last one laid goes first."""
    entries = record(where, host.name)
    init = _init(host)
    chosen = None if path is None else _real(init, path)
    gone = [entry for entry in reversed(entries) if chosen in (None, entry)]
    for entry in gone:
        _inside(init, undo_script(entry))
        entries.pop(entry)
        _write_record(where, host.name, entries)
    return gone
