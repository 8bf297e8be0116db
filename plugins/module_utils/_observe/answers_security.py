# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about users, labels and devices.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import typing as t

from .._libvirt import Connection, libvirt
from .._model.api import Answer, LivemigError, Question
from . import files
from .area import Ask, Host
from .host_nodedevs import PCI, pci_device

_PROFILES = "/sys/kernel/security/apparmor/profiles"
_CONTEXT = "/sys/fs/selinux/context"


def label(_host: Host, question: Question) -> Answer:
    """Whether a label of this model means something here: {"model", "label"} -> valid, reason."""
    asked = question["value"]
    reason = _WHY[asked["model"]](asked["label"])
    return {"valid": reason is None, "reason": reason or ""}


def _why_not_dac(text: str) -> str | None:
    user, _colon, group = text.partition(":")
    try:
        if not user.startswith("+"):
            pwd.getpwnam(user)
    except KeyError:
        return f"there is no user {user}"
    try:
        if group and not group.startswith("+"):
            grp.getgrnam(group)
    except KeyError:
        return f"there is no group {group}"
    return None


def _why_not_apparmor(text: str) -> str | None:
    loaded = [line.rpartition(" (")[0] for line in files.read(_PROFILES).splitlines()]
    return None if text in loaded else f"the profile {text} is not loaded"


def _why_not_selinux(text: str) -> str | None:
    """The kernel's own question: it answers on this file whether its policy has such a context, and changes nothing."""
    handle = os.open(_CONTEXT, os.O_RDWR)
    try:
        os.write(handle, text.encode() + b"\0")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return f"its policy has no context {text}"
    finally:
        os.close(handle)
    return None


_WHY: t.Mapping[str, t.Callable[[str], str | None]] = {
    "apparmor": _why_not_apparmor,
    "dac": _why_not_dac,
    "none": lambda _text: None,
    "selinux": _why_not_selinux,
}


def pci(_host: Host, question: Question) -> Answer:
    """What is at a PCI address: exists; kind and driver."""
    if not os.path.exists(os.path.join(PCI, question["value"])):
        return {"exists": False}
    return {"exists": True, **pci_device(question["value"])}


def secret(host: Host, question: Question) -> Answer:
    """Whether a secret, with UUIDs {"here", "there"}, has one value on both hosts: same. No value is told."""
    uuids = question["value"]
    try:
        other = host.connect(question["uri"])
    except LivemigError as error:
        return {"error": str(error.value)}
    try:
        if not other.isSecure():
            return {"error": f"{question['uri']} is not encrypted, and values of secrets are not sent over it"}
        here = host.connection.secretLookupByUUIDString(uuids["here"]).value()
        return {"same": bool(here == _value(other, uuids["there"]))}
    finally:
        other.close()


def _value(connection: Connection, uuid: str) -> bytes | None:
    """None where the secret has no value. Raises libvirtError where libvirt does not tell it: private='yes'."""
    try:
        return t.cast(bytes, connection.secretLookupByUUIDString(uuid).value())
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
            raise
        return None


ASKS: t.Mapping[str, Ask] = {"label": label, "pci": pci, "secret": secret}
