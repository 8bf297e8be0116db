#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Say what moved, what stayed and why, and what failed
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Makes one report from the plan, the outcomes and the findings of a run, prints it as a table and keeps it in files.
  - What failed is explained by what libvirt and both hosts' logs say, as far as their messages are known. See
    C(docs/diagnosis.md).
  - It asks no host and reads no clock. The same input gives the same report.
  - The module succeeds although a domain failed, so that a playbook can report first and fail afterwards. Judge by
    RV(problems).
  - Runs on the controller. Use C(run_once), since one report covers all hosts.
extends_documentation_fragment:
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.controller
attributes:
  check_mode:
    support: full
    details:
      - The report is made and printed, no file is written.
  diff_mode:
    support: full
    details:
      - Shows the files that are written, or would be.
  idempotent:
    support: full
options:
  plan:
    description: The plan of the run, as M(livemig.libvirt.plan) returned it.
    type: dict
    required: true
  outcomes:
    description:
      - What became of the moves, the lists of all source hosts one after the other, as
        M(livemig.libvirt.migrate) returned them.
      - A move of the plan without an outcome is reported as C(unknown), since nobody knows where that domain is.
      - Without this option nothing was tried yet, and every move is reported as C(planned).
    type: list
    elements: dict
  proofs:
    description:
      - What M(livemig.libvirt.verify) returned as C(proofs) on each host, one element for each host.
      - With this option, a domain that moved must have a proof from its source and one from its destination. Where one
        is missing the move is reported as not proven.
      - Without it the report says that nothing was verified.
    type: list
    elements: dict
  logs:
    description:
      - What M(livemig.libvirt.verify) returned as C(logs) on each host, one element for each host.
      - Together with the source's log, which the outcome has, it tells why a migration failed and which side failed
        first. Without it the report says that the destination's log was not asked for.
    type: list
    elements: dict
    default: []
  said:
    description:
      - By source, what its M(livemig.libvirt.migrate) task said where it brought no outcomes.
      - The report names it as the cause.
    type: dict
    default: {}
  hosts:
    description:
      - The snapshots of the hosts from before the run, as M(livemig.libvirt.host_info) returned them as C(host).
      - They tell which domains were running on a source and are not in the plan, because nobody asked to move them. A
        host with such a domain is not reported as empty.
    type: list
    elements: dict
    default: []
  findings:
    description: What preflight found, as M(livemig.libvirt.preflight) returned it.
    type: list
    elements: dict
    default: []
  run_id:
    description:
      - The name of the run.
      - The default is C(plan-) and the first eight digits of the plan's digest, so two runs of the same plan have the
        same name.
    type: str
  started:
    description: When the run began, in Unix seconds.
    type: int
  finished:
    description:
      - When the run ended, in Unix seconds. With O(started) the table tells how long it took.
    type: int
  dest:
    description:
      - A directory on the controller. C(plan.json), C(findings.json), C(outcomes.json), C(report.json) and
        C(report.txt) are written there with mode C(0600), each as a whole or not at all.
      - It is made with mode C(0700) when it is missing. A directory that is there keeps its mode.
      - A relative path is looked for beside the playbook.
      - Without this option nothing is written.
    type: path
  show:
    description: Whether to print the table.
    type: bool
    default: true
seealso:
  - module: livemig.libvirt.migrate
  - module: livemig.libvirt.verify
"""

EXAMPLES = r"""
- name: Report what happened on all hosts
  livemig.libvirt.report:
    plan: "{{ planned.plan }}"
    outcomes: "{{ on_hosts | map(attribute='migrated.outcomes', default=[]) | flatten }}"
    proofs: "{{ on_hosts | map(attribute='verified.proofs', default={}) }}"
    logs: "{{ on_hosts | map(attribute='verified.logs', default={}) }}"
    hosts: "{{ on_hosts | map(attribute='observed.host') }}"
    findings: "{{ checked.findings }}"
    dest: /var/lib/evacuations/2026-11-20
  run_once: true
  register: reported
  vars:
    on_hosts: "{{ ansible_play_hosts_all | map('extract', hostvars) }}"

- name: Fail when a domain is not where it should be
  ansible.builtin.assert:
    that: reported.problems | length == 0
    fail_msg: "{{ reported.problems | join(' ') }}"
  run_once: true

- name: Show a plan that has not been carried out
  livemig.libvirt.report:
    plan: "{{ planned.plan }}"
  run_once: true
"""

RETURN = r"""
report:
  description: The report. C(docs/data-types.md) describes each key.
  returned: success
  type: dict
  sample:
    schema: 1
    kind: report
    run_id: plan-3f9a1c0b
problems:
  description:
    - One sentence for each domain that is not where it should be, or that was not proven to be there, with its cause
      and its remedy.
    - A domain that stayed because it cannot move is no problem in this sense. It is in RV(report) with its reasons.
  returned: success
  type: list
  elements: str
  sample: []
table:
  description: The same for people, as it was printed.
  returned: success
  type: str
  sample: "3 moved, 1 stayed, 0 failed, 0 planned; hosts emptied: 0 of 1 (not: hv1)"
summary:
  description: The counts of the report, and for each source host whether a guest is still running there.
  returned: success
  type: dict
  sample:
    planned: 0
    moved: 3
    unproven: 0
    breached: 0
    stayed: 1
    failed: 0
    hosts_emptied:
      hv1: false
"""
