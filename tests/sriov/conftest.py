# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests in the SR-IOV lab. KEEP=1 leaves it up for the next run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.sriov import cli


@pytest.fixture(scope="session")
def sriov_lab() -> Iterator[None]:
    assert cli.main(["up", "--no-tls"]) == cli.OK
    yield
    if os.environ.get("KEEP") != "1":
        assert cli.main(["down"]) == cli.OK
