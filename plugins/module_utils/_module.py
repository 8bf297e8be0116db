# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module file shares: common options, and the one place where errors become ``fail_json``.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._libvirt import LIBVIRT_ERRORS, error_text, start_event_loop
from ._model.api import EDITS, LEVELS, LivemigError, plain_way

_TYPES = {bool: "bool", int: "int", list: "list", str: "str"}
_WAY_CHOICES = {
    "state": ["running", "paused", "shutoff"],
    "copy_storage": ["none", "all", "inc"],
    "vf": ["none", "replug", "failover", "native"],
}

_PROFILE = {
    "name": "str",
    **dict.fromkeys(("target_ms", "ceiling_ms", "patience", "deadline_s", "postcopy_s", "device_ms"), "int"),
    **dict.fromkeys(("budget", "worth", "device_mib"), "float"),
    **dict.fromkeys(("postcopy", "throttle"), "bool"),
}


def _way(name: str, default: t.Any) -> dict[str, t.Any]:
    spec = {"type": _TYPES[type(default)], "default": default}
    if isinstance(default, list):
        spec["elements"] = "str"
    if name in _WAY_CHOICES:
        spec["choices"] = _WAY_CHOICES[name]
    return spec


CONNECTION_OPTIONS: dict[str, dict[str, t.Any]] = {"uri": {"type": "str", "default": "qemu:///system"}}

MOVES_OPTION: dict[str, dict[str, t.Any]] = {
    "moves": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            **{
                name: {"type": "str", "required": True}
                for name in ("domain", "uuid", "source", "destination", "destination_uri", "migrate_uri")
            },
            "persistent": {"type": "bool", "default": True},
            "autostart": {"type": "bool", "default": False},
            "memory_mib": {"type": "int", "default": 0},
            "requires": {"type": "dict", "default": {}},
            "edits": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "kind": {"type": "str", "required": True, "choices": list(EDITS)},
                    "item": {"type": "str"},
                    "old": {"type": "str", "required": True},
                    "new": {"type": "str"},
                },
            },
            "controls": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "check": {"type": "str", "required": True},
                    "set": {"type": "str", "required": True, "choices": list(LEVELS)},
                    "reason": {"type": "str", "required": True},
                    "hosts": {"type": "list", "elements": "str"},
                    "domains": {"type": "list", "elements": "str"},
                },
            },
            "way": {
                "type": "dict",
                "apply_defaults": True,
                "options": {name: _way(name, default) for name, default in plain_way().items()},
            },
            "profile": {
                "type": "dict",
                "default": {},
                "options": {
                    **{name: {"type": kind} for name, kind in _PROFILE.items()},
                    "obstacles": {"type": "list", "elements": "str"},
                },
            },
            "forecast": {"type": "dict"},
        },
    }
}
"""The plan's moves, for migrate and verify. Documented in the fragment livemig.libvirt.moves."""


Work = t.Callable[[AnsibleModule], "dict[str, t.Any]"]


def run_module(options: dict[str, dict[str, t.Any]], work: Work) -> None:
    """Runs ``work`` and exits with what it returns; ``failed`` in it makes the module fail with all its values."""
    module = AnsibleModule(argument_spec={**CONNECTION_OPTIONS, **options}, supports_check_mode=True)
    try:
        start_event_loop()
        result = work(module)
    except LivemigError as error:
        _fail(module, error)
    except LIBVIRT_ERRORS as error:
        module.fail_json(msg=f"libvirt: {error_text(error)}", exception=traceback.format_exc())
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def run_local(options: dict[str, dict[str, t.Any]], work: Work, **rules: t.Any) -> None:
    """The same for a module that only touches this collection's own files on the host."""
    module = AnsibleModule(argument_spec=options, supports_check_mode=True, **rules)
    try:
        result = work(module)
    except LivemigError as error:
        _fail(module, error)
    module.exit_json(**result)


def _fail(module: AnsibleModule, error: LivemigError) -> t.NoReturn:
    module.fail_json(msg=str(error), value=str(error.value), expected=error.expected, remedy=error.remedy)
    raise AssertionError("fail_json does not return")
