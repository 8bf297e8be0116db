# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the errors and of both hosts' logs that the fault matrix has left (make faults)."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import redacted
from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.api import diagnose
from tests.faults.recording import RECORDED

LEFT: dict[str, t.Any] = {
    record["name"]: outcome
    for record in json.loads(RECORDED.read_text(encoding="utf-8"))
    for outcome in record.get("outcomes", ())
}
# Fault -> what was recognised, who failed first, whether another try helps. Judged by what the fault really was;
# unknown where neither libvirt's error nor a log tells more.
EXPECTED: dict[str, tuple[str, str, str]] = {
    "source-daemon-killed-precopy": ("dx_daemon_gone", "unknown", "resolve_first"),
    "dest-daemon-killed-precopy": ("dx_daemon_restarted", "destination", "resolve_first"),
    "source-qemu-killed-precopy": ("dx_not_running", "source", "no"),
    "dest-qemu-killed-precopy": ("dx_process_exited_monitor", "destination", "after_fix"),
    "link-down-precopy": ("dx_daemon_gone", "unknown", "resolve_first"),
    "link-down-switchover": ("dx_daemon_gone", "unknown", "resolve_first"),
    "certificate-gone": ("dx_tls_handshake", "unknown", "after_fix"),
    "memory-limit-there": ("dx_monitor_eof", "destination", "unknown"),
    "storage-gone-there": ("dx_path_missing", "destination", "after_fix"),
    "no-room-there": ("dx_path_missing", "destination", "after_fix"),
    "guest-shuts-down": ("dx_not_running", "source", "no"),
}


def test_there_are_real_logs_of_both_hosts() -> None:
    assert set(EXPECTED) <= set(LEFT)
    both = [name for name, left in LEFT.items() if len([log for log in left["logs"] if log["lines"]]) == 2]
    assert len(both) >= 5


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_fault_is_taken_for(name: str) -> None:
    made = diagnose(t.cast(t.Any, LEFT[name]))
    assert (made["id"], made["who_failed_first"], made["retry"]) == EXPECTED[name]
    assert made["advice"] and made["advice"] in made["paragraph"]


@pytest.mark.parametrize("name", LEFT)
def test_no_secret_was_kept(name: str) -> None:
    for line in [LEFT[name]["error"], *(line for log in LEFT[name]["logs"] for line in log["lines"])]:
        assert redacted(line) == line
