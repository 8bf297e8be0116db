#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_info
short_description: Show what the migration runs of this host are at
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Shows the runs of M(livemig.libvirt.migrate) on this host that are under way, with the progress of each domain, and
    of one that is over its outcomes, as long as its journal is kept.
extends_documentation_fragment:
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.info_module
  - livemig.libvirt.attributes.actiongroup_livemig
options:
  run_id:
    description: Only this run. Without it, all that are under way.
    type: str
  watch:
    description:
      - Whether this is a sign of life of a controller that watches. Once there was one and no other follows for a
        minute, the run does what the option O(livemig.libvirt.migrate#module:on_controller_loss) of its module says.
      - Of a run that is over it says that its outcomes were heard, so that M(livemig.libvirt.recover) does not tell
        them.
    type: bool
    default: false
  history:
    description:
      - Whether to return RV(history), what the runs of this host have shown of their guests and of its links.
    type: bool
    default: false
seealso:
  - module: livemig.libvirt.migrate
  - module: livemig.libvirt.run_control
"""

EXAMPLES = r"""
- name: What is under way on this host
  livemig.libvirt.run_info:
  register: under_way

- name: How a run of last night ended
  livemig.libvirt.run_info:
    run_id: 20261127T010000Z-0a1b2c3d
"""

RETURN = r"""
runs:
  description: The runs, by id.
  returned: success
  type: list
  elements: dict
  contains:
    run:
      description: The id.
      type: str
    alive:
      description: Whether its process is there.
      type: bool
    domains:
      description: The progress of each domain. C(docs/data-types.md) describes each key.
      type: list
      elements: dict
    outcomes:
      description: What became of each move, once the run is over; null before, or where its process was killed.
      type: list
      elements: dict
  sample:
    - run: 20261127T010000Z-0a1b2c3d
      alive: true
      domains: [{"domain": "web1", "state": "migrating", "percent": 42}]
      outcomes: null
history:
  description:
    - For each migration whose journal this host keeps, the oldest first, how fast the guest wrote, over how much
      memory, and what the link carried. M(livemig.libvirt.plan) makes its forecasts of it.
  returned: with O(history)
  type: list
  elements: dict
  sample:
    - uuid: 5b0d0d8c-0e3a-4f5a-9a53-6f1f5d0a7c11
      source: hv1
      destination: hv2
      downtime: {"compute_ms": 48, "libvirt_ms": 51, "network_ms": null}
      convergence: {"dirty_mib_s": 12.5, "working_set_mib": 80.0, "link_mib_s": 110.2}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records, run_id, under_way
from ansible_collections.livemig.libvirt.plugins.module_utils._module import run_local

OPTIONS: dict[str, dict[str, t.Any]] = {
    "run_id": {"type": "str"},
    "watch": {"type": "bool", "default": False},
    "history": {"type": "bool", "default": False},
}


def look(module: AnsibleModule) -> dict[str, t.Any]:
    given = module.params["run_id"]
    wanted = under_way() if given is None else [run_id(given)]
    found: dict[str, t.Any] = {"changed": False, "runs": [_run(run, module.params["watch"]) for run in wanted]}
    return {**found, "history": Records().history()} if module.params["history"] else found


def _run(run: str, watch: bool) -> dict[str, t.Any]:
    records = Records()
    control = records.control(run)
    # In this order: a run that ends in between is seen with its outcomes all the same.
    alive, shown = control.alive(), control.shown()
    outcomes = records.outcomes(run)
    if watch and alive:
        control.beat()
    elif watch and outcomes is not None:
        records.hear(run)
    return {
        "run": run,
        "alive": alive,
        "domains": [] if shown is None else shown["domains"],
        "outcomes": outcomes,
    }


def main() -> None:
    run_local(OPTIONS, look)


if __name__ == "__main__":
    main()
