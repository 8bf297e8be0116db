# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of machine types, and of versions that do not go together.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..._model.api import Question, UnknownFact
from ..check import Check, Problem, Requirement, View, version_text
from ..questions import path_key, path_question

_TCG_FIXED = 9000000
_VMX_NAMED, _VMX_FIXED = 9010000, 10002000
_RELEASE = re.compile(r"(\d+)\.(\d+)")


# Drivers whose state QEMU declares unmigratable (".unmigratable = 1" in its source, 10.0), by what -device calls them.
_UNMIGRATABLE = frozenset(
    (
        "amd-iommu",
        "nvme",
        "rocker",
        "usb-audio",
        "usb-mtp",
        "usb-net",
        "usb-serial",
        "usb-uas",
        "usb-wacom-tablet",
        "vfio-ap",
        "vfio-ccw",
        "vfio-platform",
        "virtio-crypto-pci",
        "virtio-input-host-pci",
        "virtio-sound-pci",
        "x-terminal3270",
    )
)


class Machine(t.NamedTuple):
    arch: str
    machine: str


def _machine_need(view: View) -> t.Iterator[Machine]:
    yield Machine(view.domain.get("arch"), view.domain.get("machine"))


def _deprecated(view: View, need: Machine) -> t.Iterator[Problem]:
    if need.machine in view.destination.get("qemu.deprecated_machines").get(need.arch, ()):
        yield Problem("Machine type of domain {domain}", f"QEMU on {view.there} calls {need.machine} deprecated")


def _arguments(view: View) -> t.Iterator[Problem]:
    """Of the arguments only the options are known: their values may hold secrets."""
    options = [word for word in view.domain.get("lists.qemu_arguments") if word.startswith("-")]
    names = view.domain.get("lists.qemu_environment")
    if view.domain.get("lists.qemu_arguments") or names:
        said = [*dict.fromkeys(options), *(f"variable {name}" for name in names)]
        yield Problem(f"<qemu:commandline> of domain {view.domain_name}", ", ".join(said) or "arguments without a name")
    stuck = [driver for driver in view.domain.get("lists.qemu_devices") if driver in _UNMIGRATABLE]
    if stuck:
        yield Problem(
            f"<qemu:commandline> of domain {view.domain_name}",
            f"-device {', '.join(stuck)}, which QEMU does not migrate",
            expected="no device that QEMU cannot move",
            remedy="take the argument out of the definition and power-cycle the guest",
            severity="error",
        )


class OwnFile(t.NamedTuple):
    path: str


def _past_libvirt(view: View) -> t.Iterator[OwnFile | Problem]:
    yield from _arguments(view)
    yield from map(OwnFile, view.domain.get("lists.qemu_files"))


def _ask_file(_view: View, need: OwnFile) -> t.Iterator[Question]:
    yield path_question(need.path)


def _own_file(view: View, need: OwnFile) -> t.Iterator[Problem]:
    """Only what the source has: the guest may have been started with something that is gone there too."""
    here, there = (view.answer(host, path_key(need.path)) for host in (view.source_name, view.destination_name))
    if here.get("exists") and not there.get("exists"):
        yield Problem(
            "<qemu:commandline> of domain {domain}",
            f"it names {need.path}, which is not on {view.there}",
            expected="every file that is named there: without it QEMU does not start",
            remedy="copy it there",
            severity="error",
        )


def _overrides(view: View) -> t.Iterator[str]:
    devices = [f"properties of {entry['alias']}" for entry in view.domain.get("lists.qemu_overrides")]
    capabilities = [f"capability {entry['capability']}" for entry in view.domain.get("lists.qemu_capabilities")]
    if devices or capabilities:
        yield ", ".join([*devices, *capabilities])


def _same_qemu(view: View, overridden: str) -> t.Iterator[Problem]:
    here, there = view.source.get("qemu_version"), view.destination.get("qemu_version")
    if here != there:
        yield Problem(
            "<qemu:override> of domain {domain}",
            f"{overridden}, and {view.there} has QEMU {version_text(there)}, {view.source_name} {version_text(here)}",
        )


def _tcg(view: View) -> t.Iterator[Problem]:
    if view.domain.get("virt_type") != "qemu":
        return
    version = view.source.get("qemu_version")
    if version < _TCG_FIXED:
        yield Problem(
            f"Domain {view.domain_name}",
            f"it runs without KVM, and QEMU on {view.source_name} is {version_text(version)}",
        )


def _kernel(view: View) -> t.Iterator[Problem]:
    here, there = _release(view, "source"), _release(view, "destination")
    if there < here:
        yield Problem(
            f"Kernel of {view.there}",
            view.destination.get("kernel"),
            expected=f"{view.source.get('kernel')}, as on {view.source_name}, or newer",
        )


def _release(view: View, part: str) -> tuple[int, int]:
    text = view.facts[part].get("kernel")
    found = _RELEASE.match(text)
    if found is None:
        raise UnknownFact(f"kernel {text} of {view.facts[part].who} has no version number")
    return int(found[1]), int(found[2])


def _replaced(view: View) -> t.Iterator[Problem]:
    if view.role != "source":
        return
    names = view.host.get("qemu.replaced")
    if names:
        yield Problem(f"QEMU of {view.source_name}", f"replaced on disk since these were started: {', '.join(names)}")


class Traits(t.NamedTuple):
    """What the known bad pairs of versions are bad for."""

    vmx: bool
    vmx_off: bool
    threads: bool


def _traits(view: View) -> t.Iterator[Traits]:
    domain = view.domain
    if domain.get("virt_type") != "kvm":
        return
    policies = {entry["feature"] or "": entry["policy"] for entry in domain.get("lists.cpu_features")}
    vmx = {name: policy for name, policy in policies.items() if name.startswith("vmx")}
    on = any(policy in ("require", "force", None) for policy in vmx.values())
    off = any(policy in ("disable", "forbid") for name, policy in vmx.items() if name.startswith("vmx-"))
    traits = Traits(on, off, domain.get("vcpus") > 1)
    if any(traits):
        yield traits


@dataclass(frozen=True)
class BadPair:
    """Versions between which a migration is known to fail, for guests of one trait. Versions are libvirt's integers.

    libvirt, qemu: whether the (source, destination) versions are such a pair.
    """

    trait: str
    what: str
    failure: str
    libvirt: t.Callable[[int, int], bool]
    qemu: t.Callable[[int, int], bool] = lambda _here, _there: True
    severity: t.Literal["error", "warning"] = "error"


def _vmx_named(version: int) -> bool:
    return _VMX_NAMED <= version < _VMX_FIXED


BAD_PAIRS = (
    # NEWS of 10.2.0: from the affected releases to that one and newer it works.
    BadPair(
        "vmx",
        "its CPU has vmx",
        "one of them names features of vmx that the other does not expect",
        lambda here, there: there < _VMX_NAMED if _vmx_named(here) else _vmx_named(there),
    ),
    # NEWS of 10.5.0
    BadPair(
        "vmx_off",
        "its CPU has vmx-* features that are switched off",
        "the destination may expect them switched on",
        lambda _here, there: there < 10005000,
        severity="warning",
    ),
    # NEWS of 11.10.0: "guest CPU doesn't match specification: extra features: ht"; seen with several cores too, but not
    # with TCG from QEMU 7.2 to 10.0 and libvirt 11.3 (tried in the lab).
    BadPair(
        "threads",
        "it has more than one vCPU",
        "QEMU 10.0 reports the CPU feature ht, which libvirt there does not expect",
        lambda _here, there: there < 11010000,
        lambda here, there: here < 10000000 <= there,
        severity="warning",
    ),
)
"""Distributions carry fixes back, so what is not certain of all builds is only a warning."""


def _bad_pairs(view: View, traits: Traits) -> t.Iterator[Problem]:
    libvirt = (view.source.get("libvirt_version"), view.destination.get("libvirt_version"))
    qemu = (view.source.get("qemu_version"), view.destination.get("qemu_version"))
    for row in BAD_PAIRS:
        if getattr(traits, row.trait) and row.libvirt(*libvirt) and row.qemu(*qemu):
            versions = [f"libvirt {version_text(one)} and QEMU {version_text(two)}" for one, two in zip(libvirt, qemu)]
            yield Problem(
                "Domain {domain}",
                f"{row.what}, and from {versions[0]} to {versions[1]} {row.failure}",
                severity=row.severity,
            )


CHECKS: tuple[Check, ...] = (
    Check(
        id="machine_type_deprecated",
        category="machine",
        severity="info",
        scope="pair",
        title="The guest's machine type has a future at the destination",
        expected="a machine type that the next versions of QEMU will have too",
        remedy="give the guest a newer one (virsh edit, <type machine=...>) and power-cycle it before the hosts get a "
        "QEMU without it",
        requires=Requirement(_machine_need, _deprecated),
        evidence="lab",
    ),
    Check(
        id="machine_qemu_commandline",
        category="machine",
        severity="warning",
        scope="pair",
        title="libvirt knows all of the guest's devices",
        expected="nothing that goes past libvirt to QEMU: nobody can tell whether the destination has it, and devices "
        "without a fixed address may end up elsewhere",
        remedy="see that the destination has every file and device that is named there, or put it into the definition "
        "proper",
        requires=Requirement(_past_libvirt, _own_file, _ask_file, asks_source=_ask_file, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="machine_qemu_override",
        category="machine",
        severity="warning",
        scope="pair",
        title="Properties that were set past libvirt mean the same at the destination",
        expected="the same QEMU on both hosts: another one may not know the property and exits",
        remedy="choose a destination with the same QEMU, or try the definition there with a guest that may fail",
        requires=Requirement(_overrides, _same_qemu, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="version_tcg_dirty_bits",
        category="version",
        severity="error",
        scope="domain",
        title="QEMU does not lose memory of guests without KVM",
        # cpu_physical_memory_sync_dirty_bitmap() clears dirty bits without telling the translated code about it.
        expected="QEMU 9.0 or newer on the source: older ones miss writes of such a guest while it migrates, so that "
        "it arrives with old memory, and report success",
        remedy="shut the guest down, start it at the destination, or upgrade QEMU on the source and power-cycle it",
        evaluate=_tcg,
        on_unknown="stop",
        evidence="lab",
    ),
    Check(
        id="version_known_bad_pairs",
        category="version",
        severity="error",
        scope="pair",
        title="The versions of both hosts go together",
        expected="a pair of versions without a known fault for such a guest",
        remedy="upgrade libvirt at the destination, or choose another destination; where the packages of your "
        "distribution have the fix, silence the check",
        requires=Requirement(_traits, _bad_pairs, uses_source=True),
    ),
    Check(
        id="version_kernel_kvm_delta",
        category="version",
        severity="warning",
        scope="link",
        title="The kernel at the destination is not older",
        expected="the source's version or newer",
        remedy="upgrade the kernel at the destination and reboot it first, or choose another destination: an older KVM "
        "or vhost may lack what the guest uses, and its state cannot be restored then",
        evaluate=_kernel,
        evidence="recorded",
    ),
    Check(
        id="version_running_binary_replaced",
        category="version",
        severity="info",
        scope="host",
        title="The guests run the QEMU that is installed",
        expected="the same file: modules of the new one do not fit the old one, so that hot-plug may fail",
        remedy="none is needed: moving them away is the cure",
        evaluate=_replaced,
        evidence="lab",
    ),
)
