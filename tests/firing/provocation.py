# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a check fire in the lab: one row for each check and way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

XmlEdit = Callable[[str], str]
Act = Callable[[], object]

SOURCE = "hv1"


@dataclass(frozen=True)
class Provocation:
    """Make the condition, look at it, undo it.

    check: the id that must fire. text: stands in the finding's message. how: what was done, for people.
    guest: edit of the XML of the plain guest on the source; the guest is started paused under a name of its own. None:
    the plain guest itself. running: it must have booted (slow; only where a paused one does not show it).
    then: host -> shell commands run there as root once the guest is there, before anything is looked at.
    before, after: host -> shell commands run there as root, after and before the guest is there; after always runs.
    act, undo: the same for what only the lab can do, on the machine.
    policy: put over the policy of the run (tls off, uris of all hosts). destination: for which the check must fire.
    source: where the guest is started; another one than hv1 needs a guest of its own.
    status: fail or unknown. faked: a bind-mounted fact, not a real condition. standing: the lab is always so, and
    nothing needs to be done. user: observe as this unprivileged user.
    """

    check: str
    how: str
    text: str
    guest: XmlEdit | None = None
    running: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    then: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    act: Act | None = None
    undo: Act | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    source: str = SOURCE
    destination: str = "hv2"
    status: str = "fail"
    faked: bool = False
    standing: bool = False
    user: str | None = None

    @property
    def guest_name(self) -> str:
        """libvirt's names of paths are short: check ids are cut, and the destination keeps them apart."""
        return f"p-{self.check.replace('_', '-')}"[:45]

    @property
    def alone(self) -> bool:
        """Whether it changes more than its own guest, so that nothing else may be provoked meanwhile."""
        changes = self.before or self.then or self.after or self.act or self.undo or self.user or self.running
        return bool(changes) or self.source != SOURCE


def replaced(old: str, new: str) -> XmlEdit:
    """The edit that replaces a text of the plain guest's XML, which must be there."""

    def edit(xml: str) -> str:
        if old not in xml:
            raise ValueError(f"the plain guest's XML has no {old}")
        return xml.replace(old, new)

    return edit


def device(xml_of_device: str) -> XmlEdit:
    """The edit that adds a device."""
    return replaced("</devices>", f"{xml_of_device}</devices>")


def element(xml_of_element: str) -> XmlEdit:
    """The edit that adds an element below <domain>."""
    return replaced("<devices>", f"{xml_of_element}<devices>")
