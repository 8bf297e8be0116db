# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepare a machine and a checkout for the gates. Run as `python3 tests/tools/setup.py` by `make setup`.

Uses the standard library only, since it makes the environment everything else runs in. What is there is left alone,
so a second call does nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "tests" / "requirements.txt"
COLLECTION = CACHE / "collections" / "ansible_collections" / "livemig" / "libvirt"
MINIMUM = (3, 11)

# Command that shows a package is there, and the Debian package that brings it.
COMMANDS = {
    "chromium": "chromium",
    "git": "git",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
}


def missing_packages() -> list[str]:
    """Names of the Debian packages that have to be installed."""
    packages = [package for command, package in COMMANDS.items() if shutil.which(command) is None]
    # Debian's python3 has the module venv but not ensurepip, without which a new environment stays without pip.
    if importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    return packages


def install_packages(packages: list[str]) -> None:
    """Install Debian packages; ends the program with a remedy where that is not possible."""
    names = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"{names}: missing on this machine. Remedy: install them, or run `make setup` as root on Debian")
    print(f"installing {names}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-qq", *arguments], check=True, env=environment, stdin=subprocess.DEVNULL)


def make_environment() -> None:
    """Make `.venv` from the pinned list, unless the one that is there was made from the same list."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    stamp = VENV / f".requirements-{digest}"
    if stamp.exists() and (VENV / "bin" / "python").exists():
        return
    print(f"making .venv from {REQUIREMENTS.relative_to(ROOT)}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    # The environment may be running this very program (it comes first in the gates' PATH): use what it was made of.
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    subprocess.run([str(python), "-m", "venv", str(VENV)], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--requirement", str(REQUIREMENTS)]
    subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
    stamp.touch()


def link_collection() -> None:
    """Make the checkout importable as `ansible_collections.livemig.libvirt`."""
    if COLLECTION.is_symlink() and COLLECTION.resolve() == ROOT:
        return
    COLLECTION.parent.mkdir(parents=True, exist_ok=True)
    COLLECTION.unlink(missing_ok=True)
    COLLECTION.symlink_to(os.path.relpath(ROOT, COLLECTION.parent))


def main() -> None:
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"{sys.executable} is Python {found}; expected 3.11 or newer. Remedy: make PYTHON=/path/to/python3.11")
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = missing_packages()
        if packages:
            install_packages(packages)
        make_environment()
        link_collection()


if __name__ == "__main__":
    main()
