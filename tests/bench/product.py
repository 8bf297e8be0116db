# SPDX-License-Identifier: GPL-3.0-or-later
"""One migration by the product's own module, with the same figures as inside.py takes of the other arms.

What is held against the truth later is what the module itself has said: its decisions, forecasts and breaches.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Guest, Sample
from ansible_collections.livemig.libvirt.plugins.module_utils._policy import api as policy
from tests.bench import migrate
from tests.lab import api, enter
from tests.lab.places import places

Row = dict[str, Any]
_PAUSE = re.compile(r"(?:needs |converges: |post-copy pauses it for )([\d.]+) (ms|s)\b")
_POSTCOPY_PAUSE = re.compile(r"post-copy pauses it for ([\d.]+) (ms|s)\b")


def run(order: Mapping[str, Any], source: str, destination: str, limit_s: float) -> Row:
    """``order``: as inside.main takes it, with a profile and no schedule."""
    return row(_outcome(order, source, destination, limit_s), order["profile"], order["ceiling_ms"])


def _outcome(order: Mapping[str, Any], source: str, destination: str, limit_s: float) -> Row:
    move = {
        "domain": order["name"],
        "uuid": api.exec_on(source, ["virsh", "-q", "domuuid", order["name"]], check=True).stdout.strip(),
        "source": source,
        "destination": destination,
        "destination_uri": order["destination_uri"],
        "migrate_uri": order["migrate_uri"],
        "memory_mib": order["memory_mib"],
        "profile": {"name": order["profile"], "ceiling_ms": order["ceiling_ms"], "obstacles": []},
    }
    options = {"moves": [move], "max_parallel": 1, "tls": "required", "progress": False, "timeout_s": int(limit_s)}
    (places().shared / migrate.ARGUMENTS).write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")
    environment = {**(enter.environment(source) or {}), "PYTHONPATH": f"/srv/shared/{migrate.PACKED}"}
    words = [*enter.prefix(source), "/usr/bin/python3", "-m", migrate.MODULE, f"/srv/shared/{migrate.ARGUMENTS}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=limit_s * 2 + 30, check=False)
    try:
        found: Row = json.loads(done.stdout)["outcomes"][0]
    except (ValueError, KeyError, IndexError):
        raise RuntimeError(f"the module said {done.stdout[-800:]} {done.stderr[-800:]}") from None
    return found


def row(outcome: Mapping[str, Any], profile: str, ceiling_ms: float) -> Row:
    """An outcome as a row of the bench."""
    decisions, downtime = outcome["decisions"], outcome["downtime"]
    attempts = max([entry["attempt"] for entry in outcome["samples"]], default=1)
    said = [entry for entry in decisions if entry["action"] != "continue"]
    return {
        "ended": _ended(outcome),
        "error": outcome["error"],
        "total_s": (outcome["total_ms"] or 0) / 1000,
        "compute_ms": downtime["compute_ms"],
        "libvirt_ms": downtime["libvirt_ms"],
        "breach": outcome["breach"],
        "attempts": [{"flags": _flags(outcome, number)} for number in range(1, attempts + 1)],
        "actions": [[entry["after_pass"], entry["action"], entry["max_downtime_ms"]] for entry in said],
        "decisions": decisions,
        "forecasts": forecasts(outcome, profile, ceiling_ms),
        "started": {key: (outcome["forecast"] or {}).get(key) for key in ("verdict", "total_ms", "blackout_ms")},
        "samples": _samples(outcome),
        "completed": {"memory_processed": outcome["bytes"]} if outcome["bytes"] else {},
    }


def _ended(outcome: Mapping[str, Any]) -> str:
    if outcome["state"] == "moved":
        return "moved"
    if "aborted after" in (outcome["error"] or ""):
        return "timeout"
    given_up = any(entry["action"] == "abort" for entry in outcome["decisions"])
    return "aborted" if given_up or outcome["state"] == "refused" else "error"


def _flags(outcome: Mapping[str, Any], attempt: int) -> list[str]:
    """Those that have had an effect."""
    throttled = any(entry["attempt"] == attempt and entry["throttle"] for entry in outcome["samples"])
    switched = any(entry["action"] == "postcopy" for entry in outcome["decisions"])
    return ["VIR_MIGRATE_AUTO_CONVERGE"] * (attempt > 1 or throttled) + ["VIR_MIGRATE_POSTCOPY"] * switched


def _samples(outcome: Mapping[str, Any]) -> list[list[Any]]:
    """As of inside.py: seconds, iteration, MiB left, MiB sent, MiB/s, percent of throttle. First the first pass."""
    found = [
        [s["at_ms"] / 1000, s["iteration"], s["remaining_mib"], s["sent_mib"], s["rate_mib_s"], s["throttle"]]
        for s in outcome["samples"]
    ]
    began = next((phase["at_ms"] for phase in outcome["phases"] if phase["name"].startswith("iteration ")), None)
    return found if began is None else [[began / 1000, 1, 0.0, 0.0, None, 0], *found]


def forecasts(outcome: Mapping[str, Any], profile: str, ceiling_ms: float) -> list[Row]:
    """One for each boundary: the pause that was said, and the whole time as the recorded samples give it again."""
    totals = _totals(outcome, profile, ceiling_ms)
    found = []
    for entry in outcome["decisions"]:
        total = totals.get(entry["after_pass"] + 1)
        found.append({"after_pass": entry["after_pass"], "blackout_ms": pause_ms(entry), "total_ms": total})
    return found


def pause_ms(decision: Mapping[str, Any]) -> float | None:
    """What a decision's reason promises: the pause of the way that it has chosen."""
    pattern = _POSTCOPY_PAUSE if decision["action"] == "postcopy" else _PAUSE
    said = pattern.search(decision["reason"])
    return None if said is None else float(said[1]) * (1000 if said[2] == "s" else 1)


def _totals(outcome: Mapping[str, Any], profile: str, ceiling_ms: float) -> dict[int, float]:
    """The policy, run once more over the samples of the first attempt. By iteration; milliseconds from its start on."""
    began = outcome["forecast"] or {}
    samples = _samples(outcome)
    if not samples or samples[0][1] != 1:
        return {}
    guest = Guest(began.get("touched_mib") or 0.0, began.get("link_mib_s") or 0.0)
    chosen = policy.profile(profile, {"ceiling_ms": ceiling_ms})
    state, _start = policy.begin(guest, chosen, samples[0][0])
    found: dict[int, float] = {}
    first = [entry for entry, seen in zip(samples[1:], outcome["samples"], strict=True) if seen["attempt"] == 1]
    for at_s, iteration, left, sent, rate, throttle in first:
        state, _decisions = policy.step(state, Sample(iteration, at_s, left, sent, rate, throttle))
        total = policy.now(state)["total_ms"]
        if total is not None:
            found[iteration] = total
    return found
