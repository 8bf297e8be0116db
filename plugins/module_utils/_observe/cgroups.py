# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory limits by control groups, of version 1 and 2, as far as this host sees them. Standard library only.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from . import files

_NAMES = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}
_NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as some 2^63 bytes."""
_UNIT = re.compile(r"\.(slice|service|scope)$")
_PARTITIONS = ("machine.slice", "machine", "machine.partition")
_DEPTH = 3


class Hierarchy(t.NamedTuple):
    """``top``: the group that is mounted at ``mount``."""

    version: int
    mount: str
    top: str


class Group(t.NamedTuple):
    limit: int
    used: int


def memory_hierarchy(mountinfo: str, groups: str) -> tuple[Hierarchy, str] | None:
    """The mounted hierarchy that counts memory, and the group of the process therein; None where there is none.

    ``groups``: the text of ``/proc/PID/cgroup``. Version 1 wins where it has the controller: then version 2 has not.
    """
    mounted: dict[int, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _separator, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) < 5 or not tail:
            continue
        if tail[0] == "cgroup" and "memory" in tail[-1].split(","):
            mounted.setdefault(1, Hierarchy(1, fields[4], fields[3]))
        elif tail[0] == "cgroup2":
            mounted.setdefault(2, Hierarchy(2, fields[4], fields[3]))
    lines = [line for line in groups.splitlines() if line.count(":") > 1]
    for line in sorted(lines, reverse=True):  # the line of version 2 starts with 0
        _number, names, path = line.split(":", 2)
        version = 2 if not names else 1 if "memory" in names.split(",") else 0
        if version in mounted:
            return mounted[version], path
    return None


def above_units(group: str) -> list[str]:
    """The group and those above it that limit guests too: systemd puts these beside the daemon's slice, not into it."""
    parts: list[str] = []
    for part in group.strip("/").split("/"):
        if _UNIT.search(part):
            break
        parts.append(part)
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]


def folder(hierarchy: Hierarchy, group: str) -> str | None:
    """Where the group is, or None where it is not below what is mounted."""
    top = hierarchy.top.strip("/")
    group = group.strip("/")
    if top and f"{group}/".startswith(f"{top}/"):
        group = group[len(top) :].strip("/")
    elif top and not top.startswith(".."):
        return None
    return os.path.join(hierarchy.mount, group).rstrip("/")


def limit_of(version: int, path: str) -> Group | None:
    """Bytes that the group may use and uses, without the cache that can be given back; None: it has no limit."""
    names = [os.path.join(path, name) for name in _NAMES[version]]
    if not all(map(os.path.exists, names)):
        return None
    limit = files.read(names[0]).strip()
    if not limit.isdigit() or int(limit) >= _NO_LIMIT:
        return None
    stat = dict(re.findall(r"^(\w+) (\d+)$", files.read(os.path.join(path, "memory.stat")), re.MULTILINE))
    cache = int(stat.get("total_inactive_file") or stat.get("inactive_file") or 0)
    return Group(int(limit), max(int(files.read(names[1])) - cache, 0))


def left_mib(pid: int | str) -> int | None:
    """MiB that guests started by this process can still get before a limit above it; None where nothing limits."""
    found = memory_hierarchy(files.read("/proc/self/mountinfo"), files.read(f"/proc/{pid}/cgroup"))
    if found is None:
        return None
    hierarchy, group = found
    places = [folder(hierarchy, name) for name in above_units(group)]
    limits = [limit_of(hierarchy.version, place) for place in places if place is not None]
    left = [max(entry.limit - entry.used, 0) // 1024**2 for entry in limits if entry is not None]
    return min(left) if left else None


def partitions() -> list[dict[str, t.Any]]:
    """The groups in which libvirt puts guests and which have a limit: ``path``, ``limit_mib``, ``used_mib``."""
    found = memory_hierarchy(files.read("/proc/self/mountinfo"), files.read("/proc/self/cgroup"))
    if found is None:
        return []
    entries = []
    for name in _PARTITIONS:
        for place in _below(os.path.join(found[0].mount, name), _DEPTH):
            group = limit_of(found[0].version, place)
            if group is not None:
                path = os.path.relpath(place, found[0].mount)
                entry = {"path": path, "limit_mib": group.limit // 1024**2, "used_mib": group.used // 1024**2}
                entries.append(entry)
    return entries


def _below(place: str, depth: int) -> t.Iterator[str]:
    """Partitions and slices, no guests: those end in ``.scope`` or ``.libvirt-qemu``."""
    if not os.path.isdir(place):
        return
    yield place
    for name in sorted(os.listdir(place)) if depth else ():
        if name.endswith((".slice", ".partition")):
            yield from _below(os.path.join(place, name), depth - 1)
