# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults. To add one, add a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.faults.fault import AGAIN, AT, BEGUN, INCOMING, PRECOPY, RESUMED, SWITCHOVER, Fault
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
STATE = "/var/lib/livemig"
FULL = f"mkdir -p {STATE} && mount -t tmpfs -o size=64k tmpfs {STATE} && head -c 1M /dev/zero > {STATE}/full || true"


def _limit_there(run: Any) -> None:
    """What the destination has, and no more: its QEMU does not fit any longer."""
    del run
    api.limit("hv2", memory_mib=160)


def _unlimit_there(run: Any) -> None:
    del run
    api.unlimit("hv2")


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


_SOURCE_BACK: dict[str, Any] = {"undo": {"hv1": START_DAEMON}, "undo_after_s": 2}
_DESTINATION_BACK: dict[str, Any] = {"undo": {"hv2": START_DAEMON}, "undo_after_s": 2}
_LATE = (PRECOPY, SWITCHOVER, RESUMED)

_KILLED = (
    *_each("module-killed", "the module is killed", "hv1", KILL_MODULE, (BEGUN, *_LATE)),
    *_each(
        "source-daemon-killed", "the source's libvirtd is killed", "hv1", KILL_DAEMON, (BEGUN, *_LATE), **_SOURCE_BACK
    ),
    *_each(
        "dest-daemon-killed",
        "the destination's libvirtd is killed",
        "hv2",
        KILL_DAEMON,
        (INCOMING, *_LATE),
        **_DESTINATION_BACK,
    ),
    *_each("source-qemu-killed", "the source's QEMU is killed", "hv1", KILL_QEMU, (PRECOPY, SWITCHOVER), dies=True),
    *_each(
        "dest-qemu-killed", "the destination's QEMU is killed", "hv2", KILL_QEMU, (PRECOPY, SWITCHOVER), ends=("hv1",)
    ),
    *_each("dest-qemu-killed", "the destination's QEMU is killed", "hv2", KILL_QEMU, (RESUMED,), dies=True),
    *_each("link-down", "the destination's link goes down", "hv2", LINK_DOWN, (BEGUN, *_LATE), undo={"hv2": LINK_UP}),
)

_OTHERS = (
    Fault(
        "module-killed-again",
        "the module is killed during pre-copy, and the same playbook is run again",
        PRECOPY,
        {"hv1": KILL_MODULE},
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
        {"hv2": KILL_DAEMON},
        undo={"hv2": START_DAEMON},
        undo_after_s=2,
        disk=None,
        ends=("hv2",),
    ),
    Fault(
        "link-down-briefly",
        "the destination's link is down for 8 s during pre-copy",
        PRECOPY,
        {"hv1": "", "hv2": LINK_DOWN},
        undo={"hv2": LINK_UP},
        undo_after_s=8,
    ),
    Fault(
        "source-daemon-stopped",
        "the source's libvirtd stands still for 20 s",
        PRECOPY,
        {"hv1": "kill -STOP $(pidof libvirtd)"},
        undo={"hv1": "kill -CONT $(pidof libvirtd)"},
        undo_after_s=20,
    ),
    Fault(
        "dest-daemon-stopped",
        "the destination's libvirtd stands still for 20 s",
        PRECOPY,
        {"hv1": "", "hv2": "kill -STOP $(pidof libvirtd)"},
        undo={"hv2": "kill -CONT $(pidof libvirtd)"},
        undo_after_s=20,
    ),
    Fault(
        "source-qemu-hangs",
        "the source's QEMU hangs for 20 s, and with it every question about the job",
        PRECOPY,
        {"hv1": f"kill -STOP {QEMU}"},
        undo={"hv1": f"kill -CONT {QEMU}"},
        undo_after_s=20,
    ),
    Fault(
        "certificate-gone",
        "the destination's certificate of QEMU is gone when the migration begins",
        BEGUN,
        {"hv1": "", "hv2": "mv /etc/pki/qemu /etc/pki/qemu.gone"},
        undo={"hv2": "mv /etc/pki/qemu.gone /etc/pki/qemu"},
        ends=("hv1",),
    ),
    Fault(
        "memory-limit-there",
        "the destination's memory limit is reached during pre-copy",
        PRECOPY,
        call=_limit_there,
        restore=_unlimit_there,
    ),
    Fault(
        "storage-gone-there",
        "the destination loses the shared storage when the migration begins",
        BEGUN,
        {"hv1": "", "hv2": "mount -t tmpfs -o ro tmpfs /srv/shared"},
        undo={"hv2": "umount /srv/shared"},
    ),
    Fault(
        "no-room-for-records",
        "the source has no room to write down what it begins",
        None,
        {"hv1": FULL},
        undo={"hv1": f"umount {STATE}"},
        ends=("hv2",),
        then=AGAIN,
    ),
    Fault(
        "guest-destroyed",
        "somebody destroys the guest during pre-copy",
        PRECOPY,
        {"hv1": "virsh destroy {guest}"},
        dies=True,
    ),
    Fault(
        "redefined",
        "another tool redefines the guest during pre-copy, without our mark",
        PRECOPY,
        {"hv1": "virsh define /var/tmp/{guest}.xml; " + KILL_MODULE},
    ),
    Fault(
        "records-deleted",
        "journal, definition and lock are deleted during pre-copy, and the module killed",
        PRECOPY,
        {"hv1": f"rm -rf {STATE} /run/livemig; " + KILL_MODULE},
    ),
    Fault(
        "second-run",
        "a second play for the same guest starts during pre-copy",
        PRECOPY,
        call=lambda run: run.second(),
        ends=("hv2",),
    ),
    Fault(
        "aborted-by-hand",
        "somebody aborts the job during pre-copy",
        PRECOPY,
        {"hv1": "virsh domjobabort {guest}"},
        ends=("hv1",),
    ),
    Fault(
        "suspended-by-hand",
        "somebody suspends the guest during pre-copy, and resumes it afterwards",
        PRECOPY,
        {"hv1": "virsh suspend {guest}"},
        undo={"hv1": "virsh resume {guest} || true", "hv2": "virsh resume {guest} || true"},
    ),
    Fault(
        "timeout",
        "the migration takes longer than it may",
        None,
        variables={"livemig_timeout_s": 2},
        speed_mib_s=2,
        ends=("hv1",),
    ),
)

FAULTS: tuple[Fault, ...] = _KILLED + _OTHERS
