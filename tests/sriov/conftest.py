# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests in the SR-IOV lab. KEEP=1 leaves it up for the next run; --times N aborts N migrations instead of one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.sriov import cli


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, help="so many migrations are aborted, one after the other")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(metafunc.config.getoption("--times")))


@pytest.fixture(scope="session")
def sriov_lab() -> Iterator[None]:
    assert cli.main(["up", "--no-tls"]) == cli.OK
    yield
    if os.environ.get("KEEP") != "1":
        assert cli.main(["down"]) == cli.OK
