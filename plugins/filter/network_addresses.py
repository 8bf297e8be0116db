# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_addresses
short_description: The addresses that hosts have in a network
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Finds for each host the address that it has in a network, such as one that is set aside for migrations.
  - Of several addresses in the network the lowest is taken.
  - Needs the Python package netaddr on the controller.
positional: network
options:
  _input:
    description: Snapshots of hosts, as M(livemig.libvirt.host_info) returns them as C(host).
    type: list
    elements: dict
    required: true
  network:
    description: The network, for example V(198.51.100.0/24). Empty is no network, and gives no addresses.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where each host would take migrations
  ansible.builtin.debug:
    msg: "{{ snapshots | livemig.libvirt.network_addresses('198.51.100.0/24') }}"
"""

RETURN = r"""
_value:
  description: Host name to address. Without a network, nothing.
  type: dict
  sample:
    hv1: 198.51.100.1
    hv2: 198.51.100.2
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.network import addresses_in


def network_addresses(hosts: t.Sequence[t.Mapping[str, t.Any]], network: str) -> dict[str, str]:
    """Host name -> its address there. Raises AnsibleFilterError with value, expected and remedy."""
    try:
        return addresses_in(network, hosts)
    except LivemigError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"network_addresses": network_addresses}
