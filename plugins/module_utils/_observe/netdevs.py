# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's network devices, addresses and sockets, and Open vSwitch. Standard library only.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import typing as t

from . import files

_CLASS = "/sys/class/net"
_UP = 0x1
_TAP = 0x2
_SIOCGIFCONF = 0x8912
_IFREQ = struct.Struct("16sHH4s16x")
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in /proc/net/unix
_TCP_LISTEN = "0A"
_KINDS = (("bridge", "bridge"), ("macvtap", "macvtap"), ("bonding", "bond"), ("device", "physical"))


def links(root: str = _CLASS) -> dict[str, dict[str, t.Any]]:
    """Every network device by name: kind, mac, mtu, up, carrier (None while it is down), master, and the devices below.

    What is below a bridge is left out: it is what has the bridge as its master.
    """
    found = {}
    for name in sorted(os.listdir(root)):
        folder = os.path.join(root, name)
        if os.path.isdir(folder):
            try:
                found[name] = _link(folder)
            except FileNotFoundError:  # it is gone by now
                continue
    return found


def _link(folder: str) -> dict[str, t.Any]:
    up, kind = bool(int(_text(folder, "flags"), 16) & _UP), _kind(folder)
    master = os.path.join(folder, "master")
    lower = () if kind == "bridge" else os.listdir(folder)
    return {
        "kind": kind,
        "mac": _text(folder, "address"),
        "mtu": int(_text(folder, "mtu")),
        "up": up,
        "carrier": _text(folder, "carrier") == "1" if up else None,
        "master": os.path.basename(os.readlink(master)) if os.path.islink(master) else None,
        "lower": sorted(entry[len("lower_") :] for entry in lower if entry.startswith("lower_")),
    }


def _kind(folder: str) -> str:
    if os.path.exists(os.path.join(folder, "tun_flags")):
        return "tap" if int(_text(folder, "tun_flags"), 16) & _TAP else "tun"
    for entry, kind in _KINDS:
        if os.path.exists(os.path.join(folder, entry)):
            return kind
    uevent = dict(line.partition("=")[::2] for line in _text(folder, "uevent").splitlines())
    return uevent.get("DEVTYPE", "virtual")


def _text(folder: str, name: str) -> str:
    return files.read(os.path.join(folder, name)).strip()


def bridges(root: str = _CLASS) -> dict[str, dict[str, t.Any]]:
    """Every Linux bridge: stp, forward_delay_s, vlan_filtering (None where the kernel has none)."""
    found = {}
    for name in files.bridges(root):
        folder = os.path.join(root, name, "bridge")
        filtering = os.path.exists(os.path.join(folder, "vlan_filtering"))
        found[name] = {
            "stp": _text(folder, "stp_state") != "0",
            "forward_delay_s": int(_text(folder, "forward_delay")) / 100,
            "vlan_filtering": _text(folder, "vlan_filtering") == "1" if filtering else None,
        }
    return found


def addresses() -> list[str]:
    """All IP addresses of this host, sorted as text."""
    return sorted({*_ipv4(), *ipv6(files.read("/proc/net/if_inet6") if os.path.exists("/proc/net/if_inet6") else "")})


def _ipv4(room: int = 4096) -> list[str]:
    """What SIOCGIFCONF lists: every IPv4 address of every interface (net/ipv4/devinet.c: inet_gifconf)."""
    buffer = array.array("B", bytes(room * _IFREQ.size))
    start, _count = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        said = fcntl.ioctl(any_socket.fileno(), _SIOCGIFCONF, struct.pack("iL", len(buffer), start))
    return ipv4(buffer.tobytes()[: struct.unpack("iL", said)[0]])


def ipv4(table: bytes) -> list[str]:
    """From the kernel's struct ifreq, one after the other."""
    return [socket.inet_ntoa(address) for _name, _family, _port, address in _IFREQ.iter_unpack(table)]


def ipv6(table: str) -> list[str]:
    """From the text of /proc/net/if_inet6."""
    return [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in table.splitlines()]


def sockets() -> list[str]:
    """What is bound here: ``tcp 127.0.0.1 5900`` of those that listen, ``udp :: 68``; sorted."""
    found: set[str] = set()
    for protocol in ("tcp", "udp"):
        for version in ("", "6"):
            path = f"/proc/net/{protocol}{version}"
            if os.path.exists(path):
                found |= set(bound(protocol, files.read(path)))
    return sorted(found)


def bound(protocol: str, table: str) -> t.Iterator[str]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and (protocol == "udp" or fields[3] == _TCP_LISTEN):
            address, _colon, port = fields[1].partition(":")
            yield f"{protocol} {_address(address)} {int(port, 16)}"


def _address(text: str) -> str:
    """The kernel writes addresses as 32 bit words in its own byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return str(ipaddress.ip_address(packed))


def listening_paths(table: str) -> set[str]:
    """The UNIX sockets that somebody listens at, systemd included, in the words that they were bound with, from the
    text of ``/proc/net/unix``: those of one network namespace."""
    sockets = [line.split(None, 7) for line in table.splitlines()[1:]]
    return {fields[7].rstrip() for fields in sockets if len(fields) > 7 and int(fields[3], 16) & _ACCEPTS}


def openvswitch() -> dict[str, t.Any]:
    """``installed``: whether there is an ovs-vsctl, without which libvirt attaches nothing; and the bridges it lists.

    Raises OSError where Open vSwitch is there and does not answer.
    """
    if shutil.which("ovs-vsctl") is None:
        return {"installed": False, "bridges": []}
    command = ["ovs-vsctl", "--timeout=5", "list-br"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise OSError(said[-1] if said else str(error)) from error
    return {"installed": True, "bridges": sorted(done.stdout.split())}
