# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

from ansible.utils.display import Display

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import require_snapshots
from ansible_collections.livemig.libvirt.plugins.plugin_utils._action import ControllerAction
from ansible_collections.livemig.libvirt.plugins.plugin_utils._audit import api
from ansible_collections.livemig.libvirt.plugins.plugin_utils._report import api as reports

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "domains": {"type": "list", "elements": "dict", "required": True},
    "findings": {"type": "list", "elements": "dict", "required": True},
    "destinations": {"type": "list", "elements": "str", "required": True},
    "unreachable": {"type": "dict", "default": {}},
    "memory_reserve_mib": {"type": "int", "default": 512},
    "started": {"type": "int"},
    "finished": {"type": "int"},
    "previous": {"type": "path"},
    "dest": {"type": "path"},
    "show": {"type": "bool", "default": True},
}
_DATA = "audit.json"
_TEXT = "audit.txt"
_PAGE = "audit.html"


class ActionModule(ControllerAction):
    """Make the audit on the controller, print it and keep it."""

    options = ARGUMENT_SPEC

    def work(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The audit as data and as text. Raises LivemigError; then no file was touched."""
        directory = self._loader.path_dwim(args["dest"]) if args["dest"] else None
        audit = _audit(args, self._previous(args["previous"], directory))
        text = api.table(audit)
        found = self._keep(directory, audit, text) if directory else []
        if args["show"]:
            Display().display(text)
        result = {
            "changed": bool(found),
            "audit": audit,
            "summary": audit["summary"],
            "table": text,
            "files": [change.path for change in found],
        }
        # The data and the page say the same as the text, at a hundred times the length.
        shown = [reports.as_diff(change) for change in found if change.path.endswith(_TEXT)]
        return {**result, "diff": shown} if self._task.diff else result

    def _previous(self, given: str | None, directory: str | None) -> api.Audit | None:
        """The audit to compare with: a file that was named must be there, the one of the directory may be."""
        if given is not None:
            path = self._loader.path_dwim(given)
            text = reports.read(path)
            if text is None:
                raise _not_there(path)
            return api.parse(path, text)
        path = os.path.join(directory or "", _DATA)
        text = reports.read(path) if directory else None
        return None if text is None else api.parse(path, text)

    def _keep(self, directory: str, audit: api.Audit, text: str) -> list[reports.Change]:
        contents = {_TEXT: text, _PAGE: api.page(audit), _DATA: api.as_json(audit)}
        found = reports.changes(directory, contents)
        if found and not self._task.check_mode:
            reports.write(directory, found)
        return found


def _audit(args: dict[str, t.Any], previous: api.Audit | None) -> api.Audit:
    require_snapshots("host", args["hosts"])
    require_snapshots("domain", args["domains"])
    if args["memory_reserve_mib"] < 0:
        raise LivemigError(
            "memory_reserve_mib",
            value=args["memory_reserve_mib"],
            expected="0 or more MiB",
            remedy="correct livemig_memory_reserve_mib",
        )
    names = [*args["destinations"], *(host["name"] for host in args["hosts"]), *args["unreachable"]]
    observed = api.Observed(
        list(dict.fromkeys(names)), args["hosts"], args["domains"], args["findings"], args["unreachable"]
    )
    return api.make_audit(
        observed,
        previous,
        memory_reserve_mib=args["memory_reserve_mib"],
        started=args["started"],
        finished=args["finished"],
    )


def _not_there(path: str) -> LivemigError:
    return LivemigError(
        "previous",
        value=f"{path}: there is no such file",
        expected="an audit.json of this module",
        remedy="correct the path, or leave the option out",
    )
