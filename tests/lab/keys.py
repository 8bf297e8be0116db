# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH keys of a lab: one for its user, one per host, and the known_hosts file. Made once per lab."""

from __future__ import annotations

from pathlib import Path

from tests.lab.hostfiles import Keys
from tests.lab.hosts import HOSTS, Host
from tests.lab.places import Places
from tests.lab.run import run

USER_KEY = "id_ed25519"


def known_hosts(public_keys: dict[str, str], hosts: tuple[Host, ...] = HOSTS) -> str:
    """The known_hosts text: each host by name and address."""
    lines = []
    for host in hosts:
        kind, data = public_keys[host.name].split()[:2]
        lines.append(f"{host.name},{host.address} {kind} {data}")
    return "\n".join(lines) + "\n"


def _key(path: Path, comment: str) -> None:
    if path.exists() and path.with_suffix(".pub").exists():
        return
    for leftover in (path, path.with_suffix(".pub")):
        leftover.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def ensure(where: Places, hosts: tuple[Host, ...] = HOSTS) -> None:
    where.ssh.mkdir(parents=True, exist_ok=True)
    where.ssh.chmod(0o700)
    _key(where.ssh / USER_KEY, "livemig-lab")
    for host in hosts:
        _key(where.ssh / host.name, host.name)
    public = {host.name: _read(where.ssh / f"{host.name}.pub") for host in hosts}
    (where.ssh / "known_hosts").write_text(known_hosts(public, hosts), encoding="utf-8")


def load(where: Places, host: Host) -> Keys:
    return Keys(
        host_private=_read(where.ssh / host.name),
        host_public=_read(where.ssh / f"{host.name}.pub"),
        user_private=_read(where.ssh / USER_KEY),
        user_public=_read(where.ssh / f"{USER_KEY}.pub"),
        known_hosts=_read(where.ssh / "known_hosts"),
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def ssh_options(where: Places) -> list[str]:
    """What an ssh to a host of the lab needs, apart from its address."""
    return [
        *("-F", "none", "-i", str(where.ssh / USER_KEY)),
        *("-o", f"UserKnownHostsFile={where.ssh / 'known_hosts'}"),
        *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
    ]
