# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions that run on the controller share, as _module.py is for modules on a host.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import abc
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError


class ControllerAction(ActionBase):
    """Options in, result out: an action says what its options are and does its ``work``. Nothing goes to a host."""

    options: t.ClassVar[dict[str, dict[str, t.Any]]]

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The result of ``work``, or a failure with the error's text: the one place where errors become results."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, args = ActionBase.validate_argument_spec(self, argument_spec=self.options)
        try:
            result.update(self.work(args, task_vars or {}))
        except LivemigError as problem:
            result.update(failed=True, msg=str(problem))
        return result

    @abc.abstractmethod
    def work(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """What the action returns. Raises LivemigError."""
