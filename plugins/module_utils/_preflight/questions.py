# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight must ask of the hosts about domains that run elsewhere, and the keys under which answers come back.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from .._model.api import Disk, DomainSnapshot, Facts, HostSnapshot, Question
from .._model.types import Layer

INACTIVE = frozenset(("shutoff", "crashed"))
"""States in which no process of the guest could be moved."""

ASKED_PATHS = frozenset(("file", "block"))
"""Types of disks, and of images below them, whose path means something on another host."""

_CPU_FACTS = ("emulator", "arch", "machine", "virt_type", "cpu_xml")


def path_key(path: str) -> str:
    return f"path:{path}"


def peer_key(uri: str) -> str:
    return f"peer:{uri}"


def cpu_key(domain: Facts) -> str | None:
    """The key of the domain's CPU definition, equal for equal ones. None: it has none, so there is nothing to compare.

    Raises UnknownFact.
    """
    facts = [domain.get(fact) for fact in _CPU_FACTS]
    if facts[-1] is None:
        return None
    return "cpu:" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def questions(
    hosts: t.Sequence[HostSnapshot],
    domains: t.Sequence[DomainSnapshot],
    destinations: t.Sequence[str],
    uris: t.Mapping[str, str],
) -> dict[str, list[Question]]:
    """Host name -> its questions, each key once. Hosts without a snapshot are not asked.

    The CPU of a TCG guest (``virt_type`` qemu) is asked like any other. nova leaves it out, because its older
    compareCPU looked at the host's own CPU; compareHypervisorCPU looks at what QEMU offers for this virt type, and
    libvirt 11.3 names the missing features of a TCG guest with it (tried in the lab).
    """
    snapshots = {host["name"]: host for host in hosts}
    running = [domain for domain in domains if domain.get("state") not in INACTIVE]
    asked: dict[str, dict[str, Question]] = {}
    for domain in running:
        for name in destinations:
            if name in snapshots and name != domain["host"]:
                asked.setdefault(name, {}).update(_of_destination(domain, snapshots[name]))
    for source in sorted({domain["host"] for domain in running} & snapshots.keys()):
        for name in destinations:
            if name in snapshots and name in uris and name != source:
                key = peer_key(uris[name])
                asked.setdefault(source, {})[key] = {"key": key, "ask": "peer", "uri": uris[name]}
    return {host: [asked[host][key] for key in sorted(asked[host])] for host in sorted(asked) if asked[host]}


def _paths(disk: Disk) -> list[str]:
    """The paths of a disk and of every image below it that mean something on another host."""
    images: list[Disk | Layer] = [disk, *disk.get("backing", [])]
    return [image.get("path") or "" for image in images if image.get("type") in ASKED_PATHS]


def _of_destination(domain: DomainSnapshot, host: HostSnapshot) -> dict[str, Question]:
    found: dict[str, Question] = {}
    if all(fact in domain for fact in _CPU_FACTS):
        key = cpu_key(Facts("", domain))
        if key is not None:
            asked = {fact: t.cast("dict[str, t.Any]", domain)[fact] for fact in _CPU_FACTS}
            found[key] = t.cast(Question, {"key": key, "ask": "cpu", **asked})
    paths = [path for disk in domain.get("disks", []) for path in _paths(disk)]
    if "emulator" in domain and domain["emulator"] not in [e["path"] for e in host.get("emulators", [])]:
        paths.append(domain["emulator"])
    for path in paths:
        if path:
            found[path_key(path)] = {"key": path_key(path), "ask": "path", "path": path}
    return found
