# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One migration that is to be brought to its end: its two hosts, what is known of it, and how both are asked.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._libvirt import LIBVIRT_ERRORS, Connect, Connection, find_domain
from .._model.api import LivemigError, Move, Way, way_of
from . import intent
from .guard import HELD, RELEASED
from .intent import Intent
from .records import Records
from .truth import APART_S, FENCED, PAUSED, PAUSED_MIGRATION, SILENT, Place, look, place


class End(t.NamedTuple):
    """One host of a migration. ``uri``: by which this process reaches it; None: it has no way there."""

    name: str
    uri: str | None
    fenced: bool = False


class Rules(t.NamedTuple):
    """``wait_s``: how long a job that is under way is waited for; then, or at once where it is 0, it is left alone.

    ``abort``: it is aborted instead. ``return_s``: how long a daemon may be silent. ``apart_s``: between two looks.
    ``leave``: actions that are not done. ``look_only``: none is.
    """

    wait_s: float = 0.0
    abort: bool = False
    return_s: float = 15.0
    apart_s: float = APART_S
    leave: t.Collection[str] = ()
    look_only: bool = False


class Case(t.NamedTuple):
    """One migration and everything that is needed to end it. ``here``: the host of this process; ``others``: hosts to
    which the domain may have gone on."""

    intent: Intent
    source: End
    destination: End
    connect: Connect
    records: Records
    here: str
    others: tuple[End, ...] = ()

    @property
    def uuid(self) -> str:
        return self.intent.move["uuid"]

    @property
    def state(self) -> str:
        """The domain's when it was planned to move: running, paused or shutoff."""
        return way_of(self.intent.move)["state"]

    def going(self, way: Way) -> Case:
        """The same by another way."""
        move: Move = {**self.intent.move, "way": way}
        return self._replace(intent=self.intent._replace(move=move))

    @contextlib.contextmanager
    def open(self, end: End) -> t.Iterator[Connection]:
        if end.uri is None:
            raise LivemigError(
                f"Host {end.name}",
                value="no URI",
                expected="the URI of its libvirt",
                remedy="name it in the option uris of livemig.libvirt.recover",
            )
        connection = self.connect(end.uri)
        try:
            yield connection
        finally:
            with contextlib.suppress(*LIBVIRT_ERRORS):
                connection.close()

    @property
    def held(self) -> bool:
        """The source was paused by guard.py, and not by a user, and was not resumed since."""
        mine = (entry for entry in self.records.entries(self.intent.run) if entry.get("uuid") == self.uuid)
        said = [entry["event"] for entry in mine if entry["event"] in (HELD, RELEASED, "begun")]
        return said[-1:] == [HELD]

    def released(self) -> None:
        """What pauses it from now on is not guard.py."""
        if self.held:
            # A full disk must not keep the guest's functions from coming back.
            with contextlib.suppress(LivemigError):
                self.records.note(self.intent.run, RELEASED, uuid=self.uuid, domain=self.intent.move["domain"])

    def look(self, end: End, rules: Rules, job: bool = False) -> Place:
        if end.fenced:
            return Place(FENCED)
        if end.uri is None:
            return Place(SILENT)
        found = look(self.connect, end.uri, self.uuid, rules.return_s, job)
        if found.word == PAUSED and end == self.source and self.held:
            return found._replace(word=PAUSED_MIGRATION)
        return found

    def still(self, connection: Connection, end: End, words: t.Collection[str]) -> t.Any:
        """The domain, read once more right before it is acted upon.

        Raises LivemigError where it is something else now.
        """
        now = place(connection, self.uuid)
        domain = find_domain(connection, self.uuid)
        mark = None if domain is None else intent.read(domain)
        if mark is not None and mark.run != self.intent.run:
            raise LivemigError(
                f"Domain {self.intent.move['domain']} on {end.name}",
                value=f"it bears the mark of run {mark.run}",
                expected=f"that of run {self.intent.run}, or none",
                remedy="run recover again on all hosts: it has begun to move once more since",
            )
        held = now.word == PAUSED and end == self.source and self.held
        if not held and now.word not in words:
            raise LivemigError(
                f"Domain {self.intent.move['domain']} on {end.name}",
                value=now.word,
                expected=" or ".join(sorted(words)),
                remedy="run recover again: the hosts have changed meanwhile",
            )
        return domain
