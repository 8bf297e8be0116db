# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring tests/unit/preflight/data/recorded.json up to date: python -m tests.firing.base [--refresh PATH ...] [--keep]

Facts and answers that the code observes by now and the recording does not have are taken from the lab and added; what
it has stays, so that no test changes under somebody's hands. --refresh takes facts anew: hosts.net.interfaces,
domains.devices.tpms.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from tests.lab import api as lab
from tests.lab import observe

PAGE = Path(__file__).resolve().parents[1] / "unit" / "preflight" / "data" / "recorded.json"
HOSTS = ("hv1", "hv2")
GUESTS = ("media1", "scratch", "web1")
MEDIUM = "/srv/shared/disks/media.iso"
REMOTE = observe.FACE.replace("CALL", 'api.remote_snapshot(connection, given["name"])')


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.firing.base", description=__doc__)
    parser.add_argument("--refresh", action="append", default=[], help="a fact that is taken anew")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    given = parser.parse_args(words)
    lab.up(",".join(HOSTS))
    try:
        seen = _observe(json.loads(PAGE.read_text(encoding="utf-8"))["uris"])
    finally:
        # Without hardware virtualisation every guest that runs costs a part of a core.
        for guest in GUESTS:
            lab.guest_stop(guest)
        if not given.keep:
            lab.down()
    recorded = json.loads(PAGE.read_text(encoding="utf-8"))
    for path in given.refresh:
        part, *rest = path.split(".")
        for entry in recorded[part]:
            _forget(entry, rest)
    for part in ("hosts", "remote", "domains"):
        for old, new in zip(recorded[part], seen[part], strict=True):
            add(old, new)
            old["unknown"] = [entry for entry in old["unknown"] if not _known(old, entry["fact"])]
    recorded["questions"] = seen["questions"]
    for host, answers in seen["answers"].items():
        add(recorded["answers"].setdefault(host, {}), answers)
    PAGE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    return 0


def _observe(uris: dict[str, str]) -> dict[str, Any]:
    lab.exec_on("hv1", ["sh", "-c", f"echo media > {MEDIUM}"], check=True)
    lab.guest_start("hv1", "web1", memory_mib=256, vcpus=2, disk="shared", autostart=True)
    lab.guest_start("hv1", "media1", disk="shared", cdrom=MEDIUM)
    lab.guest_start("hv1", "scratch", disk="local", bridge="br-local")
    hosts: list[Any] = [observe.host_snapshot(name) for name in HOSTS]
    domains: list[Any] = [
        entry for entry in observe.domain_snapshots("hv1") if entry["name"] in ("media1", "scratch", "web1")
    ]
    asked: Any = api.questions(hosts, domains, ["hv2"], {"uris": uris, "tls": "required"})
    return {
        "hosts": hosts,
        "remote": [observe.observe_inside(name, REMOTE, {"uri": observe.URI, "name": name}) for name in HOSTS],
        "domains": domains,
        "questions": asked,
        "answers": {host: observe.answers(host, questions) for host, questions in asked.items()},
    }


def add(old: Any, new: Any) -> None:
    """Adds to ``old`` what only ``new`` has; lists are gone through where they are of one length."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in new.items():
            if key not in old:
                old[key] = value
            else:
                add(old[key], value)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for ours, theirs in zip(old, new, strict=True):
            add(ours, theirs)


def _forget(entry: Any, path: list[str]) -> None:
    if isinstance(entry, list):
        for each in entry:
            _forget(each, path)
    elif len(path) > 1:
        _forget(entry.get(path[0], {}), path[1:])
    else:
        entry.pop(path[0], None)


def _known(snapshot: Any, fact: str) -> bool:
    value = snapshot
    for part in fact.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
