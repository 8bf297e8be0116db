# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import secrets
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.livemig.libvirt.plugins.plugin_utils._progress import api

MODULE, INFO = "livemig.libvirt.migrate", "livemig.libvirt.run_info"
LOOK_S = 2.0
"""Between two looks: each is a module call of its own."""
ETA_EVERY_S = 15.0
AWAY_S = 300.0
"""So long may a host be out of reach before the task gives up; the run itself goes on meanwhile."""
# The job may take as long as it takes: its own options limit it.
_JOB_S = 30 * 24 * 3600
# Between the end of the run's process and its result in the file there is a moment, and one before it has begun.
_GONE = 4

Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """Runs the module in the background and shows what it is at; in check mode, and without progress, plainly."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """The module's own result."""
        result: Result = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        args = dict(self._task.args)
        shows = str(args.get("progress", True)).lower() in ("true", "yes", "1")
        if self._task.check_mode or self._task.async_val or not shows:
            done: Result = self._execute_module(
                module_name=MODULE,
                module_args={**args, "progress": False},
                task_vars=self._task_vars,
                wrap_async=self._task.async_val,
            )
            return {**result, **done}
        if not args.get("run_id"):
            args["run_id"] = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        return {**result, **self._in_background(args)}

    def _in_background(self, args: Result) -> Result:
        self._task.async_val = _JOB_S
        try:
            job = self._execute_module(module_name=MODULE, module_args=args, task_vars=self._task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0
        if job.get("failed") or "ansible_job_id" not in job:
            return dict(job)
        gone = self._watch(args["run_id"], int(args.get("max_parallel", 2)), job["ansible_job_id"])
        if isinstance(gone, str):
            return {"failed": True, "msg": gone}
        with contextlib.suppress(AnsibleConnectionFailure):
            self._status(job["ansible_job_id"], "cleanup")
        return {key: value for key, value in gone.items() if key not in _OF_JOBS}

    def _watch(self, run: str, parallel: int, job: str) -> Result | str:
        """Until the job is over; then its result, or why nothing more will be heard of it."""
        said: dict[str, str] = {}
        heard = eta_at = time.monotonic()
        gone, play = 0, os.getppid()
        while gone < _GONE:
            time.sleep(LOOK_S)
            if os.getppid() != play:
                # The play was killed, and this process of one task goes on alone: nobody watches any more.
                return _lost(run, "the play is gone")
            try:
                entry = self._info(run)
                done = {} if entry["alive"] else self._status(job, "status")
                heard = time.monotonic()
            except AnsibleConnectionFailure as error:
                if time.monotonic() - heard > AWAY_S:
                    return _lost(run, f"the host cannot be reached: {error}")
                continue
            shown = api.over(entry["outcomes"]) if entry["outcomes"] is not None else entry["domains"]
            eta_at = self._show(shown, parallel, said, eta_at)
            if done.get("finished"):
                return done
            gone = 0 if entry["alive"] else gone + 1
        return _lost(run, "its process is gone")

    def _info(self, run: str) -> Result:
        seen = self._execute_module(
            module_name=INFO, module_args={"run_id": run, "watch": True}, task_vars=self._task_vars
        )
        (entry,) = seen.get("runs") or [{"alive": False, "domains": [], "outcomes": None}]
        return dict(entry)

    def _show(self, domains: t.Any, parallel: int, said: dict[str, str], eta_at: float) -> float:
        """Prints what is new; returns when the estimate was printed last."""
        host = str(self._task_vars.get("inventory_hostname", ""))
        new = api.lines(host, domains, said)
        said.update(new)
        for line in new.values():
            Display().display(line)
        if time.monotonic() - eta_at < ETA_EVERY_S:
            return eta_at
        left = api.eta_s(domains, parallel)
        if left is not None:
            over = sum(each["state"] == "over" for each in domains)
            Display().display(f"{host}: {over} of {len(domains)} over, about {left} s to go")
        return time.monotonic()

    def _status(self, job: str, mode: str) -> Result:
        folder = self.get_shell_option("async_dir", "~/.ansible_async")  # type: ignore[no-untyped-call]
        arguments = {"jid": job, "mode": mode, "_async_dir": folder}
        return dict(
            self._execute_module(
                module_name="ansible.legacy.async_status", module_args=arguments, task_vars=self._task_vars
            )
        )


_OF_JOBS = ("ansible_job_id", "finished", "started", "results_file", "stdout", "stderr", "stdout_lines", "stderr_lines")


def _lost(run: str, why: str) -> str:
    return (
        f"Run {run}: {why}; expected its outcomes. libvirt goes on with what was under way. Remedy: run the playbook "
        "livemig.libvirt.recover, or the same playbook again: both find these migrations and end them."
    )
