# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user has decided about checks: silence, lower or raise them, with a reason that is shown. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import html
import re
import typing as t

from .._model.api import Control, Decision, Finding
from .._model.types import Severity
from . import edits
from .check import Check, View

_TAG = re.compile(r"<[^>]*>")


def label_words(label: str | None) -> list[str]:
    """The words of a domain's own label, the text in its element ``urn:livemig:policy:1``."""
    return html.unescape(_TAG.sub(" ", label or "")).replace(",", " ").split()


def apply(found: Finding, check: Check, view: View) -> Finding:
    """The finding as the user wants it: first a change that is allowed, then the last decision that speaks of it."""
    if found["edit"] is not None:
        found = _edited(found, view)
    control = None if check.fixed or found["status"] == "edited" else _deciding(view, check.id)
    return found if control is None else _decided(found, control)


def matching(controls: t.Iterable[Control], uuid: str, hosts: t.Container[str | None]) -> list[Control]:
    """The decisions that speak of a domain on these hosts."""
    return [
        control
        for control in controls
        if (control["domains"] is None or uuid in control["domains"])
        and (control["hosts"] is None or any(host in hosts for host in control["hosts"]))
    ]


def _deciding(view: View, check: str) -> Control | None:
    """The last one; a decision about certain domains says nothing of what concerns a host as a whole."""
    controls = [control for control in view.policy.get("controls", ()) if control["check"] == check]
    if not controls:
        return None
    uuid = view.facts["domain"].get("uuid") if "domain" in view.facts else ""
    hosts = (view.source_name, view.destination_name)
    return next(reversed(matching(controls, uuid, hosts)), None)


def _decided(found: Finding, control: Control) -> Finding:
    decision: Decision = {"set": control["set"], "was": found["severity"], "reason": control["reason"]}
    if control["set"] == "silence":
        return {**found, "status": "silenced", "severity": "info", "blocks": False, "decision": decision}
    severity = t.cast(Severity, control["set"])
    return {**found, "severity": severity, "blocks": severity == "error", "decision": decision}


def _edited(found: Finding, view: View) -> Finding:
    edit = found["edit"]
    if edit is None:
        return found
    change = edits.text(edit)
    if edits.allowed(view.policy, edit):
        remedy = f"none is needed: the definition is changed on its way ({change})"
        return {**found, "status": "edited", "severity": "info", "blocks": False, "remedy": remedy}
    proposal = f"; or add {edit['kind']} to livemig_edits.allow, and the definition is changed on its way ({change})"
    return {**found, "remedy": found["remedy"].rstrip(".") + proposal}
