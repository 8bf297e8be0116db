# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of the host side of a definition that would solve a problem. Pure.

The policy's ``edits`` say what the user has decided: ``map`` is destination -> kind -> old -> new (new may be None),
``allow`` the kinds that may be applied; an old ``*`` stands for all that are not named. ``eject_media``: whatever
medium the destination lacks is to be ejected. What is mapped and not allowed is only proposed.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._model.api import Edit

if t.TYPE_CHECKING:
    from .check import View


def mapped(view: View, kind: str, old: str) -> Edit | None:
    """The change that the user has mapped for the destination of the view, or None."""
    wanted = view.policy.get("edits", {})
    of_kind: t.Mapping[str, str | None] = wanted.get("map", {}).get(view.destination_name, {}).get(kind, {})
    if kind == "medium" and wanted.get("eject_media"):
        of_kind = {"*": None, **of_kind}
    name = old if old in of_kind else "*"
    if name not in of_kind:
        return None
    return {"kind": kind, "item": None, "old": old, "new": of_kind[name]}


def allowed(policy: t.Mapping[str, t.Any], edit: Edit) -> bool:
    return edit["kind"] in policy.get("edits", {}).get("allow", ())


def text(edit: Edit) -> str:
    """As people read it: ``bridge br0 -> br1``; ``medium /srv/x.iso ejected``."""
    item = f" of {edit['item']}" if edit["item"] else ""
    if edit["new"] is None:
        return f"{edit['kind']} {edit['old']}{item} " + ("ejected" if edit["kind"] == "medium" else "taken away")
    return f"{edit['kind']} {edit['old']}{item} -> {edit['new']}"
