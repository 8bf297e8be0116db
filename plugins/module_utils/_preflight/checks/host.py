# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of hosts, of their versions, and of who is already at the destination.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import typing as t

from ..._model.api import Question
from ..check import Check, Problem, Requirement, View, facts_differ, unknown, version_not_less, version_text
from ..edits import mapped
from ..jobs import migration_under_way
from ..offers import asked_kind, runs
from ..questions import cpu_question, path_key, path_question

_MINOR = 1000
# Neither libvirt 9.0 nor a newer one compares them (qemu_migration_cookie.c; tried with 11.3); some older ones do.
_NAMES_COMPARED_BEFORE = 9000000


def _alive(view: View) -> t.Iterator[Problem]:
    if view.silent is not None:
        yield Problem(f"Host {view.source_name or view.destination_name}", f"it could not be observed: {view.silent}")


def _same_names(view: View) -> t.Iterator[Problem]:
    """Each of the two daemons looks at what the other one sends with the migration."""
    name = view.source.get("hostname")
    if name != view.destination.get("hostname"):
        return
    what = f"Host name of {view.source_name} and {view.destination_name}"
    oldest = min(host.get("libvirt_version") for host in (view.source, view.destination))
    if oldest < _NAMES_COMPARED_BEFORE:
        said = f"{name} on both, and libvirt {version_text(oldest)} may take them for one host"
        yield Problem(what, said, expected="two different host names, without which it refuses", severity="error")
    else:
        yield Problem(what, f"{name} on both")


def _ports_free(view: View) -> t.Iterator[Problem]:
    if view.role != "destination":
        return
    first, last = view.host.get("migration_ports.first"), view.host.get("migration_ports.last")
    in_use = view.host.get("migration_ports.in_use")
    if last - first + 1 - in_use < 1:
        yield Problem(f"Migration ports of {view.destination_name}", f"all of {first} to {last} are taken")


def _uuid_running(view: View) -> t.Iterator[Problem]:
    uuid = view.domain.get("uuid")
    hosts = [name for name in view.fleet.active(uuid) if name != view.source_name]
    if hosts:
        yield _double(view, uuid, hosts)
    yield from map(unknown, view.fleet.unknown_domains().values())


def _double(view: View, uuid: str, hosts: t.Sequence[str]) -> Problem:
    """While libvirt migrates a domain, the destination has it too, paused: that one must be left alone."""
    what, where = f"Domain {view.domain_name}", " and ".join(hosts)
    if migration_under_way(view.domain):
        return Problem(
            what,
            f"a migration of it is under way, and UUID {uuid} is on {where} as well as on {view.source_name}",
            expected="no migration of it that has not ended",
            remedy="wait until it has ended (virsh domjobinfo), then run again; touch neither of the two meanwhile",
        )
    return Problem(what, f"UUID {uuid} is active on {where} as well as on {view.source_name}")


class Named(t.NamedTuple):
    """What tells a domain from others."""

    name: str
    uuid: str
    persistent: bool


def _named(view: View) -> t.Iterator[Named]:
    yield Named(view.domain.get("name"), view.domain.get("uuid"), view.domain.get("persistent"))


def _name_conflict(view: View, need: Named) -> t.Iterator[Problem]:
    other = view.fleet.known_at(view.there, "name").get(need.name)
    if other is not None and other["uuid"] != need.uuid:
        yield Problem(
            f"Name {need.name}", f"on {view.destination_name} another domain has it, with UUID {other['uuid']}"
        )


def _defined_differs(view: View, need: Named) -> t.Iterator[Problem]:
    other = view.fleet.known_at(view.there, "uuid").get(need.uuid)
    if other is None or other["active"]:
        return
    where = view.destination_name
    if need.persistent:
        yield Problem("Domain {domain}", f"{where} has a definition of it already")
        return
    yield Problem(
        "Domain {domain}",
        f"it is transient, and {where} has a definition with its UUID, so that it would become persistent there",
        remedy=f"undefine it on {where} first (virsh undefine), or define it at its source if it is to be persistent",
        severity="error",
    )


def _emulator_path(view: View) -> t.Iterator[str]:
    yield view.domain.get("emulator")


def _listed(view: View, path: str) -> bool:
    return path in [emulator["path"] for emulator in view.destination.get("emulators")]


def _ask_emulator(view: View, path: str) -> t.Iterator[Question]:
    edit = mapped(view, "emulator", path)
    for name in (path, edit["new"] if edit is not None else None):
        if name is not None and not _listed(view, name):
            yield path_question(name)


def _emulator(view: View, path: str) -> t.Iterator[Problem]:
    # Capabilities name one binary for each architecture, by the first match in PATH: a merged /usr shows as /bin one
    # time and as /usr/bin another (seen on libvirt 11.3). So what is not listed is looked for.
    if not _has_emulator(view, path):
        edit = mapped(view, "emulator", path)
        if edit is not None and not (edit["new"] and _has_emulator(view, edit["new"])):
            edit = None
        yield Problem("Emulator of domain {domain}", f"there is no {path} on {view.there}", edit=edit)


def _has_emulator(view: View, path: str) -> bool:
    return _listed(view, path) or bool(view.answer(view.there, path_key(path)).get("exists"))


class Kind(t.NamedTuple):
    """What a destination's QEMU must be able to run."""

    arch: str
    value: str


def _kind(fact: str) -> t.Callable[[View], t.Iterator[Kind]]:
    def needs(view: View) -> t.Iterator[Kind]:
        yield Kind(view.domain.get("arch"), view.domain.get(fact))

    return needs


def _of_arch(view: View, arch: str, fact: str) -> list[str]:
    """What the destination's emulators for the guest's architecture offer."""
    emulators = [emulator for emulator in view.destination.get("emulators") if emulator["arch"] == arch]
    return sorted({value for emulator in emulators for value in emulator[fact]})


def _machine(view: View, need: Kind) -> t.Iterator[Problem]:
    machines = _of_arch(view, need.arch, "machines")
    # Without any emulator for this architecture it is version_driver_type_match that fails.
    if machines and need.value not in machines:
        yield Problem(
            "Machine type of domain {domain}", f"{view.destination_name} has no {need.value} for {need.arch} guests"
        )


def _driver(view: View, need: Kind) -> t.Iterator[Problem]:
    virt_types = _of_arch(view, need.arch, "virt_types")
    if need.value not in virt_types:
        offered = ", ".join(virt_types) or "no emulator at all"
        yield Problem(
            "Virtualisation of domain {domain}",
            f"it is {need.value} on {need.arch}, and {view.destination_name} offers {offered} for {need.arch}",
        )


class Asked(t.NamedTuple):
    """A question as a need: equal where the keys are, whatever else it says."""

    key: str
    text: str


def _cpu_needs(view: View) -> t.Iterator[Asked]:
    question = cpu_question(view.domain)
    if question is not None:
        yield Asked(question["key"], json.dumps(question))


def _ask_cpu(view: View, need: Asked) -> t.Iterator[Question]:
    question = json.loads(need.text)
    if runs(view, asked_kind(question)):
        yield question


def _cpu(view: View, need: Asked) -> t.Iterator[Problem]:
    if not runs(view, asked_kind(json.loads(need.text))):
        return  # libvirt cannot compare for a machine type that it does not know
    answer = view.answer(view.destination_name, need.key)
    result = answer.get("result")
    if result == "error":
        yield unknown(f"libvirt on {view.destination_name} could not compare")
    elif result not in ("identical", "superset"):
        reason = answer.get("reason") or result
        yield Problem("CPU of domain {domain}", f"{view.destination_name} does not provide it: {reason}")


CHECKS: tuple[Check, ...] = (
    Check(
        id="host_daemon_alive",
        category="host",
        severity="error",
        scope="host",
        title="The host answers",
        expected="a host that can be reached and a libvirt daemon that answers",
        remedy="make SSH, the user's rights and the libvirt daemon work there, or leave the host out; "
        "nothing else about it could be evaluated",
        evaluate=_alive,
        evidence="lab",
        first=True,
        fixed=True,
    ),
    Check(
        id="host_not_same",
        category="host",
        severity="error",
        scope="link",
        title="Source and destination are two hosts",
        expected="two different host UUIDs",
        remedy="if they are two machines with the same firmware UUID, set host_uuid or host_uuid_source in "
        "libvirtd.conf on one of them and restart its daemon",
        evaluate=facts_differ("uuid", "Host UUID"),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="host_hostname_distinct",
        category="host",
        severity="warning",
        scope="link",
        title="Source and destination have different host names",
        expected="two different host names, by which logs and people tell them apart; libvirt before 9.0 may refuse",
        remedy="give the hosts different names (hostnamectl set-hostname) and restart the libvirt daemon",
        evaluate=_same_names,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="version_libvirt_direction",
        category="version",
        severity="warning",
        scope="link",
        title="libvirt at the destination is not older",
        expected="the source's version or newer",
        remedy="upgrade libvirt at the destination first, or choose another destination",
        evaluate=version_not_less("libvirt_version", "libvirt"),
        evidence="lab",
    ),
    Check(
        id="version_qemu_direction",
        category="version",
        severity="error",
        scope="link",
        title="QEMU at the destination is not older",
        expected="the source's version or newer",
        remedy="upgrade QEMU at the destination first, or choose another destination: QEMU supports migration "
        "to newer versions only",
        evaluate=version_not_less("qemu_version", "QEMU", hard_below=_MINOR),
        evidence="lab",
    ),
    Check(
        id="host_migration_ports_free",
        category="host",
        severity="error",
        scope="host",
        title="The destination has a free migration port",
        expected="at least one free port",
        remedy="widen migration_port_min and migration_port_max in qemu.conf, and keep other programs out of the range "
        "with net.ipv4.ip_local_reserved_ports",
        evaluate=_ports_free,
        evidence="lab",
    ),
    Check(
        id="dst_domain_uuid_running",
        category="host",
        severity="error",
        scope="domain",
        title="The domain is active on no other host",
        expected="a domain that is active on one host only",
        remedy="run again, in case a migration has ended in this moment; if it stays so, find out which one is the "
        "real one before anything else: two that write to one disk destroy it; a paused one that a failed migration "
        "left behind is destroyed there once the source is seen to run",
        evaluate=_uuid_running,
        on_unknown="stop",
        evidence="lab",
        volatile=True,
        fixed=True,
    ),
    Check(
        id="dst_domain_name_conflict",
        category="host",
        severity="error",
        scope="pair",
        title="No other domain at the destination has the name",
        expected="a name that is free there, or that belongs to the same UUID",
        remedy="rename one of the two domains (virsh domrename, while it is shut off), or choose another destination",
        requires=Requirement(_named, _name_conflict),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="dst_domain_defined_differs",
        category="host",
        severity="warning",
        scope="pair",
        title="The destination has no definition of the domain yet",
        expected="no definition there",
        remedy="none is needed: the domain is persistent, and its definition replaces the one there",
        requires=Requirement(_named, _defined_differs),
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="host_emulator_path",
        category="host",
        severity="error",
        scope="pair",
        title="The destination has the domain's emulator",
        expected="the same emulator path on both hosts",
        remedy="install QEMU there, or make the path a link to the emulator there",
        requires=Requirement(_emulator_path, _emulator, _ask_emulator),
        evidence="lab",
    ),
    Check(
        id="version_driver_type_match",
        category="version",
        severity="error",
        scope="pair",
        title="The destination runs guests of this kind",
        expected="the same architecture and virtualisation type on both hosts",
        remedy="switch on VT-x or SVM in the firmware and load kvm_intel or kvm_amd where kvm is missing, or choose "
        "another destination",
        requires=Requirement(_kind("virt_type"), _driver),
        evidence="lab",
    ),
    Check(
        id="machine_type_supported",
        category="machine",
        severity="error",
        scope="pair",
        title="The destination has the machine type",
        expected="a QEMU that knows this machine type",
        remedy="choose a destination whose QEMU has it (virsh capabilities lists them); another machine type needs a "
        "power cycle of the guest",
        requires=Requirement(_kind("machine"), _machine),
        evidence="lab",
    ),
    Check(
        id="cpu_hypervisor_compare",
        category="cpu",
        severity="error",
        scope="pair",
        title="The destination provides the guest's CPU",
        expected="a hypervisor with all features of the guest's CPU",
        remedy="choose a destination with these features, or give the guest a CPU model that all hosts provide (virsh "
        "hypervisor-cpu-baseline) and power-cycle it",
        requires=Requirement(_cpu_needs, _cpu, _ask_cpu),
        evidence="lab",
    ),
)
