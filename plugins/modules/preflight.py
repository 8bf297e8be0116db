#!/usr/bin/python
# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Judge every domain against every destination
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Evaluates the checks of the collection over snapshots of hosts and domains. Returns everything that did not
    pass, with what was found, what was expected and a remedy. C(docs/checks.md) lists the checks.
  - What could not be evaluated is a finding too, of status C(unknown). It rules a move out where a double run, data
    loss or the loss of a guest is possible.
  - Some facts only another host can tell, for example whether it provides a guest's CPU. These are returned as
    RV(questions). M(livemig.libvirt.host_info) answers them, and the second call of this module takes O(answers).
  - It asks no host and reads no clock. The same input gives the same findings.
  - Runs on the controller. Use C(run_once), since one call judges all hosts.
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
      - The snapshots of the domains to judge, as M(livemig.libvirt.domain_info) returned them as C(domains).
    type: list
    elements: dict
    required: true
  destinations:
    description:
      - The names of the hosts that may take domains. A domain is not judged against the host on which it runs.
    type: list
    elements: str
    required: true
  answers:
    description:
      - For each host name, what M(livemig.libvirt.host_info) returned as C(answers).
      - What was not asked is C(unknown), and never passes.
    type: dict
    default: {}
  tls:
    description:
      - Whether the migration stream is encrypted. With V(required), both hosts need certificates for it.
    type: str
    choices: ["required", "off"]
    default: required
  uris:
    description:
      - For each destination name, the libvirt URI by which the daemons of the sources reach it.
    type: dict
    default: {}
  unreachable:
    description:
      - For each host name of which no snapshot came, the reason. The finding repeats it.
    type: dict
    default: {}
  addresses:
    description:
      - For each destination name, the address to which the migration stream goes. It is compared with the names in the
        destination's certificate.
    type: dict
    default: {}
  probe:
    description:
      - Whether hosts may open connections to see whether ports and storage servers answer. Without it nothing is sent
        to anybody but the hosts' own daemons, and what only a connection could tell is not judged.
      - Destinations of guests with virtual functions then also measure how fast they allocate memory, with 256 MiB of
        it and for less than a second.
    type: bool
    default: false
  migration:
    description:
      - How the domains are to be migrated. The checks judge whether that fits the domains, the hosts and itself.
      - M(livemig.libvirt.plan) makes the way of each move of them. Some of them serve only to judge migrations that are
        made by other means, with C(virsh migrate) for example; M(livemig.libvirt.plan) names those.
    type: dict
    default: {}
    suboptions:
      abort_on_error:
        description: End the migration when the guest gets an I/O error (C(--abort-on-error)).
        type: bool
        default: false
      auto_converge:
        description: Slow the guest down until its memory can be followed (C(--auto-converge)).
        type: bool
        default: false
      bandwidth_mib_s:
        description: The limit of each stream, in MiB/s (C(--bandwidth)). V(0) is none.
        type: int
        default: 0
      compression:
        description: libvirt's names of methods (C(--comp-methods)), for example V(zstd).
        type: list
        elements: str
        default: []
      copy_disks:
        description: The targets of the disks that are copied (C(--migrate-disks)). Empty is libvirt's own choice.
        type: list
        elements: str
        default: []
      copy_storage:
        description: Whether disks are copied, whole (C(--copy-storage-all)) or as what is above their backing images
          (C(--copy-storage-inc)).
        type: str
        choices: [none, all, inc]
        default: none
      disks_port:
        description: The port that takes copies of disks (C(--disks-port)). V(0) is libvirt's own choice.
        type: int
        default: 0
      disks_uri:
        description: Where copies of disks go (C(--disks-uri)). Empty is libvirt's own choice.
        type: str
        default: ""
      listen_address:
        description: The address at which the destination listens (C(--listen-address)).
        type: str
        default: ""
      live:
        description: The guest runs meanwhile (C(--live)).
        type: bool
        default: true
      max_downtime_ms:
        description: The longest pause that is tried for, in milliseconds. V(0) is libvirt's own choice.
        type: int
        default: 0
      offline:
        description: Move the definitions of domains that do not run, too (C(--offline)).
        type: bool
        default: false
      parallel:
        description:
          - Connections of a parallel migration (C(--parallel-connections)). V(0) is one that is not parallel.
          - With V(auto), one for about 10 Gbit/s of the slower NIC, or with TLS for about 4 Gbit/s, from 2 to 8 and at
            most half of the cores; one stream below 10 Gbit/s, or where the speed is not known. What needs connections,
            such as O(migration.zerocopy), needs a number here.
        type: str
        default: auto
      paused:
        description: Leave the guest paused at the destination (C(--suspend)).
        type: bool
        default: false
      peer2peer:
        description: The source drives the migration (C(--p2p)).
        type: bool
        default: true
      persist:
        description: Define the domain at the destination (C(--persistent)).
        type: bool
        default: true
      postcopy:
        description: Post-copy may be used (C(--postcopy)).
        type: bool
        default: false
      timeout_s:
        description: After how many seconds something else is done (C(--timeout)). V(0) is never.
        type: int
        default: 0
      tls_destination:
        description: The name in the destination's certificate (C(--tls-destination)). Empty is that of the URI.
        type: str
        default: ""
      transport:
        description: What carries the stream.
        type: str
        choices: [tcp, unix, rdma]
        default: tcp
      tunnelled:
        description: The stream goes through libvirt's connection (C(--tunnelled)).
        type: bool
        default: false
      undefine_source:
        description: Delete the definition at the source (C(--undefinesource)).
        type: bool
        default: true
      unsafe:
        description: Skip libvirt's own checks of disks (C(--unsafe)).
        type: bool
        default: false
      vf:
        description:
          - What becomes of virtual functions that are passed through (C(docs/sriov.md)). V(auto) chooses by facts and
            says why. V(replug) takes them off, migrates on the standby and puts others on once the guest runs.
            V(failover) leaves that to QEMU, which does it while the guest stands still. V(native) lets the device's
            driver migrate it. V(refuse) keeps such domains where they are.
        type: str
        choices: [auto, replug, failover, native, refuse]
        default: auto
      vf_immediate:
        description:
          - Allocate all memory of a guest with virtual functions when its QEMU starts at the destination
            (C(<allocation mode='immediate'/>)), for this start only. The migration begins later, and neither its
            switchover nor the attachment waits for that memory.
        type: bool
        default: false
      vf_pin_mib_s:
        description:
          - The destinations' rate of allocating and pinning memory in plain pages, in MiB/s. V(0) is what the
            destination measures, with O(probe), and without that 2450 MiB/s.
        type: int
        default: 0
      zerocopy:
        description: Send memory without copying it (C(--zerocopy)).
        type: bool
        default: false
  convergence:
    description:
      - What each migration may cost, as in M(livemig.libvirt.plan). A guest whose forecast of standing still while the
        destination pins its memory, with O(migration.vf=failover), is longer than C(ceiling_ms) is ruled out.
    type: dict
    default: {}
  checks:
    description:
      - What you have decided about checks. Of several decisions that speak of a finding, the last one holds.
      - A decision without O(checks[].hosts), O(checks[].domains), O(checks[].labels) and O(checks[].where) holds
        everywhere. Where several of them are given, all must fit.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description:
          - The id of a check, from C(docs/checks.md). Checks that stand between a guest and a second instance of it
            cannot be lowered.
        type: str
        required: true
      set:
        description:
          - V(error) rules the move out, also where the check could not be evaluated; V(warning) and V(info) do not.
          - V(silence) keeps the finding in the data, with status C(silenced) and the reason, and out of the way.
          - One of V(silence), V(info), V(warning), V(error).
        type: str
        required: true
      reason:
        description:
          - Why. It is kept with each finding. Required for everything but V(error).
        type: str
        default: ""
      hosts:
        description:
          - Hosts or groups of the inventory. It fits findings whose source or destination is one of them.
        type: list
        elements: str
      domains:
        description:
          - Names of domains.
        type: list
        elements: str
      labels:
        description:
          - Words of the domain's own label, the text in its metadata element C(urn:livemig:policy:1). One must fit.
        type: list
        elements: str
      where:
        description:
          - A JMESPath expression over the domain's snapshot that must be true, for example V(memory_mib > `65536`).
            Needs the Python package jmespath on the controller.
        type: str
  edits:
    description:
      - What may be changed in the host side of a definition when a domain goes to another host.
    type: dict
    default: {}
    suboptions:
      allow:
        description:
          - The kinds of changes that may be applied. Others are only proposed in the remedy of a finding.
          - C(bridge), C(network) and C(parent) are what a NIC is attached to, C(listen) the address of a graphical
            console, C(cpuset) the CPUs of a pinning, C(emulator) the path of QEMU, C(medium) what is in a drive.
        type: list
        elements: str
        default: []
      map:
        description:
          - For each destination name, kind and old value, the new value. V(*) as the old value stands for all others.
        type: dict
        default: {}
      eject_media:
        description:
          - Whether a medium that the destination does not have is to be ejected. It needs V(medium) in
            O(edits.allow) too.
        type: bool
        default: false
seealso:
  - module: livemig.libvirt.host_info
  - module: livemig.libvirt.domain_info
  - module: livemig.libvirt.plan
"""

EXAMPLES = r"""
- name: Find out what must be asked of whom
  livemig.libvirt.preflight:
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, ['observed', 'host']) }}"
    domains: "{{ hostvars['hv1'].inside.domains }}"
    destinations: [hv2, hv3]
    uris: &uris
      hv2: qemu+tls://hv2.example.com/system
      hv3: qemu+tls://hv3.example.com/system
  register: asked
  run_once: true

- name: Ask the hosts
  livemig.libvirt.host_info:
    name: "{{ inventory_hostname }}"
    questions: "{{ asked.questions[inventory_hostname] | default([]) }}"
  register: answered

- name: Judge
  livemig.libvirt.preflight:
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, ['observed', 'host']) }}"
    domains: "{{ hostvars['hv1'].inside.domains }}"
    destinations: [hv2, hv3]
    uris: *uris
    answers: "{{ dict(ansible_play_hosts | zip(answers)) }}"
  register: judged
  run_once: true
  vars:
    answers: "{{ ansible_play_hosts | map('extract', hostvars, ['answered', 'answers']) }}"
"""

RETURN = r"""
controls:
  description:
    - The decisions of O(checks) with groups, labels and expressions resolved, for M(livemig.libvirt.plan).
  returned: success
  type: list
  elements: dict
migration:
  description:
    - The options of O(migration) that differ from their defaults, for M(livemig.libvirt.plan), which refuses them.
  returned: success
  type: dict
  sample: {}
questions:
  description:
    - For each host name, the questions that O(answers) does not answer yet. A host without any is left out.
  returned: success
  type: dict
  sample:
    hv2:
      - key: path:/srv/images/web1.qcow2
        ask: path
        path: /srv/images/web1.qcow2
findings:
  description:
    - Everything that did not pass, in an order that depends on nothing but the names. C(docs/data-types.md) describes
      each key.
  returned: success
  type: list
  elements: dict
  sample:
    - check: net_bridge_exists
      severity: error
      status: fail
      domain: web1
      source: hv1
      destination: hv2
      blocks: true
      message: >-
        NIC 52:54:00:00:00:01 of domain web1: its bridge br7 is not on hv2; expected a bridge of the same name on both
        hosts.
      remedy: create the bridge there, connected to the same network
summary:
  description: How many findings there are.
  returned: success
  type: dict
  contains:
    error:
      description: Findings of severity C(error).
      type: int
    warning:
      description: Findings of severity C(warning).
      type: int
    info:
      description: Findings of severity C(info).
      type: int
    fail:
      description: Findings that were evaluated and did not pass.
      type: int
    unknown:
      description: Findings that could not be evaluated.
      type: int
    silenced:
      description: Findings that the user has silenced.
      type: int
    edited:
      description: Findings that a change of the definition solves.
      type: int
    blocks:
      description: Findings that rule a move out.
      type: int
    unknown_checks:
      description: For each check that could not be evaluated everywhere, how many of its findings say so.
      type: dict
  sample:
    {
      "error": 1,
      "warning": 0,
      "info": 1,
      "fail": 1,
      "unknown": 0,
      "silenced": 1,
      "edited": 0,
      "blocks": 1,
      "unknown_checks": {}
    }
"""
