# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as the provocations need it: guests that are started paused, and observation of everything at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api, engine
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import View
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.world import World
from tests.firing.provocation import SOURCE
from tests.lab import domain, observe
from tests.lab.errors import LabError
from tests.lab.hosts import BY_NAME
from tests.lab.places import CONSOLES_INSIDE, DISKS_INSIDE

PLAIN = "plain"

# Runs inside the source: {"guests": {name: xml}, "disks": [path]} -> {name: error}
START = """\
import os, subprocess
import libvirt

def main(given):
    libvirt.registerErrorHandler(lambda *words: None, None)
    connection, errors = libvirt.open("qemu:///system"), {}
    for path in given["disks"]:
        if not os.path.exists(path):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    for name, xml in given["guests"].items():
        try:
            connection.defineXML(xml).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        except libvirt.libvirtError as error:
            errors[name] = str(error)
    return errors
"""
STOP = """\
import os
import libvirt

def main(given):
    libvirt.registerErrorHandler(lambda *words: None, None)
    connection = libvirt.open("qemu:///system")
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    for name in given["names"]:
        try:
            found = connection.lookupByName(name)
        except libvirt.libvirtError:
            continue
        if found.isActive():
            found.destroy()
        if found.isPersistent():
            found.undefineFlags(flags)
    for path in given["files"]:
        if os.path.exists(path):
            os.unlink(path)
"""


def plain_xml(name: str) -> str:
    """A small guest against which nothing speaks: shared qcow2 disk, bridge, serial console."""
    guest = domain.Guest(name, memory_mib=domain.MINIMUM_MEMORY_MIB, disk="shared")
    xml = domain.domain_xml(guest, 250)
    # many at once, none of which ever runs
    return xml.replace(f"<memory unit='MiB'>{domain.MINIMUM_MEMORY_MIB}<", "<memory unit='MiB'>32<")


def start(guests: Mapping[str, str], source: str = SOURCE) -> dict[str, str]:
    """Defines the guests on the source and starts them paused; name -> libvirt's error of those that did not start."""
    disks = [f"{DISKS_INSIDE}/{name}.qcow2" for name in guests]
    errors: dict[str, str] = observe.observe_inside(
        source, START, {"guests": dict(guests), "disks": disks}, timeout_s=300
    )
    return errors


def stop(names: Sequence[str], source: str = SOURCE) -> None:
    files = [path for name in names for path in (f"{DISKS_INSIDE}/{name}.qcow2", f"{CONSOLES_INSIDE}/{name}.log")]
    observe.observe_inside(source, STOP, {"names": list(names), "files": files}, timeout_s=300)


@dataclass(frozen=True)
class Seen:
    """Everything that was observed at one moment. ``policy`` is that of the run."""

    hosts: list[Any]
    domains: list[Any]
    answers: dict[str, dict[str, Any]]
    policy: dict[str, Any]

    def findings(self, only: Sequence[Any] | None = None) -> list[Any]:
        world = World(
            {host["name"]: host for host in self.hosts}, self.domains, self.destinations, self.answers, self.policy
        )
        return list(engine.evaluate(world, api.CHECKS if only is None else only))

    @property
    def destinations(self) -> list[str]:
        return [host["name"] for host in self.hosts]


def policy(hosts: Sequence[str]) -> dict[str, Any]:
    uris = {name: f"qemu+ssh://root@{BY_NAME[name].address}/system" for name in hosts}
    return {"tls": "off", "uris": uris}


def look(hosts: Sequence[str], over: Mapping[str, Any], user: str | None = None, source: str = SOURCE) -> Seen:
    """Observes the hosts and the source's domains, asks what preflight asks, and keeps it all."""
    wanted = {**policy(hosts), **over}
    snapshots: list[Any] = []
    for name in hosts:
        try:
            snapshots.append(observe.host_snapshot(name, user=user))
        except LabError as error:
            wanted["unreachable"] = {**wanted.get("unreachable", {}), name: str(error).strip().splitlines()[-1]}
    domains: list[Any] = observe.domain_snapshots(source, user=user)
    asked = api.questions(snapshots, domains, list(hosts), wanted)
    answers = {host: observe.answers(host, questions, user=user) for host, questions in asked.items()}
    return Seen(snapshots, domains, answers, wanted)


class Reads:
    """Which facts of whom, and which answers, an evaluation looked at."""

    def __init__(self) -> None:
        self.facts: dict[str, set[str]] = {}
        self.answers: dict[str, set[str]] = {}

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        get, answer = Facts.get, View.answer

        def noted_get(facts: Facts, path: str) -> Any:
            self.facts.setdefault(facts.who, set()).add(path)
            return get(facts, path)

        def noted_answer(view: View, host: str | None, key: str) -> Facts:
            self.answers.setdefault(host or "", set()).add(key)
            return answer(view, host, key)

        with mock.patch.object(Facts, "get", noted_get), mock.patch.object(View, "answer", noted_answer):
            yield
