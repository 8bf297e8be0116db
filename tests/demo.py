# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: raises the lab, empties hv1 with the real playbook, and proves what happened from outside of it.

Ends with 0 only when five guests moved, the sixth was named with its reason and left running, none rebooted, and each
runs exactly once. KEEP=1 leaves the lab up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.lab import api
from tests.lab.errors import LabError

SOURCE = "hv1"
STUCK = "scratch1"
GUESTS: dict[str, dict[str, Any]] = {
    "web1": {},
    "web2": {"autostart": True},
    "db1": {"disk": "shared"},
    "db2": {"disk": "shared", "autostart": True},
    "busy1": {"dirty": "32@20"},
    # Its disk and its bridge exist on hv1 alone.
    STUCK: {"disk": "local", "bridge": "br-local"},
}
BOOT_TIMEOUT_S = 120.0
PLAYBOOK_TIMEOUT_S = 900


def say(text: str) -> None:
    print(f"\n==> {text}", flush=True)


def start_guests() -> dict[str, Any]:
    """Starts all, so that they boot side by side, and waits until each ticks. Returns the proof."""
    for name, wanted in GUESTS.items():
        started = api.guest_start(SOURCE, name, wait=False, **wanted)
        print(f"    {name:<9} {started.address}  {wanted or 'diskless'}", flush=True)
    proof = api.check(list(GUESTS), seconds=BOOT_TIMEOUT_S)
    if not proof["ok"]:
        raise LabError(
            f"guests: {proof['guests']}", "all of them alive", f"read the consoles in {api.inventory_path().parent}"
        )
    return proof


def evacuate(folder: Path) -> int:
    command = [
        *("ansible-playbook", "livemig.libvirt.evacuate"),
        *("-e", f"livemig_evacuate_hosts={SOURCE}", "-e", f"livemig_report_dest={folder}"),
    ]
    print("    " + " ".join(command), flush=True)
    inside = [sys.executable, "-m", "tests.lab", "exec", "ctl", "--", *command]
    return subprocess.run(inside, env=api.ansible_environment(), timeout=PLAYBOOK_TIMEOUT_S, check=False).returncode


def shortcomings(report: dict[str, Any], proof: dict[str, Any]) -> list[str]:
    """What is not as promised, from the report and from processes and consoles. Empty: the demo succeeded."""
    movable = set(GUESTS) - {STUCK}
    moved = {row["domain"] for row in report["rows"] if row["state"] == "moved"}
    reasons = [reason for stay in report["stays"] if stay["domain"] == STUCK for reason in stay["reasons"]]
    places = {name: facts["runs_on"] for name, facts in proof["guests"].items()}
    wrong = [f"{name} did not move" for name in sorted(movable - moved)]
    wrong += [f"{name} moved, although it cannot" for name in sorted(moved - movable)]
    wrong += [] if reasons else [f"no reason is given for {STUCK}"]
    wrong += [f"{name} runs on {where}" for name, where in places.items() if (where == [SOURCE]) != (name == STUCK)]
    return wrong + [f"{name}: {text}" for name, facts in proof["guests"].items() for text in facts["problems"]]


def run() -> int:
    begin = time.monotonic()
    say("raising the lab: three libvirt hosts, a controller, a witness")
    inventory = api.up(say=lambda text: print(f"    {text}", flush=True))
    folder = inventory.parent / "demo"
    say(f"starting {len(GUESTS)} guests on {SOURCE}")
    before = start_guests()
    say(f"emptying {SOURCE} with the collection's playbook, over SSH and TLS")
    status = evacuate(folder)
    if status != 0:
        say(f"FAILED: the playbook ended with {status}")
        return 1
    say("asking processes and consoles: who runs where, did anyone reboot, one writer each, do they all tick?")
    proof = api.check(list(GUESTS), against=before)
    for name, facts in proof["guests"].items():
        print(
            f"    {name:<9} on {', '.join(facts['runs_on']):<4} boot {facts['boot_id']} tick {facts['tick']}",
            flush=True,
        )
    wrong = shortcomings(json.loads((folder / "report.json").read_text(encoding="utf-8")), proof)
    for text in wrong:
        say(f"FAILED: {text}")
    if not wrong:
        took = time.monotonic() - begin
        say(f"done in {took:.0f} s: {len(GUESTS) - 1} guests moved, {STUCK} stayed for the reasons above")
    return 1 if wrong else 0


def main() -> int:
    try:
        return run()
    except LabError as error:
        say(f"FAILED: {error}")
        return 1
    finally:
        if os.environ.get("KEEP") == "1":
            say("the lab stays up (KEEP=1); make lab-down ends it")
        else:
            say("taking the lab down")
            api.down()


if __name__ == "__main__":
    sys.exit(main())
