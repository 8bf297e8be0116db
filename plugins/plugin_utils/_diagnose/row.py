# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a diagnosis is, and how a message of libvirt, QEMU or a kernel is recognised by its own format.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t


class Row(t.NamedTuple):
    """One thing that goes wrong, and the messages by which it is known.

    ``layer``: who writes the message; ``side``: source, destination or both; ``phase``: when.
    ``role``: ``cause``; ``wrapper``: the reason is in the rest of the line or before it; ``consequence``: says nothing
    as soon as a cause is known.
    ``first``: who failed first where this is what counts: source, destination, network, client, policy, ``here`` (the
    host in whose log it is), ``unknown``; of consequences also ``peer`` (the other host, or the network between) and
    ``ended`` (this host ended the domain, for whatever reason).
    ``retry``: yes, after_fix, other_host, no, resume (of post-copy), resolve_first (find out where the guest runs),
    depends (on another message).
    ``messages``: as their authors print them, with C's placeholders.
    """

    id: str
    category: str
    layer: str
    side: str
    phase: str
    role: str
    first: str
    retry: str
    cause: str
    advice: str
    messages: tuple[str, ...]


# Sign and 0x are printed or not, depending on who prints.
_KINDS = {"d": r"[-+]?\d+", "u": r"[-+]?\d+", "x": "(?:0x)?[0-9a-f]+"}
_PLACEHOLDER = re.compile(r"%(?:\.\*)?(?:ll|l|z)?([a-z])")


class Message(t.NamedTuple):
    """One message of a row, ready to be looked for. ``fragment``: its longest fixed part, in small letters."""

    row: Row
    regex: re.Pattern[str]
    fragment: str
    weight: int


def message(row: Row, template: str) -> Message:
    """Recognises ``template`` inside a line, whatever stands for its placeholders.

    Case does not count: libvirt has changed the first letters of its messages over the years.
    ``weight``: how many characters of it are fixed; of two messages in a line the heavier one says more.
    """
    parts = _PLACEHOLDER.split(template)
    fixed = parts[::2]
    pieces = [_KINDS.get(text, ".*?") if odd % 2 else re.escape(text) for odd, text in enumerate(parts)]
    regex = re.compile("".join(pieces), re.IGNORECASE)
    return Message(row, regex, max(fixed, key=len).lower(), sum(map(len, fixed)))


def rendered(template: str, text: str = "abc", number: str = "7") -> str:
    """``template`` as it could be printed."""
    return _PLACEHOLDER.sub(lambda found: number if found[1] in _KINDS else text, template)
