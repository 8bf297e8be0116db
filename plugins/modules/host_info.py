#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Observe one libvirt host
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Reads the facts of one hypervisor that M(livemig.libvirt.preflight) and M(livemig.libvirt.plan) need, in a few calls
    on one connection. Nothing is changed.
  - What cannot be read is listed under C(unknown) in RV(host) with the reason, and is never taken for good.
  - With O(questions) it answers what M(livemig.libvirt.preflight) asks about domains that run on other hosts, and
    nothing else. The snapshot of the first call stays the one that counts.
extends_documentation_fragment:
  - livemig.libvirt.connection
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
  - livemig.libvirt.attributes.info_module
options:
  name:
    description:
      - What the snapshot calls this host. Plans and reports use the same name.
    type: str
    required: true
  questions:
    description:
      - Questions for this host, as RV(livemig.libvirt.preflight#module:questions) has them.
    type: list
    elements: dict
    default: []
seealso:
  - module: livemig.libvirt.domain_info
  - module: livemig.libvirt.preflight
"""

EXAMPLES = r"""
- name: Observe all hypervisors
  livemig.libvirt.host_info:
    name: "{{ inventory_hostname }}"
  register: observed
"""

RETURN = r"""
host:
  description: The host's snapshot. C(docs/data-types.md) describes each key.
  returned: when O(questions) is empty
  type: dict
  sample: {"kind": "host", "name": "hv1", "schema": 1}
answers:
  description: The answers to O(questions), by the question's key.
  returned: success
  type: dict
  sample: {"path:/srv/images/web1.qcow2": {"exists": true, "kind": "file"}}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import connect, start_event_loop
from ansible_collections.livemig.libvirt.plugins.module_utils._module import run_module
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import answers, host_snapshot

OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "questions": {"type": "list", "elements": "dict", "default": []},
}


def observe(module: AnsibleModule) -> dict[str, t.Any]:
    # Without the loop there is no keepalive, and a daemon that stops answering would be waited for.
    start_event_loop()
    connection = connect(module.params["uri"])
    try:
        if module.params["questions"]:
            return {"changed": False, "answers": answers(connection, connect, module.params["questions"])}
        return {"changed": False, "answers": {}, "host": host_snapshot(connection, module.params["name"])}
    finally:
        connection.close()


def main() -> None:
    run_module(OPTIONS, observe)


if __name__ == "__main__":
    main()
