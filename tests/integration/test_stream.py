# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the guest's memory really crosses the network encrypted, and only then: read off the wire."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.conftest import ANSIBLE_TIMEOUT_S, Play, place_of
from tests.lab import api

# Prints the first payload bytes that go from here to a migration port (libvirt's default range).
SNIFF = """
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003))
wire.settimeout(120)
print("ready", flush=True)
while True:
    frame = wire.recv(65535)
    if frame[12:14] != b"\\x08\\x00" or frame[23] != 6:
        continue
    tcp = 14 + (frame[14] & 15) * 4
    port = int.from_bytes(frame[tcp + 2:tcp + 4], "big")
    payload = frame[tcp + (frame[tcp + 12] >> 4) * 4:14 + int.from_bytes(frame[16:18], "big")]
    if 49152 <= port <= 49215 and payload:
        print(payload[:4].hex())
        break
"""
QEMU_STREAM = b"QEVM".hex()  # QEMU's migration/savevm.h: QEMU_VM_FILE_MAGIC
TLS_HANDSHAKE = "16"  # RFC 8446: record type handshake


@pytest.fixture
def no_qemu_certificates(lab: None) -> Iterator[None]:
    for host in ("hv1", "hv2"):
        api.exec_on(host, ["mv", "/etc/pki/qemu", "/etc/pki/qemu.aside"], check=True)
    yield
    for host in ("hv1", "hv2"):
        api.exec_on(host, ["mv", "/etc/pki/qemu.aside", "/etc/pki/qemu"], check=True)


def first_bytes_of_a_move(guest: str, play: Play, tls: str) -> str:
    with ThreadPoolExecutor(1) as pool:
        sniffed = pool.submit(
            api.exec_on, "hv1", ["/usr/bin/python3", "-c", SNIFF], timeout_s=ANSIBLE_TIMEOUT_S, check=True
        )
        done = play("migrate", {"livemig_domain": guest, "livemig_destination": "hv2", "livemig_tls": tls})
        assert done.returncode == 0, done.stdout
        assert place_of(guest) == ["hv2"]
        return sniffed.result().stdout.split()[1]


def test_required_is_encrypted(guest: str, play: Play) -> None:
    assert first_bytes_of_a_move(guest, play, "required").startswith(TLS_HANDSHAKE)


def test_off_is_plain_and_needs_no_certificates(guest: str, play: Play, no_qemu_certificates: None) -> None:
    assert first_bytes_of_a_move(guest, play, "off") == QEMU_STREAM
