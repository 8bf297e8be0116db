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
"""
