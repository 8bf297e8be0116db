#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: Say where every domain of a fleet can go, and why not elsewhere
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Makes one audit of snapshots and findings, for every active domain the hosts it could go to and what keeps it from
    the others, for every host who is trapped on it, which single change would free most domains, and what became worse
    since an earlier audit. Prints it as a table and keeps it as JSON, text and one self-contained HTML page.
  - Each domain is judged as if it alone were to move, by the findings and by the memory that it needs.
  - It asks no host and reads no clock. The same input gives the same audit.
  - Runs on the controller. Use C(run_once), since one audit covers all hosts.
extends_documentation_fragment:
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
  - livemig.libvirt.attributes.controller
attributes:
  check_mode:
    support: full
    details:
      - The audit is made and printed, no file is written.
  diff_mode:
    support: full
    details:
      - Shows C(audit.txt). The other files say the same at greater length.
  idempotent:
    support: partial
    details:
      - An audit that is made again with the same O(finished) is the same, and keeps what it was compared with. Another
        time makes another audit, which is compared with the one before.
options:
  hosts:
    description: The snapshots of all hosts, as M(livemig.libvirt.host_info) returned them as C(host).
    type: list
    elements: dict
    required: true
  domains:
    description:
      - The snapshots of the domains of all hosts, as M(livemig.libvirt.domain_info) returned them as C(domains).
    type: list
    elements: dict
    required: true
  findings:
    description: What M(livemig.libvirt.preflight) found with the same hosts and domains.
    type: list
    elements: dict
    required: true
  destinations:
    description: The names of the hosts that may take domains, those that do not answer too.
    type: list
    elements: str
    required: true
  unreachable:
    description: For each host name of which no snapshot came, the reason.
    type: dict
    default: {}
  memory_reserve_mib:
    description: Memory in MiB that is left free on every host, as in M(livemig.libvirt.plan).
    type: int
    default: 512
  started:
    description: When the audit began, in Unix seconds.
    type: int
  finished:
    description: When it ended, in Unix seconds.
    type: int
  previous:
    description:
      - A file on the controller with the earlier audit to compare with. A relative path is looked for beside the
        playbook.
      - Without it, C(audit.json) in O(dest) is taken where it is there.
      - The module fails where the file is no audit of this version, and then writes nothing.
    type: path
  dest:
    description:
      - A directory on the controller. C(audit.json), C(audit.txt) and C(audit.html) are written there with mode
        C(0600), each as a whole or not at all.
      - It is made with mode C(0700) when it is missing. A directory that is there keeps its mode.
      - A relative path is looked for beside the playbook.
      - Without this option nothing is written.
    type: path
  show:
    description: Whether to print the table.
    type: bool
    default: true
seealso:
  - module: livemig.libvirt.preflight
  - module: livemig.libvirt.plan
"""

EXAMPLES = r"""
- name: Audit the fleet
  livemig.libvirt.audit:
    hosts: "{{ on_hosts | map(attribute='observed_host.host') }}"
    domains: "{{ on_hosts | map(attribute='observed.domains') | flatten }}"
    findings: "{{ checked.findings }}"
    destinations: "{{ ansible_play_hosts_all }}"
    finished: "{{ now().timestamp() | int }}"
    dest: /var/lib/livemig/audit
  run_once: true
  register: audited
  vars:
    on_hosts: "{{ ansible_play_hosts_all | map('extract', hostvars) }}"

- name: Fail when something became worse since the last audit
  ansible.builtin.assert:
    that: (audited.summary.worse or 0) == 0
  run_once: true
"""

RETURN = r"""
audit:
  description: The audit. C(docs/data-types.md) describes each key.
  returned: success
  type: dict
  sample:
    schema: 1
    kind: audit
summary:
  description: The counts of the audit.
  returned: success
  type: dict
  sample:
    hosts: 3
    silent: 0
    domains: 30
    movable: 28
    trapped: 2
    stopped: 1
    twice: 0
    ways: 60
    open: 55
    worse: 1
    better: 0
table:
  description: The same for people, as it was printed.
  returned: success
  type: str
  sample: "30 active domains on 3 hosts: 28 can move, 2 are trapped; 1 stopped; 55 of 60 ways are open"
files:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/livemig/audit/audit.txt, /var/lib/livemig/audit/audit.html, /var/lib/livemig/audit/audit.json]
"""
