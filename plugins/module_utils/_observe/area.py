# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tables of a host's facts and of its answers are made of.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from .._libvirt import Connect, Connection
from .._model.api import Answer, LivemigError, Question
from . import files
from .xml import parse

_T = t.TypeVar("_T")


class Host:
    """The host that is observed: its connection, and what is read of it once and used for many facts."""

    def __init__(self, connection: Connection, connect: Connect | None = None) -> None:
        self.connection = connection
        self._connect = connect
        self._read: dict[str, t.Any] = {}
        self._unreached: dict[str, LivemigError] = {}

    def once(self, name: str, read: t.Callable[[], _T]) -> _T:
        """What ``read`` returned the first time; its error every time."""
        if name not in self._read:
            try:
                self._read[name] = read()
            except Exception as error:  # kept for those who ask next, and raised to each of them
                self._read[name] = error
        found = self._read[name]
        if isinstance(found, Exception):
            raise found
        return t.cast(_T, found)

    def capabilities(self) -> ET.Element:
        return self.once("capabilities", lambda: parse(self.connection.getCapabilities()))

    def qemu_conf(self) -> dict[str, t.Any]:
        """Settings of qemu.conf. Raises OSError where it may not be read."""
        return self.once("qemu.conf", files.qemu_conf)

    def connect(self, uri: str) -> Connection:
        """Another connection, as the daemon of this host would open it. Raises LivemigError."""
        if self._connect is None:
            raise ValueError("no other host may be reached from here")
        # A host that does not answer takes its time; who asks next need not wait for that again.
        if uri in self._unreached:
            raise self._unreached[uri]
        try:
            return self._connect(uri)
        except LivemigError as error:
            self._unreached[uri] = error
            raise


@dataclass(frozen=True)
class Fact:
    """One fact of a host. ``about`` says what it is, with its unit and shape, for docs/facts.md.

    ``by``: libvirt, where the connection alone tells it, also from another host; files, where only the host itself
    can read it. ``last_look``: read once more, through libvirt, right before a migration starts; it costs time there.
    """

    read: t.Callable[[Host], t.Any]
    about: str
    by: t.Literal["libvirt", "files"] = "files"
    last_look: bool = False


Facts = t.Mapping[str, Fact]
Ask = t.Callable[[Host, Question], Answer]
