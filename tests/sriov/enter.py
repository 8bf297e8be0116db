# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in the lab's namespace (ctl) and, by ssh out of it, in a machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

from tests.lab import keys
from tests.lab.errors import LabError
from tests.lab.hosts import CONTROLLER
from tests.lab.run import run
from tests.sriov import probe
from tests.sriov.hosts import host, namespace, places

CONNECT_TIMEOUT_S = 10


def prefix() -> list[str]:
    """The words before a command in ctl: only the network is another."""
    if not namespace().exists():
        raise LabError("the SR-IOV lab is down", "a running lab", "python3 -m tests.sriov up")
    return ["nsenter", f"--net={namespace()}", "--"]


def words(name: str, argv: Sequence[str]) -> list[str]:
    """The command that runs argv in ctl or in a machine."""
    if name == CONTROLLER:
        return [*prefix(), *argv]
    ssh = ["ssh", *keys.ssh_options(places()), "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}", "-o", "LogLevel=ERROR"]
    return [*prefix(), *ssh, f"root@{host(name).address}", "--", shlex.join(argv)]


def exec_on(
    name: str, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 120.0, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a short command in ctl or a machine; a LabError when it fails (unless check is off) or takes too long."""
    return run(words(name, argv), stdin=stdin, timeout_s=timeout_s, check=check, keeps_lock=False)


def answers(kind: str, address: str, seconds: float) -> bool:
    """Whether the address answers a program in ctl in time; kind: see probe.py."""
    argv = [sys.executable, "-I", probe.__file__, kind, address, str(seconds)]
    return exec_on(CONTROLLER, argv, check=False, timeout_s=seconds + 30).returncode == 0


def replace_process(name: str, argv: Sequence[str]) -> None:
    """Becomes that command: its streams and exit status are the caller's."""
    command = words(name, argv)
    os.execvp(command[0], command)
