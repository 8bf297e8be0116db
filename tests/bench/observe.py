# SPDX-License-Identifier: GPL-3.0-or-later
"""What observing a real host costs beside the least that anybody must ask: python -m tests.bench observe

The least is one getAllDomainStats and one XMLDesc for each domain. Both are taken in turns, in one process inside the
host, over tiny domains that are started paused.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from tests.firing import stage
from tests.lab import api as lab
from tests.lab import observe
from tests.lab.errors import LabError

HOST = "hv1"
SIZES = (10, 25, 50, 100)
PAIRS = 15

PROGRAM = """\
import time
from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import api


def least(connection):
    connection.getAllDomainStats()
    return [domain.XMLDesc(0) for domain in connection.listAllDomains()]


def timed(work):
    began = time.perf_counter()
    count = len(work())
    return time.perf_counter() - began, count


def main(given):
    connection = _libvirt.connect("qemu:///system")
    pairs = []
    for _pair in range(given["pairs"]):
        ours, count = timed(lambda: api.domain_snapshots(connection, "hv1"))
        theirs, same = timed(lambda: least(connection))
        assert count == same == given["domains"], (count, same)
        pairs.append({"domains": count, "ours_s": ours, "least_s": theirs})
    host = timed(lambda: api.host_snapshot(connection, "hv1"))[0]
    connection.close()
    return {"pairs": pairs, "host_s": host}
"""


def run(pairs: int = PAIRS) -> dict[str, Any]:
    """All sizes, the smallest first; the raw pairs and what follows from them. Raises the lab, and ends it."""
    names = [f"tiny{number:03d}" for number in range(max(SIZES))]
    lab.up(HOST, tls=False)
    raw, hosts = [], []
    try:
        started = 0
        for size in SIZES:
            errors = stage.start({name: _tiny(name) for name in names[started:size]})
            if errors:
                raise LabError(f"domains did not start: {errors}", "tiny paused domains", "see the message")
            started = size
            seen = observe.observe_inside(HOST, PROGRAM, {"pairs": pairs, "domains": size}, timeout_s=600)
            raw += seen["pairs"]
            hosts.append({"domains": size, "host_s": seen["host_s"]})
            print(f"{size} domains: ratio {_ratio(raw, size):.2f}", flush=True)
    finally:
        lab.down()
    return {"raw": raw, "hosts": hosts, **summary(raw)}


def _tiny(name: str) -> str:
    return stage.plain_xml(name)


def _ratio(raw: Sequence[dict[str, Any]], size: int) -> float:
    return float(statistics.median(entry["ours_s"] / entry["least_s"] for entry in raw if entry["domains"] == size))


def summary(raw: Sequence[dict[str, Any]]) -> dict[str, Any]:
    medians = {
        size: {
            key: statistics.median(entry[key] for entry in raw if entry["domains"] == size)
            for key in ("ours_s", "least_s")
        }
        for size in SIZES
    }
    points = [(math.log(size), math.log(found["ours_s"])) for size, found in medians.items()]
    return {
        "medians": medians,
        "ratios": {size: _ratio(raw, size) for size in SIZES},
        "exponent": statistics.linear_regression(*zip(*points, strict=True)).slope,
    }


def markdown(result: dict[str, Any]) -> str:
    rows = "".join(
        f"| {size} | {found['ours_s'] * 1000:.0f} | {found['least_s'] * 1000:.0f} | {result['ratios'][size]:.2f} |\n"
        for size, found in result["medians"].items()
    )
    return f"""\
## Observing a host

`python -m tests.bench observe`: `domain_snapshots` on a real host of the lab, in turns with the least that anybody must
ask, one `getAllDomainStats` and one `XMLDesc` for each domain. Paused domains, {len(result["raw"]) // len(SIZES)} pairs
for each size; milliseconds are medians, the ratio is the median of the pairs' ratios.

| domains | ours, ms | the least, ms | ratio |
|---|---|---|---|
{rows}
The goal is a ratio of 2. Growth of ours with the number of domains: exponent {result["exponent"]:.2f}, the goal 1.1.
"""
