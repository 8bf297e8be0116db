# SPDX-License-Identifier: GPL-3.0-or-later

"""Small fleets for the plan's tests: made, not recorded, since a plan reads only names, memory and findings."""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import Problem, judge
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api


def host(name: str, available_mib: int | None, *free: int) -> t.Any:
    """None: its memory could not be read. ``free``: huge pages of 2 MiB that are free in each NUMA cell."""
    known: dict[str, t.Any] = {}
    if available_mib is not None:
        known["memory"] = {"total_mib": 1 << 20, "available_mib": available_mib}
    if free:
        cells = [
            {
                "id": number,
                "free_mib": 0,
                "pages": [{"size_kib": 2048, "free": count}, {"size_kib": 1 << 20, "free": 9}],
            }
            for number, count in enumerate(free)
        ]
        known["ram"] = {"cells": cells, "hugepage_kib": 2048}
    return {"schema": 1, "kind": "host", "name": name, "unknown": [], **known}


def domain(name: str, memory_mib: int = 1024, on: str = "hv1", **changes: t.Any) -> t.Any:
    """1 vCPU, so 1024 MiB need 1024 + 240 + 8 + 21 = 1293."""
    return {
        "schema": 1,
        "kind": "domain",
        "host": on,
        "name": name,
        "uuid": f"uuid-of-{name}",
        "state": "running",
        "memory_mib": memory_mib,
        "vcpus": 1,
        "hugepages": False,
        "persistent": True,
        "autostart": False,
        "unknown": [],
        "lists": {"numa_cells": [], "hugepages": [], "memnodes": []},
        "settings": {
            "memory": {"memory": str(memory_mib), "unit": "MiB"},
            "memory_backing": {"hugepages": changes.get("hugepages", False)},
            "numatune": {"mode": None, "nodeset": None},
        },
        **changes,
    }


def on_pages(name: str, memory_mib: int = 1024, nodeset: str | None = None, size: str | None = None) -> t.Any:
    """A domain on huge pages of so many KiB (None: the host's default), bound to nodes if they are named."""
    made = domain(name, memory_mib, hugepages=True)
    made["settings"]["numatune"]["nodeset"] = nodeset
    if size:
        made["lists"]["hugepages"] = [{"name": "page1", "size": size, "unit": "KiB", "nodeset": None}]
    return made


def against(
    check: str, name: str | None = None, source: str | None = None, destination: str | None = None, blocks: bool = True
) -> t.Any:
    """A finding that speaks against these moves; None stands for any."""
    made = judge(check, domain(name or "", on=source or ""), destination, Problem("Thing", f"wrong {destination}"))
    return {**made, "domain": name, "source": source, "blocks": blocks}


def policy(*destinations: str, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "tls": "required",
        "uris": {name: f"qemu+tls://{name}/system" for name in destinations},
        "addresses": {name: f"{name}.example.com" for name in destinations},
        "memory_reserve_mib": 0,
        **changes,
    }


def plan(
    hosts: t.Sequence[t.Any], domains: t.Sequence[t.Any], findings: t.Sequence[t.Any] = (), **changes: t.Any
) -> t.Any:
    """The plan that empties hv1 into all other hosts."""
    destinations = [entry["name"] for entry in hosts if entry["name"] != "hv1"]
    return api.make_plan(hosts, domains, findings, ["hv1"], destinations, policy(*destinations, **changes))


def ways(made: t.Any) -> dict[str, str]:
    return {move["domain"]: move["destination"] for move in made["moves"]}


def reasons(made: t.Any) -> dict[str, list[tuple[str, str | None]]]:
    return {
        stay["domain"]: [(finding["check"], finding["destination"]) for finding in stay["reasons"]]
        for stay in made["stays"]
    }
