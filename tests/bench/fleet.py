# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of any size made of the recorded hosts and guests: what differs between real ones differs here too."""

from __future__ import annotations

import copy
import json
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api as plans

RECORDED = Path(__file__).resolve().parents[1] / "unit" / "preflight" / "data" / "recorded.json"
SPACE = uuid.UUID("6c1d0000-5a1b-4a6e-8b1e-2f0d00000000")
CPU_DEFINITIONS = 7
EVERY_HOST_WITHOUT_BRIDGE = 20
EVERY_GUEST_ON_HOST_STORAGE = 25


class Fleet(NamedTuple):
    """Arguments of the preflight room. ``answers`` is empty until asked_and_answered() fills it."""

    hosts: list[Any]
    domains: list[Any]
    destinations: list[str]
    policy: dict[str, Any]


def make(domains: int, hosts: int) -> Fleet:
    """Guests spread evenly over hosts; one host in twenty lacks the bridge, one guest in 25 has a local disk."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    names = [f"hv{number:03d}" for number in range(hosts)]
    template = {entry["name"]: entry for entry in recorded["domains"]}
    guests = [_guest(template, number, names[number % hosts]) for number in range(domains)]
    made = [_host(recorded["hosts"][number % 2], name, number, guests) for number, name in enumerate(names)]
    uris = {name: f"qemu+tls://{name}.example.com/system" for name in names}
    return Fleet(made, guests, names, {"tls": "required", "uris": uris})


def _host(recorded: Any, name: str, number: int, guests: list[Any]) -> Any:
    host = copy.deepcopy(recorded)
    host.update(name=name, hostname=f"{name}.example.com", uuid=str(uuid.uuid5(SPACE, name)))
    host["net"]["addresses"] = ["127.0.0.1", _address(number)]
    for certificate in host["tls"].values():
        certificate["names"] = [host["hostname"], _address(number)]
    host["memory"] = {"total_mib": 262144, "available_mib": 65536 + 97 * number}
    host["domains"] = [
        {"name": guest["name"], "uuid": guest["uuid"], "active": True} for guest in guests if guest["host"] == name
    ]
    if number % EVERY_HOST_WITHOUT_BRIDGE == EVERY_HOST_WITHOUT_BRIDGE - 1:
        host["bridges"] = []
    return host


def _address(number: int) -> str:
    return f"2001:db8::{number + 1:x}"


def _guest(template: dict[str, Any], number: int, host: str) -> Any:
    kind = "media1" if number % 2 else "web1"
    if number % EVERY_GUEST_ON_HOST_STORAGE == EVERY_GUEST_ON_HOST_STORAGE - 1:
        kind = "scratch"
    guest = copy.deepcopy(template[kind])
    name = f"guest{number:05d}"
    guest.update(name=name, host=host, uuid=str(uuid.uuid5(SPACE, name)), memory_mib=256 * (1 + number % 16))
    guest["cpu_xml"] = guest["cpu_xml"].replace("qemu64", f"model{number % CPU_DEFINITIONS}")
    guest["interfaces"][0]["mac"] = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    for disk in guest["disks"]:
        if disk["device"] == "disk":
            path = disk["path"].replace(kind, name)
            disk["path"] = path
            disk["identity"].update(path=path, inode=1000 + number)
    return guest


def answered(fleet: Fleet, asked: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Answers as healthy hosts give them, of the recorded form; local disks are nowhere else."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    samples = {key.split(":")[0]: answer for of_host in recorded["answers"].values() for key, answer in of_host.items()}
    said = {key: answer for of_host in recorded["answers"].values() for key, answer in of_host.items()}
    identities = {
        disk["path"]: disk["identity"] for guest in fleet.domains for disk in guest["disks"] if disk.get("path")
    }
    peers = {fleet.policy["uris"][host["name"]]: host["uuid"] for host in fleet.hosts}
    addresses = {host["hostname"]: host["net"]["addresses"][1] for host in fleet.hosts}

    def path(question: Any) -> Any:
        if "/libvirt/images/" in question["path"]:
            return {"path": question["path"], "exists": False}
        return identities[question["path"]] if question["path"] in identities else said[question["key"]]

    def resolve(question: Any) -> Any:
        return {"addresses": [addresses[question["value"]]], "reason": ""}

    asks = {
        "path": path,
        "peer": lambda question: {"ok": True, "uuid": peers[question["uri"]]},
        "resolve": resolve,
    }

    def answer(question: Any) -> Any:
        known = asks.get(question["ask"])
        return known(question) if known else samples[question["key"].split(":")[0]]

    return {host: {question["key"]: answer(question) for question in questions} for host, questions in asked.items()}


class Judged(NamedTuple):
    """How much came out of a run, and the seconds of CPU time that its plan took."""

    questions: int
    findings: int
    moves: int
    plan_s: float


def judged(fleet: Fleet) -> Judged:
    """What a run does: questions, answers, findings, and the plan that empties every second host into the others."""
    asked: Any = api.questions(fleet.hosts, fleet.domains, fleet.destinations, fleet.policy)
    answers = answered(fleet, asked)
    found = api.findings(fleet.hosts, fleet.domains, fleet.destinations, answers, fleet.policy)
    addresses = {host["name"]: host["net"]["addresses"][1] for host in fleet.hosts}
    policy = {**fleet.policy, "addresses": addresses, "memory_reserve_mib": plans.DEFAULT_RESERVE_MIB}
    sources, destinations = fleet.destinations[::2], fleet.destinations[1::2]
    began = time.process_time()
    plan = plans.make_plan(fleet.hosts, fleet.domains, found, sources, destinations, policy)
    return Judged(sum(map(len, asked.values())), len(found), len(plan["moves"]), time.process_time() - began)
