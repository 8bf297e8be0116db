# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: libvirt's daemons and their configuration.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import glob
import os
import re
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, error_text
from . import area, files, host_ram, netdevs
from .xml import parse

# qemu.conf.in of libvirt. None: what is compiled in, or a default that other settings decide.
_QEMU_CONF: t.Mapping[str, t.Any] = {
    "allow_disk_format_probing": 0,
    "cgroup_controllers": None,
    "cgroup_device_acl": None,
    "default_tls_x509_verify": 1,
    "dynamic_ownership": 1,
    "group": None,
    "hugetlbfs_mount": None,
    "keepalive_count": 5,
    "keepalive_interval": 5,
    "lock_manager": None,
    "max_core": None,
    "max_files": 0,
    "max_processes": 0,
    "max_queued": 0,
    "max_threads_per_process": 0,
    "memory_backing_dir": None,
    "migrate_tls_force": 0,
    "migrate_tls_x509_verify": None,
    "migration_address": None,
    "migration_host": None,
    "migration_port_max": 49215,
    "migration_port_min": 49152,
    "namespaces": None,
    "nvram": None,
    "remember_owner": 1,
    "seccomp_sandbox": None,
    "security_default_confined": 1,
    "security_driver": None,
    "security_require_confined": 0,
    "set_process_name": 0,
    "shared_filesystems": None,
    "stdio_handler": "logd",
    "swtpm_group": None,
    "swtpm_user": None,
    "user": None,
}

# libvirtd.conf.in
_CLIENTS: t.Mapping[str, int] = {"max_clients": 5000, "max_client_requests": 5, "max_workers": 20}
_SOCKETS = "/run/libvirt"
_CONFS = ("/etc/libvirt/virtqemud.conf", "/etc/libvirt/libvirtd.conf")

_SSHD_CONF = "/etc/ssh/sshd_config"
_MAX_STARTUPS = 10

_DAEMON_PID = "/run/libvirt/qemu/driver.pid"
"""Of the daemon that has the QEMU driver: libvirtd or virtqemud."""

_MODULES = ("/usr/lib/*/qemu", "/usr/lib64/qemu-kvm", "/usr/lib64/qemu", "/usr/lib/qemu")

# What comes with libvirt, of its version and with what a distribution has added to it.
_SCHEMA = "/usr/share/libvirt/schemas/domaincommon.rng"
_SCHEMA_KINDS = ("crypto", "iommu", "memorydev", "panic", "sound", "watchdog")
_RNG = "{http://relaxng.org/ns/structure/1.0}"

_LOGD = ("/run/libvirt/virtlogd-sock", "/var/run/libvirt/virtlogd-sock")

_GUESTS_CONFS = ("/etc/default/libvirt-guests", "/etc/sysconfig/libvirt-guests", "/etc/conf.d/libvirt-guests")
_SHELL = re.compile(r"^\s*(?:export\s+)?(?P<key>[A-Z_]+)=(?P<value>[^#\n]*)", re.MULTILINE)


def _qemu_conf(host: area.Host) -> dict[str, t.Any]:
    conf = host.qemu_conf()
    return {name: conf.get(name, default) for name, default in _QEMU_CONF.items()}


def _clients(_host: area.Host) -> dict[str, int]:
    modular = os.path.exists(f"{_SOCKETS}/virtqemud-sock")
    path = _CONFS[0 if modular else 1]
    conf = files.parse_conf(files.read(path)) if os.path.exists(path) else {}
    return {name: int(conf.get(name, default)) for name, default in _CLIENTS.items()}


def sshd_words(path: str, depth: int = 0) -> list[list[str]]:
    """The lines of sshd's configuration as words, files that it includes in their place; up to the first Match."""
    found: list[list[str]] = []
    for line in files.read(path).splitlines():
        words = line.split("#", 1)[0].replace("=", " ", 1).split()
        if not words:
            continue
        if words[0].lower() == "match":
            break
        if words[0].lower() == "include" and depth < 4:
            for pattern in words[1:]:
                for included in sorted(glob.glob(os.path.join(os.path.dirname(_SSHD_CONF), pattern))):
                    found += sshd_words(included, depth + 1)
        else:
            found.append(words)
    return found


def max_startups(lines: t.Iterable[t.Sequence[str]]) -> int:
    """Connections at which sshd begins to drop new ones; of several settings the first counts."""
    for words in lines:
        if words[0].lower() == "maxstartups" and len(words) > 1:
            return int(words[1].partition(":")[0])
    return _MAX_STARTUPS


def _sshd(_host: area.Host) -> int | None:
    return max_startups(sshd_words(_SSHD_CONF)) if os.path.exists(_SSHD_CONF) else None


def max_open_files(limits: str) -> int | None:
    """The soft limit in the text of ``/proc/PID/limits``; None is no limit."""
    soft = re.search(r"^Max open files\s+(\S+)", limits, re.MULTILINE)
    if soft is None:
        raise ValueError("the kernel tells no limit of open files")
    return None if soft[1] == "unlimited" else int(soft[1])


def _max_files(_host: area.Host) -> int | None:
    pid = int(files.read(_DAEMON_PID))
    return max_open_files(files.read(f"/proc/{pid}/limits"))


def _drivers(host: area.Host) -> dict[str, str | None]:
    connection = host.connection
    calls: dict[str, t.Callable[[], object]] = {
        "network": connection.numOfNetworks,
        "nodedev": lambda: connection.numOfDevices(None, 0),
        "nwfilter": connection.numOfNWFilters,
        "secret": connection.numOfSecrets,
        "storage": connection.numOfStoragePools,
    }
    return {name: _trouble(connection, call) for name, call in calls.items()}


def _trouble(connection: Connection, call: t.Callable[[], object]) -> str | None:
    """Raises libvirt's error where it is the connection that has ended, and no driver that is missing."""
    try:
        call()
    except LIBVIRT_ERRORS as error:
        if not connection.isAlive():
            raise
        return error_text(error)
    return None


def _modules(_host: area.Host) -> list[str] | None:
    folders = [folder for pattern in _MODULES for folder in sorted(glob.glob(pattern))]
    found = {name[:-3] for folder in folders for name in os.listdir(folder) if name.endswith(".so")}
    return sorted(found) or None


def _logd_listens(_host: area.Host) -> bool:
    """libvirt's daemon starts no virtlogd itself (virLogManagerConnect), but systemd may, which then listens for it."""
    bound = netdevs.listening_paths(files.read(f"/proc/{host_ram.daemon()}/net/unix"))
    return not bound.isdisjoint(_LOGD)


def schema_models(text: str) -> dict[str, list[str]]:
    """Kind of device -> the models that libvirt's schema of a domain has for it, of kinds whose models it lists."""
    root, found = parse(text), {}
    for kind in _SCHEMA_KINDS:
        models = root.find(f"{_RNG}define[@name='{kind}']/{_RNG}element//{_RNG}attribute[@name='model']")
        values = [] if models is None else sorted(value.text or "" for value in models.iter(f"{_RNG}value"))
        if values:
            found[kind] = values
    return found


def _schema_models(_host: area.Host) -> dict[str, list[str]] | None:
    return schema_models(files.read(_SCHEMA)) if os.path.exists(_SCHEMA) else None


def _guests_service(_host: area.Host) -> dict[str, t.Any]:
    conf: dict[str, str] = {}
    for path in _GUESTS_CONFS:
        if os.path.exists(path):
            found = _SHELL.finditer(files.read(path))
            conf.update((entry["key"], entry["value"].strip().strip("'\"")) for entry in found)
    return {"enabled": _guests_enabled(), "on_shutdown": conf.get("ON_SHUTDOWN") or "suspend"}


def _guests_enabled() -> bool:
    if os.path.isdir("/run/systemd/system"):
        return bool(glob.glob("/etc/systemd/system/*.wants/libvirt-guests.service"))
    return bool(glob.glob("/etc/rc[2-5].d/S*libvirt-guests") or glob.glob("/etc/runlevels/*/libvirt-guests"))


FACTS: area.Facts = {
    "qemu_conf": area.Fact(
        _qemu_conf,
        "Settings of qemu.conf that matter for a migration, with libvirt's default where the file has none; null where "
        "the default is compiled in",
    ),
    "clients": area.Fact(
        _clients, "`max_clients`, `max_client_requests` and `max_workers` of libvirtd.conf, or of virtqemud.conf"
    ),
    "ssh_startups": area.Fact(
        _sshd, "Number of unauthenticated connections at which sshd begins to drop new ones; null without sshd"
    ),
    "max_files": area.Fact(_max_files, "Open files that the daemon with the QEMU driver may have; null is no limit"),
    "drivers": area.Fact(
        _drivers,
        "Of network, nodedev, nwfilter, secret and storage: null where libvirt has this driver, or its error",
        by="libvirt",
    ),
    "qemu_modules": area.Fact(
        _modules, "Names of QEMU's loadable modules; null where there is no folder with any, so that none is needed"
    ),
    "logd_listens": area.Fact(
        _logd_listens,
        "Whether virtlogd, or systemd for it, listens at the socket to which libvirt hands guests' output",
    ),
    "schema_models": area.Fact(
        _schema_models,
        "Models that libvirt's own schema of a domain lists, of crypto, iommu, memorydev, panic, sound and watchdog; "
        "null where the schema is not installed",
    ),
    "guests_service": area.Fact(
        _guests_service,
        "libvirt-guests: `enabled`, whether it runs when the host stops, and `on_shutdown`, what it then does",
    ),
}
