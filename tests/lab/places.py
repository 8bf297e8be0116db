# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps things."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# The name of the lab starts the names of its network namespaces, which are one per machine. Two labs with different
# names can run side by side: every address exists only inside a lab's own namespaces.
LAB = os.environ.get("LIVEMIG_LAB_NAME") or "lm"
LOCK = Path(f"/run/livemig-lab-{LAB}.lock")
NETNS = Path("/run/netns")

# Inside every host, at the same path: stands in for shared storage, and holds kernel, initramfs and consoles.
SHARED_INSIDE = "/srv/shared"
BOOT_INSIDE = f"{SHARED_INSIDE}/boot"
CONSOLES_INSIDE = f"{SHARED_INSIDE}/consoles"
DISKS_INSIDE = f"{SHARED_INSIDE}/disks"
GLUSTER_INSIDE = "/srv/gluster"
LOCAL_DISKS_INSIDE = "/var/lib/libvirt/images"


@dataclass(frozen=True)
class Places:
    checkout: Path
    cache: Path
    state: Path
    venv: Path

    @property
    def cache_lock(self) -> Path:
        return self.cache / "lock"

    @property
    def roots(self) -> Path:
        return self.cache / "roots"

    @property
    def guest_images(self) -> Path:
        return self.cache / "guest"

    @property
    def shared(self) -> Path:
        return self.state / "shared"

    @property
    def boot(self) -> Path:
        return self.shared / "boot"

    @property
    def consoles(self) -> Path:
        return self.shared / "consoles"

    @property
    def disks(self) -> Path:
        return self.shared / "disks"

    @property
    def blocks(self) -> Path:
        return self.state / "blocks"

    @property
    def brick(self) -> Path:
        return self.state / "brick"

    @property
    def ssh(self) -> Path:
        return self.state / "ssh"

    @property
    def ca(self) -> Path:
        return self.state / "ca"

    @property
    def inventory(self) -> Path:
        return self.state / "inventory.yml"

    @property
    def guests(self) -> Path:
        return self.state / "guests.json"

    def console(self, guest: str) -> Path:
        return self.consoles / f"{guest}.log"

    def host(self, name: str) -> Path:
        return self.state / "hosts" / name


def places(environ: Mapping[str, str] | None = None) -> Places:
    """The directories, from LIVEMIG_LAB_CACHE, LIVEMIG_LAB_STATE and LIVEMIG_VENV or their defaults."""
    environ = os.environ if environ is None else environ
    state = "/var/lib/livemig-lab" + ("" if LAB == "lm" else f"-{LAB}")
    checkout = Path(__file__).resolve().parents[2]
    return Places(
        checkout=checkout,
        cache=Path(environ.get("LIVEMIG_LAB_CACHE") or "/var/cache/livemig-lab").absolute(),
        state=Path(environ.get("LIVEMIG_LAB_STATE") or state).absolute(),
        venv=Path(environ.get("LIVEMIG_VENV") or checkout / ".venv").absolute(),
    )
