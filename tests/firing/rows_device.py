# SPDX-License-Identifier: GPL-3.0-or-later
"""Consoles, ports, models of devices, and what backs them on a host."""

from __future__ import annotations

from tests.firing.provocation import Provocation, XmlEdit, device, replaced

_LISTENER = """cat > /tmp/p-listen.py <<"X"
import signal, socket
listening = socket.create_server(("127.0.0.1", {port}))
open("/tmp/p-listening", "w").close()
signal.pause()
X
setsid python3 /tmp/p-listen.py </dev/null >/dev/null 2>&1 & echo $! > /tmp/p-listen.pid
for n in $(seq 50); do [ -e /tmp/p-listening ] && break; sleep 0.1; done"""
_NO_LISTENER = "kill $(cat /tmp/p-listen.pid); rm -f /tmp/p-listen*"
_CONF = "/etc/libvirt/qemu.conf"
_QXL = "$(find /usr/lib -name hw-display-qxl.so)"


def _usb(xml: str) -> XmlEdit:
    """The guest with a USB controller and a device on it."""
    controller = "<controller type='usb' index='0' model='qemu-xhci'/>"

    def edit(plain: str) -> str:
        return device(xml)(replaced("<controller type='usb' model='none'/>", controller)(plain))

    return edit


ROWS: tuple[Provocation, ...] = (
    Provocation(
        "dev_graphics_listen",
        "VNC on an address that only the source has",
        "it listens on 198.51.100.77, which hv2 has not",
        guest=device("<graphics type='vnc' autoport='yes' listen='198.51.100.77'/>"),
        before={"hv1": "ip addr add 198.51.100.77/32 dev lo"},
        after={"hv1": "ip addr del 198.51.100.77/32 dev lo"},
    ),
    Provocation(
        "dev_graphics_port_free",
        "VNC on a fixed port that a program of the destination has",
        "its port is 5987, and on hv2 something is at 127.0.0.1 port 5987",
        guest=device("<graphics type='vnc' autoport='no' port='5987' listen='127.0.0.1'/>"),
        before={"hv2": _LISTENER.format(port=5987)},
        after={"hv2": _NO_LISTENER},
    ),
    Provocation(
        "dev_graphics_tls_password",
        "SASL for VNC switched on in qemu.conf of the destination",
        "its qemu.conf differs in vnc_sasl from the source's",
        guest=device("<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>"),
        before={"hv2": f"echo 'vnc_sasl = 1' >> {_CONF}"},
        after={"hv2": f"sed -i '/^vnc_sasl = 1$/d' {_CONF}"},
    ),
    Provocation(
        "dev_vdagent_channel",
        "a channel that ends in QEMU's own vdagent",
        "qemu-vdagent with QEMU 10.0",
        guest=device("<channel type='qemu-vdagent'><target type='virtio' name='com.redhat.spice.0'/></channel>"),
    ),
    Provocation(
        "dev_shmem",
        "an ivshmem-plain device without role='master'",
        "its role is not set, which means peer",
        guest=device("<shmem name='p-shm'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>"),
    ),
    Provocation(
        "dev_unmigratable_usb_models",
        "a USB sound card",
        "usb-audio",
        guest=_usb("<sound model='usb'/>"),
    ),
    Provocation(
        "dev_unmigratable_virtio_models",
        "a virtio-crypto device",
        "virtio-crypto",
        guest=device("<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>"),
    ),
    Provocation(
        "dev_rng_backend",
        "random numbers from a device that only the source has",
        "there is no /dev/p-rng on hv2",
        guest=device("<rng model='virtio'><backend model='random'>/dev/p-rng</backend></rng>"),
        before={"hv1": "mknod /dev/p-rng c 1 9"},
        after={"hv1": "rm /dev/p-rng"},
    ),
    Provocation(
        "dev_audio_backend",
        "sound by ALSA, without a sound card at the destination",
        "there is no /dev/snd on hv2",
        guest=device("<audio id='1' type='alsa'/><sound model='ich9'/>"),
    ),
    Provocation(
        "dev_models_supported_dest",
        "a qxl card, whose module QEMU at the destination has not",
        "video qxl is not among what hv2 offers",
        guest=device("<video><model type='qxl'/></video>"),
        before={"hv2": f"mv {_QXL} /var/tmp"},
        after={"hv2": "mv /var/tmp/hw-display-qxl.so $(dirname $(find /usr/lib -name hw-display-virtio-gpu.so))"},
    ),
    Provocation(
        "dev_serial_host_device",
        "a serial port on a device that only the source has",
        "there is no /dev/p-tty on hv2",
        guest=device("<serial type='dev'><source path='/dev/p-tty'/></serial>"),
        before={"hv1": "mknod /dev/p-tty c 1 3"},
        after={"hv1": "rm /dev/p-tty"},
    ),
    Provocation(
        "dev_chardev_tcp_ports",
        "a serial port on a TCP port that a program of the destination has",
        "it is to be bound to tcp 127.0.0.1 port 7791, and on hv2 something is at 127.0.0.1 port 7791",
        guest=device(
            "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='7791'/><protocol type='raw'/></serial>"
        ),
        before={"hv2": _LISTENER.format(port=7791)},
        after={"hv2": _NO_LISTENER},
    ),
    Provocation(
        "dev_chardev_unix_path",
        "a serial port on a socket in a folder that only the source has",
        "there is no /srv/p-sockets on hv2",
        guest=device("<serial type='unix'><source mode='bind' path='/srv/p-sockets/serial'/></serial>"),
        before={"hv1": "mkdir /srv/p-sockets"},
        after={"hv1": "rm -r /srv/p-sockets"},
    ),
)
