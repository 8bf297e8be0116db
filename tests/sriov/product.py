# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection at work in the SR-IOV lab: its playbooks from ctl, and its modules inside a machine.

Without TLS: the machines reach each other's libvirt by SSH. Certificates are the other lab's matter, and Ansible takes
minutes here to make them.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible.module_utils

from tests.lab import tls
from tests.lab.errors import LabError
from tests.lab.hosts import CONTROLLER, Host
from tests.sriov import enter, guests
from tests.sriov.hosts import places

ROOT = Path(__file__).resolve().parents[2]
PACKED = "/opt/livemig"
MODULES = "ansible_collections.livemig.libvirt.plugins.modules"
MODULE_TIMEOUT_S = 400.0
PLAYBOOK_TIMEOUT_S = 600.0
VARIABLES: Mapping[str, object] = {
    "livemig_tls": "off",
    "livemig_uri": "qemu+ssh://{host}/system",
    "livemig_progress": False,
    "livemig_observe_timeout_s": 300,
}


def play(playbook: str, variables: Mapping[str, object], *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a playbook of the collection: play("evacuate", {"livemig_evacuate_hosts": ["sr1"]}, "--check")."""
    where = places()
    tls.link_checkout(where)
    own = {**tls.environment(where, {}), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}
    settings = [f"{name}={value}" for name, value in own.items()]
    said = ["-e", json.dumps({**VARIABLES, **variables})]
    command = ["env", *settings, "ansible-playbook", f"livemig.libvirt.{playbook}", *said, *words]
    return enter.exec_on(CONTROLLER, command, timeout_s=PLAYBOOK_TIMEOUT_S, check=False)


def install(host: Host) -> None:
    """Puts into the machine what Ansible packs for a module."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for source, inside in _parts():
            archive.add(source, inside, filter=lambda entry: None if "__pycache__" in entry.name else entry)
        text = b"from ansible.release import __author__, __version__\n"
        entry = tarfile.TarInfo("ansible/__init__.py")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    unpack = ["sh", "-c", f"rm -rf {PACKED} && mkdir -p {PACKED} && tar -xz -C {PACKED}"]
    subprocess.run(enter.words(host.name, unpack), input=packed.getvalue(), timeout=120, check=True)


def _parts() -> Iterator[tuple[Path, str]]:
    own = Path(ansible.module_utils.__file__).parent
    yield own, "ansible/module_utils"
    yield own.parent / "release.py", "ansible/release.py"
    for name in ("module_utils", "modules"):
        yield ROOT / "plugins" / name, f"ansible_collections/livemig/libvirt/plugins/{name}"


@dataclass(frozen=True)
class Running:
    """A module at work in a machine."""

    name: str
    host: Host
    process: subprocess.Popen[str]

    def result(self, timeout_s: float = MODULE_TIMEOUT_S) -> dict[str, Any]:
        """What it returned. Raises LabError when that is no JSON, or does not come in time."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise LabError(f"{self.name} on {self.host.name} still runs", "an end", "look at the machine") from error
        try:
            found: dict[str, Any] = json.loads(out)
        except ValueError as error:
            raise LabError(f"{self.name} said {out[-800:]}{err[-800:]}", "JSON", "correct it") from error
        return found


def begin(host: Host, name: str, options: Mapping[str, object]) -> Running:
    """Starts a module in a machine; ``install`` has been called for that."""
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": options})
    path = f"{PACKED}/{name}.json"
    enter.exec_on(host.name, ["sh", "-c", f"cat >{path}"], stdin=arguments)
    # the shell's process becomes the module: its pid is known to whoever wants to kill it
    command = f"echo $$ >{PACKED}/{name}.pid; PYTHONPATH={PACKED} exec python3 -m {MODULES}.{name} {path}"
    words = enter.words(host.name, ["sh", "-c", command])
    pipe = subprocess.PIPE
    return Running(name, host, subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True))


def kill(running: Running) -> None:
    """As AWX does it: the module is gone from one moment to the next."""
    enter.exec_on(running.host.name, ["sh", "-c", f"kill -KILL $(cat {PACKED}/{running.name}.pid)"])
    running.process.communicate(timeout=60)


def module(host: Host, name: str, options: Mapping[str, object]) -> dict[str, Any]:
    return begin(host, name, options).result()


def move(name: str, source: Host, destination: Host, **way: object) -> dict[str, object]:
    """A move of ``migrate`` as a plan would have it. ``way``: what differs from the plain one."""
    return {
        "domain": name,
        "uuid": guests.virsh(source, "domuuid", name).strip(),
        "source": source.name,
        "destination": destination.name,
        "destination_uri": f"qemu+ssh://{destination.name}/system",
        "migrate_uri": f"tcp://{destination.address}",
        "way": way,
        "profile": {"ceiling_ms": 60000, "throttle": False},
    }


def migration(*moves: Mapping[str, object]) -> dict[str, object]:
    """Options of ``migrate`` for these moves."""
    return {"moves": list(moves), "tls": "off", "progress": False, "timeout_s": 300}
