# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine must have, each with the remedy."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.places import LAB
from tests.lab.run import run

PACKAGES = {
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "pivot_root": "util-linux",
    "mount": "mount",
}
NAMESPACES = ("net", "mnt", "uts", "ipc", "pid")


@dataclass(frozen=True)
class Machine:
    """The facts that the lab depends on."""

    uid: int
    missing_commands: frozenset[str]
    overlay: bool
    tun: bool
    namespaces: frozenset[str]


def observe() -> Machine:
    if os.geteuid() == 0 and not _has_overlay() and shutil.which("modprobe"):
        run(["modprobe", "overlay"], check=False)
    commands = (*PACKAGES, "mmdebstrap")
    return Machine(
        uid=os.geteuid(),
        missing_commands=frozenset(name for name in commands if shutil.which(name) is None),
        overlay=_has_overlay(),
        tun=Path("/dev/net/tun").exists(),
        namespaces=frozenset(name for name in NAMESPACES if Path(f"/proc/self/ns/{name}").exists()),
    )


def _has_overlay() -> bool:
    return "overlay" in Path("/proc/filesystems").read_text(encoding="utf-8").split()


def lacking(machine: Machine) -> list[LabError]:
    """Everything that a running lab needs and the machine lacks."""
    found: list[LabError] = []
    if not re.fullmatch(r"[a-z0-9]{1,8}", LAB):
        found.append(LabError(f"LIVEMIG_LAB_NAME is '{LAB}'", "1 to 8 small letters and digits", "choose another"))
    if machine.uid != 0:
        found.append(LabError(f"the user id is {machine.uid}", "0", "run it as root"))
    for command, package in PACKAGES.items():
        if command in machine.missing_commands:
            found.append(LabError(f"the command {command} is missing", "it on PATH", f"apt-get install {package}"))
    if not machine.overlay:
        found.append(
            LabError(
                "/proc/filesystems has no overlay", "overlayfs in the kernel", "use a kernel with CONFIG_OVERLAY_FS"
            )
        )
    if not machine.tun:
        found.append(LabError("/dev/net/tun is missing", "the device for the guests' taps", "modprobe tun"))
    for name in NAMESPACES:
        if name not in machine.namespaces:
            found.append(LabError(f"/proc/self/ns/{name} is missing", "namespaces", "use a kernel with namespaces"))
    return found


def lacking_for_roots(machine: Machine) -> list[LabError]:
    """What building a root needs on top."""
    if "mmdebstrap" not in machine.missing_commands:
        return []
    return [LabError("the command mmdebstrap is missing", "it on PATH", "apt-get install mmdebstrap")]


def demand(problems: list[LabError]) -> None:
    """Raises everything in one LabError, if there is anything."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise LabError(
            "this machine lacks several things: " + ", ".join(problem.value for problem in problems),
            "a Debian machine with namespaces, overlayfs and a few packages",
            "; ".join(dict.fromkeys(problem.remedy for problem in problems)),
        )
