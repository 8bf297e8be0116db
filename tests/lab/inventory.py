# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory that `up` writes. Strings are JSON strings, which YAML reads as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.lab.hosts import Host
from tests.lab.keys import USER_KEY
from tests.lab.places import Places

GROUP = "hypervisors"


def variables(where: Places) -> dict[str, str | bool]:
    common = (
        f"-F none -o UserKnownHostsFile={where.ssh / 'known_hosts'} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    )
    return {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(where.ssh / USER_KEY),
        "ansible_ssh_common_args": common,
        # ssh's shared connections are named after address and user, which are the same in every lab: in Ansible's
        # common directory one lab's task would end on another lab's host.
        "ansible_control_path_dir": str(where.ssh / "cp"),
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "livemig_tls_ca_dir": str(where.ca),
    }


def text(where: Places, hosts: Iterable[Host]) -> str:
    lines = ["---", "# written by `python3 -m tests.lab up`", "all:", "  children:", f"    {GROUP}:", "      hosts:"]
    for host in hosts:
        lines += [f"        {host.name}:", f"          ansible_host: {json.dumps(host.address)}"]
    lines.append("      vars:")
    lines += [f"        {name}: {json.dumps(value)}" for name, value in variables(where).items()]
    return "\n".join(lines) + "\n"
