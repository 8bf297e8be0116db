#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_info
short_description: Observe the domains of one libvirt host
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Reads a snapshot of every domain of the host, or of the named ones. Nothing is changed.
  - What cannot be read is listed in the snapshot's C(unknown) with the reason. A snapshot never holds a secret.
extends_documentation_fragment:
  - livemig.libvirt.connection
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
  - livemig.libvirt.attributes.info_module
options:
  host:
    description:
      - What the snapshots call this host. Plans and reports use the same name.
    type: str
    required: true
  names:
    description:
      - The domains to look at. Without it, all domains of the host, running or not.
      - A name that is not there is an error.
    type: list
    elements: str
  agent:
    description:
      - Whether to ask the agents in the guests (C(qemu-guest-agent)) whether they answer and whether file systems are
        frozen.
      - Nothing is done in the guests, and nothing of it stays behind.
    type: bool
    default: false
  agent_timeout_s:
    description:
      - Seconds that one agent may take. One that is not connected is not waited for.
    type: int
    default: 3
  agent_budget_s:
    description:
      - Seconds that all agents of the host may take together. When they are used up, what the others would have said
        is listed as unknown.
    type: int
    default: 30
  dirty_rate_s:
    description:
      - Seconds for which to see how fast the guests write to their memory, all of them at the same time, by a sample of
        their pages (C(virsh domdirtyrate-calc)). V(0) does not look.
      - Guests that do not run, that have less than 128 MiB, or with a job such as a migration are left out.
    type: int
    default: 0
seealso:
  - module: livemig.libvirt.host_info
  - module: livemig.libvirt.preflight
"""

EXAMPLES = r"""
- name: Observe all domains of the host
  livemig.libvirt.domain_info:
    host: "{{ inventory_hostname }}"
  register: observed

- name: Observe one domain
  livemig.libvirt.domain_info:
    host: "{{ inventory_hostname }}"
    names:
      - web1
"""

RETURN = r"""
domains:
  description: The snapshots, sorted by name. C(docs/data-types.md) describes each key.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "domain", "host": "hv1", "name": "web1", "schema": 1, "state": "running"}]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import connect, start_event_loop
from ansible_collections.livemig.libvirt.plugins.module_utils._module import run_module
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import Agents, domain_snapshots

OPTIONS: dict[str, dict[str, t.Any]] = {
    "host": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str"},
    "agent": {"type": "bool", "default": False},
    "agent_timeout_s": {"type": "int", "default": 3},
    "agent_budget_s": {"type": "int", "default": 30},
    "dirty_rate_s": {"type": "int", "default": 0},
}

# QEMU's own (MAX_FETCH_DIRTYRATE_TIME_SEC, migration/dirtyrate.h).
_LONGEST_S = 60


def observe(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    if not 0 <= params["dirty_rate_s"] <= _LONGEST_S:
        module.fail_json(
            msg=f"dirty_rate_s: {params['dirty_rate_s']}; expected 0 to {_LONGEST_S}. Remedy: correct the value."
        )
    agents = Agents(params["agent_timeout_s"], params["agent_budget_s"]) if params["agent"] else None
    # Without the loop there is no keepalive, and a daemon that stops answering would be waited for.
    start_event_loop()
    connection = connect(params["uri"])
    try:
        snapshots = domain_snapshots(connection, params["host"], params["names"], agents, params["dirty_rate_s"])
        return {"changed": False, "domains": snapshots}
    finally:
        connection.close()


def main() -> None:
    run_module(OPTIONS, observe)


if __name__ == "__main__":
    main()
