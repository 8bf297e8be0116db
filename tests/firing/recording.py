# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen when a check fired, cut down to the facts that the check read, so that a unit test can replay it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api, engine
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.world import World
from tests.firing.provocation import Provocation
from tests.firing.stage import Reads, Seen

FOLDER = Path(__file__).resolve().parents[1] / "unit" / "preflight" / "data" / "fired"
_ALWAYS = ("schema", "kind", "name", "uuid", "host", "state", "state_reason")


def path_of(check: str) -> Path:
    return FOLDER / f"{check}.json"


def cut(snapshot: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The snapshot with nothing but these facts and what tells whose it is; unknown ones stay listed."""
    kept: dict[str, Any] = {key: snapshot[key] for key in _ALWAYS if key in snapshot}
    for path in paths:
        _copy(snapshot, kept, path.split("."))
    starts = tuple(paths)
    unknown = [entry for entry in snapshot.get("unknown", []) if _related(entry["fact"], starts)]
    return {**kept, "unknown": unknown}


def _related(fact: str, paths: Iterable[str]) -> bool:
    return any(f"{fact}.".startswith(f"{path}.") or f"{path}.".startswith(f"{fact}.") for path in paths)


def _copy(source: Any, target: dict[str, Any], parts: list[str]) -> None:
    if isinstance(source, dict) and parts[0] in source:
        if len(parts) == 1:
            target[parts[0]] = source[parts[0]]
        elif isinstance(source[parts[0]], dict):
            _copy(source[parts[0]], target.setdefault(parts[0], {}), parts[1:])


def scene(seen: Seen, check: str, domain: str, destination: str) -> dict[str, Any]:
    """What one judgement of one domain and one destination by this check needs."""
    domains = [entry for entry in seen.domains if entry["name"] == domain]
    hosts = [host for host in seen.hosts if host["name"] in (destination, *(entry["host"] for entry in domains))]
    reads = Reads()
    whole = {"hosts": hosts, "domains": domains, "destination": destination, "answers": seen.answers}
    with reads.watched():
        replay({**whole, "policy": seen.policy}, check)
    facts = reads.facts
    return {
        "hosts": [cut(host, sorted(facts.get(f"host {host['name']}", ()))) for host in hosts],
        "domains": [cut(entry, sorted(facts.get(f"domain {entry['name']}", ()))) for entry in domains],
        "destination": destination,
        "answers": {
            host: {key: seen.answers[host][key] for key in sorted(keys) if key in seen.answers.get(host, {})}
            for host, keys in sorted(reads.answers.items())
        },
        "policy": seen.policy,
    }


def replay(recorded: dict[str, Any], check: str) -> list[Any]:
    """The findings of this check over a scene."""
    hosts = {host["name"]: host for host in recorded["hosts"]}
    world = World(hosts, recorded["domains"], [recorded["destination"]], recorded["answers"], recorded["policy"])
    return list(engine.evaluate(world, [api.registry()[check]]))


def write(row: Provocation, versions: dict[str, str], fired: dict[str, Any], quiet: dict[str, Any] | None) -> None:
    """Replaces what an earlier run recorded. ``quiet`` is None where the lab is always so."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = {
        "check": row.check,
        "how": row.how,
        "text": row.text,
        "status": row.status,
        "faked": row.faked,
        "versions": versions,
        "fired": fired,
        "quiet": quiet,
    }
    path_of(row.check).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
