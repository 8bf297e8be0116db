# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight must ask of the hosts about domains that run elsewhere: every check says what it must know.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import typing as t

from .._model.api import Facts, Question
from . import engine
from .check import NOT_EVALUATED, Asks, Check, Requirement
from .world import World

ASKED_PATHS = frozenset(("file", "block"))
"""Types of disks, and of images below them, whose path means something on another host."""

CPU_FACTS = ("emulator", "arch", "machine", "virt_type", "cpu_xml")


def path_key(path: str) -> str:
    return f"path:{path}"


def path_question(path: str) -> Question:
    return {"key": path_key(path), "ask": "path", "path": path}


def peer_key(uri: str) -> str:
    return f"peer:{uri}"


def cpu_question(domain: Facts) -> Question | None:
    """The question for the domain's CPU definition, equal for equal ones. None: it has none, nothing is to be compared.

    The emulator is part of it, without which libvirt answers for KVM even where a guest uses none; with it, it
    compares TCG guests too and names the missing features (tried in the lab).
    """
    asked = {fact: domain.get(fact) for fact in CPU_FACTS}
    if asked["cpu_xml"] is None:
        return None
    return t.cast(Question, {"key": key_of("cpu", list(asked.values())), "ask": "cpu", **asked})


def open_key(path: str, label: str = "") -> str:
    return f"open:{path}" + (f" as {label}" if label else "")


def open_question(path: str, label: str = "") -> Question:
    """Whether QEMU could open it there; ``label``: of the definition, where that fixes QEMU's user."""
    return {"key": open_key(path, label), "ask": "open", "path": path, "value": label or None}


def capabilities_question(emulator: str, arch: str, machine: str, virt_type: str) -> Question:
    """What the hypervisor offers to such guests; see ``capabilities`` of the answers for the shape."""
    asked = [emulator, arch, machine, virt_type]
    key = key_of("capabilities", asked)
    return {**t.cast(Question, dict(zip(CPU_FACTS, asked))), "key": key, "ask": "capabilities"}


def key_of(ask: str, asked: t.Any) -> str:
    """A key that is equal for equal questions of one kind, however long they are."""
    text = json.dumps(asked)
    return f"{ask}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def questions(world: World, checks: t.Iterable[Check]) -> dict[str, list[Question]]:
    """Host name -> what it must be asked, each thing once. Nothing is asked of hosts without a snapshot."""
    asked: dict[str, dict[str, Question]] = {}
    for check in checks:
        if check.requires is not None:
            _of_pairs(asked, world, check.requires)
        elif check.asks is not None:
            _of_hosts(asked, world, check, check.asks)
    return {host: [asked[host][key] for key in sorted(asked[host])] for host in sorted(asked) if asked[host]}


def _of_pairs(asked: dict[str, dict[str, Question]], world: World, requires: Requirement) -> None:
    for (source, need), owners in engine.needs(world, requires, lambda _view, _problems: None):
        hosts = {owner.source_name for owner in owners}
        for view in world.destination_views(source):
            if view.silent is None and hosts != {view.destination_name}:
                for host, asks in ((view.destination_name, requires.asks), (view.source_name, requires.asks_source)):
                    with contextlib.suppress(*NOT_EVALUATED):
                        for question in asks(view, need):
                            asked.setdefault(host or "", {})[question["key"]] = question


def _of_hosts(asked: dict[str, dict[str, Question]], world: World, check: Check, asks: Asks) -> None:
    views = {"host": world.host_views, "link": world.link_views, "domain": world.domain_views}
    for view in views[check.scope]():
        if view.silent is None and (check.scope == "host" or world.gives(view.source_name)):
            with contextlib.suppress(*NOT_EVALUATED):
                for host, question in asks(view):
                    asked.setdefault(host, {})[question["key"]] = question
