# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user writes about checks and definitions, made into what preflight works with. Pure, controller only.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model import cpuset
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import (
    EDITS,
    LEVELS,
    Control,
    DomainSnapshot,
    LivemigError,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import label_words, registry

jmespath: t.Any
try:
    import jmespath
except ImportError:  # only a selection by expression needs it
    jmespath = None

CHECKS_OPTION: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "check": {"type": "str", "required": True},
        "set": {"type": "str", "required": True},
        "reason": {"type": "str", "default": ""},
        "hosts": {"type": "list", "elements": "str"},
        "domains": {"type": "list", "elements": "str"},
        "labels": {"type": "list", "elements": "str"},
        "where": {"type": "str"},
    },
}
EDITS_OPTION: dict[str, t.Any] = {
    "type": "dict",
    "default": {},
    "options": {
        "allow": {"type": "list", "elements": "str", "default": []},
        "map": {"type": "dict", "default": {}},
        "eject_media": {"type": "bool", "default": False},
    },
}


def controls(
    wanted: t.Sequence[t.Mapping[str, t.Any]],
    domains: t.Sequence[DomainSnapshot],
    groups: t.Mapping[str, t.Sequence[str]],
) -> list[Control]:
    """The user's decisions with groups as the hosts in them, and domains, labels and expressions as UUIDs.

    ``groups``: inventory group -> its hosts. Raises LivemigError where a decision cannot be meant.
    """
    return [_control(entry, domains, groups) for entry in wanted]


def _control(
    entry: t.Mapping[str, t.Any], domains: t.Sequence[DomainSnapshot], groups: t.Mapping[str, t.Sequence[str]]
) -> Control:
    check, level = entry["check"], entry["set"]
    known = registry().get(check)
    if known is None:
        raise _wrong("check", check, "the id of a check", "look it up in docs/checks.md")
    if level not in LEVELS:
        raise _wrong(f"set of {check}", level, "one of " + ", ".join(LEVELS), "correct it")
    lowers = level != "error"
    if known.fixed and lowers:
        raise _wrong(
            "check",
            check,
            "a check that can be lowered; this one stands between a guest and a second instance of it",
            "remove what it names, or leave the domain out",
        )
    if lowers and not (entry.get("reason") or "").strip():
        raise _wrong(
            f"reason of {check}", "empty", "why it is lowered: it is shown with every finding", "write it down"
        )
    return {
        "check": check,
        "set": level,
        "reason": (entry.get("reason") or "").strip(),
        "hosts": _hosts(entry.get("hosts"), groups),
        "domains": _domains(entry, domains),
    }


def _wrong(what: str, value: object, expected: str, remedy: str) -> LivemigError:
    return LivemigError(f"livemig_checks: {what}", value=value, expected=expected, remedy=remedy)


def _hosts(names: t.Sequence[str] | None, groups: t.Mapping[str, t.Sequence[str]]) -> list[str] | None:
    if names is None:
        return None
    hosts = set(groups.get("all", ()))
    for name in names:
        if name not in groups and name not in hosts:
            raise _wrong("host", name, "a host or a group of the inventory", "correct the name")
    return sorted({host for name in names for host in groups.get(name, [name])})


def _domains(entry: t.Mapping[str, t.Any], domains: t.Sequence[DomainSnapshot]) -> list[str] | None:
    """UUIDs of those that fit all that is given: names, words of their label, an expression that is true of them."""
    names, labels, where = (entry.get(key) for key in ("domains", "labels", "where"))
    if names is None and labels is None and where is None:
        return None
    matches = _expression(where) if where is not None else lambda _domain: True
    return sorted(
        domain["uuid"]
        for domain in domains
        if (names is None or domain["name"] in names)
        and (labels is None or set(labels) & set(label_words(domain.get("label"))))
        and matches(domain)
    )


def _expression(text: str) -> t.Callable[[DomainSnapshot], bool]:
    if jmespath is None:
        raise _wrong("where", text, "the Python package jmespath on the controller", "install it: pip install jmespath")
    try:
        compiled = jmespath.compile(text)
    except jmespath.exceptions.JMESPathError as error:
        raise _wrong("where", text, f"a JMESPath expression ({error})", "correct it") from None

    def matches(domain: DomainSnapshot) -> bool:
        try:
            return bool(compiled.search(domain))
        except jmespath.exceptions.JMESPathError as error:
            raise _wrong(
                "where", text, f"an expression that fits a domain's snapshot ({error})", "correct it"
            ) from None

    return matches


def edits(wanted: t.Mapping[str, t.Any], destinations: t.Sequence[str]) -> dict[str, t.Any]:
    """What may be changed in definitions. Raises LivemigError where it names what is not there."""
    allow, mapping = wanted.get("allow") or [], wanted.get("map") or {}
    for kind in allow:
        _kind("allow", kind)
    for destination, kinds in mapping.items():
        if not isinstance(kinds, t.Mapping):
            raise _wrong_edit(f"map of {destination}", kinds, "kind -> old -> new, for example bridge: {br0: br1}")
        for kind, names in kinds.items():
            _kind(f"map of {destination}", kind)
            if not isinstance(names, t.Mapping) or not all(
                new is None or isinstance(new, str) for new in names.values()
            ):
                raise _wrong_edit(f"{kind} of {destination}", names, "old -> new, for example br0: br1")
            if kind == "cpuset":
                _cpusets(destination, names)
    here = {destination: mapping[destination] for destination in destinations if destination in mapping}
    return {"allow": list(allow), "map": here, "eject_media": bool(wanted.get("eject_media"))}


def _cpusets(destination: str, names: t.Mapping[str, str | None]) -> None:
    for new in names.values():
        try:
            cpuset.numbers(new or "")
        except ValueError:
            raise _wrong_edit(f"cpuset of {destination}", new, "CPUs as 0-3,8") from None


def _kind(where: str, kind: str) -> None:
    if kind not in EDITS:
        raise _wrong_edit(where, kind, "one of " + ", ".join(EDITS))


def _wrong_edit(what: str, value: object, expected: str) -> LivemigError:
    return LivemigError(f"livemig_edits: {what}", value=value, expected=expected, remedy="correct it")
