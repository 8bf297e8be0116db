# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what is behind a NIC: taps, macvtaps, vhost, user-mode networking, and its MAC address.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ..._model.api import Facts, Question, UnknownFact
from ..check import Check, Problem, Requirement, View
from ..fleet import Fleet
from ..nics import TAPS, Port, bridge_there, each_nic, parent_of, port_of, with_edit
from ..questions import path_key, path_question

_AUTOMATIC = re.compile(r"(vnet|macvtap|macvlan|vif)\d")
_USO_KERNEL = (6, 2)
_USO_QEMU = 8002000
_PASST = "passt"
_VIRTIO = ("virtio", "virtio-transitional", "virtio-non-transitional")


class Parent(t.NamedTuple):
    name: str
    mode: str | None


def _parents(view: View) -> t.Iterator[Parent | Problem]:
    def judge(nic: Facts) -> t.Iterator[Parent]:
        name = parent_of(nic)
        if name is not None:
            yield Parent(name, nic.get("more.source_mode"))

    return each_nic(view, judge)


def _parent(view: View, need: Parent) -> t.Iterator[Problem]:
    links = view.destination.get("net.links")
    link = links.get(need.name)
    on_it = [name for name, other in links.items() if other["kind"] == "macvtap" and need.name in other["lower"]]
    what = "NIC of domain {domain}"
    if link is None:
        problem = Problem(what, f"there is no {need.name} on {view.there}, on which its macvtap would be")
        yield with_edit(view, "parent", need.name, problem, lambda new: new in links)
    elif not link["up"]:
        yield Problem(what, f"{need.name}, on which its macvtap would be, is down on {view.there}")
    elif need.mode == "passthrough" and on_it:
        yield Problem(what, f"{need.name} of {view.there}, which it wants for itself, has {', '.join(on_it)} already")


class Ethernet(t.NamedTuple):
    """A tap that somebody else made, or scripts."""

    tap: str | None
    scripts: tuple[str, ...]


def _ethernets(view: View) -> t.Iterator[Ethernet | Problem]:
    def judge(nic: Facts) -> t.Iterator[Ethernet]:
        if nic.get("type") == "ethernet":
            tap = nic.get("target") if nic.get("more.managed") == "no" else None
            scripts = (nic.get("more.script"), nic.get("more.downscript"))
            yield Ethernet(tap, tuple(script for script in scripts if script))

    return each_nic(view, judge)


def _ask_ethernet(_view: View, need: Ethernet) -> t.Iterator[Question]:
    yield from map(path_question, need.scripts)


def _ethernet(view: View, need: Ethernet) -> t.Iterator[Problem]:
    if need.tap is not None and need.tap not in view.destination.get("net.links"):
        yield Problem("NIC of domain {domain}", f"nobody has made its tap {need.tap} on {view.there}")
    for script in need.scripts:
        if not view.answer(view.destination_name, path_key(script)).get("exists"):
            yield Problem("NIC of domain {domain}", f"its script {script} is not on {view.there}")


def _names(view: View) -> t.Iterator[str | Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        if nic.get("type") in TAPS and nic.get("more.managed") != "no":
            name = nic.get("target")
            if name and not _AUTOMATIC.match(name):
                yield name

    return each_nic(view, judge)


def _name(view: View, name: str) -> t.Iterator[Problem]:
    link = view.destination.get("net.links").get(name)
    if link is not None:
        yield Problem("NIC of domain {domain}", f"{view.there} has a device {name} already, of kind {link['kind']}")


class UserMode(t.NamedTuple):
    """A network of the host itself, and the backend that makes it, a program of its own or QEMU's."""

    backend: str


def _user_modes(view: View) -> t.Iterator[UserMode | Problem]:
    def judge(nic: Facts) -> t.Iterator[UserMode]:
        backend = nic.get("more.backend")
        if nic.get("type") == "user" or (nic.get("type") == "vhostuser" and backend == _PASST):
            yield UserMode(backend or "QEMU's own")

    return each_nic(view, judge)


def _user_mode(view: View, need: UserMode) -> t.Iterator[Problem]:
    if need.backend == _PASST and not view.destination.get("net.passt"):
        yield Problem(
            "NIC of domain {domain}",
            f"its backend is passt, which is not installed on {view.there}",
            expected="the program passt there too: libvirt starts it before QEMU",
            remedy="install passt there, or attach the NIC to a bridge",
            severity="error",
        )
    else:
        yield Problem("NIC of domain {domain}", f"user-mode networking ({need.backend})")


class Backend(t.NamedTuple):
    """A vhost-user NIC: the socket, which QEMU makes where it is the server, else its backend."""

    path: str
    mode: str


def _backends(view: View) -> t.Iterator[Backend | Problem]:
    def judge(nic: Facts) -> t.Iterator[Backend]:
        # with passt libvirt starts the backend and chooses the path
        if nic.get("type") == "vhostuser" and nic.get("more.backend") != _PASST:
            path = nic.get("more.source_path")
            if path is None:
                raise UnknownFact(f"the socket of NIC {nic.get('mac')} is not in the definition")
            yield Backend(path, nic.get("more.source_mode") or "client")

    return each_nic(view, judge)


def _wanted(need: Backend) -> str:
    return need.path.rpartition("/")[0] if need.mode == "server" else need.path


def _ask_backend(_view: View, need: Backend) -> t.Iterator[Question]:
    yield path_question(_wanted(need))


def _backend(view: View, need: Backend) -> t.Iterator[Problem]:
    wanted = _wanted(need)
    if not view.answer(view.destination_name, path_key(wanted)).get("exists"):
        thing = "folder for its socket" if need.mode == "server" else "socket of its backend"
        yield Problem("vhost-user NIC of domain {domain}", f"there is no {wanted} on {view.there}, the {thing}")


def _vdpa(view: View) -> t.Iterator[Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        if nic.get("type") == "vdpa":
            yield nic.get("more.dev") or nic.get("mac")

    for dev in each_nic(view, judge):
        yield dev if isinstance(dev, Problem) else Problem(f"NIC of domain {view.domain_name}", f"vDPA ({dev})")


def _kernel(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None:
        raise UnknownFact(f"kernel {release} has no version of the usual form")
    return int(found[1]), int(found[2])


def _offloads(view: View) -> t.Iterator[str | Problem]:
    """The source's kernel, of guests that may have been offered USO."""

    def judge(nic: Facts) -> t.Iterator[str]:
        if nic.get("type") in TAPS and nic.get("more.model") in _VIRTIO:
            release = view.source.get("kernel")
            if _kernel(release) >= _USO_KERNEL and view.source.get("qemu_version") >= _USO_QEMU:
                yield release

    return each_nic(view, judge)


def _offload(view: View, release: str) -> t.Iterator[Problem]:
    there = view.destination.get("kernel")
    if _kernel(there) < _USO_KERNEL:
        yield Problem(f"Kernel of {view.there}", there, expected=f"6.2 or newer, since {{domain}} runs on {release}")


class Address(t.NamedTuple):
    """A MAC address of a domain, and how its NIC finds what it is attached to."""

    mac: str
    uuid: str
    port: Port | None
    parent: str | None


def _macs(view: View) -> t.Iterator[Address | Problem]:
    def judge(nic: Facts) -> t.Iterator[Address]:
        port, parent = port_of(nic), parent_of(nic)
        if port is not None or parent is not None:
            yield Address(nic.get("mac").lower(), view.domain.get("uuid"), port, parent)

    return each_nic(view, judge)


def _in_use(view: View) -> dict[str, list[tuple[str, str]]]:
    """Last five bytes of the MAC addresses of guests at the destination -> (device, bridge or parent).

    A tap has its guest's MAC address but for the first byte, which is fe (virNetDevTapCreateInBridgePort).
    """

    def make(fleet: Fleet) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for name, link in fleet.hosts[view.there].get("net.links").items():
            if link["kind"] in ("tap", "macvtap"):
                found.setdefault(link["mac"][3:], []).append((name, link["master"] or next(iter(link["lower"]), "")))
        return found

    index: dict[str, list[tuple[str, str]]] = view.fleet.index(f"MAC addresses of guests on {view.there}", make)
    return index


def _clash(view: View, need: Address) -> t.Iterator[Problem]:
    taken = _in_use(view).get(need.mac[3:], ())
    # where the domain itself is active twice, another check says so
    if not taken or view.there in view.fleet.active(need.uuid):
        return
    where = need.parent if need.port is None else bridge_there(view, need.port)
    for device, on in taken:
        if on == where:
            yield Problem(f"MAC address {need.mac} of {{domain}}", f"{device} on {on} of {view.there} has it too")


CHECKS: tuple[Check, ...] = (
    Check(
        id="net_macvtap_parent",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the devices below the domain's macvtaps",
        expected="a device of the same name that is up, and free where it is passed through",
        remedy="choose a destination that has it, or map it to the device that is connected to the same network there",
        requires=Requirement(_parents, _parent),
        evidence="lab",
    ),
    Check(
        id="net_ethernet_unmanaged",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the taps and scripts of the domain's own",
        expected="the tap that is not managed by libvirt, and the scripts, on both hosts",
        remedy="make the tap there (ip tuntap add NAME mode tap), or copy the script",
        requires=Requirement(_ethernets, _ethernet, _ask_ethernet),
        evidence="lab",
    ),
    Check(
        id="net_target_dev_conflict",
        category="network",
        severity="error",
        scope="pair",
        title="The names of the domain's taps are free at the destination",
        expected="no device of that name: libvirt either refuses to start the guest there or takes the device over",
        remedy="remove the device there, or take <target dev> out of the definition (virsh update-device)",
        requires=Requirement(_names, _name),
        evidence="lab",
    ),
    Check(
        id="net_user_slirp_passt",
        category="network",
        severity="warning",
        scope="pair",
        title="The domain's NICs have a network of their own host",
        expected="a bridge or macvtap: connections through user-mode networking end with the move",
        remedy="move it only if its connections may break, else attach it to a bridge",
        requires=Requirement(_user_modes, _user_mode),
        evidence="lab",
    ),
    Check(
        id="net_vhostuser",
        category="network",
        severity="error",
        scope="pair",
        title="The destination has the backends of the domain's vhost-user NICs",
        expected="the socket where QEMU is the client, its folder where QEMU is the server",
        remedy="set up the same port in the backend there (DPDK, Open vSwitch) before the domain comes",
        requires=Requirement(_backends, _backend, _ask_backend),
        evidence="lab",
    ),
    Check(
        id="net_vdpa",
        category="network",
        severity="error",
        scope="domain",
        title="The domain has no vDPA NIC",
        expected="none: neither libvirt nor QEMU moves one without its backend's help",
        remedy="detach it before the migration and attach one at the destination afterwards",
        evaluate=_vdpa,
    ),
    Check(
        id="net_vhost_feature_parity",
        category="network",
        severity="warning",
        scope="pair",
        title="The destination's kernel offers what virtio NICs have been offered",
        # tun has had USO since Linux 6.2, QEMU offers it since 8.2; kernels of distributions may have it earlier.
        expected="a kernel with UDP segmentation offload in tun, 6.2 or newer",
        remedy="upgrade the kernel there, or choose another destination: a guest that uses the offload is refused "
        "there (Features unsupported) and stays on the source",
        requires=Requirement(_offloads, _offload),
        evidence="recorded",
    ),
    Check(
        id="net_mac_conflict",
        category="network",
        severity="error",
        scope="pair",
        title="No other guest at the destination has the domain's MAC addresses",
        expected="addresses that are used once in a network",
        remedy="find out which of the two guests is a copy (virsh domiflist) and give it another address",
        requires=Requirement(_macs, _clash),
        evidence="lab",
    ),
)
