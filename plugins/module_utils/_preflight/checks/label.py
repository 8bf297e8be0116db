# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of labels, users, secrets and TPM.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from ..._model.api import Facts, Question, UnknownFact
from .. import identity
from ..check import Check, Problem, Requirement, View, unknown
from ..questions import key_of, path_key, path_question
from ..shared_fs import takes_for_shared

_CONFINING = frozenset(("apparmor", "selinux"))
_BOOLEAN_OF = {
    "nfs": "virt_use_nfs",
    "nfs4": "virt_use_nfs",
    "cifs": "virt_use_samba",
    "smb3": "virt_use_samba",
    "fuse": "virt_use_fusefs",
    "fuse.glusterfs": "virt_use_fusefs",
    "fuse.sshfs": "virt_use_fusefs",
}
_FOR_SHARED = "cmdarg-migration"
_WITH_USAGE = {"ceph": "ceph", "iscsi": "iscsi", "passphrase": "volume"}


def _tpms(view: View, backend: str) -> list[t.Mapping[str, t.Any]]:
    return [tpm for tpm in view.domain.get("devices.tpms") if tpm["backend"] == backend]


def _tpm_passthrough(view: View) -> t.Iterator[Problem]:
    for tpm in _tpms(view, "passthrough"):
        yield Problem(f"TPM of domain {view.domain_name}", f"it is the host's own, {tpm['device']}")


class Emulated(t.NamedTuple):
    """``version``: 1.2 or 2.0, None where libvirt chose. ``folder``: where its state is, None for libvirt's own."""

    version: str | None
    folder: str | None


def _emulated(view: View) -> t.Iterator[Emulated]:
    for tpm in _tpms(view, "emulator"):
        yield Emulated(tpm["version"], tpm["source_path"])


def _emulator_ready(view: View, need: Emulated) -> t.Iterator[Problem]:
    found = view.destination.get("security.swtpm")
    if found["missing"]:
        yield Problem("TPM of domain {domain}", f"{view.there} has no {' and no '.join(found['missing'])}")
        return
    kinds = [feature for feature in found["features"] if feature.startswith("tpm-")]
    # A swtpm that names no version at all is older than 0.7 and has both.
    if need.version is not None and {"tpm-1.2", "tpm-2.0"} & set(kinds) and f"tpm-{need.version}" not in kinds:
        yield Problem("TPM of domain {domain}", f"it is a TPM {need.version}, and swtpm of {view.there} makes none")


def _emulator_version(view: View, _need: Emulated) -> t.Iterator[Problem]:
    if view.destination.get("security.swtpm.missing"):
        return
    for program, path in (("swtpm", "security.swtpm.version"), ("libtpms", "security.libtpms")):
        here, there = view.source.get(path), view.destination.get(path)
        if here is None or there is None:
            raise UnknownFact(f"the version of {program} is not known on both hosts")
        if _numbers(there) < _numbers(here):
            yield Problem(f"{program} of {view.there}", there, expected=f"{here}, as on {view.source_name}, or newer")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _tpm_state(view: View, need: Emulated) -> t.Iterator[Problem]:
    if need.folder is not None:
        raise UnknownFact(f"its state is in {need.folder}, and only libvirt's own folder is compared")
    sides = {name: view.facts[name].get("security.tpm_state") for name in ("source", "destination")}
    hosts = {"source": view.source_name, "destination": view.there}
    facts = {name: Facts(f"{side['path']} on {hosts[name]}", side) for name, side in sides.items()}
    shared = {name: takes_for_shared(view.facts[name], facts[name]) for name in sides}
    if not any(shared.values()):
        return
    both = all(shared.values())
    verdict, why = _same_folder(facts["source"], facts["destination"]) if both else ("different", "")
    if verdict == "unknown":
        yield unknown(why, _STATE)
    elif verdict == "different":
        alone = " and not on ".join(hosts[name] or "" for name in sorted(sides, key=lambda name: not shared[name]))
        how = f"both hosts have it on shared storage, but not the same: {why}" if both else f"it is shared on {alone}"
        yield Problem(_STATE, how, severity="warning")
    for name in sides:
        if shared[name] and (name == "source" or verdict != "different"):
            yield from _leaves_state(view.facts[name], hosts[name])


def _leaves_state(host: Facts, name: str | None) -> t.Iterator[Problem]:
    if _FOR_SHARED not in host.get("security.swtpm.features"):
        yield Problem(
            _STATE,
            f"it is on shared storage, and swtpm {host.get('security.swtpm.version')} of {name} cannot leave it to "
            "another",
            expected="swtpm 0.8 or newer, or the folder on a file system of the host's own",
            remedy="upgrade swtpm there and power-cycle the guest",
        )


_STATE = "TPM state of domain {domain}"


def _same_folder(here: Facts, there: Facts) -> tuple[str, str]:
    """identity.compare is for files; a folder is one with itself under the same rules."""
    sides = [
        Facts(side.who, {**{name: side.get(name) for name in _OF_FOLDER}, "exists": True, "kind": "file"})
        for side in (here, there)
    ]
    return identity.compare(*sides)


_OF_FOLDER = ("inode", "fs_type", "mount_source", "relative", "declared_shared")


class Secret(t.NamedTuple):
    """How a definition names a secret: by UUID, or by what it is for and its name."""

    uuid: str | None
    type: str | None
    usage: str | None

    @property
    def text(self) -> str:
        return f"secret {self.uuid}" if self.uuid else f"secret '{self.usage}' for {self.type}"


def _tpm_secrets(view: View) -> t.Iterator[Secret]:
    for tpm in _tpms(view, "emulator"):
        if tpm["secret"] is not None:
            yield Secret(tpm["secret"], None, None)


def _device_secrets(view: View) -> t.Iterator[Secret]:
    for entry in view.domain.get("lists.secrets"):
        if entry["uuid"]:
            yield Secret(entry["uuid"].lower(), None, None)
        elif entry["usage"]:
            yield Secret(None, _WITH_USAGE.get(entry["type"] or "", entry["type"]), entry["usage"])


def _secret_missing(view: View, need: Secret) -> t.Iterator[Problem]:
    there = _secret_of(view.destination, need)
    if there is None:
        yield Problem("Secrets of domain {domain}", f"{view.there} has no {need.text}")
        return
    if not there["ephemeral"] and there["uuid"] not in view.destination.get("security.stored_secrets"):
        yield Problem("Secrets of domain {domain}", f"{need.text} of {view.there} has no value")
        return
    same = _same_secret(view, need, there["uuid"])
    if not view.answer(view.source_name, same["key"]).get("same"):
        yield Problem("Secrets of domain {domain}", f"{need.text} of {view.there} has another value")


def _ask_secret(view: View, need: Secret) -> t.Iterator[Question]:
    there = _secret_of(view.destination, need)
    if there is not None:
        yield _same_secret(view, need, there["uuid"])


def _same_secret(view: View, need: Secret, there: str) -> Question:
    """The source's to answer, over the connection to the destination that a migration would use as well."""
    here, uri = _secret_of(view.source, need), view.policy.get("uris", {}).get(view.destination_name)
    if here is None or uri is None:
        raise UnknownFact(f"{need.text} is not on {view.source_name}" if uri else f"no URI of {view.there} is given")
    asked = {"here": here["uuid"], "there": there}
    return {"key": key_of("secret", [asked, uri]), "ask": "secret", "uri": uri, "value": asked}


def _secret_of(host: Facts, need: Secret) -> t.Mapping[str, t.Any] | None:
    return next((entry for entry in host.get("security.secrets") if _means(entry, need)), None)


def _means(entry: t.Mapping[str, t.Any], need: Secret) -> bool:
    if need.uuid is not None:
        return bool(entry["uuid"] == need.uuid)
    return bool((entry["type"], entry["usage"]) == (need.type, need.usage))


def _sockets(view: View) -> t.Iterator[str]:
    for tpm in _tpms(view, "external"):
        if tpm["source_path"]:
            yield tpm["source_path"]


def _ask_socket(_view: View, path: str) -> t.Iterator[Question]:
    yield path_question(path)


def _socket(view: View, path: str) -> t.Iterator[Problem]:
    if not view.answer(view.there, path_key(path)).get("exists"):
        yield Problem("TPM of domain {domain}", f"there is no {path} on {view.there}")


def _launch_security(view: View) -> t.Iterator[Problem]:
    kind = view.domain.get("settings.launch_security.type")
    if kind is not None:
        yield Problem(f"Memory of domain {view.domain_name}", f"it is encrypted by {kind}")


class Confined(t.NamedTuple):
    """The security models under which a guest runs."""

    models: tuple[str, ...]


def _confined(view: View) -> t.Iterator[Confined]:
    labels = view.domain.get("lists.seclabels")
    models = {label["model"] for label in labels if label["type"] in ("dynamic", "static") and label["model"]}
    if models & _CONFINING:
        yield Confined(tuple(sorted(models & _CONFINING)))


def _confines(view: View, need: Confined) -> t.Iterator[Problem]:
    there = sorted(entry["model"] for entry in view.destination.get("security.models"))
    if not _CONFINING & set(there):
        yield Problem(
            "Confinement of domain {domain}",
            f"it runs under {' and '.join(need.models)}, and {view.there} has {', '.join(there) or 'no model at all'}",
        )


class Label(t.NamedTuple):
    model: str
    label: str

    @property
    def question(self) -> Question:
        return {"key": key_of("label", list(self)), "ask": "label", "value": {"model": self.model, "label": self.label}}


def _static_labels(view: View) -> t.Iterator[Label]:
    for entry in view.domain.get("lists.seclabels"):
        if entry["type"] == "static" and entry["model"] and entry["label"]:
            yield Label(entry["model"], entry["label"])


def _ask_label(_view: View, need: Label) -> t.Iterator[Question]:
    yield need.question


def _label(view: View, need: Label) -> t.Iterator[Problem]:
    models = [entry["model"] for entry in view.destination.get("security.models")]
    what = f"Label {need.label} ({need.model}) of domain {{domain}}"
    if need.model not in models:
        yield Problem(what, f"{view.there} has no security model {need.model}, but {', '.join(models) or 'none'}")
        return
    answer = view.answer(view.there, need.question["key"])
    if not answer.get("valid"):
        yield Problem(what, f"on {view.there} {answer.get('reason')}")


def _same_user(view: View) -> t.Iterator[Problem]:
    here, there = view.source.get("security.qemu_user"), view.destination.get("security.qemu_user")
    if not here or not there or here == there or there["uid"] == 0:
        return  # root may read everything
    yield Problem(
        f"User that runs QEMU on {view.there}",
        f"uid {there['uid']}, gid {there['gid']}",
        expected=f"uid {here['uid']}, gid {here['gid']}, as on {view.source_name}",
    )


def _file_systems(view: View) -> t.Iterator[str]:
    for disk in view.domain.items("disks", "target"):
        if disk.get("type") == "file" and disk.get("path"):
            boolean = _BOOLEAN_OF.get(disk.get("identity").get("fs_type", ""))
            if boolean is not None:
                yield boolean


def _boolean(view: View, name: str) -> t.Iterator[Problem]:
    found = view.destination.get("security.selinux")
    if found is not None and found["enforcing"] and found["booleans"].get(name) is False:
        yield Problem(
            f"SELinux of {view.there}",
            f"{name} is off",
            expected="on: QEMU may not open disks on this file system otherwise",
            remedy=f"setsebool -P {name} on (on {view.there})",
        )


def _local_rules(view: View) -> t.Iterator[Problem]:
    models = {
        part: {entry["model"] for entry in view.facts[part].get("security.models")}
        for part in ("source", "destination")
    }
    if not all("apparmor" in found for found in models.values()):
        return
    here, there = view.source.get("security.apparmor"), view.destination.get("security.apparmor")
    for path, digest in sorted(here.items()):
        if there.get(path) != digest:
            how = "has other rules" if path in there else "is missing, or has no rules,"
            yield Problem(f"AppArmor rules of {view.there}", f"{path} {how} there")


CHECKS: tuple[Check, ...] = (
    Check(
        id="sec_tpm_passthrough",
        category="security",
        severity="error",
        scope="domain",
        title="The guest's TPM is not the host's own",
        expected="an emulated TPM, or none: what is in the host's cannot leave it",
        remedy="shut the guest down, and start it elsewhere without it (what it has sealed is lost to it)",
        evaluate=_tpm_passthrough,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="sec_tpm_emulator_ready",
        category="security",
        severity="error",
        scope="pair",
        title="The destination can emulate the guest's TPM",
        expected="swtpm and its tools there",
        remedy="install swtpm and swtpm-tools there",
        requires=Requirement(_emulated, _emulator_ready),
        evidence="lab",
    ),
    Check(
        id="sec_tpm_version_direction",
        category="security",
        severity="warning",
        scope="pair",
        title="The emulated TPM does not get older",
        expected="the source's version or newer: the state of a newer one may not be readable there",
        remedy="upgrade swtpm and libtpms there first, or choose another destination",
        requires=Requirement(_emulated, _emulator_version, uses_source=True),
        evidence="recorded",
    ),
    Check(
        id="sec_tpm_state_shared_consistency",
        category="security",
        severity="error",
        scope="pair",
        title="TPM states are on local storage on both hosts, or on the same shared one with a swtpm for it",
        # libvirt decides for each side by itself whether the folder is shared. A source that takes it for shared
        # refuses without a swtpm that can leave it (seen with 11.3); where only the destination does, the state still
        # arrives with QEMU's (seen with 11.3 too), but older ones want such a swtpm there
        # (qemuTPMEmulatorBuildCommand).
        expected="the same on both hosts",
        remedy="mount the same storage for /var/lib/libvirt/swtpm on both, or on neither; look at shared_filesystems "
        "in qemu.conf too",
        requires=Requirement(_emulated, _tpm_state, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="sec_tpm_encryption_secret",
        category="security",
        severity="error",
        scope="pair",
        title="The destination has the secret of the guest's TPM state",
        expected="a secret with this UUID, and the same value",
        remedy="define it there (virsh secret-define) and set its value (virsh secret-set-value)",
        requires=Requirement(_tpm_secrets, _secret_missing, asks_source=_ask_secret, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="sec_tpm_external",
        category="security",
        severity="error",
        scope="pair",
        title="The destination has the socket of the guest's external TPM",
        expected="a fresh swtpm that listens on the same path there",
        remedy="start swtpm there, on this path, as at the source",
        requires=Requirement(_sockets, _socket, _ask_socket),
        evidence="lab",
    ),
    Check(
        id="sec_secrets_present",
        category="security",
        severity="error",
        scope="pair",
        title="The destination has the secrets of the domain's devices",
        expected="the secrets that the definition refers to, with the same values",
        remedy="define them there (virsh secret-define) and set their values from where you keep them (virsh "
        "secret-set-value)",
        requires=Requirement(_device_secrets, _secret_missing, asks_source=_ask_secret, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="sec_launch_security",
        category="security",
        severity="error",
        scope="domain",
        title="The guest's memory is not encrypted by the processor",
        expected="no <launchSecurity>: QEMU cannot migrate such guests",
        remedy="shut the guest down and start it on the other host",
        evaluate=_launch_security,
        volatile=True,
    ),
    Check(
        id="sec_driver_match",
        category="security",
        severity="warning",
        scope="pair",
        title="The destination confines the guest too",
        expected="AppArmor or SELinux at the destination, if the guest runs under one here",
        remedy="switch security_driver of qemu.conf on there, or accept that QEMU runs unconfined there",
        requires=Requirement(_confined, _confines),
    ),
    Check(
        id="sec_static_label",
        category="security",
        severity="error",
        scope="pair",
        title="The guest's fixed security labels mean something at the destination",
        expected="the same security model, with this label, user or profile",
        remedy="create the user or load the profile there, or power-cycle the guest without the fixed label",
        requires=Requirement(_static_labels, _label, _ask_label),
        evidence="lab",
    ),
    Check(
        id="sec_dac_uid_gid",
        category="security",
        severity="warning",
        scope="link",
        title="QEMU runs under the same numbers on both hosts",
        expected="equal uid and gid: shared storage knows owners by number",
        remedy="align the ids (user and group in qemu.conf, /etc/passwd, /etc/group) while no guest runs there, and "
        "restart the libvirt daemon",
        evaluate=_same_user,
        evidence="lab",
    ),
    Check(
        id="sec_selinux_booleans",
        category="security",
        severity="error",
        scope="pair",
        title="SELinux at the destination lets QEMU open disks on this file system",
        expected="the boolean for it on",
        remedy="setsebool -P",
        requires=Requirement(_file_systems, _boolean),
    ),
    Check(
        id="sec_apparmor_local_rules",
        category="security",
        severity="warning",
        scope="link",
        title="Local AppArmor rules of the source are at the destination too",
        expected="the same rules: guests of the source may need what they allow",
        remedy="copy the file there and reload the profiles (systemctl reload apparmor)",
        evaluate=_local_rules,
    ),
)
