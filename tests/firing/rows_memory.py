# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, firmware, and how a migration comes to its end."""

from __future__ import annotations

from collections.abc import Callable

from tests.firing.provocation import Provocation, XmlEdit, device, element, replaced
from tests.lab import api as lab

_POSTCOPY = {"migration": {"postcopy": True}}
_CONF = "/etc/libvirt/qemu.conf"
_RESTART = "/etc/init.d/libvirtd restart"
_MEMORY = "<memory unit='MiB'>32</memory>"
_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
_NVDIMM = (
    "<memory model='nvdimm'><source><path>/var/tmp/nvdimm</path></source>"
    "<target><size unit='MiB'>16</size><node>0</node></target></memory>"
)
_VIRTIO_MEM = (
    "<memory model='virtio-mem'><target><size unit='MiB'>128</size><node>0</node><block unit='MiB'>2</block>"
    "<requested unit='MiB'>64</requested></target></memory>"
)


# The lab's daemons may have 8 MiB locked, and a guest with a hard_limit may lock that much.
_HARD_LIMIT = element("<memtune><hard_limit unit='MiB'>8</hard_limit></memtune>")


def _all(*edits: XmlEdit) -> XmlEdit:
    def edit(xml: str) -> str:
        for each in edits:
            xml = each(xml)
        return xml

    return edit


def _of_mib(mib: int) -> XmlEdit:
    """A paused guest's memory is not there before it is touched."""
    return replaced(_MEMORY, f"<memory unit='MiB'>{mib}</memory>")


def _hotplug() -> XmlEdit:
    """QEMU takes memory devices only with slots and a NUMA cell."""
    return _all(
        replaced(_MEMORY, f"<maxMemory slots='2' unit='GiB'>1</maxMemory>{_MEMORY}"),
        replaced("</model></cpu>", "</model><numa><cell id='0' cpus='0' memory='32' unit='MiB'/></numa></cpu>"),
    )


def _flash(code: str = _CODE, nvram: str = "/var/tmp/vars.fd") -> XmlEdit:
    loader = f"<loader readonly='yes' type='pflash'>{code}</loader>"
    variables = f"<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>{nvram}</nvram>"
    return replaced("hvm</type>", f"hvm</type>{loader}{variables}")


def _fake(path: str, text: str) -> tuple[Callable[[], object], Callable[[], object]]:
    return (lambda: lab.fake("hv2", path, text)), (lambda: lab.unfake("hv2", path))


# A group of the guests' name in the host's own group, seen by the host as by a container that has groups of its own.
_PARTITION = """\
G=$(awk -F: '$2 == "memory" {print $3}' /proc/self/cgroup); M=/sys/fs/cgroup/memory
[ -n "$G" ] || { G=$(awk -F: '$2 == "" {print $3}' /proc/self/cgroup); M=/sys/fs/cgroup; }
mount --bind "$M$G" $M; mount -o remount,bind,rw $M; mkdir $M/machine
for limit in $M/machine/memory.limit_in_bytes $M/machine/memory.max; do [ ! -e $limit ] || echo 209715200 > $limit; done
"""
_NO_PARTITION = """\
for M in /sys/fs/cgroup/memory /sys/fs/cgroup; do [ ! -d $M/machine ] || { rmdir $M/machine; umount $M; }; done
"""


def _limit_partition() -> None:
    lab.limit("hv2", memory_mib=2048)
    lab.exec_on("hv2", ["sh", "-ec", _PARTITION], check=True)


def _free_partition() -> None:
    lab.exec_on("hv2", ["sh", "-ec", _NO_PARTITION], check=True)
    lab.unlimit("hv2")


_OVERCOMMIT = _fake("/proc/sys/vm/overcommit_memory", "2")
_THP = _fake("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never")
_PRESSURE = _fake(
    "/proc/pressure/memory",
    "some avg10=60.00 avg60=41.20 avg300=20.00 total=90000000\n"
    "full avg10=40.00 avg60=31.40 avg300=12.00 total=60000000",
)

ROWS: tuple[Provocation, ...] = (
    Provocation(
        "mem_capacity_dest",
        "a destination that a control group limits to 256 MiB",
        "expected 281 MiB for domain plain",
        act=lambda: lab.limit("hv2", memory_mib=256),
        undo=lambda: lab.unlimit("hv2"),
    ),
    Provocation(
        "mem_overcommit_policy",
        "a destination whose kernel does not overcommit (faked), and a guest of 20000 MiB",
        "since vm.overcommit_memory is 2",
        guest=_of_mib(20000),
        act=_OVERCOMMIT[0],
        undo=_OVERCOMMIT[1],
        faked=True,
    ),
    Provocation(
        "mem_cgroup_slice_limit",
        "a control group for guests at the destination that is limited to 200 MiB",
        "Memory limit of machine on hv2: 200 of 200 MiB left; expected 281 MiB",
        act=_limit_partition,
        undo=_free_partition,
    ),
    Provocation(
        "mem_hard_limit_overhead",
        "a guest with a hard_limit of 8 MiB",
        "hard_limit is 8 MiB",
        guest=_HARD_LIMIT,
    ),
    Provocation(
        "mem_locked_limit",
        "a guest with a hard_limit of 8 MiB, and a daemon that may let 4 MiB be locked and cannot raise that",
        "libvirt on hv2 may lock 4 MiB and cannot raise that",
        guest=_HARD_LIMIT,
        before={"hv2": "prlimit --pid $(cat /run/libvirtd.pid) --memlock=4194304:4194304"},
        after={"hv2": _RESTART},
    ),
    Provocation(
        "mem_numatune_capacity",
        "a guest whose 20000 MiB are strictly bound to NUMA node 0",
        "expected 20000 MiB, to which domain p-mem-numatune-capacity is strictly bound",
        guest=_all(_of_mib(20000), element("<numatune><memory mode='strict' nodeset='0'/></numatune>")),
    ),
    Provocation(
        "mem_numad_auto",
        "a guest with automatic placement, and a destination without numad",
        "it is automatic, and hv2 has no numad",
        guest=replaced("<vcpu>1</vcpu>", "<vcpu placement='auto'>1</vcpu>"),
        before={"hv2": "mv /usr/bin/numad /usr/bin/numad.away"},
        after={"hv2": "mv /usr/bin/numad.away /usr/bin/numad"},
    ),
    Provocation(
        "mem_backing_file",
        "a guest whose memory is in files, and 8 MiB for them at the destination",
        "8 MiB free",
        guest=element("<memoryBacking><source type='file'/></memoryBacking>"),
        before={"hv2": "mount -t tmpfs -o size=8m tmpfs /var/lib/libvirt/qemu/ram"},
        after={"hv2": "umount /var/lib/libvirt/qemu/ram"},
    ),
    Provocation(
        "mem_nvdimm_pmem",
        "an NVDIMM in a file that only the source has",
        "there is no /var/tmp/nvdimm on hv2",
        guest=_all(_hotplug(), device(_NVDIMM)),
        before={"hv1": "truncate -s 16M /var/tmp/nvdimm"},
        after={"hv1": "rm -f /var/tmp/nvdimm"},
    ),
    Provocation(
        "mem_virtio_mem",
        "a paused guest that was asked to take 64 MiB of virtio-mem",
        "the guest has taken 0 of 65536 KiB",
        guest=_all(_hotplug(), device(_VIRTIO_MEM)),
    ),
    Provocation(
        "mem_thp_parity",
        "other transparent huge pages at the destination (faked)",
        "Transparent huge pages of hv2: always",
        act=_THP[0],
        undo=_THP[1],
        faked=True,
    ),
    Provocation(
        "fw_loader_present",
        "a guest on UEFI firmware that only the source has",
        "there is no /var/tmp/CODE.fd on hv2",
        guest=_flash("/var/tmp/CODE.fd"),
        before={"hv1": f"cp {_CODE} /var/tmp/CODE.fd"},
        after={"hv1": "rm -f /var/tmp/CODE.fd /var/tmp/vars.fd"},
    ),
    Provocation(
        "fw_pflash_size_equal",
        "a guest on UEFI firmware of which the destination has a build of another size",
        "/var/tmp/CODE.fd has 2097152 bytes on hv2",
        guest=_flash("/var/tmp/CODE.fd"),
        before={"hv1": f"cp {_CODE} /var/tmp/CODE.fd", "hv2": "truncate -s 2M /var/tmp/CODE.fd"},
        after={"hv1": "rm -f /var/tmp/CODE.fd /var/tmp/vars.fd", "hv2": "rm -f /var/tmp/CODE.fd"},
    ),
    Provocation(
        "fw_nvram_template_or_dir",
        "a guest whose firmware variables are in a folder that only the source has",
        "there is no folder /var/tmp/nvram on hv2",
        guest=_flash(nvram="/var/tmp/nvram/vars.fd"),
        before={"hv1": "mkdir -p /var/tmp/nvram"},
        after={"hv1": "rm -rf /var/tmp/nvram"},
    ),
    Provocation(
        "fw_option_rom_size",
        "a bigger option ROM for virtio NICs at the destination",
        "efi-virtio.rom has 614400 bytes on hv2",
        before={"hv2": "truncate -s 600K /usr/share/qemu/efi-virtio.rom"},
        after={"hv2": "truncate -s 262144 /usr/share/qemu/efi-virtio.rom"},
    ),
    Provocation(
        "fw_custom_rom_file",
        "a NIC with a ROM that only the source has",
        "there is no /var/tmp/nic.rom on hv2",
        guest=replaced(
            "<model type='virtio'/></interface>", "<model type='virtio'/><rom file='/var/tmp/nic.rom'/></interface>"
        ),
        before={"hv1": "cp /usr/share/qemu/efi-virtio.rom /var/tmp/nic.rom"},
        after={"hv1": "rm -f /var/tmp/nic.rom"},
    ),
    Provocation(
        "fw_seabios_size",
        "a BIOS of another size at the destination",
        "bios-256k.bin has 131072 bytes on hv2",
        before={"hv2": "cd /usr/share/seabios; cp bios-256k.bin kept; truncate -s 128K bios-256k.bin"},
        after={"hv2": "cd /usr/share/seabios; mv kept bios-256k.bin"},
    ),
    Provocation(
        "fw_direct_kernel_boot",
        "a guest that is started with a kernel that only the source has",
        "there is no /var/tmp/vmlinuz on hv2",
        guest=replaced("<kernel>/srv/shared/boot/vmlinuz</kernel>", "<kernel>/var/tmp/vmlinuz</kernel>"),
        before={"hv1": "cp /srv/shared/boot/vmlinuz /var/tmp/vmlinuz"},
        after={"hv1": "rm -f /var/tmp/vmlinuz"},
    ),
    Provocation(
        "conv_postcopy_available",
        "post-copy to a host whose QEMU has no privileges, and gets no /dev/userfaultfd without a mount namespace",
        "and nothing else lets it have /dev/userfaultfd, which libvirt does not hand to QEMU",
        before={"hv2": f'cp {_CONF} /run/kept.conf; sed -i \'s/"root"/"libvirt-qemu"/\' {_CONF}; {_RESTART}'},
        after={"hv2": f"cp /run/kept.conf {_CONF}; rm /run/kept.conf; {_RESTART}"},
        policy=_POSTCOPY,
    ),
    Provocation(
        "conv_postcopy_blockers",
        "post-copy of a guest with an NVDIMM",
        "is an NVDIMM, which QEMU refuses",
        guest=_all(_hotplug(), device(_NVDIMM)),
        before={"hv1": "truncate -s 16M /var/tmp/nvdimm"},
        after={"hv1": "rm -f /var/tmp/nvdimm"},
        policy=_POSTCOPY,
    ),
    Provocation(
        "conv_postcopy_recovery",
        "post-copy to the lab's libvirt 11.3",
        "11.3.0, whose daemon dies when post-copy is resumed",
        policy=_POSTCOPY,
    ),
    Provocation(
        "conv_autoconverge_impact",
        "auto-converge of a guest with a real-time vCPU",
        "they run in real time",
        guest=element("<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>"),
        policy={"migration": {"auto_converge": True}},
    ),
    Provocation(
        "conv_tls_rekey",
        "20000 MiB of memory over TLS with QEMU 10.0",
        "may crash when TLS changes its keys",
        guest=_of_mib(20000),
        policy={"tls": "required"},
    ),
    Provocation(
        "host_load",
        "a destination that is short of memory (faked)",
        "in 31.4 % of the last minute nothing went on",
        act=_PRESSURE[0],
        undo=_PRESSURE[1],
        faked=True,
    ),
)
