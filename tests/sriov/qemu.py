# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines' QEMU: command lines, pure."""

from __future__ import annotations

from tests.lab.hosts import Host
from tests.sriov.hosts import management_mac, pf_mac

PROGRAM = "qemu-system-x86_64"
# Inside the root in which QEMU runs: the state of the lab, and the cached images.
STATE_INSIDE = "/mnt"
IMAGES_INSIDE = "/media"
BASE = "base.ext4"
KERNEL = "vmlinuz"

# Mounts in a mount namespace of their own, on the cached root: to the machine nothing is mounted. $1: root, $2: state,
# $3: images, then the command.
ENTER_ROOT = (
    f'mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount --bind "$2" "$1{STATE_INSIDE}" && '
    f'mount --bind "$3" "$1{IMAGES_INSIDE}" && root=$1 && shift 3 && exec chroot "$root" "$@"'
)

# no_timer_check and tsc=reliable: under TCG the kernel's own checks of its timers fail now and then.
CMDLINE = (
    "console=ttyS0 quiet loglevel=4 net.ifnames=0 intel_iommu=on iommu=pt mitigations=off "
    "no_timer_check tsc=reliable nokaslr random.trust_cpu=on panic=-1"
)


def in_root(root: str, state: str, images: str, argv: list[str]) -> list[str]:
    """argv as a command inside a cached root, which sees the state and the images."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER_ROOT, "sh", root, state, images, *argv]


def disk_name(host: Host) -> str:
    return f"{host.name}.qcow2"


def console_name(host: Host) -> str:
    return f"{host.name}.console"


def pid_name(host: Host) -> str:
    return f"{host.name}.pid"


def monitor_name(host: Host) -> str:
    return f"{host.name}.qmp"


def initrd_name(host: Host) -> str:
    return f"{host.name}.cpio"


def management_tap(host: Host) -> str:
    return f"mgmt-{host.name}"


def wire_tap(host: Host) -> str:
    return f"wire-{host.name}"


def create_disk(host: Host) -> list[str]:
    """The machine's own disk over the image that all share."""
    backing = f"{IMAGES_INSIDE}/{BASE}"
    return ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing, f"{STATE_INSIDE}/{disk_name(host)}"]


def command(host: Host, memory_mib: int, cpus: int = 2) -> list[str]:
    """QEMU of one machine. It ends with 0 once the machine runs in the background, else it says why not.

    -cpu max: TCG then emulates AMD's SVM with nested paging, so that guests inside run as domain type kvm, eight times
    as fast as in a TCG inside TCG. -no-reboot with panic=-1: a kernel that panics ends its QEMU.
    """
    state = STATE_INSIDE
    return [
        *(PROGRAM, "-name", f"guest={host.name}", "-uuid", host.uuid, "-daemonize"),
        *("-pidfile", f"{state}/{pid_name(host)}"),
        *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", str(cpus), "-m", f"{memory_mib}M"),
        *("-machine", "q35,kernel-irqchip=split", "-device", "intel-iommu,intremap=on"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", f"{IMAGES_INSIDE}/{KERNEL}", "-initrd", f"{state}/{initrd_name(host)}", "-append", CMDLINE),
        *("-serial", f"file:{state}/{console_name(host)}"),
        *("-qmp", f"unix:{state}/{monitor_name(host)},server=on,wait=off"),
        *("-drive", f"if=none,id=disk,file={state}/{disk_name(host)},format=qcow2,cache=unsafe,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *_tap("management", management_tap(host)),
        *("-device", f"virtio-net-pci,netdev=management,mac={management_mac(host)},romfile="),
        # behind a root port: SR-IOV needs PCI Express, and so the PF is on bus 1
        *("-device", "pcie-root-port,id=rp1,chassis=1,slot=1"),
        *_tap("wire", wire_tap(host)),
        *("-device", f"igb,id=pf,bus=rp1,netdev=wire,mac={pf_mac(host)},romfile="),
    ]


def _tap(name: str, interface: str) -> list[str]:
    return ["-netdev", f"tap,id={name},ifname={interface},script=no,downscript=no"]


def make_filesystem(size_mib: int, root: str = "/media", target: str = f"/mnt/{BASE}") -> list[str]:
    """mke2fs that fills the file system from a folder."""
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0", "-L", "livemig"]
    return ["mke2fs", *options, "-d", root, target, f"{size_mib}M"]
