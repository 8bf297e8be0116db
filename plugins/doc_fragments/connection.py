# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that talks to a libvirt daemon."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt connection URI, as seen from the host on which the module runs.
    type: str
    default: qemu:///system
requirements:
  - libvirt-python (package C(python3-libvirt)) for the Python interpreter that Ansible uses on the host
"""
