# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of the second pass about networks, names and ports.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

from .._libvirt import libvirt
from .._model.api import Answer, Question
from . import area, files, netdevs, virtual_networks
from .xml import parse


def nwfilter(host: area.Host, question: Question) -> Answer:
    """The digest of the rules of the network filter named ``value``; None where there is no such filter."""
    return {"digest": virtual_networks.filter_digest(host, question["value"])}


def vsock_cids(host: area.Host, question: Question) -> Answer:
    """The vsock context ids of the guests that run here: id -> name of the domain."""
    del question
    found = {}
    for domain in host.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        for cid in parse(domain.XMLDesc(0)).findall("devices/vsock/cid[@address]"):
            found[cid.get("address", "")] = domain.name()
    return {"cids": found}


def listener(_host: area.Host, question: Question) -> Answer:
    """Whether a process here listens at the UNIX socket ``path``: listens; a file that is left over does not.

    The kernel's table has the names that were bound, of this network namespace: not what listens in a container.
    """
    path = question["path"]
    real = files.looked(path, lambda: os.path.realpath(path), f"looking at {path}")
    bound = netdevs.listening_paths(files.read("/proc/net/unix"))
    return {"listens": path in bound or real in {os.path.realpath(name) for name in bound if name[:1] == "/"}}


ASKS: t.Mapping[str, area.Ask] = {"listener": listener, "nwfilter": nwfilter, "vsock_cids": vsock_cids}
