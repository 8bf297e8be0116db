# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The moves of a plan, as migrate makes and verify proves them."""

    DOCUMENTATION = r"""
options:
  moves:
    description:
      - Moves as M(livemig.libvirt.plan) returns them in RV(livemig.libvirt.plan#module:plan).
    type: list
    elements: dict
    required: true
    suboptions:
      domain:
        description: The domain's name, for messages. The domain is found by its UUID.
        type: str
        required: true
      uuid:
        description: The domain's UUID.
        type: str
        required: true
      source:
        description: What the plan calls the source.
        type: str
        required: true
      destination:
        description: What the plan calls the destination.
        type: str
        required: true
      destination_uri:
        description: The libvirt URI by which the source's daemon reaches the destination's.
        type: str
        required: true
      migrate_uri:
        description: The address for the migration stream, for example V(tcp://198.51.100.2).
        type: str
        required: true
      persistent:
        description:
          - Whether the domain is defined at the destination and no longer on the source. V(false) keeps it transient.
        type: bool
        default: true
      autostart:
        description:
          - Whether the domain has the autostart flag at the destination. libvirt itself does not carry it over.
        type: bool
        default: false
      memory_mib:
        description: The domain's memory in MiB, as planned. For information.
        type: int
        default: 0
      requires:
        description: What the plan counted on at the destination, for example C(available_mib). For information.
        type: dict
        default: {}
      edits:
        description:
          - What is changed in the host side of the definition on its way. The changes are made in definitions that are
            read freshly at the start of the migration. Where one of them finds nothing to change, the move is refused.
        type: list
        elements: dict
        default: []
        suboptions:
          kind:
            description: What is changed.
            type: str
            required: true
            choices: [bridge, cpuset, emulator, listen, medium, network, parent]
          item:
            description: The device that is meant. Without it, all that have the old value.
            type: str
          old:
            description: The value in the definition at the source.
            type: str
            required: true
          new:
            description: The value at the destination. Without it the old value is taken away; a medium is ejected.
            type: str
      controls:
        description:
          - The user's decisions about checks that speak of this move, for the last look before its start.
        type: list
        elements: dict
        default: []
        suboptions:
          check:
            description: The id of the check.
            type: str
            required: true
          set:
            description: What it is set to.
            type: str
            required: true
            choices: [silence, info, warning, error]
          reason:
            description: Why.
            type: str
            required: true
          hosts:
            description: The hosts of which it speaks. Without it, all.
            type: list
            elements: str
          domains:
            description: The UUIDs of the domains of which it speaks. Without it, all.
            type: list
            elements: str
      way:
        description:
          - By which of libvirt's means the domain goes. Without it, in one stream and with nothing special.
          - The last look judges it. What libvirt or QEMU would refuse together is refused before anything is begun.
        type: dict
        suboptions:
          state:
            description:
              - The state for which the move was planned. In another one it is refused.
              - Of a domain that is V(shutoff) the definition moves, and nothing else.
            type: str
            choices: [running, paused, shutoff]
            default: running
          parallel:
            description: Connections for the memory. V(0) is one stream.
            type: int
            default: 0
          zerocopy:
            description: Memory is sent without copying it first.
            type: bool
            default: false
          compression:
            description: libvirt's names of methods.
            type: list
            elements: str
            default: []
          bandwidth_mib_s:
            description: The limit in MiB/s, of the memory and of each copied disk. V(0) is none.
            type: int
            default: 0
          auto_converge:
            description: The guest is slowed down until its memory can be followed.
            type: bool
            default: false
          postcopy:
            description: The migration may be switched to post-copy (C(virsh migrate-postcopy)).
            type: bool
            default: false
          abort_on_error:
            description: An I/O error of the guest ends the migration.
            type: bool
            default: false
          unsafe:
            description: libvirt's own checks of disks are skipped.
            type: bool
            default: false
          copy_storage:
            description: Whether disks are copied, whole or as what is above their backing images.
            type: str
            choices: [none, all, inc]
            default: none
          copy_disks:
            description: The targets of the disks that are copied. Where it is empty none is.
            type: list
            elements: str
            default: []
          synchronous_writes:
            description: The guest's writes wait for the copy, so that the copy comes to its end. Needs libvirt 8.0.
            type: bool
            default: false
          listen_address:
            description: The address at which the destination listens. Empty is all of them.
            type: str
            default: ""
          disks_port:
            description: The port that takes copies of disks. V(0) is libvirt's own choice.
            type: int
            default: 0
          disks_uri:
            description: Where copies of disks go. Empty is where the memory goes.
            type: str
            default: ""
          tls_destination:
            description: The name in the destination's certificate. Empty is that of O(moves[].migrate_uri).
            type: str
            default: ""
          vf:
            description:
              - What becomes of the guest's virtual functions. V(replug) takes them off before the migration and puts
                others on after it. V(failover) leaves that to QEMU. V(native) lets the device itself migrate.
            type: str
            choices: [none, replug, failover, native]
            default: none
          vf_reason:
            description: Why that was chosen.
            type: str
            default: ""
          vf_gap:
            description: Whether a guest without a standby may be without network meanwhile.
            type: bool
            default: false
          vf_immediate:
            description: Whether the memory of a guest with virtual functions is allocated at once at the destination.
            type: bool
            default: false
      profile:
        description:
          - What the migration may cost. Without it, what the profile V(balanced) says. C(docs/convergence.md) has every
            setting, and why each number is what it is.
          - Where O(moves[].way.postcopy) or O(moves[].way.auto_converge) is set, nothing is decided by it. What it says
            of the pause is held against what was measured all the same.
        type: dict
        default: {}
        suboptions:
          name:
            description: V(gentle), V(balanced) or V(deadline). What is not said below is what this profile says.
            type: str
          target_ms:
            description: Milliseconds that QEMU may pause the guest for without being told more.
            type: int
          ceiling_ms:
            description: Milliseconds that the guest may be paused for at most.
            type: int
          budget:
            description: Times the touched memory that may be sent in one attempt.
            type: float
          worth:
            description: Part by which one more pass must shorten the pause to be waited for.
            type: float
          patience:
            description: Passes to wait for the memory left to fall to the least seen so far.
            type: int
          deadline_s:
            description: Seconds after which it must be over. V(0) is no end.
            type: int
          postcopy:
            description: Whether post-copy is allowed.
            type: bool
          postcopy_s:
            description: Seconds for which post-copy may keep the guest's memory on two hosts.
            type: int
          throttle:
            description: Whether the guest may be slowed down where nothing else gets it there.
            type: bool
          device_mib:
            description: MiB of state that its devices send while it is paused, such as a vGPU's.
            type: float
          device_ms:
            description: Milliseconds that saving and loading its devices takes besides.
            type: int
          obstacles:
            description:
              - What the plan has found to be in the way of post-copy. Without it, nobody has judged that, and post-copy
                is not begun.
            type: list
            elements: str
      forecast:
        description:
          - What the plan expects. Right before the start it is made anew; what is not known then, such as how fast the
            guest writes, is taken from here.
        type: dict
"""
