# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions of hosts. A daemon is restarted only where it must be; guests run on meanwhile."""

from __future__ import annotations

from functools import partial

from tests.firing.provocation import Provocation, device, element, replaced
from tests.lab import api as lab
from tests.lab.hostfiles import MIGRATION_PORTS, RESERVED
from tests.lab.hosts import BY_NAME

CONF = "/etc/libvirt/qemu.conf"
DAEMON_CONF = "/etc/libvirt/libvirtd.conf"
DRIVERS = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
MODULES = "/usr/lib/x86_64-linux-gnu/qemu"
EMULATOR = "/usr/bin/qemu-system-x86_64"
RESTART = "service libvirtd restart >/dev/null"
ADDRESS = "198.51.100.2"
SOURCE_UUID = BY_NAME["hv1"].uuid

EDAC = "/sys/devices/system/edac/mc/mc0/ue_count"

# Opens connections from ports of the migration range to the host's own sshd, and holds them until it is killed.
HOLD = """\
cat >/run/p-hold.py <<'END'
import signal, socket, sys
held = [socket.create_connection(("127.0.0.1", 22), 5, ("127.0.0.1", 49160 + n)) for n in range(3)]
print("held", flush=True)
signal.pause()
END
setsid python3 /run/p-hold.py >/run/p-hold.out 2>&1 & echo $! >/run/p-hold.pid
for n in 1 2 3 4 5 6 7 8 9 10; do grep -q held /run/p-hold.out && break; sleep 0.2; done
"""
# Listens on both of the only two migration ports: libvirt's QEMU driver does not load with a range of fewer.
LISTEN = """\
cat >/run/p-listen.py <<'END'
import signal, socket
both = [socket.create_server(("", port)) for port in (50000, 50001)]
print("listens", flush=True)
signal.pause()
END
setsid python3 /run/p-listen.py >/run/p-listen.out 2>&1 & echo $! >/run/p-listen.pid
for n in 1 2 3 4 5 6 7 8 9 10; do grep -q listens /run/p-listen.out && break; sleep 0.2; done
"""


def added(conf: str, line: str) -> str:
    """The command that adds a line to a file of settings, which restored() takes back."""
    return f"cp -p {conf} /run/p-conf; echo '{line}' >>{conf}"


def restored(conf: str) -> str:
    return f"cp -p /run/p-conf {conf}"


def ended(name: str) -> str:
    return f"kill $(cat /run/{name}.pid); rm -f /run/{name}.*"


def known(name: str, uuid: str, how: str) -> str:
    """The command that makes a domain known to libvirt; ``how``: define, or create --paused."""
    xml = (
        f'<domain type="qemu"><name>{name}</name><uuid>{uuid}</uuid><memory unit="MiB">32</memory>'
        f'<os><type arch="x86_64" machine="q35">hvm</type></os>'
        f"<devices><emulator>{EMULATOR}</emulator></devices></domain>"
    )
    return f"echo '{xml}' >/run/p-known.xml; virsh -q {how} /run/p-known.xml"


UUID = "5ce0a7f1-0f4e-4b7e-9d5d-0d0c8f3f0001"
SPICE = "<graphics type='spice' autoport='yes'/><video><model type='qxl'/></video>"

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "host_daemon_alive",
        "the destination's daemon is stopped",
        "it could not be observed",
        before={"hv2": "service libvirtd stop >/dev/null"},
        after={
            "hv2": "service libvirtd start >/dev/null; "
            "for n in 1 2 3 4 5 6 7 8 9; do virsh -q uri && break; sleep 1; done"
        },
    ),
    Provocation(
        "host_not_same",
        "the destination has the source's host UUID",
        "on both",
        before={
            "hv2": f"cp -p {DAEMON_CONF} /run/p-conf; "
            f"sed -i 's/^host_uuid = .*/host_uuid = \"{SOURCE_UUID}\"/' {DAEMON_CONF}; {RESTART}"
        },
        after={"hv2": f"{restored(DAEMON_CONF)}; {RESTART}"},
    ),
    Provocation(
        "host_hostname_distinct",
        "the destination has the source's name",
        "hv1 on both",
        before={"hv2": "hostname hv1"},
        after={"hv2": "hostname hv2"},
    ),
    Provocation(
        "host_migration_ports_free",
        "a range of two ports, on both of which something listens",
        "all of 50000 to 50001 are taken",
        before={"hv2": added(CONF, "migration_port_min = 50000\nmigration_port_max = 50001") + "\n" + LISTEN},
        after={"hv2": f"{ended('p-listen')}; {restored(CONF)}"},
    ),
    Provocation(
        "dst_domain_uuid_running",
        "a domain with the guest's UUID is active at the destination",
        f"UUID {UUID} is active on hv2 as well as on hv1",
        guest=lambda xml: xml.replace(xml[xml.index("<uuid>") : xml.index("</uuid>")], f"<uuid>{UUID}"),
        before={"hv2": known("p-twin", UUID, "create --paused")},
        after={"hv2": "virsh -q destroy p-twin"},
    ),
    Provocation(
        "dst_domain_name_conflict",
        "another domain at the destination has the plain guest's name",
        f"on hv2 another domain has it, with UUID {UUID}",
        before={"hv2": known("plain", UUID, "define")},
        after={"hv2": "virsh -q undefine plain"},
    ),
    Provocation(
        "dst_domain_defined_differs",
        "the destination has a definition of the guest",
        "hv2 has a definition of it already",
        guest=lambda xml: xml.replace(xml[xml.index("<uuid>") : xml.index("</uuid>")], f"<uuid>{UUID}"),
        before={"hv2": known("p-dst-domain-defined-differs", UUID, "define")},
        after={"hv2": "virsh -q undefine p-dst-domain-defined-differs"},
    ),
    Provocation(
        "host_emulator_path",
        "an emulator that only the source has",
        "there is no /usr/bin/qemu-system-p on hv2",
        guest=replaced(EMULATOR, "/usr/bin/qemu-system-p"),
        before={"hv1": f"ln -f {EMULATOR} /usr/bin/qemu-system-p || cp {EMULATOR} /usr/bin/qemu-system-p"},
        after={"hv1": "rm -f /usr/bin/qemu-system-p"},
    ),
    Provocation(
        "host_keepalive",
        "keepalive_interval of 2 s on the source",
        "given up after 12 s",
        before={"hv1": added(CONF, "keepalive_interval = 2")},
        after={"hv1": restored(CONF)},
    ),
    Provocation(
        "host_client_limits",
        "max_client_requests of 1 at the destination",
        "max_client_requests is 1",
        before={"hv2": added(DAEMON_CONF, "max_client_requests = 1")},
        after={"hv2": restored(DAEMON_CONF)},
    ),
    Provocation(
        "host_qemu_conf_diff",
        "another owner of images at the destination",
        "dynamic_ownership is 1 and 0",
        before={"hv2": added(CONF, "dynamic_ownership = 0")},
        after={"hv2": restored(CONF)},
    ),
    Provocation(
        "host_cgroup_device_acl",
        "a guest with QEMU arguments of its own, and a device node that only the source allows",
        "hv2 does not allow /dev/fuse",
        guest=lambda xml: xml.replace(
            "<domain type='qemu'>", "<domain type='qemu' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
        ).replace("</domain>", "<q:commandline><q:arg value='-no-user-config'/></q:commandline></domain>"),
        before={"hv1": added(CONF, 'cgroup_device_acl = [ "/dev/null", "/dev/fuse" ]')},
        after={"hv1": restored(CONF)},
    ),
    Provocation(
        "host_storage_secret_network_drivers",
        "a guest with a network filter, and a destination without libvirt's nwfilter driver",
        "nwfilter driver on hv2",
        guest=replaced(
            "<model type='virtio'/></interface>", "<model type='virtio'/><filterref filter='p-none'/></interface>"
        ),
        before={
            "hv1": "echo '<filter name=\"p-none\"/>' >/run/p-filter.xml; virsh -q nwfilter-define /run/p-filter.xml",
            "hv2": f"mv {DRIVERS}/libvirt_driver_nwfilter.so /run/; {RESTART}",
        },
        after={
            "hv1": "virsh -q nwfilter-undefine p-none",
            "hv2": f"mv /run/libvirt_driver_nwfilter.so {DRIVERS}/; {RESTART}",
        },
    ),
    Provocation(
        "host_qemu_modules",
        "a guest with SPICE, and a destination without QEMU's module for it",
        "hv2 does not have ui-spice-core",
        guest=device(SPICE),
        before={"hv2": f"mv {MODULES}/ui-spice-core.so /run/"},
        after={"hv2": f"mv /run/ui-spice-core.so {MODULES}/"},
    ),
    Provocation(
        "host_pid_fd_limits",
        "the destination's daemon may have 200 files open",
        "200, the daemon's own limit",
        before={"hv2": "prlimit --pid $(cat /run/libvirtd.pid) --nofile=200:20000"},
        after={"hv2": "prlimit --pid $(cat /run/libvirtd.pid) --nofile=20000:20000"},
    ),
    Provocation(
        "host_guests_service",
        "libvirt-guests is switched off on the source",
        "it does not run when the host stops",
        before={
            "hv1": "mkdir /run/p-rc; "
            "for n in 2 3 4 5; do mkdir /run/p-rc/$n; mv /etc/rc$n.d/S*libvirt-guests /run/p-rc/$n/; done"
        },
        after={"hv1": "for n in 2 3 4 5; do mv /run/p-rc/$n/* /etc/rc$n.d/; done; rm -r /run/p-rc"},
    ),
    Provocation(
        "host_maintenance_flag",
        "the maintenance mark at the destination",
        "it is in maintenance: new kernel",
        before={"hv2": "mkdir -p -m 0700 /var/lib/livemig; echo new kernel >/var/lib/livemig/maintenance"},
        after={"hv2": "rm /var/lib/livemig/maintenance"},
    ),
    Provocation(
        "host_foreign_manager",
        "the configuration of a Ganeti node at the destination",
        "Ganeti has its configuration there",
        before={"hv2": "mkdir -p /var/lib/ganeti; echo {} >/var/lib/ganeti/config.data"},
        after={"hv2": "rm -r /var/lib/ganeti"},
        faked=True,
    ),
    Provocation(
        "host_disk_space_runtime",
        "a file system of 50 MiB for the destination's logs",
        "below /var/log/libvirt/qemu of hv2: 50 MiB",
        before={"hv2": "mount -t tmpfs -o size=50m none /var/log/libvirt/qemu"},
        after={"hv2": "umount /var/log/libvirt/qemu"},
    ),
    Provocation(
        "host_health",
        "an EDAC counter at the destination",
        "3 errors that could not be corrected",
        act=partial(lab.fake, "hv2", EDAC, "3"),
        undo=partial(lab.unfake, "hv2", EDAC),
        faked=True,
    ),
    Provocation(
        "host_timezone_localtime",
        "a guest on local time, and another time zone at the destination",
        "which is UTC now and Asia/Tokyo on hv2",
        guest=element("<clock offset='localtime'/>"),
        before={"hv2": "mv /etc/localtime /etc/localtime.p; ln -s /usr/share/zoneinfo/Asia/Tokyo /etc/localtime"},
        after={"hv2": "mv /etc/localtime.p /etc/localtime"},
    ),
    Provocation(
        "host_cputune_shares_range",
        "a guest with 20000 shares, and cgroup v2 at the destination",
        "20000, and hv2 has cgroup v2",
        guest=element("<cputune><shares>20000</shares></cputune>"),
        before={"hv2": "mount -t cgroup2 none /sys/fs/cgroup"},
        after={"hv2": "umount /sys/fs/cgroup"},
    ),
    Provocation(
        "host_dest_hostname_usable",
        "the destination's own name is 127.0.1.1 in its /etc/hosts, as Debian's installer writes it",
        "127.0.1.1 in its own /etc/hosts",
        before={"hv2": "cp -p /etc/hosts /run/p-hosts; sed -i 's/^198.51.100.2 hv2$/127.0.1.1 hv2/' /etc/hosts"},
        after={"hv2": "cp -p /run/p-hosts /etc/hosts"},
    ),
    Provocation(
        "host_dest_resolvable_from_source",
        "the source finds 127.0.1.1 for the destination's name",
        "127.0.1.1, which is hv1 itself",
        before={"hv1": "cp -p /etc/hosts /run/p-hosts; sed -i 's/^198.51.100.2 hv2$/127.0.1.1 hv2/' /etc/hosts"},
        after={"hv1": "cp -p /run/p-hosts /etc/hosts"},
        policy={"addresses": {"hv2": "hv2", "hv1": "hv1"}},
    ),
    Provocation(
        "host_listen_address_family",
        "the destination listens for migrations on its loopback only",
        f"127.0.0.1, and hv1 goes to {ADDRESS}",
        before={"hv2": added(CONF, 'migration_address = "127.0.0.1"')},
        after={"hv2": restored(CONF)},
    ),
    Provocation(
        "host_migration_ports_reachable",
        "the destination's firewall drops what comes for the migration ports",
        "port 49215 of 198.51.100.2: no answer within 3 s",
        before={"hv2": "iptables -I INPUT -p tcp --dport 49152:49215 -j DROP"},
        after={"hv2": "iptables -D INPUT -p tcp --dport 49152:49215 -j DROP"},
        policy={"probe": True},
    ),
    Provocation(
        "host_migration_ports_ephemeral",
        "three connections of the destination come from ports of the migration range",
        "connections to elsewhere hold",
        before={"hv2": f"echo >{RESERVED}; {HOLD}"},
        after={"hv2": f"echo {MIGRATION_PORTS} >{RESERVED}; " + ended("p-hold")},
    ),
)
