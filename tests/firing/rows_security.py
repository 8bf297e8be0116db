# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Mapping

from tests.firing.provocation import Provocation, XmlEdit, device, element

TLS = {"tls": "required"}
_PKI = "/etc/pki/qemu"
_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
_QEMU = "/etc/libvirt/qemu.conf"
_DECLARED = 'shared_filesystems = [ "/srv/shared", "/var/lib/libvirt/swtpm" ]'
_SAVE = f"rm -rf /run/pki; cp -a {_PKI} /run/pki"
_RESTORE = f"cp -a /run/pki/. {_PKI}/; rm -rf /run/pki"
# Everything that may hang in there is bound by the time limit of the command; libvirtd is waited for until it answers.
_RESTART = "service libvirtd restart >/dev/null; timeout 20 sh -c 'until virsh uri >/dev/null 2>&1; do :; done'"
_UUID = "6c1d0001-5a1b-4a6e-8b1e-2f0d000000aa"
_LUKS_UUID = "6c1d0001-5a1b-4a6e-8b1e-2f0d000000ab"
_LUKS = "/srv/shared/disks/p-luks.img"


def _tpm(backend: str) -> XmlEdit:
    return device(f"<tpm model='tpm-tis'>{backend}</tpm>")


_EMULATED = _tpm("<backend type='emulator' version='2.0'/>")


def _secret(uuid: str, usage: str, value: str = "c2VjcmV0") -> str:
    xml = f"<secret private='yes'><uuid>{uuid}</uuid>{usage}</secret>"
    return f'echo "{xml}" > /run/secret.xml; virsh secret-define /run/secret.xml; virsh secret-set-value {uuid} {value}'


def _issue(host: str, *, names: str, ca: str = "/run/ca.pem", critical: str = "") -> str:
    """A certificate of a new CA, in the place of the host's own one for servers."""
    purpose = f"extendedKeyUsage={critical}" if critical else "basicConstraints=critical,CA:FALSE"
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    return "; ".join(
        (
            _SAVE,
            f"openssl req -x509 {key} -keyout /run/ca.key -out {ca} -days 2 -subj /CN=other-{host} 2>/dev/null",
            f"openssl req {key} -keyout {_PKI}/server-key.pem -out /run/c.csr -subj /CN={host} 2>/dev/null",
            f"printf 'subjectAltName={names}\\n{purpose}\\n' > /run/c.ext",
            f"openssl x509 -req -in /run/c.csr -CA {ca} -CAkey /run/ca.key -days 2 -extfile /run/c.ext"
            f" -out {_PKI}/server-cert.pem 2>/dev/null",
        )
    )


_NAMES_OF_HV2 = "DNS:hv2,IP:198.51.100.2"


def _conf(name: str, line: str) -> str:
    """libvirt takes the first of several lines with one name, so that it is replaced."""
    return f"cp -a {_QEMU} /run/qemu.conf; sed -i 's|^{name} = .*|{line}|' {_QEMU}; {_RESTART}"


_CONF_BACK = f"cp -a /run/qemu.conf {_QEMU}; {_RESTART}"
_NO_SWTPM: Mapping[str, str] = {"hv2": "mv /usr/bin/swtpm /usr/bin/swtpm.away"}

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "sec_tpm_passthrough",
        "a guest whose TPM QEMU opened as the host's own (a FIFO that answers as a TPM 2.0 must)",
        "it is the host's own, /dev/tpm0",
        guest=_tpm("<backend type='passthrough'><device path='/dev/tpm0'/></backend>"),
        before={"hv1": "rm -f /dev/tpm0; mkfifo /dev/tpm0"},
        after={"hv1": "rm -f /dev/tpm0"},
    ),
    Provocation(
        "sec_tpm_emulator_ready",
        "swtpm moved away at the destination",
        "hv2 has no swtpm;",
        guest=_EMULATED,
        before=_NO_SWTPM,
        after={"hv2": "mv /usr/bin/swtpm.away /usr/bin/swtpm"},
    ),
    Provocation(
        "sec_tpm_version_direction",
        "libtpms at the destination under the file name of an older version",
        "libtpms of hv2: 0.9.0",
        guest=_EMULATED,
        before={"hv2": f"cd {_LIBRARIES}; cp -L libtpms.so.0 libtpms.so.0.9.0; ln -sf libtpms.so.0.9.0 libtpms.so.0"},
        after={"hv2": f"cd {_LIBRARIES}; rm libtpms.so.0.9.0; ln -sf libtpms.so.0.9.2 libtpms.so.0"},
        faked=True,
    ),
    Provocation(
        "sec_tpm_state_shared_consistency",
        "the folder of TPM states declared as shared, and a swtpm that cannot leave a state to another",
        "swtpm 0.7.1 of hv1 cannot leave it to another",
        guest=_EMULATED,
        before={"hv1": "mkdir -p /var/lib/libvirt/swtpm; " + _conf("shared_filesystems", _DECLARED)},
        after={"hv1": _CONF_BACK},
    ),
    Provocation(
        "sec_tpm_encryption_secret",
        "a TPM encrypted with a secret that only the source has",
        f"hv2 has no secret {_UUID}",
        guest=_tpm(f"<backend type='emulator' version='2.0'><encryption secret='{_UUID}'/></backend>"),
        before={"hv1": _secret(_UUID, "<usage type='vtpm'><name>p-vtpm</name></usage>")},
        after={"hv1": f"virsh secret-undefine {_UUID}"},
    ),
    Provocation(
        "sec_tpm_external",
        "a TPM by the socket of a swtpm that runs at the source only",
        "there is no /run/p-tpm/socket on hv2",
        guest=_tpm("<backend type='external'><source type='unix' mode='connect' path='/run/p-tpm/socket'/></backend>"),
        before={
            "hv1": "mkdir -p /run/p-tpm; swtpm socket --tpm2 --tpmstate dir=/run/p-tpm "
            "--ctrl type=unixio,path=/run/p-tpm/socket --pid file=/run/p-tpm/pid --daemon"
        },
        after={"hv1": "kill $(cat /run/p-tpm/pid) 2>/dev/null; rm -rf /run/p-tpm"},
    ),
    Provocation(
        "sec_secrets_present",
        "an encrypted disk whose secret has no value at the destination",
        f"secret {_LUKS_UUID} of hv2 has no value",
        guest=device(
            f"<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='{_LUKS}'>"
            f"<encryption format='luks'><secret type='passphrase' uuid='{_LUKS_UUID}'/></encryption></source>"
            "<target dev='vdb' bus='virtio'/></disk>"
        ),
        before={
            "hv1": _secret(_LUKS_UUID, f"<usage type='volume'><volume>{_LUKS}</volume></usage>")
            + f"; qemu-img create -q --object secret,id=s,data=secret -f luks -o key-secret=s,iter-time=10 {_LUKS} 1M",
            "hv2": _secret(_LUKS_UUID, "<usage type='volume'><volume>other</volume></usage>")
            + f"; rm /etc/libvirt/secrets/{_LUKS_UUID}.base64",
        },
        after={
            "hv1": f"virsh secret-undefine {_LUKS_UUID}; rm -f {_LUKS}",
            "hv2": f"virsh secret-undefine {_LUKS_UUID}",
        },
    ),
    Provocation(
        "sec_static_label",
        "a guest with the fixed label of a user whom the destination does not know",
        "on hv2 there is no user p-labelled",
        guest=element("<seclabel type='static' model='dac' relabel='no'><label>p-labelled:root</label></seclabel>"),
        before={"hv1": "useradd --non-unique --uid 0 --gid 0 --no-create-home p-labelled"},
        after={"hv1": "sed -i /^p-labelled:/d /etc/passwd /etc/shadow"},
    ),
    Provocation(
        "sec_dac_uid_gid",
        "the destination's QEMU runs as another user",
        "uid 64055, gid ",
        before={"hv2": _conf("user", 'user = "libvirt-qemu"')},
        after={"hv2": _CONF_BACK},
    ),
    Provocation(
        "sec_tls_migration_certs",
        "the key of the destination's certificate readable by root alone, and QEMU not run as root",
        "QEMU, with uid 64055",
        before={"hv2": f"{_SAVE}; chmod 600 {_PKI}/server-key.pem; " + _conf("user", 'user = "libvirt-qemu"')},
        after={"hv2": f"{_RESTORE}; {_CONF_BACK}"},
        policy=TLS,
    ),
    Provocation(
        "sec_tls_cert_validity",
        "a certificate whose critical purpose is another",
        "its purpose is other",
        before={"hv2": _issue("hv2", names=_NAMES_OF_HV2, critical="critical,codeSigning")},
        after={"hv2": _RESTORE},
        policy=TLS,
    ),
    Provocation(
        "sec_tls_hostname",
        "a certificate for another name than that by which the destination is reached",
        "it is for elsewhere.example.com; expected 198.51.100.2 among its names",
        before={"hv2": _issue("hv2", names="DNS:elsewhere.example.com")},
        after={"hv2": _RESTORE},
        policy=TLS,
    ),
    Provocation(
        "sec_tls_ca_known",
        "a destination with certificates of a CA of its own",
        "none of the CAs in /etc/pki/qemu/ca-cert.pem of hv1 has signed it",
        before={"hv2": _issue("hv2", names=_NAMES_OF_HV2) + f"; cp /run/ca.pem {_PKI}/ca-cert.pem"},
        after={"hv2": _RESTORE},
        policy=TLS,
    ),
    Provocation(
        "sec_libvirt_remote_auth",
        "the destination's host key unknown to root of the source",
        "Host key verification failed",
        before={"hv1": "mv /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts.away"},
        after={"hv1": "mv /etc/ssh/ssh_known_hosts.away /etc/ssh/ssh_known_hosts"},
    ),
)
