#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migrate
short_description: Live-migrate domains away from this host
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Runs on the source host and migrates the listed domains, O(max_parallel) at a time, peer-to-peer from this host's
    daemon to the destination's. libvirt's events decide and are timed; nothing is polled.
  - Right before each start the checks whose facts can have changed since the plan was made are evaluated once more on
    both hosts. A check that fails now refuses that domain, and the others go on.
  - Before anything is touched, the domain's definition and what is intended are written down on this host and in the
    domain's own metadata, so that M(livemig.libvirt.recover) can end a migration that was interrupted at any moment.
    Both are removed at the end. So the module must run as root.
  - After an error both hosts are asked where the domain runs, twice. What is safe is done at once, for example the
    source is resumed where the destination has no domain. Where it is not proven the outcome is C(unknown) and nothing
    is done.
  - At the beginning of each pass over a guest's memory it is decided, by the profile of its move, whether anything is
    to be done so that the guest arrives, and is paused for no longer than its ceiling. A guest that converges is left
    alone. One that cannot arrive is aborted, with the figures, and goes on where it was. C(docs/convergence.md) has the
    rules.
  - A domain that is already running at its destination is left alone, so a second run changes nothing.
extends_documentation_fragment:
  - livemig.libvirt.connection
  - livemig.libvirt.moves
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
  tls:
    description:
      - V(required) encrypts the migration stream with the certificates of QEMU on both hosts. Without them the
        migration fails; it never falls back to plain text.
      - V(off) sends the guest's memory in plain text. For a trusted network only.
    type: str
    choices: ["required", "off"]
    default: required
  max_parallel:
    description: How many domains migrate at the same time from this host.
    type: int
    default: 2
  timeout_s:
    description:
      - Seconds after which a migration that is still running is aborted. The domain then goes on running on the source.
    type: int
    default: 3600
  run_id:
    description:
      - The name under which this host keeps its journal of the run, C(/var/lib/livemig/runs/RUN_ID.jsonl). Letters,
        digits, C(.), C(_) and C(-). Without it, one is made of the time.
    type: str
  progress:
    description:
      - Runs in the background on the host and shows what each domain is at. It survives the end of the connection and
        of the controller. With V(false), and in check mode, the module runs as any other, and shows nothing until its
        end.
    type: bool
    default: true
  on_controller_loss:
    description:
      - What the run does once its controller has not been heard of for a minute, with O(progress). V(finish) brings
        what is under way to its end, with all that follows, and starts nothing new. V(abort) aborts it. V(continue)
        migrates the whole list.
    type: str
    choices: [finish, abort, continue]
    default: finish
seealso:
  - module: livemig.libvirt.recover
  - module: livemig.libvirt.run_control
  - module: livemig.libvirt.run_info
  - module: livemig.libvirt.plan
  - module: livemig.libvirt.verify
"""

EXAMPLES = r"""
- name: Migrate what the plan says for this host
  livemig.libvirt.migrate:
    moves: "{{ planned.plan.moves | selectattr('source', 'equalto', inventory_hostname) }}"
    max_parallel: 2

- name: Migrate one domain
  livemig.libvirt.migrate:
    moves:
      - domain: web1
        uuid: 5b0d0d8c-0e3a-4f5a-9a53-6f1f5d0a7c11
        source: hv1
        destination: hv2
        destination_uri: qemu+tls://hv2.example.com/system
        migrate_uri: tcp://hv2.example.com
"""

RETURN = r"""
outcomes:
  description:
    - What became of each move, in the order of O(moves). C(docs/data-types.md) describes each key.
    - The module fails when an outcome is C(failed), C(refused), C(ended), C(recoverable) or C(unknown).
  returned: always
  type: list
  elements: dict
  sample:
    - domain: web1
      state: moved
      running_on: hv2
      downtime: {"compute_ms": 48, "libvirt_ms": 51, "network_ms": null}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import connect
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import (
    Loss,
    Options,
    Records,
    migrate,
    planned,
    run_id,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._module import MOVES_OPTION, run_module

OPTIONS: dict[str, dict[str, t.Any]] = {
    **MOVES_OPTION,
    "tls": {"type": "str", "choices": ["required", "off"], "default": "required"},
    "max_parallel": {"type": "int", "default": 2},
    "timeout_s": {"type": "int", "default": 3600},
    "run_id": {"type": "str"},
    "progress": {"type": "bool", "default": True},
    "on_controller_loss": {"type": "str", "choices": ["finish", "abort", "continue"], "default": "finish"},
}
BROKEN = ("failed", "refused", "ended", "recoverable", "unknown")


def run(module: AnsibleModule) -> dict[str, t.Any]:
    values = module.params
    for name in ("max_parallel", "timeout_s"):
        if values[name] < 1:
            module.fail_json(msg=f"{name}: {values[name]}; expected 1 or more. Remedy: correct the value.")
    if module.check_mode:
        outcomes = planned(values["moves"])
    else:
        options = Options(values["tls"], values["timeout_s"])
        run, loss = run_id(values["run_id"]), Loss(values["on_controller_loss"], watched=values["progress"])
        outcomes = migrate(
            values["uri"], values["moves"], options, values["max_parallel"], connect, Records(), run, loss
        )
    broken = [outcome for outcome in outcomes if outcome["state"] in BROKEN]
    result: dict[str, t.Any] = {
        "changed": any(outcome["state"] in ("moved", "planned") for outcome in outcomes),
        "outcomes": outcomes,
        "failed": bool(broken),
        "diff": _diff(values["moves"], None if module.check_mode else outcomes),
    }
    if broken:
        result["msg"] = "; ".join(f"{o['domain']} ({o['state']}): {o['error']}" for o in broken)
    return result


def _diff(moves: list[dict[str, t.Any]], outcomes: t.Any) -> dict[str, str]:
    """Where each domain was and is, and what is changed in its definition. Without outcomes: where the moves lead."""
    if outcomes is None:
        ends = [move["destination"] for move in moves]
    else:
        ends = [str(outcome["running_on"]) for outcome in outcomes]
    return {
        "before": "".join(_shown(move, move["source"]) for move in moves),
        "after": "".join(_shown(move, end) for move, end in zip(moves, ends)),
    }


def _shown(move: dict[str, t.Any], host: str) -> str:
    side = "new" if host == move["destination"] else "old"
    edits = [f"  {edit['kind']} {edit[side]}" for edit in move["edits"] if edit[side] is not None]
    return "\n".join([f"{move['domain']}: {host}", *edits, ""])


def main() -> None:
    run_module(OPTIONS, run)


if __name__ == "__main__":
    main()
