# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from ansible_collections.livemig.libvirt.plugins.plugin_utils._action import ControllerAction
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options import api as policies
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.convergence import convergence
from ansible_collections.livemig.libvirt.plugins.plugin_utils._options.migration import (
    MIGRATION_OPTION,
    changed,
    migration,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "domains": {"type": "list", "elements": "dict", "required": True},
    "destinations": {"type": "list", "elements": "str", "required": True},
    "answers": {"type": "dict", "default": {}},
    "tls": {"type": "str", "choices": ["required", "off"], "default": "required"},
    "uris": {"type": "dict", "default": {}},
    "unreachable": {"type": "dict", "default": {}},
    "addresses": {"type": "dict", "default": {}},
    "checks": policies.CHECKS_OPTION,
    "edits": policies.EDITS_OPTION,
    "probe": {"type": "bool", "default": False},
    "migration": MIGRATION_OPTION,
    "convergence": {"type": "dict", "default": {}},
}


_COUNTED = ("error", "warning", "info", "fail", "unknown", "silenced", "edited")


class ActionModule(ControllerAction):
    """Evaluate the checks on the controller."""

    options = ARGUMENT_SPEC

    def work(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Questions, findings and their summary; LivemigError where the input cannot be judged."""
        api.require_snapshots("host", args["hosts"])
        api.require_snapshots("domain", args["domains"])
        hosts, domains, destinations, answers = (args[name] for name in ("hosts", "domains", "destinations", "answers"))
        policy = {name: args[name] for name in ("tls", "uris", "unreachable", "addresses", "probe")}
        policy["controls"] = policies.controls(args["checks"], domains, task_vars.get("groups", {}))
        policy["migration"] = migration(args["migration"])
        policy["convergence"] = convergence(args["convergence"])
        policy["edits"] = policies.edits(args["edits"], destinations)
        found = api.findings(hosts, domains, destinations, answers, policy)
        return {
            "changed": False,
            "questions": _unanswered(api.questions(hosts, domains, destinations, policy), answers),
            "findings": found,
            "summary": _summary(found),
            "controls": policy["controls"],
            "migration": changed(policy["migration"]),
        }


def _unanswered(asked: t.Mapping[str, t.Sequence[t.Any]], answers: t.Mapping[str, t.Any]) -> dict[str, list[t.Any]]:
    left = {
        host: [question for question in questions if question["key"] not in answers.get(host, {})]
        for host, questions in asked.items()
    }
    return {host: questions for host, questions in left.items() if questions}


def _summary(findings: t.Sequence[t.Any]) -> dict[str, t.Any]:
    """How many findings there are of each severity and status, how many rule a move out, and what is unknown."""
    counts = collections.Counter(finding[part] for finding in findings for part in ("severity", "status"))
    unknown = collections.Counter(finding["check"] for finding in findings if finding["status"] == "unknown")
    return {
        **{name: counts[name] for name in _COUNTED},
        "blocks": sum(finding["blocks"] for finding in findings),
        "unknown_checks": dict(sorted(unknown.items())),
    }
