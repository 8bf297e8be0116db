# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: users, labels, secrets by name, certificates and TPM. Never a key and never a secret's value.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import pwd
import re
import shutil
import ssl
import stat
import subprocess
import typing as t

from .._libvirt import libvirt
from . import files, pki, x509
from .area import Fact, Facts, Host

_KEYS = {
    "server": "/etc/pki/libvirt/private/serverkey.pem",
    "client": "/etc/pki/libvirt/private/clientkey.pem",
    "qemu_server": "server-key.pem",
    "qemu_client": "client-key.pem",
}
_TPM_STATE = "/var/lib/libvirt/swtpm"
_SECRETS = "/etc/libvirt/secrets"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# virSecretUsageType, in the order of libvirt's numbers
_USAGE_TYPES = ("none", "volume", "ceph", "iscsi", "tls", "vtpm")
# libvirt looks for all of them before it starts one (virTPMEmulatorInit in src/util/virtpm.c).
_TPM_PROGRAMS = ("swtpm", "swtpm_setup", "swtpm_ioctl")
_TPM_LIBRARIES = ("/usr/lib/*/libtpms.so.0", "/usr/lib64/libtpms.so.0", "/usr/lib/libtpms.so.0", "/lib*/libtpms.so.0")
_COMMAND_S = 10
_NOT_LOADED = 127  # the exit status of ld.so, and of a shell that finds no program
_SELINUX = "/sys/fs/selinux"
_BOOLEANS = ("virt_use_nfs", "virt_use_samba", "virt_use_fusefs")
_APPARMOR = (
    "/etc/apparmor.d/local/abstractions/libvirt-qemu",
    "/etc/apparmor.d/local/usr.lib.libvirt.virt-aa-helper",
    "/etc/apparmor.d/local/usr.sbin.libvirtd",
    "/etc/apparmor.d/abstractions/libvirt-qemu.d/*",
)
# The last is what OpenSSL says where the key is of another kind than the certificate's (seen with 3.5).
_MISMATCHES = frozenset(("KEY_TYPE_MISMATCH", "KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"))
_ACL = "system.posix_acl_access"


def models(host: Host) -> list[dict[str, t.Any]]:
    found = []
    for entry in host.capabilities().findall("host/secmodel"):
        labels = {label.get("type", ""): (label.text or "").strip() for label in entry.findall("baselabel")}
        found.append({"model": entry.findtext("model"), "doi": entry.findtext("doi"), "labels": labels})
    return found


def qemu_user(host: Host) -> dict[str, int] | None:
    """Who runs QEMU unless a domain says otherwise. None: libvirt changes no owners (an unprivileged daemon)."""
    for model in models(host):
        label = model["labels"].get("kvm") or model["labels"].get("qemu") or ""
        numbers = re.fullmatch(r"\+(\d+):\+(\d+)", label)
        if model["model"] == "dac" and numbers is not None:
            return {"uid": int(numbers[1]), "gid": int(numbers[2])}
    return None


def secrets(host: Host) -> list[dict[str, t.Any]]:
    """Which secrets there are; their values are never asked for."""
    ephemeral = {
        secret.UUIDString() for secret in host.connection.listAllSecrets(libvirt.VIR_CONNECT_LIST_SECRETS_EPHEMERAL)
    }
    return [
        {
            "uuid": secret.UUIDString(),
            "type": _usage_type(secret.usageType()),
            "usage": secret.usageID(),
            "ephemeral": secret.UUIDString() in ephemeral,
        }
        for secret in host.connection.listAllSecrets()
    ]


def _usage_type(number: int) -> str:
    return _USAGE_TYPES[number] if number < len(_USAGE_TYPES) else str(number)


def stored_secrets(_host: Host) -> list[str]:
    """UUIDs of secrets whose value libvirt keeps in a file, by the file's name. Raises OSError for all but root.

    The definition is UUID.xml; the value is UUID.base64, or has another ending where libvirt encrypts it (since 12.1).
    """
    with contextlib.suppress(FileNotFoundError):
        stems = {name.partition(".")[0] for name in os.listdir(_SECRETS) if not name.endswith(".xml")}
        return sorted(stem for stem in stems if _UUID.fullmatch(stem))
    return []


def swtpm(_host: Host) -> dict[str, t.Any]:
    missing = [name for name in _TPM_PROGRAMS if shutil.which(name) is None]
    if missing:
        return {"missing": missing, "version": None, "features": []}
    try:
        said = json.loads(_output("swtpm", "socket", "--print-capabilities"))
    except _DoesNotRun as error:
        return {"missing": [f"swtpm that runs ({error})"], "version": None, "features": []}
    return {"missing": [], "version": said.get("version") or _version(), "features": said.get("features", [])}


def _version() -> str | None:
    """swtpm tells its version among its capabilities only since 0.6."""
    found = re.search(r"version (\d[\d.]*)", _output("swtpm", "--version"))
    return None if found is None else found[1]


class _DoesNotRun(OSError):
    """The program is there and the system's loader cannot start it: a library is missing, for one."""


def _output(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    except subprocess.SubprocessError as error:
        raise OSError(f"{' '.join(words)} did not tell: {error}") from error
    if done.returncode == _NOT_LOADED:
        raise _DoesNotRun(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it cannot be loaded")
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)} did not tell: it ended with {done.returncode}")
    return done.stdout


def libtpms(_host: Host) -> str | None:
    """The version of the library in which the TPM's state is made, by the name of its file."""
    for path in _TPM_LIBRARIES:
        for found in sorted(glob.glob(path)):
            version = re.search(r"\.so\.(\d+\.\d+\.\d+)$", os.path.realpath(found))
            if version is not None:
                return version[1]
    return None


def tpm_state(_host: Host) -> dict[str, t.Any]:
    """The folder below which libvirt keeps each TPM's state, or where it will make it."""
    folder = _TPM_STATE
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return t.cast("dict[str, t.Any]", files.path_identity(folder, files.declared()))


def certificates(host: Host) -> dict[str, dict[str, t.Any]]:
    """What x509.read tells of each certificate that is there, and of its key.

    ``broken``: why none is in the file; ``error``: why that cannot be said.
    """
    folder = pki.folder(host.qemu_conf(), "migrate")
    paths = {**files.CERTIFICATES, **{name: os.path.join(folder, of) for name, of in files.QEMU_CERTIFICATES.items()}}
    found = {}
    for name, path in paths.items():
        if os.path.exists(path):
            try:
                found[name] = _certificate(host, path, os.path.join(folder, _KEYS[name]) if name in _KEYS else None)
            except x509.NoCertificate as error:
                found[name] = {"path": path, "broken": str(error)}
            except (OSError, ValueError) as error:
                found[name] = {"path": path, "error": str(error)}
    return found


def _certificate(host: Host, path: str, key: str | None) -> dict[str, t.Any]:
    known = x509.read(files.read(path))
    if key is None:
        return {"path": path, "all": known}
    return {"path": path, "all": known, "key": _key(path, key, qemu_user(host))}


def _key(certificate: str, path: str, user: t.Mapping[str, int] | None) -> dict[str, t.Any]:
    """``readable``: by QEMU's user; ``fits``: belongs to the certificate. None: this observer may not know."""
    unknown = {"path": path, "exists": None, "readable": None, "fits": None}
    try:
        os.stat(path)
        readable = None if user is None or _has_acl(path) else _may_read(path, user)
    except FileNotFoundError:
        return {**unknown, "exists": False}
    except PermissionError:
        return unknown
    return {"path": path, "exists": True, "readable": readable, "fits": _fits(certificate, path)}


def _has_acl(path: str) -> bool:
    """With one the mode does not tell who may read."""
    try:
        return _ACL in os.listxattr(path)
    except OSError:
        return False


def _may_read(path: str, user: t.Mapping[str, int]) -> bool:
    groups = {user["gid"]}
    with contextlib.suppress(KeyError):
        groups |= set(os.getgrouplist(pwd.getpwuid(user["uid"]).pw_name, user["gid"]))
    folders = []
    folder = os.path.dirname(os.path.realpath(path))
    while folder not in folders:
        folders.append(folder)
        folder = os.path.dirname(folder)
    return _may(path, user["uid"], groups, stat.S_IROTH) and all(
        _may(folder, user["uid"], groups, stat.S_IXOTH) for folder in folders
    )


def _may(path: str, uid: int, groups: t.Container[int], bit: int) -> bool:
    """Whether the mode gives ``bit``, one of those for others, to this user."""
    info = os.stat(path)
    if uid == 0:
        return True
    if info.st_uid == uid:
        return bool(info.st_mode & bit << 6)
    return bool(info.st_mode & (bit << 3 if info.st_gid in groups else bit))


def _fits(certificate: str, key: str) -> bool | None:
    """Nothing of the key leaves this function. None: it may not be read, or only with a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        return False if error.reason in _MISMATCHES else None
    except (OSError, ValueError):
        return None
    return True


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal."""
    raise ValueError("the key has a password")


def selinux(_host: Host) -> dict[str, t.Any] | None:
    """None: this host has none. ``booleans``: those that matter to storage and that its policy has."""
    if not os.path.exists(f"{_SELINUX}/enforce"):
        return None
    booleans = {}
    for name in _BOOLEANS:
        with contextlib.suppress(FileNotFoundError):
            booleans[name] = files.read(f"{_SELINUX}/booleans/{name}").split()[0] == "1"
    return {"enforcing": files.read(f"{_SELINUX}/enforce").strip() == "1", "booleans": booleans}


def apparmor(_host: Host) -> dict[str, str]:
    """Files in which an administrator adds rules to libvirt's profiles -> digest of these rules."""
    found = {}
    for pattern in _APPARMOR:
        for path in sorted(glob.glob(pattern)):
            lines = [line.strip() for line in files.read(path).splitlines()]
            rules = sorted(line for line in lines if line and not line.startswith("#"))
            if rules:
                found[path] = hashlib.sha256("\n".join(rules).encode()).hexdigest()[:16]
    return found


FACTS: Facts = {
    "apparmor": Fact(apparmor, "Files with local rules for libvirt's AppArmor profiles -> digest of the rules"),
    "certificates": Fact(certificates, "Certificates by name: issuer, key ids, purposes, and whether their key fits"),
    "libtpms": Fact(libtpms, "Version of libtpms; None where there is none"),
    "models": Fact(models, "Security models: model, doi, labels by virt type", by="libvirt"),
    "qemu_user": Fact(qemu_user, "uid and gid of QEMU processes; None where libvirt changes none", by="libvirt"),
    "secrets": Fact(secrets, "Secrets by uuid, type and usage, never their values; ephemeral", by="libvirt"),
    "selinux": Fact(selinux, "SELinux: enforcing, booleans for storage; None where there is none"),
    "stored_secrets": Fact(stored_secrets, "UUIDs of the secrets with a stored value, by the names of their files"),
    "swtpm": Fact(swtpm, "swtpm: programs that are missing, version, features"),
    "tpm_state": Fact(tpm_state, "What files tells of the folder of TPM states"),
}
