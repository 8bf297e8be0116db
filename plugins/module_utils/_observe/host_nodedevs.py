# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: devices that can be passed through.

Virtual functions are read from sysfs, where libvirt reads them too: every user may, and it takes no call per device.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import typing as t

from .._libvirt import libvirt
from . import files
from .area import Fact, Facts, Host
from .xml import parse

PCI = "/sys/bus/pci/devices"
USB = "/sys/bus/usb/devices"
_ADDRESS = ("domain", "bus", "slot", "function")
# Drivers beside which vfio-pci works in one group (vfio_dev_driver_allowed in drivers/vfio/vfio_main.c of Linux).
_HARMLESS = frozenset(("vfio-pci", "pci-stub", "pcieport"))
_COMMON = "vfio-pci"
_VARIANT = re.compile(r"^alias vfio_pci:v0000([0-9A-Fa-f]{4})d0000([0-9A-Fa-f]{4})", re.MULTILINE)
_FLAGS: t.Mapping[t.Any, bool] = {True: True, False: False, "on": True, "off": False}
_NO_SETTINGS: t.Mapping[str, t.Any] = {"vlan": None, "trust": None, "spoof_check": None}
_DAEMONS = ("/run/virtqemud.pid", "/run/libvirtd.pid")
_RAISES_LIMITS = 1 << 24  # CAP_SYS_RESOURCE of linux/capability.h


def virtual_functions(root: str = PCI) -> list[dict[str, t.Any]]:
    """Every VF: its address, what it is, the driver that has it, its PF, port and link, how the PF treats it, and who
    else is in its IOMMU group."""
    if not os.path.isdir(root):
        return []
    names = [name for name in sorted(os.listdir(root)) if os.path.exists(os.path.join(root, name, "physfn"))]
    settings: dict[str, dict[int, dict[str, t.Any]]] = {}
    kinds = variant_kinds(_aliases()) if names else set()
    found = [_virtual_function(root, name, settings) for name in names]
    return [{**each, "migratable": _is_migratable(each["driver"], each["kind"], kinds)} for each in found]


def _virtual_function(root: str, name: str, settings: dict[str, dict[int, dict[str, t.Any]]]) -> dict[str, t.Any]:
    folder = os.path.join(root, name)
    physical = _linked(folder, "physfn")
    above = os.path.join(root, physical or "")
    port = _port(above)
    if port is not None and port not in settings:
        settings[port] = vf_settings(_ip_link(port))
    of_port = settings.get(port or "", {}).get(_number(above, name), _NO_SETTINGS)
    found = pci_device(name, root)
    net = _port(folder)
    own = {"pf": physical, "port": port, "pf_link": _link(above, port), "net": net, "net_link": _link(folder, net)}
    return {**found, **own, **of_port}


def _is_migratable(driver: str | None, kind: str, kinds: t.Collection[str]) -> bool:
    """A VFIO driver of a vendor's, which can move the device's state (mlx5_vfio_pci and others of drivers/vfio/pci),
    has it, or there is one for it. The common vfio-pci cannot, whoever has given the device to it."""
    if driver is not None and driver.replace("-", "_").endswith("_vfio_pci"):
        return True
    return driver != _COMMON and kind in kinds


def _aliases() -> str:
    try:
        return files.read(f"/lib/modules/{os.uname().release}/modules.alias")
    except OSError:
        return ""


def variant_kinds(aliases: str) -> set[str]:
    """vendor:device of what such a driver is there for, from modules.alias; libvirt 10.0 takes it by itself."""
    return {f"{vendor}:{device}".lower() for vendor, device in _VARIANT.findall(aliases)}


def _number(physical: str, name: str) -> int:
    """The function's number at its PF; -1 where the PF has none of this address."""
    for entry in os.listdir(physical) if os.path.isdir(physical) else []:
        if entry.startswith("virtfn") and _linked(physical, entry) == name:
            return int(entry[len("virtfn") :])
    return -1


def _ip_link(port: str) -> str:
    """What the PF does with each VF is told by netlink alone; empty where iproute2 is missing or too old for JSON."""
    try:
        done = subprocess.run(
            ["ip", "-json", "link", "show", "dev", port], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def vf_settings(shown: str) -> dict[int, dict[str, t.Any]]:
    """From the text of ``ip -json link show``: number of the VF -> vlan (0: none), trust, spoof_check."""
    try:
        ports = json.loads(shown or "[]")
    except ValueError:
        return {}
    entries = [entry for port in ports for entry in port.get("vfinfo_list", [])]
    return {
        entry["vf"]: {
            "vlan": entry.get("vlan") or (entry.get("vlan_list") or [{}])[0].get("vlan", 0),
            "trust": _FLAGS.get(entry.get("trust")),
            "spoof_check": _FLAGS.get(entry.get("spoofchk")),
        }
        for entry in entries
    }


def pci_device(address: str, root: str = PCI) -> dict[str, t.Any]:
    """``others``: devices of its IOMMU group that a driver of the host has. Raises OSError where there is none."""
    folder = os.path.join(root, address)
    group = os.path.join(folder, "iommu_group", "devices")
    members = sorted(os.listdir(group)) if os.path.isdir(group) else []
    drivers = {other: _linked(os.path.join(root, other), "driver") for other in members if other != address}
    return {
        "address": address,
        "kind": f"{_hex(folder, 'vendor')}:{_hex(folder, 'device')}",
        "driver": _linked(folder, "driver"),
        "others": [f"{other} ({driver})" for other, driver in drivers.items() if driver and driver not in _HARMLESS],
    }


def _hex(folder: str, name: str) -> str:
    return files.read(os.path.join(folder, name)).strip().replace("0x", "")


def _linked(folder: str, name: str) -> str | None:
    path = os.path.join(folder, name)
    return os.path.basename(os.path.realpath(path)) if os.path.exists(path) else None


def _port(device: str) -> str | None:
    """The network device of a PCI device; None where it has none."""
    nets = os.path.join(device, "net")
    return next(iter(sorted(os.listdir(nets))), None) if os.path.isdir(nets) else None


def _link(physical: str, port: str | None) -> str | None:
    """Whether a network device of a PCI device has a link: up, down...; None where it has none."""
    return None if port is None else files.read(os.path.join(physical, "net", port, "operstate")).strip()


def address_of(source: t.Mapping[str, str | None]) -> str | None:
    """A PCI address as sysfs writes it, from the attributes of libvirt's <address>; None where it is none."""
    if any(source.get(part) is None for part in _ADDRESS[1:]):
        return None
    domain, bus, slot, function = (int(source.get(part) or "0", 0) for part in _ADDRESS)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def held(host: Host) -> list[str]:
    """PCI addresses that active domains hold. Looked for only where there are VFs: it takes each domain's XML."""
    return sorted(_users(host, libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE, 0)) if _virtual_functions(host) else []


def defined(host: Host) -> dict[str, list[str]]:
    """PCI address -> persistent domains that are defined with it, whether they run or not."""
    flags = libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT, libvirt.VIR_DOMAIN_XML_INACTIVE
    return _users(host, *flags) if _virtual_functions(host) else {}


def _users(host: Host, which: int, flags: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for domain in host.connection.listAllDomains(which):
        with contextlib.suppress(libvirt.libvirtError):  # it has ended meanwhile
            root = parse(domain.XMLDesc(flags))
            devices = [*root.findall("devices/hostdev"), *root.findall("devices/interface")]
            sources = (device.find("source/address") for device in devices)
            for address in (address_of(source.attrib) for source in sources if source is not None):
                if address is not None:
                    found.setdefault(address, []).append(domain.name())
    return {address: sorted(found[address]) for address in sorted(found)}


def _virtual_functions(host: Host) -> list[dict[str, t.Any]]:
    return host.once("virtual functions", virtual_functions)


def iommu(host: Host) -> bool | None:
    """Whether libvirt finds an IOMMU in use. None: it does not tell (older than 4.7)."""
    element = host.capabilities().find("host/iommu")
    return None if element is None else element.get("support") == "yes"


def usb_devices(root: str = USB) -> list[dict[str, t.Any]]:
    """Kind (vendor:product), bus and device of what is plugged in."""
    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        folder = os.path.join(root, name)
        if os.path.exists(os.path.join(folder, "idVendor")):
            numbers = {"bus": int(_hex(folder, "busnum")), "device": int(_hex(folder, "devnum"))}
            found.append({"kind": f"{_hex(folder, 'idVendor')}:{_hex(folder, 'idProduct')}", **numbers})
    return found


def locked_memory(_host: Host) -> dict[str, t.Any]:
    """The daemon's own limit in bytes (None: none), and whether it may give its QEMU processes more."""
    for path in _DAEMONS:
        with contextlib.suppress(FileNotFoundError):
            process = os.path.join("/proc", files.read(path).strip())
            return limit_of(files.read(f"{process}/limits"), files.read(f"{process}/status"))
    raise OSError("no daemon of libvirt is found at " + " or ".join(_DAEMONS))


def limit_of(limits: str, status: str) -> dict[str, t.Any]:
    """From the texts of /proc/PID/limits and status. Raises ValueError."""
    limit = re.search(r"^Max locked memory\s+\S+\s+(\S+)", limits, re.MULTILINE)
    capabilities = re.search(r"^CapEff:\s+([0-9a-f]+)", status, re.MULTILINE)
    if limit is None or capabilities is None:
        raise ValueError("/proc does not tell the daemon's limits")
    bytes_ = None if limit[1] == "unlimited" else int(limit[1])
    return {"limit": bytes_, "may_raise": bool(int(capabilities[1], 16) & _RAISES_LIMITS)}


FACTS: Facts = {
    "defined": Fact(defined, "PCI address -> persistent domains defined with it; empty where the host has no VF"),
    "held": Fact(held, "PCI addresses that active domains hold; empty where the host has no VF"),
    "iommu": Fact(iommu, "Whether an IOMMU is in use; None where libvirt does not tell", by="libvirt"),
    "locked_memory": Fact(locked_memory, "The daemon's limit of locked memory in bytes, and whether it may raise it"),
    "usb": Fact(lambda _host: usb_devices(), "USB devices: kind (vendor:product), bus, device"),
    "vfs": Fact(
        _virtual_functions,
        "VFs: address, kind, driver, migratable (a driver that can is there), net (the host's own device on it), "
        "net_link, pf, port (the PF's network device), pf_link, others in the IOMMU group; vlan, trust, spoof_check as "
        "the PF has them, None where it does not tell",
    ),
}
