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
    """A block for all domains of a host that have the same reasons, blank lines between blocks, at most 110 columns.

    ``destinations``: those of the plan. A reason that holds for all of them is said once.
    """
    sharing: dict[tuple[str, str, tuple[str, ...]], list[Stay]] = {}
    for stay in stays:
        reasons = _reasons(stay, _places(stay, destinations), shared=True)
        sharing.setdefault((stay["source"], stay["state"], tuple(reasons)), []).append(stay)
    lines: list[str] = []
    for (source, state, shared), same in sharing.items():
        names, verb = ", ".join(stay["domain"] for stay in same), "stays" if len(same) == 1 else "stay"
        lines += ["", *wrap(f"{names} ({state}) {verb} on {source}:", WIDTH, "", "  ")]
        lines += shared if len(same) > 1 else _reasons(same[0], _places(same[0], destinations), shared=False)
    return lines[1:]


def reworded(finding: Finding, hosts: t.Mapping[str, str], *, shared: bool) -> tuple[str, str]:
    """Message and remedy with what a host is in place of its name: ``hosts`` maps ``hv2`` to ``destination``.

    ``shared``: several domains are to share the text, so the finding's own domain is not named in it either.
    A name that is a part of a longer one is left alone.
    """
    words: dict[str, str] = {}
    for name, noun in hosts.items():
        words.update({name: f"the {noun}", f"host {name}": f"the {noun}", f"Host {name}": f"The {noun}"})
    if shared and finding["domain"]:
        words.update({f"domain {finding['domain']}": "the domain", f"Domain {finding['domain']}": "The domain"})
    if not words:
        return finding["message"], finding["remedy"]
    names = "|".join(map(re.escape, words))
    pattern = re.compile(rf"(?<![\w.-])(?:{names})(?![\w-]|\.\w)")
    message, remedy = (pattern.sub(lambda at: words[at[0]], finding[part]) for part in ("message", "remedy"))
    return message, remedy


def _places(stay: Stay, destinations: t.Sequence[str]) -> list[str]:
    return [name for name in destinations if name != stay["source"]]


def _reasons(stay: Stay, places: t.Sequence[str], *, shared: bool) -> list[str]:
    """The stay's reasons. One that several destinations share is said once, with their names."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in stay["reasons"]:
        there = {finding["destination"]: "destination"} if finding["destination"] else {}
        groups.setdefault((finding["check"], *reworded(finding, there, shared=shared)), []).append(finding)
    lines: list[str] = []
    for (check, message, remedy), same in groups.items():
        names = [finding["destination"] for finding in same if finding["destination"]]
        if len(same) == 1:
            message, remedy = reworded(same[0], {}, shared=shared)
        lines += wrap(f"{_to(names, places)}{message} [{check}]", WIDTH, "  - ", "    ")
        lines += wrap(f"Remedy: {remedy}.", WIDTH, "    ")
    return lines or ["  - No reason was given."]


def _to(names: t.Sequence[str], places: t.Sequence[str]) -> str:
    if not names:
        return ""
    if len(places) > 1 and set(names) >= set(places):
        return "to every destination: "
    return f"to {', '.join(dict.fromkeys(names))}: "
