# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of a host's operating system: space, health, clock, and who else manages it.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Question
from ..check import Check, Problem, Requirement, View
from ..questions import path_key, path_question

_FREE_MIB = 100
_LEAST_MIB = {"/etc/libvirt/qemu": 1}  # definitions are small
_FREE_INODES_PERCENT = 1
_KVM = "/dev/kvm"
_WEIGHTS = (1, 10000)

_OBSERVATION_S = 600
"""Longer than the hosts of a fleet are looked at one after the other: what their clocks differ by beyond that, they
differ by in truth."""


def _space(view: View) -> t.Iterator[Problem]:
    if view.role != "destination":
        return
    for path, space in view.host.get("system.spaces").items():
        inodes, least = space["free_inodes_percent"], _LEAST_MIB.get(path, _FREE_MIB)
        if space["read_only"]:
            remedy = "mount it for reading and writing; if the kernel itself did that, look at its log first (dmesg)"
            yield Problem(f"File system below {path} of {view.there}", "mounted read-only", remedy=remedy)
        if space["free_mib"] < least:
            what, expected = f"Free space below {path} of {view.there}", f"{least} MiB or more"
            yield Problem(what, f"{space['free_mib']} MiB", expected=expected)
        if inodes is not None and inodes < _FREE_INODES_PERCENT:
            expected = f"{_FREE_INODES_PERCENT} % of the inodes or more"
            yield Problem(f"Free inodes below {path} of {view.there}", f"{inodes} %", expected=expected)
    if view.host.get("daemon.qemu_conf.stdio_handler") == "logd" and not view.host.get("daemon.logd_listens"):
        yield Problem(
            f"Output of guests on {view.there}",
            "qemu.conf gives it to virtlogd (stdio_handler), and nobody listens at virtlogd's socket",
            expected="virtlogd, without which no guest starts there",
            remedy="start virtlogd.socket (systemctl enable --now virtlogd.socket; service virtlogd start), or set "
            'stdio_handler = "file" in /etc/libvirt/qemu.conf and restart the daemon',
        )


def _health(view: View) -> t.Iterator[Problem]:
    if view.role != "destination":
        return
    errors, raids = view.host.get("system.health.memory_errors"), view.host.get("system.health.degraded_raids")
    if errors:
        yield Problem(f"Memory of {view.there}", f"{errors} errors that could not be corrected since it was started")
    if raids:
        remedy = "replace the disk first (cat /proc/mdstat), or choose another destination"
        yield Problem(f"RAID of {view.there}", f"{', '.join(raids)} lacks a disk", expected="all disks", remedy=remedy)


def _maintenance(view: View) -> t.Iterator[Problem]:
    if view.role == "destination":
        reason = view.host.get("system.maintenance")
        if reason is not None:
            yield Problem(f"Host {view.there}", f"it is in maintenance: {reason}")


def _managers(view: View) -> t.Iterator[Problem]:
    for name in view.host.get("system.managers"):
        yield Problem(f"Host {view.source_name or view.there}", f"{name} has its configuration there")


def _synchronised(view: View) -> t.Iterator[Problem]:
    """Where neither host is, as in containers and in guests with their host's clock, it says nothing about the two."""
    good = {name: view.facts[name].get("system.synchronised") for name in ("source", "destination")}
    names = {"source": view.source_name, "destination": view.destination_name}
    if good["source"] != good["destination"]:
        other, bad = sorted(good, key=lambda part: not good[part])
        yield Problem(f"Clock of {names[bad]}", f"no time service keeps it right, while one does on {names[other]}")


def _skew(view: View) -> t.Iterator[Problem]:
    here, there = view.source.get("time"), view.destination.get("time")
    if abs(there - here) > _OBSERVATION_S:
        how = "ahead of" if there > here else "behind"
        yield Problem(f"Clock of {view.there}", f"{abs(there - here)} s {how} that of {view.source_name}")


class Local(t.NamedTuple):
    """A clock that follows the host's time zone."""

    zone: str


def _local(view: View) -> t.Iterator[Local]:
    if view.domain.get("settings.clock.offset") == "localtime":
        yield Local(view.source.get("system.timezone"))


def _zone(view: View, need: Local) -> t.Iterator[Problem]:
    zone = view.destination.get("system.timezone")
    if zone != need.zone:
        yield Problem(
            "Clock of domain {domain}",
            f"it follows its host's local time, which is {need.zone} now and {zone} on {view.there}",
        )


def _virt_type(view: View) -> t.Iterator[str]:
    if view.domain.get("virt_type") == "kvm":
        yield "kvm"


def _ask_kvm(_view: View, _need: str) -> t.Iterator[Question]:
    yield path_question(_KVM)


def _kvm(view: View, _need: str) -> t.Iterator[Problem]:
    answer = view.answer(view.there, path_key(_KVM))
    if not answer.get("exists"):
        yield Problem("Virtualisation of domain {domain}", f"there is no {_KVM} on {view.there}")
    elif answer.get("kind") != "char":
        yield Problem("Virtualisation of domain {domain}", f"{_KVM} on {view.there} is a {answer.get('kind')}")


def _shares(view: View) -> t.Iterator[int]:
    shares = view.domain.get("settings.cputune.shares")
    if shares is not None and not _WEIGHTS[0] <= int(shares) <= _WEIGHTS[1]:
        yield int(shares)


def _weight(view: View, shares: int) -> t.Iterator[Problem]:
    if view.destination.get("system.cgroup") == "v2":
        yield Problem("CPU shares of domain {domain}", f"{shares}, and {view.there} has cgroup v2")


CHECKS: tuple[Check, ...] = (
    Check(
        id="host_maintenance_flag",
        category="host",
        severity="error",
        scope="host",
        title="The destination is not in maintenance",
        expected="a host that is to take guests",
        remedy="choose another destination, or remove /var/lib/livemig/maintenance there when the work on it is done",
        evaluate=_maintenance,
        evidence="lab",
    ),
    Check(
        id="host_foreign_manager",
        category="host",
        severity="warning",
        scope="host",
        title="No other program manages guests on the host",
        expected="a host whose guests are managed by libvirt and nobody else",
        remedy="move guests with that program, or remove it from the host; where it is a mere left-over, silence "
        "this check",
        evaluate=_managers,
        evidence="recorded",
    ),
    Check(
        id="host_disk_space_runtime",
        category="host",
        severity="error",
        scope="host",
        title="The destination can write what a starting guest needs written",
        expected=f"{_FREE_MIB} MiB or more for logs, generated files and status, folders that can be written, and "
        "virtlogd where it writes the logs",
        remedy="make room there (df -h, df -i; old logs are the first to go)",
        evaluate=_space,
        evidence="lab",
    ),
    Check(
        id="host_health",
        category="host",
        severity="warning",
        scope="host",
        title="The destination's hardware is sound",
        expected="no uncorrectable memory errors",
        remedy="look at ras-mc-ctl --errors or the BMC's log, and choose another destination until the "
        "module is replaced",
        evaluate=_health,
        evidence="recorded",
    ),
    Check(
        id="host_ntp_synced",
        category="host",
        severity="warning",
        scope="link",
        title="Both hosts have a time service",
        expected="a clock that is synchronised, as on the other host",
        remedy="start chronyd, ntpd or systemd-timesyncd there and let it find its servers (timedatectl, chronyc "
        "tracking)",
        evaluate=_synchronised,
        evidence="recorded",
    ),
    Check(
        id="host_clock_skew",
        category="host",
        severity="warning",
        scope="link",
        title="The clocks of both hosts agree",
        expected=f"less than {_OBSERVATION_S} s: smaller differences cannot be told from the time that looking takes",
        remedy="set it right (chronyc makestep): certificates are not valid by a wrong clock, the downtime that "
        "libvirt reports is wrong, and so is the time of guests that take it from their host",
        evaluate=_skew,
        evidence="recorded",
    ),
    Check(
        id="host_timezone_localtime",
        category="host",
        severity="info",
        scope="pair",
        title="A guest that follows its host's local time finds the same time zone",
        expected="the same time zone on both hosts: otherwise the guest's clock jumps when it is next started",
        remedy="set the same zone on both (timedatectl set-timezone), or use <clock offset='timezone'>",
        requires=Requirement(_local, _zone),
        evidence="lab",
    ),
    Check(
        id="host_kvm_device",
        category="host",
        severity="error",
        scope="pair",
        title="The destination has /dev/kvm",
        expected="a character device that QEMU can open",
        remedy="load kvm_intel or kvm_amd there, and switch on VT-x or SVM in its firmware",
        requires=Requirement(_virt_type, _kvm, _ask_kvm),
    ),
    Check(
        id="host_cputune_shares_range",
        category="host",
        severity="warning",
        scope="pair",
        title="The domain's CPU shares are possible at the destination",
        expected=f"{_WEIGHTS[0]} to {_WEIGHTS[1]}, the range of cpu.weight",
        remedy="lower it before the move (virsh schedinfo {domain} --live --config cpu_shares=10000)",
        requires=Requirement(_shares, _weight),
        evidence="lab",
    ),
)
