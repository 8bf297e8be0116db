# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty guests on three hosts, half of them with a planted problem. They run firmware alone, which idles.

Each problem says which checks must name it, and for which destinations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.firing import stage
from tests.firing.provocation import XmlEdit, device, element, replaced
from tests.lab import api, domain, observe
from tests.lab.places import CONSOLES_INSIDE, DISKS_INSIDE

HOSTS = ("hv1", "hv2", "hv4")
EVERYWHERE = ""
HUGE_MIB = 22000
LOCAL = "/var/lib/libvirt/images/p-local.qcow2"
MEDIUM = "/var/lib/libvirt/images/p-medium.iso"

# Runs inside a host: {"guests": [[name, xml, how]], "disks": [path]}; how: running, paused or defined.
START = """\
import os, subprocess
import libvirt

def main(given):
    libvirt.registerErrorHandler(lambda *words: None, None)
    connection = libvirt.open("qemu:///system")
    for path in given["disks"]:
        if not os.path.exists(path):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    for name, xml, how in given["guests"]:
        made = connection.defineXML(xml)
        if how != "defined":
            made.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if how == "paused" else 0)
"""

NETWORK = "<network><name>p-net</name><forward mode='bridge'/><bridge name='br0'/></network>"
# Shell commands on each host, before the guests are there and after they are gone.
MAKE: Mapping[str, str] = {
    "hv1": f"ip link add br-one up type bridge; ip link add br-two up type bridge; echo medium > {MEDIUM}",
    "hv2": "mknod /dev/p-rng c 1 9",
    "hv4": f'ip link add br-two up type bridge; echo medium > {MEDIUM}; echo "{NETWORK}" > /tmp/p.xml;'
    " virsh -q net-define /tmp/p.xml; rm /tmp/p.xml; virsh -q net-start p-net",
}
UNMAKE: Mapping[str, str] = {
    "hv1": f"ip link del br-one; ip link del br-two; rm -f {MEDIUM} {LOCAL}",
    "hv2": "rm -f /dev/p-rng; ip link del br-one",
    "hv4": f"ip link del br-two; rm -f {MEDIUM}; virsh -q net-destroy p-net; virsh -q net-undefine p-net",
}


def _as_it_is(xml: str) -> str:
    return xml


@dataclass(frozen=True)
class Placed:
    """A guest and where it is put. expected: destination, or EVERYWHERE -> the checks that must name its problem."""

    name: str
    host: str
    edit: XmlEdit = _as_it_is
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    how: str = "running"
    uuid: str | None = None


def _at(check: str, *destinations: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(destinations, (check,))


def _bridge(name: str) -> XmlEdit:
    return replaced('<source bridge="br0"/>', f'<source bridge="{name}"/>')


def _local(xml: str) -> str:
    return re.sub(r'<source file="[^"]*"/>', f'<source file="{LOCAL}"/>', xml)


def _diskless(xml: str) -> str:
    return re.sub(r"<disk type='file' device='disk'>.*?</disk>", "", xml, flags=re.DOTALL)


def _in_network(xml: str) -> str:
    return xml.replace("<interface type='bridge'>", "<interface type='network'>").replace(
        '<source bridge="br0"/>', "<source network='p-net'/>"
    )


_CDROM = (
    f"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{MEDIUM}'/>"
    "<target dev='sda' bus='sata'/><readonly/></disk>"
)
_NOVA = (
    "<metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'><n:name>web</n:name></n:instance>"
    "</metadata>"
)
_NEVER = "<metadata><p:policy xmlns:p='urn:livemig:policy:1'>never</p:policy></metadata>"
_TWIN = domain.domain_uuid("twin")

PLANTED: tuple[Placed, ...] = (
    Placed("bridge-one", "hv1", _bridge("br-one"), _at("net_bridge_exists", "hv2", "hv4")),
    Placed("bridge-one-too", "hv1", _bridge("br-one"), _at("net_bridge_exists", "hv2", "hv4")),
    Placed("bridge-two", "hv1", _bridge("br-two"), _at("net_bridge_exists", "hv2")),
    Placed(
        "local-disk",
        "hv1",
        _local,
        {EVERYWHERE: ("disk_shared_fs_type",), **_at("disk_path_exists_dest", "hv2", "hv4")},
    ),
    Placed("cached", "hv1", replaced("cache='none'", "cache='unsafe'"), _at("disk_cache_mode", EVERYWHERE)),
    Placed("namesake", "hv1", expected=_at("dst_domain_name_conflict", "hv2")),
    Placed(
        "huge",
        "hv1",
        replaced("<memory unit='MiB'>32<", f"<memory unit='MiB'>{HUGE_MIB}<"),
        _at("mem_capacity_dest", "hv2", "hv4"),
    ),
    Placed("of-nova", "hv2", element(_NOVA), _at("guest_foreign_owner", EVERYWHERE)),
    Placed("never", "hv2", element(_NEVER), _at("guest_migration_policy_tag", EVERYWHERE)),
    Placed(
        "crypto",
        "hv2",
        device("<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>"),
        _at("dev_unmigratable_virtio_models", EVERYWHERE),
    ),
    Placed(
        "listens",
        "hv2",
        device("<graphics type='vnc' autoport='yes' listen='198.51.100.2'/>"),
        _at("dev_graphics_listen", "hv1", "hv4"),
    ),
    Placed(
        "dice",
        "hv2",
        device("<rng model='virtio'><backend model='random'>/dev/p-rng</backend></rng>"),
        _at("dev_rng_backend", "hv1", "hv4"),
    ),
    Placed("medium", "hv4", device(_CDROM), _at("disk_readonly_media_present", "hv2")),
    Placed("in-network", "hv4", _in_network, _at("net_libvirt_network_active", "hv1", "hv2")),
    Placed(
        "transient-disk",
        "hv4",
        replaced("<target dev='vda' bus='virtio'/>", "<target dev='vda' bus='virtio'/><transient/>"),
        _at("disk_transient", EVERYWHERE),
    ),
    Placed("twin", "hv1", _diskless, _at("dst_domain_uuid_running", EVERYWHERE), uuid=_TWIN),
    Placed("twin", "hv4", _diskless, _at("dst_domain_uuid_running", EVERYWHERE), uuid=_TWIN),
)
STOPPED: tuple[Placed, ...] = (
    Placed("namesake", "hv2", _diskless, how="defined", uuid=domain.domain_uuid("other-namesake")),
    Placed("asleep", "hv4", how="defined"),
)
HEALTHY: tuple[Placed, ...] = (
    Placed("paused", "hv2", how="paused"),
    *(
        Placed(f"healthy-{number:02d}", HOSTS[number % len(HOSTS)])
        for number in range(29 - len(PLANTED) - len(STOPPED))
    ),
)
ALL = (*PLANTED, *STOPPED, *HEALTHY)


def xml_of(placed: Placed, octet: int) -> str:
    """A small guest that boots no kernel, on a disk that all hosts see."""
    xml = stage.plain_xml(placed.name).replace(domain.mac(250), domain.mac(octet))
    xml = re.sub(r"<kernel>.*?</cmdline>", "", xml, flags=re.DOTALL)
    if placed.uuid:
        xml = xml.replace(domain.domain_uuid(placed.name), placed.uuid)
    return placed.edit(xml)


def start() -> None:
    """Makes the conditions and starts all guests."""
    for host, commands in MAKE.items():
        api.exec_on(host, ["sh", "-ec", commands], check=True)
    octets = {(placed.name, placed.host): 100 + number for number, placed in enumerate(ALL)}
    for host in HOSTS:
        here = [placed for placed in ALL if placed.host == host]
        guests = [[placed.name, xml_of(placed, octets[placed.name, host]), placed.how] for placed in here]
        disks = sorted({path for _name, xml, _how in guests for path in re.findall(r'<source file="([^"]*)"', xml)})
        observe.observe_inside(host, START, {"guests": guests, "disks": disks}, timeout_s=300)


def stop() -> None:
    """Ends all guests and takes the conditions back."""
    for host in HOSTS:
        stage.stop([placed.name for placed in ALL if placed.host == host], host)
        api.exec_on(host, ["sh", "-c", UNMAKE[host]])
    names = sorted({placed.name for placed in ALL})
    files = [path for name in names for path in (f"{DISKS_INSIDE}/{name}.qcow2", f"{CONSOLES_INSIDE}/{name}.log")]
    api.exec_on(HOSTS[0], ["rm", "-f", *files])


# What a program that only looks must leave as it is.
STATE = """\
for name in $(virsh -q list --all --name | sort); do
    virsh -q domstate $name; virsh dumpxml --inactive $name; virsh dumpxml $name
    cat /run/libvirt/qemu/$name.pid 2>/dev/null
done
virsh -q net-list --all; virsh -q pool-list --all; ls -la /var/lib/livemig 2>&1
find /etc /srv -xdev -type f -not -path '/srv/shared/consoles/*' -printf '%p %s %T@ %m\\n' | sort
"""


def state() -> dict[str, str]:
    """Host -> all that could be changed there, as text."""
    return {host: api.exec_on(host, ["sh", "-c", STATE], check=True).stdout for host in HOSTS}


def named(audit: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, tuple[str, ...]]]:
    """(domain, host) -> destination -> the checks that an audit names for it; domains without any are left out."""
    found: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for entry in audit["domains"]:
        at = {EVERYWHERE: entry["everywhere"]}
        for host, numbers in entry["blocked"].items():
            at[host] = numbers
        checks = {where: _checks(audit, numbers) for where, numbers in at.items() if numbers}
        if checks:
            found[entry["name"], entry["host"]] = checks
    return found


def _checks(audit: Mapping[str, Any], numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(sorted(audit["obstacles"][number]["check"] for number in numbers))


def expected() -> dict[tuple[str, str], dict[str, tuple[str, ...]]]:
    """The same, of what was planted."""
    return {(placed.name, placed.host): dict(placed.expected) for placed in PLANTED}
