# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.lab import api, cli_grown, domain, enter, guests, hosts, lifecycle
from tests.lab.errors import LabError
from tests.lab.places import places

OK, BAD, USAGE, NOT_UP, INTERRUPTED = 0, 1, 2, 3, 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python3 -m tests.lab", description="Real libvirt hosts on one machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="raise the hosts; what runs is left alone")
    up.add_argument("--hosts", metavar="NAME,...", help="default: those that the table raises by default")
    up.add_argument("--no-tls", action="store_true", help="do not run the collection's TLS playbook")
    commands.add_parser("down", help="end everything, leave nothing but the cache")
    status = commands.add_parser("status", help="0 all up, 1 something broken, 3 nothing up")
    status.add_argument("--json", action="store_true")
    inside = commands.add_parser("exec", help="run a command in ctl, witness or a host: exec HOST -- CMD...")
    inside.add_argument("host")
    inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD...")
    roots = commands.add_parser("roots", help="build missing roots only")
    roots.add_argument("--hosts", metavar="NAME,...")
    _guest_parser(commands.add_parser("guest", help="guests: start, stop, list"))
    cli_grown.add_to(commands)
    check = commands.add_parser("check", help="prove that guests are alive and run exactly once")
    check.add_argument("--guests", metavar="NAME,...", help="default: every guest there is")
    check.add_argument("--seconds", type=float, default=10.0, help="how long ticks may take to advance (default 10)")
    check.add_argument("--json", action="store_true")
    check.add_argument("--save", metavar="FILE", type=Path, help="write the report for a later --against")
    check.add_argument("--against", metavar="FILE", type=Path, help="boot ids must equal those, ticks be further")
    return top


def _guest_parser(guest: argparse.ArgumentParser) -> None:
    actions = guest.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser("start", help="define and start a guest, wait for its first tick")
    start.add_argument("host")
    start.add_argument("name")
    defaults = domain.Guest("default")
    start.add_argument("--memory", type=int, default=defaults.memory_mib, metavar="MIB", dest="memory_mib")
    start.add_argument("--vcpus", type=int, default=defaults.vcpus)
    start.add_argument("--disk", choices=sorted(domain.DISK_FOLDERS))
    start.add_argument("--dirty", metavar="W@R", help="rewrite W MiB at R MiB/s; R = 0: as fast as it can")
    start.add_argument("--bridge", default=defaults.bridge, help="any but br0 is made on that host, without an uplink")
    start.add_argument("--autostart", action="store_true")
    start.add_argument("--cdrom", metavar="PATH", help="an image, as the host sees it")
    start.add_argument("--machine", default=defaults.machine)
    start.add_argument("--no-wait", action="store_true", help="do not wait for the first tick")
    stop = actions.add_parser("stop", help="end guests everywhere and forget them, disks included")
    stop.add_argument("names", nargs="+", metavar="NAME")
    listing = actions.add_parser("list")
    listing.add_argument("--json", action="store_true")


def say(text: str) -> None:
    print(text, flush=True)


def cmd_up(options: argparse.Namespace) -> int:
    api.up(options.hosts, tls=not options.no_tls, say=say)
    say(f"inventory: {api.inventory_path()}")
    return OK


def cmd_down(options: argparse.Namespace) -> int:
    del options
    api.down(say=say)
    return OK


def status_code(entries: Sequence[lifecycle.HostStatus]) -> int:
    """Hosts that nobody raised do not count."""
    words = {entry.word for entry in entries}
    if words == {"down"}:
        return NOT_UP
    return BAD if "broken" in words else OK


def cmd_status(options: argparse.Namespace) -> int:
    where = places()
    entries = lifecycle.status(where)
    if options.json:
        rows = [{**asdict(entry), "state": entry.word} for entry in entries]
        found = {"hosts": rows, "guests": guests.listing(where), "inventory": str(where.inventory)}
        print(json.dumps({**found, **api.grown()}, indent=2))
    else:
        for entry in entries:
            parts = f"libvirtd {'yes' if entry.libvirtd else 'no'}, ssh {'yes' if entry.ssh else 'no'}"
            say(f"{entry.name:8} {entry.word:7} {hosts.host(entry.name).address:14} {parts}")
    return status_code(entries)


def command_words(argv: Sequence[str]) -> list[str]:
    """The command after the optional `--`."""
    words = list(argv[1:] if argv and argv[0] == "--" else argv)
    if not words:
        raise LabError("no command was given", "exec HOST -- CMD...", "for example: exec hv1 -- virsh list")
    return words


def cmd_exec(options: argparse.Namespace) -> int:
    enter.replace_process(options.host, command_words(options.argv))
    return BAD  # never reached: the process has become the command


def cmd_roots(options: argparse.Namespace) -> int:
    api.build_roots(options.hosts, say=say)
    return OK


def cmd_guest(options: argparse.Namespace) -> int:
    return {"start": guest_start, "stop": guest_stop, "list": guest_list}[options.action](options)


def guest_of(options: argparse.Namespace) -> domain.Guest:
    return domain.Guest(**{name: getattr(options, name) for name in domain.Guest.__dataclass_fields__})


def guest_start(options: argparse.Namespace) -> int:
    started = guests.start(places(), hosts.host(options.host), guest_of(options), wait=not options.no_wait)
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


def cmd_check(options: argparse.Namespace) -> int:
    against = json.loads(options.against.read_text(encoding="utf-8")) if options.against else None
    names = [name for name in options.guests.split(",") if name] if options.guests is not None else None
    result = api.check(names, seconds=options.seconds, against=against)
    if options.save:
        options.save.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print_check(result)
    return OK if result["ok"] else BAD


def print_check(result: dict[str, Any]) -> None:
    for name, entry in result["guests"].items():
        verdict = "ok" if entry["ok"] else "BAD"
        disk = "" if entry["disk"] is None else f", disk {entry['disk']}"
        runs_on = ", ".join(entry["runs_on"]) or "-"
        say(f"{name:20} {verdict:4} on {runs_on}, tick {entry['tick']}{disk}, boot {entry['boot_id']}")
        for problem in entry["problems"]:
            say(f"    {problem}")
    if not result["guests"]:
        say("there is no guest to prove")


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": cmd_up,
    "down": cmd_down,
    "status": cmd_status,
    "exec": cmd_exec,
    "roots": cmd_roots,
    "guest": cmd_guest,
    "check": cmd_check,
    **cli_grown.COMMANDS,
}


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        return COMMANDS[options.command](options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        print("lab: interrupted; `up` goes on, `down` cleans up", file=sys.stderr)
        return INTERRUPTED
