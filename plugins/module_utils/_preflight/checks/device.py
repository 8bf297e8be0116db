# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of emulated devices: graphical consoles, models that QEMU cannot move, and what backs them on a host.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..._model.api import Facts, Question, UnknownFact
from ..check import Check, Evaluate, Problem, Requirement, View, each, version_text
from ..local import address_is_there, everywhere, in_use
from ..nics import TAPS, each_nic, with_edit
from ..questions import path_key, path_question

_CONSOLES = ("vnc", "spice")
_VDAGENT_QEMU = 10001000
_VIRTIO = ("virtio", "virtio-transitional", "virtio-non-transitional")
_CIDS: Question = {"key": "vsock_cids", "ask": "vsock_cids"}


def _devices(family: str) -> t.Callable[[View], list[Facts]]:
    return lambda view: view.domain.items(f"devices.{family}", "name")


class Listen(t.NamedTuple):
    """Where a console listens. ``configured``: perhaps because the source's qemu.conf says so."""

    kind: str
    address: str
    configured: bool


class ListenNetwork(t.NamedTuple):
    name: str


def _listens(view: View) -> t.Iterator[Listen | ListenNetwork | Problem]:
    def judge(console: Facts) -> t.Iterator[Listen | ListenNetwork]:
        kind, how = console.get("type"), console.get("listen_type")
        address = console.get("listen_address") or console.get("listen")
        if kind not in _CONSOLES:
            return
        if how == "network":
            yield ListenNetwork(console.get("listen_network"))
        elif how in ("address", None) and address is not None and not everywhere(address):
            yield Listen(kind, address, _configured(view, kind, address))

    return each(_devices("graphics")(view), judge)


def _configured(view: View, kind: str, address: str) -> bool:
    """libvirt shows its default in the live XML, and does not take it along (seen with 11.3)."""
    with contextlib.suppress(UnknownFact):
        return bool(view.source.get("net.consoles").get(f"{kind}_listen") == address)
    return False


def _listen(view: View, need: Listen | ListenNetwork) -> t.Iterator[Problem]:
    what = "Graphical console of domain {domain}"
    if isinstance(need, ListenNetwork):
        active = [network["name"] for network in view.destination.get("networks") if network["active"]]
        if need.name not in active:
            yield Problem(what, f"it listens on network {need.name}, which is not active on {view.there}")
    elif not address_is_there(view, need.address):
        problem = Problem(
            what,
            f"it listens on {need.address}, which {view.there} has not",
            severity="warning" if need.configured else None,
        )
        yield with_edit(view, "listen", need.address, problem, lambda new: address_is_there(view, new))


class Fixed(t.NamedTuple):
    kind: str
    address: str
    port: str


def _fixed_ports(view: View) -> t.Iterator[Fixed | Problem]:
    def judge(console: Facts) -> t.Iterator[Fixed]:
        kind = console.get("type")
        if kind in _CONSOLES and console.get("autoport") == "no":
            address = console.get("listen_address") or console.get("listen") or "127.0.0.1"
            for port in (console.get("port"), console.get("tls_port"), console.get("websocket")):
                if port is not None and int(port) > 0:
                    yield Fixed(kind, address, port)

    return each(_devices("graphics")(view), judge)


def _fixed_port(view: View, need: Fixed) -> t.Iterator[Problem]:
    taken = in_use(view, "tcp", need.address, need.port)
    if taken is not None:
        yield Problem(
            f"{need.kind.upper()} console of domain {{domain}}",
            f"its port is {need.port}, and on {view.there} something is at {taken}",
        )


def _console_kinds(view: View) -> t.Iterator[str | Problem]:
    kinds = [console.get("type") for console in _devices("graphics")(view)]
    yield from sorted({kind for kind in kinds if kind in _CONSOLES})


def _console_settings(view: View, kind: str) -> t.Iterator[Problem]:
    here, there = view.source.get("net.consoles"), view.destination.get("net.consoles")
    if there.get(f"{kind}_tls") and not there.get(f"{kind}_certificate"):
        yield Problem(
            f"{kind.upper()} of {view.there}",
            f"{kind}_tls is on in its qemu.conf, and there is no server-cert.pem",
            expected="the certificate that qemu.conf asks for: without it QEMU does not start",
            remedy="put the certificate there, or switch it off",
            severity="error",
        )
    names = [f"{kind}_{name}" for name in ("tls", "sasl", "password")]
    differing = [name for name in names if bool(here.get(name)) != bool(there.get(name))]
    if differing:
        yield Problem(
            f"{kind.upper()} of {view.there}", f"its qemu.conf differs in {', '.join(differing)} from the source's"
        )


class Render(t.NamedTuple):
    node: str


def _gl(view: View) -> t.Iterator[Render | Problem]:
    def of_video(video: Facts) -> t.Iterator[Render | Problem]:
        if video.get("accel3d") == "yes":
            yield Problem(f"Video card of domain {view.domain_name}", "its 3D acceleration (virgl)")
        if video.get("rendernode"):
            yield Render(video.get("rendernode"))

    def of_console(console: Facts) -> t.Iterator[Render | Problem]:
        if console.get("rendernode"):
            yield Render(console.get("rendernode"))

    yield from each(_devices("videos")(view), of_video)
    yield from each(_devices("graphics")(view), of_console)


def _ask_render(_view: View, need: Render) -> t.Iterator[Question]:
    yield path_question(need.node)


def _render(view: View, need: Render) -> t.Iterator[Problem]:
    if not view.answer(view.destination_name, path_key(need.node)).get("exists"):
        yield Problem(
            "Graphical console of domain {domain}",
            f"there is no render node {need.node} on {view.there}",
            expected="the same render node on both hosts",
        )


def _vdagent(view: View) -> t.Iterator[Problem]:
    def judge(channel: Facts) -> t.Iterator[Problem]:
        if channel.get("type") != "qemu-vdagent":
            return
        version = view.source.get("qemu_version")
        if version < _VDAGENT_QEMU:
            what = f"Channel {channel.get('target_name')} of domain {view.domain_name}"
            yield Problem(what, f"qemu-vdagent with QEMU {version_text(version)}")

    return each(_devices("channels")(view), judge)


def _shmem(view: View) -> t.Iterator[Problem]:
    def judge(shmem: Facts) -> t.Iterator[Problem]:
        what = f"Shared memory {shmem.get('shm')} of domain {view.domain_name}"
        if shmem.get("model") in (None, "ivshmem"):
            yield Problem(what, "its model is ivshmem, which QEMU does not move")
        elif shmem.get("role") != "master":
            yield Problem(what, f"its role is {shmem.get('role') or 'not set, which means peer'}")
        else:
            yield Problem(
                what,
                "other guests of the source see it no longer once this one has moved",
                expected="none, or one that no other guest uses",
                remedy="move it only if nothing else at the source uses this memory",
                severity="warning",
            )

    return each(_devices("shmems")(view), judge)


class Model(t.NamedTuple):
    """A device that QEMU cannot move: the family of devices, the column that tells, its values, and QEMU's name."""

    family: str
    column: str
    values: tuple[str | None, ...]
    qemu: str


_USB = (
    Model("sounds", "model", ("usb",), "usb-audio"),
    Model("serials", "target_type", ("usb-serial",), "usb-serial"),
)
_UNMIGRATABLE = (
    Model("cryptos", "model", ("virtio",), "virtio-crypto"),
    Model("sounds", "model", ("virtio",), "virtio-sound"),
    Model("inputs", "type", ("passthrough",), "virtio-input-host"),
    Model("iommus", "model", ("amd",), "amd-iommu"),
    Model("controllers", "type", ("nvme",), "nvme"),
)


def _unmigratable(models: t.Sequence[Model]) -> Evaluate:
    """QEMU itself names them: ``non-migratable device`` (query-migrate with QEMU 10.0)."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        for model in models:
            for device in view.domain.items(f"devices.{model.family}", "name"):
                if device.get(model.column) in model.values:
                    yield Problem(f"Device {device.get('name')} of domain {view.domain_name}", model.qemu)

    return evaluate


def _usb(view: View) -> t.Iterator[Problem]:
    def judge(nic: Facts) -> t.Iterator[str]:
        if nic.get("more.model") == "usb-net":
            yield nic.get("mac")

    yield from _unmigratable(_USB)(view)
    for mac in each_nic(view, judge):
        yield mac if isinstance(mac, Problem) else Problem(f"NIC {mac} of domain {view.domain_name}", "usb-net")


class Source(t.NamedTuple):
    """A path of the host behind a device; ``severity``: None where QEMU does not start without it."""

    what: str
    path: str
    severity: t.Literal["warning"] | None


def _paths(family: str, places: t.Callable[[Facts], t.Iterable[Source]]) -> Requirement:
    """What stands behind the devices of a family must be at the destination too."""

    def needs(view: View) -> t.Iterator[Source | Problem]:
        return each(_devices(family)(view), places)

    def asks(_view: View, need: Source) -> t.Iterator[Question]:
        yield path_question(need.path)

    def lacks(view: View, need: Source) -> t.Iterator[Problem]:
        if not view.answer(view.destination_name, path_key(need.path)).get("exists"):
            yield Problem(
                f"{need.what} of domain {{domain}}", f"there is no {need.path} on {view.there}", severity=need.severity
            )

    return Requirement(needs, lacks, asks)


def _rng(rng: Facts) -> t.Iterator[Source]:
    if rng.get("backend") == "random" and rng.get("source"):
        yield Source("Random number generator", rng.get("source"), None)


def _audio(audio: Facts) -> t.Iterator[Source]:
    """Tried with QEMU 10.0: without /dev/dsp it does not start, without /dev/snd the guest is silent."""
    kind, path = audio.get("type"), audio.get("path")
    if kind == "oss":
        yield Source("OSS audio", "/dev/dsp", None)
    elif kind == "alsa":
        yield Source("ALSA audio", "/dev/snd", "warning")
    elif kind == "file" and path:
        yield Source("Folder of the audio file", path.rpartition("/")[0] or "/", "warning")


def _input(device: Facts) -> t.Iterator[Source]:
    path = {"evdev": device.get("dev"), "passthrough": device.get("evdev")}.get(device.get("type"))
    if path:
        yield Source(f"Input device ({device.get('type')})", path, None)


def _passed(view: View) -> t.Iterator[Source | Problem]:
    """Input devices by their path, and smart cards, of which no path tells."""

    def of_card(card: Facts) -> t.Iterator[Problem]:
        backend = card.get("backend")
        if backend in ("host", "host-certificates"):
            yield Problem(
                f"Smart card of domain {view.domain_name}",
                f"it is one of the host (mode {backend})",
                expected="a card that comes over the console (mode passthrough), or the same card at the destination",
                remedy="plug the card in there before the guest comes: without it QEMU does not start",
                severity="warning",
            )

    yield from _INPUTS.needs(view)
    yield from each(_devices("smartcards")(view), of_card)


_INPUTS = _paths("inputs", _input)


class Cid(t.NamedTuple):
    cid: str


def _cids(view: View) -> t.Iterator[Cid | Problem]:
    def judge(vsock: Facts) -> t.Iterator[Cid]:
        if vsock.get("auto") != "yes" and vsock.get("cid"):
            yield Cid(vsock.get("cid"))

    return each(_devices("vsocks")(view), judge)


def _ask_cids(_view: View, _need: Cid) -> t.Iterator[Question]:
    yield _CIDS


def _cid(view: View, need: Cid) -> t.Iterator[Problem]:
    other = view.answer(view.destination_name, _CIDS["key"]).get("cids").get(need.cid)
    if other is not None:
        yield Problem("vsock of domain {domain}", f"its CID {need.cid} belongs to {other} on {view.there}")


class Vhost(t.NamedTuple):
    node: str
    demanded: bool


def _vhosts(view: View) -> t.Iterator[Vhost | Problem]:
    def judge(nic: Facts) -> t.Iterator[Vhost]:
        driver = nic.get("more.driver")
        if nic.get("type") in TAPS and nic.get("more.model") in _VIRTIO and driver in (None, "vhost"):
            demanded = driver == "vhost"
            if demanded or view.source.get("net.nodes")["/dev/vhost-net"]:
                yield Vhost("/dev/vhost-net", demanded)

    # Without KVM libvirt does not even look for vhost-net (src/qemu/qemu_interface.c, qemuInterfaceOpenVhostNet).
    if view.domain.get("virt_type") == "kvm":
        yield from each_nic(view, judge)
    if view.domain.get("devices.vsocks"):
        yield Vhost("/dev/vhost-vsock", True)


def _vhost(view: View, need: Vhost) -> t.Iterator[Problem]:
    if not view.destination.get("net.nodes")[need.node]:
        how = "without it the guest cannot start there" if need.demanded else "its packets would take the slow way"
        severity: t.Literal["error", "warning"] = "error" if need.demanded else "warning"
        yield Problem("Network of domain {domain}", f"{view.there} has no {need.node}, {how}", severity=severity)


CHECKS: tuple[Check, ...] = (
    Check(
        id="dev_graphics_listen",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has the addresses on which the domain's consoles listen",
        expected="an address of the destination, 0.0.0.0 or 127.0.0.1",
        remedy="let it listen on 0.0.0.0 or 127.0.0.1, or map the address to one of the destination",
        requires=Requirement(_listens, _listen),
        evidence="lab",
    ),
    Check(
        id="dev_graphics_port_free",
        category="device",
        severity="error",
        scope="pair",
        title="The fixed ports of the domain's consoles are free at the destination",
        expected="a free port, or autoport='yes'",
        remedy="end what has the port there (ss -lntp), or give the console autoport='yes' at the next start",
        requires=Requirement(_fixed_ports, _fixed_port),
        evidence="lab",
    ),
    Check(
        id="dev_graphics_tls_password",
        category="device",
        severity="warning",
        scope="pair",
        title="The destination protects consoles as the source does",
        expected="the same TLS, SASL and password settings in qemu.conf on both hosts",
        remedy="make qemu.conf alike on both hosts and restart the libvirt daemon; else people cannot log in to the "
        "console after the move, or can without the password",
        requires=Requirement(_console_kinds, _console_settings, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="dev_graphics_gl_rendernode",
        category="device",
        severity="error",
        scope="pair",
        title="The domain's display needs no GPU of its host",
        expected="no 3D acceleration: QEMU does not move virgl",
        remedy="shut the guest down, take accel3d (and the render node, where the destination has none) out of the "
        "definition, and start it again",
        requires=Requirement(_gl, _render, _ask_render),
    ),
    Check(
        id="dev_vdagent_channel",
        category="device",
        severity="error",
        scope="domain",
        title="No channel ends in QEMU's own vdagent",
        expected="none with QEMU older than 10.1, which does not move it",
        remedy="shut the guest down and take the channel (copy and paste over VNC) out of the definition",
        evaluate=_vdagent,
        evidence="lab",
    ),
    Check(
        id="dev_shmem",
        category="device",
        severity="error",
        scope="domain",
        title="The domain shares no memory with other guests",
        expected="none, or ivshmem-plain or ivshmem-doorbell with role='master': libvirt moves no other",
        remedy="detach it before the migration (virsh detach-device)",
        evaluate=_shmem,
        evidence="lab",
    ),
    Check(
        id="dev_unmigratable_usb_models",
        category="device",
        severity="error",
        scope="domain",
        title="The domain has no USB device that QEMU cannot move",
        expected="none of usb-audio, usb-net and usb-serial",
        remedy="unplug it before the migration (virsh detach-device-alias), or give the guest another model",
        evaluate=_usb,
        evidence="lab",
    ),
    Check(
        id="dev_unmigratable_virtio_models",
        category="device",
        severity="error",
        scope="domain",
        title="The domain has no other device that QEMU cannot move",
        expected="none of virtio-crypto, virtio-sound, virtio-input-host, amd-iommu and nvme",
        remedy="unplug it before the migration (virsh detach-device-alias), or give the guest another model",
        evaluate=_unmigratable(_UNMIGRATABLE),
        evidence="lab",
    ),
    Check(
        id="dev_rng_backend",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has the source of the domain's random numbers",
        expected="the same device on both hosts, /dev/urandom for example",
        remedy="load the driver of the hardware generator there, or use /dev/urandom at the next start of the guest",
        requires=_paths("rngs", _rng),
        evidence="lab",
    ),
    Check(
        id="dev_audio_backend",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has what the domain's sound goes to",
        expected="the same on both hosts",
        remedy="load the sound driver there, or use <audio type='none'> at the next start of the guest",
        requires=_paths("audios", _audio),
        evidence="lab",
    ),
    Check(
        id="dev_smartcard_input_passthrough",
        category="device",
        severity="error",
        scope="pair",
        title="The destination has the input devices and smart cards that the domain uses",
        expected="a device of the same name on both hosts",
        remedy="plug it in there, or detach it (virsh detach-device-alias)",
        requires=Requirement(_passed, _INPUTS.lacks, _INPUTS.asks),
    ),
    Check(
        id="net_vsock_cid",
        category="device",
        severity="error",
        scope="pair",
        title="The domain's vsock address is free at the destination",
        expected="a context id that no other guest there has, or auto='yes'",
        remedy="give one of the two guests auto='yes' or another id, and power-cycle it",
        requires=Requirement(_cids, _cid, _ask_cids),
    ),
    Check(
        id="dev_vhost_modules",
        category="device",
        severity="warning",
        scope="pair",
        title="The destination has the kernel's vhost drivers that the domain uses",
        expected="the same on both hosts",
        remedy="modprobe vhost_net there, vhost_vsock for vsock",
        requires=Requirement(_vhosts, _vhost),
        evidence="recorded",
    ),
)
