# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with virtual functions, of the stand-in kind: guests whose devices come and go, and a process that can be
killed at any call. It proves how the transaction reacts; what libvirt and QEMU really do is seen in the nested lab.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from tests.unit.migrate import standin
from tests.unit.migrate.test_migrate import UUID

libvirt = _libvirt.libvirt
MAC = "52:54:00:aa:00:01"
STANDBY = (
    f"<interface type='direct'><mac address='{MAC}'/><source dev='eth1' mode='bridge'/><target dev='macvtap0'/>"
    "<model type='virtio'/><teaming type='persistent'/><alias name='ua-standby'/>"
    "<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>"
)
VF = (
    f"<interface type='hostdev' managed='yes'><mac address='{MAC}'/><source><address type='pci' domain='0x0000' "
    "bus='{bus}' slot='{slot}' function='{function}'/></source><vlan><tag id='42'/></vlan>"
    "<teaming type='transient' persistent='ua-standby'/><alias name='ua-vf'/>"
    "<address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></interface>"
)
NAMED = (
    f"<interface type='network'><mac address='{MAC}'/><source network='vfs'/><vlan><tag id='42'/></vlan>"
    "<teaming type='transient' persistent='ua-standby'/><alias name='ua-vf'/></interface>"
)
"""The same in the definition, where a network gives the function out."""
TEAMING = ("<teaming type='persistent'/>", "<teaming type='transient' persistent='ua-standby'/>")
PLAIN = (
    "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x01' slot='0x10' "
    "function='0x0'/></source><teaming type='transient' persistent='ua-standby'/><alias name='ua-vf'/>"
    "<address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></hostdev>"
)
"""A function whose MAC address libvirt does not know."""
PASSES = {"": (1, 1), "without it": (0, 1), "hears only": (1, 0), "always": (0, 0)}
"""What passes the standby of a guest that has let go, by ``silent``: packets to it, and from it."""
ADDRESS = "<address type='pci' domain='0x0000' bus='{}' slot='{}' function='{}'/>"
PF_XML = (
    "<device><name>pci_{tag}</name><driver><name>igb</name></driver><capability type='pci'><domain>0</domain>"
    "<bus>{bus}</bus><slot>0</slot><function>0</function><product id='0x10c9'/><vendor id='0x8086'/>"
    "<iommuGroup number='6'><address domain='0x0000' bus='0x{bus:02x}' slot='0x00' function='0x0'/></iommuGroup>"
    "</capability></device>"
)
NET_XML = (
    "<device><name>net_{name}</name><parent>{parent}</parent><capability type='net'><interface>{name}</interface>"
    "<link state='{state}'/></capability></device>"
)
VF_XML = (
    "<device><name>pci_{tag}</name><driver><name>{driver}</name></driver><capability type='pci'><domain>0</domain>"
    "<bus>{bus}</bus><slot>16</slot><function>{function}</function><product id='0x10ca'/><vendor id='0x8086'/>"
    "<capability type='phys_function'><address domain='0x0000' bus='0x{bus:02x}' slot='0x00' function='0x0'/>"
    "</capability><iommuGroup number='7'><address domain='0x0000' bus='0x{bus:02x}' slot='0x10' "
    "function='0x{function}'/>{others}</iommuGroup></capability></device>"
)


class Killed(BaseException):
    """The process has ended: nothing of it runs any more."""


class Process:
    """Counts the calls that change something. ``kill``: dies before (or, with ``after``, right after) that one."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.kill: tuple[str, int] | None = None
        self.after = False
        self.dead = False

    def changes(self, name: str, work: t.Callable[[], t.Any]) -> t.Any:
        self.alive()
        self.calls.append(name)
        due = self.kill == (name, self.calls.count(name))
        if due and not self.after:
            self._die()
        result = work()
        if due:
            self._die()
        return result

    def alive(self) -> None:
        if self.dead:
            raise Killed

    def _die(self) -> None:
        self.dead = True
        raise Killed


class Guest(standin.Domain):
    """A domain with devices. ``lets_go``: at once, never (before ``let_go`` is called), refused, error (of the
    daemon), the daemon dies, the daemon dies and it goes (while nobody listens). ``silent``: what passes its standby
    (PASSES) without a function, or always."""

    host: SriovHost

    def __init__(self, host: SriovHost, uuid: str, devices: t.Sequence[str] = (), number: int = 1) -> None:
        super().__init__(host, uuid)
        self.devices, self.config = list(devices), list(devices)
        self.lets_go, self.number = "at once", number
        self.leaving: list[str] = []
        self.silent = ""
        self.agent: dict[str, str] | None = None
        self.packets = [0, 0]

    def ID(self) -> int:
        return self.number

    def XMLDesc(self, flags: int) -> str:
        self.host.process.alive()
        inactive = flags & libvirt.VIR_DOMAIN_XML_INACTIVE or not self.isActive()
        devices = "".join(self.config if inactive else self.devices)
        return standin.XML.replace("</devices>", f"{devices}</devices>")

    def setMetadata(self, *arguments: t.Any) -> None:
        name = "mark" if arguments[1] is not None else "unmark"
        self.host.process.changes(name, lambda: standin.Domain.setMetadata(self, *arguments))

    def interfaceStats(self, device: str) -> tuple[int, ...]:
        assert device == "macvtap0"
        alone = not any("hostdev" in each for each in self.devices)
        came, went = PASSES[self.silent if alone or self.silent == "always" else ""]
        self.packets = [self.packets[0] + came, self.packets[1] + went]
        return (0, self.packets[0], 0, 0, 0, self.packets[1], 0, 0)

    def interfaceAddresses(self, _source: int) -> dict[str, t.Any]:
        if self.agent is None:
            raise libvirt.libvirtError("QEMU guest agent is not connected")
        return {name: {"hwaddr": mac, "addrs": None} for name, mac in self.agent.items()}

    def detachDeviceFlags(self, xml: str, flags: int) -> None:
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        self.host.process.changes("detach", lambda: self._detach(xml))

    def _detach(self, xml: str) -> None:
        if self.lets_go == "error":
            raise libvirt.libvirtError("Timed out during operation: cannot acquire state change lock")
        if self.lets_go == "refused":
            self.host.tell("DEVICE_REMOVAL_FAILED", self, alias_of(xml))
            raise libvirt.libvirtError("operation failed: unplug of device was rejected by the guest")
        self.leaving.append(xml)
        if self.lets_go.startswith("the daemon dies"):
            self.host.answers = False
            self.host.callbacks.clear()
            if self.lets_go.endswith("and it goes"):
                self.let_go()
            raise libvirt.libvirtError("End of file while reading data: Input/output error", 38)
        if self.lets_go == "at once":
            self.let_go()

    def let_go(self) -> None:
        """What it was asked for, now."""
        for xml in self.leaving:
            found = [each for each in self.devices if alias_of(each) == alias_of(xml) and "hostdev" in each]
            for each in found:
                self.devices.remove(each)
                self.host.tell("DEVICE_REMOVED", self, alias_of(each))
        self.leaving = []

    def attachDeviceFlags(self, xml: str, flags: int) -> None:
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        self.host.process.changes("attach", lambda: self._attach(xml))

    def _attach(self, xml: str) -> None:
        if "<source network" in xml:
            xml = vf(self.host.give_out())  # the live definition does not name the network any more
        address = place(xml)
        if self.host.broken:
            raise libvirt.libvirtError("internal error: unable to execute QEMU command 'device_add'")
        if address in {*self.host.claimed, *map(place, self.devices)}:
            raise libvirt.libvirtError(
                f"Requested operation is not valid: PCI device {address} is in use by driver QEMU, domain other"
            )
        assert alias_of(xml) not in map(alias_of, self.devices), "it has this one already"
        self.devices.append(xml)


class SriovHost(standin.Host):
    """``functions``: PF's bus -> (its network device, empty where it has none, link, numbers of its functions).
    ``claimed``: addresses that another domain takes at the last moment; ``broken``: every attach fails; ``vanishing``:
    a device and a network go while they are listed. ``pool``: addresses that the network vfs gives out, in this order;
    None: there is no such network."""

    def __init__(self, name: str, number: int, process: Process) -> None:
        super().__init__(name, number)
        self.process = process
        self.functions: dict[int, tuple[str, str, list[int]]] = {1: ("eth1", "up", [0, 2])}
        self.drivers: dict[str, str] = {}
        self.nets: dict[str, str] = {}
        self.claimed: set[str] = set()
        self.broken = self.vanishing = False
        self.pool: list[str] | None = None
        self.given = 0

    def give_out(self) -> str:
        if self.pool is None or self.given >= len(self.pool):
            raise libvirt.libvirtError(
                "internal error: network 'vfs' requires exclusive access to interfaces, but none are available"
            )
        self.given += 1
        return self.pool[self.given - 1]

    def listAllNetworks(self) -> list[t.Any]:
        if self.pool is None:
            return [_Gone("")] if self.vanishing else []
        addresses = "".join(ADDRESS.format(*parts_of(address)) for address in self.pool)
        return [
            _Network(
                f"<network connections='{self.given}'><name>vfs</name><forward mode='hostdev'>{addresses}</forward>"
                "</network>"
            )
        ]

    def add(self, uuid: str) -> Guest:
        guest = Guest(self, uuid)
        self.domains[uuid] = guest
        return guest

    def put(self, address: str = "0000:01:10.0", uuid: str = UUID, number: int = 1) -> Guest:
        guest = self.domains[uuid] = Guest(self, uuid, [STANDBY, vf(address)], number)
        return guest

    def put_twins(self) -> Guest:
        """A guest with a bond of two functions and a standby, which have one MAC address."""
        guest = self.put()
        both = vf("0000:01:10.0"), twin("0000:01:10.2")
        guest.devices = [without_team(each) for each in (STANDBY, *both)]
        guest.config = list(guest.devices)
        guest.agent = dict.fromkeys(("bond0", "eth0", "eth1", "eth2"), MAC)
        return guest

    def tell(self, event: str, domain: Guest, alias: str) -> None:
        kind = getattr(libvirt, f"VIR_DOMAIN_EVENT_ID_{event}")
        for number, callback in list(self.callbacks):
            if number == kind:
                callback(self, domain, alias, None)

    def defineXML(self, xml: str) -> standin.Domain:
        def work() -> standin.Domain:
            domain = standin.Host.defineXML(self, xml)
            t.cast(Guest, domain).config = devices_of(xml)
            return domain

        return t.cast(standin.Domain, self.process.changes("define", work))

    def domainEventDeregisterAny(self, number: int) -> None:
        """Numbers are places in a list: what is gone is heard by nobody."""
        self._alive()
        kind, _callback = self.callbacks[number - 1]
        self.callbacks[number - 1] = (-kind - 1, lambda *_arguments: None)

    def lookupByUUIDString(self, uuid: str) -> standin.Domain:
        self.process.alive()
        return super().lookupByUUIDString(uuid)

    def lookupByName(self, _name: str) -> standin.Domain:
        (found,) = self.domains.values()
        return found

    def listAllDevices(self, _flags: int) -> list[t.Any]:
        return [*([_Gone("")] if self.vanishing else []), *(_Text(text) for text in self._node_devices())]

    def _node_devices(self) -> t.Iterator[str]:
        for bus, (name, state, numbers) in self.functions.items():
            yield PF_XML.format(tag=f"pf{bus}", bus=bus)
            if name:
                yield NET_XML.format(name=name, parent=f"pci_pf{bus}", state=state)
            for function in numbers:
                address = f"0000:{bus:02x}:10.{function}"
                driver = self.drivers.get(address, "igbvf")
                yield VF_XML.format(tag=address, bus=bus, function=function, driver=driver, others="")
                if address in self.nets:
                    yield NET_XML.format(name=self.nets[address], parent=f"pci_{address}", state="up")


class _Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def XMLDesc(self, _flags: int) -> str:
        return self._text


class _Network(_Text):
    def name(self) -> str:
        return "vfs"

    def isActive(self) -> bool:
        return True


class _Gone(_Network):
    def XMLDesc(self, _flags: int) -> str:
        raise libvirt.libvirtError("Node device not found: no node device with matching name")


def parts_of(address: str) -> tuple[str, str, str]:
    _domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    return f"0x{bus}", f"0x{slot}", f"0x{function}"


def vf(address: str) -> str:
    bus, slot, function = parts_of(address)
    return VF.format(bus=bus, slot=slot, function=function)


def twin(address: str) -> str:
    """The other function of the same guest."""
    return vf(address).replace("ua-vf", "ua-twin").replace("bus='0x02'", "bus='0x03'")


def without_team(xml: str) -> str:
    return xml.replace(TEAMING[0], "").replace(TEAMING[1], "")


def place(xml: str) -> str | None:
    address = ET.fromstring(xml).find("source/address")
    if address is None:
        return None
    parts = [int(address.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function")]
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*parts)


def alias_of(xml: str) -> str:
    alias = ET.fromstring(xml).find("alias")
    return "" if alias is None else alias.get("name", "")


def devices_of(xml: str) -> list[str]:
    found = ET.fromstring(xml).find("devices")
    assert found is not None
    return [ET.tostring(each, encoding="unicode") for each in found if each.tag in ("interface", "hostdev")]
