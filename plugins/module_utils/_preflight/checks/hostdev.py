# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of passed-through devices.

What becomes of a virtual function is in vf.py. What is said here of a destination is about the function that the domain
is to get there.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Question
from ..._sriov.api import REFUSE
from ..check import Check, Problem, Requirement, View
from ..edits import mapped
from ..functions import Functions, Pool, free, functions, pools, port_there, spare, why_not
from ..vf import address_of, strategy

_VFIO = frozenset(("pci", "mdev"))
# What a PF does with each of its functions, and what iproute2 calls it.
_TREATMENT = ("trust", "spoof_check")
_IP = {"trust": "trust", "spoof_check": "spoofchk"}
_UP = frozenset(("up", "unknown", None))
_DROPPED_IF_MISSING = frozenset(("optional", "requisite"))
# libvirt refuses every <hostdev> but USB up to then, and leaves it to QEMU since (qemuMigrationSrcIsAllowedHostdev). A
# guest with a LUN over iSCSI moved between QEMU 10.0 and 10.0 in the lab.
_QEMU_DECIDES = 6000000
_REDIRECTED_BY_CLIENT = "spicevmc"
# What libvirt allows besides the guest's memory (qemuDomainGetMemLockLimitBytes: 1 GiB for the first device's MMIO).
_IO_SPACE_MIB = 1024


def _no_hostdev(kind: str, name: str) -> t.Callable[[View], t.Iterator[Problem]]:
    def evaluate(view: View) -> t.Iterator[Problem]:
        for hostdev in view.domain.get("hostdevs"):
            if hostdev["type"] == kind:
                yield Problem(f"Domain {view.domain_name}", f"it holds the {name} {hostdev['description']}")

    return evaluate


def _scsi(view: View) -> t.Iterator[Problem]:
    """A LUN that QEMU reaches by itself over iSCSI is the same one wherever it runs; an address on a bus is not."""
    for hostdev in view.domain.get("hostdevs"):
        if hostdev["type"] != "scsi":
            continue
        name = hostdev["more"].get("iscsi_name")
        if name is None or view.source.get("qemu_version") < _QEMU_DECIDES:
            yield Problem(f"Domain {view.domain_name}", f"it holds the SCSI device {name or hostdev['description']}")
            continue
        yield Problem(
            f"Domain {view.domain_name}",
            f"it holds the iSCSI LUN {name}, whose reservations stay with the source's session",
            expected="no SCSI device of its own, or one without reservations to which the destination may log in too",
            severity="warning",
        )


def _teaming(view: View) -> t.Iterator[Problem]:
    """The rules of QEMU and of the guest's net_failover, which brings the two together by their MAC address."""
    teamed = [hostdev for hostdev in view.domain.get("hostdevs") if hostdev["teaming"] == "transient"]
    by_alias = {nic["more"]["alias"]: nic for nic in view.domain.get("interfaces")} if teamed else {}
    for entry in teamed:
        what = f"Team of {entry['description']} in domain {view.domain_name}"
        alias = entry["more"]["teaming_persistent"]
        partner = by_alias.get(alias)
        if partner is None:
            yield Problem(what, f"its partner {alias} is no NIC of the domain")
        elif partner["teaming"] != "persistent":
            yield Problem(what, f"its partner {alias} has no <teaming type='persistent'/>")
        elif entry["mode"] == "interface" and entry["description"] != f"interface {partner['mac']}":
            yield Problem(what, f"its partner {alias} has another MAC address, {partner['mac']}")


def _needed(view: View) -> t.Iterator[Functions | Pool]:
    yield from functions(view)
    yield from pools(view)


def _held_functions(view: View) -> list[t.Mapping[str, t.Any]]:
    """The virtual functions of the source that the domain holds."""
    held = {address_of(hostdev) for hostdev in view.domain.get("hostdevs")} - {None}
    return [entry for entry in view.source.get("nodedevs.vfs") if entry["address"] in held] if held else []


def _free_functions(view: View, need: Functions | Pool) -> t.Iterator[Problem]:
    if isinstance(need, Pool):
        yield from _spare(view, need)
    elif need.port is None:
        value = f"it holds {need.number} of {need.kind} of a PF without a network device, which tells of no network"
        yield Problem("Virtual functions of domain {domain}", value, remedy="detach it before the migration")
    else:
        yield from _at_port(view, need, need.port)


def _spare(view: View, need: Pool) -> t.Iterator[Problem]:
    left = spare(view.destination, need.network)
    if left is None or left < need.number:
        said = "is not there, not active or has no functions" if left is None else f"has {left} functions left"
        yield Problem(
            "Virtual functions of domain {domain}",
            f"network {need.network} of {view.there} {said}",
            expected=f"{need.number} free ones, as the domain holds of that network",
            remedy="define and start that network there, or make more functions",
        )


def _at_port(view: View, need: Functions, port: str) -> t.Iterator[Problem]:
    """A port that the user has mapped is the one, whatever port of the same name there is."""
    there, count = port_there(view, need), len(free(view, need))
    if there == port and count >= need.number:
        return
    what, mapping = "Virtual functions of domain {domain}", ""
    if there != port:
        mapping = f", for which {there} of {view.there} is mapped"
    holds = f"it holds {need.number} of {need.kind} at {port}{mapping}"
    if count >= need.number:
        remedy = f"take {port} out of livemig_edits.map, if {port} of {view.there} leads to the same network"
        change = mapped(view, "parent", port)
        yield Problem(what, holds, expected="a change that is allowed", remedy=remedy, edit=change)
        return
    why = why_not(view, need) or "it has no virtual functions"
    other = f"correct livemig_edits.map, which names {there}, or make more functions there" if mapping else None
    yield Problem(what, f"{holds}, and {view.there} has {count} free of that kind there ({why})", remedy=other)


def _same_kind(view: View, need: Functions) -> t.Iterator[Problem]:
    vfs, linkless = view.destination.get("nodedevs.vfs"), free(view, need, link=None)
    linked = [each for each in linkless if each.link in _UP]
    if len(linkless) >= need.number > len(linked):
        down = {each.address for each in linkless if each not in linked}
        names = sorted({entry["pf"] or "?" for entry in vfs if entry["address"] in down})
        yield Problem(f"Free virtual functions of {view.there}", f"PF {', '.join(names)} has no link")
    addresses = {each.address for each in free(view, need)}
    there = [entry for entry in vfs if entry["address"] in addresses]
    for name in _TREATMENT:
        here = getattr(need, name)
        differs = [entry for entry in there if entry[name] is not None and entry[name] != here]
        if here is not None and len(there) >= need.number > len(there) - len(differs):
            port = port_there(view, need) or "PF"
            yield Problem(
                f"Free virtual functions of {view.there}",
                f"their PF has {name} {_word(not here)} for them",
                expected=f"{_word(here)}, as on the source; libvirt does not carry it over",
                remedy=f"set it there (ip link set {port} vf N {_IP[name]} {_word(here)})",
            )


def _word(is_on: bool) -> str:
    return "on" if is_on else "off"


def _viable(view: View, need: Functions) -> t.Iterator[Problem]:
    found = free(view, need, others=())
    alone = [each for each in found if not each.others]
    if len(found) >= need.number > len(alone):
        others = sorted({other for each in found for other in each.others})
        yield Problem(
            f"IOMMU groups of free virtual functions of {view.there}",
            f"drivers of the host have {', '.join(others)} of the same groups",
        )


class Place(t.NamedTuple):
    """``kind`` of the device that is at this address of the source."""

    address: str
    kind: str

    @property
    def key(self) -> str:
        return f"pci:{self.address}"


def _places(view: View) -> t.Iterator[Place]:
    """Of a domain that is to be moved by other means: ours give it another address (_migrate/nics.py)."""
    for entry in _held_functions(view) if strategy(view).name == REFUSE else ():
        yield Place(entry["address"], entry["kind"])


def _ask_place(_view: View, need: Place) -> t.Iterator[Question]:
    yield {"key": need.key, "ask": "pci", "value": need.address}


def _place(view: View, need: Place) -> t.Iterator[Problem]:
    answer = view.answer(view.there, need.key)
    what = f"PCI address {need.address} of domain {{domain}}"
    if not answer.get("exists"):
        yield Problem(what, f"nothing is there on {view.there}")
    elif answer.get("kind") != need.kind:
        yield Problem(what, f"on {view.there} it is a {answer.get('kind')}", expected=f"a {need.kind}")
    elif need.address in view.destination.get("nodedevs.held"):
        yield Problem(what, f"another domain holds it on {view.there}")


def _vfio(view: View) -> t.Iterator[int]:
    """MiB that are locked for the domain, or nothing where it holds no such device."""
    if any(hostdev["type"] in _VFIO for hostdev in view.domain.get("hostdevs")):
        yield view.domain.get("memory_mib") + _IO_SPACE_MIB


def _iommu(view: View, _need: int) -> t.Iterator[Problem]:
    support = view.destination.get("nodedevs.iommu")
    if support is False:
        yield Problem(f"IOMMU of {view.there}", "it has none in use")


def _locked(view: View, need: int) -> t.Iterator[Problem]:
    found = view.destination.get("nodedevs.locked_memory")
    limit = found["limit"]
    if not found["may_raise"] and limit is not None and limit < need * 1024**2:
        yield Problem(
            f"Locked memory of {view.there}",
            f"its libvirt daemon may lock {limit // 1024**2} MiB and may not raise that",
            expected=f"{need} MiB for domain {{domain}}, all of whose memory is pinned",
        )


class Usb(t.NamedTuple):
    """``kind``: vendor:product, None where the definition names only bus and device."""

    kind: str | None
    bus: int | None
    device: int | None
    needed: bool


def _usb(view: View) -> t.Iterator[Usb]:
    for hostdev in view.domain.get("hostdevs"):
        more = hostdev["more"]
        if hostdev["type"] == "usb" and more["missing"] != "yes":
            bus, device = (int(more[part], 0) if more[part] else None for part in ("bus", "device"))
            yield Usb(_usb_kind(more), bus, device, more["startup_policy"] not in _DROPPED_IF_MISSING)


def _usb_kind(more: t.Mapping[str, t.Any]) -> str | None:
    if more["vendor"] is None or more["product"] is None:
        return None
    return f"{int(more['vendor'], 0):04x}:{int(more['product'], 0):04x}"


def _usb_there(view: View, need: Usb) -> t.Iterator[Problem]:
    what = "USB device of domain {domain}"
    found = view.destination.get("nodedevs.usb")
    if need.kind is not None:
        same, name = [entry for entry in found if entry["kind"] == need.kind], need.kind
    else:
        same = [entry for entry in found if (entry["bus"], entry["device"]) == (need.bus, need.device)]
        name = f"device {need.device} of bus {need.bus}"
    if same:
        yield Problem(what, f"the guest would see {name} unplugged, and {same[0]['kind']} of {view.there} plugged in")
    elif need.needed:
        yield Problem(what, f"{view.there} has no {name}", severity="error")
    else:
        yield Problem(what, f"the guest would lose {name}, which {view.there} does not have")


def _redirected(view: View) -> t.Iterator[Problem]:
    for device in view.domain.get("devices.redirdevs"):
        if device["type"] == _REDIRECTED_BY_CLIENT:
            continue  # what a SPICE client has redirected moves with its session, where it has one
        yield Problem(
            f"USB redirection of domain {view.domain_name}",
            f"{device['name']} goes over a connection of type {device['type']}, which ends with the move",
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="hd_mdev",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No mediated device is passed through",
        expected="none",
        remedy="detach it before the migration and attach one at the destination afterwards",
        evaluate=_no_hostdev("mdev", "mediated device"),
        volatile=True,
    ),
    Check(
        id="hd_teaming_pair_valid",
        category="hostdev",
        severity="error",
        scope="domain",
        title="A teamed virtual function has its standby NIC",
        expected="a virtio NIC with the same MAC address and <teaming type='persistent'/>, so that traffic goes on "
        "without the virtual function",
        remedy="correct <teaming> and the MAC address in the definition, and power-cycle the guest",
        evaluate=_teaming,
    ),
    Check(
        id="hd_free_vf_dest",
        category="hostdev",
        severity="error",
        scope="pair",
        title="The destination has free virtual functions of the same kind and port, or of the same network",
        expected="as many free ones as the domain holds",
        remedy="make more there (echo N > /sys/bus/pci/devices/PF/sriov_numvfs, while it is 0), or choose another "
        "destination",
        requires=Requirement(_needed, _free_functions),
    ),
    Check(
        id="hd_vf_address_map",
        category="hostdev",
        severity="warning",
        scope="pair",
        title="The device's address means the same at the destination",
        expected="a free device of the same kind at this address",
        remedy="name another address when you attach a device at the destination (virsh nodedev-list --cap pci)",
        requires=Requirement(_places, _place, _ask_place),
    ),
    Check(
        id="hd_vf_same_kind",
        category="hostdev",
        severity="warning",
        scope="pair",
        title="The destination's free virtual functions have a link, and are treated as the source's",
        expected="enough free ones on ports with a link",
        remedy="connect the port or switch it on (ip link set PF up)",
        requires=Requirement(functions, _same_kind),
    ),
    Check(
        id="hd_iommu_ready",
        category="hostdev",
        severity="error",
        scope="pair",
        title="The destination can pass devices through",
        expected="an IOMMU in use",
        remedy="switch it on in the firmware and on the kernel's command line (intel_iommu=on), and boot that host",
        requires=Requirement(_vfio, _iommu),
        evidence="recorded",
    ),
    Check(
        id="hd_iommu_group_viable",
        category="hostdev",
        severity="error",
        scope="pair",
        title="The destination's free virtual functions can be passed through",
        expected="IOMMU groups of which drivers of the host have nothing",
        remedy="put the card into another slot, or choose another destination",
        requires=Requirement(functions, _viable),
    ),
    Check(
        id="hd_memlock",
        category="hostdev",
        severity="error",
        scope="pair",
        title="The destination's daemon may lock the guest's memory",
        expected="a daemon that runs as root with CAP_SYS_RESOURCE, or a limit above the guest's memory",
        remedy="set LimitMEMLOCK=infinity for the daemon's service (systemctl edit), or give it the capability",
        requires=Requirement(_vfio, _locked),
        evidence="recorded",
    ),
    Check(
        id="hd_usb",
        category="hostdev",
        severity="warning",
        scope="pair",
        title="No USB device is passed through",
        expected="none: the guest sees it unplugged, and the destination needs one like it",
        remedy="detach it before the migration, or plug such a device in at the destination",
        requires=Requirement(_usb, _usb_there),
    ),
    Check(
        id="hd_usb_redirdev",
        category="hostdev",
        severity="warning",
        scope="domain",
        title="No USB device is redirected over a connection of its own",
        expected="none, or one that a SPICE client redirects",
        remedy="detach it before the migration, or connect the device anew afterwards",
        evaluate=_redirected,
        evidence="lab",
    ),
    Check(
        id="hd_scsi_generic",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No SCSI device is passed through",
        expected="none",
        remedy="detach it before the migration, or give the LUN to the guest as a disk on shared storage",
        evaluate=_scsi,
        volatile=True,
        evidence="lab",
    ),
    Check(
        id="hd_scsi_host",
        category="hostdev",
        severity="error",
        scope="domain",
        title="No vhost-scsi target is passed through",
        expected="none",
        remedy="detach it before the migration",
        evaluate=_no_hostdev("scsi_host", "vhost-scsi target"),
        volatile=True,
    ),
)
