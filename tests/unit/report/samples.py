# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of docs/data-types.md, which are what these tests work with, and small changes to them."""

from __future__ import annotations

import copy
import json
import pathlib
import re
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "data-types.md").read_text(encoding="utf-8")
EXAMPLES: dict[str, t.Any] = {
    match["name"]: json.loads(match["json"])
    for match in re.finditer(
        r"^Example of a `(?P<name>\w+)`:\n\n```json\n(?P<json>.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
}


def example(kind: str, /, **changes: t.Any) -> t.Any:
    """A fresh copy of one example with some keys changed."""
    return {**copy.deepcopy(EXAMPLES[kind]), **changes}


def plan_of(*domains: str, source: str = "hv1", **changes: t.Any) -> t.Any:
    """A plan that moves these domains from one source to hv2, and in which nothing stays."""
    move = EXAMPLES["Plan"]["moves"][0]
    moves = [{**move, "domain": domain, "uuid": uuid_of(domain), "source": source} for domain in domains]
    return example("Plan", **{"moves": moves, "stays": [], "sources": [source], **changes})


def outcome_of(domain: str, state: str = "moved", **changes: t.Any) -> t.Any:
    """An outcome as migrate returns it: nothing is verified yet."""
    running_on = {"moved": "hv2", "already_there": "hv2", "unknown": None}.get(state, "hv1")
    own: dict[str, t.Any] = {
        "domain": domain,
        "uuid": uuid_of(domain),
        "state": state,
        "running_on": running_on,
        "proofs": [],
    }
    return example("Outcome", **{**own, **changes})


def proofs_of(*domains: str, host: str, ok: bool = True) -> t.Any:
    """What verify returns on one host."""
    proof = {"check": "gone" if host == "hv1" else "running", "host": host, "ok": ok, "message": "as seen there"}
    return {uuid_of(domain): [proof] for domain in domains}


def uuid_of(domain: str) -> str:
    return f"00000000-0000-4000-8000-{domain.encode().hex()[:12]:0>12}"
