# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks an address on the wire for an answer. Run by path: KIND ADDRESS SECONDS; ends with 0 when one came in time.

KIND: udp asks a guest's echo on port 7, tcp connects to a machine's SSH on port 22.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

TYPES = {"udp": (socket.SOCK_DGRAM, 7), "tcp": (socket.SOCK_STREAM, 22)}
INTERVAL_S = 0.5


def asked(kind: str, address: str) -> bool:
    """One attempt."""
    type_, port = TYPES[kind]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, type_) as client:
        client.settimeout(INTERVAL_S)
        client.connect((address, port))
        if kind == "tcp":
            return True
        client.send(b"livemig")
        return client.recv(64) == b"livemig"
    return False


def answered(kind: str, address: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if asked(kind, address):
            return True
        time.sleep(INTERVAL_S / 5)
    return False


if __name__ == "__main__":
    sys.exit(0 if answered(sys.argv[1], sys.argv[2], float(sys.argv[3])) else 1)
