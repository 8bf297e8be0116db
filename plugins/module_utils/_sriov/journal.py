# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the VF transaction is told, and what it writes down for whoever ends it.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .nic import Nic

OFF, GONE, ON, UNSEEN, QUIET = "vf_off", "vf_gone", "vf_on", "vf_unseen", "standby_quiet"
"""In the journal: the guest was asked to let go; it has; it has one again; which its agent does not show yet. And:
the guest sends nothing over its standby, so that nobody knows whether it carries."""


_AT = "@"


class Journal(t.Protocol):
    """What outlives this process. ``instance``: of the guest, whose new start forgets what it was asked for."""

    def note(self, event: str, nic: Nic, instance: str, **values: t.Any) -> None: ...

    def pending(self, nic: Nic, instance: str) -> bool:
        """It was asked to let go, and was never seen without the device since."""

    def unseen(self, nic: Nic, instance: str) -> bool:
        """The last look has found that the guest does not show it."""


def same_instance(noted: int | str, now: str) -> bool:
    """Entries of earlier versions have libvirt's number alone, which begins at 1 again when the host is started."""
    return str(noted) == now or str(noted) == now.partition(_AT)[0]


def instance_of(number: int, place: str) -> str:
    """``place``: a boot of a host, or a host."""
    return f"{number}{_AT}{place}"


class Rules(t.NamedTuple):
    """``attempts``, each with ``detach_s`` for the guest's answer; ``late_s``: how long a guest that has not answered
    is waited for once more at the end; ``carries_s``: within which something must come by the standby, where the guest
    sends (0: that is not looked at); ``verify_s``: within which the guest must see the device, where it has an agent;
    ``gap``: a guest without a standby may be without network meanwhile, ``gap_by``: what allows that, for messages;
    ``by_qemu``: QEMU takes the functions off and puts them on (failover), of which libvirt is told nothing, so that it
    has them whatever the guest has.
    """

    attempts: int = 8
    detach_s: float = 20.0
    late_s: float = 10.0
    carries_s: float = 5.0
    verify_s: float = 10.0
    gap: bool = False
    gap_by: str = "the domain's label vf-gap"
    by_qemu: bool = False

    @property
    def unplug_s(self) -> float:
        """How long a guest has in all to let go."""
        return self.attempts * self.detach_s
