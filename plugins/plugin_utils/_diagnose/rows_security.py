# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses: certificates, secrets and rights.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .row import Row

ROWS = (
    Row(
        "dx_tls_cert",
        category="security",
        layer="libvirt",
        side="both",
        phase="prepare",
        role="cause",
        first="here",
        retry="after_fix",
        cause="A certificate is not accepted: expired, without its key, or of another authority",
        advice="renew the certificates with the role livemig.libvirt.tls, and compare the hosts' clocks",
        messages=(
            "The CA certificate %s has expired",
            "Our own certificate %s failed validation against %s: %s",
            "The certificate and the given key do not match",
            "Certificate %s usage does not permit %s",
        ),
    ),
    Row(
        "dx_tls_config",
        category="security",
        layer="libvirt",
        side="both",
        phase="begin",
        role="cause",
        first="here",
        retry="after_fix",
        cause="TLS is demanded on one side and not set up on the other",
        advice="run the role livemig.libvirt.tls on both hosts",
        messages=(
            "host migration TLS directory not configured",
            "this libvirtd instance allows migration only with VIR_MIGRATE_TLS flag",
            "TLS migration is not supported with this QEMU binary",
            "QEMU NBD server does not support TLS transport",
            "Unable to find TLS credentials",
        ),
    ),
    Row(
        "dx_tls_handshake",
        category="security",
        layer="qemu",
        side="both",
        phase="perform",
        role="cause",
        first="here",
        retry="after_fix",
        cause=(
            "The two sides could not agree on TLS: one is without it, a file cannot be read or is of "
            "another authority"
        ),
        advice="run the role livemig.libvirt.tls on both hosts; QEMU's user must be able to read its key",
        messages=(
            "TLS handshake failed: %s",
            "Unable to access credentials %s: %s",
            "Could not load certificates from %s",
        ),
    ),
    Row(
        "dx_ssh_hostkey",
        category="security",
        layer="ssh",
        side="source",
        phase="begin",
        role="cause",
        first="source",
        retry="after_fix",
        cause="The source does not know the destination's SSH host key",
        advice="add it to root's known_hosts or to /etc/ssh/ssh_known_hosts on the source",
        messages=(
            "Host key verification failed",
            "Cannot recv data: Host key verification failed.: Connection reset by peer",
            "SSH host key for '%s' (%s) was not accepted",
        ),
    ),
    Row(
        "dx_ssh_auth",
        category="security",
        layer="ssh",
        side="source",
        phase="begin",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The destination does not let the source in",
        advice="give root on the source a key or other credentials that the destination accepts without a question",
        messages=(
            "Permission denied (publickey",
            "authentication failed: %s",
            "authentication unavailable: %s",
        ),
    ),
    Row(
        "dx_secret",
        category="security",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="A secret that the guest's disk or TPM needs is not at the destination, or has another value there",
        advice="define it there with the same UUID and value",
        messages=(
            "Secret not found: %s",
            "Secret not found",
            "Invalid password, cannot unlock any keyslot",
        ),
    ),
    Row(
        "dx_tpm",
        category="security",
        layer="swtpm",
        side="destination",
        phase="any",
        role="cause",
        first="here",
        retry="after_fix",
        cause="The virtual TPM could not be taken over: its state, lock, version or permissions",
        advice=(
            "use the same swtpm and the same kind of state storage on both hosts; see "
            "/var/log/swtpm/libvirt/qemu there"
        ),
        messages=(
            "the running swtpm does not support migration with shared storage",
            (
                "%s (on destination side) does not support the --migration option needed for migration with "
                "shared storage"
            ),
            "swtpm died and reported: %s",
            "swtpm didn't show up",
            "Migration disabled: TPM emulator does not support migration",
            "tpm-emulator: Setting the stateblob (type %d) failed with a TPM error 0x%x %s",
            "Could not create TPM directory %s",
            "Could not chown on swtpm logfile %s",
            "TPM version '%s' is not supported",
        ),
    ),
    Row(
        "dx_sev",
        category="security",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="no",
        cause="The guest is a confidential one, whose memory cannot be migrated",
        advice="shut it down and start it at the destination",
        messages=("SEV: Migration is not implemented",),
    ),
    Row(
        "dx_security_label",
        category="security",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The destination could not set owner or security label of a file",
        advice="check root_squash of the NFS export, remember_owner, and the AppArmor or SELinux setup",
        messages=(
            "cannot chown '%s' to (%u, %u)",
            "Setting different DAC user or group on %s which is already in use",
            "Setting different SELinux label on %s which is already in use",
            "Invalid security label '%s'",
            "cannot load AppArmor profile '%s'",
            "Security driver %s not found",
            "MCS level for existing domain label %s already reserved",
            "Failed to parse user '%s'",
        ),
    ),
    Row(
        "dx_permission_apparmor",
        category="security",
        layer="kernel",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="AppArmor or SELinux forbade QEMU something",
        advice="add a local rule or set the boolean that is needed",
        messages=(
            'apparmor="DENIED" operation="%s" profile="libvirt-%s" name="%s"',
            "avc:  denied  { %s } for",
        ),
    ),
    Row(
        "dx_tls_cert_server",
        category="security",
        layer="qemu",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The certificate of the destination is not valid now, for this name or for this purpose",
        advice="renew it with the role livemig.libvirt.tls, and look at the clock of the destination",
        messages=(
            "The server certificate %s has expired",
            "The server certificate %s is not yet active",
            "Certificate %s purpose does not allow use for with a TLS server",
            "Certificate does not match the hostname",
            "Certificate %s owner does not match the hostname %s",
        ),
    ),
    Row(
        "dx_tls_cert_client",
        category="security",
        layer="qemu",
        side="source",
        phase="prepare",
        role="cause",
        first="source",
        retry="after_fix",
        cause="The certificate of the source is not valid now, for this name or for this purpose",
        advice="renew it with the role livemig.libvirt.tls, and look at the clock of the source",
        messages=(
            "The client certificate %s has expired",
            "The client certificate %s is not yet active",
            "Certificate %s purpose does not allow use for with a TLS client",
        ),
    ),
)
