# SPDX-License-Identifier: GPL-3.0-or-later

"""For every check a scene in which it fires, and one close to it in which it does not."""

from __future__ import annotations

from tests.unit.preflight import (
    cases_base,
    cases_config,
    cases_copy,
    cases_cpu,
    cases_device,
    cases_disk,
    cases_guest,
    cases_host,
    cases_hostdev,
    cases_memory,
    cases_network,
    cases_security,
)
from tests.unit.preflight.case import Case

CASES: dict[str, Case] = {
    **cases_base.CASES,
    **cases_config.CASES,
    **cases_copy.CASES,
    **cases_cpu.CASES,
    **cases_device.CASES,
    **cases_disk.CASES,
    **cases_guest.CASES,
    **cases_host.CASES,
    **cases_hostdev.CASES,
    **cases_memory.CASES,
    **cases_network.CASES,
    **cases_security.CASES,
}
