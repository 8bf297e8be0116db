# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading XML that somebody else has written, so that nothing in it can make the reader hang or grow.

libvirt's documents have no document type, so one that has is refused, and with it every entity. Size and depth are
bounded, since expat knows no limit of either.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

MAX_BYTES = 32 * 1024 * 1024
"""libvirt's RPC carries no longer text (VIR_NET_MESSAGE_MAX, src/rpc/virnetprotocol.x)."""

MAX_DEPTH = 256
"""That of libxml2, by which libvirt itself reads (xmlParserMaxDepth without XML_PARSE_HUGE)."""


class UnsafeXML(ValueError):
    """The document is broken, or it is not one that libvirt would write. ``str()`` is the reason."""


class _Builder(ET.TreeBuilder):
    """Passes on elements and text as ElementTree's own builder does, and refuses the rest."""

    _depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnsafeXML(f"the XML is nested deeper than {MAX_DEPTH} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, name: str, pubid: str | None, system: str | None) -> t.NoReturn:
        raise UnsafeXML(f"the XML has a document type ({name}); expected none, as in all that libvirt writes")


def parse(text: str) -> ET.Element:
    """The root element. Raises UnsafeXML."""
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise UnsafeXML(f"the XML has {size} bytes; expected {MAX_BYTES} at most")
    try:
        return ET.fromstring(text, ET.XMLParser(target=_Builder()))
    except ET.ParseError as error:
        raise UnsafeXML(f"the XML is broken: {error}") from None
