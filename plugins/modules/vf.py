#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vf
short_description: Take virtual functions off a running guest, or put them back
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Detaches the SR-IOV virtual functions of a running guest, so that it can be moved by other means, its port be
    serviced or its card's firmware be updated, and attaches them again. M(livemig.libvirt.migrate) does both by itself.
  - The guest's definition says what it has, and is left as it is, but for the function's address where another one had
    to be taken. MAC address, VLAN, alias and the address in the guest stay.
  - It detaches only what a standby stands in for, waits until the guest has really let go, and sees that the standby
    carries packets. Where one of that fails, the guest has its functions again.
  - A guest that was asked to let go and has not answered may do so at any time. This host keeps a record of that, and
    V(attached) asks it once more, so that the guest ends with the function or this fails and says so.
extends_documentation_fragment:
  - livemig.libvirt.connection
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  domain:
    description: The domain's name. It must run, and have a persistent definition.
    type: str
    required: true
  state:
    description:
      - V(attached) gives the guest every function of its definition that it lacks. It gets the one that is named there
        or, where that is in use, another free one of the same port. One that was not taken off here counts as in use
        too where another domain is defined with it, a network gives it out, or the host itself uses it.
      - V(detached) takes them off the running guest. One that the definition does not have stays, since nothing would
        tell how to put it back.
    type: str
    choices: [attached, detached]
    required: true
  macs:
    description: Only the functions with these MAC addresses. Without it, all.
    type: list
    elements: str
  allow_gap:
    description: Whether a guest without a standby may be without network while its function is off.
    type: bool
    default: false
  attempts:
    description: How often the guest is asked to let go.
    type: int
    default: 8
  timeout_s:
    description: Seconds for which each of the O(attempts) waits for the guest's answer.
    type: int
    default: 20
seealso:
  - module: livemig.libvirt.migrate
  - module: livemig.libvirt.recover
"""

EXAMPLES = r"""
- name: Take the functions of a guest off while its port is serviced
  livemig.libvirt.vf:
    domain: web1
    state: detached

- name: Put them back
  livemig.libvirt.vf:
    domain: web1
    state: attached
"""

RETURN = r"""
nics:
  description: The functions that were meant, each with its state now and the PCI address of the host that it has.
  returned: success
  type: list
  elements: dict
  sample:
    - mac: "52:54:00:aa:00:01"
      state: attached
      address: "0000:01:10.0"
done:
  description: What was attached, where, and how long QEMU took for it.
  returned: success
  type: list
  elements: str
  sample: ["VF 52:54:00:aa:00:01 at 0000:01:10.2 of hv1 in 0.6 s"]
notes:
  description: What is right but should be known.
  returned: success
  type: list
  elements: str
  sample: ["VF 52:54:00:aa:00:01 is attached on hv1, but the guest does not show it yet"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import connect
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records, Result, Wanted, vf, vf_rules
from ansible_collections.livemig.libvirt.plugins.module_utils._module import run_module

OPTIONS: dict[str, dict[str, t.Any]] = {
    "domain": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["attached", "detached"], "required": True},
    "macs": {"type": "list", "elements": "str"},
    "allow_gap": {"type": "bool", "default": False},
    "attempts": {"type": "int", "default": 8},
    "timeout_s": {"type": "int", "default": 20},
}


def run(module: AnsibleModule) -> dict[str, t.Any]:
    values = module.params
    for name in ("attempts", "timeout_s"):
        if values[name] < 1:
            module.fail_json(msg=f"{name}: {values[name]}; expected 1 or more. Remedy: correct the value.")
    rules = vf_rules(values["attempts"], values["timeout_s"], values["allow_gap"])
    wanted = Wanted(values["domain"], values["state"], values["macs"], rules)
    connection = connect(values["uri"])
    try:
        found = vf(connection, connection.getHostname(), wanted, Records(), module.check_mode)
    finally:
        connection.close()
    return {
        "changed": found.before != found.after or bool(found.done),
        "nics": found.after,
        "done": list(found.done),
        "notes": list(found.notes),
        "diff": _diff(found, values["domain"]),
    }


def _diff(found: Result, domain: str) -> dict[str, str]:
    shown = {
        side: "".join(f"{domain} {nic['mac']}: {nic['state']} {nic['address'] or ''}".rstrip() + "\n" for nic in nics)
        for side, nics in (("before", found.before), ("after", found.after))
    }
    return {"before": shown["before"], "after": shown["after"]}


def main() -> None:
    run_module(OPTIONS, run)


if __name__ == "__main__":
    main()
