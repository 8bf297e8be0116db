# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of consoles, ports, models of devices, and what backs them."""

from __future__ import annotations

import typing as t

from tests.unit.preflight.case import Case, Edit, both, device, fact, more, put
from tests.unit.preflight.scene import Scene


def _path(path: str, exists: bool) -> Edit:
    return lambda scene: scene.answers["hv2"].update({f"path:{path}": {"path": path, "exists": exists}})


def _vnc(address: str = "127.0.0.1", **columns: t.Any) -> Edit:
    listen = {"listen": address, "listen_type": "address", "listen_address": address}
    return device("graphics", **{"type": "vnc", "port": "5900", "autoport": "yes", **listen, **columns})


def _bound(what: str) -> Edit:
    return lambda scene: scene.destination["net"]["sockets"].append(what)


def _node(part: str, node: str, there: bool) -> Edit:
    return lambda scene: getattr(scene, part)["net"]["nodes"].update({node: there})


def _cids(**cids: str) -> Edit:
    found = {name.lstrip("c"): owner for name, owner in cids.items()}
    return lambda scene: scene.answers["hv2"].update({"vsock_cids": {"cids": found}})


def _offered(models: list[str]) -> Edit:
    def edit(scene: Scene) -> None:
        scene.answer("hv2", "capabilities:")["devices"]["video"]["modelType"] = models

    return edit


_QXL = device("videos", model="qxl")

CASES: dict[str, Case] = {
    "dev_graphics_listen": Case(
        _vnc("198.51.100.1"), "it listens on 198.51.100.1, which hv2 has not", _vnc("198.51.100.2")
    ),
    "dev_graphics_port_free": Case(
        both(_vnc(autoport="no", port="5987"), _bound("tcp 0.0.0.0 5987")),
        "its port is 5987, and on hv2 something is at 0.0.0.0 port 5987",
        both(_vnc(autoport="no", port="5987"), _bound("tcp 198.51.100.2 5987")),
    ),
    "dev_graphics_tls_password": Case(
        both(_vnc(), fact("source", "net.consoles", {"vnc_sasl": 1})),
        "its qemu.conf differs in vnc_sasl from the source's",
        both(_vnc(), fact("source", "net.consoles", {"vnc_sasl": 0, "spice_sasl": 1})),
        blocks=False,
    ),
    "dev_graphics_gl_rendernode": Case(
        both(
            device("graphics", type="egl-headless", rendernode="/dev/dri/renderD128"),
            _path("/dev/dri/renderD128", False),
        ),
        "there is no render node /dev/dri/renderD128 on hv2",
        both(
            device("graphics", type="egl-headless", rendernode="/dev/dri/renderD128"),
            _path("/dev/dri/renderD128", True),
            device("videos", model="virtio", accel3d="no"),
        ),
        documented="formatdomain, graphics and video: the lab has no GPU",
    ),
    "dev_vdagent_channel": Case(
        device("channels", type="qemu-vdagent", target_type="virtio", target_name="com.redhat.spice.0"),
        "qemu-vdagent with QEMU 10.0.13",
        device("channels", type="spicevmc", target_type="virtio", target_name="com.redhat.spice.0"),
    ),
    "dev_shmem": Case(
        device("shmems", shm="ring", model="ivshmem-plain"),
        "its role is not set, which means peer",
        device("panics", model="pvpanic"),
    ),
    "dev_unmigratable_usb_models": Case(
        device("sounds", model="usb"), "Device sounds9 of domain web1: usb-audio", device("sounds", model="ich9")
    ),
    "dev_unmigratable_virtio_models": Case(
        device("cryptos", model="virtio", backend="builtin"), "virtio-crypto", device("sounds", model="usb")
    ),
    "dev_rng_backend": Case(
        both(device("rngs", model="virtio", backend="random", source="/dev/hwrng"), _path("/dev/hwrng", False)),
        "there is no /dev/hwrng on hv2",
        both(
            device("rngs", model="virtio", backend="random", source="/dev/urandom"),
            _path("/dev/urandom", True),
            device("rngs", model="virtio", backend="builtin"),
        ),
    ),
    "dev_audio_backend": Case(
        both(device("audios", type="oss", id="2"), _path("/dev/dsp", False)),
        "there is no /dev/dsp on hv2",
        device("audios", type="spice", id="2"),
    ),
    "dev_smartcard_input_passthrough": Case(
        both(device("inputs", type="evdev", dev="/dev/input/event3"), _path("/dev/input/event3", False)),
        "Input device (evdev) of domain web1: there is no /dev/input/event3 on hv2",
        both(device("inputs", type="evdev", dev="/dev/input/event3"), _path("/dev/input/event3", True)),
        documented="formatdomain, input devices: the lab has none",
    ),
    "net_vsock_cid": Case(
        both(device("vsocks", model="virtio", cid="42", auto="no"), _cids(c42="mail1")),
        "its CID 42 belongs to mail1 on hv2",
        both(device("vsocks", model="virtio", cid="42", auto="no"), _cids(c43="mail1")),
        documented="formatdomain, vsock: the lab's kernel has none",
    ),
    "dev_vhost_modules": Case(
        _node("destination", "/dev/vhost-net", False),
        "hv2 has no /dev/vhost-net, its packets would take the slow way",
        more("nic", driver="qemu"),
        blocks=False,
        given=both(put("domain", virt_type="kvm"), _node("source", "/dev/vhost-net", True)),
    ),
    "dev_models_supported_dest": Case(
        both(_QXL, _offered(["vga", "virtio"])),
        "video qxl is not among what hv2 offers (vga, virtio)",
        both(_QXL, _offered(["vga", "qxl"])),
    ),
    "dev_serial_host_device": Case(
        both(device("serials", type="dev", path="/dev/ttyS1"), _path("/dev/ttyS1", False)),
        "there is no /dev/ttyS1 on hv2",
        both(device("serials", type="dev", path="/dev/ttyS1"), _path("/dev/ttyS1", True)),
    ),
    "dev_chardev_tcp_ports": Case(
        both(
            device("serials", type="tcp", mode="bind", bind_host="127.0.0.1", bind_service="7791"),
            _bound("tcp 0.0.0.0 7791"),
        ),
        "it is to be bound to tcp 127.0.0.1 port 7791, and on hv2 something is at 0.0.0.0 port 7791",
        both(
            device("serials", type="tcp", mode="bind", bind_host="127.0.0.1", bind_service="7791"),
            _bound("udp 0.0.0.0 7791"),
        ),
    ),
    "dev_chardev_unix_path": Case(
        both(
            device("channels", type="unix", mode="bind", path="/run/agents/web1.sock", target_type="virtio"),
            _path("/run/agents", False),
        ),
        "there is no /run/agents on hv2, the folder for its file or socket",
        device(
            "channels",
            type="unix",
            mode="bind",
            path="/var/lib/libvirt/qemu/channel/target/domain-1-web1/org.qemu.guest_agent.0",
            target_type="virtio",
        ),
    ),
}
