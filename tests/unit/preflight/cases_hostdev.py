# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._observe.definition import MORE
from tests.unit.preflight.case import Case, Edit, both, device, fact, migration, more, put
from tests.unit.preflight.scene import Scene

LIBVIRT = "libvirt's docs/formatdomain.rst, host device assignment"
NESTED = "two nested hosts with igb, Debian 12 and 13: domain XML and sysfs"
_BLANK = dict.fromkeys(MORE["hostdevs"].columns)
_VF = "0000:01:10.0"


def _hostdev(kind: str, mode: str = "subsystem", what: str | None = None, **columns: t.Any) -> Edit:
    hostdev = {
        "type": kind,
        "mode": mode,
        "description": what or f"{kind} bus=1 device=4",
        "teaming": columns.pop("teaming", None),
        "more": {**_BLANK, **columns},
    }
    return lambda scene: scene.domain["hostdevs"].append(hostdev)


def _pci(**columns: t.Any) -> Edit:
    own = {"managed": "yes", "domain": "0x0000", "bus": "0x01", "slot": "0x10", "function": "0x0"}
    return _hostdev("pci", "interface", "interface 52:54:00:00:00:03", **{**own, **columns})


def _vf(host: str, address: str = _VF, **changes: t.Any) -> Edit:
    entry = {
        "address": address,
        "kind": "8086:10ca",
        "driver": "igbvf",
        "others": [],
        "migratable": False,
        "net": None,
        "net_link": None,
        "port": "eth1",
        "vlan": 0,
        "trust": False,
        "spoof_check": True,
        "pf": "0000:01:00.0",
        "pf_link": "up",
        **changes,
    }
    return lambda scene: getattr(scene, host)["nodedevs"]["vfs"].append(entry)


def _network(host: str, total: int = 2, used: int = 1, **more: t.Any) -> Edit:
    gives = {"total": total, "used": used, "addresses": [_VF], "active": True, **more}
    return lambda scene: getattr(scene, host)["net"]["networks"].update(vfs={"functions": gives})


def _of_network() -> Edit:
    return both(_pci(teaming="transient", network="vfs"), _network("source"))


def _team(mac: str, alias: str = "ua-standby", teaming: str | None = "persistent") -> Edit:
    return both(
        _pci(teaming="transient", teaming_persistent="ua-standby"),
        put("nic", mac=mac, teaming=teaming),
        more("nic", alias=alias),
    )


def _links(**macs: str) -> Edit:
    answer = {"asked": True, "answers": True, "reason": "", "frozen": False, "links": macs}
    return put("domain", agent=answer)


_SAME = "52:54:00:00:00:03"
_HELD = both(_pci(), _vf("source"))


def _there(**answer: t.Any) -> Edit:
    return lambda scene: scene.answers["hv2"].update({f"pci:{_VF}": answer})


def _locked(limit: int | None, may_raise: bool) -> Edit:
    return both(_pci(), fact("destination", "nodedevs.locked_memory", {"limit": limit, "may_raise": may_raise}))


def _usb(**columns: t.Any) -> Edit:
    return _hostdev("usb", vendor="0x0951", product="0x1666", **columns)


def _plugged(kind: str) -> Edit:
    return lambda scene: scene.destination["nodedevs"]["usb"].append({"kind": kind, "bus": 1, "device": 4})


def _nothing(_scene: Scene) -> None:
    """A domain without such a device."""


CASES: dict[str, Case] = {
    "hd_pci_plain": Case(
        _pci(), "interface 52:54:00:00:00:03 has no standby", _pci(teaming="transient"), documented=NESTED
    ),
    "hd_mdev": Case(_hostdev("mdev"), "the mediated device mdev", _hostdev("usb"), documented=LIBVIRT),
    "hd_vf_strategy": Case(
        _pci(teaming="transient"),
        "replug: its standby carries the traffic while interface 52:54:00:00:00:03 is off",
        _pci(),
        blocks=False,
        documented=NESTED,
    ),
    "hd_vfio_postcopy": Case(
        both(_pci(), migration(postcopy=True)),
        "it holds interface 52:54:00:00:00:03",
        both(_pci(teaming="transient"), migration(postcopy=True)),
        documented=NESTED,
    ),
    "hd_vfio_pin_time": Case(
        both(_pci(teaming="transient"), migration(vf="failover", vf_pin_mib_s=100)),
        "with failover it stands still for about 2560 ms (256 MiB, 4 KiB pages at 100 MiB/s)",
        both(_pci(teaming="transient"), migration(vf="failover", vf_pin_mib_s=5000)),
        documented=NESTED,
    ),
    "hd_vfio_migratable": Case(
        both(_pci(), _vf("source", migratable=True), _vf("destination", migratable=False)),
        "0 of 1 have a driver that can migrate them",
        both(_pci(), _vf("source", migratable=True), _vf("destination", migratable=True)),
        documented="Linux, drivers/vfio/pci, and libvirt's NEWS of 10.0",
    ),
    "hd_vf_network_crash": Case(
        both(_of_network(), fact("destination", "libvirt_version", 12001000)),
        "it crashes when domain web1 is given a function of network vfs again",
        both(_of_network(), fact("destination", "libvirt_version", 12002000)),
        documented="libvirt's NEWS of 12.2",
    ),
    "hd_unplug_ack_possible": Case(
        _pci(teaming="transient", guest_bus="0x00"),
        "it is on bus 0 of the guest, which has no hotplug",
        _pci(teaming="transient", guest_bus="0x06"),
        documented=NESTED,
    ),
    "hd_teaming_guest_ready": Case(
        both(_pci(teaming="transient"), _links(eth0=_SAME, eth1=_SAME)),
        "the guest has eth0, eth1 with this MAC address",
        both(_pci(teaming="transient"), _links(eth0=_SAME, eth1=_SAME, eth2=_SAME)),
        blocks=False,
        documented=NESTED,
    ),
    "hd_teaming_pair_valid": Case(
        _team("52:54:00:00:00:04"), "another MAC address, 52:54:00:00:00:04", _team(_SAME), documented=NESTED
    ),
    "hd_free_vf_dest": Case(
        both(_HELD, _vf("destination"), fact("destination", "nodedevs.held", [_VF])),
        "it holds 1 of 8086:10ca at eth1, and hv2 has 0 free of that kind there (1 of them: domain that runs "
        "there has it)",
        both(_HELD, _vf("destination"), fact("destination", "nodedevs.held", ["0000:01:10.2"])),
        documented=NESTED,
    ),
    "hd_vf_address_map": Case(
        both(_HELD, _there(exists=True, kind="8086:10c9")),
        "PCI address 0000:01:10.0 of domain web1: on hv2 it is a 8086:10c9",
        both(_HELD, _there(exists=True, kind="8086:10ca")),
        blocks=False,
        documented=NESTED,
    ),
    "hd_vf_same_kind": Case(
        both(_HELD, _vf("destination", pf_link="down")),
        "PF 0000:01:00.0 has no link",
        both(_HELD, _vf("destination", pf_link="down"), _vf("destination", "0000:02:10.0", pf="0000:02:00.0")),
        blocks=False,
        documented=NESTED,
    ),
    "hd_iommu_ready": Case(
        both(_pci(), fact("destination", "nodedevs.iommu", False)),
        "it has none in use",
        both(_pci(), fact("destination", "nodedevs.iommu", True)),
        documented=NESTED,
    ),
    "hd_iommu_group_viable": Case(
        both(_HELD, _vf("destination", others=["0000:01:00.0 (igb)"])),
        "drivers of the host have 0000:01:00.0 (igb) of the same groups",
        both(_HELD, _vf("destination")),
        documented=NESTED,
    ),
    "hd_memlock": Case(
        _locked(8388608, False),
        "may lock 8 MiB and may not raise that; expected 1280 MiB for domain web1",
        _locked(8388608, True),
        documented=NESTED,
    ),
    "hd_usb": Case(
        both(_usb(), _plugged("0951:1666")),
        "the guest would see 0951:1666 unplugged",
        _usb(missing="yes"),
        blocks=False,
        documented=LIBVIRT,
    ),
    "hd_usb_redirdev": Case(
        device("redirdevs", type="tcp"),
        "redirdevs9 goes over a connection of type tcp",
        device("redirdevs", type="spicevmc"),
        blocks=False,
    ),
    "hd_scsi_generic": Case(_hostdev("scsi"), "the SCSI device scsi", _hostdev("scsi_host"), documented=LIBVIRT),
    "hd_scsi_host": Case(
        _hostdev("scsi_host"), "the vhost-scsi target scsi_host", _hostdev("scsi"), documented=LIBVIRT
    ),
}
