# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import typing as t

from tests.unit.preflight.case import Case, Edit, both, certificate, device, fact, listed
from tests.unit.preflight.scene import Scene

LIBVIRT = "libvirt's docs/formatdomain.rst"
SECMODELS = "libvirt's docs/formatcaps.rst; file system of the kernel's SELinux, docs of AppArmor"
_UUID = "6c1d0001-5a1b-4a6e-8b1e-2f0d000000aa"
_TPM = device("tpms", model="tpm-crb", backend="emulator", version="2.0")
_ENCRYPTED = device("tpms", backend="emulator", version="2.0", secret=_UUID)
_EXTERNAL = device("tpms", backend="external", source_path="/run/tpm/socket")
_LUKS = listed("secrets", type="passphrase", uuid=_UUID.upper())
_STATE = {
    "path": "/var/lib/libvirt/swtpm",
    "exists": True,
    "kind": "dir",
    "inode": 7,
    "fs_type": "nfs4",
    "mount_source": "store:/tpm",
    "relative": "/",
    "declared_shared": False,
}


def _state(host: str, **changes: t.Any) -> Edit:
    return lambda scene: getattr(scene, host)["security"].update(tpm_state={**_STATE, **changes})


def _swtpm(host: str, **changes: t.Any) -> Edit:
    return lambda scene: getattr(scene, host)["security"]["swtpm"].update(changes)


def _secret(stored: bool, same: bool = True, **changes: t.Any) -> Edit:
    """Both hosts have the secret; ``stored``: the destination has its value, which is the same or not."""
    entry = {"uuid": _UUID, "type": "vtpm", "usage": "a", "ephemeral": False, **changes}

    def edit(scene: Scene) -> None:
        for host in (scene.source, scene.destination):
            host["security"]["secrets"].append(entry)
        scene.destination["security"]["stored_secrets"] += [_UUID] if stored else []
        for question in scene.questions().get("hv1", []):
            if question["ask"] == "secret":
                scene.answers.setdefault("hv1", {})[question["key"]] = {"same": same}

    return edit


def _socket(exists: bool) -> Edit:
    return lambda scene: scene.answers["hv2"].update({"path:/run/tpm/socket": {"exists": exists, "path": ""}})


def _models(host: str, *names: str) -> Edit:
    return fact(host, "security.models", [{"model": name, "doi": "0", "labels": {}} for name in names])


_LABEL = listed("seclabels", type="static", model="dac", label="guests:kvm")


def _label(valid: bool) -> Edit:
    """The key is the hash of model and label."""
    answer = {"valid": valid, "reason": "" if valid else "there is no user guests"}
    return lambda scene: scene.answers["hv2"].update({"label:9be98d1dbb3a7a06": answer})


def _known(host: str, name: str, **changes: t.Any) -> Edit:
    """Changes what is read of the first certificate in a file."""
    return lambda scene: getattr(scene, host)["security"]["certificates"][name]["all"][0].update(changes)


def _chain(scene: Scene) -> None:
    """The destination's server has a chain, whose last certificate is of the CA that the source knows."""
    known = scene.destination["security"]["certificates"]["qemu_server"]["all"]
    known.insert(0, {**copy.deepcopy(known[0]), "issuer": "00", "authority": "00"})


def _nfs_disk(boolean: bool) -> Edit:
    selinux = {"enforcing": True, "booleans": {"virt_use_nfs": boolean, "virt_use_samba": False}}
    changes = {"fs_type": "nfs4", "mount_source": "store:/images", "relative": "/web1.qcow2"}
    return both(lambda scene: scene.storage(**changes), fact("destination", "security.selinux", selinux))


_RULES = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
_APPARMOR = both(_models("source", "apparmor", "dac"), _models("destination", "apparmor", "dac"))

CASES: dict[str, Case] = {
    "sec_tpm_passthrough": Case(
        device("tpms", backend="passthrough", device="/dev/tpm0"), "it is the host's own, /dev/tpm0", _TPM
    ),
    "sec_tpm_emulator_ready": Case(
        both(_TPM, _swtpm("destination", missing=["swtpm_setup"])),
        "hv2 has no swtpm_setup",
        both(_TPM, _swtpm("source", missing=["swtpm_setup"])),
    ),
    "sec_tpm_version_direction": Case(
        both(_TPM, fact("destination", "security.libtpms", "0.8.10")),
        "libtpms of hv2: 0.8.10; expected 0.9.2, as on hv1",
        both(_TPM, fact("destination", "security.libtpms", "0.10.0")),
        blocks=False,
    ),
    "sec_tpm_state_shared_consistency": Case(
        both(_TPM, _state("source"), _state("destination"), _swtpm("source", features=["cmdarg-migration"])),
        "swtpm 0.7.1 of hv2 cannot leave it to another",
        both(
            _TPM,
            _state("source"),
            _state("destination"),
            _swtpm("source", features=["cmdarg-migration"]),
            _swtpm("destination", features=["cmdarg-migration"]),
        ),
    ),
    "sec_tpm_encryption_secret": Case(_ENCRYPTED, f"hv2 has no secret {_UUID}", both(_ENCRYPTED, _secret(stored=True))),
    "sec_tpm_external": Case(
        both(_EXTERNAL, _socket(False)), "there is no /run/tpm/socket on hv2", both(_EXTERNAL, _socket(True))
    ),
    "sec_secrets_present": Case(
        both(_LUKS, _secret(stored=False)), f"secret {_UUID} of hv2 has no value", both(_LUKS, _secret(stored=True))
    ),
    "sec_launch_security": Case(
        fact("domain", "settings.launch_security.type", "sev"),
        "it is encrypted by sev",
        fact("domain", "settings.launch_security.policy", "0x0003"),
        documented=LIBVIRT,
    ),
    "sec_driver_match": Case(
        listed("seclabels", type="dynamic", model="apparmor", label="libvirt-1"),
        "it runs under apparmor, and hv2 has dac, none",
        both(listed("seclabels", type="dynamic", model="apparmor"), _models("destination", "selinux", "dac")),
        blocks=False,
        documented=SECMODELS,
    ),
    "sec_static_label": Case(both(_LABEL, _label(False)), "on hv2 there is no user guests", both(_LABEL, _label(True))),
    "sec_dac_uid_gid": Case(
        fact("destination", "security.qemu_user", {"uid": 107, "gid": 107}),
        "uid 107, gid 107; expected uid 0, gid 0, as on hv1",
        both(
            fact("source", "security.qemu_user", {"uid": 107, "gid": 107}),
            fact("destination", "security.qemu_user", {"uid": 107, "gid": 107}),
        ),
        blocks=False,
    ),
    "sec_selinux_booleans": Case(_nfs_disk(False), "virt_use_nfs is off", _nfs_disk(True), documented=SECMODELS),
    "sec_apparmor_local_rules": Case(
        both(_APPARMOR, fact("source", "security.apparmor", {_RULES: "1"})),
        f"{_RULES} is missing",
        both(
            _APPARMOR,
            fact("source", "security.apparmor", {_RULES: "1"}),
            fact("destination", "security.apparmor", {_RULES: "1", "/other": "2"}),
        ),
        blocks=False,
        documented=SECMODELS,
    ),
    "sec_tls_hostname": Case(
        certificate("destination", "qemu_server", names=["hv2.example.com", "*.100.2"]),
        "it is for hv2.example.com, *.100.2; expected 198.51.100.2 among its names",
        both(
            certificate("destination", "qemu_server", names=["*.Example.com"]),
            lambda scene: scene.policy.update(addresses={"hv2": "hv2.example.com"}),
        ),
    ),
    "sec_tls_ca_known": Case(
        _known("source", "qemu_ca", key_id="00"),
        "Certificate /etc/pki/qemu/server-cert.pem of hv2: none of the CAs in /etc/pki/qemu/ca-cert.pem of hv1",
        _chain,
    ),
}
