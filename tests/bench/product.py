# SPDX-License-Identifier: GPL-3.0-or-later
"""One migration by the product's own module, with the same figures as inside.py takes of the other arms.

What is held against the truth later is what the module itself has said: its decisions, forecasts and breaches. Where it
has said nothing that can be read, that is a run which has failed.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench import migrate
from tests.lab import api, enter
from tests.lab.places import places

Row = dict[str, Any]
_FORETOLD = ("verdict", "blackout_ms", "total_ms")


class Crashed(Exception):
    """The module has not said what became of the guest."""


def run(order: Mapping[str, Any], source: str, destination: str, limit_s: float) -> Row:
    """``order``: as inside.main takes it, with a profile and what speaks against post-copy, and no schedule."""
    began = time.monotonic()
    try:
        outcome = _outcome(order, source, destination, limit_s)
    except Crashed as error:
        return crashed(str(error), time.monotonic() - began)
    return row(outcome)


def _outcome(order: Mapping[str, Any], source: str, destination: str, limit_s: float) -> Row:
    move = {
        "domain": order["name"],
        "uuid": api.exec_on(source, ["virsh", "-q", "domuuid", order["name"]], check=True).stdout.strip(),
        "source": source,
        "destination": destination,
        "destination_uri": order["destination_uri"],
        "migrate_uri": order["migrate_uri"],
        "memory_mib": order["memory_mib"],
        "profile": {"name": order["profile"], "ceiling_ms": order["ceiling_ms"], "obstacles": order["obstacles"]},
    }
    options = {"moves": [move], "max_parallel": 1, "tls": "required", "progress": False, "timeout_s": int(limit_s)}
    (places().shared / migrate.ARGUMENTS).write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")
    environment = {**(enter.environment(source) or {}), "PYTHONPATH": f"/srv/shared/{migrate.PACKED}"}
    # From outside only nsenter could be ended.
    ended = ["timeout", "--kill-after=5", str(int(limit_s) * 2)]
    words = [*enter.prefix(source), *ended, "/usr/bin/python3", "-m", migrate.MODULE]
    words += [f"/srv/shared/{migrate.ARGUMENTS}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=limit_s * 2 + 30, check=False)
    return said(done)


def said(done: subprocess.CompletedProcess[str]) -> Row:
    """The outcome that the module has written. Raises Crashed where there is none."""
    try:
        (found,) = json.loads(done.stdout)["outcomes"]
        return dict(found)
    except (ValueError, KeyError, TypeError):
        text = f"the module ended with {done.returncode}: {done.stdout[-400:]} {done.stderr[-800:]}"
        raise Crashed(text.strip()) from None


def crashed(error: str, total_s: float) -> Row:
    """A row without any figures."""
    nothing: Row = {key: [] for key in ("attempts", "actions", "decisions", "forecasts", "samples")}
    unknown = dict.fromkeys(("under_way_s", "compute_ms", "libvirt_ms", "breach"))
    return {"ended": "error", "error": error, "total_s": total_s, **unknown, **nothing, "started": {}, "completed": {}}


def row(outcome: Mapping[str, Any]) -> Row:
    """An outcome as a row of the bench."""
    decisions, downtime = outcome["decisions"], outcome["downtime"]
    attempts = max([entry["attempt"] for entry in outcome["samples"]], default=1)
    done = [entry for entry in decisions if entry["action"] != "continue"]
    return {
        "ended": _ended(outcome),
        "error": outcome["error"],
        "total_s": (outcome["total_ms"] or 0) / 1000,
        "under_way_s": _under_way_s(outcome["phases"]),
        "compute_ms": downtime["compute_ms"],
        "libvirt_ms": downtime["libvirt_ms"],
        "breach": outcome["breach"],
        "attempts": [{"flags": _flags(outcome, number)} for number in range(1, attempts + 1)],
        "actions": [[entry["after_pass"], entry["action"], entry["max_downtime_ms"]] for entry in done],
        "decisions": decisions,
        "forecasts": forecasts(outcome),
        "started": {key: (outcome["forecast"] or {}).get(key) for key in _FORETOLD},
        "samples": _samples(outcome),
        "completed": {"memory_processed": outcome["bytes"]} if outcome["bytes"] else {},
    }


def _under_way_s(phases: Sequence[Mapping[str, Any]]) -> float | None:
    """From the destination's being ready until the guest runs there: without what the module does before and after."""
    at_ms = {entry["name"]: entry["at_ms"] for entry in phases}
    return (at_ms["resumed"] - at_ms["prepared"]) / 1000 if {"prepared", "resumed"} <= set(at_ms) else None


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
    """As of inside.py: seconds, iteration, MiB left, MiB sent, MiB/s, percent of throttle. First the start."""
    found = [
        [s["at_ms"] / 1000, s["iteration"], s["remaining_mib"], s["sent_mib"], s["rate_mib_s"], s["throttle"]]
        for s in outcome["samples"]
    ]
    return [[0.0, 1, 0.0, 0.0, None, 0], *found] if found else []


def forecasts(outcome: Mapping[str, Any]) -> list[Row]:
    """One for each boundary, as the module made it there: ``blackout_ms`` is the pause on the way that its ``verdict``
    names, ``total_ms`` counts from the first pass on; None where it could not tell."""
    return [
        {"attempt": entry["attempt"], "after_pass": entry["iteration"] - 1, **{key: entry[key] for key in _FORETOLD}}
        for entry in outcome["samples"]
    ]
