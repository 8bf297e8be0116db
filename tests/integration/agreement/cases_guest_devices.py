# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that do not migrate, or that the destination cannot make: models, modules, files, ports."""

from __future__ import annotations

from tests.firing.provocation import device
from tests.integration.agreement.case import Case
from tests.integration.agreement.pieces import (
    ELSEWHERE,
    HV3,
    MODULES,
    OLD,
    away,
    back,
    ended,
    holding,
    qemu_arguments,
    usb,
)
from tests.integration.agreement.shell import after, both

USB_MODELS, VIRTIO_MODELS = "dev_unmigratable_usb_models", "dev_unmigratable_virtio_models"
BLOCKED, UNMIGRATABLE = "qmp_blocked_reasons", "machine_unmigratable_devices"
COMMAND_LINE, MODULE, MODEL = "machine_qemu_commandline", "host_qemu_modules", "dev_models_supported_dest"
LISTEN, PORT, CHARDEV_PORT = "dev_graphics_listen", "dev_graphics_port_free", "dev_chardev_tcp_ports"
OWN_FILE = "/run/g-own.raw"
LOCAL_ADDRESS = f"ip addr add {ELSEWHERE}/32 dev lo"
NO_LOCAL_ADDRESS = f"ip addr del {ELSEWHERE}/32 dev lo"
SPICE = "<graphics type='spice' autoport='yes' listen='127.0.0.1'/>"
USB = ("-device", "qemu-xhci,id=g-usb,addr=0x1d")
CONNECT = "<source mode='connect' host='127.0.0.1' service='7793'/>"

_UNMIGRATABLE: tuple[Case, ...] = (
    Case("dev-usb-audio", "a USB sound card", (USB_MODELS, BLOCKED), guest=usb("<sound model='usb'/>")),
    Case(
        "dev-virtio-crypto",
        "a virtio-crypto device",
        (VIRTIO_MODELS, BLOCKED),
        guest=device("<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>"),
    ),
    Case(
        "dev-virtio-sound",
        "a virtio sound card",
        (VIRTIO_MODELS, BLOCKED, UNMIGRATABLE),
        guest=device("<sound model='virtio'/><audio id='1' type='none'/>"),
    ),
    Case(
        "dev-nvme-by-argument",
        "an emulated NVMe drive that QEMU was given past libvirt",
        (UNMIGRATABLE, BLOCKED, COMMAND_LINE),
        guest=qemu_arguments(
            "-drive", "if=none,id=g-nvme,driver=null-co,size=1M", "-device", "nvme,drive=g-nvme,serial=g,addr=0x1d"
        ),
    ),
    Case(
        "dev-usb-net-by-argument",
        "a USB NIC that QEMU was given past libvirt",
        (USB_MODELS, BLOCKED, COMMAND_LINE),
        guest=qemu_arguments(*USB, "-netdev", "hubport,hubid=7,id=g-net", "-device", "usb-net,netdev=g-net"),
    ),
    Case(
        "dev-usb-serial-by-argument",
        "a USB serial port that QEMU was given past libvirt",
        (USB_MODELS, BLOCKED, COMMAND_LINE),
        guest=qemu_arguments(*USB, "-chardev", "null,id=g-null", "-device", "usb-serial,chardev=g-null"),
    ),
    Case(
        "dev-rocker-by-argument",
        "a switch of model rocker that QEMU was given past libvirt",
        (UNMIGRATABLE, BLOCKED, COMMAND_LINE),
        guest=qemu_arguments("-device", "rocker,name=g,addr=0x1d"),
    ),
    Case(
        "dev-vdagent",
        "a channel that ends in QEMU's own agent for the clipboard",
        ("dev_vdagent_channel", BLOCKED),
        guest=device("<channel type='qemu-vdagent'><target type='virtio' name='com.redhat.spice.0'/></channel>"),
    ),
)

_BY_ARGUMENT: tuple[Case, ...] = (
    Case(
        "dev-file-by-argument-gone-there",
        "QEMU was given a disk past libvirt, in a file that only the source has",
        (COMMAND_LINE,),
        guest=qemu_arguments(
            "-drive", f"if=none,id=g-own,format=raw,file={OWN_FILE}", "-device", "virtio-blk-pci,drive=g-own,addr=0x1d"
        ),
        before={"hv1": f"truncate -s 1M {OWN_FILE}"},
        after=after(f"rm -f {OWN_FILE}"),
    ),
    Case(
        "dev-fwcfg-by-argument-gone-there",
        "QEMU was given a file for the firmware past libvirt, which only the source has",
        (COMMAND_LINE,),
        guest=qemu_arguments("-fw_cfg", f"name=opt/org.example/g,file={OWN_FILE}"),
        before={"hv1": f"truncate -s 1K {OWN_FILE}"},
        after=after(f"rm -f {OWN_FILE}"),
    ),
    Case(
        "dev-port-by-argument-taken-there",
        "QEMU was given a monitor on a TCP port past libvirt, which is another program's at the destination",
        (COMMAND_LINE, CHARDEV_PORT),
        guest=qemu_arguments("-monitor", "tcp:127.0.0.1:7794,server=on,wait=off"),
        before={"hv2": holding(7794, address="127.0.0.1")},
        after=after(there=ended(7794)),
    ),
)

_MODELS: tuple[Case, ...] = (
    Case(
        "dev-watchdog-unknown-there",
        "a watchdog of a model that the older libvirt does not know",
        (MODEL,),
        wanted=OLD,
        guest=device("<watchdog model='itco' action='none'/>"),
        destination=HV3,
    ),
    Case(
        "dev-panic-unknown-there",
        "a panic device of a model that the older libvirt does not know",
        (MODEL,),
        wanted=OLD,
        guest=device("<panic model='pvpanic'/>"),
        destination=HV3,
    ),
    Case(
        "dev-qxl-module-gone-there",
        "a qxl card, for which the destination's QEMU has no module",
        (MODEL, MODULE),
        guest=device("<video><model type='qxl'/></video>"),
        before={"hv2": away(f"{MODULES}/hw-display-qxl.so")},
        after=after(there=back(f"{MODULES}/hw-display-qxl.so")),
    ),
    Case(
        "dev-virtio-gpu-module-gone-there",
        "a virtio card, for which the destination's QEMU has no modules",
        (MODEL, MODULE),
        guest=device("<video><model type='virtio'/></video>"),
        before={"hv2": f"mkdir /run/g-modules; mv {MODULES}/hw-display-virtio-* /run/g-modules"},
        after=after(there=f"mv /run/g-modules/* {MODULES}; rmdir /run/g-modules"),
    ),
    Case(
        "dev-spice-module-gone-there",
        "SPICE, for which the destination's QEMU has no module",
        (MODULE, MODEL),
        guest=device(SPICE),
        before={"hv2": away(f"{MODULES}/ui-spice-core.so")},
        after=after(there=back(f"{MODULES}/ui-spice-core.so")),
    ),
    Case(
        "dev-spicevmc-module-gone-there",
        "SPICE with its agent's channel, for which the destination's QEMU has no module",
        (MODULE, MODEL),
        guest=device(f"{SPICE}<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>"),
        before={"hv2": away(f"{MODULES}/chardev-spice.so")},
        after=after(there=back(f"{MODULES}/chardev-spice.so")),
    ),
    Case(
        "dev-redirect-module-gone-there",
        "SPICE with USB redirection, for which the destination's QEMU has no module",
        (MODULE, MODEL, "hd_usb_redirdev"),
        guest=both(usb("<redirdev bus='usb' type='spicevmc'/>"), device(SPICE)),
        before={"hv2": away(f"{MODULES}/hw-usb-redirect.so")},
        after=after(there=back(f"{MODULES}/hw-usb-redirect.so")),
    ),
    Case(
        "dev-smartcard-module-gone-there",
        "SPICE with a smart card, for which the destination's QEMU has no module",
        (MODULE, MODEL, "dev_smartcard_input_passthrough"),
        guest=both(usb("<smartcard mode='passthrough' type='spicevmc'/>"), device(SPICE)),
        before={"hv2": away(f"{MODULES}/hw-usb-smartcard.so")},
        after=after(there=back(f"{MODULES}/hw-usb-smartcard.so")),
    ),
)

_DISPLAYS: tuple[Case, ...] = (
    Case(
        "dev-vnc-address-gone-there",
        "VNC listens on an address that only the source has",
        (LISTEN,),
        guest=device(f"<graphics type='vnc' autoport='yes' listen='{ELSEWHERE}'/>"),
        before={"hv1": LOCAL_ADDRESS},
        after=after(NO_LOCAL_ADDRESS),
    ),
    Case(
        "dev-spice-address-gone-there",
        "SPICE listens on an address that only the source has",
        (LISTEN,),
        guest=device(f"<graphics type='spice' autoport='yes' listen='{ELSEWHERE}'/>"),
        before={"hv1": LOCAL_ADDRESS},
        after=after(NO_LOCAL_ADDRESS),
    ),
    Case(
        "dev-vnc-port-taken-there",
        "VNC has a fixed port, which is another program's at the destination",
        (PORT,),
        guest=device("<graphics type='vnc' autoport='no' port='5987' listen='127.0.0.1'/>"),
        before={"hv2": holding(5987)},
        after=after(there=ended(5987)),
    ),
    Case(
        "dev-vnc-websocket-taken-there",
        "VNC has a fixed port for websockets, which is another program's at the destination",
        (PORT,),
        guest=device("<graphics type='vnc' autoport='no' port='5988' websocket='5789' listen='127.0.0.1'/>"),
        before={"hv2": holding(5789)},
        after=after(there=ended(5789)),
    ),
    Case(
        "dev-spice-port-taken-there",
        "SPICE has a fixed port, which is another program's at the destination",
        (PORT,),
        guest=device("<graphics type='spice' autoport='no' port='5986' listen='127.0.0.1'/>"),
        before={"hv2": holding(5986)},
        after=after(there=ended(5986)),
    ),
    Case(
        "dev-vnc-socket-folder-gone-there",
        "VNC is a socket in a folder that only the source has",
        (LISTEN, "dev_chardev_unix_path"),
        guest=device("<graphics type='vnc'><listen type='socket' socket='/run/g-vnc/socket'/></graphics>"),
        before={"hv1": "mkdir -p /run/g-vnc"},
        after=after("rm -rf /run/g-vnc"),
    ),
)

_CHARDEVS: tuple[Case, ...] = (
    Case(
        "dev-serial-port-taken-there",
        "the second serial port listens on a TCP port that is another program's at the destination",
        (CHARDEV_PORT,),
        guest=device(
            "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='7791'/><protocol type='raw'/></serial>"
        ),
        before={"hv2": holding(7791)},
        after=after(there=ended(7791)),
    ),
    Case(
        "dev-serial-address-gone-there",
        "the second serial port listens on an address that only the source has",
        (CHARDEV_PORT,),
        guest=device(
            f"<serial type='tcp'><source mode='bind' host='{ELSEWHERE}' service='7791'/><protocol type='raw'/></serial>"
        ),
        before={"hv1": LOCAL_ADDRESS},
        after=after(NO_LOCAL_ADDRESS),
    ),
    Case(
        "dev-serial-server-gone-there",
        "the second serial port connects to a program at 127.0.0.1, which runs at the source only",
        (CHARDEV_PORT,),
        guest=device(f"<serial type='tcp'>{CONNECT}<protocol type='raw'/></serial>"),
        before={"hv1": holding(7793, address="127.0.0.1")},
        after=after(ended(7793)),
    ),
    Case(
        "dev-serial-udp-taken-there",
        "the second serial port is a UDP port that is another program's at the destination",
        (CHARDEV_PORT,),
        guest=device(
            "<serial type='udp'><source mode='bind' host='127.0.0.1' service='7795'/>"
            "<source mode='connect' host='127.0.0.1' service='7796'/></serial>"
        ),
        before={"hv2": holding(7795, "DGRAM")},
        after=after(there=ended(7795)),
    ),
    Case(
        "dev-serial-device-gone-there",
        "the second serial port is a device that only the source has",
        ("dev_serial_host_device",),
        guest=device("<serial type='dev'><source path='/dev/g-tty'/></serial>"),
        before={"hv1": "mknod /dev/g-tty c 1 3"},
        after=after("rm /dev/g-tty"),
    ),
    Case(
        "dev-redirect-port-taken-there",
        "USB redirection listens on a TCP port that is another program's at the destination",
        (CHARDEV_PORT, "hd_usb_redirdev"),
        guest=usb(
            "<redirdev bus='usb' type='tcp'><source mode='bind' host='127.0.0.1' service='7797'/>"
            "<protocol type='raw'/></redirdev>"
        ),
        before={"hv2": holding(7797)},
        after=after(there=ended(7797)),
    ),
    Case(
        "dev-rng-device-gone-there",
        "random numbers come from a device that only the source has",
        ("dev_rng_backend",),
        guest=device("<rng model='virtio'><backend model='random'>/dev/g-rng</backend></rng>"),
        before={"hv1": "mknod /dev/g-rng c 1 9"},
        after=after("rm /dev/g-rng"),
    ),
    Case(
        "dev-rng-server-gone-there",
        "random numbers come from a program at 127.0.0.1, which runs at the source only",
        ("dev_rng_backend", CHARDEV_PORT),
        guest=device(
            f"<rng model='virtio'><backend model='egd' type='tcp'>{CONNECT}<protocol type='raw'/></backend></rng>"
        ),
        before={"hv1": holding(7793, address="127.0.0.1")},
        after=after(ended(7793)),
    ),
)

CASES: tuple[Case, ...] = _UNMIGRATABLE + _BY_ARGUMENT + _MODELS + _DISPLAYS + _CHARDEVS
