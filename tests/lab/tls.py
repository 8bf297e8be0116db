# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts' certificates, made by the collection's own playbook."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab import enter, processes
from tests.lab.errors import LabError
from tests.lab.hosts import CONTROLLER, Host
from tests.lab.places import Places

PLAYBOOK = "livemig.libvirt.tls"
CERTIFICATES = ("etc/pki/libvirt/servercert.pem", "etc/pki/qemu/server-cert.pem")
AUTHORITY = "etc/pki/CA/cacert.pem"
PORT = 16514
LISTENING = "0A"
TIMEOUT_S = 600.0


def environment(where: Places, base: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of an Ansible that finds this checkout as a collection and keeps its files in the state."""
    inherited = dict(os.environ) if base is None else base
    return {
        **inherited,
        "PATH": f"{where.venv / 'bin'}:{inherited.get('PATH', enter.PATH)}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections_tree(where)),
        "ANSIBLE_HOME": str(where.state / "ansible"),
        "ANSIBLE_INVENTORY": str(where.inventory),
    }


def collections_tree(where: Places) -> Path:
    return where.checkout / ".cache" / "collections"


def link_checkout(where: Places) -> None:
    """Makes the checkout visible as ansible_collections/livemig/libvirt."""
    link = collections_tree(where) / "ansible_collections" / "livemig" / "libvirt"
    if link.resolve() == where.checkout:
        return
    if link.exists() or link.is_symlink():
        raise LabError(f"{link} leads to {link.resolve()}", f"a link to {where.checkout}", "remove it, run `up` again")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(where.checkout)


def listens(tables: str, port: int = PORT) -> bool:
    """Whether a socket listens on the port, by the text of /proc/PID/net/tcp and tcp6."""
    rows = [line.split() for line in tables.splitlines()]
    return any(len(row) > 3 and row[3] == LISTENING and row[1].endswith(f":{port:04X}") for row in rows)


def in_place(hosts: Iterable[Host]) -> bool:
    """Whether every host has certificates, all trust the same authority, and every libvirtd serves TLS."""
    authorities = set()
    for host in hosts:
        process = Path(f"/proc/{processes.init_of(host.netns)}")
        if not all((process / "root" / name).exists() for name in (*CERTIFICATES, AUTHORITY)):
            return False
        authorities.add((process / "root" / AUTHORITY).read_bytes())
        if not listens((process / "net/tcp").read_text("ascii") + (process / "net/tcp6").read_text("ascii")):
            return False
    return len(authorities) <= 1


def obstacle(where: Places) -> str | None:
    """Why the playbook cannot run here; None when it can."""
    playbook = where.checkout / "playbooks" / "tls.yml"
    for path in (playbook, where.venv / "bin" / "ansible-playbook"):
        if not path.exists():
            return f"{path} is not there"
    return None


def ensure(where: Places, hosts: Iterable[Host]) -> str:
    """Runs the playbook if it is needed and possible; returns what happened, in words."""
    if in_place(hosts):
        return "certificates in place"
    return make(where, enter.prefix(CONTROLLER))


def make(where: Places, prefix: Sequence[str]) -> str:
    """Runs the playbook if it is possible; prefix: the words that put a command where the hosts can be reached."""
    if cause := obstacle(where):
        return f"skipped: {cause}"
    link_checkout(where)
    command = [str(where.venv / "bin" / "ansible-playbook"), "-i", str(where.inventory), PLAYBOOK]
    log = where.state / "tls.log"
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [*prefix, *command],
            env=environment(where),
            cwd=where.checkout,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise LabError(
            f"{PLAYBOOK} ended with {done.returncode}", "0", f"see {log}; `up --no-tls` leaves the certificates out"
        )
    return f"certificates made ({log})"
