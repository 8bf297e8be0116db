# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of disks, pools, servers, jobs and snapshots, locks, and what else stands between a disk and its move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.firing.provocation import device
from tests.integration.agreement.case import Case
from tests.integration.agreement.shell import (
    COMMON,
    HERE,
    NO_DISK,
    SHARED_MEMORY,
    after,
    both,
    disk,
    filled,
    hidden,
    image,
    medium,
    reads,
)

ALL, INC = ("VIR_MIGRATE_NON_SHARED_DISK",), ("VIR_MIGRATE_NON_SHARED_INC",)
IMAGE = f"{HERE}/disk.qcow2"
SECOND = f"{HERE}/second.qcow2"
SHARED_IMAGE = f"{COMMON}/disk.qcow2"
SHARED_RAW = f"{COMMON}/disk.raw"
GONE = after(f"rm -rf {HERE} {COMMON}", f"umount {HERE} {COMMON} 2>/dev/null; rm -rf {HERE}")
VDA = "/machine/peripheral/virtio-disk0/virtio-backend"
BASE = f"{HERE}/base.raw"


def copy(how: str = "all", **more: Any) -> Mapping[str, Any]:
    return {"migration": {"copy_storage": how, **more}}


def pool(folder: str, name: str = "b-pool") -> str:
    return f"mkdir -p {folder}; virsh -q pool-create-as {name} dir --target {folder}"


NO_POOL = "virsh -q pool-destroy b-pool 2>/dev/null; virsh -q pool-undefine b-pool 2>/dev/null"
VOLUME = "<source pool='b-pool' volume='disk.qcow2'/>"
MAKE_VOLUME = "virsh -q vol-create-as b-pool disk.qcow2 64M --format qcow2"


def _nbd(host: str = "127.0.0.1", port: int = 10809) -> str:
    return f"<source protocol='nbd'><host name='{host}' port='{port}'/></source>"


def serve(path: str, address: str, options: str = "-t -e 4") -> str:
    """A server of 64 MiB at the address, for several clients."""
    make = f"mkdir -p {path.rpartition('/')[0]}; test -e {path} || truncate -s 64M {path}"
    return f"{make}; qemu-nbd {options} -f raw --cache=none {address} --fork --pid-file=/run/b-nbd.pid {path}"


SERVED = "kill $(cat /run/b-nbd.pid) 2>/dev/null; rm -f /run/b-nbd.*"
AT_HOME = "-b 127.0.0.1 -p 10809"
ON_NET = "-b 198.51.100.1 -p 10809"
NOT_SERVED = after(f"{SERVED}; rm -rf {HERE} {COMMON}", f"{SERVED}; rm -rf {HERE}")
UNREACHABLE = ("disk_network_hosts_reachable",)
ANOTHER = ("disk_same_object", *UNREACHABLE)

# QEMU asks for ranges, which http.server does not know.
_HTTP = """\
import http.server

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.say(200, 0, 1 << 20, False)

    def do_GET(self):
        first, last = self.headers.get("Range", "bytes=0-").split("=")[1].split("-")
        self.say(206, int(first), int(last or (1 << 20) - 1) + 1, True)

    def say(self, status, first, end, body):
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - first))
        self.end_headers()
        if body:
            self.wfile.write(bytes(end - first))

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("198.51.100.1", 8099), Answer).serve_forever()
"""
_CURL = "/usr/lib/x86_64-linux-gnu/qemu/block-curl.so"

_COPIES: tuple[Case, ...] = (
    Case(
        "copy-onto-itself",
        "a shared disk is to be copied, which would be onto itself",
        ("nonshared_never_copy_shared",),
        policy=copy(),
        flags=ALL,
    ),
    Case(
        "copy-no-pool",
        "a local disk is to be copied, and the destination has no pool in which it could be made",
        ("nonshared_precreate",),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE)},
        after=GONE,
        policy=copy(),
        flags=ALL,
    ),
    Case(
        "copy-smaller-target",
        "a local disk is to be copied over an image that is half as large",
        ("nonshared_target_size_equal",),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": image(IMAGE, size="32M")},
        after=GONE,
        policy=copy(),
        flags=ALL,
    ),
    Case(
        "copy-larger-target",
        "a local disk is to be copied over an image that is twice as large",
        ("nonshared_target_size_equal",),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": image(IMAGE, size="128M")},
        after=GONE,
        policy=copy(),
        flags=ALL,
    ),
    Case(
        "copy-full-there",
        "a local disk with 48 MiB in it is to be copied to a file system of 24 MiB",
        ("nonshared_space",),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={
            "hv1": f"{image(IMAGE)}; qemu-io -c 'write -P 0x11 8M 48M' {IMAGE} >/dev/null",
            "hv2": f"{hidden(HERE, '-o size=24m')}; {image(IMAGE)}",
        },
        after=GONE,
        policy=copy(),
        flags=ALL,
    ),
    Case(
        "copy-inc-no-target",
        "a local overlay is to be copied without its base, and there is no image to copy it to",
        ("nonshared_precreate",),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": f"{filled(BASE, '0x11', '64M')}; {image(IMAGE, base=BASE)}", "hv2": filled(BASE, "0x11", "64M")},
        after=GONE,
        policy=copy("inc"),
        flags=INC,
    ),
    Case(
        "copy-inc-other-base",
        "a local overlay is to be copied without its base, of which the destination has another",
        ("disk_backing_chain_complete", "disk_same_object"),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={
            "hv1": f"{filled(BASE, '0x11', '64M')}; {image(IMAGE, base=BASE)}",
            "hv2": f"{filled(BASE, '0x22', '64M')}; {image(IMAGE, base=BASE)}",
        },
        after=GONE,
        policy=copy("inc"),
        flags=INC,
        stricter="whatever the guest has not written since the overlay was made is another disk's at the destination",
        risk={"hv2": reads(VDA, "1M", "0x22")},
        shows=r"(?m)^read 512/512 bytes",
    ),
    Case(
        "copy-inc-base-gone",
        "a local overlay is to be copied without its base, which the destination has not",
        ("disk_backing_chain_complete", "disk_path_exists_dest"),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={
            "hv1": f"{filled(BASE, '0x11', '64M')}; {image(IMAGE, base=BASE)}",
            "hv2": f"{filled(BASE, '0x11', '64M')}; {image(IMAGE, base=BASE)}; rm {BASE}",
        },
        after=GONE,
        policy=copy("inc"),
        flags=INC,
    ),
    Case(
        "copy-leaves-one-out",
        "of two local disks only the first is to be copied",
        ("nonshared_disks_detected", "disk_path_exists_dest", "disk_shared_fs_type"),
        wanted=NO_DISK,
        guest=both(disk(IMAGE), disk(SECOND, target="vdb")),
        before={"hv1": f"{image(IMAGE)}; {image(SECOND)}", "hv2": image(IMAGE)},
        after=GONE,
        policy=copy(copy_disks=["vda"]),
        flags=ALL,
        parameters={"migrate_disks": ["vda"]},
    ),
    Case(
        "copy-medium-gone",
        "the local disk is copied, the local CD image is not",
        ("disk_readonly_media_present", "disk_path_exists_dest"),
        wanted=NO_DISK,
        guest=both(disk(IMAGE), medium(f"{HERE}/medium.iso")),
        before={"hv1": f"{image(IMAGE)}; {filled(f'{HERE}/medium.iso', '0x11')}", "hv2": image(IMAGE)},
        after=GONE,
        policy=copy(),
        flags=ALL,
    ),
    Case(
        "copy-port-taken",
        "the port that is to take the copies is another program's at the destination",
        ("nonshared_nbd_port",),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": f"{image(IMAGE)}; {serve(f'{HERE}/other.raw', '-b 0.0.0.0 -p 50123')}"},
        after=after(f"rm -rf {HERE}", f"{SERVED}; rm -rf {HERE}"),
        policy=copy(disks_port=50123),
        flags=ALL,
        parameters={"disks_port": 50123},
    ),
    Case(
        "copy-target-in-use",
        "the image that is to be overwritten is open at the destination in another program",
        ("nonshared_target_stale", "disk_image_locks"),
        wanted=NO_DISK,
        guest=disk(IMAGE),
        before={"hv1": image(IMAGE), "hv2": f"{image(IMAGE)}; {serve(IMAGE, '-k /run/b-nbd.sock')}"},
        after=after(f"rm -rf {HERE}", f"{SERVED}; rm -rf {HERE}"),
        policy=copy(),
        flags=ALL,
    ),
)

_POOLS: tuple[Case, ...] = (
    Case(
        "pool-gone-there",
        "the disk is a volume of a pool that only the source has",
        ("disk_pool_volume",),
        wanted=NO_DISK,
        guest=disk(VOLUME, kind="volume"),
        before={"hv1": f"{pool(COMMON)}; {MAKE_VOLUME}"},
        after=after(f"{NO_POOL}; rm -rf {COMMON}"),
    ),
    Case(
        "pool-inactive-there",
        "the disk is a volume of a pool that is defined at the destination, but not active",
        ("disk_pool_volume",),
        wanted=NO_DISK,
        guest=disk(VOLUME, kind="volume"),
        before={
            "hv1": f"{pool(COMMON)}; {MAKE_VOLUME}",
            "hv2": f"virsh -q pool-define-as b-pool dir --target {COMMON}",
        },
        after=after(f"{NO_POOL}; rm -rf {COMMON}", NO_POOL),
    ),
    Case(
        "pool-other-folder-there",
        "the disk is a volume of a pool that leads to a folder of its own at the destination",
        ("disk_pool_volume", "disk_same_object"),
        wanted=NO_DISK,
        guest=disk(VOLUME, kind="volume"),
        before={"hv1": f"{pool(COMMON)}; {MAKE_VOLUME}", "hv2": f"{pool(HERE)}; {MAKE_VOLUME}"},
        after=after(f"{NO_POOL}; rm -rf {COMMON}", f"{NO_POOL}; rm -rf {HERE}"),
    ),
    Case(
        "pool-volume-gone-there",
        "the destination's pool of that name has no such volume",
        ("disk_pool_volume", "disk_path_exists_dest"),
        wanted=NO_DISK,
        guest=disk(VOLUME, kind="volume"),
        before={"hv1": f"{pool(COMMON)}; {MAKE_VOLUME}", "hv2": pool(HERE)},
        after=after(f"{NO_POOL}; rm -rf {COMMON}", f"{NO_POOL}; rm -rf {HERE}"),
    ),
)

_SERVERS: tuple[Case, ...] = (
    Case(
        "nbd-loopback",
        "the disk is served at the source's own 127.0.0.1",
        ANOTHER,
        wanted=NO_DISK,
        guest=disk(_nbd(), "raw", "network"),
        before={"hv1": serve(SHARED_RAW, AT_HOME)},
        after=NOT_SERVED,
    ),
    Case(
        "nbd-loopback-probed",
        "the same, and servers are asked beforehand",
        ANOTHER,
        wanted=NO_DISK,
        guest=disk(_nbd(), "raw", "network"),
        before={"hv1": serve(SHARED_RAW, AT_HOME)},
        after=NOT_SERVED,
        policy={"probe": True},
    ),
    Case(
        "nbd-loopback-both",
        "the disk is served at 127.0.0.1, where each host has a server of its own",
        ANOTHER,
        wanted=NO_DISK,
        guest=disk(_nbd(), "raw", "network"),
        before=dict.fromkeys(("hv1", "hv2"), serve(f"{HERE}/disk.raw", AT_HOME)),
        after=NOT_SERVED,
        policy={"probe": True},
    ),
    Case(
        "nbd-no-route",
        "the destination has no route to the disk's server",
        UNREACHABLE,
        guest=disk(_nbd("198.51.100.7", 10809), "raw", "network", "vdb"),
        before={
            "hv1": f"ip addr add 198.51.100.7/32 dev lo; {serve(SHARED_RAW, '-b 198.51.100.7 -p 10809')}",
            "hv2": "ip route add unreachable 198.51.100.7/32",
        },
        after=after(
            f"{SERVED}; ip addr del 198.51.100.7/32 dev lo; rm -rf {COMMON}",
            "ip route del unreachable 198.51.100.7/32",
        ),
        policy={"probe": True},
    ),
    Case(
        "nbd-stopped",
        "the disk's server ended while the guest ran",
        UNREACHABLE,
        guest=disk(_nbd("198.51.100.1"), "raw", "network", "vdb"),
        before={"hv1": serve(SHARED_RAW, ON_NET)},
        then={"hv1": f"{SERVED}; true"},
        after=NOT_SERVED,
        policy={"probe": True},
    ),
    Case(
        "nbd-stopped-guest-paused",
        "the disk's server ended, and the guest was paused at its next write",
        ("disk_errors", *UNREACHABLE),
        wanted=NO_DISK,
        guest=disk(_nbd("198.51.100.1"), "raw", "network", error_policy="stop", rerror_policy="stop"),
        before={"hv1": serve(SHARED_RAW, ON_NET)},
        then={
            "hv1": f"{SERVED}; timeout 40 sh -c 'until virsh domstate --reason {{name}} | grep I/O; do sleep 1; done'"
        },
        after=NOT_SERVED,
        policy={"probe": True},
    ),
    Case(
        "nbd-socket-gone-there",
        "the disk is served at a socket file of the source's",
        ANOTHER,
        guest=disk(
            "<source protocol='nbd'><host transport='unix' socket='/run/b-nbd.sock'/></source>", "raw", "network", "vdb"
        ),
        before={"hv1": serve(SHARED_RAW, "-k /run/b-nbd.sock")},
        after=NOT_SERVED,
    ),
    Case(
        "nbd-smaller-there",
        "the disk is served at 127.0.0.1, where the destination's server has half as much of it",
        ANOTHER,
        wanted=NO_DISK,
        guest=disk(_nbd(), "raw", "network"),
        before={
            "hv1": serve(f"{HERE}/disk.raw", AT_HOME),
            "hv2": f"mkdir -p {HERE}; truncate -s 32M {HERE}/disk.raw; {serve(f'{HERE}/disk.raw', AT_HOME)}",
        },
        after=NOT_SERVED,
    ),
    Case(
        "http-no-driver-there",
        "the CD image is read over HTTP, for which the destination's QEMU has no module",
        ("disk_network_driver_available",),
        guest=device(
            "<disk type='network' device='cdrom'><driver name='qemu' type='raw'/>"
            "<source protocol='http' name='/medium.iso'><host name='198.51.100.1' port='8099'/></source>"
            "<target dev='sda' bus='sata'/><readonly/></disk>"
        ),
        before={
            "hv1": f"cat >/run/b-http.py <<'E'\n{_HTTP}E\n"
            "setsid python3 -I /run/b-http.py </dev/null >/dev/null 2>&1 & echo $! >/run/b-http.pid; sleep 1",
            "hv2": f"mv {_CURL} {_CURL}.away",
        },
        after=after("kill $(cat /run/b-http.pid); rm -f /run/b-http.*", f"mv {_CURL}.away {_CURL}"),
    ),
    Case(
        "vhost-user-here-only",
        "the second disk is a vhost-user one, whose program runs at the source only",
        ("disk_vhostuser_vdpa",),
        guest=both(
            SHARED_MEMORY,
            device(
                "<disk type='vhostuser' device='disk'><driver name='qemu' type='raw'/>"
                "<source type='unix' path='/run/b-vhost.sock'/><target dev='vdb' bus='virtio'/></disk>"
            ),
        ),
        before={
            "hv1": f"{image(SHARED_RAW, 'raw')}; qemu-storage-daemon --daemonize --pidfile /run/b-vhost.pid "
            f"--blockdev driver=file,filename={SHARED_RAW},node-name=image --export type=vhost-user-blk,id=export,"
            "node-name=image,writable=on,addr.type=unix,addr.path=/run/b-vhost.sock"
        },
        after=after(f"kill $(cat /run/b-vhost.pid); rm -rf /run/b-vhost.* {COMMON}"),
    ),
    Case(
        "handed-over-disk",
        "the second disk is a file descriptor that libvirt was given",
        ("disk_fdgroup",),
        before={"hv1": image(SHARED_RAW, "raw")},
        then={
            "hv1": "echo \"<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
            f"<source file='{SHARED_RAW}' fdgroup='b'/><target dev='vdb' bus='virtio'/></disk>\" >/run/b-disk.xml; "
            'virsh -q "dom-fd-associate {name} b --pass-fds 3; attach-device {name} /run/b-disk.xml --live" '
            f"3<>{SHARED_RAW}"
        },
        after=after(f"rm -rf /run/b-disk.xml {COMMON}"),
    ),
)

_JOBS: tuple[Case, ...] = (
    Case(
        "block-copy-running",
        "a copy of the disk has not been ended",
        ("block_job_active",),
        then={
            "hv1": f"mkdir -p {COMMON}; virsh -q blockcopy {{name}} vda {COMMON}/copy --format qcow2 --transient-job"
        },
        after=after(f"rm -rf {COMMON}"),
    ),
    Case(
        "block-commit-waiting",
        "an active commit of an overlay waits for its pivot",
        ("block_job_active",),
        then={
            "hv1": f"mkdir -p {COMMON}; virsh -q snapshot-create-as {{name}} --no-metadata --disk-only --atomic "
            f"--diskspec vda,file={COMMON}/overlay; virsh -q blockcommit {{name}} vda --active"
        },
        after=after(f"rm -rf {COMMON}"),
    ),
    Case(
        "backup-waiting",
        "a backup waits for its client",
        ("backup_job_active",),
        then={
            "hv1": 'echo \'<domainbackup mode="pull"><server transport="unix" socket="/run/b-backup.sock"/>'
            "</domainbackup>' >/run/b-backup.xml; virsh -q backup-begin {name} /run/b-backup.xml"
        },
        after=after("rm -f /run/b-backup.*"),
    ),
    Case(
        "snapshot-inside",
        "a snapshot with the memory, inside the image",
        ("snapshots_present",),
        then={"hv1": "virsh -q snapshot-create-as {name} one"},
        after=after("virsh -q snapshot-delete {name} one --metadata 2>/dev/null"),
    ),
    Case(
        "snapshot-outside",
        "a snapshot of the disk alone, with an overlay",
        ("snapshots_present",),
        then={
            "hv1": f"mkdir -p {COMMON}; virsh -q snapshot-create-as {{name}} one --disk-only --atomic "
            f"--diskspec vda,file={COMMON}/overlay"
        },
        after=after(f"virsh -q snapshot-delete {{name}} one --metadata 2>/dev/null; rm -rf {COMMON}"),
    ),
    Case(
        "checkpoint",
        "a checkpoint, which libvirt does not take along",
        ("checkpoints_present",),
        then={"hv1": "virsh -q checkpoint-create-as {name} one"},
        after=after("virsh -q checkpoint-delete {name} one --metadata 2>/dev/null"),
    ),
    Case(
        "lease-gone-there",
        "a lease in a file that only the source has, and no lock manager on either host",
        ("disk_leases",),
        guest=device(
            f"<lease><lockspace>b</lockspace><key>b</key><target path='{HERE}/lease'/></lease>",
        ),
        before={"hv1": f"mkdir -p {HERE}; truncate -s 1M {HERE}/lease"},
        after=GONE,
    ),
)

CASES: tuple[Case, ...] = (*_COPIES, *_POOLS, *_SERVERS, *_JOBS)
