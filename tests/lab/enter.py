# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands inside the namespaces of the lab."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from tests.lab import cgroups, places, processes
from tests.lab.errors import LabError
from tests.lab.hosts import CONTROLLER, WITNESS, machine, netns_of
from tests.lab.run import run

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment() -> dict[str, str]:
    """The environment of a command inside a host: nothing of the machine's but the terminal."""
    return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}


def prefix(name: str) -> list[str]:
    """The words to put before a command so that it runs in ctl, witness or a host."""
    if name in (CONTROLLER, WITNESS):
        path = places.NETNS / netns_of(name)
        if not path.exists():
            raise _down(name)
        # Only the network changes: `ip netns exec` would hide /run/netns of the machine and its /sys.
        return ["nsenter", f"--net={path}", "--"]
    target = machine(name)
    pid = processes.init_of(target.netns)
    if pid is None:
        raise _down(name)
    return [
        *cgroups.joining(target, pid),
        *("nsenter", f"--target={pid}", "--net", "--mount", "--uts", "--ipc", "--pid"),
        *(f"--root=/proc/{pid}/root", f"--wd=/proc/{pid}/root", "--"),
    ]


def _down(name: str) -> LabError:
    return LabError(f"{name} is down", "a running lab", "python3 -m tests.lab up")


def environment(name: str) -> dict[str, str] | None:
    return None if name in (CONTROLLER, WITNESS) else clean_environment()


def exec_on(
    name: str,
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a short command in ctl, witness or a host; env is added to the environment there."""
    base = environment(name)
    whole = {**(os.environ if base is None else base), **(env or {})}
    return run([*prefix(name), *argv], stdin=stdin, timeout_s=timeout_s, check=check, env=whole, keeps_lock=False)


def replace_process(name: str, argv: Sequence[str]) -> None:
    """Becomes that command: its streams, signals and exit status are the caller's."""
    words = [*prefix(name), *argv]
    base = environment(name)
    os.execvpe(words[0], words, dict(os.environ) if base is None else base)
