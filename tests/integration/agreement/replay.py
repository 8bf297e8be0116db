# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts of a run given anew by the product as it is now, joined with the truth of that run:
python -m tests.integration.agreement.replay [RAW.json]

So a change of the checks is held against what libvirt really did, in seconds and without a lab.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.firing.stage import Seen
from tests.integration.agreement import checker
from tests.integration.agreement.recording import RECORDED, load
from tests.integration.agreement.verdict import verdict


def records(raw: Path = RECORDED) -> list[Any]:
    """The records with new verdicts."""
    found, seen = load(raw)
    return [_anew(record, seen) for record in found]


def _anew(record: Any, seen: dict[str, Any]) -> Any:
    if record["fault"]:
        return record
    what = Seen(**seen[record["name"]])
    given = verdict(what, record["guest"], record["source"], record["destination"])
    return {**record, "verdict": _without_what_is_newer(given)}


def _without_what_is_newer(given: dict[str, Any]) -> dict[str, Any]:
    """A fact that is observed since then cannot be in the recording: its check says nothing about that run."""
    reasons = [entry for entry in given["reasons"] if "was not observed" not in entry["message"]]
    return {**given, "reasons": reasons, "refused": given["refused"] and bool(reasons)}


def main(words: Sequence[str]) -> int:
    return checker.conclude(records(Path(words[0]) if words else RECORDED))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
