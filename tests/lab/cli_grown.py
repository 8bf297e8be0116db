# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that make hosts differ: limit, disk, store, fake."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab import api, blocks
from tests.lab.errors import LabError

OK, NOT_UP = 0, 3
Command = Callable[[argparse.Namespace], int]


def add_to(commands: Any) -> None:
    limit = commands.add_parser("limit", help="all processes of a host in control groups: memory, CPUs")
    limit.add_argument("host")
    limit.add_argument("--memory", type=int, metavar="MIB", dest="memory_mib")
    limit.add_argument("--cpus", metavar="LIST", help="for example 0 or 0-1")
    limit.add_argument("--none", action="store_true", help="lift the limits")

    disk = commands.add_parser("disk", help="a loop device that hosts see as /dev/livemig/NAME")
    disk.add_argument("hosts", metavar="HOST[,HOST...]")
    disk.add_argument("name")
    disk.add_argument("--size", type=int, metavar="MIB", dest="size_mib", default=64, help="default 64")
    kind = disk.add_mutually_exclusive_group()
    kind.add_argument("--same", action="store_true", help="one device for all hosts, as from a disk array")
    kind.add_argument("--look-alike", action="store_true", help="a device of its own for each host (default)")
    kind.add_argument("--none", action="store_true", help="remove it everywhere, with what is on it")

    store = commands.add_parser("store", help="GlusterFS over FUSE on every running host")
    store.add_argument("action", choices=("up", "down", "status"))

    fake = commands.add_parser("fake", help="a text in the place of a file, on one host only")
    fake.add_argument("host")
    fake.add_argument("path", nargs="?", help="left out with --none: every fake of the host")
    what = fake.add_mutually_exclusive_group(required=True)
    what.add_argument("--text")
    what.add_argument("--file", type=Path, help="take the text from a file of this machine")
    what.add_argument("--none", action="store_true", help="take the fake off")


def _say(text: str) -> None:
    print(text, flush=True)


def cmd_limit(options: argparse.Namespace) -> int:
    if options.none:
        _say(f"{options.host}: " + ("no limits any more" if api.unlimit(options.host) else "had no limits"))
        return OK
    found = api.limit(options.host, memory_mib=options.memory_mib, cpus=options.cpus)
    memory = "all" if found.memory_mib is None else f"{found.memory_mib} MiB"
    _say(f"{options.host}: memory {memory}, CPUs {found.cpus or 'all'}")
    return OK


def cmd_disk(options: argparse.Namespace) -> int:
    if options.none:
        _say(f"{options.name}: {'removed' if api.disk_remove(options.name) else 'was not there'}")
        return OK
    for disk in api.disk(options.hosts.split(","), options.name, size_mib=options.size_mib, same=options.same):
        _say(describe(disk))
    return OK


def describe(disk: blocks.Disk) -> str:
    kind = "the same device on all" if disk.same else "its own device"
    return f"{disk.host}: {disk.path} -> {disk.device} ({disk.by_id}), {kind}"


def cmd_store(options: argparse.Namespace) -> int:
    if options.action == "up":
        api.store_up(say=_say)
    elif options.action == "down":
        api.store_down(say=_say)
    else:
        state = api.store_state()
        _say(f"store: {'up' if state.up else 'down'}, mounted on {', '.join(state.mounted) or 'no host'}")
        return OK if state.up else NOT_UP
    return OK


def cmd_fake(options: argparse.Namespace) -> int:
    if options.none:
        gone = api.unfake(options.host, options.path)
        _say(f"{options.host}: " + (f"real again: {', '.join(gone)}" if gone else "nothing was faked"))
        return OK
    if options.path is None:
        raise LabError("PATH is missing", "the file whose text is faked", "fake HOST PATH --text TEXT")
    text = options.text if options.file is None else options.file.read_text(encoding="utf-8")
    _say(f"{options.host}: {api.fake(options.host, options.path, text)} is faked")
    return OK


COMMANDS: dict[str, Command] = {"limit": cmd_limit, "disk": cmd_disk, "store": cmd_store, "fake": cmd_fake}
