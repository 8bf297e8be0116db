# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of migrations, and what libvirt's files say. libvirt is asked to do what the checks forbid: see refused()."""

from __future__ import annotations

import re
from typing import Any

from tests.firing import stage
from tests.firing.provocation import SOURCE, Act, Provocation, XmlEdit, replaced
from tests.lab import api as lab
from tests.lab.errors import LabError
from tests.lab.places import DISKS_INSIDE

TRIED = "tried"
URI = "qemu+tls://hv2/system"


def _virsh(words: str, check: bool = False) -> str:
    done = lab.exec_on(SOURCE, ["sh", "-c", f"virsh -q {words}"], check=check, timeout_s=90)
    return (done.stdout + done.stderr).strip()


def refused(options: str, message: str, edit: XmlEdit = lambda xml: xml, running: bool = False) -> Act:
    """The act that tries such a migration with a guest of its own and fails unless libvirt refuses it with the message.

    So the verdict of the check and that of libvirt are seen to agree.
    """

    def act() -> None:
        try:
            errors = stage.start({TRIED: edit(stage.plain_xml(TRIED))})
            if errors:
                raise LabError(f"the guest did not start: {errors}", "a guest to try it with", "see its log")
            if running:
                _virsh(f"resume {TRIED}", check=True)
            said = _virsh(f"migrate {options} {TRIED} {URI}")
            if message not in said:
                raise LabError(f"virsh migrate {options} said: {said or 'nothing'}", message, "the check is wrong")
        finally:
            stage.stop([TRIED])
            lab.exec_on("hv2", ["sh", "-c", f"virsh destroy {TRIED}; virsh undefine {TRIED}"])

    return act


def _gone_after_shutdown() -> None:
    """A persistent guest that moves without its definition is transient there, and unknown here."""
    try:
        stage.start({TRIED: stage.plain_xml(TRIED)})
        _virsh(f"migrate --live --p2p --undefinesource {TRIED} {URI}", check=True)
        there = lab.exec_on("hv2", ["virsh", "-q", "list", "--transient", "--name"], check=True).stdout
        here = _virsh("list --all --name")
        if TRIED not in there or TRIED in here:
            raise LabError(f"transient there: {there}; here: {here}", TRIED, "the check is wrong")
    finally:
        stage.stop([TRIED])
        lab.exec_on("hv2", ["sh", "-c", f"virsh destroy {TRIED}; virsh undefine {TRIED}"])


def _without_boot_disk(xml: str) -> str:
    """A guest that boots from a disk of an NBD server, and stops when that cannot be read."""
    name = xml.split("<name>")[1].split("<")[0]
    xml = re.sub("<kernel>.*</cmdline>", "", xml, flags=re.DOTALL)
    xml = replaced(
        f'<source file="{DISKS_INSIDE}/{name}.qcow2"/>',
        "<source protocol='nbd'><host name='198.51.100.1' port='10809'/></source>",
    )(xml)
    xml = replaced("type='qcow2' cache='none'/>", "type='raw' cache='none' error_policy='stop' rerror_policy='stop'/>")(
        xml
    )
    return replaced("<disk type='file' device='disk'", "<disk type='network' device='disk'")(xml)


def wanted(**options: Any) -> dict[str, Any]:
    return {"migration": options}


_RESTART = "service libvirtd restart >/dev/null 2>&1; virsh -q list >/dev/null"

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "flags_tunnelled_conflicts",
        "tunnelled and post-copy at once, which libvirt refuses",
        "tunnelled with postcopy",
        act=refused("--live --p2p --tunnelled --postcopy", "post-copy is not supported with tunnelled migration"),
        policy=wanted(tunnelled=True, postcopy=True),
    ),
    Provocation(
        "flags_postcopy_requires_live",
        "post-copy for a guest that is to stay paused, which libvirt refuses",
        "postcopy with paused",
        act=refused(
            "--live --p2p --postcopy --suspend",
            "post-copy migration is not supported with non-live or paused migration",
        ),
        policy=wanted(postcopy=True, paused=True),
    ),
    Provocation(
        "flags_zerocopy_requirements",
        "zero-copy without parallel connections, which libvirt refuses",
        "zerocopy without parallel",
        act=refused("--live --p2p --zerocopy", "zero-copy is only available for parallel migration"),
        policy=wanted(zerocopy=True),
    ),
    Provocation(
        "flags_compression_conflicts",
        "compression xbzrle with parallel connections, which libvirt refuses",
        "compression xbzrle with parallel",
        act=refused(
            "--live --p2p --parallel --comp-methods xbzrle",
            "Compression method 'xbzrle' isn't supported with parallel migration",
        ),
        policy=wanted(compression=["xbzrle"], parallel=2),
    ),
    Provocation(
        "flags_parallel_postcopy",
        "parallel and post-copy at once, which QEMU 10.0 refuses",
        "parallel with postcopy, and QEMU there is 10.0.",
        act=refused("--live --p2p --parallel --postcopy", "Postcopy is not yet compatible with multifd", running=True),
        policy=wanted(parallel=2, postcopy=True),
    ),
    Provocation(
        "flags_migrate_disks_valid",
        "a copy of a disk that the guest does not have, which libvirt refuses",
        "vdx, and it has vda",
        act=refused("--live --p2p --copy-storage-all --migrate-disks vdx", "disk target vdx not found"),
        policy=wanted(copy_storage="all", copy_disks=["vdx"]),
    ),
    Provocation(
        "flags_offline_combination",
        "an offline migration that is not to be persistent, which libvirt refuses",
        "offline without persist",
        act=refused("--offline --p2p", "offline migration must be specified with the persistent flag set"),
        policy=wanted(offline=True, persist=False),
    ),
    Provocation(
        "flags_rdma_hard_limit",
        "RDMA for a guest without a memory limit, which libvirt refuses",
        "none, and the transport is rdma",
        act=refused(
            "--live --p2p --migrateuri rdma://198.51.100.2",
            "cannot start RDMA migration with no memory hard limit set",
        ),
        policy=wanted(transport="rdma"),
    ),
    Provocation(
        "flags_tls_forced",
        "the destination's qemu.conf demands TLS, tls is off, and its libvirt refuses",
        "migrate_tls_force in qemu.conf of hv2: 1",
        before={"hv2": f"echo 'migrate_tls_force = 1' >> /etc/libvirt/qemu.conf; {_RESTART}"},
        act=refused("--live --p2p", "this libvirtd instance allows migration only with VIR_MIGRATE_TLS flag"),
        after={"hv2": f"sed -i '/^migrate_tls_force/d' /etc/libvirt/qemu.conf; {_RESTART}"},
        policy={"tls": "off"},
    ),
    Provocation(
        "flags_unix_transport",
        "copies of disks over TCP beside a migration over a UNIX socket, which libvirt refuses",
        "disks_uri is no unix socket",
        act=refused(
            "--live --p2p --migrateuri unix:///run/tried.sock --copy-storage-all",
            "NBD URI must be supplied when migration URI uses UNIX transport method",
        ),
        policy=wanted(transport="unix", copy_storage="all"),
    ),
    Provocation(
        "flags_p2p_choice",
        "a migration that the client drives",
        "without peer2peer",
        policy=wanted(peer2peer=False),
    ),
    Provocation(
        "flags_persist_policy",
        "a persistent guest that is to go without its definition, and one that really lost it so",
        "deleted here and not kept there",
        act=_gone_after_shutdown,
        policy=wanted(persist=False),
    ),
    Provocation(
        "flags_unsafe_requested",
        "unsafe asked for",
        "unsafe:",
        policy=wanted(unsafe=True),
    ),
    Provocation(
        "flags_abort_on_error",
        "a guest whose disk's server is gone, which libvirt refuses to migrate with abort_on_error",
        "paused by an I/O error, and abort_on_error is set",
        guest=_without_boot_disk,
        before={
            "hv1": "truncate -s 1M /run/served.raw; qemu-nbd -t -f raw -b 198.51.100.1 -p 10809 --fork "
            "--pid-file=/run/served.pid /run/served.raw",
        },
        then={
            "hv1": "kill $(cat /run/served.pid); virsh -q resume p-flags-abort-on-error; "
            'timeout 40 sh -c \'until virsh domstate --reason p-flags-abort-on-error | grep -q "I/O error"; '
            "do sleep 0.2; done'; "
            f"virsh migrate --live --p2p --abort-on-error p-flags-abort-on-error {URI} 2>&1 "
            "| grep -q 'cannot migrate domain with I/O error'",
        },
        after={"hv1": "rm -f /run/served.*"},
        policy=wanted(abort_on_error=True),
    ),
    Provocation(
        "flags_bandwidth_sane",
        "a limit above the rate of the fastest NIC",
        "and its fastest NIC does 1192 MiB/s",
        policy=wanted(bandwidth_mib_s=2000),
    ),
    Provocation(
        "flags_max_downtime_sane",
        "a downtime limit of 30 s",
        "30000 ms",
        policy=wanted(max_downtime_ms=30000),
    ),
    Provocation(
        "hook_script_destination",
        "a hook that only the destination has",
        "Hook /etc/libvirt/hooks/qemu on hv2: there, and not on hv1",
        before={
            "hv2": "printf '#!/bin/sh\\nexit 0\\n' > /etc/libvirt/hooks/qemu; chmod 755 /etc/libvirt/hooks/qemu",
        },
        after={"hv2": "rm -f /etc/libvirt/hooks/qemu"},
    ),
    Provocation(
        "libvirt_etc_not_shared",
        "definitions of both hosts in one folder of the shared storage",
        "one folder: inode",
        before={
            "hv1": "mkdir /srv/shared/defined; mv /etc/libvirt/qemu /etc/libvirt/qemu.own; "
            "ln -s /srv/shared/defined /etc/libvirt/qemu",
            "hv2": "mv /etc/libvirt/qemu /etc/libvirt/qemu.own; ln -s /srv/shared/defined /etc/libvirt/qemu",
        },
        after={
            name: "test -L /etc/libvirt/qemu && rm /etc/libvirt/qemu && mv /etc/libvirt/qemu.own /etc/libvirt/qemu; "
            "rm -rf /srv/shared/defined"
            for name in ("hv1", "hv2")
        },
    ),
)
