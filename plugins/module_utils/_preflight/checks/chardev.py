# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what is behind serial ports, consoles and channels: devices, ports, sockets and files of the host.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts, Question
from ..check import Check, Problem, Requirement, View, each
from ..local import address_is_there, everywhere, in_use
from ..questions import path_key, path_question

_FAMILIES = ("serials", "parallels", "consoles", "channels", "redirdevs", "smartcards")
_LIBVIRTS_OWN = ("/var/lib/libvirt/qemu/", "/run/libvirt/", "/var/run/libvirt/", "/var/log/libvirt/")
_T = t.TypeVar("_T")


def _each_chardev(view: View, judge: t.Callable[[Facts], t.Iterable[_T]]) -> t.Iterator[_T | Problem]:
    """What the judge says of every character device, once for what a console and its serial port have in common."""
    said: set[t.Any] = set()
    for family in _FAMILIES:
        for found in each(view.domain.items(f"devices.{family}", "name"), judge):
            if isinstance(found, Problem):
                yield found
            elif found not in said:
                said.add(found)
                yield found


class HostDevice(t.NamedTuple):
    path: str


def _host_devices(view: View) -> t.Iterator[HostDevice | Problem]:
    def judge(chardev: Facts) -> t.Iterator[HostDevice]:
        if chardev.get("type") == "dev" and chardev.get("path"):
            yield HostDevice(chardev.get("path"))

    return _each_chardev(view, judge)


def _ask_device(_view: View, need: HostDevice) -> t.Iterator[Question]:
    yield path_question(need.path)


def _host_device(view: View, need: HostDevice) -> t.Iterator[Problem]:
    if not view.answer(view.destination_name, path_key(need.path)).get("exists"):
        yield Problem("Serial or parallel port of domain {domain}", f"there is no {need.path} on {view.there}")


class Bound(t.NamedTuple):
    """What QEMU itself listens on."""

    protocol: str
    address: str
    port: str


def _bound(view: View) -> t.Iterator[Bound | Problem]:
    def judge(chardev: Facts) -> t.Iterator[Bound]:
        kind, port = chardev.get("type"), chardev.get("bind_service")
        if kind in ("tcp", "udp") and port:
            yield Bound(kind, chardev.get("bind_host") or "0.0.0.0", port)

    return _each_chardev(view, judge)


def _port_free(view: View, need: Bound) -> t.Iterator[Problem]:
    what, where = "Character device of domain {domain}", f"{need.protocol} {need.address} port {need.port}"
    if not address_is_there(view, need.address):
        yield Problem(what, f"it is to be bound to {where}, and {view.there} has no such address")
        return
    taken = in_use(view, need.protocol, need.address, need.port)
    if taken is not None:
        yield Problem(what, f"it is to be bound to {where}, and on {view.there} something is at {taken}")


class Server(t.NamedTuple):
    """What QEMU itself connects to when it starts, and does not start without."""

    address: str
    port: str


def _server(device: Facts) -> t.Iterator[Server]:
    """The server of a character device, or of a generator that takes its numbers from one."""
    host, port = device.get("connect_host"), device.get("connect_service")
    if device.get("type") == "tcp" and host and port and device.get("reconnect") != "yes":
        yield Server(host, port)


def _connections(view: View) -> t.Iterator[Bound | Server | Problem]:
    yield from _bound(view)
    yield from _each_chardev(view, _server)
    yield from each(view.domain.items("devices.rngs", "name"), _server)


def _connection(view: View, need: Bound | Server) -> t.Iterator[Problem]:
    if isinstance(need, Bound):
        yield from _port_free(view, need)
    else:
        yield from _nobody_listens(view, need)


def _nobody_listens(view: View, need: Server) -> t.Iterator[Problem]:
    """Only of the destination's own addresses it is known who listens there."""
    if everywhere(need.address) and in_use(view, "tcp", need.address, need.port) is None:
        yield Problem(
            "Character device of domain {domain}",
            f"it connects to {need.address} port {need.port}, where nothing listens on {view.there}",
            expected="a program that listens there, as on the source: QEMU does not start without",
            remedy="start it there, or let the device reconnect (<reconnect enabled='yes'>) at the next start",
        )


class Place(t.NamedTuple):
    """A path that must be there; ``use``: what for. Any one of the paths will do.

    ``file``: the file that QEMU makes in it, or opens; ``connects``: QEMU connects to the socket that it is.
    """

    use: str
    paths: tuple[str, ...]
    file: str | None = None
    connects: bool = False


def _places(view: View) -> t.Iterator[Place | Problem]:
    yield from _each_chardev(view, _of_chardev)
    yield from each(view.domain.items("devices.graphics", "name"), _of_console)


def _of_console(console: Facts) -> t.Iterator[Place]:
    for path in (console.get("socket"), console.get("own_socket")):
        if path and not path.startswith(_LIBVIRTS_OWN):
            yield _folder_of(path)
            return


def _of_chardev(chardev: Facts) -> t.Iterator[Place]:
    path, log = chardev.get("path"), chardev.get("log")
    if path and not path.startswith(_LIBVIRTS_OWN):
        kind = chardev.get("type")
        if kind == "file" or (kind == "unix" and chardev.get("mode") != "connect"):
            yield _folder_of(path)
        elif kind == "unix":
            yield Place("the socket it connects to", (path,), connects=True)
        elif kind == "pipe":
            yield Place("its pipe", (f"{path}.in", path))
    if log and not log.startswith(_LIBVIRTS_OWN):
        yield _folder_of(log)


def _folder_of(path: str) -> Place:
    return Place("the folder for its file or socket", (path.rpartition("/")[0] or "/",), file=path)


def _ask_place(_view: View, need: Place) -> t.Iterator[Question]:
    yield from map(path_question, need.paths)
    if need.file is not None:
        yield path_question(need.file)
    if need.connects:
        yield from map(_listener, need.paths)


def _listener(path: str) -> Question:
    return {"key": f"listener:{path}", "ask": "listener", "path": path}


def _place(view: View, need: Place) -> t.Iterator[Problem]:
    what, where = "Character device of domain {domain}", f"{need.paths[-1]} on {view.there}"
    answers = [view.answer(view.destination_name, path_key(path)) for path in need.paths]
    there = next((answer for answer in answers if answer.get("exists")), None)
    if there is None:
        yield Problem(what, f"there is no {where}, {need.use}")
    elif need.file is not None and there.get("read_only"):
        yield Problem(
            what,
            f"{where}, {need.use}, is on a file system that is mounted read-only",
            remedy="mount it there for reading and writing, as the source has it",
        )
    elif need.file is not None and _is_folder(view.answer(view.destination_name, path_key(need.file))):
        yield Problem(what, f"{need.file} on {view.there} is a folder", expected="a file or a socket, or nothing yet")
    elif need.connects and not view.answer(view.destination_name, _listener(need.paths[0])["key"]).get("listens"):
        yield Problem(
            what,
            f"nothing listens at {where}, {need.use}",
            expected="a program that listens, as on the source",
            remedy="start it there",
        )


def _is_folder(answer: Facts) -> bool:
    return bool(answer.get("exists") and answer.get("kind") == "dir")


CHECKS: tuple[Check, ...] = (
    Check(
        id="dev_serial_host_device",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has the host's serial and parallel ports that the domain uses",
        expected="the same device on both hosts, with the same thing plugged in",
        remedy="plug it in there under the same name, or detach it (virsh detach-device)",
        requires=Requirement(_host_devices, _host_device, _ask_device),
        evidence="lab",
    ),
    Check(
        id="dev_chardev_tcp_ports",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has the addresses and ports that the domain's consoles are bound to or connect to",
        expected="an address of the host and a free port on both hosts",
        remedy="end what has the port there (ss -lntup), or bind the console to 0.0.0.0 or 127.0.0.1 and a port of its "
        "own at the next start of the guest",
        requires=Requirement(_connections, _connection),
        evidence="lab",
    ),
    Check(
        id="dev_chardev_unix_path",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has the folders of the domain's sockets, pipes and log files",
        expected="the same folders on both hosts",
        remedy="make it there, with the same owner and mode",
        requires=Requirement(_places, _place, _ask_place),
        evidence="lab",
    ),
)
