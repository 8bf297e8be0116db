# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: interfaces, addresses and names.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import shutil
import typing as t

from . import area, netdevs, pki, virtual_networks

_CONSOLE_SETTINGS = (
    "vnc_listen",
    "vnc_tls",
    "vnc_tls_x509_verify",
    "vnc_tls_x509_cert_dir",
    "vnc_sasl",
    "spice_listen",
    "spice_tls",
    "spice_tls_x509_cert_dir",
    "spice_sasl",
    "default_tls_x509_cert_dir",
)
_PASSWORDS = ("vnc_password", "spice_password")
_NODES = ("/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock")


def console_settings(host: area.Host) -> dict[str, t.Any]:
    """Of passwords only whether there is one."""
    conf = host.qemu_conf()
    found = {name: conf[name] for name in _CONSOLE_SETTINGS if name in conf}
    found.update({name: bool(conf[name]) for name in _PASSWORDS if name in conf})
    for kind in ("vnc", "spice"):
        if conf.get(f"{kind}_tls"):
            found[f"{kind}_certificate"] = os.path.exists(os.path.join(pki.folder(conf, kind), "server-cert.pem"))
    return found


FACTS: area.Facts = {
    "addresses": area.Fact(lambda _host: netdevs.addresses(), "IP addresses of the host, as texts"),
    "bridges": area.Fact(
        lambda _host: netdevs.bridges(), "Linux bridges by name: stp, forward_delay_s, vlan_filtering (None: none)"
    ),
    "consoles": area.Fact(
        console_settings,
        "qemu.conf on VNC and SPICE, what is set there; of passwords whether there is one, of certificates "
        "(vnc_certificate, spice_certificate) whether they are there",
    ),
    "filters": area.Fact(
        virtual_networks.filters,
        "Network filters by name, with the digest of their rules where a guest here uses them, else None",
        by="libvirt",
    ),
    "links": area.Fact(
        lambda _host: netdevs.links(),
        "Network devices by name: kind, mac, mtu, up, carrier (None while down), master, lower (none for bridges)",
    ),
    "networks": area.Fact(
        virtual_networks.networks,
        "libvirt's networks by name: forward (mode or isolated), devs, bridge, mtu, vlans, virtualport, portgroups, "
        "addresses, functions (total, used, addresses, active; None but for forward hostdev), reservations (MAC to "
        "IP), inbound_kib and floor_used_kib (KiB/s)",
        by="libvirt",
    ),
    "nodes": area.Fact(
        lambda _host: {path: os.path.exists(path) for path in _NODES}, "Device nodes of tun and vhost: whether there"
    ),
    "openvswitch": area.Fact(
        lambda _host: netdevs.openvswitch(), "Open vSwitch: installed (has ovs-vsctl), bridges (names)"
    ),
    "passt": area.Fact(lambda _host: shutil.which("passt") is not None, "Whether the program passt is installed"),
    "sockets": area.Fact(
        lambda _host: netdevs.sockets(), "What is bound: protocol, address and port, as in 'tcp 127.0.0.1 5900'"
    ),
}
