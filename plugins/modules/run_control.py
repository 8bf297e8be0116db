#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_control
short_description: Stop a migration run of this host, or change its bandwidth
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Tells the runs of M(livemig.libvirt.migrate) that are under way on this host to stop, or how much bandwidth each of
    their migrations may use from now on. It only asks; the run does so within about a second.
extends_documentation_fragment:
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: A run that was asked already is not asked again. A bandwidth is set every time.
options:
  run_id:
    description: Only this run. Without it, all that are under way.
    type: str
  stop:
    description:
      - V(finish) lets what is under way come to its end, with all that follows, and starts nothing new.
      - V(abort) aborts what is under way, too; those domains go on running on their source. A migration past its
        switchover comes to its end.
    type: str
    choices: [finish, abort]
  bandwidth_mib_s:
    description: MiB per second for each migration that is under way, or starts later.
    type: int
seealso:
  - module: livemig.libvirt.run_info
"""

EXAMPLES = r"""
- name: Start nothing new on this host
  livemig.libvirt.run_control:
    stop: finish

- name: Leave bandwidth to others until the morning
  livemig.libvirt.run_control:
    bandwidth_mib_s: 50
"""

RETURN = r"""
runs:
  description: Ids of the runs that were asked.
  returned: success
  type: list
  elements: str
  sample: ["20261127T010000Z-0a1b2c3d"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records, run_id, under_way
from ansible_collections.livemig.libvirt.plugins.module_utils._module import run_local

OPTIONS: dict[str, dict[str, t.Any]] = {
    "run_id": {"type": "str"},
    "stop": {"type": "str", "choices": ["finish", "abort"]},
    "bandwidth_mib_s": {"type": "int"},
}


def ask(module: AnsibleModule) -> dict[str, t.Any]:
    values = module.params
    if values["bandwidth_mib_s"] is not None and values["bandwidth_mib_s"] < 1:
        module.fail_json(
            msg=f"bandwidth_mib_s: {values['bandwidth_mib_s']}; expected 1 or more MiB per second. "
            "Remedy: correct the value."
        )
    given = values["run_id"]
    wanted = [run for run in under_way() if given is None or run == run_id(given)]
    changed = [run for run in wanted if _ask(run, values["stop"], values["bandwidth_mib_s"], module.check_mode)]
    return {"changed": bool(changed), "runs": changed}


def _ask(run: str, stop: str | None, cap: int | None, only_say: bool) -> bool:
    control = Records().control(run)
    new = stop is not None and control.asked() not in (stop, "abort")
    if not only_say:
        if new and stop is not None:
            control.ask(stop)
        if cap is not None:
            control.cap(cap)
    return new or cap is not None


def main() -> None:
    run_local(OPTIONS, ask, required_one_of=[["stop", "bandwidth_mib_s"]])


if __name__ == "__main__":
    main()
