# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.utils.display import Display

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import require_snapshots
from ansible_collections.livemig.libvirt.plugins.plugin_utils._action import ControllerAction
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.convergence import convergence
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.migration import of_a_plan
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
    "networks": {"type": "dict", "default": {}},
    "controls": {"type": "list", "elements": "dict", "default": []},
    "migration": {"type": "dict", "default": {}},
    "convergence": {"type": "dict", "default": {}},
    "history": {"type": "list", "elements": "dict", "default": []},
    "answers": {"type": "dict", "default": {}},
    "memory_reserve_mib": {"type": "int", "default": 512},
    "show": {"type": "bool", "default": True},
}
_POLICY = ("tls", "uris", "addresses", "networks", "controls", "memory_reserve_mib", "history", "answers")


class ActionModule(ControllerAction):
    """Make the plan on the controller and print it."""

    options = ARGUMENT_SPEC

    def work(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The plan as data and as text; LivemigError where none can be made."""
        plan = _plan(args)
        text = api.table(plan)
        if args["show"]:
            Display().display(text)
        return {"changed": False, "plan": plan, "table": text}


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
    policy["migration"] = of_a_plan(args["migration"])
    policy["convergence"] = convergence(args["convergence"])
    return api.make_plan(
        args["hosts"], args["domains"], args["findings"], args["sources"], args["destinations"], policy
    )
