# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of the unit tests' stand-in are those of the real libvirt-python."""

from __future__ import annotations

import json

from tests.lab import api
from tests.unit.standin_libvirt import CONSTANTS


def test_numbers(lab: None) -> None:
    script = f"import json, libvirt; print(json.dumps({{n: getattr(libvirt, n) for n in {list(CONSTANTS)!r}}}))"
    said = api.exec_on("hv1", ["/usr/bin/python3", "-c", script], check=True)
    assert json.loads(said.stdout) == CONSTANTS
