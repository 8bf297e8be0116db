# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of QEMU, TPMs, secrets, owners, and what opens a console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.firing.provocation import XmlEdit, device, element
from tests.integration.agreement.case import Case
from tests.integration.agreement.shell import (
    COMMON,
    CONF_BACK,
    NO_DISK,
    after,
    both,
    conf,
    disk,
    image,
)

TLS: Mapping[str, Any] = {"tls": "required"}
PKI = "/etc/pki/qemu"
MADE = f"{COMMON}/pki"
KEEP = f"cp -a {PKI} /run/b-pki"
PUT_BACK = f"rm -rf {PKI}; mv /run/b-pki {PKI}"
BACK = after(f"{PUT_BACK}; rm -rf {COMMON}", PUT_BACK)
UUID = "6c1d0001-5a1b-4a6e-8b1e-2f0d0000b0aa"
OTHER_UUID = "6c1d0001-5a1b-4a6e-8b1e-2f0d0000b0ab"
LUKS = f"{COMMON}/luks.img"
VALIDITY, HOSTNAME, CERTS = "sec_tls_cert_validity", "sec_tls_hostname", "sec_tls_migration_certs"
OWN_FOLDER = conf('migrate_tls_x509_cert_dir = "/run/b-none"')
BOTH_PURPOSES = "extendedKeyUsage=serverAuth,clientAuth"

# A CA of a case's own, and what it signs: three days long since yesterday, unless told otherwise.
_SCRIPT = f"""\
mkdir -p {MADE}; cd {MADE}; {KEEP}
date_of() {{ date -u -d "$1" +%Y%m%d%H%M%SZ; }}
ca() {{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.pem -subj /CN=$1 \\
        -not_before $(date_of "${{2:--1 day}}") -not_after $(date_of "${{3:-2 days}}") 2>/dev/null
}}
sign() {{ # FILE CA NAMES PURPOSE FROM TO
    printf 'subjectAltName=%s\\nbasicConstraints=critical,CA:FALSE\\n%s\\n' "$3" "$4" >$1.ext
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1-key.pem -out $1.csr \\
        -subj /CN=$1 2>/dev/null
    openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -extfile $1.ext -out $1-cert.pem \\
        -not_before $(date_of "${{5:--1 day}}") -not_after $(date_of "${{6:-2 days}}") 2>/dev/null
}}
have() {{ # SERVER CLIENT CA: what this host has from now on
    cp $1-cert.pem {PKI}/server-cert.pem; cp $1-key.pem {PKI}/server-key.pem
    cp $2-cert.pem {PKI}/client-cert.pem; cp $2-key.pem {PKI}/client-key.pem
    cp $3.pem {PKI}/ca-cert.pem
}}
"""
_HV1 = f"sign hv1 CA DNS:hv1,IP:198.51.100.1 {BOTH_PURPOSES}"
_HV2_NAMES = "DNS:hv2,IP:198.51.100.2"


def issued(
    there: str, ours: str = "have hv1 hv1 CA", theirs: str = "have hv2 hv2 CA", ca: str = "ca CA"
) -> Mapping[str, str]:
    """Certificates of a CA of their own for both hosts; there: how the destination's is signed."""
    return {"hv1": f"{_SCRIPT}{ca}\n{_HV1}\n{there}\n{ours}\n", "hv2": f"{_SCRIPT}{theirs}\n"}


def hv2(names: str = _HV2_NAMES, purpose: str = BOTH_PURPOSES, dates: str = "") -> str:
    return f"sign hv2 CA {names} {purpose} {dates}"


def _tls(name: str, what: str, expects: tuple[str, ...], before: Mapping[str, str]) -> Case:
    return Case(name, what, expects, before=before, after=BACK, policy=TLS)


_TLS: tuple[Case, ...] = (
    _tls(
        "tls-expired",
        "the destination's certificate has expired",
        (VALIDITY,),
        issued(hv2(dates="'-3 days' '-1 day'")),
    ),
    _tls(
        "tls-not-yet-valid",
        "the destination's certificate is valid from tomorrow on",
        (VALIDITY,),
        issued(hv2(dates="'1 day' '3 days'")),
    ),
    _tls(
        "tls-expired-client",
        "the source's certificate as a client has expired",
        (VALIDITY,),
        issued(
            f"{hv2()}; sign client CA DNS:hv1,IP:198.51.100.1 {BOTH_PURPOSES} '-3 days' '-1 day'",
            ours="have hv1 client CA",
        ),
    ),
    _tls(
        "tls-expired-ca",
        "the CA of both hosts has expired",
        (VALIDITY,),
        issued(hv2(), ca="ca CA '-3 days' '-1 day'"),
    ),
    _tls(
        "tls-other-name",
        "the destination's certificate is for another host",
        (HOSTNAME,),
        issued(hv2("DNS:elsewhere.example.com,IP:198.51.100.9")),
    ),
    _tls(
        "tls-name-without-address",
        "the destination's certificate has its name, but not the address by which QEMU reaches it",
        (HOSTNAME,),
        issued(hv2("DNS:hv2")),
    ),
    _tls(
        "tls-purpose-client",
        "the destination's certificate as a server is only for clients",
        (VALIDITY, CERTS),
        issued(hv2(purpose="extendedKeyUsage=clientAuth")),
    ),
    _tls(
        "tls-purpose-server",
        "the source's certificate as a client is only for servers",
        (VALIDITY, CERTS),
        issued(
            f"{hv2()}; sign client CA DNS:hv1,IP:198.51.100.1 extendedKeyUsage=serverAuth",
            ours="have hv1 client CA",
        ),
    ),
    _tls(
        "tls-usage-unfit",
        "the destination's certificate may sign certificates only",
        (VALIDITY, CERTS),
        issued(hv2(purpose="keyUsage=critical,keyCertSign")),
    ),
    _tls(
        "tls-other-ca-there",
        "the destination's certificate and its CA are not the source's",
        (CERTS, "sec_tls_ca_known"),
        issued(
            f"ca OTHER; sign hv2 OTHER {_HV2_NAMES} {BOTH_PURPOSES}",
            theirs="have hv2 hv2 OTHER",
        ),
    ),
    _tls(
        "tls-other-ca-client",
        "the source's certificate as a client is of a CA that the destination does not know",
        (CERTS,),
        issued(
            f"{hv2()}; ca OTHER; sign client OTHER DNS:hv1,IP:198.51.100.1 {BOTH_PURPOSES}",
            ours="have hv1 client CA",
        ),
    ),
    _tls(
        "tls-key-of-another",
        "the key beside the destination's certificate is that of another one",
        (CERTS,),
        issued(hv2(), theirs=f"have hv2 hv2 CA; cp hv1-key.pem {PKI}/server-key.pem"),
    ),
    _tls(
        "tls-none-there",
        "the destination has no certificates",
        (CERTS,),
        {"hv1": KEEP, "hv2": f"{KEEP}; rm -r {PKI}"},
    ),
    _tls(
        "tls-none-here",
        "the source has no certificates",
        (CERTS,),
        {"hv1": f"{KEEP}; rm -r {PKI}", "hv2": KEEP},
    ),
    _tls(
        "tls-no-client-here",
        "the source has no certificate as a client, and the destination demands one",
        (CERTS,),
        {"hv1": f"{KEEP}; rm {PKI}/client-*.pem", "hv2": KEEP},
    ),
    _tls(
        "tls-no-server-key-there",
        "the destination's key is missing",
        (CERTS,),
        {"hv1": KEEP, "hv2": f"{KEEP}; rm {PKI}/server-key.pem"},
    ),
    _tls(
        "tls-no-ca-there",
        "the destination's ca-cert.pem is missing",
        (CERTS,),
        {"hv1": KEEP, "hv2": f"{KEEP}; rm {PKI}/ca-cert.pem"},
    ),
    _tls(
        "tls-broken-certificate-there",
        "the destination's certificate is cut off",
        (CERTS, VALIDITY),
        {"hv1": KEEP, "hv2": f"{KEEP}; truncate -s 200 {PKI}/server-cert.pem"},
    ),
    Case(
        "tls-no-client-not-demanded",
        "the source has no certificate as a client, and the destination does not demand one",
        (),
        before={"hv1": f"{KEEP}; rm {PKI}/client-*.pem", "hv2": f"{KEEP}; {conf('migrate_tls_x509_verify = 0')}"},
        after=after(PUT_BACK, f"{PUT_BACK}; {CONF_BACK}"),
        policy=TLS,
    ),
    Case(
        "tls-folder-gone-there",
        "qemu.conf of the destination names a folder for certificates that is not there",
        (CERTS,),
        before={"hv2": f"mkdir /run/b-none; {OWN_FOLDER}; rmdir /run/b-none"},
        after=after(there=CONF_BACK),
        policy=TLS,
    ),
    Case(
        "tls-folder-empty-there",
        "qemu.conf of the destination names a folder for certificates that is empty",
        (CERTS,),
        before={"hv2": f"mkdir /run/b-none; {OWN_FOLDER}"},
        after=after(there=f"{CONF_BACK}; rmdir /run/b-none"),
        policy=TLS,
    ),
)


def _tpm(backend: str) -> XmlEdit:
    return device(f"<tpm model='tpm-tis'>{backend}</tpm>")


EMULATED = _tpm("<backend type='emulator' version='2.0'/>")
TPM_STATES = "/var/lib/libvirt/swtpm"


def secret(value: str = "secret", usage: str = f"<usage type='volume'><volume>{LUKS}</volume></usage>") -> str:
    """A secret of libvirt's; without a value it has none."""
    xml = f"<secret private='no'><uuid>{UUID}</uuid>{usage}</secret>"
    given = f"; virsh -q secret-set-value {UUID} --plain --file /run/b-value 2>/dev/null" if value else ""
    made = f'echo "{xml}" >/run/b-secret.xml; virsh -q secret-define /run/b-secret.xml'
    return f"printf %s '{value}' >/run/b-value; {made}{given}; rm /run/b-value /run/b-secret.xml"


VTPM_USAGE = "<usage type='vtpm'><name>b-vtpm</name></usage>"
ENCRYPTED_TPM = _tpm(f"<backend type='emulator' version='2.0'><encryption secret='{UUID}'/></backend>")
FORGET = f"virsh -q secret-undefine {UUID} 2>/dev/null"
MAKE_LUKS = (
    f"mkdir -p {COMMON}; qemu-img create -q --object secret,id=s,data=secret -f luks "
    f"-o key-secret=s,iter-time=10 {LUKS} 8M"
)
LUKS_DISK = disk(
    f"<source file='{LUKS}'><encryption format='luks'><secret type='passphrase' uuid='{UUID}'/></encryption></source>",
    "raw",
    target="vdb",
)
SECRETS = ("disk_encryption_secret", "sec_secrets_present")

_TPMS: tuple[Case, ...] = (
    Case(
        "tpm-no-swtpm-there",
        "the guest has an emulated TPM, and the destination no swtpm",
        ("sec_tpm_emulator_ready",),
        guest=EMULATED,
        before={"hv2": "mv /usr/bin/swtpm /usr/bin/swtpm.away"},
        after=after(there="mv /usr/bin/swtpm.away /usr/bin/swtpm"),
    ),
    Case(
        "tpm-no-setup-there",
        "the guest has an emulated TPM, and the destination no swtpm_setup",
        ("sec_tpm_emulator_ready",),
        guest=EMULATED,
        before={"hv2": "mv /usr/bin/swtpm_setup /usr/bin/swtpm_setup.away"},
        after=after(there="mv /usr/bin/swtpm_setup.away /usr/bin/swtpm_setup"),
    ),
    Case(
        "tpm-broken-swtpm-there",
        "the destination's swtpm does not start: its library is missing",
        ("sec_tpm_emulator_ready",),
        guest=EMULATED,
        before={"hv2": "cd /usr/lib/x86_64-linux-gnu; mkdir /run/b-lib; mv libtpms.so.0* /run/b-lib"},
        after=after(there="mv /run/b-lib/* /usr/lib/x86_64-linux-gnu; rmdir /run/b-lib"),
    ),
    Case(
        "tpm-states-declared-shared",
        "the source's qemu.conf declares the folder of TPM states as shared, which it is not",
        ("sec_tpm_state_shared_consistency",),
        guest=EMULATED,
        before={"hv1": f"mkdir -p {TPM_STATES}; " + conf(f'shared_filesystems = [ "/srv/shared", "{TPM_STATES}" ]')},
        after=after(CONF_BACK),
    ),
    Case(
        "tpm-states-shared-there",
        "the destination's qemu.conf declares the folder of TPM states as shared",
        ("sec_tpm_state_shared_consistency",),
        guest=EMULATED,
        before={"hv2": f"mkdir -p {TPM_STATES}; " + conf(f'shared_filesystems = [ "/srv/shared", "{TPM_STATES}" ]')},
        after=after(there=CONF_BACK),
    ),
    Case(
        "tpm-secret-gone-there",
        "the state of the TPM is encrypted with a secret that only the source has",
        ("sec_tpm_encryption_secret", "sec_secrets_present"),
        guest=ENCRYPTED_TPM,
        before={"hv1": secret(usage=VTPM_USAGE)},
        after=after(FORGET),
    ),
    Case(
        "tpm-secret-other-there",
        "the state of the TPM is encrypted with a secret that has another value at the destination",
        ("sec_tpm_encryption_secret", "sec_secrets_present"),
        guest=ENCRYPTED_TPM,
        before={"hv1": secret(usage=VTPM_USAGE), "hv2": secret("other", usage=VTPM_USAGE)},
        after=after(FORGET, FORGET),
    ),
    Case(
        "tpm-external-here-only",
        "the TPM is that of a swtpm which runs at the source only",
        ("sec_tpm_external",),
        guest=_tpm("<backend type='external'><source type='unix' mode='connect' path='/run/b-tpm/socket'/></backend>"),
        before={
            "hv1": "mkdir -p /run/b-tpm; swtpm socket --tpm2 --tpmstate dir=/run/b-tpm "
            "--ctrl type=unixio,path=/run/b-tpm/socket --pid file=/run/b-tpm/pid --daemon"
        },
        after=after("kill $(cat /run/b-tpm/pid) 2>/dev/null; rm -rf /run/b-tpm"),
    ),
)

_SECRETS: tuple[Case, ...] = (
    Case(
        "luks-secret-gone-there",
        "the second disk is encrypted with a secret that only the source has",
        SECRETS,
        guest=LUKS_DISK,
        before={"hv1": f"{secret()}; {MAKE_LUKS}"},
        after=after(f"{FORGET}; rm -rf {COMMON}"),
    ),
    Case(
        "luks-secret-empty-there",
        "the second disk is encrypted with a secret that has no value at the destination",
        SECRETS,
        guest=LUKS_DISK,
        before={"hv1": f"{secret()}; {MAKE_LUKS}", "hv2": secret("")},
        after=after(f"{FORGET}; rm -rf {COMMON}", FORGET),
    ),
    Case(
        "luks-secret-other-there",
        "the second disk is encrypted with a secret that has another value at the destination",
        SECRETS,
        guest=LUKS_DISK,
        before={"hv1": f"{secret()}; {MAKE_LUKS}", "hv2": secret("other")},
        after=after(f"{FORGET}; rm -rf {COMMON}", FORGET),
    ),
    Case(
        "luks-secret-other-uuid-there",
        "the destination has a secret for the encrypted disk, with the right value and another UUID",
        SECRETS,
        guest=LUKS_DISK,
        before={"hv1": f"{secret()}; {MAKE_LUKS}", "hv2": secret().replace(UUID, OTHER_UUID)},
        after=after(f"{FORGET}; rm -rf {COMMON}", FORGET.replace(UUID, OTHER_UUID)),
    ),
)

USERS = "sed -i /^b-labelled:/d /etc/passwd /etc/shadow /etc/group"
LABELLED = element("<seclabel type='static' model='dac' relabel='no'><label>b-labelled:root</label></seclabel>")
AS_ROOT = "useradd --non-unique --uid 0 --gid 0 --no-create-home b-labelled"
LIKE_QEMU = conf('user = "libvirt-qemu"')

_OWNERS: tuple[Case, ...] = (
    Case(
        "label-user-gone-there",
        "the guest's QEMU is to run as a user whom only the source knows",
        ("sec_static_label",),
        guest=LABELLED,
        before={"hv1": AS_ROOT},
        after=after(USERS),
    ),
    Case(
        "label-user-other-there",
        "the guest's QEMU is to run as a user who has another number at the destination, and may not write there",
        ("sec_static_label", "disk_access_as_qemu_user", "sec_dac_uid_gid"),
        guest=LABELLED,
        before={"hv1": AS_ROOT, "hv2": "useradd --uid 4711 --gid 0 --no-create-home b-labelled"},
        after=after(USERS, USERS),
    ),
    Case(
        "qemu-user-may-not-there",
        "the destination's QEMU runs as a user who may not write to the disk, and libvirt may not change that",
        ("disk_access_as_qemu_user",),
        before={"hv2": conf('user = "libvirt-qemu"', "dynamic_ownership = 0")},
        after=after(there=CONF_BACK),
    ),
    Case(
        "qemu-user-closed-folder",
        "the destination's QEMU runs as a user to whom the disk's folder is closed",
        ("disk_access_as_qemu_user",),
        wanted=NO_DISK,
        guest=disk(f"{COMMON}/closed/disk.qcow2"),
        before={"hv1": f"{image(f'{COMMON}/closed/disk.qcow2')}; chmod 700 {COMMON}/closed", "hv2": LIKE_QEMU},
        after=after(f"rm -rf {COMMON}", CONF_BACK),
    ),
)

VNC = device("<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>")
SPICE = device("<graphics type='spice' autoport='yes' listen='127.0.0.1'/>")

_CONSOLES: tuple[Case, ...] = (
    Case(
        "vnc-tls-no-certs-there",
        "the destination's qemu.conf demands TLS for VNC, and it has no certificates for that",
        ("dev_graphics_tls_password",),
        guest=VNC,
        before={"hv2": f"mkdir -p /etc/pki/libvirt-vnc; {conf('vnc_tls = 1')}"},
        after=after(there=f"{CONF_BACK}; rmdir /etc/pki/libvirt-vnc"),
    ),
    Case(
        "spice-tls-no-certs-there",
        "the destination's qemu.conf demands TLS for SPICE, and it has no certificates for that",
        ("dev_graphics_tls_password",),
        guest=both(SPICE, device("<video><model type='vga'/></video>")),
        before={"hv2": f"mkdir -p /etc/pki/libvirt-spice; {conf('spice_tls = 1')}"},
        after=after(there=f"{CONF_BACK}; rmdir /etc/pki/libvirt-spice"),
    ),
    Case(
        "spice-no-module-there",
        "the guest has SPICE, and the destination's QEMU no module for it",
        ("dev_models_supported_dest", "host_qemu_modules"),
        guest=both(SPICE, device("<video><model type='vga'/></video>")),
        before={"hv2": "cd /usr/lib/x86_64-linux-gnu/qemu; mv ui-spice-core.so ui-spice-core.away"},
        after=after(there="cd /usr/lib/x86_64-linux-gnu/qemu; mv ui-spice-core.away ui-spice-core.so"),
    ),
)

CASES: tuple[Case, ...] = (*_TLS, *_TPMS, *_SECRETS, *_OWNERS, *_CONSOLES)
