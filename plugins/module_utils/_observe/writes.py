# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast guests write to their memory: QEMU looks at a sample of their pages twice, and they go on meanwhile.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connection, libvirt

SMALLEST_MIB = 128
"""QEMU samples no memory that is smaller (MIN_RAMBLOCK_SIZE, migration/dirtyrate.h), and such a guest is moved at once
whatever it writes."""
_MORE_S = 0.5
_ANSWER_S = 5.0
# virDomainDirtyRateStatus
_MEASURED = 2


def sampled(connection: Connection, domains: t.Sequence[t.Any], seconds: int) -> dict[str, int]:
    """Domain UUID -> MiB/s, of all at the same time. What libvirt does not tell, as before 7.2, is left out.

    ``domains``: running ones without a job, for libvirt makes whoever asks wait for that. A QEMU that hangs meanwhile
    costs the samples of all, and no more than some seconds.
    """
    started: list[t.Any] = []

    def start() -> None:
        for domain in domains:
            with contextlib.suppress(*LIBVIRT_ERRORS, AttributeError):  # an older binding has no such call
                domain.startDirtyRateCalc(seconds, 0)
                started.append(domain)

    found: dict[str, int] = {}

    def read() -> None:
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        with contextlib.suppress(*LIBVIRT_ERRORS):
            for domain, facts in connection.domainListGetStats(started, libvirt.VIR_DOMAIN_STATS_DIRTYRATE, flags):
                if facts.get("dirtyrate.calc_status") == _MEASURED:
                    found[domain.UUIDString()] = int(facts["dirtyrate.megabytes_per_second"])

    if _in_time(start) and started:
        time.sleep(seconds + _MORE_S)
        _in_time(read)
    return dict(found)


def _in_time(work: t.Callable[[], None]) -> bool:
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(_ANSWER_S)
    return not worker.is_alive()
