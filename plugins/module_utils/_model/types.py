# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data types of the hallway: what one room hands to the next, as plain JSON.

The types are ``TypedDict`` and not classes, because the data crosses processes, hosts and Ansible's variables on its
way and stays a dictionary all along. docs/data-types.md describes them for people; ``schema`` changes whenever a key
changes its meaning or disappears.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .outcomes import Forecast
from .way import MoveProfile, Way

SCHEMA = 1

POLICY_URI = "urn:livemig:policy:1"
"""XML namespace of the user's own label in a domain's metadata. We read it and never write it."""

EDITS = ("bridge", "cpuset", "emulator", "listen", "medium", "network", "parent")
"""Kinds of Edit. bridge, network, parent: what a NIC is attached to (parent: of a macvtap); listen: an address of a
graphical console; cpuset: CPUs that vCPUs, emulator or I/O threads are pinned to; medium: what is in a drive."""

LEVELS = ("silence", "info", "warning", "error")
"""What a user can set a check to. Only ``error`` rules a move out, and then an unknown does too."""

Severity = t.Literal["error", "warning", "info"]
Status = t.Literal["fail", "unknown", "edited", "silenced"]
Scope = t.Literal["domain", "host", "link", "pair"]


class Unknown(t.TypedDict):
    """A fact that could not be read, and why."""

    fact: str
    reason: str


class BlockLeaf(t.TypedDict):
    """A device at the bottom of a block device; the paths of a multipath device are one.

    ``ids``: its names as ``naa.``, ``eui.``, ``uuid.`` and others; ``transport``: how it is attached, None where sysfs
    does not show it; ``part``: first sector and number of sectors as ``2048+1024``, "" for all of it; ``backing``: the
    file of a loop device, as the kernel names it.
    """

    kernel: str
    kind: str
    transport: str | None
    ids: list[str]
    part: str
    backing: str | None


class DrbdState(t.TypedDict):
    """A DRBD device as the host ``node`` has it; ``peers``: name, connection, role and disk of each, as DRBD writes
    them.

    ``resource`` and ``two_primaries`` (whether it may be opened for writing on both) are None where DRBD 8 runs.
    """

    node: str
    resource: str | None
    volume: int
    role: str
    disk: str
    peers: list[dict[str, str]]
    two_primaries: bool | None


class BlockDevice(t.TypedDict):
    """``kind``: lvm, multipath, crypt, dm, md, loop, drbd, rbd, nbd, zvol, ram, cdrom, floppy or disk.

    ``own``: a name of its own, beside those of what it lies on: LVM's UUID, a LUKS UUID, an array's, a Ceph image;
    ``layer``: thin, snapshot, cache or vdo, what an LVM volume goes through; ``paths``: running and total, None where
    it has none; ``sector``: logical size in bytes.
    """

    kernel: str
    kind: str
    own: str | None
    bytes: int
    sector: int
    readonly: bool
    layer: str | None
    leaves: list[BlockLeaf]
    paths: dict[str, int] | None
    drbd: DrbdState | None


class PathIdentity(t.TypedDict, total=False):
    """What one host knows of one path. ``mount_*`` come from ``/proc/self/mountinfo``; sizes are bytes.

    ``relative`` is the path below the root of the mounted file system, so that two hosts which mount the same export
    at different places can still be compared. ``mount_options``: of network file systems, the rest is left empty.
    ``read_only``: its file system is mounted so.
    ``fs_size``, ``fs_free``: of the file system, for those without privileges; ``allocated``: what the file takes of
    it. ``block``: of block devices; ``label``: the identities in its first sectors (see blockdev.label);
    ``read_error``: why these cannot be read, None where they can; ``loop_file``: of a loop device.
    ``unknown`` is there only where one of the facts could not be read.
    """

    path: str
    exists: bool
    kind: str
    inode: int
    size: int
    fs_type: str
    mount_source: str
    relative: str
    declared_shared: bool
    mount_options: list[str]
    read_only: bool
    fs_size: int
    fs_free: int
    allocated: int
    block: BlockDevice
    label: str
    read_error: str | None
    loop_file: PathIdentity | None
    unknown: list[Unknown]


class Layer(t.TypedDict, total=False):
    """One image below a disk's own in its backing chain. ``layer`` counts from 1, right below the disk's own."""

    layer: int
    type: str
    path: str | None
    protocol: str | None
    hosts: list[str]
    format: str | None
    identity: PathIdentity


class Disk(t.TypedDict, total=False):
    """``backing``: the chain of images below the disk's own, from the top down; empty where there is none."""

    target: str
    device: str
    type: str
    path: str | None
    protocol: str | None
    hosts: list[str]
    format: str | None
    cache: str
    readonly: bool
    shareable: bool
    transient: bool
    startup_policy: str
    block_job: bool | None
    capacity: int | None
    allocation: int | None
    backing: list[Layer]
    identity: PathIdentity
    more: dict[str, t.Any]


class Interface(t.TypedDict, total=False):
    mac: str
    type: str
    source: str
    virtualport: str | None
    target: str | None
    link: str
    teaming: str | None
    more: dict[str, t.Any]


class Hostdev(t.TypedDict, total=False):
    type: str
    mode: str
    description: str
    teaming: str | None
    more: dict[str, t.Any]


class DomainSnapshot(t.TypedDict, total=False):
    """One domain as its host sees it. ``memory_mib`` is the maximum, not the balloon's current size.

    ``resident_mib``: of QEMU, None where it does not run; ``dirty_mib_s``: how fast it writes, None where that was not
    sampled.
    """

    schema: int
    kind: str
    host: str
    name: str
    uuid: str
    state: str
    state_reason: int
    persistent: bool
    autostart: bool
    managed_save: bool
    snapshots: int
    checkpoints: int
    control: dict[str, t.Any] | None
    messages: list[str] | None
    agent: dict[str, t.Any]
    job: str
    job_operation: str | None
    memory_mib: int
    resident_mib: int | None
    dirty_mib_s: int | None
    vcpus: int
    hugepages: bool
    arch: str
    machine: str
    virt_type: str
    emulator: str
    cpu_xml: str | None
    disks: list[Disk]
    interfaces: list[Interface]
    hostdevs: list[Hostdev]
    devices: dict[str, list[dict[str, t.Any]]]
    lists: dict[str, list[t.Any]]
    settings: dict[str, dict[str, t.Any]]
    boot_files: list[dict[str, t.Any]]
    label: str | None
    unknown: list[Unknown]


class Certificate(t.TypedDict, total=False):
    """A certificate on a host. ``not_after`` and ``not_before`` are Unix seconds."""

    path: str
    exists: bool
    issuer: str
    not_before: int
    not_after: int
    names: list[str]


class Emulator(t.TypedDict):
    path: str
    arch: str
    virt_types: list[str]
    machines: list[str]


class Network(t.TypedDict):
    name: str
    active: bool
    bridge: str | None


class KnownDomain(t.TypedDict):
    name: str
    uuid: str
    active: bool


class HostMemory(t.TypedDict):
    total_mib: int
    available_mib: int


class MigrationPorts(t.TypedDict):
    first: int
    last: int
    in_use: int


class HostSnapshot(t.TypedDict, total=False):
    """One hypervisor. Versions are libvirt's integers: major * 1000000 + minor * 1000 + release."""

    schema: int
    kind: str
    name: str
    hostname: str
    uuid: str
    libvirt_version: int
    qemu_version: int
    kernel: str
    arch: str
    time: int
    memory: HostMemory
    emulators: list[Emulator]
    networks: list[Network]
    bridges: list[str]
    domains: list[KnownDomain]
    migration_ports: MigrationPorts
    shared_filesystems: list[str]
    tls: dict[str, Certificate]
    config: dict[str, t.Any]
    cpu: dict[str, t.Any]
    daemon: dict[str, t.Any]
    firmware: dict[str, t.Any]
    net: dict[str, t.Any]
    nodedevs: dict[str, t.Any]
    pools: dict[str, t.Any]
    qemu: dict[str, t.Any]
    ram: dict[str, t.Any]
    security: dict[str, t.Any]
    storage: dict[str, t.Any]
    system: dict[str, t.Any]
    unknown: list[Unknown]


class Question(t.TypedDict, total=False):
    """Something preflight must ask of one host. ``key`` is its identity, ``ask`` the kind, listed in docs/facts.md."""

    key: str
    ask: str
    path: str
    uri: str
    emulator: str
    arch: str
    machine: str
    virt_type: str
    cpu_xml: str
    value: t.Any


Answer = dict[str, t.Any]
"""``cpu``: result, reason; ``path``: a PathIdentity; ``peer``: ok, reason, uuid; docs/facts.md has the others. Or
``error``: not answered."""

Answers = dict[str, dict[str, Answer]]
"""host name -> question key -> answer."""


class Edit(t.TypedDict):
    """One change of the host side of a definition, applied when the domain goes to the destination: never XML.

    ``kind``: one of EDITS. Wherever the definition has ``old`` there,
    it gets ``new``; None takes it away. ``item``: the device that is meant, None for every one with ``old``.
    """

    kind: str
    item: str | None
    old: str
    new: str | None


class Control(t.TypedDict):
    """What a user has decided about a check: for which hosts and domains (by UUID; None: all of them), and why.

    ``set``: one of LEVELS.
    """

    check: str
    set: str
    reason: str
    hosts: list[str] | None
    domains: list[str] | None


class Decision(t.TypedDict):
    """What a user has decided about a finding, and why. ``was``: the severity that the check gave it."""

    set: str
    was: str
    reason: str


class Finding(t.TypedDict):
    """One check that did not pass. ``blocks`` says whether the move it speaks of is ruled out.

    ``edit``: the change of the definition that solves it, or would if it were allowed; ``decision``: what the user
    has made of it.
    """

    schema: int
    check: str
    category: str
    severity: Severity
    status: Status
    scope: Scope
    domain: str | None
    source: str | None
    destination: str | None
    blocks: bool
    message: str
    value: str
    expected: str
    remedy: str
    evidence: str
    edit: Edit | None
    decision: Decision | None


class Move(t.TypedDict):
    """One domain's way. ``requires`` is what the plan counted on at the destination, for people; right before the start
    the last look works it out anew from what both hosts then say. ``forecast`` is made anew then, too, from what the
    plan's knew of guest and link; None for a guest that does not run."""

    domain: str
    uuid: str
    source: str
    destination: str
    destination_uri: str
    migrate_uri: str
    persistent: bool
    autostart: bool
    memory_mib: int
    requires: dict[str, int]
    edits: list[Edit]
    controls: list[Control]
    way: Way
    profile: MoveProfile
    forecast: Forecast | None


class Stay(t.TypedDict):
    domain: str
    uuid: str
    source: str
    state: str
    reasons: list[Finding]


class Plan(t.TypedDict):
    schema: int
    kind: str
    digest: str
    tls: str
    sources: list[str]
    destinations: list[str]
    moves: list[Move]
    stays: list[Stay]
