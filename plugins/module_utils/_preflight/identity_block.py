# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two hosts see the same block device. Both "same" and "different" need positive proof.

What proves what:

- A name that the vendor or the target made unique in the world, equal on both: the same LUN; unless the disk is
  attached to the host alone (then the name is not unique), or the first sectors name another partition table, volume
  group or file system. Different names of one family: different LUNs.
- LVM's, LUKS' and the kernel's names of stacked devices are copied when a disk is cloned. Equal ones prove nothing
  without what lies below; different volume groups are different ones.
- A loop device is the file behind it.
- First sectors that are equal prove nothing: a clone has them. That they differ proves no difference either, since
  somebody may just format the disk; but it forbids "same".

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from .._model.api import Facts, UnknownFact
from .._model.types import BlockDevice, BlockLeaf, DrbdState

Verdict = tuple[str, str]

LOCAL = frozenset(("ata", "mmc", "pcie", "usb", "virtio"))
"""Ways of attaching a disk that lead to one host alone, or (virtio) to whatever the machine below decides."""
_NEVER = {
    "md": "an array of this host, which only a clustered one may share",
    "nbd": "a device whose name says nothing of what it leads to",
    "ram": "memory of this host",
    "zvol": "a volume of a ZFS pool, which one host has at a time",
}
_FAMILY = re.compile(r"naa\.[256]|eui\.|uuid\.")
# Where the company's id stands. Some targets and cheap disks leave it 0 and count from 1, so that many have one name.
_COMPANY = {"naa.2": slice(4, 10), "naa.5": slice(1, 7), "naa.6": slice(1, 7)}
_LENGTH = {"naa.2": (16,), "naa.5": (16,), "naa.6": (32,), "eui.": (16, 32), "uuid.": (32,)}
_FEWEST_DIGITS = 5
_VG, _LV = slice(4, 36), slice(36, 68)


def world_wide(name: str) -> bool:
    """Whether no two devices can have this name by chance or by carelessness.

    Not so: names of type 3, which an administrator assigns (scsi_debug has the same on every host), names of vendor
    and serial number (t10., and QEMU's defaults), serial numbers.
    """
    family = _FAMILY.match(name)
    if family is None:
        return False
    kind = family.group()
    digits = name.partition(".")[2].replace("-", "")
    company = digits[_COMPANY[kind]] if kind in _COMPANY else "1"
    return len(digits) in _LENGTH[kind] and len(set(digits)) >= _FEWEST_DIGITS and set(company) != {"0"}


def compare(source: Facts, destination: Facts, files: t.Callable[[Facts, Facts], Verdict]) -> Verdict:
    """("same" | "different" | "unknown", why) for the PathIdentity of two block devices. Raises UnknownFact.

    ``files``: compares two files, for loop devices.
    """
    here: BlockDevice = source.get("block")
    there: BlockDevice = destination.get("block")
    for device in (here, there):
        if device["kind"] in _NEVER:
            return "unknown", f"{device['kernel']} is {_NEVER[device['kind']]}"
    if "drbd" in (here["kind"], there["kind"]):
        return _replicas(here, there)
    if here["kind"] == there["kind"] == "rbd":
        return _images(here, there)
    looped = _loops(source, destination, files) if here["kind"] == there["kind"] == "loop" else None
    verdict, why = looped or _stacks(here, there)
    if verdict == "same":
        return _contradicted(source, destination) or (verdict, why)
    return verdict, why


def _loops(source: Facts, destination: Facts, files: t.Callable[[Facts, Facts], Verdict]) -> Verdict | None:
    """None where one of the files cannot be looked at, so that other names must do."""
    try:
        here, there = source.get("loop_file"), destination.get("loop_file")
    except UnknownFact:
        return None
    verdict, why = files(Facts(f"file {here['path']}", here), Facts(f"file {there['path']}", there))
    return verdict, f"the files of the loop devices: {why}"


def _images(here: BlockDevice, there: BlockDevice) -> Verdict:
    if not here["own"] or not there["own"]:
        return "unknown", "the kernel does not say which Ceph image is mapped"
    if here["own"] == there["own"]:
        return "same", here["own"]
    return "different", f"{here['own']} here and {there['own']} there"


def _replicas(here: BlockDevice, there: BlockDevice) -> Verdict:
    """Two replicas of one DRBD volume are one object while they are connected and up to date."""
    one, other = here["drbd"], there["drbd"]
    if one is None or other is None:
        return "unknown", f"{here['kernel']} here is {here['kind']}, {there['kernel']} there is {there['kind']}"
    if not one["resource"] or not other["resource"]:
        return "unknown", "DRBD 8 does not name its resources"
    names = [f"{state['resource']}/{state['volume']}" for state in (one, other)]
    if names[0] != names[1]:
        return "unknown", f"DRBD volume {names[0]} here and {names[1]} there"
    # Two pairs of hosts may both have a resource r0: each host must name the other as its peer.
    if _sees(one, other["node"]) and _sees(other, one["node"]):
        return "same", f"DRBD volume {names[0]}, connected and up to date"
    return "unknown", f"DRBD volume {names[0]} of the two hosts is not connected and up to date with each other"


def _sees(state: DrbdState, node: str) -> bool:
    """Whether the host sees that peer connected and up to date."""
    peers = [peer for peer in state["peers"] if peer["name"] == node]
    return any(peer["connection"] == "Connected" and peer["disk"] == "UpToDate" for peer in peers)


def _stacks(here: BlockDevice, there: BlockDevice) -> Verdict:
    verdict, why = _leaves(here["leaves"], there["leaves"])
    one, other = here["own"], there["own"]
    if one is None and other is None:
        return verdict, why
    if one is None or other is None or not one or not other:
        lies = "the device mapper names no identity" if "" in (one, other) else "one of them is stacked, the other not"
        return ("different", why) if verdict == "different" else ("unknown", lies)
    if one == other:
        if verdict == "unknown":
            return verdict, f"both have {one}, which a clone has too, and {why}"
        return verdict, f"{one}, and {why}"
    if verdict == "different":
        return verdict, why
    groups = [own[_VG] for own in (one, other) if own.startswith("LVM-")]
    if verdict == "unknown" and len(groups) == 2 and groups[0] != groups[1] and not _shared(here, there):
        return "different", f"the volume group's UUID is {groups[0]} here and {groups[1]} there"
    return "unknown", f"it is {one} here and {other} there, and nothing proves that they have no sector in common"


def _shared(here: BlockDevice, there: BlockDevice) -> set[str]:
    return set().union(*(leaf["ids"] for leaf in here["leaves"])) & set().union(
        *(leaf["ids"] for leaf in there["leaves"])
    )


def _leaves(here: list[BlockLeaf], there: list[BlockLeaf]) -> Verdict:
    for leaf in (*here, *there):
        if leaf["transport"] in LOCAL:
            return "unknown", f"{leaf['kernel']} is attached by {leaf['transport']} and may be a disk of one host alone"
        if not any(world_wide(name) for name in leaf["ids"]):
            named = ", ".join(leaf["ids"]) or "no name"
            return "unknown", f"{leaf['kernel']} has {named}, which need not be unique in the world"
    shared = {name for name in _names(here) & _names(there) if world_wide(name)}
    if not shared and _families(here) & _families(there):
        return (
            "different",
            f"they are {', '.join(sorted(_names(here)))} here and {', '.join(sorted(_names(there)))} there",
        )
    if len(here) == len(there) and all(_twin(leaf, there) for leaf in here):
        return "same", ", ".join(sorted(shared))
    return "unknown", "they lie on parts of the same disks, but not on the same ones"


def _names(leaves: list[BlockLeaf]) -> set[str]:
    return {name for leaf in leaves for name in leaf["ids"]}


def _families(leaves: list[BlockLeaf]) -> set[str]:
    return {found.group() for name in _names(leaves) if world_wide(name) and (found := _FAMILY.match(name))}


def _twin(leaf: BlockLeaf, others: list[BlockLeaf]) -> bool:
    return any(
        leaf["part"] == other["part"] and any(world_wide(name) for name in set(leaf["ids"]) & set(other["ids"]))
        for other in others
    )


def _contradicted(source: Facts, destination: Facts) -> Verdict | None:
    try:
        labels = source.get("label"), destination.get("label")
    except UnknownFact:
        return None
    if labels[0] == labels[1]:
        return None
    return "unknown", (
        f"both have one name, but the first sectors say '{labels[0]}' here and '{labels[1]}' there: the name is not "
        "unique, or somebody is formatting the disk"
    )
