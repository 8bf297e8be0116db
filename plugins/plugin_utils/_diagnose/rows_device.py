# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses: devices, assigned devices and firmware.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .row import Row

ROWS = (
    Row(
        "dx_blockers",
        category="device",
        layer="libvirt",
        side="source",
        phase="begin",
        role="wrapper",
        first="",
        retry="after_fix",
        cause="QEMU says that something in this guest prevents a migration",
        advice="take away the device or the feature that is named",
        messages=("cannot migrate domain: %s",),
    ),
    Row(
        "dx_nonmigratable_device",
        category="device",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="after_fix",
        cause="The guest has a device whose state QEMU cannot transfer",
        advice="unplug the device, migrate, and plug it in again; or change the device at the next power cycle",
        messages=(
            "State blocked by non-migratable device '%s'",
            "Device %s is not migratable, but --only-migratable was specified",
            "non-migratable device: %s",
        ),
    ),
    Row(
        "dx_shmem",
        category="device",
        layer="libvirt",
        side="source",
        phase="begin",
        role="cause",
        first="source",
        retry="after_fix",
        cause="The guest shares memory with other programs on this host (ivshmem)",
        advice="detach the shared memory device",
        messages=(
            "shmem device '%s' cannot be migrated, only shmem with role='%s' can be migrated",
            "migration with legacy shmem device is not supported",
            "Migration is disabled when using feature 'peer mode' in device 'ivshmem'",
            "'peer' devices are not migratable",
        ),
    ),
    Row(
        "dx_vdagent",
        category="device",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="after_fix",
        cause="The guest has a qemu-vdagent channel, which this QEMU cannot migrate",
        advice="detach the channel, or use a newer QEMU",
        messages=("The vdagent chardev doesn't yet support migration",),
    ),
    Row(
        "dx_virgl",
        category="device",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="no",
        cause="The guest's graphics card has 3D acceleration, which cannot be migrated",
        advice="switch 3D off at the next power cycle",
        messages=("virgl is not yet migratable",),
    ),
    Row(
        "dx_hostdev_refused",
        category="hostdev",
        layer="libvirt",
        side="source",
        phase="begin",
        role="cause",
        first="source",
        retry="after_fix",
        cause="A device of this host is assigned to the guest",
        advice="detach it for the migration, or make it a pair with a virtual NIC (<teaming>)",
        messages=(
            "cannot migrate a domain with <hostdev mode='subsystem' type='%s'>",
            "cannot migrate a domain with <interface type='%s'>",
            "cannot migrate a domain with <hostdev mode='capabilities'>",
            "vDPA devices cannot be migrated",
            "a slirp-helper cannot be migrated",
        ),
    ),
    Row(
        "dx_vfio_not_migratable",
        category="hostdev",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="after_fix",
        cause="An assigned PCI device, its driver or this QEMU does not support migration",
        advice=(
            "unplug the device before the migration; QEMU 8.1 or newer with a driver of the vendor can " "migrate some"
        ),
        messages=(
            "VFIO device doesn't support migration",
            "%s: VFIO migration is not supported in kernel",
            "%s: Migration is currently not supported with vIOMMU enabled",
            "%s: VFIO device doesn't support device and IOMMU dirty tracking",
            "%s: VFIO migration is not supported with postcopy migration",
        ),
    ),
    Row(
        "dx_vfio_map",
        category="hostdev",
        layer="qemu",
        side="destination",
        phase="any",
        role="cause",
        first="here",
        retry="after_fix",
        cause="A host could not lock the guest's memory, for an assigned device, RDMA or zero-copy",
        advice="raise the guest's hard limit or the daemon's LimitMEMLOCK, and make memory free",
        messages=(
            "VFIO_MAP_DMA failed: %s",
            "vfio: DMA mapping failed, unable to continue",
            "cannot limit locked memory of process %lld to %llu",
        ),
    ),
    Row(
        "dx_vfio_group",
        category="hostdev",
        layer="qemu",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="A PCI device cannot be assigned at the destination",
        advice="enable the IOMMU there, and bind all devices of the group to vfio-pci",
        messages=(
            "Please ensure all devices within the iommu_group are bound to their vfio bus driver.",
            "VFIO device assignment is currently not supported on this system",
            "host doesn't support VFIO PCI passthrough",
        ),
    ),
    Row(
        "dx_pci_in_use",
        category="hostdev",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The PCI device or virtual function is in use or not there at the destination",
        advice="choose a free one there, and bring its physical function up",
        messages=(
            "PCI device %s is in use by driver %s, domain %s",
            "PCI device %s is not assignable",
            "Device %s not found: could not access %s",
            "No usable Vf's present on SRIOV PF %s",
            (
                "Unable to configure VF %d of PF '%s' because the PF is not online. Please change host "
                "network config to put the PF online."
            ),
        ),
    ),
    Row(
        "dx_failover_unplug",
        category="hostdev",
        layer="qemu",
        side="source",
        phase="perform",
        role="cause",
        first="source",
        retry="after_fix",
        cause="The pair of a virtual NIC and an assigned device is broken, or the guest did not let go of the device",
        advice="look at the pair's aliases (ua-...) and at the guest's driver, or detach the device by hand",
        messages=(
            "Primary device not found",
            "Device with failover_pair_id needs to have id",
            "Cannot attach more than one primary device to '%s': '%s' and '%s'",
        ),
    ),
    Row(
        "dx_invalid_pci_config",
        category="device",
        layer="qemu",
        side="destination",
        phase="finish",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="A PCI device looks different at the destination: another QEMU, firmware, number of queues or default",
        advice=(
            "compare this device in the command lines of both logs; i is the offset in its configuration "
            "space (0x04 command, 0x34 and above capabilities)"
        ),
        messages=(
            "%s: Bad config data: i=0x%x read: %x device: %x cmask: %x wmask: %x w1cmask:%x",
            "Failed to load PCIDevice:config",
        ),
    ),
    Row(
        "dx_virtqueue_inconsistent",
        category="device",
        layer="qemu",
        side="destination",
        phase="finish",
        role="cause",
        first="destination",
        retry="yes",
        cause=(
            "A device's queue and the guest's memory disagree: a page was lost on the way, or the guest "
            "wrote at that moment"
        ),
        advice="try again once; if it happens again, look at the vhost backend and report it with both logs",
        messages=(
            "VQ %d size 0x%x Guest index 0x%x inconsistent with Host index 0x%x: delta 0x%x",
            "VQ %d size 0x%x < last_avail_idx 0x%x - used_idx 0x%x",
            "VQ %d address 0x0 inconsistent with Host index 0x%x",
            "Guest moved used index from %u to %u",
        ),
    ),
    Row(
        "dx_load_state_error",
        category="device",
        layer="qemu",
        side="destination",
        phase="finish",
        role="wrapper",
        first="",
        retry="after_fix",
        cause="The destination could not load the state of one device; the line before names the reason",
        advice="read the destination's log upwards from this line; compare versions, definitions and machine type",
        messages=(
            "error while loading state for instance 0x%x of device '%s'",
            "error while loading state section id %d(%s)",
            "Failed to load %s:%s",
            "Failed to load device state: %d",
            "Error %d while loading VM state",
        ),
    ),
    Row(
        "dx_unknown_section",
        category="device",
        layer="qemu",
        side="destination",
        phase="perform",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The source has a device that the destination has not, or has elsewhere",
        advice=(
            "look for devices that were plugged in while the guest ran, and for <qemu:commandline>; "
            "compare the addresses in both logs"
        ),
        messages=(
            (
                "Unknown savevm section or instance '%s' %u. Make sure that your current VM setup matches "
                "your saved VM setup, including any hotplugged devices"
            ),
            "Unknown savevm section %d",
            "Unknown savevm section type %d",
        ),
    ),
    Row(
        "dx_ram_size_mismatch",
        category="firmware",
        layer="qemu",
        side="destination",
        phase="perform",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="A memory region has another size at the destination: a ROM or firmware file, video memory or the RAM",
        advice=(
            "the region's name tells: a .rom file means ipxe packages, flash means firmware, pc.ram "
            "means the memory in the definition; make them equal"
        ),
        messages=(
            "Size mismatch: %s: 0x%lx != 0x%lx",
            "Size too large: %s: 0x%lx > 0x%lx",
            "Length mismatch: %s: 0x%lx in != 0x%lx",
        ),
    ),
    Row(
        "dx_chardev",
        category="device",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="A path, address or port of a serial device or channel cannot be used at the destination",
        advice="create the folder, free the port, or change the source of the device",
        messages=(
            "Unable to pre-create chardev file '%s'",
            "Failed to bind socket to %s",
            "Failed to bind socket",
            "Unable to bind to UNIX socket path '%s'",
        ),
    ),
    Row(
        "dx_firmware",
        category="firmware",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="A firmware or ROM file is missing at the destination, or is of another size",
        advice="install the same builds of ovmf, seabios and ipxe on both hosts",
        messages=(
            "loader filename=%s does not exist",
            "unable to find any master var store for loader: %s",
            "Unable to find any firmware to satisfy '%s'",
            "device requires %lu bytes, block backend provides %lu bytes",
            'failed to find romfile "%s"',
            'romfile "%s" (%u bytes) is too large for ROM size %u',
        ),
    ),
    Row(
        "dx_graphics",
        category="device",
        layer="qemu",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause="The address or port of the graphical console cannot be used at the destination",
        advice=(
            "let the port be chosen (autoport) and the address be one that every host has, or allow an "
            "edit of it; install QEMU's SPICE module if it is missing"
        ),
        messages=(
            "binding socket to %s failed",
            "Failed to open SPICE sockets",
            "failed to initialize spice server",
            "-vnc %s: Failed to find an available port",
            "-vnc %s: Failed to bind socket",
        ),
    ),
    Row(
        "dx_path_missing",
        category="device",
        layer="libvirt",
        side="destination",
        phase="prepare",
        role="cause",
        first="destination",
        retry="after_fix",
        cause=(
            "A file, folder, socket or device that the guest uses is not at the destination, is of "
            "another kind there or cannot be made"
        ),
        advice="make it available there under the same path, or take the device away",
        messages=(
            "Could not open '%s': No such file or directory",
            "Unable to open '%s': No such file or directory",
            "unable to stat: %s: No such file or directory",
            "Failed to open file '%s': No such file or directory",
            "failed to open '%s': No such file or directory",
            "can't load %s: Failed to open file",
            "the virtiofs export directory '%s' does not exist",
            "Could not open '%s': Is a directory",
            "driver requires '%s' to be either a character or block device",
            "Failed to create file '%s': %s",
        ),
    ),
)
