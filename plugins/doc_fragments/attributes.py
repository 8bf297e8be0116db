# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Attribute texts shared by every module of the collection."""

    # A module that uses this fragment adds its own `support:` (and `details:`) to the first three attributes,
    # unless it also uses INFO_MODULE. `platform` is the same for all: the managed host runs libvirt on Linux.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check mode), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled or queried by the module has not changed in a relevant way.
  platform:
    description: Target operating systems or families that can be operated against.
    support: full
    platforms: posix
    details:
      - Hosts with libvirt and QEMU on Linux.
"""

    # Used together with the standard fragment by modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""

    ACTIONGROUP_LIVEMIG = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/livemig.libvirt.livemig) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - livemig.libvirt.livemig
"""

    # Used together with the standard fragment by actions that run on the controller.
    CONTROLLER = r"""
options: {}
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some options can be executed on the controller.
    support: full
    details:
      - Runs completely on the controller. Nothing is copied to the managed host and no Python is needed there.
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
