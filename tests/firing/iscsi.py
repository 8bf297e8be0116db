# SPDX-License-Identifier: GPL-3.0-or-later
"""An iSCSI target just large enough for QEMU to open a LUN: one empty disk of 1 MiB, for a guest that never runs.

It runs inside a host, in the background, from its own text by standard input, until it is killed by the id in PID_FILE.
Formats: RFC 7143 for the PDUs, SPC and SBC for the commands.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from pathlib import Path

PORT = 3260
PID_FILE = "/run/p-iscsi.pid"
_BLOCKS = 2048
_HEADER = 48
_LOGIN, _COMMAND, _LOGOUT, _NOP = 0x03, 0x01, 0x06, 0x00
_TEXT = {
    0: b"TargetPortalGroupTag=1\0AuthMethod=None\0",
    1: b"HeaderDigest=None\0DataDigest=None\0MaxRecvDataSegmentLength=65536\0InitialR2T=Yes\0ImmediateData=No\0",
}


def answer(cdb: bytes) -> bytes:
    """What the disk says to a command; empty for those that carry nothing back."""
    if cdb[0] == 0x12:  # INQUIRY
        if cdb[1] & 1:
            return bytes((0, cdb[2], 0, 1, 0)) if cdb[2] == 0 else bytes((0, cdb[2], 0, 0))
        return bytes((0, 0, 5, 2, 31, 0, 0, 0)) + b"livemig test disk       1.0 "
    if cdb[0] == 0x25:  # READ CAPACITY (10)
        return struct.pack(">II", _BLOCKS - 1, 512)
    if cdb[0] == 0x9E:  # READ CAPACITY (16)
        return struct.pack(">QI", _BLOCKS - 1, 512) + bytes(20)
    if cdb[0] == 0x1A:  # MODE SENSE (6)
        return bytes((3, 0, 0, 0))
    if cdb[0] == 0xA0:  # REPORT LUNS
        return struct.pack(">IIQ", 8, 0, 0)
    return b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found


class Session:
    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.status = connection, 0

    def serve(self) -> None:
        try:
            while self._one():
                pass
        except (EOFError, OSError):
            pass
        finally:
            self.connection.close()

    def _one(self) -> bool:
        header = _exactly(self.connection, _HEADER)
        length = int.from_bytes(header[5:8], "big")
        _exactly(self.connection, header[4] * 4 + (length + 3) // 4 * 4)
        opcode = header[0] & 0x3F
        if opcode == _LOGIN:
            self._send(header, 0x23, header[1], _TEXT[header[1] >> 2 & 1], middle=header[8:14] + b"\0\1")
        elif opcode == _COMMAND:
            self._command(header)
        elif opcode == _NOP:
            self._send(header, 0x20, 0x80, b"", end=b"\xff" * 4)
        else:
            self._send(header, opcode | 0x20, 0x80, b"")
        return opcode != _LOGOUT

    def _command(self, header: bytes) -> None:
        data, wanted = answer(header[32:48]), int.from_bytes(header[20:24], "big")
        data = data[:wanted]
        left = struct.pack(">I", wanted - len(data))
        if data:
            self._send(header, 0x25, 0x83 if wanted > len(data) else 0x81, data, end=b"\xff" * 4, tail=left)
        else:
            self._send(header, 0x21, 0x82 if wanted else 0x80, b"", tail=left)

    def _send(
        self,
        asked: bytes,
        opcode: int,
        flags: int,
        data: bytes,
        *,
        middle: bytes = bytes(8),
        end: bytes = bytes(4),
        tail: bytes = bytes(4),
    ) -> None:
        number = int.from_bytes(asked[24:28], "big")
        counters = struct.pack(">III", self.status, number + (0 if opcode == 0x23 else 1), number + 64)
        self.status += 1
        header = bytes((opcode, flags, 0, 0, 0)) + len(data).to_bytes(3, "big") + middle + asked[16:20] + end
        header += counters + bytes(8) + tail
        self.connection.sendall(header + data + bytes(-len(data) % 4))


def main() -> None:
    listener = socket.create_server(("127.0.0.1", PORT))
    if os.fork():
        return
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    Path(PID_FILE).write_text(str(os.getpid()), encoding="ascii")
    while True:
        connection, _address = listener.accept()
        threading.Thread(target=Session(connection).serve, daemon=True).start()


if __name__ == "__main__":
    main()
