# SPDX-License-Identifier: GPL-3.0-or-later

"""A failed move, and logs as hosts write them."""

from __future__ import annotations

import typing as t

from tests.unit.report.samples import outcome_of

SINCE_S = 1795761000


def log(host: str, *lines: str, unread: str | None = None) -> dict[str, t.Any]:
    path = "/var/log/libvirt/qemu/web1.log"
    return {"host": host, "path": path, "since_s": SINCE_S, "lines": list(lines), "cut": False, "unread": unread}


def failed(
    error: str | None,
    source: t.Sequence[str] | None = None,
    destination: t.Sequence[str] | None = None,
    **changes: t.Any,
) -> t.Any:
    """An outcome; a log that is None was not read."""
    logs = [log(host, *lines) for host, lines in (("hv1", source), ("hv2", destination)) if lines is not None]
    return outcome_of("web1", **{"state": "failed", "error": error, "logs": logs, **changes})


def qemu(at: str, text: str) -> str:
    return f"2026-11-27T06:34:{at}Z qemu-system-x86_64: {text}"


def libvirt(at: str, text: str) -> str:
    return f"2026-11-27 06:34:{at}+0000: {text}"
