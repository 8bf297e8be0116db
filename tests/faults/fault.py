# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault is: a moment of a migration, what happens then, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SOURCE, DESTINATION = "source", "destination"

# (side that reports it, libvirt's event) -> the moment
BEGUN, INCOMING, PRECOPY, SWITCHOVER, RESUMED = "begun", "incoming", "precopy", "switchover", "resumed"
POSTCOPY = "postcopy"
AT: Mapping[str, tuple[str, str]] = {
    # the intent is written to the metadata: right before libvirt is asked
    BEGUN: (SOURCE, "metadata"),
    # the destination's QEMU has started and waits
    INCOMING: (DESTINATION, "STARTED/MIGRATED"),
    # the first pass over the memory has begun
    PRECOPY: (SOURCE, "iteration"),
    # the source's vCPUs are stopped
    SWITCHOVER: (SOURCE, "SUSPENDED/MIGRATED"),
    # the destination's vCPUs run, and not all of their memory is there
    POSTCOPY: (DESTINATION, "RESUMED/POSTCOPY"),
    # the destination's vCPUs run
    RESUMED: (DESTINATION, "RESUMED/MIGRATED"),
}

RECOVER, AGAIN = "recover", "migrate"


@dataclass(frozen=True)
class Fault:
    """name, what: for people. moment: one of AT, at which ``act`` is done; None: before anything is begun.

    pair: the two hosts. act: side -> shell commands run there as root, those of the moment's own side first, in the
    very callback. before: the same right before the play; first: (moment, command) before that of ``moment``.
    call: as ``act`` for what only the lab's functions, or the run itself, can do. undo: after the play has ended, or
    ``undo_after_s`` after the act where that is set. then: the playbook that is run afterwards, and must end well.
    dies: the fault ends the guest itself, so that it must be reported as ended, and runs nowhere.
    reboots: the fault boots the guest once more. stalls: the guest stands still for so long that its kernel says so.
    guest: its options, as the lab's guests have them.
    speed_mib_s: the migration is slowed down, so that there is a middle. ends: sides where the guest may be in the end.
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
    reboots: bool = False
    stalls: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    first: tuple[str, str] | None = None
    pair: tuple[str, str] = ("hv1", "hv2")
    speed_mib_s: int = 12
    guest: Mapping[str, Any] = field(default_factory=lambda: {"disk": "shared"})
    variables: Mapping[str, Any] = field(default_factory=dict)
    ends: tuple[str, ...] = (SOURCE, DESTINATION)
