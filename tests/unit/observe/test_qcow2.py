# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a qcow2 image has others below it, by real images."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import qcow2

HEADER = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(72)


@pytest.mark.parametrize(
    ("change", "alone"),
    [
        ({}, True),
        ({8: (4096).to_bytes(8, "big")}, False),
        ({72: (4).to_bytes(8, "big")}, False),
        ({72: (1).to_bytes(8, "big")}, True),
        ({4: (2).to_bytes(4, "big"), 72: (4).to_bytes(8, "big")}, True),
    ],
)
def test_a_header(change: dict[int, bytes], alone: bool) -> None:
    header = bytearray(HEADER)
    for at, value in change.items():
        header[at : at + len(value)] = value
    assert qcow2.is_alone(bytes(header)) is alone


@pytest.mark.parametrize("header", [b"", b"QFI\xfb", b"KDMV" + bytes(76)])
def test_what_is_none(header: bytes) -> None:
    with pytest.raises(ValueError, match="no qcow2"):
        qcow2.is_alone(header)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="real images: qemu-img")
def test_real_images(tmp_path: Path) -> None:
    def make(name: str, *words: str) -> str:
        path = str(tmp_path / name)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words, path, "1M"], check=True)
        return path

    alone = make("alone")
    assert qcow2.stands_alone(alone)
    assert qcow2.stands_alone(make("old", "-o", "compat=0.10"))
    assert not qcow2.stands_alone(make("above", "-b", alone, "-F", "qcow2"))
    assert not qcow2.stands_alone(make("outside", "-o", f"data_file={tmp_path / 'data'}"))
    with pytest.raises(OSError, match="No such file"):
        qcow2.stands_alone(str(tmp_path / "nothing"))
