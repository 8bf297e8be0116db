# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written into a host's root before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.errors import LabError
from tests.lab.hosts import Host, etc_hosts
from tests.lab.places import SHARED_INSIDE

HOME = "/root"
"""Of the host's own root user, inside its root file system."""

LIBVIRTD_CONF = """\
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
host_uuid = "{uuid}"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""

# Daemons that do not know shared_filesystems yet ignore it.
QEMU_CONF = """\
user = "root"
group = "root"
cgroup_controllers = [ ]
namespaces = [ ]
security_driver = "none"
stdio_handler = "file"
shared_filesystems = [ "{shared}" ]
"""

SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxSessions 200
MaxStartups 200
Subsystem sftp internal-sftp
"""

MIGRATION_PORTS = "49152-49215"
RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"

# Named init on purpose: Ansible reads /proc/1/comm and then picks its sysvinit module. As process 1 the shell reaps
# every orphan while it waits. The migration ports are kept from connections to elsewhere, as on a well-kept host.
INIT = f"""\
#!/bin/sh
echo {MIGRATION_PORTS} >{RESERVED}
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mkdir -p /run/lock /run/sshd
service ssh start
service libvirtd start
while :; do
    sleep 3600 &
    wait
done
"""


# Debian's script does not wait for the daemon's end, and its start then finds the old one "already running": what stops
# and starts (Ansible's sysvinit module does, for a restart) ends without a daemon. And libvirtd 11.3 now and then does
# not end on a SIGTERM that follows closely upon a client's calls (4 of 40 measured here): killed after a while it
# leaves its pid file, on which others wait. The one change to a packaged file.
STOP = "start-stop-daemon --stop --quiet"
STOP_AND_WAIT = "start-stop-daemon --stop --retry=TERM/10/KILL/5 --remove-pidfile --quiet"
RESTART_STOP = "start-stop-daemon --oknodo --stop --quiet"
RESTART_STOP_AND_WAIT = "start-stop-daemon --oknodo --stop --retry=TERM/10/KILL/5 --remove-pidfile --quiet"
LIBVIRTD_SCRIPT = "/etc/init.d/libvirtd"


@dataclass(frozen=True)
class File:
    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Keys:
    """Texts of the lab's keys, as one host gets them."""

    host_private: str
    host_public: str
    user_private: str
    user_public: str
    known_hosts: str


REMOVE = (
    # systemd's link: it is not running here, and Ansible takes the link for "systemd, offline"
    "/sbin/init",
    # the package's keys are the same in every host of the root
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_rsa_key.pub",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
    # libvirt's default network would bring dnsmasq and a second address
    "/etc/libvirt/qemu/networks/autostart/default.xml",
)


def patient(script: str) -> str:
    """The libvirtd script with a stop that waits."""
    if STOP not in script or RESTART_STOP not in script:
        raise LabError(
            f"{LIBVIRTD_SCRIPT} has no '{STOP}'", "the script of libvirt-daemon-system-sysv", "adapt hostfiles.py"
        )
    return script.replace(RESTART_STOP, RESTART_STOP_AND_WAIT).replace(STOP, STOP_AND_WAIT)


def files(host: Host, keys: Keys, libvirtd_script: str) -> tuple[File, ...]:
    """Every file that a host gets; libvirtd_script is the package's."""
    return (
        File(LIBVIRTD_SCRIPT, patient(libvirtd_script), 0o755),
        File("/sbin/init", INIT, 0o755),
        File("/etc/hostname", f"{host.name}\n"),
        File("/etc/hosts", etc_hosts()),
        File("/etc/resolv.conf", ""),
        File("/etc/machine-id", host.uuid.replace("-", "") + "\n"),
        File("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF.format(uuid=host.uuid)),
        File("/etc/libvirt/qemu.conf", QEMU_CONF.format(shared=SHARED_INSIDE)),
        File("/etc/ssh/sshd_config", SSHD_CONFIG),
        File("/etc/ssh/ssh_host_ed25519_key", keys.host_private, 0o600),
        File("/etc/ssh/ssh_host_ed25519_key.pub", keys.host_public),
        File("/etc/ssh/ssh_known_hosts", keys.known_hosts),
        File(f"{HOME}/.ssh/authorized_keys", keys.user_public, 0o600),
        File(f"{HOME}/.ssh/id_ed25519", keys.user_private, 0o600),
    )
