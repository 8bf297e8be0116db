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
"""
