# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's own code inside a host: Python programs that import its module_utils, as root or as another user.

No Ansible is needed for that: module_utils import only the standard library and libvirt.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from tests.lab import enter, places
from tests.lab.errors import LabError
from tests.lab.places import Places

PACKAGE = "ansible_collections/livemig/libvirt/plugins/module_utils"
CODE_INSIDE = f"{places.SHARED_INSIDE}/code"
LIBVIRT_GROUP = "libvirt"
URI = "qemu:///system"
USER_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
TIMED_OUT = 124
"""Exit status of coreutils' timeout."""
GRACE_S = 10.0

# Reads {"path", "program", "given"} and writes what the program's main(given) returns. The program's own output goes to
# stderr, so that a stray print does not spoil the answer.
BOOTSTRAP = """\
import json, os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
order = json.load(sys.stdin)
sys.path.insert(0, order["path"])
scope = {"__name__": "observed"}
exec(compile(order["program"], "<observed>", "exec"), scope)
json.dump(scope["main"](order["given"]), answer)
answer.close()
"""

FACE = """\
from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import api


def main(given):
    _libvirt.start_event_loop()
    connection = _libvirt.connect(given["uri"])
    try:
        return CALL
    finally:
        connection.close()
"""
HOST = FACE.replace("CALL", 'api.host_snapshot(connection, given["name"], **given["options"])')
DOMAINS = FACE.replace("CALL", 'api.domain_snapshots(connection, *given["arguments"], **given["options"])')
ANSWERS = FACE.replace("CALL", 'api.answers(connection, _libvirt.connect, given["questions"], **given["options"])')


def sources(folder: Path) -> dict[str, bytes]:
    """Every Python file below the folder, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.py"))}


def digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, data in sorted(files.items()):
        whole.update(f"{name}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()[:12]


def publish(where: Places) -> str:
    """Copies the checkout's module_utils to where every host sees them; returns the folder for sys.path inside.

    A copy is never changed: another state of the checkout gets another folder, so that a program which runs meanwhile
    sees one state only.
    """
    files = sources(where.checkout / "plugins" / "module_utils")
    name = digest(files)
    target = where.shared / "code" / name
    if not target.is_dir():
        target.parent.mkdir(exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
        for path, data in files.items():
            file = temporary / PACKAGE / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        _readable(temporary)
        try:
            temporary.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(temporary)
    return f"{CODE_INSIDE}/{name}"


def _readable(folder: Path) -> None:
    for base, _folders, names in os.walk(folder):
        os.chmod(base, 0o755)
        for name in names:
            os.chmod(Path(base, name), 0o644)


def ensure_user(host: str, user: str) -> None:
    """Makes the user inside the host, a member of the group libvirt, unless it is there."""
    if not USER_NAME.fullmatch(user):
        raise LabError(f"the user is '{user}'", "small letters, digits and '-'", "choose another name")
    make = f"id -u {user} >/dev/null 2>&1 || useradd --create-home --groups {LIBVIRT_GROUP} {user}"
    enter.exec_on(host, ["sh", "-c", make])


def command(user: str | None, timeout_s: float) -> list[str]:
    """The words that run the bootstrap inside a host; the time limit is kept there, where the process is."""
    limit = ["timeout", "--kill-after=2", str(math.ceil(timeout_s))]
    become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
    return [*limit, *become, "python3", "-I", "-B", "-c", BOOTSTRAP]


def observe_inside(
    host: str, program: str, given: Any = None, *, user: str | None = None, timeout_s: float = 60.0
) -> Any:
    """What main(given) of the program returns when it runs inside the host with the host's python3.

    program: the text of a module that defines main(given); given and what it returns are JSON. It can import
    ansible_collections.livemig.libvirt.plugins.module_utils as the checkout has them now. user: None is root, any other
    name an unprivileged user of the group libvirt, made when it is missing. Raises LabError with the traceback when the
    program fails, and when it does not end in time.
    """
    enter.prefix(host)  # says it if the host is down
    if user is not None:
        ensure_user(host, user)
    order = json.dumps({"path": publish(places.places()), "program": program, "given": given})
    words = command(user, timeout_s)
    done = enter.exec_on(host, words, stdin=order, check=False, timeout_s=timeout_s + GRACE_S)
    if done.returncode == TIMED_OUT:
        raise LabError(
            f"the program inside {host} still ran after {timeout_s:.0f} s",
            "it to end",
            "see whether that host's libvirtd answers; said so far: " + (done.stderr.strip()[-400:] or "nothing"),
        )
    if done.returncode != 0:
        said = done.stderr.strip() or f"nothing, and ended with {done.returncode}"
        raise LabError(f"the program inside {host} failed:\n{said}\n", "a result", "see the traceback")
    return json.loads(done.stdout)


def host_snapshot(
    host: str, *, user: str | None = None, timeout_s: float = 60.0, uri: str = URI, **options: Any
) -> dict[str, Any]:
    """The host's snapshot, as _observe/api.py makes it there."""
    given = {"uri": uri, "name": host, "options": options}
    return cast("dict[str, Any]", observe_inside(host, HOST, given, user=user, timeout_s=timeout_s))


def domain_snapshots(
    host: str,
    *arguments: Any,
    user: str | None = None,
    timeout_s: float = 60.0,
    uri: str = URI,
    **options: Any,
) -> Any:
    """What domain_snapshots of _observe/api.py returns there; arguments and options follow its connection."""
    given = {"uri": uri, "arguments": arguments or [host], "options": options}
    return observe_inside(host, DOMAINS, given, user=user, timeout_s=timeout_s)


def answers(
    host: str,
    questions: Iterable[Mapping[str, Any]],
    *,
    user: str | None = None,
    timeout_s: float = 60.0,
    uri: str = URI,
    **options: Any,
) -> dict[str, Any]:
    """The answers of that host to preflight's questions, by key."""
    given = {"uri": uri, "questions": [dict(question) for question in questions], "options": options}
    return cast("dict[str, Any]", observe_inside(host, ANSWERS, given, user=user, timeout_s=timeout_s))
