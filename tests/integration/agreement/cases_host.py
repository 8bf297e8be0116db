# SPDX-License-Identifier: GPL-3.0-or-later
"""Daemons, ports, names, settings and programs of the hosts, and other domains at the destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.firing.provocation import replaced
from tests.integration.agreement.case import Case
from tests.integration.agreement.pieces import (
    DAEMON_CONF_BACK,
    ELSEWHERE,
    EMULATOR,
    LIBRARIES,
    START,
    away,
    back,
    daemon_conf,
    ended,
    holding,
)
from tests.integration.agreement.shell import CONF_BACK, RESTART, after, conf
from tests.lab.hosts import BY_NAME

PORTS = "49152:49215"
BLOCK = f"-p tcp --dport {PORTS} -j"
PROBE: Mapping[str, Any] = {"probe": True}
BY_SSH: Mapping[str, Any] = {
    "probe": True,
    "uris": {name: f"qemu+ssh://root@{BY_NAME[name].address}/system" for name in ("hv1", "hv2")},
}
BY_NAMES = {"addresses": {"hv1": "hv1", "hv2": "hv2"}}
HOSTS = "/etc/hosts"
KEEP_HOSTS = f"cp -p {HOSTS} /run/g-hosts"
HOSTS_BACK = f"cat /run/g-hosts >{HOSTS}; rm /run/g-hosts"
REACHABLE, FREE = "host_migration_ports_reachable", "host_migration_ports_free"
ALIVE = "host_daemon_alive"


def points_to(name: str, address: str) -> str:
    """Another address for a host's name."""
    return f"{KEEP_HOSTS}; sed -i 's/^[0-9.]* {name}$/{address} {name}/' {HOSTS}"


_DAEMONS: tuple[Case, ...] = (
    Case(
        "host-daemon-stopped-there",
        "the destination's libvirtd is stopped",
        (ALIVE,),
        then={"hv2": "service libvirtd stop >/dev/null 2>&1 </dev/null"},
        after=after(there=START),
    ),
    Case(
        "host-daemon-hangs-there",
        "the destination's libvirtd hangs (SIGSTOP)",
        (ALIVE,),
        then={"hv2": "kill -STOP $(cat /run/libvirtd.pid)"},
        after={"hv2": "kill -CONT $(cat /run/libvirtd.pid)", **after()},
    ),
    Case(
        "host-no-ssh-helper-there",
        "the destination has neither virt-ssh-helper nor nc, by which libvirt goes through SSH",
        ("version_daemon_layout", "sec_libvirt_remote_auth", "host_daemon_alive"),
        before={"hv2": away("/usr/bin/virt-ssh-helper")},
        after=after(there=back("/usr/bin/virt-ssh-helper")),
        policy=BY_SSH,
    ),
    Case(
        "host-key-unknown-here",
        "the source's root does not know the destination's host key",
        ("sec_libvirt_remote_auth",),
        before={"hv1": away("/etc/ssh/ssh_known_hosts", "touch /etc/ssh/ssh_known_hosts")},
        after=after(back("/etc/ssh/ssh_known_hosts")),
        policy=BY_SSH,
    ),
    Case(
        "host-not-authorized-there",
        "the destination does not let the source's root in",
        ("sec_libvirt_remote_auth",),
        before={"hv2": away("~/.ssh/authorized_keys")},
        after=after(there=back("~/.ssh/authorized_keys")),
        policy=BY_SSH,
    ),
    Case(
        "host-ssh-port-closed-there",
        "the destination's firewall rejects SSH from the source alone",
        ("sec_libvirt_remote_auth",),
        before={"hv2": "iptables -I INPUT -s 198.51.100.1 -p tcp --dport 22 -j REJECT"},
        after=after(there="iptables -D INPUT -s 198.51.100.1 -p tcp --dport 22 -j REJECT"),
        policy=BY_SSH,
    ),
    Case(
        "host-tls-port-closed-there",
        "the destination's firewall rejects the source when it comes for libvirtd by TLS",
        ("sec_libvirt_remote_auth",),
        before={"hv2": "iptables -I INPUT -s 198.51.100.1 -p tcp --dport 16514 -j REJECT"},
        after=after(there="iptables -D INPUT -s 198.51.100.1 -p tcp --dport 16514 -j REJECT"),
        policy=PROBE,
    ),
    Case(
        "host-one-request-there",
        "the destination's libvirtd serves one request of a client at a time",
        ("host_client_limits",),
        before={"hv2": daemon_conf("max_client_requests = 1")},
        after=after(there=DAEMON_CONF_BACK),
    ),
    Case(
        "host-virtlogd-gone-there",
        "the destination's libvirt gives its guests' output to virtlogd, which does not run",
        (ALIVE, "host_disk_space_runtime"),
        before={"hv2": conf('stdio_handler = "logd"')},
        after=after(there=CONF_BACK),
    ),
    Case(
        "host-few-files-there",
        "the destination's qemu.conf lets a guest open 24 files",
        ("host_pid_fd_limits",),
        before={"hv2": conf("max_files = 24")},
        after=after(there=CONF_BACK),
    ),
)

_NAMES: tuple[Case, ...] = (
    Case(
        "host-same-uuid-there",
        "both hosts have one host UUID",
        ("host_not_same",),
        before={"hv2": daemon_conf(f'host_uuid = "{BY_NAME["hv1"].uuid}"')},
        after=after(there=DAEMON_CONF_BACK),
    ),
    Case(
        "host-same-hostname-there",
        "both hosts have one host name, which libvirt compares no more",
        ("host_hostname_distinct",),
        before={"hv2": f"hostname hv1; {RESTART}"},
        after=after(there=f"hostname hv2; {RESTART}"),
    ),
    Case(
        "host-named-localhost-there",
        "the destination's host name is localhost, and it is addressed by its address",
        ("host_dest_hostname_usable",),
        before={"hv2": f"hostname localhost; {RESTART}"},
        after=after(there=f"hostname hv2; {RESTART}"),
    ),
    Case(
        "host-name-is-loopback-here",
        "the destination is addressed by its name, which the source takes for its own loopback",
        ("host_dest_resolvable_from_source",),
        before={"hv1": points_to("hv2", "127.0.1.1")},
        after=after(HOSTS_BACK),
        policy=BY_NAMES,
    ),
    Case(
        "host-name-of-nobody-here",
        "the destination is addressed by its name, for which the source has the address of no host",
        ("host_dest_resolvable_from_source", REACHABLE),
        before={"hv1": points_to("hv2", ELSEWHERE)},
        after=after(HOSTS_BACK),
        policy={**BY_NAMES, **PROBE},
    ),
    Case(
        "host-name-unknown-here",
        "the destination is addressed by its name, which the source does not know",
        ("host_dest_resolvable_from_source",),
        before={"hv1": f"{KEEP_HOSTS}; sed -i '/ hv2$/d' {HOSTS}"},
        after=after(HOSTS_BACK),
        policy=BY_NAMES,
    ),
)

_PORTS: tuple[Case, ...] = (
    Case(
        "host-ports-dropped-there",
        "the destination's firewall drops what comes for the migration ports",
        (REACHABLE,),
        before={"hv2": f"iptables -I INPUT {BLOCK} DROP"},
        after=after(there=f"iptables -D INPUT {BLOCK} DROP"),
        policy=PROBE,
    ),
    Case(
        "host-ports-rejected-there",
        "the destination's firewall rejects what comes for the migration ports",
        (REACHABLE,),
        before={"hv2": f"iptables -I INPUT {BLOCK} REJECT"},
        after=after(there=f"iptables -D INPUT {BLOCK} REJECT"),
        policy=PROBE,
    ),
    Case(
        "host-ports-prohibited-there",
        "the destination's firewall answers what comes for the migration ports with a prohibition, as firewalld does",
        (REACHABLE,),
        before={"hv2": f"iptables -I INPUT {BLOCK} REJECT --reject-with icmp-admin-prohibited"},
        after=after(there=f"iptables -D INPUT {BLOCK} REJECT --reject-with icmp-admin-prohibited"),
        policy=PROBE,
    ),
    Case(
        "host-ports-rejected-here",
        "the source's firewall lets nothing out to the migration ports",
        (REACHABLE,),
        before={"hv1": f"iptables -I OUTPUT {BLOCK} REJECT"},
        after=after(f"iptables -D OUTPUT {BLOCK} REJECT"),
        policy=PROBE,
    ),
    Case(
        "host-ports-all-taken-there",
        "the destination has two ports for migrations, and another program has both",
        (FREE,),
        before={
            "hv2": f"{holding(50000)}; {holding(50001)}; "
            + conf("migration_port_min = 50000", "migration_port_max = 50001")
        },
        after=after(there=f"{ended(50000)}; {ended(50001)}; {CONF_BACK}"),
    ),
    Case(
        "host-listens-on-loopback-there",
        "the destination listens for migrations on its loopback only",
        ("host_listen_address_family", REACHABLE),
        before={"hv2": conf('migration_address = "127.0.0.1"')},
        after=after(there=CONF_BACK),
    ),
    Case(
        "host-listens-nowhere-there",
        "the destination listens for migrations on an address that it has not",
        ("host_listen_address_family", REACHABLE),
        before={"hv2": conf(f'migration_address = "{ELSEWHERE}"')},
        after=after(there=CONF_BACK),
    ),
    Case(
        "host-tls-forced-there",
        "the destination's qemu.conf demands TLS of migrations, and TLS is off",
        ("flags_tls_forced",),
        before={"hv2": conf("migrate_tls_force = 1")},
        after=after(there=CONF_BACK),
    ),
    Case(
        "host-tls-forced-here",
        "the source's qemu.conf demands TLS of migrations, and TLS is off",
        ("flags_tls_forced",),
        before={"hv1": conf("migrate_tls_force = 1")},
        after=after(CONF_BACK),
    ),
)

_EMULATORS: tuple[Case, ...] = (
    Case(
        "host-emulator-gone-there",
        "the guest's emulator is a file that only the source has",
        ("host_emulator_path", "version_driver_type_match"),
        guest=replaced(EMULATOR, "/usr/bin/qemu-system-g"),
        before={"hv1": f"cp {EMULATOR} /usr/bin/qemu-system-g"},
        after=after("rm -f /usr/bin/qemu-system-g"),
    ),
    Case(
        "host-emulator-uninstalled-there",
        "the destination has libvirt and no QEMU",
        ("host_emulator_path", "version_driver_type_match", "machine_type_supported"),
        before={"hv2": away(EMULATOR)},
        after=after(there=back(EMULATOR)),
    ),
    Case(
        "host-emulator-not-executable-there",
        "the destination's emulator may not be executed",
        ("host_emulator_path", "version_driver_type_match"),
        before={"hv2": f"cp -p {EMULATOR} {EMULATOR}.g-away; chmod 644 {EMULATOR}"},
        after=after(there=back(EMULATOR)),
    ),
    Case(
        "host-emulator-library-gone-there",
        "the destination's emulator does not start: a library of its is missing",
        ("host_emulator_path", "version_driver_type_match"),
        before={"hv2": away(f"{LIBRARIES}/libfdt.so.1")},
        after=after(there=back(f"{LIBRARIES}/libfdt.so.1")),
    ),
)

CASES: tuple[Case, ...] = _DAEMONS + _NAMES + _PORTS + _EMULATORS
