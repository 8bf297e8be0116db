# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import without_questions


@pytest.mark.parametrize(
    ("uri", "opened"),
    [
        ("qemu+ssh://root@hv2/system", "qemu+ssh://root@hv2/system?no_tty=1"),
        ("qemu+ssh://root@hv2/system?keyfile=/k", "qemu+ssh://root@hv2/system?keyfile=/k&no_tty=1"),
        ("qemu+ssh://hv2/system?no_tty=0", "qemu+ssh://hv2/system?no_tty=0"),
        ("qemu+tls://hv2/system", "qemu+tls://hv2/system"),
        ("qemu:///system", "qemu:///system"),
    ],
)
def test_ssh_may_not_ask(uri: str, opened: str) -> None:
    assert without_questions(uri) == opened
