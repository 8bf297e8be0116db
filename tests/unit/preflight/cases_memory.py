# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of memory, firmware and convergence."""

from __future__ import annotations

import typing as t

from tests.unit.preflight.case import Case, Edit, both, device, fact, listed, migration, put
from tests.unit.preflight.scene import Scene

_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
_VARS = "/var/lib/libvirt/qemu/nvram/web1_VARS.fd"
_TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"
_KERNEL = "/srv/shared/boot/vmlinuz"
_ROM = "/srv/roms/nic.rom"
_SIZE = 3653632
_BACKING = "settings.memory_backing"
_NODE_XML = "libvirt's formatdomain.html, numatune"
_PSI = "Documentation/accounting/psi.rst of Linux"


def _capacity(short_mib: int) -> Edit:
    """web1 has 256 MiB and 2 vCPUs: 256 + 240 + 2 * 8 + 6 (2 %, rounded up)."""
    return put("destination", memory={"total_mib": 1000, "available_mib": 518 - short_mib})


def _there(name: str, value: t.Any) -> Edit:
    return fact("destination", f"ram.{name}", value)


def _huge(size: str | None, free: int) -> Edit:
    """256 MiB on huge pages of one size, bound to node 0; so many of 2 MiB are free there, and more elsewhere."""
    page = [{"name": "page1", "size": size, "unit": "KiB", "nodeset": None}] if size else []
    cells = [
        {"id": 0, "free_mib": 9000, "pages": [{"size_kib": 2048, "free": free}]},
        {"id": 1, "free_mib": 9000, "pages": [{"size_kib": 2048, "free": 4000}]},
    ]
    return both(
        fact("domain", f"{_BACKING}.hugepages", True),
        fact("domain", "lists.hugepages", page),
        _bound("0"),
        _there("cells", cells),
    )


def _bound(nodeset: str, mode: str | None = "strict") -> Edit:
    return both(fact("domain", "settings.numatune.nodeset", nodeset), fact("domain", "settings.numatune.mode", mode))


def _mounts(*sizes: int) -> Edit:
    return _there("hugetlbfs", [{"path": f"/dev/huge{size}", "size_kib": size} for size in sizes])


def _partition(used_mib: int) -> Edit:
    return _there("groups", [{"path": "machine.slice", "limit_mib": 1000, "used_mib": used_mib}])


def _hard_limit(kib: int) -> Edit:
    return both(
        fact("domain", "settings.memtune.hard_limit", str(kib)),
        fact("domain", "settings.memtune.hard_limit_unit", "KiB"),
    )


def _cell_available(mib: int) -> Edit:
    return both(_bound("0"), _there("cells_available", [{"id": 0, "available_mib": mib}]))


def _backing(free_mib: int) -> Edit:
    folder = {"path": "/var/lib/libvirt/qemu/ram", "exists": True, "free_mib": free_mib}
    return both(fact("domain", f"{_BACKING}.source", "file"), _there("backing", folder))


def _path(path: str, exists: bool, size: int = _SIZE) -> Edit:
    answer = {"path": path, "exists": exists, **({"kind": "file", "size": size} if exists else {})}
    return lambda scene: scene.answers["hv2"].update({f"path:{path}": answer})


def _file(path: str, size: int = _SIZE) -> Edit:
    return lambda scene: scene.domain["boot_files"].append({"path": path, "size": size})


def _loader(exists: bool, size: int = _SIZE) -> Edit:
    return both(fact("domain", "settings.os.loader", _CODE), _file(_CODE), _path(_CODE, exists, size))


def _nvram(path: str, folder: bool, template: bool) -> Edit:
    return both(
        fact("domain", "settings.os.nvram", path),
        fact("domain", "settings.os.nvram_template", _TEMPLATE),
        _file(path),
        _path(path, False),
        _path(path.rpartition("/")[0], folder),
        _path(_TEMPLATE, template),
    )


def _roms(**sizes: int | None) -> Edit:
    """Sizes of the destination's ROMs, by the names without dashes and dots."""

    def edit(scene: Scene) -> None:
        roms = scene.destination["firmware"]["roms"]
        for name in list(roms):
            short = name.partition(".")[0].replace("-", "_")
            if short in sizes:
                if sizes[short] is None:
                    del roms[name]
                else:
                    roms[name] = sizes[short]

    return edit


def _custom_rom(exists: bool, size: int) -> Edit:
    return both(fact("domain", "lists.roms", [_ROM]), _file(_ROM, 200000), _path(_ROM, exists, size))


def _pmem(path_there: bool) -> Edit:
    return both(
        device("memories", model="nvdimm", path="/srv/pmem/web1"),
        _path("/srv/pmem/web1", path_there),
    )


def _sized(mib: int) -> Edit:
    return both(fact("domain", "settings.memory.memory", str(mib)), fact("domain", "settings.memory.unit", "MiB"))


def _uffd(device_there: bool, unprivileged: int = 0) -> Edit:
    """QEMU without privileges; the recorded libvirt does not hand it the device."""
    kernel = {"unprivileged": unprivileged, "device": device_there, "open": False}
    return both(migration(postcopy=True), _there("qemu_user", 64055), _there("userfaultfd", kernel))


_POSTCOPY = migration(postcopy=True)

CASES: dict[str, Case] = {
    "mem_capacity_dest": Case(_capacity(1), "517 MiB available; expected 518 MiB", _capacity(0)),
    "mem_overcommit_policy": Case(
        _there("overcommit", {"mode": 2, "left_mib": 517}),
        "517 MiB, since vm.overcommit_memory is 2; expected 518 MiB",
        _there("overcommit", {"mode": 2, "left_mib": 518}),
    ),
    "mem_cgroup_slice_limit": Case(
        _partition(483),
        "Memory limit of machine.slice on hv2: 517 of 1000 MiB left; expected 518 MiB",
        _partition(482),
    ),
    "mem_source_swapped": Case(
        fact("source", "ram.swapped", {"web1": 13}),
        "13 of 256 MiB are in swap",
        fact("source", "ram.swapped", {"web1": 12, "web2": 200}),
        blocks=False,
    ),
    "mem_locked_limit": Case(
        fact("domain", f"{_BACKING}.locked", True),
        "libvirt on hv2 may lock 8 MiB and cannot raise that; expected no limit",
        both(fact("domain", f"{_BACKING}.locked", True), _there("memlock", {"limit_mib": 8, "raises": True})),
    ),
    "mem_hard_limit_overhead": Case(
        _hard_limit(517 * 1024), "hard_limit is 517 MiB; expected 518 MiB", _hard_limit(518 * 1024), blocks=False
    ),
    "mem_hugepages_mount": Case(
        both(_huge("1048576", 9), _mounts(2048)),
        "Mounts of huge pages on hv2: 2048 KiB; expected one for pages of 1048576 KiB",
        both(_huge(None, 9), _mounts(2048)),
    ),
    "mem_hugepages_free": Case(
        _huge("2048", 127),
        "127 free of 2048 KiB each on NUMA nodes 0; expected 128 for domain web1",
        _huge("2048", 128),
    ),
    "mem_hugepage_size_parity": Case(
        both(_POSTCOPY, _there("page_kib", 64)),
        "Memory pages of hv2: 64 KiB; expected 4 KiB, as on hv1",
        _there("page_kib", 64),
    ),
    "mem_numatune_nodes_exist": Case(_bound("0-1"), "hv2 has no node 1", _bound("0-1,^1"), documented=_NODE_XML),
    "mem_numatune_capacity": Case(
        _cell_available(255), "255 MiB available; expected 256 MiB, to which domain web1", _cell_available(256)
    ),
    "mem_numad_auto": Case(
        both(fact("domain", "settings.vcpu.placement", "auto"), _there("numad", False)),
        "hv2 has no numad",
        both(fact("domain", "settings.vcpu.placement", "static"), _there("numad", False)),
    ),
    "mem_backing_file": Case(_backing(255), "255 MiB free; expected 256 MiB", _backing(256)),
    "mem_dimm_addresses": Case(
        device("memories", model="dimm", slot="0"),
        "libvirt names no base of it",
        device("memories", model="dimm", slot="0", base="0x100000000"),
        documented="qemuMigrationSrcIsAllowed in libvirt's src/qemu/qemu_migration.c",
    ),
    "mem_nvdimm_pmem": Case(_pmem(False), "there is no /srv/pmem/web1 on hv2", _pmem(True)),
    "mem_virtio_mem": Case(
        device("memories", model="virtio-mem", requested="65536", current="2048"),
        "the guest has taken 2048 of 65536 KiB",
        device("memories", model="virtio-mem", requested="65536", current="65536"),
        blocks=False,
    ),
    "mem_sgx_epc": Case(
        device("memories", model="sgx-epc"),
        "it is SGX memory",
        device("memories", model="dimm", slot="0", base="0x100000000"),
        documented="libvirt's formatdomain.html, memory devices",
    ),
    "mem_thp_parity": Case(
        _there("thp", "always"), "always; expected madvise, as on hv1", _there("thp", "madvise"), blocks=False
    ),
    "fw_loader_present": Case(_loader(False), f"there is no {_CODE} on hv2", _loader(True, 4)),
    "fw_pflash_size_equal": Case(_loader(True, 2097152), f"{_CODE} has 2097152 bytes on hv2", _loader(True)),
    "fw_nvram_template_or_dir": Case(
        _nvram("/srv/nvram/web1.fd", folder=False, template=True),
        "there is no folder /srv/nvram on hv2",
        _nvram(_VARS, folder=False, template=True),
    ),
    "fw_option_rom_size": Case(
        _roms(efi_virtio=262145), "efi-virtio.rom has 262145 bytes on hv2", _roms(efi_virtio=131073, efi_e1000=1)
    ),
    "fw_custom_rom_file": Case(_custom_rom(True, 262145), f"{_ROM} has 262145 bytes on hv2", _custom_rom(True, 262144)),
    "fw_seabios_size": Case(_roms(bios_256k=131072), "bios-256k.bin has 131072 bytes on hv2", _roms(bios=None)),
    "fw_direct_kernel_boot": Case(
        _path(_KERNEL, False), f"there is no {_KERNEL} on hv2", _path(_KERNEL, True, 11737024)
    ),
    "conv_postcopy_available": Case(
        _uffd(True),
        "QEMU runs as user 64055, vm.unprivileged_userfaultfd is 0",
        both(_uffd(True), _there("hands_over_userfaultfd", True)),
    ),
    "conv_postcopy_blockers": Case(
        both(_POSTCOPY, device("memories", model="nvdimm")),
        "is an NVDIMM, which QEMU refuses",
        device("memories", model="nvdimm"),
    ),
    "conv_postcopy_recovery": Case(
        _POSTCOPY,
        "libvirt of hv2: 11.3.0",
        both(_POSTCOPY, put("destination", libvirt_version=11004000)),
        blocks=False,
    ),
    "conv_autoconverge_impact": Case(
        both(migration(auto_converge=True), listed("vcpuscheds", scheduler="fifo", vcpus="0")),
        "vCPUs 0 of domain web1: they run in real time",
        both(migration(auto_converge=True), listed("vcpuscheds", scheduler="idle", vcpus="0")),
        blocks=False,
    ),
    "conv_tls_rekey": Case(
        _sized(16384),
        "it has 16 GiB of memory or more",
        both(_sized(16384), migration(parallel=4)),
        blocks=False,
    ),
    "host_load": Case(
        _there("pressure", 10.0), "in 10.0 % of the last minute", _there("pressure", 9.9), blocks=False, documented=_PSI
    ),
}
