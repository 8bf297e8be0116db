#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Decide which domain goes where
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Places the domains of the hosts to empty that run or are paused. The largest goes first, to the first destination
    that has room for it and against which no finding speaks.
  - A domain for which there is no place stays, and the plan names everything that speaks against each destination.
  - It asks no host and reads no clock. The same input gives the same plan, and the plan's digest stands for it.
  - Runs on the controller. Use C(run_once), since one plan covers all hosts.
extends_documentation_fragment:
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
  - livemig.libvirt.attributes.controller
  - livemig.libvirt.attributes.info_module
options:
  hosts:
    description:
      - The snapshots of all hosts that take part, as M(livemig.libvirt.host_info) returned them as C(host).
    type: list
    elements: dict
    required: true
  domains:
    description:
      - The snapshots of the domains, as M(livemig.libvirt.domain_info) returned them as C(domains).
      - Those of other hosts than O(sources) are left out.
    type: list
    elements: dict
    required: true
  findings:
    description:
      - What M(livemig.libvirt.preflight) found for these hosts and domains. An empty list says that everything passed.
    type: list
    elements: dict
    required: true
  sources:
    description: The names of the hosts to empty.
    type: list
    elements: str
    required: true
  destinations:
    description: The names of the hosts that may take domains, in the order in which they are filled.
    type: list
    elements: str
    required: true
  tls:
    description: Whether the migration stream is encrypted. The plan carries it, and so its digest covers it.
    type: str
    choices: ["required", "off"]
    default: required
  uris:
    description:
      - For each destination name, the libvirt URI by which the daemons of the sources reach it.
    type: dict
    required: true
  addresses:
    description:
      - For each destination name, its name or address for the migration stream.
      - An IPv6 address is given without brackets.
    type: dict
    required: true
  networks:
    description:
      - For each destination name, its IP address in the migration network. The destination listens there for the memory
        and for copies of disks. Without an entry, libvirt listens on all addresses.
    type: dict
    default: {}
  controls:
    description:
      - The user's decisions about checks, as M(livemig.libvirt.preflight) returned them. Each move carries those that
        speak of it, so that the last look before its start knows them.
    type: list
    elements: dict
    default: []
  migration:
    description:
      - The options with which O(findings) were judged, as M(livemig.libvirt.preflight) returned them as C(migration).
      - They become the C(way) of each move, and what they leave open is chosen by the facts of both hosts, such as the
        number of parallel connections.
      - C(live), C(paused), C(max_downtime_ms), C(peer2peer), C(persist), C(undefine_source), C(timeout_s), C(transport)
        and C(tunnelled) must be left at their defaults. No move of this collection uses them otherwise.
    type: dict
    default: {}
  convergence:
    description:
      - What each migration may cost. C(profile) is V(gentle), V(balanced) or V(deadline), C(balanced) without it. Any
        setting of the profile can be changed here, such as C(ceiling_ms), the longest pause, for all domains, and in a
        domain's own label for this domain. C(docs/convergence.md) has all of them, with the reason of each number.
      - C(link_mib_s) is what the link carries, in MiB/s, for as long as no earlier run has shown it.
    type: dict
    default: {}
  history:
    description:
      - What earlier runs have shown of guests and links, as M(livemig.libvirt.run_info) returned it on all hosts. The
        forecast of each move is made of it.
    type: list
    elements: dict
    default: []
  answers:
    description:
      - What the hosts answered, as it is handed to M(livemig.libvirt.preflight) too. By the rate at which a destination
        fills memory it is known how long a guest stands still where O(migration) has C(vf=failover).
    type: dict
    default: {}
  memory_reserve_mib:
    description:
      - Memory in MiB that is left free on every destination, for the host's own daemons, the page cache of its disks,
        and what guests that are there already may still claim.
    type: int
    default: 512
  show:
    description: Whether to print the plan.
    type: bool
    default: true
seealso:
  - module: livemig.libvirt.preflight
  - module: livemig.libvirt.migrate
"""

EXAMPLES = r"""
- name: Empty hv1
  livemig.libvirt.plan:
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, ['observed', 'host']) }}"
    domains: "{{ hostvars['hv1'].inside.domains }}"
    findings: "{{ judged.findings }}"
    migration: "{{ judged.migration }}"
    sources: [hv1]
    destinations: [hv2, hv3]
    uris:
      hv2: qemu+tls://hv2.example.com/system
      hv3: qemu+tls://hv3.example.com/system
    addresses:
      hv2: 198.51.100.2
      hv3: 2001:db8::3
  register: planned
  run_once: true
"""

RETURN = r"""
plan:
  description: The plan. C(docs/data-types.md) describes each key.
  returned: success
  type: dict
  contains:
    digest:
      description: SHA-256 of the rest of the plan, in hexadecimal digits. Approving a plan means approving its digest.
      type: str
    tls:
      description: As O(tls).
      type: str
    sources:
      description: As O(sources).
      type: list
      elements: str
    destinations:
      description: As O(destinations).
      type: list
      elements: str
    moves:
      description: Who goes where, the largest first. M(livemig.libvirt.migrate) takes those of its host.
      type: list
      elements: dict
    stays:
      description: Who stays, with all reasons. Domains that do not run are among them.
      type: list
      elements: dict
table:
  description: The plan as text, as it was printed.
  returned: success
  type: str
  sample: |-
    Plan 3f9a1c0b: 1 to move, 0 to stay

      domain  from  to   memory MiB  pause ms  ceiling ms  total s  forecast
      web1    hv1   hv2        2048       190        1000       12  converges
"""
