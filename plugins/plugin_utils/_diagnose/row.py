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


# libvirt and QEMU print some values with %s in one version and with %d in another, and a value can be empty.
_NUMBER = r"[-+]?\d+"
_KINDS = {"d": _NUMBER, "u": _NUMBER, "x": "(?:0x)?[0-9a-f]+"}
_PLACEHOLDER = re.compile(r"%(?:\.\*)?(?:ll|l|z)?([a-z])")


def pattern(message: str) -> re.Pattern[str]:
    """Recognises ``message`` inside a line, whatever stands for its placeholders.

    Case does not count: libvirt has changed the first letters of its messages over the years.
    """
    fixed = _PLACEHOLDER.split(message)
    parts = [_KINDS.get(text, ".*?") if odd % 2 else re.escape(text) for odd, text in enumerate(fixed)]
    return re.compile("".join(parts), re.IGNORECASE)


def weight(message: str) -> int:
    """How many characters of it are fixed: of two messages in a line the heavier one says more."""
    return len(_PLACEHOLDER.sub("", message))


def rendered(message: str, text: str = "abc", number: str = "7") -> str:
    """``message`` as it could be printed."""
    return _PLACEHOLDER.sub(lambda found: number if found[1] in _KINDS else text, message)
