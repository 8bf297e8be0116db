# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins verdict and truth: python -m tests.integration.agreement.checker RAW.json

Knows nothing of the product and nothing of how the cases were run: it reads what was recorded, and trusts processes,
consoles and packets. Its last line is the result: agreement: N cases, N missed, N false, N stricter
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

AGREED, MISSED, FALSE, STRICTER, UNFIT = "agreed", "missed", "false", "stricter", "unfit"
REAL, FAKED, BEYOND = "real", "faked", "beyond"
ALIVE_S = 10.0
RUNNING, PAUSED = 1, 3

Record = dict[str, Any]


class Judgement(NamedTuple):
    """One of the words above, what really happened (moved, stayed, harmed or nothing), and why, for people."""

    result: str
    truth: str
    why: str


def harms(record: Record) -> list[str]:
    """What the migration did to the guest that it must not; nothing where it lives on as before."""
    before, soon, late = record["before"], record["soon"], record["late"]
    found = []
    for seen in (soon, late):
        if len(seen["runs_on"]) != 1 or seen["writers"] != 1:
            found.append(f"runs on {', '.join(seen['runs_on']) or 'no host'}, {seen['writers']} write to its console")
    if late["out_of_order"] > before["out_of_order"]:
        found.append("its ticks are out of order")
    if late["boots"] != before["boots"]:
        found.append(f"booted {len(late['boots'])} times")
    if late["at_s"] - soon["at_s"] < ALIVE_S:
        found.append("was not watched for long enough")
    if late["tick"] <= soon["tick"]:
        found.append(f"stopped ticking at {late['tick']}")
    if late["complaints"] != before["complaints"]:
        found.append(f"its kernel says {late['complaints'][-1]}")
    if late["mark_lost"]:
        found.append("lost what it had on its disk")
    if before["disk"] not in (None, "failed") and late["disk"] in (None, "failed"):
        found.append(f"its disk: {late['disk'] or 'gone'}")
    if before["echo"] and not late["echo"]:
        found.append("lost its network")
    return found + _definition(record)


def _definition(record: Record) -> list[str]:
    """A guest that was persistent is so where it runs, and nowhere else. A silent libvirt says nothing about that."""
    lists = record["known"]
    if record["transient"] or len(record["late"]["runs_on"]) != 1 or any("error" in entry for entry in lists.values()):
        return []
    here = record["late"]["runs_on"][0]
    if not lists[here].get(record["guest"], {}).get("persistent"):
        return [f"is not defined on {here}"]
    was = record["known_before"]
    return [
        f"is defined on {host}, too"
        for host, entry in lists.items()
        if host != here and record["guest"] in entry and record["guest"] not in was.get(host, {})
    ]


def truth(record: Record) -> tuple[str, str]:
    """moved, stayed or harmed, and why."""
    wrong = harms(record)
    if wrong:
        return "harmed", "; ".join(wrong)
    place = record["late"]["runs_on"][0]
    if place == record["destination"]:
        return "moved", "and lives"
    return "stayed", str(record["outcome"]["error"])


def judge(record: Record) -> Judgement:
    if record["fault"]:
        return Judgement(UNFIT, "nothing", record["fault"])
    if record["outcome"]["state"] == "unknown":
        return Judgement(UNFIT, "nothing", f"the try did not end: {record['outcome']['error']}")
    what, why = truth(record)
    refused, reasons = record["verdict"]["refused"], [entry["check"] for entry in record["verdict"]["reasons"]]
    named = not record["expects"] or not set(record["expects"]).isdisjoint(reasons)
    if not refused:
        if what == "moved" and record["shows"] and _risk_seen(record):
            return Judgement(MISSED, what, f"the risk was seen: {record['shows']}")
        return Judgement(AGREED if what == "moved" else MISSED, what, why)
    if not named:
        return Judgement(MISSED, what, f"refused for {', '.join(reasons)} instead of {', '.join(record['expects'])}")
    if what != "moved":
        # A guest that nothing speaks against must move; where it did not, its refusal proves nothing.
        return Judgement(UNFIT if record["kind"] == "clean" else AGREED, what, why)
    if not record["stricter"]:
        return Judgement(FALSE, what, f"refused for {', '.join(reasons)}")
    if record["shows"] and not _risk_seen(record):
        return Judgement(FALSE, what, f"the risk was not seen: {record['risk']} has no {record['shows']}")
    return Judgement(STRICTER, what, record["stricter"])


def _risk_seen(record: Record) -> bool:
    return re.search(record["shows"], "\n".join(record["risk"].values())) is not None


def line(records: Sequence[Record]) -> str:
    counts = Counter(judge(record).result for record in records)
    said = ", ".join(f"{counts[word]} {word}" for word in (MISSED, FALSE, STRICTER))
    said = f"agreement: {len(records)} cases, {said}"
    return said + (f", {counts[UNFIT]} unfit" if counts[UNFIT] else "")


def right(records: Sequence[Record]) -> bool:
    """Of what no look beforehand can tell, to be missed is right, and to be foreseen a reason to say so no longer."""
    return bool(records) and all(
        judge(record).result in ((MISSED,) if record.get("beyond") else (AGREED, STRICTER)) for record in records
    )


def main(words: Sequence[str]) -> int:
    return conclude(json.loads(Path(words[0]).read_text(encoding="utf-8"))["records"])


def conclude(records: Sequence[Record]) -> int:
    """Prints what did not agree and the last line; 0 where all is right or explained."""
    for record in records:
        found = judge(record)
        if found.result != AGREED:
            print(f"{found.result:8} {record['name']}: {record['what']}; it {found.truth}: {found.why}")
    parts = tables(records)
    for name, title in ((FAKED, "faked facts"), (BEYOND, "what no look beforehand can tell")):
        if parts[name]:
            print(f"{title}, which do not count: {line(parts[name])}")
    print(line(parts[REAL]))
    return 0 if all(right(parts[name]) for name in parts if parts[name] or name == REAL) else 1


def tables(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records that count, and those that do not, each in its place."""
    found: dict[str, list[Record]] = {REAL: [], FAKED: [], BEYOND: []}
    for record in records:
        found[FAKED if record["faked"] else BEYOND if record.get("beyond") else REAL].append(record)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
