# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: memory, NUMA cells, huge pages, and what post-copy needs of the kernel.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import typing as t

from . import area, cgroups, files

_DAEMON_PIDS = ("/run/virtqemud.pid", "/run/libvirtd.pid")
_CAP_SYS_RESOURCE = 24
_BACKING_DIR = "/var/lib/libvirt/qemu/ram"
_UNITS_KIB = {"k": 1, "m": 1024, "g": 1024**2}
_PID_FILES = "/run/libvirt/qemu/*.pid"
_PAGE_SIZE = re.compile(r"pagesize=(\d+)([kmg])", re.IGNORECASE)


def daemon_pid() -> int:
    """Of the daemon that starts QEMU. Raises OSError where none is on record."""
    for path in _DAEMON_PIDS:
        if os.path.exists(path):
            return int(files.read(path))
    raise OSError(f"none of {', '.join(_DAEMON_PIDS)} is there, so the daemon's process is not known")


def daemon() -> int | str:
    """The daemon's process; our own where it is not known, which is in the same container."""
    try:
        return daemon_pid()
    except OSError:
        return "self"


def cells(host: area.Host) -> list[dict[str, t.Any]]:
    """``id``, ``free_mib`` and ``pages`` of each NUMA cell; a page size and the free pages of it in each entry."""
    return [_cell(host, int(cell.get("id", "0"))) for cell in host.capabilities().findall("host/topology/cells/cell")]


def _cell(host: area.Host, number: int) -> dict[str, t.Any]:
    base = os.sysconf("SC_PAGE_SIZE") // 1024
    path = f"host/topology/cells/cell[@id='{number}']/pages"
    sizes = [int(pages.get("size", "0")) for pages in host.capabilities().findall(path)]
    huge = sorted(size for size in sizes if size > base)
    free = host.connection.getFreePages(huge, number, 1).get(number, {}) if huge else {}
    return {
        "id": number,
        "free_mib": host.connection.getCellsFreeMemory(number, 1)[0] // 1024**2,
        "pages": [{"size_kib": size, "free": int(free[size])} for size in huge],
    }


def cells_available(_host: area.Host) -> list[dict[str, int]]:
    """``id`` and ``available_mib`` of each NUMA cell; the page cache counts, but for what tmpfs holds of it."""
    found = []
    for path in glob.glob("/sys/devices/system/node/node[0-9]*/meminfo"):
        number = re.sub(r"\D", "", os.path.basename(os.path.dirname(path)))
        found.append({"id": int(number), "available_mib": node_available_mib(files.read(path))})
    return sorted(found, key=lambda cell: cell["id"])


def node_available_mib(meminfo: str) -> int:
    """Of ``/sys/devices/system/node/node*/meminfo``, which has no MemAvailable."""
    values = {name: int(size) for name, size in re.findall(r"^Node \d+ (\S+):\s+(\d+) kB", meminfo, re.MULTILINE)}
    cache = values.get("FilePages", 0) + values.get("SReclaimable", 0) - values.get("Shmem", 0)
    return (values["MemFree"] + max(cache, 0)) // 1024


def meminfo_kib(name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB", files.read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) if found else None


def hugetlbfs(host: area.Host) -> list[dict[str, t.Any]]:
    """Mounts of huge pages and their page size; with ``hugetlbfs_mount`` in qemu.conf libvirt uses only those."""
    wanted = host.qemu_conf().get("hugetlbfs_mount")
    found = parse_hugetlbfs(files.read("/proc/self/mounts"), meminfo_kib("Hugepagesize"))
    if wanted is None:
        return found
    names = [wanted] if isinstance(wanted, str) else wanted
    return [mount for mount in found if mount["path"] in [name.rstrip("/") for name in names]]


def parse_hugetlbfs(mounts: str, default_kib: int | None) -> list[dict[str, t.Any]]:
    found = []
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[2] == "hugetlbfs":
            size = _PAGE_SIZE.search(fields[3])
            kib = int(size[1]) * _UNITS_KIB[size[2].lower()] if size else default_kib
            found.append({"path": fields[1], "size_kib": kib})
    return found


def backing(host: area.Host) -> dict[str, t.Any]:
    """The folder for memory in files, and MiB free in the file system that holds it or will hold it."""
    path = str(host.qemu_conf().get("memory_backing_dir", _BACKING_DIR))
    place = path
    while not os.path.isdir(place):
        place = os.path.dirname(place) or "/"
    space = os.statvfs(place)
    return {"path": path, "exists": place == path, "free_mib": space.f_bavail * space.f_frsize // 1024**2}


def overcommit(_host: area.Host) -> dict[str, int | None]:
    limit, committed = meminfo_kib("CommitLimit"), meminfo_kib("Committed_AS")
    return {
        "mode": int(files.read("/proc/sys/vm/overcommit_memory")),
        "left_mib": None if limit is None or committed is None else (limit - committed) // 1024,
    }


def huge_pages_of_kernel(_host: area.Host) -> str | None:
    """Which of ``always [madvise] never`` is chosen; None where the kernel has no transparent huge pages."""
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    if not os.path.exists(path):
        return None
    found = re.search(r"\[(\w+)\]", files.read(path))
    return found[1] if found else None


def swapped(_host: area.Host) -> dict[str, int]:
    """Domain -> MiB of its QEMU that are in swap, of those that have any."""
    found = {}
    for path in glob.glob(_PID_FILES):
        try:
            mib = status_kib(files.read(f"/proc/{int(files.read(path))}/status"), "VmSwap") // 1024
        except FileNotFoundError:  # it has just ended
            continue
        if mib:
            found[os.path.basename(path)[: -len(".pid")]] = mib
    if not os.access(os.path.dirname(_PID_FILES), os.R_OK | os.X_OK):
        raise PermissionError(f"{os.path.dirname(_PID_FILES)} may not be read")
    return found


def status_kib(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def memlock(_host: area.Host) -> dict[str, t.Any]:
    """``limit_mib`` that the daemon may lock (None: no limit), and ``raises``: whether it may give QEMU more."""
    folder = f"/proc/{daemon_pid()}"
    return {
        "limit_mib": lock_limit_mib(files.read(f"{folder}/limits")),
        "raises": may_raise(files.read(f"{folder}/status")),
    }


def lock_limit_mib(limits: str) -> int | None:
    """The hard limit of ``Max locked memory`` in ``/proc/PID/limits``."""
    found = re.search(r"^Max locked memory\s+\S+\s+(\S+)", limits, re.MULTILINE)
    if found is None:
        raise ValueError("the kernel does not tell how much memory the daemon may lock")
    return None if found[1] == "unlimited" else int(found[1]) // 1024**2


def may_raise(status: str) -> bool:
    """Whether the process has CAP_SYS_RESOURCE, without which no hard limit can be raised."""
    found = re.search(r"^CapEff:\s+([0-9a-f]+)", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAP_SYS_RESOURCE & 1)


def userfaultfd(_host: area.Host) -> dict[str, t.Any]:
    """``unprivileged``: the kernel's setting, None where it has none; ``device``: whether /dev/userfaultfd is there;
    ``open``: whether everybody may use it."""
    path, device = "/proc/sys/vm/unprivileged_userfaultfd", "/dev/userfaultfd"
    exists = os.path.exists(device)
    return {
        "unprivileged": int(files.read(path)) if os.path.exists(path) else None,
        "device": exists,
        "open": exists and os.stat(device).st_mode & 0o006 == 0o006,
    }


def hands_over_userfaultfd(host: area.Host) -> bool:
    """Whether libvirt may give QEMU /dev/userfaultfd: only in a mount namespace of its own, and if the list of devices
    names it where there is one (qemuProcessAllowPostCopyMigration)."""
    conf = host.qemu_conf()
    return "mount" in conf.get("namespaces", ["mount"]) and "/dev/userfaultfd" in conf.get(
        "cgroup_device_acl", ["/dev/userfaultfd"]
    )


def qemu_user(host: area.Host) -> int | None:
    """The number of the user that QEMU runs as; None where libvirt does not tell."""
    for model in host.capabilities().findall("host/secmodel"):
        if model.findtext("model") == "dac":
            found = re.match(r"\+?(\d+):", model.findtext("baselabel") or "")
            return int(found[1]) if found else None
    return None


def pressure(_host: area.Host) -> float | None:
    """Percent of the last minute in which nothing went on for lack of memory; None where the kernel does not count."""
    try:
        text = files.read("/proc/pressure/memory")
    except FileNotFoundError:
        return None
    found = re.search(r"^full .*?avg60=([\d.]+)", text, re.MULTILINE)
    return float(found[1]) if found else None


FACTS: area.Facts = {
    "backing": area.Fact(
        backing, "Folder for memory in files (`memory_backing_dir`): `path`, `exists`, `free_mib` of its file system"
    ),
    "cells": area.Fact(
        cells,
        "NUMA cells: `id`, `free_mib`, and `pages`: `size_kib` and `free` of each size of huge pages",
        by="libvirt",
        last_look=True,
    ),
    "cells_available": area.Fact(cells_available, "NUMA cells: `id`, `available_mib` (the page cache counts)"),
    "groups": area.Fact(
        lambda _host: cgroups.partitions(),
        "cgroups for guests that have a memory limit: `path`, `limit_mib`, `used_mib` (reclaimable cache left out)",
    ),
    "hugepage_kib": area.Fact(lambda _host: meminfo_kib("Hugepagesize"), "Default size of huge pages, KiB"),
    "hugetlbfs": area.Fact(hugetlbfs, "Mounts of huge pages that libvirt may use: `path`, `size_kib`"),
    "hands_over_userfaultfd": area.Fact(
        hands_over_userfaultfd, "Whether qemu.conf (`namespaces`, `cgroup_device_acl`) lets QEMU have /dev/userfaultfd"
    ),
    "memlock": area.Fact(
        memlock, "Memory that the daemon may lock: `limit_mib` (null: no limit), `raises`: whether it may raise it"
    ),
    "numad": area.Fact(lambda _host: shutil.which("numad") is not None, "Whether numad is installed"),
    "overcommit": area.Fact(
        overcommit, "`mode`: vm.overcommit_memory; `left_mib`: what may still be committed where the mode is 2"
    ),
    "page_kib": area.Fact(lambda _host: os.sysconf("SC_PAGE_SIZE") // 1024, "Size of plain pages, KiB"),
    "pressure": area.Fact(
        pressure, "Percent of the last minute in which nothing went on for lack of memory (PSI, full avg60), or null"
    ),
    "qemu_user": area.Fact(qemu_user, "Number of the user that QEMU runs as, or null", by="libvirt"),
    "swapped": area.Fact(swapped, "Domain -> MiB of its QEMU in swap, of those that have any"),
    "thp": area.Fact(huge_pages_of_kernel, "Transparent huge pages: always, madvise, never, or null without them"),
    "userfaultfd": area.Fact(
        userfaultfd,
        "`unprivileged`: vm.unprivileged_userfaultfd or null; `device`: whether /dev/userfaultfd is there; `open`: "
        "whether everybody may use it",
    ),
}
