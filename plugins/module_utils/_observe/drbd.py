# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a DRBD device: of DRBD 9 by drbdsetup, which no file tells, of DRBD 8 by /proc/drbd.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t

from .._model.types import DrbdState

PROC = "/proc/drbd"
_TIMEOUT_S = 5
_LINE = re.compile(r"^\s*(?P<minor>\d+): cs:(?P<cs>\S+) ro:(?P<ro>\S+) ds:(?P<ds>\S+)", re.MULTILINE)
_TWO = re.compile(r"^\s*allow-two-primaries(\s+yes)?;", re.MULTILINE)


def of_minor(minor: int) -> DrbdState | None:
    """None where DRBD does not know the device. Raises OSError where it cannot be asked."""
    with open(PROC, encoding="utf-8") as file:
        found = parse_proc(file.read(), minor)
    if found is not None:
        return found
    found = parse_status(_run("drbdsetup", "status", "--json"), minor)
    if found is not None:
        found["two_primaries"] = allows_two(_run("drbdsetup", "show", str(found["resource"])))
    return found


def _run(*words: str) -> str:
    try:
        done = subprocess.run(
            list(words),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{' '.join(words)} did not end within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def parse_proc(text: str, minor: int) -> DrbdState | None:
    """DRBD 8: ``1: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----``. It has no names of resources."""
    for line in _LINE.finditer(text):
        if int(line["minor"]) == minor:
            role, _slash, peer_role = line["ro"].partition("/")
            disk, _slash, peer_disk = line["ds"].partition("/")
            peer = {"name": "", "connection": line["cs"], "role": peer_role, "disk": peer_disk}
            return {
                "node": os.uname().nodename,
                "resource": None,
                "volume": 0,
                "role": role,
                "disk": disk,
                "peers": [peer],
                "two_primaries": None,
            }
    return None


def parse_status(text: str, minor: int) -> DrbdState | None:
    """DRBD 9: ``drbdsetup status --json``."""
    for resource in t.cast("list[dict[str, t.Any]]", json.loads(text)):
        for device in resource.get("devices", []):
            if device.get("minor") == minor:
                return {
                    "node": os.uname().nodename,
                    "resource": resource["name"],
                    "volume": device["volume"],
                    "role": resource["role"],
                    "disk": device["disk-state"],
                    "peers": [_peer(entry, device["volume"]) for entry in resource.get("connections", [])],
                    "two_primaries": None,
                }
    return None


def _peer(connection: dict[str, t.Any], volume: int) -> dict[str, str]:
    devices = {entry.get("volume"): entry for entry in connection.get("peer_devices", [])}
    return {
        "name": connection.get("name", ""),
        "connection": connection.get("connection-state", ""),
        "role": connection.get("peer-role", ""),
        "disk": devices.get(volume, {}).get("peer-disk-state", ""),
    }


def allows_two(text: str) -> bool:
    """Whether ``drbdsetup show`` has allow-two-primaries, which is off by default and then not shown."""
    return bool(_TWO.search(text))
