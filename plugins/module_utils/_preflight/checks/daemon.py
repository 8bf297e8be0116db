# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of libvirt's daemons, of their configuration, and of what is installed beside them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..check import Check, Problem, Requirement, View, unknown

_PATIENCE_S = 30
_SSH = "+ssh"

# What two migrations at once need of each source: libvirt opens a connection for each peer-to-peer migration, and
# one is ours; migrate, jobStats and an abort wait at the same time.
_PER_SOURCE = 6
_REQUESTS = 5
# sshd counts connections that have not logged in yet (MaxStartups): at most the one that each migration begins with.
_LOGINS = 2
_WORKERS = 5
_QUEUED = 3
_FILES = 1024

_THREADS = 1000

# defaultDeviceACL in libvirt's src/qemu/qemu_cgroup.c, of all its versions
_DEFAULT_ACL = (
    "/dev/full",
    "/dev/hpet",
    "/dev/kqemu",
    "/dev/kvm",
    "/dev/null",
    "/dev/ptmx",
    "/dev/random",
    "/dev/rtc",
    "/dev/urandom",
    "/dev/userfaultfd",
    "/dev/zero",
)

_TYPES_OF_SECRETS = ("auth_type", "encryption")
_DEVICE_MODULES: t.Mapping[tuple[str, str, str | None], tuple[str, ...]] = {
    ("audios", "type", "alsa"): ("audio-alsa",),
    ("audios", "type", "dbus"): ("audio-dbus",),
    ("audios", "type", "jack"): ("audio-jack",),
    ("audios", "type", "oss"): ("audio-oss",),
    ("audios", "type", "pipewire"): ("audio-pipewire",),
    ("audios", "type", "pulseaudio"): ("audio-pa",),
    ("channels", "type", "spicevmc"): ("chardev-spice",),
    ("channels", "type", "spiceport"): ("chardev-spice",),
    ("graphics", "type", "dbus"): ("ui-dbus",),
    ("graphics", "type", "egl-headless"): ("ui-egl-headless",),
    ("graphics", "type", "spice"): ("ui-spice-core",),
    ("redirdevs", "type", "spicevmc"): ("hw-usb-redirect", "chardev-spice"),
    ("redirdevs", "type", "tcp"): ("hw-usb-redirect",),
    ("smartcards", "backend", "host"): ("hw-usb-smartcard",),
    ("smartcards", "backend", "host-certificates"): ("hw-usb-smartcard",),
    ("smartcards", "backend", "passthrough"): ("hw-usb-smartcard",),
    ("videos", "model", "qxl"): ("hw-display-qxl",),
    ("videos", "model", "virtio"): ("hw-display-virtio-gpu",),
}


def _name(view: View) -> str:
    return view.source_name or view.there


def _keepalive(view: View) -> t.Iterator[Problem]:
    """The source's settings hold for its connection to the destination (doPeer2PeerMigrate)."""
    if view.role != "source":
        return
    interval, count = (view.host.get(f"daemon.qemu_conf.keepalive_{part}") for part in ("interval", "count"))
    what = f"Keepalive of {view.source_name}"
    if int(interval) <= 0:
        yield Problem(what, f"keepalive_interval is {interval}: a destination that died is waited for without end")
    elif int(interval) * (int(count) + 1) < _PATIENCE_S:
        yield Problem(what, f"the connection is given up after {int(interval) * (int(count) + 1)} s of silence")


def _clients(view: View) -> t.Iterator[Problem]:
    what = f"Limits of {_name(view)}"
    sources = max(1, len({domain["host"] for domain in view.fleet.domains} - {view.destination_name}))
    wanted = {"max_workers": _WORKERS, "max_client_requests": _REQUESTS}
    if view.role == "destination":
        wanted["max_clients"] = _PER_SOURCE * sources
    for name, least in wanted.items():
        value = view.host.get(f"daemon.clients.{name}")
        if value < least:
            yield Problem(what, f"{name} is {value}", expected=f"{least} or more")
    queued = view.host.get("daemon.qemu_conf.max_queued")
    if 0 < queued < _QUEUED:
        yield Problem(what, f"max_queued of qemu.conf is {queued}", expected=f"0 (no limit), or {_QUEUED} and more")
    if view.role == "destination" and _SSH in view.policy.get("uris", {}).get(view.destination_name, ""):
        startups = view.host.get("daemon.ssh_startups")
        if startups is not None and startups < _LOGINS * sources:
            yield Problem(what, f"sshd's MaxStartups begins at {startups}", expected=f"{_LOGINS * sources} or more")


def _conf_diff(view: View) -> t.Iterator[Problem]:
    here, there = (view.facts[part].get("daemon.qemu_conf") for part in ("source", "destination"))
    names = [name for name in sorted(here) if _plain(here[name]) != _plain(there.get(name))]
    if names:
        said = (f"{name} is {_plain(here[name])} and {_plain(there.get(name))}" for name in names)
        yield Problem(f"qemu.conf of {view.link}", ", ".join(said))


def _plain(value: t.Any) -> str:
    """An empty list is what many settings are without one; the order in a list has no meaning."""
    if isinstance(value, list):
        return "[" + ", ".join(sorted(map(str, value))) + "]"
    return "not set" if value is None else str(value)


def _own_arguments(view: View) -> t.Iterator[tuple[str, ...]]:
    if view.domain.get("lists.qemu_arguments"):
        allowed = view.source.get("daemon.qemu_conf.cgroup_device_acl")
        if allowed:
            yield tuple(sorted(allowed))


def _acl(view: View, need: tuple[str, ...]) -> t.Iterator[Problem]:
    allowed = view.destination.get("daemon.qemu_conf.cgroup_device_acl") or _DEFAULT_ACL
    missing = [path for path in need if path not in allowed]
    if missing:
        yield Problem("Devices of domain {domain}", f"{view.there} does not allow {', '.join(missing)}")


def _drivers(view: View) -> t.Iterator[str]:
    domain = view.domain
    for nic in domain.get("interfaces"):
        if nic["type"] == "network":
            yield "network"
        if nic["more"]["filter"]:
            yield "nwfilter"
    for disk in domain.get("disks"):
        if disk["type"] == "volume":
            yield "storage"
        if any(disk["more"][column] for column in _TYPES_OF_SECRETS):
            yield "secret"
    if any(hostdev["type"] == "pci" for hostdev in domain.get("hostdevs")):
        yield "nodedev"


def _driver(view: View, need: str) -> t.Iterator[Problem]:
    trouble = view.destination.get("daemon.drivers").get(need)
    if trouble is not None:
        yield Problem(f"libvirt's {need} driver on {view.there}, which domain {{domain}} needs", trouble)


class Modules(t.NamedTuple):
    """Names of modules that QEMU loads on the source for this domain's devices; of disks, store.py tells."""

    names: tuple[str, ...]


def _modules(view: View) -> t.Iterator[Modules]:
    wanted: set[str] = set()
    for (family, column, value), names in _DEVICE_MODULES.items():
        if any(device[column] == value for device in view.domain.get(f"devices.{family}")):
            wanted.update(names)
    if any(hostdev["type"] == "usb" for hostdev in view.domain.get("hostdevs")):
        wanted.add("hw-usb-host")
    loaded = wanted.intersection(view.source.get("daemon.qemu_modules") or ()) if wanted else ()
    if loaded:
        yield Modules(tuple(sorted(loaded)))


def _module(view: View, need: Modules) -> t.Iterator[Problem]:
    there = view.destination.get("daemon.qemu_modules")
    if there is None:
        yield unknown(f"{view.there} has no folder with QEMU modules, and may have {need.names[0]} built in")
        return
    missing = [name for name in need.names if name not in there]
    if missing:
        yield Problem(
            "QEMU modules for domain {domain}",
            f"{view.there} does not have {', '.join(missing)}",
            # A QEMU that was built with modules has all of these as modules; one without any may have them built in.
            severity=None if there else "warning",
        )


def _files(view: View) -> t.Iterator[Problem]:
    if view.role != "destination":
        return
    configured = view.host.get("daemon.qemu_conf.max_files")
    limit = configured or view.host.get("daemon.max_files")
    if limit is not None and limit < _FILES:
        whose = "max_files of qemu.conf" if configured else "the daemon's own limit"
        yield Problem(f"Open files of QEMU on {view.there}", f"{limit}, {whose}")
    in_use, most = view.host.get("system.threads.in_use"), view.host.get("system.threads.limit")
    if most - in_use < _THREADS:
        yield Problem(
            f"Threads of {view.there}",
            f"{in_use} of {most} are in use",
            expected=f"{_THREADS} to spare",
            remedy="raise kernel.pid_max and kernel.threads-max there (sysctl), or find out who uses so many",
        )


def _guests_service(view: View) -> t.Iterator[Problem]:
    if view.role == "source" and not view.host.get("daemon.guests_service.enabled"):
        yield Problem(f"libvirt-guests on {view.source_name}", "it does not run when the host stops")


CHECKS: tuple[Check, ...] = (
    Check(
        id="host_keepalive",
        category="host",
        severity="info",
        scope="host",
        title="The source gives a slow destination time to answer",
        expected=f"a keepalive of {_PATIENCE_S} s or more, as libvirt has it by default",
        remedy="raise keepalive_interval or keepalive_count in /etc/libvirt/qemu.conf of the source (5 and 5 are the "
        "defaults) and restart its daemon; guests run on meanwhile",
        evaluate=_keepalive,
        evidence="lab",
    ),
    Check(
        id="host_client_limits",
        category="host",
        severity="warning",
        scope="host",
        title="Daemon and sshd take enough connections",
        expected="as many as two migrations at a time from each source need",
        remedy="raise it in /etc/libvirt/libvirtd.conf (virtqemud.conf), qemu.conf or sshd_config and restart that "
        "daemon, or migrate less at once (livemig_max_parallel)",
        evaluate=_clients,
        evidence="lab",
    ),
    Check(
        id="host_qemu_conf_diff",
        category="host",
        severity="info",
        scope="link",
        title="qemu.conf is the same on both hosts",
        expected="the same settings on both hosts",
        remedy="nothing has to be done where the difference is meant; otherwise give all hosts one qemu.conf "
        "and restart their daemons",
        evaluate=_conf_diff,
        evidence="lab",
    ),
    Check(
        id="host_cgroup_device_acl",
        category="host",
        severity="warning",
        scope="pair",
        title="The destination lets QEMU open the same device nodes",
        expected="every device node of the source's cgroup_device_acl: the domain has QEMU arguments of its own",
        remedy="add it to cgroup_device_acl in /etc/libvirt/qemu.conf of the destination and restart its daemon",
        requires=Requirement(_own_arguments, _acl),
        evidence="lab",
    ),
    Check(
        id="host_storage_secret_network_drivers",
        category="host",
        severity="error",
        scope="pair",
        title="libvirt at the destination has the drivers that the domain needs",
        expected="a driver that answers",
        remedy="install it there (libvirt-daemon-driver-NAME; with modular daemons start virtNAMEd.socket) and restart "
        "libvirtd",
        requires=Requirement(_drivers, _driver),
        evidence="lab",
    ),
    Check(
        id="host_qemu_modules",
        category="host",
        severity="error",
        scope="pair",
        title="The destination has the QEMU modules that the domain uses",
        expected="the modules that the source's QEMU loads for this domain",
        remedy="install the package there that has them on the source (dpkg -S or rpm -qf on the module's file; "
        "Debian: qemu-system-modules-spice, qemu-system-modules-opengl, qemu-system-gui)",
        requires=Requirement(_modules, _module),
        evidence="lab",
    ),
    Check(
        id="host_pid_fd_limits",
        category="host",
        severity="warning",
        scope="host",
        title="The destination has files and threads to spare",
        expected=f"{_FILES} open files or more for each QEMU: disks, queues and iothreads need some each",
        remedy="set max_files in /etc/libvirt/qemu.conf there, or LimitNOFILE of libvirtd.service (virtqemud.service), "
        "and restart the daemon",
        evaluate=_files,
        evidence="lab",
    ),
    Check(
        id="host_guests_service",
        category="host",
        severity="info",
        scope="host",
        title="Guests that stay on the source survive its shutdown",
        expected="libvirt-guests enabled: it suspends or shuts down what still runs when the host stops",
        remedy="systemctl enable libvirt-guests, or see to it that no guest is left before the host is restarted",
        evaluate=_guests_service,
        evidence="lab",
    ),
)
