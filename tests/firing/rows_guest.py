# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from tests.firing import stage
from tests.firing.provocation import Provocation, device, element
from tests.lab import api as lab

PLAIN_PID = "/run/libvirt/qemu/plain.pid"
BACKUP = "<domainbackup mode='pull'><server transport='unix' socket='/run/p-backup.sock'/></domainbackup>"
CIB = """\
<cib><configuration><crm_config/><resources>
<primitive id="vm-plain" class="ocf" provider="heartbeat" type="VirtualDomain">
<instance_attributes id="a"><nvpair id="b" name="config" value="/etc/libvirt/qemu/plain.xml"/></instance_attributes>
</primitive></resources></configuration></cib>
"""
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"

# A post-copy migration needs a guest that runs and has more memory than is sent at once; the firmware and the kernel's
# start fill some of it.
FAIL_POSTCOPY = """\
virsh -q resume plain
sleep 8
virsh migrate --live --p2p --postcopy --bandwidth 1 --postcopy-bandwidth 1 plain \\
    qemu+ssh://root@198.51.100.2/system --migrateuri tcp://198.51.100.2 >/run/p-migrate.out 2>&1 &
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.25; virsh -q migrate-postcopy plain 2>/dev/null && break; done
for n in 1 2 3 4 5 6 7 8 9 10; do virsh domstate --reason plain | grep -q post-copy && break; sleep 0.3; done
"""


def fail_postcopy() -> None:
    """Makes the plain guest anew with memory enough, and kills its destination in the middle."""
    stage.stop([stage.PLAIN])
    stage.start(
        {stage.PLAIN: stage.plain_xml(stage.PLAIN).replace("<memory unit='MiB'>32<", "<memory unit='MiB'>256<")}
    )
    lab.exec_on("hv1", ["sh", "-c", FAIL_POSTCOPY], check=True)
    lab.exec_on("hv2", ["sh", "-c", f"kill -9 $(cat {PLAIN_PID})"], check=True)
    failed = "for n in 1 2 3 4 5 6 7 8 9 10; do virsh domstate --reason plain | grep failed && break; sleep 0.5; done"
    lab.exec_on("hv1", ["sh", "-c", failed], check=True)


def plain_again() -> None:
    stage.stop([stage.PLAIN])
    lab.exec_on("hv2", ["sh", "-c", "virsh -q destroy plain; virsh -q undefine plain"])
    stage.start({stage.PLAIN: stage.plain_xml(stage.PLAIN)})


ROWS: tuple[Provocation, ...] = (
    Provocation(
        "guest_state",
        "the plain guest is shut off",
        "it is shutoff",
        before={"hv1": "virsh -q destroy plain"},
        after={"hv1": "virsh -q start --paused plain"},
    ),
    Provocation(
        "guest_job_active",
        "a backup of the plain guest is under way",
        "unbounded",
        before={"hv1": f'echo "{BACKUP}" >/run/p-backup.xml; virsh -q backup-begin plain /run/p-backup.xml'},
        after={"hv1": "virsh -q domjobabort plain; rm -f /run/p-backup.*"},
    ),
    Provocation(
        "guest_monitor_responsive",
        "the plain guest's QEMU is stopped (SIGSTOP)",
        "it has not answered libvirt for",
        before={"hv1": f"kill -STOP $(cat {PLAIN_PID})"},
        after={"hv1": f"kill -CONT $(cat {PLAIN_PID})"},
    ),
    Provocation(
        "guest_tainted",
        "a command of one's own to the plain guest's monitor",
        "custom monitor control commands",
        before={"hv1": "virsh qemu-monitor-command plain --hmp info version"},
        after={"hv1": "true"},
    ),
    Provocation(
        "guest_foreign_owner",
        "a guest with nova's metadata",
        "it belongs to OpenStack nova",
        guest=element(
            "<metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'><n:name>web</n:name></n:instance>"
            "</metadata>"
        ),
    ),
    Provocation(
        "guest_cluster_resource",
        "the plain guest stands in the configuration of a Pacemaker cluster on the source",
        "Pacemaker's resource vm-plain starts and stops it",
        before={"hv1": f"mkdir -p /var/lib/pacemaker/cib; cat >/var/lib/pacemaker/cib/cib.xml <<'END'\n{CIB}END\n"},
        after={"hv1": "rm -r /var/lib/pacemaker"},
        faked=True,
    ),
    Provocation(
        "guest_migration_policy_tag",
        "a guest with a label that forbids it",
        "never, which says that it is never to be migrated",
        guest=element("<metadata><p:policy xmlns:p='urn:livemig:policy:1'>gold never</p:policy></metadata>"),
    ),
    Provocation(
        "guest_postcopy_failed_state",
        "the destination's QEMU is killed in the middle of a post-copy migration",
        "has failed, and hv1 is its source",
        act=fail_postcopy,
        undo=plain_again,
    ),
    Provocation(
        "guest_agent_alive",
        "a guest with a channel for the agent, and none in it",
        "none is connected to its channel",
        guest=device(AGENT),
    ),
)
