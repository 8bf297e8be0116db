# SPDX-License-Identifier: GPL-3.0-or-later
"""What a case is: a guest, what is done to the hosts, and what its writer expects. Cases are written from the
catalogue, never from the code of the checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

XmlEdit = Callable[[str], str]

HAND, CLEAN, MUTATION = "hand", "clean", "mutation"

# Why we are stricter than libvirt, where several cases say so.
BACKWARD = (
    "QEMU does not promise that an older one understands what it is sent, nor that the guest comes to no harm later"
)


@dataclass(frozen=True)
class Case:
    """Judged beforehand, then really tried with our refusal overridden, then looked at.

    name: small letters, digits and '-', at most 34; the guest is called ``a-`` and this. what: for people.
    expects: ids of the catalogue; if the move is refused, one of them must be among the reasons. Empty: any will do.
    kind: hand (a misconfiguration), clean (nothing speaks against it), mutation (generated).
    wanted: fields of tests.lab.domain.Guest, over 128 MiB and a shared disk. guest: edit of the XML made of it; in it
    and in the commands ``{name}`` stands for the guest's name.
    paused: it is paused once it has booted. transient: it is created without being defined.
    before, then, after: host -> shell commands run there as root: before the guest is there, once it ticks and before
    anything is judged, and at the very end, always. late: after the judgement, right before the try.
    act, undo: the same as before and after for what only the lab's own functions can do (tests.lab.api).
    policy: put over the policy of the run: {"migration": {...}} judges with such options, {"tls": "required"} too.
    flags, parameters: what the try gives libvirt besides, as VIR_MIGRATE_* names and typed parameters.
    source, destination: hosts of the lab. store: it needs the GlusterFS store.
    stricter: why we refuse what libvirt lets through; only such a case may be refused and move all the same.
    risk, shows: host -> shell commands after a stricter case has moved, and a regular expression that their output
    then matches; so the risk is seen. faked: a bind-mounted fact makes it, so it stands in the second table.
    beyond: why no look beforehand can tell; it stands in a table of its own, and being missed is what is expected.
    """

    name: str
    what: str
    expects: tuple[str, ...] = ()
    kind: str = HAND
    wanted: Mapping[str, Any] = field(default_factory=dict)
    guest: XmlEdit | None = None
    paused: bool = False
    transient: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    then: Mapping[str, str] = field(default_factory=dict)
    late: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    act: Callable[[], object] | None = None
    undo: Callable[[], object] | None = None
    source: str = "hv1"
    destination: str = "hv2"
    store: bool = False
    stricter: str = ""
    risk: Mapping[str, str] = field(default_factory=dict)
    shows: str = ""
    faked: bool = False
    beyond: str = ""

    @property
    def guest_name(self) -> str:
        return f"a-{self.name}"

    @property
    def alone(self) -> bool:
        """Whether it changes more than its own guest, so that no other case may run meanwhile."""
        return bool(
            self.before or self.then or self.late or self.after or self.act or self.undo or self.policy or self.faked
        )
