#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recover
short_description: End migrations that were interrupted
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Finds the migrations that were begun by M(livemig.libvirt.migrate) and never ended, because the module, the
    controller, a daemon, QEMU or the network failed in between. A host knows of those whose mark one of its domains
    bears and of those in its own journal.
  - Of each it asks source and destination, twice, what they have, and decides by the table in C(docs/recover.md). It
    waits for a migration that is still under way, resumes a source that was left paused, destroys an incoming domain
    that nobody feeds, ends a source whose domain runs at the destination, resumes a failed post-copy, and takes away
    what is left of the migration.
  - Nothing is done while a host that matters does not answer. Once post-copy has begun, neither side is resumed or
    destroyed. A domain that is active on both hosts is left to you.
  - A second run finds nothing and changes nothing.
extends_documentation_fragment:
  - livemig.libvirt.connection
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
attributes:
  check_mode:
    support: full
    description: Shows the verdicts and the C(virsh) commands, and does nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: This host's inventory name.
    type: str
    required: true
  uris:
    description:
      - How this host reaches libvirt on the others, by inventory name. A host of a migration that is missing here
        counts as one that does not answer.
    type: dict
    default: {}
  fenced_hosts:
    description:
      - Hosts that are known to be dead, by inventory name. They are not asked; what ran there has ended.
      - Only name a host here that is powered off or cut off from its storage. A guest that runs on there would run
        twice.
    type: list
    elements: str
    default: []
  domains:
    description: Only migrations of these domains, by name. Without it, all.
    type: list
    elements: str
  hosts:
    description: Only migrations from or to these hosts, by inventory name. Without it, all.
    type: list
    elements: str
  running:
    description:
      - What to do about a migration that is still under way. V(wait) waits for its end for O(wait_s). V(abort) aborts
        it; the domain goes on running on its source. V(leave) only reports it.
    type: str
    choices: [wait, abort, leave]
    default: wait
  wait_s:
    description: Seconds for which a migration that is still under way, or another run at work on it, is waited for.
    type: int
    default: 3600
seealso:
  - module: livemig.libvirt.migrate
"""

EXAMPLES = r"""
- name: End what was interrupted on this host
  livemig.libvirt.recover:
    name: "{{ inventory_hostname }}"
    uris:
      hv1: qemu+tls://hv1.example.com/system
      hv2: qemu+tls://hv2.example.com/system

- name: Only look, and show what would be done
  livemig.libvirt.recover:
    name: "{{ inventory_hostname }}"
    uris: "{{ my_uris }}"
  check_mode: true
"""

RETURN = r"""
migrations:
  description:
    - The migrations that were found, by domain name. C(docs/data-types.md) describes each key, C(docs/recover.md) the
      verdicts.
    - The module fails where one of them could not be brought to its end.
  returned: always
  type: list
  elements: dict
  sample:
    - domain: web1
      source: hv1
      destination: hv2
      verdict: rolled_back
      state: failed
      running_on: hv1
      did: ["resume_source", "release_source"]
unheard:
  description:
    - The runs on this host that ended without their controller, each with its outcomes and one sentence. They are told
      once; in check mode they remain to be told.
  returned: always
  type: list
  elements: dict
  sample:
    - run: 20261127T010000Z-0a1b2c3d
      outcomes: []
      sentence: "Run 20261127T010000Z-0a1b2c3d ended without its controller. web1: moved."
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import connect
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Asked, Records, Rules, recover
from ansible_collections.livemig.libvirt.plugins.module_utils._module import run_module

OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "uris": {"type": "dict", "default": {}},
    "fenced_hosts": {"type": "list", "elements": "str", "default": []},
    "domains": {"type": "list", "elements": "str"},
    "hosts": {"type": "list", "elements": "str"},
    "running": {"type": "str", "choices": ["wait", "abort", "leave"], "default": "wait"},
    "wait_s": {"type": "int", "default": 3600},
}
OPEN = ("recoverable", "unknown")
"""States in which a migration has not come to its end."""


def run(module: AnsibleModule) -> dict[str, t.Any]:
    values = module.params
    if values["wait_s"] < 0:
        module.fail_json(msg=f"wait_s: {values['wait_s']}; expected 0 or more seconds. Remedy: correct the value.")
    who = (values[name] for name in ("name", "uri", "uris", "fenced_hosts", "domains", "hosts"))
    asked = Asked(*who)
    waits = values["running"] != "leave"
    rules = Rules(
        wait_s=values["wait_s"] if waits else 0, abort=values["running"] == "abort", look_only=module.check_mode
    )
    records = Records()
    unheard = records.unheard()
    found = recover(asked, rules, connect, records)
    for run in () if module.check_mode else unheard:
        records.hear(run["run"])
    broken = [each for each in found if (each["state"] in OPEN or each["error"]) and not module.check_mode]
    result: dict[str, t.Any] = {
        "changed": any(each["did"] for each in found) or (module.check_mode and bool(found)),
        "migrations": found,
        "unheard": unheard,
        "failed": bool(broken),
    }
    if broken:
        result["msg"] = " ".join(each["sentence"] for each in broken)
    return result


def main() -> None:
    run_module(OPTIONS, run)


if __name__ == "__main__":
    main()
