# SPDX-License-Identifier: GPL-3.0-or-later
"""Becomes a host: enters its namespaces, builds its mounts, changes its root and hands over to its init.

Run by path with a JSON object on stdin: netns, hostname, lower, upper, work, root, log, binds ([[source, path
inside]]), devices ([name under /dev]), remove ([path inside]), files ([[path inside, text, mode]]). Ends with 0
when the host's init runs, else with 1 and the cause on stderr.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def system_call(name: str, *arguments: int) -> None:
    # os.setns and os.unshare came with Python 3.12
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"mount {' '.join(words)}: {done.stderr.strip()}")


def inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def build_mounts(spec: dict[str, Any], root: Path) -> None:
    mount("--make-rprivate", "/")
    for directory in (spec["upper"], spec["work"], root):
        Path(directory).mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={spec['lower']},upperdir={spec['upper']},workdir={spec['work']}"
    mount("-t", "overlay", "overlay", "-o", layers, str(root))
    mount("-t", "proc", "proc", str(root / "proc"))
    mount("-t", "sysfs", "sysfs", str(root / "sys"))  # a new instance: shows this host's network interfaces only
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "run"))
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "dev"))
    build_dev(spec["devices"], root / "dev")
    for source, target in spec["binds"]:
        inside(root, target).mkdir(parents=True, exist_ok=True)
        mount("--bind", source, str(inside(root, target)))


def build_dev(devices: list[str], dev: Path) -> None:
    # Bound, not made by mknod: that also works where a container forbids mknod. No kvm: every guest is TCG.
    for name in devices:
        if not Path("/dev", name).exists():
            continue
        (dev / name).parent.mkdir(parents=True, exist_ok=True)
        (dev / name).touch()
        mount("--bind", f"/dev/{name}", str(dev / name))
    for name, options in (("pts", ["-t", "devpts", "-o", "newinstance,ptmxmode=0666"]), ("shm", ["-t", "tmpfs"])):
        (dev / name).mkdir()
        mount(*options, name, str(dev / name))
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (dev / name).symlink_to(f"/proc/self/fd/{number}")


def write_files(spec: dict[str, Any], root: Path) -> None:
    for path in spec["remove"]:
        inside(root, path).unlink(missing_ok=True)
    for path, text, mode in spec["files"]:
        target = inside(root, path)
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, parents=True)
        target.unlink(missing_ok=True)  # it may be a link that leads out of the root
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)


def change_root(root: Path) -> None:
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "mnt"], check=True, capture_output=True)
    os.chroot(".")
    os.chdir("/")
    # Without this every host would hold the machine's mounts, and the other hosts' network namespaces, alive.
    subprocess.run(["umount", "--lazy", "/mnt"], check=True, capture_output=True)


def become_init(spec: dict[str, Any]) -> NoReturn:
    os.setsid()
    os.umask(0o022)
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    root = Path(spec["root"])
    build_mounts(spec, root)
    write_files(spec, root)
    socket.sethostname(spec["hostname"])
    change_root(root)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)  # Python ignores SIGPIPE, and that would be inherited
    for target, source in enumerate((null, log, log)):
        os.dup2(source, target)
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2:
            close_on_exec(int(entry))
    os.execve("/sbin/init", ["init"], {"TERM": "linux"})


def close_on_exec(descriptor: int) -> None:
    """The lock and the pipe to the parent among others; the directory that listed them is closed already."""
    with contextlib.suppress(OSError):
        os.set_inheritable(descriptor, False)


def main() -> int:
    spec = json.load(sys.stdin)
    system_call("setns", os.open(f"/run/netns/{spec['netns']}", os.O_RDONLY), CLONE_NEWNET)
    system_call("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID)
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            become_init(spec)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        cause = pipe.read()  # ends when init is executed (the pipe closes) or the child is gone
    sys.stderr.write(cause.decode(errors="replace"))
    return 1 if cause else 0


if __name__ == "__main__":
    sys.exit(main())
