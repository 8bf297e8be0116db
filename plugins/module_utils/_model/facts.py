# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading facts out of snapshots so that what is not known can never pass for known.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t


class UnknownFact(Exception):
    """A fact that a check needs could not be read. ``str()`` is the reason."""


class Facts:
    """A snapshot, read by dotted path: ``facts.get("memory.available_mib")``.

    A path that is missing, or listed in the snapshot's ``unknown``, raises UnknownFact with the reason. ``None`` is
    a value like any other: it says that the thing was looked for and is not there.
    """

    def __init__(self, who: str, snapshot: t.Mapping[str, t.Any]) -> None:
        self.who = who
        self._snapshot = snapshot
        self._unknown = {entry["fact"]: entry["reason"] for entry in snapshot.get("unknown", [])}

    def get(self, path: str) -> t.Any:
        parts = path.split(".")
        for end in range(1, len(parts) + 1):
            reason = self._unknown.get(".".join(parts[:end]))
            if reason is not None:
                raise UnknownFact(f"{path} of {self.who} could not be read: {reason}")
        value: t.Any = self._snapshot
        for part in parts:
            if not isinstance(value, t.Mapping) or part not in value:
                raise UnknownFact(f"{path} of {self.who} was not observed")
            value = value[part]
        return value

    def items(self, path: str, key: str) -> list[Facts]:
        """The entries of the list at ``path`` as Facts of their own, each called by its ``key``.

        What the snapshot lists as unknown ``disks.vda.identity`` is the unknown ``identity`` of the entry vda.
        """
        entries = []
        for entry in self.get(path):
            start = f"{path}.{entry[key]}."
            unknown = [
                {"fact": fact[len(start) :], "reason": reason}
                for fact, reason in self._unknown.items()
                if fact.startswith(start)
            ]
            entries.append(Facts(f"{entry[key]} of {self.who}", {**entry, "unknown": unknown}))
        return entries
