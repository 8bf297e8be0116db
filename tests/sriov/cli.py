# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the SR-IOV lab."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from tests.lab.cli import command_words, say
from tests.lab.errors import LabError
from tests.lab.run import locked
from tests.sriov import domain, enter, guests, lifecycle
from tests.sriov.hosts import LOCK, MEMORY_MIB, host, places

OK, BAD, NOT_UP, INTERRUPTED = 0, 1, 3, 130


def parser() -> argparse.ArgumentParser:
    about = "Two machines with an IOMMU, a PF and VFs, all emulated, and real libvirt inside."
    top = argparse.ArgumentParser(prog="python3 -m tests.sriov", description=about)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="raise the machines; what runs is left alone")
    up.add_argument(
        "--memory", type=int, metavar="MIB", default=MEMORY_MIB, dest="memory_mib", help="of each (default %(default)s)"
    )
    up.add_argument("--no-tls", action="store_true", help="do not run the collection's TLS playbook")
    commands.add_parser("down", help="end everything, leave nothing but the cache")
    status = commands.add_parser("status", help="0 all up, 1 something broken, 3 nothing up")
    status.add_argument("--json", action="store_true")
    inside = commands.add_parser("exec", help="run a command in ctl or a machine: exec HOST -- CMD...")
    inside.add_argument("host")
    inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD...")
    _guest_parser(commands.add_parser("guest", help="nested guests: start, stop, list"))
    return top


def _guest_parser(guest: argparse.ArgumentParser) -> None:
    actions = guest.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser("start", help="define and start a guest, wait for its first tick")
    start.add_argument("host")
    start.add_argument("name")
    defaults = domain.Guest("default")
    start.add_argument("--memory", type=int, default=defaults.memory_mib, metavar="MIB", dest="memory_mib")
    start.add_argument("--nics", choices=sorted(domain.NICS), default=defaults.nics)
    start.add_argument("--vf", type=int, default=defaults.vf, metavar="N", help="which VF of its host")
    start.add_argument("--backing", choices=sorted(domain.BACKINGS), default=defaults.backing)
    start.add_argument("--type", choices=sorted(domain.CPUS), default=defaults.type)
    start.add_argument("--dirty", metavar="W@R", help="rewrite W MiB at R MiB/s; R = 0: as fast as it can")
    start.add_argument("--silent", action="store_true", help="after its first tick it leaves its serial port alone")
    start.add_argument("--no-wait", action="store_true", help="do not wait for the first tick")
    stop = actions.add_parser("stop", help="end guests everywhere and forget them")
    stop.add_argument("names", nargs="+", metavar="NAME")
    listing = actions.add_parser("list")
    listing.add_argument("--json", action="store_true")


def cmd_up(options: argparse.Namespace) -> int:
    with locked(LOCK):
        lifecycle.ensure_up(places(), options.memory_mib, say)
        if not options.no_tls:
            say("tls: " + lifecycle.ensure_certificates(places()))
    say(f"inventory: {places().inventory}")
    return OK


def cmd_down(options: argparse.Namespace) -> int:
    del options
    with locked(LOCK, last=True):
        lifecycle.tear_down(places(), say)
    return OK


def status_code(entries: Sequence[lifecycle.MachineStatus]) -> int:
    words = {entry.word for entry in entries}
    if words == {"down"}:
        return NOT_UP
    return OK if words == {"up"} else BAD


def cmd_status(options: argparse.Namespace) -> int:
    entries = lifecycle.status(places())
    if options.json:
        rows = [{**asdict(entry), "state": entry.word} for entry in entries]
        print(json.dumps({"hosts": rows, "inventory": str(places().inventory)}, indent=2))
    for entry in [] if options.json else entries:
        reached = ", ".join(entry.stages) or "nothing"
        ssh = "yes" if entry.ssh else "no"
        say(f"{entry.name:8} {entry.word:7} {host(entry.name).address:14} ssh {ssh}, {reached}")
    return status_code(entries)


def cmd_exec(options: argparse.Namespace) -> int:
    enter.replace_process(options.host, command_words(options.argv))
    return BAD  # never reached: the process has become the command


def guest_start(options: argparse.Namespace) -> int:
    wanted = domain.Guest(**{name: getattr(options, name) for name in domain.Guest.__dataclass_fields__})
    started = guests.start(places(), host(options.host), wanted, wait=not options.no_wait)
    how = "runs" if started.boot_s is None else f"first tick after {started.boot_s:.1f} s"
    say(f"{started.name}: on {started.host}, {started.address}, {how}")
    return OK


def guest_stop(options: argparse.Namespace) -> int:
    for name in options.names:
        say(f"{name}: {'stopped' if guests.stop(places(), name) else 'was not there'}")
    return OK


def guest_list(options: argparse.Namespace) -> int:
    rows = guests.listing(places())
    if options.json:
        print(json.dumps(rows, indent=2))
    for row in [] if options.json else rows:
        say(f"{row['name']:20} {row['address']:14} on {', '.join(row['runs_on']) or '-'}")
    return OK


def cmd_guest(options: argparse.Namespace) -> int:
    return {"start": guest_start, "stop": guest_stop, "list": guest_list}[options.action](options)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": cmd_up,
    "down": cmd_down,
    "status": cmd_status,
    "exec": cmd_exec,
    "guest": cmd_guest,
}


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        return COMMANDS[options.command](options)
    except LabError as error:
        print(f"sriov: {error}", file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        print("sriov: interrupted; `up` goes on, `down` cleans up", file=sys.stderr)
        return INTERRUPTED
