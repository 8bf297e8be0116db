# SPDX-License-Identifier: GPL-3.0-or-later
"""Make every condition in the lab for real and see the check fire: python -m tests.firing [--help]

A check counts as seen when it fires under its condition and is quiet about the plain guest without it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.firing import recording, rows, stage
from tests.firing.provocation import Provocation
from tests.lab import api as lab

HOSTS = "hv1,hv2"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.firing", description=__doc__)
    parser.add_argument("--only", default="", help="ids of checks, comma-separated")
    parser.add_argument("--area", default="", help="areas, comma-separated: " + ", ".join(rows.AREAS))
    parser.add_argument("--sample", type=int, default=0, help="so many rows, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="keep what was seen for the unit tests")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--list", action="store_true", help="print what was seen last, and end")
    given = parser.parse_args(words)
    if given.list:
        return _list()
    chosen = rows.choose(given.only, given.area, given.sample, given.seed)
    if given.sample:
        random.Random(given.seed).shuffle(chosen)
    needed = dict.fromkeys([*HOSTS.split(","), *(name for row in chosen for name in (row.source, row.destination))])
    lab.up(",".join(needed))
    try:
        return _run(chosen, list(needed), given.record)
    finally:
        if not given.keep:
            lab.down()


def _run(chosen: Sequence[Provocation], hosts: Sequence[str], record: bool) -> int:
    names = [stage.PLAIN, *(row.guest_name for row in chosen)]
    stage.stop(names)
    errors = stage.start({stage.PLAIN: stage.plain_xml(stage.PLAIN)})
    if errors:
        print(f"the plain guest did not start: {errors}")
        return 1
    quiet = stage.look(hosts, {})
    missed = []
    try:
        missed += _together([row for row in chosen if not row.alone], hosts, quiet, record)
        for row in chosen:
            if row.alone:
                missed += _alone(row, hosts, quiet, record)
    finally:
        stage.stop(names)
    faked = sum(row.faked for row in chosen)
    print(f"firing: {len(chosen)} conditions ({faked} faked), {len(missed)} not seen: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def _together(chosen: Sequence[Provocation], hosts: Sequence[str], quiet: stage.Seen, record: bool) -> list[str]:
    """Rows that only need guests of their own: all are started at once, and the hosts are looked at once a policy."""
    guests = {row.guest_name: row.guest(stage.plain_xml(row.guest_name)) for row in chosen if row.guest is not None}
    errors = stage.start(guests)
    policies: list[Any] = []
    for row in chosen:
        if row.policy not in policies:
            policies.append(row.policy)
    missed = []
    for policy in policies:
        seen = stage.look(hosts, policy)
        for row in chosen:
            if row.policy == policy:
                missed += _judge(row, seen, quiet, errors.get(row.guest_name), record)
    stage.stop(list(guests))
    return missed


def _alone(row: Provocation, hosts: Sequence[str], quiet: stage.Seen, record: bool) -> list[str]:
    error = None
    try:
        for host, command in row.before.items():
            lab.exec_on(host, ["sh", "-ec", command], check=True)
        if row.act is not None:
            row.act()
        if row.guest is not None:
            guests = {row.guest_name: row.guest(stage.plain_xml(row.guest_name))}
            error = stage.start(guests, row.source).get(row.guest_name)
        for host, command in row.then.items():
            lab.exec_on(host, ["sh", "-ec", command], check=True)
        seen = stage.look(hosts, row.policy, row.user, row.source)
    finally:
        stage.stop([row.guest_name], row.source)
        for host, command in row.after.items():
            lab.exec_on(host, ["sh", "-c", command])
        if row.undo is not None:
            row.undo()
    return _judge(row, seen, quiet, error, record)


def _judge(row: Provocation, seen: stage.Seen, quiet: stage.Seen, error: str | None, record: bool) -> list[str]:
    """[the check] unless it was seen."""
    guest = row.guest_name if row.guest is not None else stage.PLAIN
    fired = recording.scene(seen, row.check, guest, row.destination)
    said = recording.replay(fired, row.check)
    silent = recording.scene(quiet, row.check, stage.PLAIN, row.destination)
    before = recording.replay(silent, row.check)
    why = []
    if error:
        why.append(f"its guest did not start: {error}")
    if not any(row.text in finding["message"] and finding["status"] == row.status for finding in said):
        why.append("it said " + (" | ".join(finding["message"] for finding in said) or "nothing"))
    if before and not row.standing:
        why.append("it fires without its condition: " + " | ".join(finding["message"] for finding in before))
    print(f"{'MISSED' if why else 'seen  '} {row.check}: {'; '.join(why) or row.how}", flush=True)
    if record and not why:
        recording.write(row, _versions(seen), fired, None if row.standing else silent)
    return [row.check] if why else []


def _versions(seen: stage.Seen) -> dict[str, str]:
    found = {
        host["name"]: f"libvirt {host.get('libvirt_version')}, QEMU {host.get('qemu_version')}" for host in seen.hosts
    }
    return {**found, "date": time.strftime("%Y-%m-%d", time.gmtime())}


def _list() -> int:
    known = rows.recorded()
    for content in known:
        print(f"{content['check']:40} {'faked' if content['faked'] else 'real '} {content['how']}")
    faked = sum(content["faked"] for content in known)
    print(f"{len(known)} checks seen firing in the lab, {len(known) - faked} of them on real conditions")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
