#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Prove that migrated domains run where they should, and nowhere else
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Run it on the source and on the destination of moves that were made. Nothing is changed.
  - On the destination a domain must run, be persistent and start automatically as it did on the source, its vCPU time
    must advance, and its NICs must be up and attached to their bridge.
  - One that was paused must be paused there, and one of which the definition has moved must be shut off.
  - On the source it must be neither running nor defined.
  - Of moves that failed, this host as their destination returns the end of its log, without secrets, so that
    M(livemig.libvirt.report) can say who failed first.
extends_documentation_fragment:
  - livemig.libvirt.connection
  - livemig.libvirt.moves
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
  - livemig.libvirt.attributes.info_module
options:
  name:
    description:
      - What the plan calls this host.
      - Moves with this destination must have arrived, moves with this source must be gone.
    type: str
    required: true
  wait_s:
    description: Seconds within which the vCPU time of a running domain must advance.
    type: float
    default: 10
  outcomes:
    description:
      - What M(livemig.libvirt.migrate) returned, on any source.
      - Of those that are C(failed), C(ended), C(recoverable) or C(unknown) and were to come to
        this host, the log is returned in RV(logs).
    type: list
    elements: dict
    default: []
seealso:
  - module: livemig.libvirt.migrate
"""

EXAMPLES = r"""
- name: Prove on every host what moved to it or away from it
  livemig.libvirt.verify:
    name: "{{ inventory_hostname }}"
    moves: "{{ planned.plan.moves }}"

- name: Look besides for the cause of what failed
  livemig.libvirt.verify:
    name: "{{ inventory_hostname }}"
    moves: "{{ planned.plan.moves | selectattr('uuid', 'in', moved) }}"
    outcomes: "{{ on_hosts | map(attribute='migrated.outcomes', default=[]) | flatten }}"
  vars:
    on_hosts: "{{ ansible_play_hosts_all | map('extract', hostvars) }}"
"""

RETURN = r"""
proofs:
  description:
    - By domain UUID, what was looked at on this host and whether it holds.
    - The module succeeds although a proof does not hold, so that the report can name all of them; see RV(broken).
  returned: success
  type: dict
  sample:
    5b0d0d8c-0e3a-4f5a-9a53-6f1f5d0a7c11:
      - check: running
        host: hv2
        ok: true
        message: running
broken:
  description: One sentence for each proof that does not hold.
  returned: success
  type: list
  elements: str
  sample: []
logs:
  description:
    - By domain UUID, the end of this host's log of each domain of O(outcomes) that did not arrive here.
    - A log that cannot be read is no error, its C(unread) says why.
  returned: always, also where the libvirt daemon does not answer
  type: dict
  sample:
    5b0d0d8c-0e3a-4f5a-9a53-6f1f5d0a7c11:
      host: hv2
      path: /var/log/libvirt/qemu/web1.log
      since_s: 1764227000
      lines: ["2026-11-27 07:03:20.542+0000: shutting down, reason=failed"]
      cut: false
      unread: null
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import connect
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._module import MOVES_OPTION, run_module
from ansible_collections.livemig.libvirt.plugins.module_utils._verify.api import absent, present, why_not

OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "wait_s": {"type": "float", "default": 10},
    "outcomes": {"type": "list", "elements": "dict", "default": []},
    **MOVES_OPTION,
}


def look(module: AnsibleModule) -> dict[str, t.Any]:
    name, moves = module.params["name"], module.params["moves"]
    logs = why_not(module.params["uri"], name, module.params["outcomes"])
    if not any(name in (move["source"], move["destination"]) for move in moves):
        return {"changed": False, "proofs": {}, "broken": [], "logs": logs}
    try:
        connection = connect(module.params["uri"])
    except LivemigError as error:
        # A daemon that is gone may be what failed: its host's log is then all there is.
        facts = {"value": str(error.value), "expected": error.expected, "remedy": error.remedy}
        return {"failed": True, "msg": str(error), **facts, "logs": logs}
    try:
        arrived = {
            move["uuid"]: present(connection, name, move, module.params["wait_s"])
            for move in moves
            if move["destination"] == name
        }
        gone = {move["uuid"]: absent(connection, name, move["uuid"]) for move in moves if move["source"] == name}
    finally:
        connection.close()
    names = {move["uuid"]: move["domain"] for move in moves}
    proofs = {**arrived, **gone}
    broken = [
        f"{names[uuid]} on {proof['host']}: {proof['check']}: {proof['message']}"
        for uuid, looked in proofs.items()
        for proof in looked
        if not proof["ok"]
    ]
    return {"changed": False, "proofs": proofs, "broken": broken, "logs": logs}


def main() -> None:
    run_module(OPTIONS, look)


if __name__ == "__main__":
    main()
