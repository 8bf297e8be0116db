# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who stays and why, as text for people. Pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Finding, Stay
from ansible_collections.livemig.libvirt.plugins.plugin_utils._text.api import WIDTH, wrap


def stay_lines(stays: t.Sequence[Stay], destinations: t.Sequence[str]) -> list[str]:
    """A block for all domains of a host that have the same reasons, blank lines between the blocks, at most 110 columns.

    ``destinations``: those of the plan. A reason that holds for all of them is said once.
    """
    sharing: dict[tuple[str, str, tuple[str, ...]], list[Stay]] = {}
    for stay in stays:
        places = [name for name in destinations if name != stay["source"]]
        key = (stay["source"], stay["state"], tuple(_reasons(stay, places, own_name=False)))
        sharing.setdefault(key, []).append(stay)
    lines: list[str] = []
    for (source, state, shared), same in sharing.items():
        places = [name for name in destinations if name != source]
        names = ", ".join(stay["domain"] for stay in same)
        verb = "stays" if len(same) == 1 else "stay"
        lines += ["", *wrap(f"{names} ({state}) {verb} on {source}:", WIDTH, "", "  ")]
        lines += _reasons(same[0], places, own_name=True) if len(same) == 1 else shared
    return lines[1:]


def reworded(text: str, words: t.Mapping[str, str]) -> str:
    """``text`` with each key of ``words`` replaced, except where it is a part of a longer name."""
    if not words:
        return text
    names = "|".join(re.escape(name) for name in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{names})(?![\w-]|\.\w)", lambda found: words[found[0]], text)


def nameless(domain: str | None) -> dict[str, str]:
    """What to put for this domain's name in a text that several domains share."""
    return {f"domain {domain}": "the domain", f"Domain {domain}": "The domain"} if domain else {}


def _reasons(stay: Stay, places: t.Sequence[str], own_name: bool) -> list[str]:
    """The stay's reasons. One that several destinations share is said once, with their names."""
    own = {} if own_name else nameless(stay["domain"])
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in stay["reasons"]:
        there = {finding["destination"]: "the destination"} if finding["destination"] else {}
        message, remedy = (reworded(text, {**own, **there}) for text in (finding["message"], finding["remedy"]))
        groups.setdefault((finding["check"], message, remedy), []).append(finding)
    lines: list[str] = []
    for (check, message, remedy), same in groups.items():
        names = [finding["destination"] for finding in same if finding["destination"]]
        if len(same) == 1:
            message, remedy = (reworded(text, own) for text in (same[0]["message"], same[0]["remedy"]))
        lines += wrap(f"{_to(names, places)}{message} [{check}]", WIDTH, "  - ", "    ")
        lines += wrap(f"Remedy: {remedy}.", WIDTH, "    ")
    return lines or ["  - No reason was given."]


def _to(names: t.Sequence[str], places: t.Sequence[str]) -> str:
    if not names:
        return ""
    if len(places) > 1 and set(names) >= set(places):
        return "to every destination: "
    return f"to {', '.join(dict.fromkeys(names))}: "
