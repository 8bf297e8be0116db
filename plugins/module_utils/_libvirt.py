# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only door to libvirt-python: the guarded import, connections that notice a dead peer, and readable errors.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ._model.api import LivemigError

libvirt: t.Any
"""The module itself, or None where it is not installed."""

try:
    import libvirt  # type: ignore[no-redef]
except ImportError:
    libvirt = None
HAS_LIBVIRT = libvirt is not None

OPEN_S = 30.0
"""A daemon that hangs takes the connection and never answers; libvirt itself would wait for ever."""

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 5

LIBVIRT_ERRORS: tuple[type[Exception], ...] = (libvirt.libvirtError,) if HAS_LIBVIRT else ()
"""What libvirt-python raises, for ``except``."""

Connection = t.Any
"""A libvirt.virConnect, or a test's stand-in with the same methods."""

Connect = t.Callable[[str], Connection]


def require_libvirt() -> None:
    """Raises LivemigError where the Python interpreter that runs the module has no libvirt-python."""
    if not HAS_LIBVIRT:
        raise LivemigError(
            "Python module libvirt",
            value="not found",
            expected="libvirt-python for the Python interpreter that Ansible uses on this host",
            remedy="install the package python3-libvirt, and set ansible_python_interpreter to the system's Python",
        )


def silence_stderr() -> None:
    """libvirt-python prints every error to stderr besides raising it; Ansible would show these lines as noise."""
    libvirt.registerErrorHandler(lambda _ctx, _error: None, None)


def connect(uri: str) -> Connection:
    """Opens ``uri`` without ever asking for a password.

    Raises LivemigError with libvirt's own words when the daemon cannot be reached or refuses, and when it does not
    answer within OPEN_S.
    """
    require_libvirt()
    silence_stderr()
    try:
        connection = _open(without_questions(uri))
    except libvirt.libvirtError as error:
        raise LivemigError(
            f"libvirt connection {uri}",
            value=error_text(error),
            expected="a libvirt daemon that answers and accepts this host",
            remedy=_connection_remedy(uri),
        ) from error
    # A daemon without keepalive, or a test driver: then only a closed socket tells that the peer is gone.
    with contextlib.suppress(libvirt.libvirtError):
        connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
    return connection


def _open(uri: str) -> Connection:
    """In a thread, which is left behind where nothing comes of it. Raises what libvirt raises, and LivemigError."""
    found: list[t.Any] = []

    def run() -> None:
        try:
            found.append(libvirt.open(uri))
        except Exception as error:  # raised again by the caller
            found.append(error)

    worker = threading.Thread(target=run, name="libvirt-open", daemon=True)
    worker.start()
    worker.join(OPEN_S)
    if not found:
        raise LivemigError(
            f"libvirt connection {uri}",
            value=f"no answer within {OPEN_S:.0f} s",
            expected="a libvirt daemon that answers and accepts this host",
            remedy="see what the daemon there waits for (often storage that is gone) and restart it; its guests run on "
            "meanwhile",
        )
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def without_questions(uri: str) -> str:
    """ssh asks on the terminal, and Ansible without pipelining gives the module one: nobody would ever answer."""
    if "+ssh:" not in uri or "no_tty=" in uri:
        return uri
    return uri + ("&" if "?" in uri else "?") + "no_tty=1"


def _connection_remedy(uri: str) -> str:
    if "+tls" in uri:
        return (
            "check that the daemon there listens for TLS (port 16514); run the role livemig.libvirt.tls on both hosts"
        )
    if "+ssh" in uri:
        return "check that root on the source can log in there by key without a question"
    return "start the libvirt daemon on this host, and connect as root or as a member of the group libvirt"


def error_text(error: BaseException) -> str:
    """libvirt's message without Python's decoration; the first line where there are several."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def error_code(error: BaseException) -> int | None:
    get = getattr(error, "get_error_code", None)
    return t.cast("int | None", get()) if get is not None else None


def find_domain(connection: Connection, uuid: str) -> t.Any:
    """The domain, or None where the host does not know it. Raises what else libvirt raises."""
    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def start_event_loop() -> None:
    """Registers libvirt's event loop and runs it in a daemon thread: without it there are no events and no keepalive.

    Call it once, before opening connections.
    """
    require_libvirt()
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, name="libvirt-events", daemon=True).start()
