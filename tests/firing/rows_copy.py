# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions of copies of disks, of jobs and snapshots, and of pools, secrets, servers and folders."""

from __future__ import annotations

from tests.firing import stage
from tests.firing.provocation import SOURCE, Act, Provocation, XmlEdit, device, replaced
from tests.firing.rows_config import URI, refused, wanted
from tests.lab import api as lab
from tests.lab.errors import LabError
from tests.lab.places import DISKS_INSIDE, LOCAL_DISKS_INSIDE

SECRET = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f"
FOLDER = f"{LOCAL_DISKS_INSIDE}/copied"
IMAGE = f"{FOLDER}/disk.qcow2"
_MAKE = f"mkdir -p {FOLDER}; qemu-img create -q -f qcow2 {IMAGE} 64M"
_CLEAN = f"rm -rf {FOLDER}"
_COPY = wanted(copy_storage="all")

# Ranges are what QEMU asks for and http.server does not know.
_HTTP = """\
import http.server

DATA = bytes(1 << 20)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(200, DATA, False)

    def do_GET(self):
        first, last = self.headers.get("Range", "bytes=0-").split("=")[1].split("-")
        self.answer(206, DATA[int(first) : int(last or len(DATA)) + 1], True)

    def answer(self, status, data, send):
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if send:
            self.wfile.write(data)


http.server.ThreadingHTTPServer(("198.51.100.1", 8099), Handler).serve_forever()
"""


def _file(path: str) -> XmlEdit:
    """The edit that puts the plain guest's disk there."""

    def edit(xml: str) -> str:
        name = xml.split("<name>")[1].split("<")[0]
        return replaced(f"{DISKS_INSIDE}/{name}.qcow2", path)(xml)

    return edit


def _raw(source: str) -> XmlEdit:
    """The edit that makes a raw image out of the plain guest's disk, with another <source>."""

    def edit(xml: str) -> str:
        name = xml.split("<name>")[1].split("<")[0]
        xml = replaced(f'<source file="{DISKS_INSIDE}/{name}.qcow2"/>', source)(xml)
        return replaced("type='qcow2' cache", "type='raw' cache")(xml)

    return edit


def _volume(xml: str) -> str:
    name = xml.split("<name>")[1].split("<")[0]
    xml = replaced(f'<source file="{DISKS_INSIDE}/{name}.qcow2"/>', "<source pool='disks' volume='v.qcow2'/>")(xml)
    return replaced("<disk type='file' device='disk'", "<disk type='volume' device='disk'")(xml)


def _second(kind: str, source: str, form: str = "raw") -> XmlEdit:
    return device(
        f"<disk type='{kind}' device='disk'><driver name='qemu' type='{form}' cache='none'/>{source}"
        "<target dev='vdb' bus='virtio'/></disk>"
    )


def _virtiofs(xml: str) -> str:
    memory = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking><devices>"
    folder = "<driver type='virtiofs'/><source dir='/srv/mine'/><target dir='data'/>"
    xml = replaced("<devices>", memory)(xml)
    return device(f"<filesystem type='mount' accessmode='passthrough'>{folder}</filesystem>")(xml)


def _plain(command: str, refusal: str | None = None) -> Act:
    """The act that does it to the plain guest and, given a message, sees that libvirt then refuses to migrate it."""

    def act() -> None:
        lab.exec_on(SOURCE, ["sh", "-ec", command], check=True)
        if refusal is not None:
            tried = lab.exec_on(SOURCE, ["virsh", "migrate", "--live", "--p2p", stage.PLAIN, URI], timeout_s=90)
            if refusal not in tried.stderr:
                raise LabError(f"virsh migrate said: {tried.stderr.strip() or 'nothing'}", refusal, "see the check")

    return act


ROWS: tuple[Provocation, ...] = (
    Provocation(
        "snapshots_present",
        "a snapshot of the guest, after which libvirt refuses to migrate it",
        "Snapshots of domain plain: 1",
        act=_plain("virsh -q snapshot-create-as plain s1", "cannot migrate domain with 1 snapshots"),
        after={"hv1": "virsh -q snapshot-delete plain s1"},
    ),
    Provocation(
        "checkpoints_present",
        "a checkpoint of the guest",
        "Checkpoints of domain plain: 1",
        before={"hv1": "virsh -q checkpoint-create-as plain c1"},
        after={"hv1": "virsh -q checkpoint-delete plain c1"},
    ),
    Provocation(
        "managed_save_image",
        "a saved state of the running guest, found by its daemon at a restart",
        "Saved state of domain plain is there: True",
        before={
            "hv1": "mkdir -p /var/lib/libvirt/qemu/save; touch /var/lib/libvirt/qemu/save/plain.save; "
            "service libvirtd restart >/dev/null 2>&1; virsh -q list >/dev/null"
        },
        after={"hv1": "virsh -q managedsave-remove plain; rm -f /var/lib/libvirt/qemu/save/plain.save"},
    ),
    Provocation(
        "block_job_active",
        "a copy of the guest's disk under way, during which libvirt refuses to migrate it",
        "Disk vda of domain plain: a block job is active",
        act=_plain(
            f"virsh -q blockcopy plain vda {DISKS_INSIDE}/job.qcow2 --format qcow2 --transient-job",
            "domain has active block job",
        ),
        after={"hv1": f"virsh -q blockjob plain vda --abort; rm -f {DISKS_INSIDE}/job.qcow2"},
    ),
    Provocation(
        "backup_job_active",
        "a pull backup that nobody ends",
        "Job of domain plain: a backup",
        before={
            "hv1": 'echo \'<domainbackup mode="pull"><server transport="unix" socket="/run/backup.sock"/>'
            "</domainbackup>' > /run/backup.xml; virsh -q backup-begin plain /run/backup.xml"
        },
        after={"hv1": "virsh -q domjobabort plain; rm -f /run/backup.xml /run/backup.sock"},
    ),
    Provocation(
        "nonshared_disks_detected",
        "two disks, of which the local one is left out of the copies",
        f"it is not copied, and there is no {IMAGE} on hv2",
        guest=_second("file", f"<source file='{IMAGE}'/>", "qcow2"),
        before={"hv1": _MAKE},
        after={"hv1": _CLEAN},
        policy=wanted(copy_storage="all", copy_disks=["vda"]),
    ),
    Provocation(
        "nonshared_never_copy_shared",
        "a disk on shared storage that is to be copied",
        "is one file for hv1 and hv2",
        policy=_COPY,
    ),
    Provocation(
        "nonshared_space",
        "a file system of 32 MiB for a disk of 64 MiB",
        "MiB free; expected 64 MiB for the copies",
        guest=_file(IMAGE),
        before={"hv1": _MAKE, "hv2": f"mkdir -p {FOLDER}; mount -t tmpfs -o size=32m copied {FOLDER}"},
        after={"hv1": _CLEAN, "hv2": f"umount {FOLDER}; {_CLEAN}"},
        policy=_COPY,
    ),
    Provocation(
        "nonshared_precreate",
        "a destination without a pool for the disk's folder, where libvirt refuses the copy",
        f"there is no {FOLDER}/second.qcow2 on hv2, and no active pool for {FOLDER}",
        guest=_file(f"{FOLDER}/second.qcow2"),
        before={"hv1": f"{_MAKE}; cp {IMAGE} {FOLDER}/second.qcow2"},
        act=refused("--live --p2p --copy-storage-all", "no storage pool with matching target path", _file(IMAGE)),
        after={"hv1": _CLEAN},
        policy=_COPY,
    ),
    Provocation(
        "nonshared_target_stale",
        "a file that is left over in the place of the copy",
        f"{IMAGE} is on hv2 already and would be overwritten",
        guest=_file(IMAGE),
        before={"hv1": _MAKE, "hv2": f"{_MAKE}; sync"},
        after={"hv1": _CLEAN, "hv2": _CLEAN},
        policy=_COPY,
    ),
    Provocation(
        "nonshared_target_size_equal",
        "a target of 32 MiB for a disk of 64 MiB, to which QEMU refuses to copy",
        f"{IMAGE} on hv2 has 33554432 bytes, and the disk has 67108864",
        guest=_file(IMAGE),
        before={"hv1": _MAKE, "hv2": f"mkdir -p {FOLDER}; qemu-img create -q -f qcow2 {IMAGE} 32M"},
        act=refused("--live --p2p --copy-storage-all", "Source and target image have different sizes", _file(IMAGE)),
        after={"hv1": _CLEAN, "hv2": _CLEAN},
        policy=_COPY,
    ),
    Provocation(
        "nonshared_nbd_port",
        "another program at the port that is to take the copies",
        "Port 50123 of hv2: somebody listens there",
        before={
            "hv2": "truncate -s 1M /run/taken.raw; qemu-nbd -t -f raw -b 0.0.0.0 -p 50123 --fork "
            "--pid-file=/run/taken.pid /run/taken.raw"
        },
        after={"hv2": "kill $(cat /run/taken.pid); rm -f /run/taken.raw"},
        policy=wanted(copy_storage="all", disks_port=50123),
    ),
    Provocation(
        "nonshared_tls_nbd",
        "copies of disks with TLS and parallel connections from libvirt 9.0",
        "with TLS and parallel, by libvirt 9.0.0",
        guest=lambda xml: xml,
        source="hv3",
        policy={"tls": "required", **wanted(copy_storage="all", parallel=2)},
    ),
    Provocation(
        "disk_pool_volume",
        "a disk in a pool that only the source has",
        "its pool disks is missing on hv2",
        guest=_volume,
        before={
            "hv1": f"mkdir -p {FOLDER}; virsh -q pool-create-as disks dir --target {FOLDER}; "
            "virsh -q vol-create-as disks v.qcow2 8M --format qcow2"
        },
        after={"hv1": f"virsh -q pool-destroy disks; {_CLEAN}"},
    ),
    Provocation(
        "disk_network_driver_available",
        "a disk over HTTP, and a destination without QEMU's module for it",
        "its protocol is http, and QEMU on hv2 has no block-curl",
        guest=device(
            "<disk type='network' device='cdrom'><driver name='qemu' type='raw'/>"
            "<source protocol='http' name='/disk.raw'>"
            "<host name='198.51.100.1' port='8099'/></source><target dev='sda' bus='sata'/><readonly/></disk>"
        ),
        before={
            "hv1": f"cat > /run/serve.py <<'E'\n{_HTTP}E\n"
            "setsid python3 /run/serve.py >/dev/null 2>&1 & echo $! > /run/serve.pid",
            "hv2": "for m in /usr/lib/*/qemu/block-curl.so; do mv $m $m.away; done",
        },
        after={
            "hv1": "kill $(cat /run/serve.pid); rm -f /run/serve.*",
            "hv2": "for m in /usr/lib/*/qemu/block-curl.so.away; do mv $m ${m%.away}; done",
        },
    ),
    Provocation(
        "disk_network_hosts_reachable",
        "a disk from an NBD server to which the destination has no route",
        "Server 198.51.100.1 of a disk of domain p-disk-network-hosts-reachable: hv2 cannot connect to port 10809",
        guest=_second("network", "<source protocol='nbd'><host name='198.51.100.1' port='10809'/></source>"),
        before={
            "hv1": "truncate -s 1M /run/served.raw; qemu-nbd -t -f raw -b 198.51.100.1 -p 10809 --fork "
            "--pid-file=/run/served.pid /run/served.raw",
            "hv2": "ip route add unreachable 198.51.100.1/32",
        },
        after={
            "hv1": "kill $(cat /run/served.pid); rm -f /run/served.raw",
            "hv2": "ip route del unreachable 198.51.100.1/32",
        },
        policy={"probe": True},
    ),
    Provocation(
        "fs_virtiofs",
        "a virtiofs folder that only the source has",
        "there is no /srv/mine on hv2",
        guest=_virtiofs,
        before={"hv1": "mkdir -p /srv/mine"},
        after={"hv1": "rmdir /srv/mine"},
    ),
    Provocation(
        "fs_9p_mounted",
        "a 9p folder",
        f"9p of {DISKS_INSIDE}",
        guest=device(
            "<filesystem type='mount' accessmode='passthrough'>"
            f"<source dir='{DISKS_INSIDE}'/><target dir='data'/></filesystem>"
        ),
    ),
)
