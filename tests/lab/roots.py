# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts' systems: one read-only Debian root per suite, built once, cached outside the checkout."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from tests.lab import requirements
from tests.lab.errors import LabError
from tests.lab.places import Places
from tests.lab.run import locked, run

# In every root. What a suite calls differently, or splits, is in SUITES.
PACKAGES = (
    "libvirt-daemon-system",
    "libvirt-daemon-system-sysv",
    "libvirt-daemon-driver-qemu",
    "libvirt-clients",
    "qemu-system-x86",
    "qemu-utils",
    "iproute2",
    "python3-libvirt",
    "linux-image-cloud-amd64",
    "busybox-static",
    "kmod",
    "openssh-server",
    "cpio",
    # compiles the guest's agent (guest/agent.c): 0.5 MB instead of a compiler on the machine
    "tcc",
    # what the conditions of the catalogue of checks are made with
    "swtpm",
    "swtpm-tools",
    "ovmf",
    "qemu-block-extra",
    "glusterfs-client",
    "dnsmasq-base",
    "iptables",
    "nftables",
    "lvm2",
    "dmsetup",
    "udev",
    "passt",
    "numad",
    "e2fsprogs",
)
SUITES: dict[str, tuple[str, ...]] = {
    # In Debian 12 these are parts of qemu-system-common, libvirt-daemon and libvirt-daemon-driver-storage.
    "trixie": (
        "virtiofsd",
        "qemu-system-modules-spice",
        "libvirt-daemon-lock",
        "libvirt-daemon-driver-storage-disk",
        "libvirt-daemon-driver-storage-iscsi",
        "libvirt-daemon-driver-storage-logical",
        # for the host `store`, whose root is this one
        "glusterfs-server",
    ),
    # the hosts of the SR-IOV lab (tests/sriov) are machines: the cloud kernel has neither igb nor vfio-pci
    "bookworm": ("linux-image-amd64", "pciutils", "ethtool"),
    "testing": ("virtiofsd", "libvirt-daemon-lock"),
}
# What a suite does not have, and its hosts do not need.
WITHOUT: dict[str, tuple[str, ...]] = {"testing": ("tcc", "glusterfs-client", "numad", "passt")}
# Release files of snapshots and security suites carry a date, and a lab machine's clock may be past it.
OPTIONS = (
    "--variant=minbase",
    '--aptopt=Acquire::Check-Valid-Until "false"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)
BUILD_TIMEOUT_S = 1800.0


def packages(suite: str) -> tuple[str, ...]:
    here = (name for name in PACKAGES if name not in WITHOUT.get(suite, ()))
    return (*here, *SUITES.get(suite, ()))


def key(suite: str, wanted: tuple[str, ...] | None = None) -> str:
    """The cache name of a root: changes with everything that the root is made of."""
    text = "\n".join((suite, *(packages(suite) if wanted is None else wanted), *OPTIONS))
    return f"{suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def path(where: Places, suite: str) -> Path:
    return where.roots / key(suite)


def ensure(where: Places, suite: str) -> bool:
    """Builds the root unless it is there; True when it was built."""
    target = path(where, suite)
    if target.is_dir():
        return False
    requirements.demand(requirements.lacking_for_roots(requirements.observe()))
    where.roots.mkdir(parents=True, exist_ok=True)
    with locked(where.cache_lock, BUILD_TIMEOUT_S):
        if target.is_dir():
            return False
        _remove_unfinished(where)
        _build(where, suite, target)
    return True


def _build(where: Places, suite: str, target: Path) -> None:
    temporary = where.roots / f"{target.name}.building"
    # Killed with us, and mmdebstrap's whole tree with it: it sits in a process namespace of its own.
    guard = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = ["mmdebstrap", *OPTIONS, "--include=" + ",".join(packages(suite)), suite, str(temporary)]
    done = run([*guard, *command], timeout_s=BUILD_TIMEOUT_S, check=False, env={**os.environ, "INITRD": "No"})
    if done.returncode != 0:
        _remove_unfinished(where)
        said = done.stderr.splitlines()
        errors = [line for line in said if line.startswith(("E:", "W:"))] or said
        raise LabError(
            f"mmdebstrap for {suite} ended with {done.returncode}: " + " ".join(errors[-3:]),
            "a root",
            "check the network, the apt sources and the free disk space, then run `roots` again",
        )
    temporary.rename(target)


def _remove_unfinished(where: Places) -> None:
    for entry in [*where.roots.glob("*.building"), *where.guest_images.glob("*.building")]:
        shutil.rmtree(entry)


def sweep(where: Places) -> None:
    """Removes what a killed build left behind; nothing while another lab's build is under way."""
    if not where.cache.is_dir():
        return
    with contextlib.suppress(LabError), locked(where.cache_lock, 0):
        _remove_unfinished(where)
