# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.livemig.libvirt.plugins.plugin_utils._action import ControllerAction
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import api

_ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "issue": {"type": "bool", "default": False},
    "names": {"type": "list", "elements": "str", "default": []},
    "optional_names": {"type": "list", "elements": "str", "default": []},
    "common_name": {"type": "str"},
    "organization": {"type": "str", "default": "livemig"},
    "days": {"type": "int", "default": 365},
    "renew_before_days": {"type": "int", "default": 60},
    "ca_cert": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "ca_dir": {"type": "path"},
    "ca_name": {"type": "str", "default": "ca"},
    "ca_label": {"type": "str", "default": "livemig CA"},
    "ca_days": {"type": "int", "default": 3650},
    "installed": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "str", "required": True},
            "text": {"type": "str", "default": ""},
            "key": {
                "type": "str",
                "choices": ["matches", "mismatch", "missing", "unknown"],
                "default": "unknown",
                "no_log": False,
            },
        },
    },
    "replace_ca": {"type": "bool", "default": False},
}


class ActionModule(ControllerAction):
    """Judge and issue certificates on the controller."""

    options = _ARGUMENT_SPEC

    def work(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """What was found or issued. Raises LivemigError."""
        api.require_cryptography()
        request = _request(args, task_vars, datetime.datetime.now(datetime.timezone.utc))
        if args["issue"] and not self._task.check_mode:
            return {**api.issue(request), "changed": True}
        return {**api.inspect(request), "changed": False}


def _request(args: dict[str, t.Any], task_vars: dict[str, t.Any], now: datetime.datetime) -> api.Request:
    inventory_name = str(task_vars.get("inventory_hostname", "localhost"))
    folder = args["ca_dir"] or api.default_ca_dir(
        task_vars.get("inventory_dir"),
        [str(source) for source in task_vars.get("ansible_inventory_sources") or []],
        str(task_vars.get("playbook_dir", ".")),
    )
    return api.Request(
        ca=api.CaSource(
            # an empty text in a vault is "not given"
            certificate=args["ca_cert"] or None,
            key=args["ca_key"] or None,
            folder=folder,
            name=args["ca_name"],
            label=args["ca_label"],
            days=args["ca_days"],
        ),
        wanted=api.Wanted(
            names=api.wanted_names(args["names"], args["optional_names"]),
            common_name=args["common_name"] or inventory_name,
            organization=args["organization"],
            days=args["days"],
            renew_before_days=args["renew_before_days"],
        ),
        installed=tuple(api.Installed(item["path"], item["text"], item["key"]) for item in args["installed"]),
        replace_ca=args["replace_ca"],
        now=now,
    )
