# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user writes about the way of a migration: the option of that name, and what its values must be.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import AUTO, MIGRATION
from ansible_collections.livemig.libvirt.plugins.module_utils._sriov.api import STRATEGIES

_CHOICES = {
    "copy_storage": ["none", "all", "inc"],
    "transport": ["tcp", "unix", "rdma"],
    "vf": list(STRATEGIES),
}
_TYPES = {bool: "bool", int: "int", list: "list", str: "str"}
_LAST_PORT = 65535
_SCHEMES = ("tcp:", "unix:")


_GUESTS_GO_ON = "a guest runs on where it ran, and stands still for the switchover only"
_ONE_DEFINITION = "a persistent domain is defined on one host: at the destination when it has moved"
NOT_OURS: t.Mapping[str, str] = {
    "live": _GUESTS_GO_ON,
    "paused": _GUESTS_GO_ON,
    "max_downtime_ms": "livemig.libvirt.migrate sets no limit",
    "peer2peer": "the source's daemon drives the migration, so that it goes on when the controller is lost",
    "persist": _ONE_DEFINITION,
    "undefine_source": _ONE_DEFINITION,
    "timeout_s": "livemig_timeout_s of the role, or timeout_s of livemig.libvirt.migrate, is the limit",
    "transport": "livemig.libvirt.migrate sends over TCP",
    "tunnelled": "TLS encrypts too, and with it the destination's word ends a migration",
}
"""Options with which preflight can judge what others do, and that no move of ours has; each with the reason."""


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
    wanted = {**wanted, **({"parallel": _parallel(wanted["parallel"])} if "parallel" in wanted else {})}
    for name, value in wanted.items():
        if isinstance(value, int) and value < 0:
            raise _wrong(name, value, "0 or more", "0 stands for no limit, or for libvirt's own choice")
    port, uri = wanted.get("disks_port", 0), wanted.get("disks_uri", "")
    if port > _LAST_PORT:
        raise _wrong("disks_port", port, f"a port from 1 to {_LAST_PORT}, or 0", "correct it")
    if uri and not uri.startswith(_SCHEMES):
        raise _wrong("disks_uri", uri, "tcp://address:port or unix:///path", "correct it")
    return wanted


def _parallel(value: object) -> object:
    """As Ansible hands it over: a text, whoever wrote a number."""
    if value == AUTO or isinstance(value, int):
        return value
    try:
        return int(str(value))
    except ValueError:
        raise _wrong("parallel", value, f"a number of connections, or {AUTO}", "correct it") from None


def of_a_plan(wanted: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same for moves of ours. Raises LivemigError for what none of them has."""
    for name, value in wanted.items():
        if name not in MIGRATION:
            raise _wrong(name, value, "one of " + ", ".join(MIGRATION), "correct the name")
        if name in NOT_OURS and value != MIGRATION[name]:
            raise _wrong(name, value, f"{MIGRATION[name]}: {NOT_OURS[name]}", "leave it out and judge again")
    return migration(wanted)


def changed(wanted: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options that differ from what holds where nothing is said."""
    return {name: value for name, value in wanted.items() if value != MIGRATION[name]}


def _wrong(name: str, value: object, expected: str, remedy: str) -> LivemigError:
    return LivemigError(f"migration: {name}", value=value, expected=expected, remedy=remedy)
