# SPDX-License-Identifier: GPL-3.0-or-later
"""How long preflight takes over a fleet, how much memory, and how both grow: python -m tests.bench preflight

Every measurement is a process of its own, pinned to one core. The sizes are interleaved; exponents come from medians.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.bench import fleet

FULL = (1000, 100)
BY_DOMAINS = ((125, 100), (250, 100), (500, 100), FULL)
BY_HOSTS = ((1000, 13), (1000, 25), (1000, 50), FULL)
ROUNDS = 3


def once(domains: int, hosts: int) -> dict[str, Any]:
    """One measurement, in this process. RSS includes the snapshots themselves."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    made = fleet.make(domains, hosts)
    began, cpu = time.perf_counter(), time.process_time()
    judged = fleet.judged(made)
    return {
        "domains": domains,
        "hosts": hosts,
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **judged._asdict(),
    }


def run(rounds: int = ROUNDS) -> dict[str, Any]:
    """All sizes, ``rounds`` times, interleaved; the raw results and what follows from them."""
    sizes = sorted({*BY_DOMAINS, *BY_HOSTS})
    raw = []
    for _round in range(rounds):
        for domains, hosts in sizes:
            command = [sys.executable, "-m", "tests.bench.preflight", str(domains), str(hosts)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
            raw.append(json.loads(done.stdout))
            print(f"{domains} domains, {hosts} hosts: {raw[-1]['cpu_s']:.1f} s", flush=True)
    return {"raw": raw, **summary(raw)}


def summary(raw: Sequence[dict[str, Any]]) -> dict[str, Any]:
    full = [entry for entry in raw if (entry["domains"], entry["hosts"]) == FULL]
    return {
        "full": {key: statistics.median(entry[key] for entry in full) for key in full[0]},
        "exponent_domains": exponent(raw, BY_DOMAINS, "domains"),
        "exponent_hosts": exponent(raw, BY_HOSTS, "hosts"),
    }


def exponent(raw: Sequence[dict[str, Any]], sizes: Sequence[tuple[int, int]], by: str) -> float:
    """The slope of log(time) over log(size), by least squares over the medians."""
    points = []
    for domains, hosts in sizes:
        times = [entry["cpu_s"] for entry in raw if (entry["domains"], entry["hosts"]) == (domains, hosts)]
        points.append((math.log({"domains": domains, "hosts": hosts}[by]), math.log(statistics.median(times))))
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def markdown(result: dict[str, Any]) -> str:
    full = result["full"]
    return f"""\
## Preflight over a fleet

`python -m tests.bench preflight`: questions, answers and findings over {FULL[0]} domains and {FULL[1]} hosts, all of
them sources and destinations, made of recorded snapshots, and the plan that empties every second host into the others.
Medians of {len(result["raw"]) // 7} runs, each a process of its own on one core.

| what | measured | goal |
|---|---|---|
| time, one core | {full["cpu_s"]:.1f} s | 60 s |
| of which the plan | {full["plan_s"]:.2f} s | |
| peak memory, snapshots included | {full["rss_mib"]:.0f} MiB | 500 MiB |
| growth with domains (exponent, 125 to 1,000 domains) | {result["exponent_domains"]:.2f} | 1.15 |
| growth with hosts (exponent, 13 to 100 hosts) | {result["exponent_hosts"]:.2f} | 1.15 |
| questions asked | {full["questions"]:.0f} | |
| findings | {full["findings"]:.0f} | |
| moves planned | {full["moves"]:.0f} | |
"""


if __name__ == "__main__":
    print(json.dumps(once(int(sys.argv[1]), int(sys.argv[2]))))
