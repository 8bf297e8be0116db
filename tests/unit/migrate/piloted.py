# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt with a guest whose passes leave what a test says, and a clock that only they move. For tests of the pilot."""

from __future__ import annotations

import time
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import converge, one, watch
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.shares import Shares
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Outcome
from tests.unit.migrate.standin import Domain, Host
from tests.unit.migrate.test_migrate import UUID, Pair, go, move, quick

libvirt = _libvirt.libvirt
MIB = 1024 * 1024
LINK = 64
"""MiB/s of the stand-in's link."""


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    source, destination = Host("hv1", 1), Host("hv2", 2)
    source.add(UUID)
    return Pair(source, destination, Records(str(tmp_path / "state"), str(tmp_path / "run")))


class Clock:
    """The time of the events; what waits in earnest gets none of it."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class Memory:
    """libvirt with a guest whose passes leave ``left`` MiB each: one entry for each pass from the second on.
    ``meanwhile``: what else happens in the pass of that number.

    It ends as QEMU does: at a limit that what is left fits in, with post-copy, or aborted.
    """

    def __init__(self, pair: Pair, left: t.Sequence[float], touched: float = 128, earlier: int = 0) -> None:
        self.pair, self.left, self.touched, self.earlier = pair, left, touched, earlier
        self.asked: list[tuple[dict[str, t.Any], int]] = []
        self.meanwhile: dict[int, t.Callable[[], object]] = {}
        self.aborted = False

    def __call__(self, domain: Domain, _uri: str, parameters: dict[str, t.Any], flags: int) -> None:
        source, self.aborted = domain.host, False
        self.asked.append((parameters, flags))
        domain.abort = lambda _domain: setattr(self, "aborted", True)
        sent, copied = 0.0, self.touched
        source.iterate(UUID, self.earlier + 1)
        pause()
        for number, left in enumerate(self.left, 2):
            sent += copied
            domain.stats = {
                "memory_iteration": self.earlier + number,
                "memory_remaining": int(left * MIB),
                "memory_processed": int(sent * MIB),
                "memory_bps": LINK * MIB,
            }
            self.meanwhile.get(number - 1, lambda: None)()
            NOW.now += copied / LINK
            source.iterate(UUID, self.earlier + number)
            pause()
            if self.aborted:
                raise libvirt.libvirtError("operation aborted: job 'migration out' canceled by client")
            copied = left
            if "postcopy" in domain.calls:
                self._over(domain, 5.0, "POSTCOPY")
                return
            if left <= LINK * domain.limit_ms / 1000:
                self._over(domain, left)
                return
        self._over(domain, self.left[-1])

    def _over(self, domain: Domain, left: float, how: str = "MIGRATED") -> None:
        source, destination = domain.host, self.pair.destination
        source.send(UUID, "SUSPENDED", f"SUSPENDED_{how}")
        NOW.now += left / LINK
        source.complete(UUID, {"downtime": round(left / LINK * 1000)})
        destination.add(UUID)
        destination.send(UUID, "RESUMED", f"RESUMED_{how}")
        del source.domains[UUID]


NOW = Clock()


def pause() -> None:
    """Until the pilot, which has a thread of its own, has looked at the pass."""
    time.sleep(0.15)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converge, "LISTEN_S", 0.02)
    monkeypatch.setattr(watch.Timeline.__init__, "__defaults__", (NOW,))
    monkeypatch.setattr(Shares.__init__, "__defaults__", (NOW,))
    for module in (converge, one):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=NOW, sleep=time.sleep))


def run(pair: Pair, left: t.Sequence[float], **changes: t.Any) -> tuple[Outcome, Memory, list[str]]:
    memory = Memory(pair, left)
    domain = pair.source.domains[UUID]
    domain.migration = memory
    (result,) = go(pair, [move(**changes)], quick())
    return result, memory, [call for call in domain.calls if call.split()[0] in ("limit", "postcopy", "speed")]


def actions(result: Outcome) -> list[str]:
    return [decision["action"] for decision in result["decisions"]]
