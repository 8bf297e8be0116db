# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault is: a moment of a migration, what happens then, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# (host that reports it, libvirt's event) -> the moment
BEGUN, INCOMING, PRECOPY, SWITCHOVER, RESUMED = "begun", "incoming", "precopy", "switchover", "resumed"
AT: Mapping[str, tuple[str, str]] = {
    # the intent is written to the metadata: right before libvirt is asked
    BEGUN: ("hv1", "metadata"),
    # the destination's QEMU has started and waits
    INCOMING: ("hv2", "STARTED/MIGRATED"),
    # the first pass over the memory has begun
    PRECOPY: ("hv1", "iteration"),
    # the source's vCPUs are stopped
    SWITCHOVER: ("hv1", "SUSPENDED/MIGRATED"),
    # the destination's vCPUs run
    RESUMED: ("hv2", "RESUMED/MIGRATED"),
}

RECOVER, AGAIN = "recover", "migrate"


@dataclass(frozen=True)
class Fault:
    """name, what: for people. moment: one of AT, at which ``act`` is done; None: before anything is begun.

    act: host -> shell commands run there as root, the host of the moment's own first, in the very callback.
    call: the same for what only the lab's functions, or the run itself, can do. undo: after the play has ended, or
    ``undo_after_s`` after the act where that is set. then: the playbook that is run afterwards, and must end well.
    dies: the fault ends the guest itself, so that it must be reported as ended, and runs nowhere.
    speed_mib_s: the migration is slowed down, so that there is a middle. disk: as of the lab's guests.
    ends: where the guest may be in the end.
    """

    name: str
    what: str
    moment: str | None
    act: Mapping[str, str] = field(default_factory=dict)
    call: Callable[[Any], None] | None = None
    undo: Mapping[str, str] = field(default_factory=dict)
    restore: Callable[[Any], None] | None = None
    undo_after_s: float | None = None
    then: str = RECOVER
    dies: bool = False
    speed_mib_s: int = 12
    disk: str | None = "shared"
    variables: Mapping[str, Any] = field(default_factory=dict)
    ends: tuple[str, ...] = ("hv1", "hv2")
