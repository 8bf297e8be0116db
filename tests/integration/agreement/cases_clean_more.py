# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests with many kinds of NICs and devices, and ways to go, all of which move without harm."""

from __future__ import annotations

from tests.firing.provocation import device, element, replaced
from tests.integration.agreement.case import BACKWARD, HAND, Case
from tests.integration.agreement.cases_clean import (
    ACPI,
    BOTH,
    BRIDGED,
    CODE,
    NAT,
    NIC,
    NO_NETWORK,
    VARS,
    VCPU,
    VDA,
    clean,
    network,
    second_nic,
    usb,
    without_nic,
    without_ports,
)
from tests.integration.agreement.shell import NO_DISK, after, operating

_NICS: tuple[Case, ...] = (
    clean("no-nic", "a guest without a NIC", without_nic),
    clean(
        "nics",
        "NICs of 3 models, one without a link",
        second_nic("<model type='e1000e'/>"),
        second_nic("<model type='rtl8139'/><link state='down'/>"),
    ),
    clean("mtu", "a NIC with a smaller MTU", replaced(NIC, "<model type='virtio'/><mtu size='1400'/></interface>")),
    clean(
        "nic-options",
        "a NIC with 2 queues, ring sizes, an alias, and features of its driver",
        replaced(
            NIC,
            "<model type='virtio'/><driver name='qemu' queues='2' rx_queue_size='512' event_idx='off'>"
            "<guest tso4='off'/></driver><alias name='ua-lan'/></interface>",
        ),
        wanted={"vcpus": 2},
    ),
    clean(
        "nic-filter",
        "a NIC with a filter that both hosts have",
        replaced('<source bridge="br0"/>', '<source bridge="br0"/><filterref filter="no-mac-spoofing"/>'),
    ),
    clean(
        "bridged-network",
        "a NIC in a libvirt network that is bridged alike on both hosts",
        replaced(
            "<interface type='bridge'><source bridge=\"br0\"/>", "<interface type='network'><source network='b-net'/>"
        ),
        before=dict.fromkeys(BOTH, network(BRIDGED)),
        after=after(NO_NETWORK, NO_NETWORK),
    ),
    clean(
        "nat-network",
        "a second NIC in a NAT network that both hosts have",
        second_nic("<model type='virtio'/>", "network", "network='b-net'"),
        before=dict.fromkeys(BOTH, network(NAT)),
        after=after(NO_NETWORK, NO_NETWORK),
    ),
)

_DEVICES: tuple[Case, ...] = (
    clean(
        "vnc",
        "VNC on all addresses, and a VGA card",
        device("<graphics type='vnc' autoport='yes' listen='0.0.0.0'/><video><model type='vga' vram='16384'/></video>"),
    ),
    clean(
        "spice",
        "SPICE with a qxl card and the agent's channel",
        device(
            "<graphics type='spice' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>"
            "<video><model type='qxl'/></video>"
            "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>"
        ),
    ),
    clean(
        "vnc-virtio",
        "VNC on a socket of libvirt's own, and a virtio card",
        device(
            "<graphics type='vnc'><listen type='socket'/></graphics><video><model type='virtio' heads='1'/></video>"
        ),
    ),
    clean("bochs", "a bochs display that nobody can look at", device("<video><model type='bochs'/></video>")),
    clean("no-video", "no display at all, written out", device("<video><model type='none'/></video>")),
    clean(
        "usb",
        "a USB 3 controller with tablet, keyboard and hub",
        usb(
            "<controller type='usb' model='qemu-xhci' ports='8'/>",
            "<input type='tablet' bus='usb'/><input type='keyboard' bus='usb'/><hub type='usb'/>",
        ),
    ),
    clean(
        "usb2",
        "USB 2 with its companions, and a mouse",
        usb(
            "<controller type='usb' index='0' model='ich9-ehci1'/>"
            "<controller type='usb' index='0' model='ich9-uhci1'><master startport='0'/></controller>"
            "<controller type='usb' index='0' model='ich9-uhci2'><master startport='2'/></controller>"
            "<controller type='usb' index='0' model='ich9-uhci3'><master startport='4'/></controller>",
            "<input type='mouse' bus='usb'/>",
        ),
    ),
    clean(
        "virtio-input",
        "keyboard, mouse and tablet on virtio",
        device(
            "<input type='keyboard' bus='virtio'/><input type='mouse' bus='virtio'/><input type='tablet' bus='virtio'/>"
        ),
    ),
    clean(
        "sound", "an HDA sound card that plays to nowhere", device("<sound model='ich9'/><audio id='1' type='none'/>")
    ),
    clean(
        "rng",
        "random numbers from the host's urandom, at a limited rate",
        device(
            "<rng model='virtio'><rate bytes='1024' period='1000'/><backend model='random'>/dev/urandom</backend></rng>"
        ),
    ),
    clean("rng-builtin", "random numbers from QEMU", device("<rng model='virtio'><backend model='builtin'/></rng>")),
    clean(
        "watchdog-panic",
        "a watchdog and a panic device",
        device("<watchdog model='i6300esb' action='none'/><panic model='isa'/>"),
    ),
    clean(
        "consoles",
        "a serial port and a console that are pseudo-terminals, and a parallel port to nowhere",
        device(
            "<serial type='pty'><target port='1'/></serial><console type='pty'><target type='virtio'/></console>"
            "<parallel type='null'/>"
        ),
    ),
    clean(
        "channels",
        "channels at libvirt's own paths",
        device(
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
            "<channel type='unix'><source mode='bind'/><target type='virtio' name='org.example.port.0'/></channel>"
        ),
    ),
    clean(
        "tpm",
        "a TPM 2.0 whose state libvirt takes along",
        device("<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"),
    ),
    clean(
        "buses",
        "an IOMMU of virtio, a bridge to PCI, and an old SCSI controller",
        device(
            "<iommu model='virtio'/><controller type='pci' model='pcie-to-pci-bridge'/>"
            "<controller type='scsi' model='lsilogic'/>"
        ),
    ),
    clean(
        "uefi",
        "UEFI firmware whose variables libvirt keeps at its own place",
        replaced(
            "hvm</type>", f"hvm</type><loader readonly='yes' type='pflash'>{CODE}</loader><nvram template='{VARS}'/>"
        ),
        wanted={"memory_mib": 256},
    ),
    clean(
        "uefi-shared-variables",
        "UEFI firmware whose variables are on shared storage",
        replaced(
            "hvm</type>",
            f"hvm</type><loader readonly='yes' type='pflash'>{CODE}</loader>"
            f"<nvram template='{VARS}'>/srv/shared/disks/{{name}}.vars</nvram>",
        ),
        wanted={"memory_mib": 256},
    ),
)

_REST: tuple[Case, ...] = (
    clean(
        "words",
        "title, description, foreign metadata, and a label that says nothing about migrations",
        element(
            "<title>A guest</title><description>Of the lab &amp; more</description><metadata>"
            "<p:policy xmlns:p='urn:livemig:policy:1'>bronze</p:policy>"
            "<e:note xmlns:e='urn:example:note'>kept</e:note></metadata>"
        ),
    ),
    clean(
        "clock",
        "local time, and timers of all kinds",
        element(
            "<clock offset='localtime'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/>"
            "<timer name='hpet' present='no'/></clock>"
        ),
    ),
    clean(
        "clock-variable",
        "a clock an hour late, and a generation id",
        element("<clock offset='variable' adjustment='-3600' basis='utc'/><genid/>"),
    ),
    clean(
        "features",
        "ACPI, APIC, PAE, no VMware port",
        replaced(ACPI, "<features><acpi/><apic/><pae/><vmport state='off'/></features>"),
    ),
    clean(
        "hyper-v",
        "what Hyper-V offers its guests",
        replaced(
            ACPI,
            "<features><acpi/><hyperv mode='custom'><relaxed state='on'/><vapic state='on'/>"
            "<spinlocks state='on' retries='8191'/></hyperv></features>",
        ),
    ),
    clean(
        "smm",
        "system management mode, q35's own watchdog, and a panic device on PCI",
        replaced(ACPI, "<features><acpi/><smm state='on'/></features>"),
        device("<watchdog model='itco' action='none'/><panic model='pvpanic'/>"),
    ),
    clean(
        "smbios",
        "SMBIOS strings, a boot menu, and the order of boot devices",
        replaced(VDA, f"{VDA}<boot order='1'/>"),
        replaced(NIC, "<model type='virtio'/><boot order='2'/></interface>"),
        operating("<smbios mode='sysinfo'/><bootmenu enable='yes' timeout='100'/>"),
        element("<sysinfo type='smbios'><system><entry name='manufacturer'>Example</entry></system></sysinfo>"),
    ),
    clean(
        "on-crash",
        "a guest that is kept when it crashes, and that may not be suspended",
        element(
            "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>"
            "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>"
        ),
    ),
    clean("transient", "a guest that is nowhere defined", transient=True),
    clean("paused", "a paused guest", paused=True, kind=HAND),
    clean("autostart", "a guest that starts with its host", then={"hv1": "virsh -q autostart {name}"}),
    clean(
        "hot-plugged",
        "a NIC and a vCPU that the guest got while it ran, and that its definition has not",
        replaced(VCPU, "<vcpu current='1'>2</vcpu>"),
        then={
            "hv1": "virsh -q attach-interface {name} bridge br0 --model virtio --live; "
            "virsh -q setvcpus {name} 2 --live"
        },
    ),
    clean("tls", "a migration over TLS", policy={"tls": "required"}),
    clean("to-hv4", "to another host of the same kind", destination="hv4"),
    clean("from-hv2", "the way back", source="hv2", destination="hv1"),
    clean(
        "to-debian-12",
        "to Debian 12, with a machine type that it has",
        wanted={"machine": "pc-q35-7.2", "disk": "gluster"},
        destination="hv3",
        store=True,
        kind=HAND,
        stricter=BACKWARD,
    ),
    clean(
        "to-debian-12-no-disk",
        "to Debian 12, with an older i440fx and no disk",
        without_ports,
        wanted={"machine": "pc-i440fx-7.2", **NO_DISK},
        destination="hv3",
        kind=HAND,
        stricter=BACKWARD,
    ),
    clean(
        "cputune",
        "shares and limits of CPU and disk",
        element("<cputune><shares>2048</shares></cputune><blkiotune><weight>500</weight></blkiotune>"),
    ),
)

CASES: tuple[Case, ...] = (*_NICS, *_DEVICES, *_REST)
