# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be seen of a guest without asking the product: processes, consoles, packets, and what libvirt lists."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.integration.agreement import inside
from tests.lab import api as lab
from tests.lab import observe, proof
from tests.lab.errors import LabError
from tests.lab.places import places
from tests.lab.run import wait_until

ALIVE_S = 10.0
"""A guest counts as alive only if it still ticks so long after the migration."""


def look(addresses: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Guest -> what processes, its console and its network say now. addresses: guest -> its address."""
    where = places()
    paths = {name: where.console(name) for name in addresses}
    writers = proof.console_writers(paths)
    echoes = echo(list(addresses.values()))
    return {
        name: {
            "at_s": round(time.monotonic(), 1),
            "runs_on": proof.runs_on(name),
            "writers": writers[name],
            "echo": echoes.get(addresses[name], False),
            **_console(name),
        }
        for name in addresses
    }


def _console(name: str) -> dict[str, Any]:
    seen = proof.read_console(places().console(name))
    last = seen.last
    return {
        "boots": list(seen.boots),
        "tick": last.number if last else 0,
        "disk": last.disk if last else None,
        "mark_lost": bool(last and last.mark_lost),
        "out_of_order": seen.out_of_order,
        "complaints": list(seen.complaints),
    }


def ticks(name: str) -> int:
    return int(_console(name)["tick"])


def echo(addresses: Sequence[str]) -> dict[str, bool]:
    """Address -> whether the guest answers packets from the witness."""
    command = ["python3", "-I", "-c", inside.ECHO]
    done = lab.exec_on("witness", command, stdin=json.dumps(list(addresses)), timeout_s=120, check=True)
    found: dict[str, bool] = json.loads(done.stdout)
    return found


def known(hosts: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Host -> guest -> what its libvirt lists, or {"error": why} of a host whose libvirt does not answer."""
    found: dict[str, dict[str, Any]] = {}
    for host in hosts:
        try:
            found[host] = observe.observe_inside(host, inside.KNOWN, {"names": list(names)}, timeout_s=15)
        except LabError as error:
            found[host] = {"error": str(error).strip().splitlines()[-1]}
    return found


def wait_alive(names: Sequence[str], more: int, timeout_s: float) -> list[str]:
    """Waits until each ticked so often; the names of those that did not in time."""
    begun = {name: ticks(name) for name in names}
    late = set(names)

    def done() -> bool:
        late.difference_update([name for name in late if ticks(name) >= begun[name] + more])
        return not late

    wait_until(done, timeout_s, 0.2)
    return sorted(late)
