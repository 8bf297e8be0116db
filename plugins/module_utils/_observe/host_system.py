# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: the rest of the operating system.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import ctypes
import glob
import os
import re
import socket
import typing as t

from . import area, cluster, files

# Where a domain's log, its generated files and its status are written when it starts, and then its definition.
_SPACES = ("/var/log/libvirt/qemu", "/var/lib/libvirt/qemu", "/run/libvirt/qemu", "/etc/libvirt/qemu")
_MAINTENANCE = "/var/lib/livemig/maintenance"
_ZONES = "/zoneinfo/"
_UNSYNCHRONISED = 0x40
_PORTS = "/proc/sys/net/ipv4"
_LISTEN = "0A"

# Of Ganeti's nodes only master candidates have config.data, and all have the ssconf files. nova-compute.conf is
# Debian's, nova-cpu.conf devstack's; other packages of nova share nova.conf among its services, and its state_path.
_MANAGERS: t.Mapping[str, tuple[str, ...]] = {
    "CloudStack": ("/etc/cloudstack/agent/agent.properties",),
    "Ganeti": ("/var/lib/ganeti/config.data", "/var/lib/ganeti/ssconf_cluster_name"),
    "nova": ("/etc/nova/nova-compute.conf", "/etc/nova/nova-cpu.conf", "/var/lib/nova"),
    "oVirt": ("/etc/vdsm/vdsm.conf",),
    "Proxmox VE": ("/etc/pve/storage.cfg",),
}


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2) up to what is read, with room for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


def _synchronised(_host: area.Host) -> bool:
    """What every time service tells the kernel, whichever it is. With ``modes`` 0 adjtimex changes nothing."""
    library = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    if library.adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return not timex.status & _UNSYNCHRONISED


def _spaces(_host: area.Host) -> dict[str, dict[str, t.Any]]:
    return {path: _space(os.statvfs(path)) for path in _SPACES if os.path.isdir(path)}


def _space(found: os.statvfs_result) -> dict[str, t.Any]:
    """btrfs and others that count no inodes say that there are 0."""
    return {
        "free_mib": found.f_bavail * found.f_frsize // 1024**2,
        "free_inodes_percent": found.f_favail * 100 // found.f_files if found.f_files else None,
        "read_only": bool(found.f_flag & os.ST_RDONLY),
    }


def _threads(_host: area.Host) -> dict[str, int]:
    limit = min(int(files.read(f"/proc/sys/kernel/{name}")) for name in ("pid_max", "threads-max"))
    return {"in_use": threads_in_use(files.read("/proc/loadavg")), "limit": limit}


def threads_in_use(loadavg: str) -> int:
    """The fourth word of ``/proc/loadavg`` is runnable threads / all threads."""
    return int(loadavg.split()[3].partition("/")[2])


def _health(_host: area.Host) -> dict[str, t.Any]:
    counts = glob.glob("/sys/devices/system/edac/mc/mc*/ue_count")
    raids = {path.split("/")[3]: int(files.read(path)) for path in glob.glob("/sys/block/md*/md/degraded")}
    return {
        "memory_errors": sum(int(files.read(path)) for path in counts),
        "degraded_raids": sorted(name for name, missing in raids.items() if missing),
    }


def _timezone(_host: area.Host) -> str:
    path = os.path.realpath("/etc/localtime")
    if not os.path.exists(path):
        return "UTC"
    if _ZONES not in path:
        raise ValueError("/etc/localtime is a copy and no link, and does not tell which time zone it is")
    name = path.partition(_ZONES)[2]
    return "UTC" if name in ("Etc/UTC", "Universal", "Zulu", "Etc/Universal", "Etc/Zulu", "UTC") else name


def _cgroup(_host: area.Host) -> str | None:
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "v1" if os.path.isdir("/sys/fs/cgroup/cpu") else None


def _maintenance(_host: area.Host) -> str | None:
    if not os.path.exists(os.path.dirname(_MAINTENANCE)):
        return None
    try:
        text = files.read(_MAINTENANCE).strip()
    except FileNotFoundError:
        return None
    return text.splitlines()[0] if text else "without a reason"


def own_addresses(hosts: str, name: str) -> list[str]:
    """What the text of /etc/hosts says to a host name, long or short."""
    names = {name, name.partition(".")[0]}
    found = []
    for line in hosts.splitlines():
        address, *words = line.split("#", 1)[0].split() or [""]
        if names & set(words):
            found.append(address)
    return found


def _own_name(_host: area.Host) -> list[str]:
    return own_addresses(files.read("/etc/hosts"), socket.gethostname())


def port_ranges(text: str) -> list[list[int]]:
    """``1000,2000-2010`` as [[1000, 1000], [2000, 2010]]."""
    pairs = (entry.strip().partition("-") for entry in text.split(",") if entry.strip())
    return [[int(first), int(last or first)] for first, _dash, last in pairs]


def held_ports(first: int, last: int, *tables: str) -> int:
    """How many local ports of the range connections hold, from the texts of ``/proc/net/tcp`` and ``tcp6``."""
    held = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] != _LISTEN:
                held.add(int(fields[1].rpartition(":")[2], 16))
    return sum(first <= port <= last for port in held)


def _client_ports(host: area.Host) -> dict[str, t.Any]:
    conf = host.qemu_conf()
    first, last = (int(conf.get(f"migration_port_{end}", default)) for end, default in (("min", 49152), ("max", 49215)))
    begin, end = map(int, re.findall(r"\d+", files.read(f"{_PORTS}/ip_local_port_range"))[:2])
    tables = [files.read(path) for path in ("/proc/net/tcp", "/proc/net/tcp6") if os.path.exists(path)]
    return {
        "range": [begin, end],
        "reserved": port_ranges(files.read(f"{_PORTS}/ip_local_reserved_ports")),
        "held": held_ports(first, last, *tables),
    }


def _managers(_host: area.Host) -> list[str]:
    return sorted(name for name, paths in _MANAGERS.items() if any(map(os.path.exists, paths)))


FACTS: area.Facts = {
    "synchronised": area.Fact(_synchronised, "Whether the kernel says that a time service keeps its clock right"),
    "spaces": area.Fact(
        _spaces,
        "Of each folder that a starting domain is written to: `free_mib`, `free_inodes_percent` (null where the file "
        "system counts none), and whether it is mounted `read_only`",
    ),
    "threads": area.Fact(_threads, "Threads: `in_use`, and the `limit` by pid_max and threads-max"),
    "health": area.Fact(
        _health,
        "`memory_errors`: uncorrectable ones since the start, by EDAC; `degraded_raids`: names of md arrays that lack "
        "a disk",
    ),
    "timezone": area.Fact(_timezone, "The time zone, by what /etc/localtime links to"),
    "cgroup": area.Fact(_cgroup, "v1, v2 or null: which control groups libvirt finds"),
    "maintenance": area.Fact(
        _maintenance, "The first line of /var/lib/livemig/maintenance; null where the host is not in maintenance"
    ),
    "own_name": area.Fact(_own_name, "Addresses that /etc/hosts has for the host's own name"),
    "client_ports": area.Fact(
        _client_ports,
        "Ports that connections to elsewhere take: `range` and `reserved` of net.ipv4.ip_local_*, and how many of the "
        "migration ports are `held` by connections",
    ),
    "managers": area.Fact(_managers, "Other programs that manage guests and have their configuration here"),
    "pacemaker": area.Fact(
        cluster.pacemaker,
        "Pacemaker's VirtualDomain resources: `resource`, `domain` and whether it is `managed`; empty without",
    ),
}
