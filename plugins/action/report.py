# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.utils.display import Display

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._model.types import SCHEMA
from ansible_collections.livemig.libvirt.plugins.plugin_utils._action import ControllerAction
from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.api import with_diagnoses, with_logs
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report import api

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "plan": {"type": "dict", "required": True},
    "outcomes": {"type": "list", "elements": "dict"},
    "said": {"type": "dict", "default": {}},
    "proofs": {"type": "list", "elements": "dict"},
    "logs": {"type": "list", "elements": "dict", "default": []},
    "hosts": {"type": "list", "elements": "dict", "default": []},
    "findings": {"type": "list", "elements": "dict", "default": []},
    "run_id": {"type": "str"},
    "started": {"type": "int"},
    "finished": {"type": "int"},
    "dest": {"type": "path"},
    "show": {"type": "bool", "default": True},
}


class ActionModule(ControllerAction):
    """Make the report on the controller, print it and keep it."""

    options = ARGUMENT_SPEC

    def work(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The report as data and as text. Raises LivemigError."""
        contents = _contents(args)
        found = self._keep(args["dest"], contents) if args["dest"] else []
        if args["show"]:
            Display().display(contents.text)
        result = {
            "changed": bool(found),
            "problems": api.problems(contents.report),
            "report": contents.report,
            "summary": contents.report["summary"],
            "table": contents.text,
        }
        return {**result, "diff": [api.as_diff(change) for change in found]} if self._task.diff else result

    def _keep(self, dest: str, contents: Contents) -> list[api.Change]:
        directory = self._loader.path_dwim(dest)
        found = api.changes(directory, contents.files())
        if found and not self._task.check_mode:
            api.write(directory, found)
        return found


class Contents(t.NamedTuple):
    """Everything that one call makes. ``outcomes`` is None where only a plan was given."""

    plan: t.Any
    outcomes: t.Any
    findings: t.Any
    report: api.Report
    text: str

    def files(self) -> dict[str, str]:
        """File name -> text."""
        return {
            "plan.json": api.as_json(self.plan),
            "findings.json": api.as_json(self.findings),
            "outcomes.json": api.as_json(self.outcomes),
            "report.json": api.as_json(self.report),
            "report.txt": self.text,
        }


def _contents(args: dict[str, t.Any]) -> Contents:
    _refuse_other_schemas("plan", [args["plan"]])
    _refuse_other_schemas("outcomes", args["outcomes"] or [])
    _refuse_other_schemas("findings", args["findings"])
    outcomes = None if args["outcomes"] is None else _told(args)
    report = api.make_report(
        args["plan"],
        outcomes,
        args["findings"],
        args["run_id"],
        args["started"],
        args["finished"],
        hosts=args["hosts"],
        verified=args["proofs"] is not None,
        said=args["said"],
    )
    return Contents(args["plan"], outcomes, args["findings"], report, api.table(report))


def _told(args: dict[str, t.Any]) -> t.Any:
    """The outcomes with what the other hosts told about them, and with what is made of that."""
    proven = api.with_proofs(args["outcomes"], args["proofs"] or [])
    return with_diagnoses(with_logs(proven, args["logs"]))


def _refuse_other_schemas(option: str, values: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    for value in values:
        if value.get("schema") != SCHEMA:
            raise LivemigError(
                f"{option}: schema",
                value=value.get("schema"),
                expected=f"data of this version, schema {SCHEMA}",
                remedy="give what the modules of this version of livemig.libvirt returned, unchanged",
            )
