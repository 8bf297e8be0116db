# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One domain on one host, as the VF transaction sees and changes it: the only part that talks to libvirt.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import re
import threading
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, error_text, libvirt
from .._observe.api import parse_xml
from .functions import Function, functions, given_out, users
from .journal import instance_of

_AGENT_S = 5.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
REMOVED, REFUSED = "removed", "refused"
# libvirt's words for a function that somebody else has, or of which there are no more: virHostdevIsPCINodeDeviceUsed,
# networkAllocatePort, virPCIDeviceReattach; QEMU's for a device that is being unplugged already.
_IN_USE = re.compile(r"in use|already (?:in use|assigned)|none are available|requires exclusive access", re.IGNORECASE)
# What an error of a request to detach means: it was refused; it was made before, and goes on; the device is gone.
_SAID = (
    (re.compile(r"rejected by the guest", re.IGNORECASE), REFUSED),
    (re.compile(r"already in the process of unplug", re.IGNORECASE), None),
    (re.compile(r"device not found|no matching|not present", re.IGNORECASE), REMOVED),
)


def boot_id() -> str | None:
    """Of the host of this process; None where it does not tell."""
    with contextlib.suppress(OSError), open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip()
    return None


def _is_incoming(domain: t.Any) -> bool:
    """libvirt 11.0 to 11.4 keeps who asks for the XML of such a domain waiting for 30 s (NEWS 11.5)."""
    state, reason = domain.state()[:2]
    incoming = libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP
    return bool(state == libvirt.VIR_DOMAIN_PAUSED and reason in incoming)


def _texts(devices: t.Iterable[t.Any]) -> list[str]:
    """XML of each, without those that have gone meanwhile: a host makes and removes functions at any time."""
    found: list[str] = []
    for device in devices:
        with contextlib.suppress(*LIBVIRT_ERRORS):
            found.append(device.XMLDesc(0))
    return found


class InUse(Exception):
    """Another one has this function: the next one may do."""


class Removals:
    """What libvirt has told of devices that leave the guest. Filled by its event thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._said: dict[str, str] = {}

    def add(self, alias: str, word: str) -> None:
        with self._changed:
            self._said[alias] = word
            self._changed.notify_all()

    def wait(self, alias: str, timeout_s: float) -> str | None:
        """REMOVED, REFUSED, or None where nothing was told in time. A refusal counts for one request."""
        with self._changed:
            self._changed.wait_for(lambda: alias in self._said, timeout_s)
            return self._said.pop(alias, None)


class Side:
    """``connection``: to this host's libvirt, whose event loop must run; ``name``: the host's, for messages; ``boot``:
    its boot id, None where it is another host than that of this process."""

    def __init__(self, connection: Connection, uuid: str, name: str, boot: str | None = None) -> None:
        self.name = name
        self._connection, self._uuid, self._boot = connection, uuid, boot

    @property
    def _domain(self) -> t.Any:
        return self._connection.lookupByUUIDString(self._uuid)

    def runs(self) -> bool:
        """Whether the guest can let go of a device: one that is paused never does."""
        return bool(self._domain.state()[0] in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED))

    def live(self) -> str | None:
        """The running domain's XML; None where it does not run."""
        domain = self._domain
        return str(domain.XMLDesc(0)) if domain.isActive() else None

    def instance(self) -> str:
        """Changes when the guest is started anew: what it was asked for then is forgotten. libvirt's number alone
        begins at 1 again when the host is started."""
        return instance_of(self._domain.ID(), self._boot or self.name)

    def persistent(self, secrets: bool = False) -> str | None:
        """The definition that the next start takes; None of a transient domain."""
        domain = self._domain
        if not domain.isPersistent():
            return None
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | (libvirt.VIR_DOMAIN_XML_SECURE if secrets else 0)
        return str(domain.XMLDesc(flags))

    def define(self, xml: str) -> None:
        self._connection.defineXML(xml)

    def functions(self) -> list[Function]:
        """Every VF of the host, and who has it. Of the domain itself what it defines does not count."""
        kinds = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET
        devices = _texts(self._connection.listAllDevices(kinds))
        return functions(devices, users(self._definitions()), given_out(self._networks().values()))

    def _networks(self) -> dict[str, str]:
        """The active ones, name -> XML."""
        found: dict[str, str] = {}
        for network in self._connection.listAllNetworks():
            with contextlib.suppress(*LIBVIRT_ERRORS):  # it has gone meanwhile
                if network.isActive():
                    found[network.name()] = network.XMLDesc(0)
        return found

    def _definitions(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for domain in self._connection.listAllDomains():
            mine = domain.UUIDString() == self._uuid
            with contextlib.suppress(*LIBVIRT_ERRORS):  # it has ended meanwhile
                texts = [domain.XMLDesc(0)] if domain.isActive() and not _is_incoming(domain) else []
                if domain.isPersistent() and not mine:
                    texts.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
                found[domain.name()] = texts
        return found

    def spare(self, network: str) -> int | None:
        """How many functions a network has left; None where there is no such network of functions, or it is off."""
        root = parse_xml(self._networks().get(network, "<network/>"))
        forward = root.find("forward")
        if forward is None or forward.get("mode") != "hostdev":
            return None
        return len(forward.findall("address")) - int(root.get("connections", "0"))

    def gives_out(self, network: str) -> bool:
        """Whether it is a network of functions."""
        return self.spare(network) is not None

    def passed(self, device: str) -> tuple[int, int]:
        """Packets that came to the guest by a network device of the domain's, and that it has sent. libvirt tells them
        as the guest sees them, of a tap and of a macvtap (virNetDevTapInterfaceStats)."""
        figures = self._domain.interfaceStats(device)
        return int(figures[1]), int(figures[5])

    def links(self) -> dict[str, str] | None:
        """The guest's network devices, name -> MAC address; None where it has no agent that tells.

        An agent that hangs keeps its caller waiting, so it is asked by a thread that is left behind then.
        """
        domain = self._domain
        said: list[dict[str, t.Any]] = []

        def ask() -> None:
            with contextlib.suppress(*LIBVIRT_ERRORS):
                said.append(domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT))

        worker = threading.Thread(target=ask, name="agent", daemon=True)
        worker.start()
        worker.join(_AGENT_S)
        if not said:
            return None
        return {name: str(entry["hwaddr"]).lower() for name, entry in said[0].items() if entry.get("hwaddr")}

    @contextlib.contextmanager
    def removals(self) -> t.Iterator[Removals]:
        """Register first, then ask: an event that comes before the registration is lost."""
        heard, domain = Removals(), self._domain
        words = {
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: REMOVED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED: REFUSED,
        }

        def callback(word: str) -> t.Callable[..., None]:
            return lambda _connection, _domain, alias, _opaque: heard.add(alias, word)

        register = self._connection.domainEventRegisterAny
        registered = [register(domain, kind, callback(word), None) for kind, word in words.items()]
        try:
            yield heard
        finally:
            for number in registered:
                with contextlib.suppress(*LIBVIRT_ERRORS):
                    self._connection.domainEventDeregisterAny(number)

    def ask(self, xml: str, heard: Removals, timeout_s: float) -> str | None:
        """Asks the guest to let go of the device: REMOVED, REFUSED, or None where it has not answered in time.

        libvirt waits 5 s for it and then returns 0 all the same (qemuDomainWaitForDeviceRemoval): only the event tells.
        Raises what else libvirt raises; then it is not known whether the guest was asked.
        """
        alias = parse_xml(xml).find("alias")
        try:
            self._domain.detachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except LIBVIRT_ERRORS as error:
            said = next((word for pattern, word in _SAID if pattern.search(error_text(error))), "")
            if said == "":
                raise
            if said is not None:
                return said
        return heard.wait("" if alias is None else alias.get("name", ""), timeout_s)

    def attach(self, xml: str) -> None:
        """Raises InUse, and what else libvirt raises."""
        try:
            self._domain.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except LIBVIRT_ERRORS as error:
            if _IN_USE.search(error_text(error)):
                raise InUse(error_text(error)) from error
            raise
