# SPDX-License-Identifier: GPL-3.0-or-later
"""Running cases in the lab: judge, try, look. What comes out is data; nothing is concluded here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import plain_way
from tests.firing import stage
from tests.integration.agreement import inside, truth
from tests.integration.agreement.case import Case
from tests.integration.agreement.verdict import cut, verdict
from tests.lab import api as lab
from tests.lab import domain, observe
from tests.lab.errors import LabError
from tests.lab.hosts import BY_NAME, FIRST_GUEST_OCTET, NETWORK
from tests.lab.places import CONSOLES_INSIDE, DISKS_INSIDE, LOCAL_DISKS_INSIDE

BOOT_S = 300.0
TRY_S = 45
BASE = {"memory_mib": 128, "disk": "shared"}

Record = dict[str, Any]


class Chunk:
    """Cases that share hosts and a moment. records: by guest; seen: what their verdicts rest on, by case."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        first = cases[0]
        self.source, self.destination = first.source, first.destination
        self.hosts = [self.source, self.destination]
        octets = range(FIRST_GUEST_OCTET, FIRST_GUEST_OCTET + len(cases))
        self.addresses = {case.guest_name: f"{NETWORK}.{octet}" for case, octet in zip(cases, octets, strict=True)}
        self.records: dict[str, Record] = {case.guest_name: _empty(case) for case in cases}
        self.seen: dict[str, stage.Seen] = {}

    def live(self) -> list[Case]:
        """Those with which nothing has gone wrong yet."""
        return [case for case in self.cases if not self.records[case.guest_name]["fault"]]

    def note(self, part: str, found: Mapping[str, Any]) -> None:
        for case in self.live():
            self.records[case.guest_name][part] = found[case.guest_name]

    def live_addresses(self) -> dict[str, str]:
        return {case.guest_name: self.addresses[case.guest_name] for case in self.live()}


def _empty(case: Case) -> Record:
    kept = (
        "name",
        "what",
        "kind",
        "expects",
        "transient",
        "source",
        "destination",
        "stricter",
        "shows",
        "faked",
        "beyond",
    )
    parts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "fault": "",
        "verdict": {},
        "outcome": {},
        "before": {},
        "soon": {},
        "late": {},
        "risk": {},
    }
    return {**{name: getattr(case, name) for name in kept}, "guest": case.guest_name, **parts}


def run(cases: Sequence[Case]) -> Chunk:
    chunk = Chunk(cases)
    _forget(chunk)
    try:
        _prepare(chunk)
        _judge(chunk)
        _try(chunk)
        _watch(chunk)
        _risk(chunk)
    except LabError as error:
        for record in chunk.records.values():
            record["fault"] = record["fault"] or str(error).strip()
    finally:
        # What was done to the hosts is undone first: with a daemon that is stopped nothing could be forgotten.
        _after(chunk)
        _forget(chunk)
    return chunk


def _prepare(chunk: Chunk) -> None:
    for case in chunk.cases:
        _shell(case, case.before)
        if case.act is not None:
            case.act()
    guests = [_guest(case, chunk.addresses[case.guest_name]) for case in chunk.cases]
    errors = observe.observe_inside(chunk.source, inside.START, {"guests": guests}, timeout_s=120)
    for name, error in errors.items():
        chunk.records[name]["fault"] = f"did not start: {error}"
    for name in truth.wait_alive(list(chunk.live_addresses()), 2, BOOT_S):
        chunk.records[name]["fault"] = f"did not boot: it has not ticked twice within {BOOT_S:.0f} s"
    chunk.note("before", truth.look(chunk.live_addresses()))
    for case in chunk.live():
        if case.paused:
            lab.exec_on(chunk.source, ["virsh", "-q", "suspend", case.guest_name], check=True)
        _shell(case, case.then)
    known = truth.known(chunk.hosts, list(chunk.records))
    for record in chunk.records.values():
        record["known_before"] = known


def _guest(case: Case, address: str) -> dict[str, Any]:
    guest = domain.Guest(case.guest_name, **{**BASE, **case.wanted})
    domain.validate(guest)
    xml = domain.domain_xml(guest, int(address.rpartition(".")[2]))
    xml = xml if case.guest is None else case.guest(xml)
    return {
        "name": case.guest_name,
        "xml": xml.replace("{name}", case.guest_name),
        "transient": case.transient,
        "disk": domain.disk_path(guest),
    }


def _shell(case: Case, commands: Mapping[str, str], check: bool = True) -> dict[str, str]:
    """Host -> what its commands said."""
    said = {}
    for host, command in commands.items():
        words = ["sh", "-ec" if check else "-c", command.replace("{name}", case.guest_name)]
        done = lab.exec_on(host, words, check=check, timeout_s=120)
        said[host] = done.stdout + done.stderr
    return said


def _policy(case: Case) -> dict[str, Any]:
    """Over ssh libvirt 11.3 loses what the destination said ("End of file while reading data"), so TLS is the way."""
    uris = {name: f"qemu+tls://{BY_NAME[name].address}/system" for name in (case.source, case.destination)}
    return {"uris": uris, **case.policy}


def _judge(chunk: Chunk) -> None:
    seen = stage.look(chunk.hosts, _policy(chunk.cases[0]), source=chunk.source)
    for case in chunk.live():
        name = case.guest_name
        chunk.seen[case.name] = cut(seen, name)
        chunk.records[name]["verdict"] = verdict(seen, name, chunk.source, chunk.destination)


def _try(chunk: Chunk) -> None:
    for case in chunk.live():
        _shell(case, case.late)
        record = chunk.records[case.guest_name]
        policy = {**stage.policy(chunk.hosts), **_policy(case)}
        given = {
            "move": _move(case, policy),
            "tls": policy["tls"],
            "timeout_s": TRY_S,
            "flags": list(case.flags),
            "parameters": dict(case.parameters),
        }
        began = time.monotonic()
        try:
            record["outcome"] = observe.observe_inside(chunk.source, inside.TRY, given, timeout_s=3 * TRY_S)
        except LabError as error:
            record["outcome"] = {"state": "unknown", "error": str(error).strip().splitlines()[-1]}
        record["try_s"] = round(time.monotonic() - began, 1)
        if case.paused:
            for host in chunk.hosts:
                lab.exec_on(host, ["timeout", "20", "virsh", "-q", "resume", case.guest_name])


def _move(case: Case, policy: Mapping[str, Any]) -> dict[str, Any]:
    """The plan's move, also for a domain that the plan keeps."""
    return {
        "domain": case.guest_name,
        "uuid": lab.exec_on(case.source, ["virsh", "-q", "domuuid", case.guest_name]).stdout.strip(),
        "source": case.source,
        "destination": case.destination,
        "destination_uri": policy["uris"][case.destination],
        "migrate_uri": f"tcp://{policy.get('addresses', {}).get(case.destination, BY_NAME[case.destination].address)}",
        "persistent": not case.transient,
        "autostart": False,
        "memory_mib": 0,
        "requires": {},
        "edits": [],
        "controls": [],
        "way": {**plain_way(), "state": "paused" if case.paused else "running"},
    }


def _watch(chunk: Chunk) -> None:
    addresses = chunk.live_addresses()
    chunk.note("soon", truth.look(addresses))
    time.sleep(truth.ALIVE_S)
    truth.wait_alive(list(addresses), 1, truth.ALIVE_S)
    chunk.note("late", truth.look(addresses))
    known = truth.known(chunk.hosts, list(chunk.records))
    for record in chunk.records.values():
        record["known"] = known


def _risk(chunk: Chunk) -> None:
    for case in chunk.live():
        chunk.records[case.guest_name]["risk"] = _shell(case, case.risk, check=False)


def _after(chunk: Chunk) -> None:
    for case in chunk.cases:
        _shell(case, case.after, check=False)
        if case.undo is not None:
            case.undo()


def _forget(chunk: Chunk) -> None:
    names = list(chunk.records)
    files = [path for name in names for path in (f"{DISKS_INSIDE}/{name}.qcow2", f"{CONSOLES_INSIDE}/{name}.log")]
    files += [f"{LOCAL_DISKS_INSIDE}/{name}.qcow2" for name in names]
    for host in reversed(chunk.hosts):
        left = observe.observe_inside(host, inside.FORGET, {"names": names, "files": files}, timeout_s=120)
        if left:
            raise LabError(f"{', '.join(left)} cannot be ended on {host}", "no such domain", "see its libvirtd")


@contextlib.contextmanager
def raised(cases: Sequence[Case], keep: bool) -> Iterator[None]:
    """The lab with every host that the cases need."""
    hosts = dict.fromkeys(["hv1", "hv2", *(name for case in cases for name in (case.source, case.destination))])
    lab.up(",".join(hosts))
    if any(case.store for case in cases):
        lab.store_up()
    try:
        yield
    finally:
        if not keep:
            lab.down()
