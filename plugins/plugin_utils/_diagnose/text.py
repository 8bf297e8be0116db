# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One readable paragraph on a failure: pure.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import HostLog, Outcome

from .classify import Seen

_FIRST = {
    "source": "{source}, the source, failed first.",
    "destination": "{destination}, the destination, failed first.",
    "network": "The network between {source} and {destination} failed first.",
    "client": "The program that controlled the migration failed first; neither host did.",
    "policy": "Nothing broke: the migration was ended on purpose.",
    "unknown": "Which side failed first is not known.",
}
RETRY = {
    "yes": "Another try as it is may succeed.",
    "after_fix": "Try again after that.",
    "other_host": "Another destination may do.",
    "no": "As it is, another try fails too.",
    "resume": "Only resuming the post-copy helps; a new migration does not.",
    "resolve_first": "Do not try again before it is known where the guest runs.",
    "unknown": "Whether another try helps is not known.",
}
_QUOTED = 240


def paragraph(outcome: Outcome, first: Seen | None, who: str, retry: str) -> str:
    """``first``: the line that decides, None where nothing was recognised."""
    hosts = {"source": outcome["source"], "destination": outcome["destination"]}
    sentences = [f"Domain {outcome['domain']}, {outcome['source']} to {outcome['destination']}:"]
    if first is None:
        sentences.append("no known cause was recognised.")
    else:
        sentences.append(f"{_small(first.row.cause)}.")
    sentences.append(_FIRST[who].format(**hosts))
    if first is not None:
        sentences += [f'{_where(first.side, hosts)}: "{_quoted(first.line)}".', f"What to do: {first.row.advice}."]
    return " ".join([*sentences, RETRY[retry], *_unread(outcome)])


def _small(text: str) -> str:
    """The first letter small, unless the first word is a name: QEMU, SSH, AppArmor."""
    named = any(letter.isupper() for letter in text.split()[0][1:]) or text.startswith("Open vSwitch")
    return text if named else text[0].lower() + text[1:]


def _where(side: str, hosts: t.Mapping[str, str]) -> str:
    return "libvirt reported" if side == "error" else f"The log of {hosts[side]} says"


def _quoted(line: str) -> str:
    text = line.strip().rstrip(".")
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED // 4]} ... {text[-_QUOTED * 3 // 4:]}"


def _unread(outcome: Outcome) -> list[str]:
    """The logs that play no part, and why: a cause may stand in them."""
    by_host: dict[str, HostLog] = {log["host"]: log for log in outcome.get("logs", ())}
    sentences = []
    for host in (outcome["source"], outcome["destination"]):
        log = by_host.get(host)
        if log is None:
            sentences.append(f"The log of {host} was not asked for.")
        elif log["unread"] is not None:
            sentences.append(f"The log of {host} could not be read ({log['path']}: {log['unread']}).")
    return sentences
