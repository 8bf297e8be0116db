# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults. To add one, add a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.faults.fault import (
    AGAIN,
    AT,
    BEGUN,
    DESTINATION,
    INCOMING,
    POSTCOPY,
    PRECOPY,
    RESUMED,
    SOURCE,
    SWITCHOVER,
    Fault,
)
from tests.lab import api

KILL_MODULE = "kill -9 $(pgrep -x python3)"
KILL_DAEMON = "kill -9 $(pidof libvirtd)"
START_DAEMON = (
    "rm -f /run/libvirtd.pid /var/run/libvirtd.pid; service libvirtd start >/dev/null 2>&1 </dev/null; "
    "for n in $(seq 100); do timeout 5 virsh uri >/dev/null 2>&1 && break; sleep 0.1; done"
)
QEMU = "$(pgrep -f 'guest={guest},')"
KILL_QEMU = f"kill -9 {QEMU}"
LINK_DOWN, LINK_UP = "ip link set eth0 down", "ip link set eth0 up"
TCP_GIVES_UP = "sysctl -qw net.ipv4.tcp_retries2=5"
STATE = "/var/lib/livemig"
FULL = f"mkdir -p {STATE} && mount -t tmpfs -o size=64k tmpfs {STATE} && head -c 1M /dev/zero > {STATE}/full || true"


def _limit_there(run: Any) -> None:
    """Less than the guest has in use: its QEMU does not fit."""
    api.limit(run.host(DESTINATION), memory_mib=256)


def _unlimit_there(run: Any) -> None:
    api.unlimit(run.host(DESTINATION))


WHEN = {
    BEGUN: "right after the intent was written",
    INCOMING: "while the destination waits for the migration",
    PRECOPY: "during pre-copy",
    SWITCHOVER: "at the switchover",
    RESUMED: "when the destination runs the guest",
}


def _each(name: str, what: str, host: str, command: str, moments: Sequence[str], **more: Any) -> tuple[Fault, ...]:
    """The same done to a host at each of the moments."""
    return tuple(
        Fault(f"{name}-{moment}", f"{what} {WHEN[moment]}", moment, {AT[moment][0]: "", host: command}, **more)
        for moment in moments
    )


_SOURCE_BACK: dict[str, Any] = {"undo": {SOURCE: START_DAEMON}, "undo_after_s": 2}
_DESTINATION_BACK: dict[str, Any] = {"undo": {DESTINATION: START_DAEMON}, "undo_after_s": 2}
_LATE = (PRECOPY, SWITCHOVER, RESUMED)

_KILLED = (
    *_each("module-killed", "the module is killed", SOURCE, KILL_MODULE, (BEGUN, *_LATE)),
    *_each(
        "source-daemon-killed", "the source's libvirtd is killed", SOURCE, KILL_DAEMON, (BEGUN, *_LATE), **_SOURCE_BACK
    ),
    *_each(
        "dest-daemon-killed",
        "the destination's libvirtd is killed",
        DESTINATION,
        KILL_DAEMON,
        (INCOMING, *_LATE),
        **_DESTINATION_BACK,
    ),
    *_each("source-qemu-killed", "the source's QEMU is killed", SOURCE, KILL_QEMU, (PRECOPY, SWITCHOVER), dies=True),
    *_each(
        "dest-qemu-killed",
        "the destination's QEMU is killed",
        DESTINATION,
        KILL_QEMU,
        (PRECOPY, SWITCHOVER),
        ends=(SOURCE,),
    ),
    *_each("dest-qemu-killed", "the destination's QEMU is killed", DESTINATION, KILL_QEMU, (RESUMED,), dies=True),
    *_each(
        "link-down",
        "the destination's link goes down",
        DESTINATION,
        LINK_DOWN,
        (BEGUN, *_LATE),
        undo={DESTINATION: LINK_UP},
    ),
)

_OTHERS = (
    Fault(
        "module-killed-again",
        "the module is killed during pre-copy, and the same playbook is run again",
        PRECOPY,
        {SOURCE: KILL_MODULE},
        then=AGAIN,
    ),
    Fault(
        "play-killed-precopy",
        "ansible-playbook's process group is killed during pre-copy",
        PRECOPY,
        call=lambda run: run.kill_play(),
    ),
    Fault(
        "play-killed-begun",
        "ansible-playbook's process group is killed right after the intent was written",
        BEGUN,
        call=lambda run: run.kill_play(),
        then=AGAIN,
    ),
    Fault(
        "dest-daemon-killed-resumed-no-disk",
        "the same with a guest without a disk, on whose image no lock of QEMU's could keep libvirt from resuming it",
        RESUMED,
        {DESTINATION: KILL_DAEMON},
        undo={DESTINATION: START_DAEMON},
        undo_after_s=2,
        guest={"disk": None},
        ends=(DESTINATION,),
    ),
    Fault(
        "link-down-briefly",
        "the destination's link is down for 8 s during pre-copy",
        PRECOPY,
        {SOURCE: "", DESTINATION: LINK_DOWN},
        undo={DESTINATION: LINK_UP},
        undo_after_s=8,
    ),
    Fault(
        "source-daemon-stopped",
        "the source's libvirtd stands still for 20 s",
        PRECOPY,
        {SOURCE: "kill -STOP $(pidof libvirtd)"},
        undo={SOURCE: "kill -CONT $(pidof libvirtd)"},
        undo_after_s=20,
    ),
    Fault(
        "dest-daemon-stopped",
        "the destination's libvirtd stands still for 20 s",
        PRECOPY,
        {SOURCE: "", DESTINATION: "kill -STOP $(pidof libvirtd)"},
        undo={DESTINATION: "kill -CONT $(pidof libvirtd)"},
        undo_after_s=20,
    ),
    Fault(
        "source-qemu-hangs",
        "the source's QEMU hangs for 20 s, and with it every question about the job",
        PRECOPY,
        {SOURCE: f"kill -STOP {QEMU}"},
        undo={SOURCE: f"kill -CONT {QEMU}"},
        undo_after_s=20,
    ),
    Fault(
        "certificate-gone",
        "the destination's certificate of QEMU is gone when the migration begins",
        BEGUN,
        {SOURCE: "", DESTINATION: "mv /etc/pki/qemu /etc/pki/qemu.gone"},
        undo={DESTINATION: "mv /etc/pki/qemu.gone /etc/pki/qemu"},
        ends=(SOURCE,),
    ),
    Fault(
        "memory-limit-there",
        "the destination's memory limit is reached during pre-copy",
        PRECOPY,
        call=_limit_there,
        restore=_unlimit_there,
        guest={"memory_mib": 512, "dirty": "350@100"},
        speed_mib_s=40,
        ends=(SOURCE,),
    ),
    Fault(
        "storage-gone-there",
        "the destination loses the shared storage when the migration begins",
        BEGUN,
        {SOURCE: "", DESTINATION: "mount -t tmpfs -o ro tmpfs /srv/shared"},
        undo={DESTINATION: "umount /srv/shared"},
    ),
    Fault(
        "no-room-for-records",
        "the source has no room to write down what it begins",
        None,
        {SOURCE: FULL},
        undo={SOURCE: f"umount {STATE}"},
        ends=(DESTINATION,),
        then=AGAIN,
    ),
    Fault(
        "no-room-there",
        "the destination has no room for what libvirt keeps of a domain",
        BEGUN,
        {SOURCE: "", DESTINATION: "mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs /var/lib/libvirt/qemu"},
        undo={DESTINATION: "umount /var/lib/libvirt/qemu"},
        ends=(SOURCE,),
    ),
    Fault(
        "guest-reboots",
        "the guest reboots during pre-copy",
        PRECOPY,
        call=lambda run: run.tell_guest("reboot"),
        reboots=True,
        ends=(DESTINATION,),
    ),
    Fault(
        "guest-shuts-down",
        "the guest shuts itself down during pre-copy",
        PRECOPY,
        call=lambda run: run.tell_guest("poweroff"),
        dies=True,
    ),
    Fault(
        "link-down-postcopy",
        "the source's link is down for 60 s during post-copy, and TCP gives up",
        POSTCOPY,
        {SOURCE: LINK_DOWN},
        before={SOURCE: TCP_GIVES_UP, DESTINATION: TCP_GIVES_UP},
        first=(PRECOPY, "virsh migrate-postcopy {guest}"),
        undo={SOURCE: LINK_UP},
        undo_after_s=60,
        variables={"livemig_migration": {"postcopy": True}},
        guest={"disk": "shared", "memory_mib": 256, "dirty": "60@10"},
        speed_mib_s=5,
        pair=("hv5", "hv6"),
        stalls=True,
        ends=(DESTINATION,),
    ),
    Fault(
        "dest-daemon-stopped-postcopy",
        "the destination's libvirtd stands still for 20 s during post-copy, which goes on without it",
        POSTCOPY,
        {DESTINATION: "kill -STOP $(pidof libvirtd)"},
        first=(PRECOPY, "virsh migrate-setspeed --postcopy {guest} 2; virsh migrate-postcopy {guest}"),
        undo={DESTINATION: "kill -CONT $(pidof libvirtd)"},
        undo_after_s=20,
        variables={"livemig_migration": {"postcopy": True}},
        guest={"disk": "shared", "memory_mib": 256, "dirty": "60@10"},
        speed_mib_s=5,
        pair=("hv5", "hv6"),
        stalls=True,
        ends=(DESTINATION,),
    ),
    Fault(
        "guest-destroyed",
        "somebody destroys the guest during pre-copy",
        PRECOPY,
        {SOURCE: "virsh destroy {guest}"},
        dies=True,
    ),
    Fault(
        "redefined",
        "another tool redefines the guest during pre-copy, without our mark",
        PRECOPY,
        {SOURCE: "virsh define /var/tmp/{guest}.xml; " + KILL_MODULE},
    ),
    Fault(
        "records-deleted",
        "journal, definition and lock are deleted during pre-copy, and the module killed",
        PRECOPY,
        {SOURCE: f"rm -rf {STATE} /run/livemig; " + KILL_MODULE},
    ),
    Fault(
        "second-run",
        "a second play for the same guest starts during pre-copy",
        PRECOPY,
        call=lambda run: run.second(),
        ends=(DESTINATION,),
    ),
    Fault(
        "aborted-by-hand",
        "somebody aborts the job during pre-copy",
        PRECOPY,
        {SOURCE: "virsh domjobabort {guest}"},
        ends=(SOURCE,),
    ),
    Fault(
        "suspended-by-hand",
        "somebody suspends the guest during pre-copy, and resumes it afterwards",
        PRECOPY,
        {SOURCE: "virsh suspend {guest}"},
        undo={SOURCE: "virsh resume {guest} || true", DESTINATION: "virsh resume {guest} || true"},
    ),
    Fault(
        "timeout",
        "the migration takes longer than it may",
        None,
        variables={"livemig_timeout_s": 2},
        speed_mib_s=2,
        ends=(SOURCE,),
    ),
)

FAULTS: tuple[Fault, ...] = _KILLED + _OTHERS
