# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be changed about a guest's NICs, devices and the rest."""

from __future__ import annotations

from tests.firing.provocation import device, element, replaced
from tests.integration.agreement.case import BACKWARD
from tests.integration.agreement.cases_clean import (
    BOOT,
    BRIDGED,
    NIC,
    NO_NETWORK,
    network,
    second_nic,
    usb,
    without_nic,
)
from tests.integration.agreement.mutation_kinds import ALONE, BRIDGE, GONE, KERNEL, Mutation, commandline
from tests.integration.agreement.shell import END, HERE, SHARED_MEMORY, both, filled

XHCI = "<controller type='usb' index='0' model='qemu-xhci'/>"

_NET: tuple[Mutation, ...] = (
    Mutation("no-nic", "no NIC", ("nic",), without_nic),
    Mutation("e1000", "an e1000 NIC", ("nic",), replaced(NIC, "<model type='e1000'/></interface>")),
    Mutation(
        "mtu",
        "a NIC with a smaller MTU",
        ("nic",),
        replaced(NIC, "<model type='virtio'/><mtu size='1400'/></interface>"),
    ),
    Mutation(
        "user-nic",
        "a second NIC in user mode",
        ("nic2",),
        device("<interface type='user'><model type='virtio'/></interface>"),
    ),
    Mutation(
        "tap-nic",
        "a second NIC on a tap in no bridge",
        ("nic2",),
        device("<interface type='ethernet'><model type='virtio'/></interface>"),
    ),
    Mutation(
        "down-nic", "a second NIC without a link", ("nic2",), second_nic("<model type='virtio'/><link state='down'/>")
    ),
    Mutation(
        "bridge-here",
        "its NIC on a bridge that only the source has",
        ("nic",),
        replaced(BRIDGE, '<source bridge="br-here"/>'),
        before={"hv1": "ip link add br-here type bridge; ip link set br-here up"},
        after={"hv1": f"{END}; ip link del br-here"},
    ),
    Mutation(
        "network-here",
        "a second NIC in a libvirt network that only the source has",
        ("nic2",),
        second_nic("<model type='virtio'/>", "network", "network='b-net'"),
        before={"hv1": network(BRIDGED)},
        after={"hv1": f"{END}; {NO_NETWORK}"},
    ),
)

_DEVICES: tuple[Mutation, ...] = (
    Mutation(
        "crypto",
        "a virtio-crypto device",
        ("crypto",),
        device("<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>"),
    ),
    Mutation(
        "nvme",
        "an NVMe controller past libvirt",
        ("commandline", "pcie"),
        commandline("-device", "nvme,serial=b,bus=pcie.0,addr=0x1c"),
    ),
    Mutation(
        "mtp",
        "a USB MTP device past libvirt",
        ("commandline",),
        commandline("-device", "qemu-xhci,id=bx,addr=0x1c", "-device", "usb-mtp,bus=bx.0,rootdir=/srv/shared/boot"),
    ),
    Mutation(
        "edu",
        "QEMU's device for teaching past libvirt",
        ("commandline", "pcie"),
        commandline("-device", "edu,bus=pcie.0,addr=0x1c"),
    ),
    Mutation(
        "testdev",
        "QEMU's PCI test device past libvirt",
        ("commandline", "pcie"),
        commandline("-device", "pci-testdev,bus=pcie.0,addr=0x1c"),
    ),
    Mutation(
        "usb-net",
        "a second NIC on USB",
        ("nic2", "usb"),
        usb(XHCI, "<interface type='bridge'><source bridge='br0'/><model type='usb-net'/></interface>"),
    ),
    Mutation(
        "usb-serial",
        "a serial port on USB",
        ("serial", "usb"),
        usb(XHCI, "<serial type='pty'><target type='usb-serial' port='1'><model name='usb-serial'/></target></serial>"),
    ),
    Mutation(
        "usb-stick",
        "a USB stick that both hosts see",
        ("usb", "stick"),
        usb(
            XHCI,
            "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source file='{BOOT}/vmlinuz'/><target dev='sdf' bus='usb'/><readonly/></disk>",
        ),
    ),
    Mutation(
        "fw-cfg",
        "a string for the firmware past libvirt",
        ("commandline",),
        commandline("-fw_cfg", "name=opt/org.example/b,string=x"),
    ),
    Mutation(
        "fw-cfg-file",
        "a file for the firmware past libvirt, which only the source has",
        ("commandline",),
        commandline("-fw_cfg", f"name=opt/org.example/b,file={HERE}/blob"),
        before={"hv1": filled(f"{HERE}/blob", "0x11")},
        after=GONE,
    ),
    Mutation(
        "9p",
        "a 9p file system that the guest does not mount",
        ("filesystem",),
        device("<filesystem type='mount' accessmode='mapped'>" f"<source dir='{BOOT}'/><target dir='b'/></filesystem>"),
    ),
    Mutation(
        "virtiofs",
        "a virtiofs file system that the guest does not mount",
        ("filesystem", "backing"),
        both(
            SHARED_MEMORY,
            device(
                "<filesystem type='mount'><driver type='virtiofs'/>"
                f"<source dir='{BOOT}'/><target dir='b'/></filesystem>"
            ),
        ),
    ),
    Mutation(
        "shmem-peer",
        "shared memory of a peer",
        ("shmem",),
        device("<shmem name='{name}'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>"),
    ),
    Mutation(
        "shmem-master",
        "shared memory of a master",
        ("shmem",),
        device("<shmem name='{name}' role='master'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>"),
    ),
    Mutation(
        "tpm",
        "an emulated TPM",
        ("tpm",),
        device("<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"),
    ),
    Mutation(
        "watchdog", "a watchdog that resets", ("watchdog",), device("<watchdog model='i6300esb' action='reset'/>")
    ),
    Mutation(
        "usb-sound",
        "a USB sound card",
        ("usb",),
        usb(XHCI, "<sound model='usb'/>"),
    ),
    Mutation(
        "usb-ccid",
        "a USB smart card reader that takes cards by SPICE",
        ("usb", "graphics", "video"),
        usb(
            XHCI,
            "<smartcard mode='passthrough' type='spicevmc'/><graphics type='spice' autoport='yes'/>",
        ),
    ),
    Mutation(
        "redirected",
        "a USB redirection without a client",
        ("usb", "redirect"),
        usb(
            XHCI,
            "<redirdev bus='usb' type='tcp'>"
            "<source mode='bind' host='127.0.0.1' service='4123'/><protocol type='raw'/></redirdev>",
        ),
        before=ALONE,
    ),
    Mutation("hda", "an HDA sound card", ("sound",), device("<sound model='ich9'/>")),
    Mutation(
        "rng-device",
        "random numbers from the host",
        ("rng",),
        device("<rng model='virtio'><backend model='random'>/dev/random</backend></rng>"),
    ),
    Mutation("viommu", "an IOMMU of virtio", ("iommu", "pcie"), device("<iommu model='virtio'/>")),
    Mutation(
        "vdagent",
        "a channel to QEMU's own vdagent",
        ("vdagent",),
        device("<channel type='qemu-vdagent'><target type='virtio' name='com.redhat.spice.0'/></channel>"),
    ),
    Mutation(
        "vnc-own",
        "VNC on an address of the source's own",
        ("graphics", "video"),
        device("<graphics type='vnc' autoport='yes' listen='198.51.100.1'/>"),
        before=ALONE,
    ),
    Mutation(
        "vnc-port",
        "VNC on a fixed port",
        ("graphics", "video"),
        device("<graphics type='vnc' autoport='no' port='5987' listen='127.0.0.1'/>"),
        before=ALONE,
    ),
    Mutation(
        "spice",
        "SPICE with a qxl card",
        ("graphics", "video"),
        device("<graphics type='spice' autoport='yes'/><video><model type='qxl'/></video>"),
    ),
    Mutation(
        "file-port",
        "a serial port into a file at the source",
        ("serial",),
        device("<serial type='file'><source path='/var/tmp/{name}.log' append='on'/><target port='1'/></serial>"),
    ),
    Mutation(
        "tcp-port",
        "a serial port on a TCP port",
        ("serial",),
        device(
            "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='7791'/>"
            "<protocol type='raw'/><target port='1'/></serial>"
        ),
        before=ALONE,
    ),
    Mutation(
        "client-port",
        "a serial port that connects to a program of the source",
        ("serial",),
        device(
            "<serial type='tcp'><source mode='connect' host='127.0.0.1' service='22'/>"
            "<protocol type='raw'/><target port='1'/></serial>"
        ),
    ),
    Mutation(
        "socket-port",
        "a serial port on a socket in a folder that only the source has",
        ("serial",),
        device(f"<serial type='unix'><source mode='bind' path='{HERE}/{{name}}'/><target port='1'/></serial>"),
        before={"hv1": f"mkdir -p {HERE}"},
        after=GONE,
    ),
    Mutation(
        "pty-log",
        "a console with a log in libvirt's folder",
        ("console",),
        device(
            "<console type='pty'>"
            "<log file='/var/log/libvirt/qemu/{name}-console.log'/><target type='virtio'/></console>"
        ),
    ),
)

_REST: tuple[Mutation, ...] = (
    Mutation(
        "local-kernel",
        "a kernel that only the source has",
        ("kernel",),
        replaced(KERNEL, f"<kernel>{HERE}/vmlinuz</kernel>"),
        before={"hv1": f"mkdir -p {HERE}; cp {BOOT}/vmlinuz {HERE}"},
        after=GONE,
    ),
    Mutation("no-label", "no security label", ("seclabel",), element("<seclabel type='none'/>")),
    Mutation(
        "root-label",
        "a fixed label of root",
        ("seclabel",),
        element("<seclabel type='static' model='dac' relabel='no'><label>root:root</label></seclabel>"),
    ),
    Mutation("generation", "a generation id", ("genid",), element("<genid/>")),
    Mutation("clock", "a clock in local time", ("clock",), element("<clock offset='localtime'/>")),
    Mutation(
        "panic",
        "a panic device, and a guest that is kept when it crashes",
        ("panic",),
        both(device("<panic model='isa'/>"), element("<on_crash>preserve</on_crash>")),
    ),
    Mutation("transient", "it is nowhere defined", ("state",), fields={"transient": True}),
    Mutation("paused", "it is paused", ("state",), fields={"paused": True}),
    Mutation("to-hv4", "to another destination", ("way",), fields={"destination": "hv4"}),
    Mutation("to-hv3", "to Debian 12", ("way",), fields={"destination": "hv3"}, stricter=BACKWARD),
    Mutation("tls", "over TLS", ("tls",), fields={"policy": {"tls": "required"}}),
    Mutation(
        "forbidden",
        "a label that forbids it",
        ("metadata",),
        element("<metadata><p:policy xmlns:p='urn:livemig:policy:1'>never</p:policy></metadata>"),
        stricter="its operator has labelled it as never to be migrated",
    ),
    Mutation("autostart", "it starts with its host", ("autostart",), then={"hv1": "virsh -q autostart {name}"}),
    Mutation(
        "snapshot",
        "a snapshot inside its image",
        ("snapshot", "disk", "bus"),
        then={"hv1": "virsh -q snapshot-create-as {name} one"},
    ),
)

MORE: tuple[Mutation, ...] = (*_NET, *_DEVICES, *_REST)
