# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the hand-made cases about hosts, networks and guests: edits of the guest, and shell for the hosts."""

from __future__ import annotations

from typing import Any

from tests.firing.provocation import XmlEdit, device, replaced
from tests.integration.agreement.shell import RESTART, both
from tests.lab import domain

HV3 = "hv3"
OLD_MACHINE = "pc-q35-7.2"
"""Known to QEMU 7.2 and to 10.0."""
OLD: dict[str, Any] = {"machine": OLD_MACHINE, "disk": None}
"""For a guest that goes to Debian 12: libvirt 9.0 knows no shared_filesystems."""
EMULATOR = "/usr/bin/qemu-system-x86_64"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
DRIVERS = f"{LIBRARIES}/libvirt/connection-driver"
MODULES = f"{LIBRARIES}/qemu"
DAEMON_CONF = "/etc/libvirt/libvirtd.conf"
ELSEWHERE = "198.51.100.77"
"""An address that no host has."""
OWN_NIC = '<source bridge="br0"/>'
_CPU = "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>"
_NAMESPACE = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
UNTIL = "for n in $(seq 50); do {} && break; sleep 0.1; done"

START = f"service libvirtd start >/dev/null 2>&1 </dev/null; {UNTIL.format('timeout 5 virsh uri >/dev/null 2>&1')}"


def cpu(xml: str) -> XmlEdit:
    return replaced(_CPU, xml)


def features(*names: str, check: str = "", policy: str = "require") -> XmlEdit:
    """The plain guest's CPU with more features."""
    more = "".join(f"<feature policy='{policy}' name='{name}'/>" for name in names)
    return cpu(_CPU.replace("</cpu>", f"{more}</cpu>").replace(" match=", f" {check} match="))


def qemu_arguments(*arguments: str) -> XmlEdit:
    inside = "".join(f"<qemu:arg value='{argument}'/>" for argument in arguments)
    return _qemu(f"<qemu:commandline>{inside}</qemu:commandline>")


def qemu_property(alias: str, name: str, value: str, kind: str = "bool") -> XmlEdit:
    """A property set past libvirt."""
    given = f"<qemu:property name='{name}' type='{kind}' value='{value}'/>"
    return _qemu(
        f"<qemu:override><qemu:device alias='{alias}'><qemu:frontend>{given}</qemu:frontend></qemu:device>"
        "</qemu:override>"
    )


def _qemu(xml: str) -> XmlEdit:
    return both(replaced("<domain ", f"<domain {_NAMESPACE} "), replaced("</domain>", f"{xml}</domain>"))


def usb(xml: str) -> XmlEdit:
    """The guest with a USB controller and a device on it."""
    none, one = (f"<controller type='usb' model='{model}'/>" for model in ("none", "qemu-xhci"))
    return both(replaced(none, one), device(xml))


def nic(source: str, more: str = "", kind: str = "bridge") -> XmlEdit:
    """The edit that adds a second NIC."""
    return device(f"<interface type='{kind}'>{source}<model type='virtio'/>{more}</interface>")


def in_network(more: str = "") -> XmlEdit:
    """The guest whose only NIC is in the network g-net."""
    return replaced(f"<interface type='bridge'>{OWN_NIC}", f"<interface type='network'><source network='g-net'{more}/>")


def memory_devices(mib: int = 128, maximum: str = "1") -> XmlEdit:
    """QEMU takes memory devices only with slots and a NUMA cell."""
    memory = f"<memory unit='MiB'>{mib}</memory>"
    cell = f"<numa><cell id='0' cpus='0' memory='{mib}' unit='MiB'/></numa>"
    return both(
        replaced(memory, f"<maxMemory slots='2' unit='GiB'>{maximum}</maxMemory>{memory}"),
        cpu(_CPU.replace("</cpu>", f"{cell}</cpu>")),
    )


def bridge(name: str = "br-g", uplink: bool = True, options: str = "") -> str:
    """Makes a bridge; with an uplink it is joined to br0, so that the guests on it are reached as those on br0 are."""
    made = f"ip link add {name} type bridge {options}; ip link set {name} up"
    cable = (
        "; ip link add g-up type veth peer name g-down; "
        f"ip link set g-up master {name} up; ip link set g-down master br0 up"
    )
    return made + (cable if uplink else "")


NO_BRIDGE = "ip link del g-up 2>/dev/null; ip link del br-g"


def network(inner: str, start: bool = True) -> str:
    """Defines a libvirt network."""
    xml = f"<network><name>g-net</name>{inner}</network>"
    started = "; virsh -q net-start g-net" if start else ""
    return f'echo "{xml}" >/run/g-net.xml; virsh -q net-define /run/g-net.xml; rm /run/g-net.xml{started}'


NO_NETWORK = "virsh -q net-destroy g-net; virsh -q net-undefine g-net"


def nwfilter(action: str) -> str:
    """Defines a network filter that accepts or drops everything."""
    xml = f"<filter name='g-filter'><rule action='{action}' direction='inout'><all/></rule></filter>"
    return f'echo "{xml}" >/run/g-filter.xml; virsh -q nwfilter-define /run/g-filter.xml; rm /run/g-filter.xml'


NO_NWFILTER = "virsh -q nwfilter-undefine g-filter"


def twin(name: str, uuid: str, how: str, more: str = "") -> str:
    """Makes another domain known to libvirt, a tiny one; how: define, or create --paused."""
    xml = (
        f"<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>"
        f"<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><emulator>{EMULATOR}</emulator>{more}"
        "<memballoon model='none'/></devices></domain>"
    )
    return f'echo "{xml}" >/run/g-twin.xml; virsh -q {how} /run/g-twin.xml; rm /run/g-twin.xml'


def no_twin(name: str) -> str:
    return f"virsh -q destroy {name}; virsh -q undefine {name}"


def uuid_of(case: str) -> str:
    return domain.domain_uuid(f"a-{case}")


def holding(port: int, kind: str = "STREAM", address: str = "") -> str:
    """Starts a program that has a port, until ended()."""
    listen = "one.listen()\n" if kind == "STREAM" else ""
    return (
        f"cat >/run/g-hold-{port}.py <<'X'\nimport signal, socket\n"
        f"one = socket.socket(socket.AF_INET, socket.SOCK_{kind})\none.bind(('{address}', {port}))\n{listen}"
        f"open('/run/g-hold-{port}.there', 'w').close()\nsignal.pause()\nX\n"
        f"setsid python3 /run/g-hold-{port}.py </dev/null >/dev/null 2>&1 & echo $! >/run/g-hold-{port}.pid; "
        + UNTIL.format(f"[ -e /run/g-hold-{port}.there ]")
    )


def ended(port: int) -> str:
    return f"kill $(cat /run/g-hold-{port}.pid); rm -f /run/g-hold-{port}.*"


def away(path: str, then: str = "") -> str:
    """Hides a file of the host's; back() brings it back."""
    return f"mv {path} {path}.g-away" + (f"; {then}" if then else "")


def back(path: str, then: str = "") -> str:
    return f"mv {path}.g-away {path}" + (f"; {then}" if then else "")


def daemon_conf(line: str) -> str:
    """Another line in libvirtd.conf, in the place of that with the same name, and a daemon that has read it."""
    name = line.partition(" ")[0]
    return (
        f"cp -a {DAEMON_CONF} /run/g-daemon.conf; sed -i '/^{name} *=/d' {DAEMON_CONF}; "
        f"echo '{line}' >>{DAEMON_CONF}; {RESTART}"
    )


DAEMON_CONF_BACK = f"cp -a /run/g-daemon.conf {DAEMON_CONF}; rm /run/g-daemon.conf; {RESTART}"
