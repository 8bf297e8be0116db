# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user writes about the way of a migration: the option of that name, and what its values must be.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import MIGRATION

_CHOICES = {"copy_storage": ["none", "all", "inc"], "transport": ["tcp", "unix", "rdma"]}
_TYPES = {bool: "bool", int: "int", list: "list", str: "str"}
_LAST_PORT = 65535
_SCHEMES = ("tcp:", "unix:")


def _suboption(name: str, default: t.Any) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {"type": _TYPES[type(default)], "default": default}
    if isinstance(default, list):
        found["elements"] = "str"
    if name in _CHOICES:
        found["choices"] = _CHOICES[name]
    return found


MIGRATION_OPTION: dict[str, t.Any] = {
    "type": "dict",
    "default": {},
    "options": {name: _suboption(name, default) for name, default in MIGRATION.items()},
}


def migration(wanted: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the user has said, each value in its range. Raises LivemigError."""
    for name, value in wanted.items():
        if isinstance(value, int) and value < 0:
            raise _wrong(name, value, "0 or more", "0 stands for no limit, or for libvirt's own choice")
    port, uri = wanted.get("disks_port", 0), wanted.get("disks_uri", "")
    if port > _LAST_PORT:
        raise _wrong("disks_port", port, f"a port from 1 to {_LAST_PORT}, or 0", "correct it")
    if uri and not uri.startswith(_SCHEMES):
        raise _wrong("disks_uri", uri, "tcp://address:port or unix:///path", "correct it")
    return dict(wanted)


def changed(wanted: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options that differ from what holds where nothing is said."""
    return {name: value for name, value in wanted.items() if value != MIGRATION[name]}


def _wrong(name: str, value: object, expected: str, remedy: str) -> LivemigError:
    return LivemigError(f"migration: {name}", value=value, expected=expected, remedy=remedy)
