# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import require_snapshots
from ansible_collections.livemig.libvirt.plugins.plugin_utils._plan import api

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "domains": {"type": "list", "elements": "dict", "required": True},
    "findings": {"type": "list", "elements": "dict", "required": True},
    "sources": {"type": "list", "elements": "str", "required": True},
    "destinations": {"type": "list", "elements": "str", "required": True},
    "tls": {"type": "str", "choices": ["required", "off"], "default": "required"},
    "uris": {"type": "dict", "required": True},
    "addresses": {"type": "dict", "required": True},
    "memory_reserve_mib": {"type": "int", "default": 512},
    "show": {"type": "bool", "default": True},
}
_POLICY = ("tls", "uris", "addresses", "memory_reserve_mib")


class ActionModule(ActionBase):
    """Make the plan on the controller and print it."""

    _supports_check_mode = True
    _supports_diff = False
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the plan as data and as text; AnsibleActionFail where none can be made."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, args = ActionBase.validate_argument_spec(self, argument_spec=ARGUMENT_SPEC)
        try:
            plan = _plan(args)
        except LivemigError as problem:
            raise AnsibleActionFail(str(problem)) from problem
        text = api.table(plan)
        if args["show"]:
            Display().display(text)
        result.update(changed=False, plan=plan, table=text)
        return result


def _plan(args: dict[str, t.Any]) -> t.Any:
    require_snapshots("host", args["hosts"])
    require_snapshots("domain", args["domains"])
    if args["memory_reserve_mib"] < 0:
        raise LivemigError(
            "memory_reserve_mib",
            value=args["memory_reserve_mib"],
            expected="0 or more MiB",
            remedy="correct livemig_memory_reserve_mib",
        )
    policy = {name: args[name] for name in _POLICY}
    return api.make_plan(
        args["hosts"], args["domains"], args["findings"], args["sources"], args["destinations"], policy
    )
