# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest, a link and QEMU's loop, page by page on a clock of its own: for tests of the policy, nothing else.

It shares no formula with the product: pages (of 1 MiB) are written one by one into a log, the log goes into QEMU's
bitmap when QEMU reads it, and QEMU switches over by the rule that it has. The same input gives the same run.
"""

from __future__ import annotations

import math
import random
import typing as t
from dataclasses import dataclass, field

STEP_S = 0.01
LOOK_STEPS = 5


@dataclass(frozen=True)
class Writer:
    """Writes ``rate`` MiB/s over ``working_set`` MiB: in sequence, at random, or in bursts (10 s of each 15 s)."""

    touched: int
    working_set: int
    rate: float
    order: str = "random"
    device_mib: float = 2.0
    device_ms: float = 20.0

    def rate_at(self, at_s: float) -> float:
        return 0.05 * self.rate if self.order == "bursts" and at_s % 15 >= 10 else self.rate


@dataclass
class Boundary:
    """What is to be seen at the beginning of a pass; ``remaining`` and ``sent`` in MiB."""

    iteration: int
    at_s: float
    remaining: float
    sent: float
    rate: float
    throttle: int


@dataclass
class Run:
    """How it ended: moved, postcopy, aborted or timeout. ``early``: post-copy was begun before the second pass."""

    result: str = "timeout"
    blackout_ms: float = 0.0
    total_s: float = 0.0
    sent: float = 0.0
    passes: int = 0
    early: bool = False
    limits_ms: list[float] = field(default_factory=list)


class Simulation:
    """One migration. ``act``: called at each boundary with the simulation and what is to be seen."""

    def __init__(
        self,
        writer: Writer,
        link: float,
        act: t.Callable[[Simulation, Boundary], None],
        *,
        limit_ms: float = 300.0,
        base_ms: float = 60.0,
        latency_s: float = 0.02,
        noise: float = 0.03,
        siblings: int = 0,
        auto_converge: tuple[int, int] | None = None,
        poll: tuple[float, t.Callable[[Simulation, Boundary], None]] | None = None,
        seed: int = 1,
    ) -> None:
        self.writer, self.link, self.act = writer, link, act
        self.limit_ms, self.base_ms, self.latency_s, self.noise = limit_ms, base_ms, latency_s, noise
        self.siblings, self.poll = siblings, poll
        self.random = random.Random(seed)
        self.throttling, self.throttle, self.throttle_due = auto_converge, 0, 0
        self.bitmap = dict.fromkeys(range(writer.touched))
        self.log: set[int] = set()
        self.at_s, self.sent, self.iteration, self.cursor = 0.0, 0.0, 1, 0
        self.owed_writes = self.owed_sends = 0.0
        self.sent_at_sync, self.scan = 0.0, 0
        self.queue: list[tuple[float, t.Callable[[], None]]] = []
        self.run = Run()
        self.over, self.steps = False, 0

    # What a policy can do. It arrives a moment later, as libvirt's calls do.
    def set_limit(self, limit_ms: float) -> None:
        self.queue.append((self.at_s + self.latency_s, lambda: self._limit(limit_ms)))

    def yield_siblings(self) -> None:
        self.queue.append((self.at_s + self.latency_s, lambda: setattr(self, "siblings", 0)))

    def postcopy(self) -> None:
        self.queue.append((self.at_s + self.latency_s, self._postcopy))

    def pause(self) -> None:
        self.queue.append((self.at_s + self.latency_s, lambda: self._switch(len(self.bitmap.keys() | self.log))))

    def abort(self) -> None:
        self.queue.append((self.at_s + self.latency_s, lambda: self._end("aborted", 0.0)))

    def simulate(self, timeout_s: float = 60.0) -> Run:
        self._boundary()
        due = 0.0
        while not self.over and self.at_s < timeout_s:
            self.at_s += STEP_S
            for entry in [entry for entry in self.queue if entry[0] <= self.at_s]:
                self.queue.remove(entry)
                entry[1]()
            if self.poll is not None and self.at_s >= due:
                due += self.poll[0]
                self.poll[1](self, self.seen())
            if not self.over:
                self._write()
                self._send()
                self._decide()
        if not self.over:
            self._end("timeout", 0.0)
        return self.run

    def seen(self) -> Boundary:
        return Boundary(self.iteration, self.at_s, len(self.bitmap), self.sent, self._measured(), self.throttle)

    def _rate(self) -> float:
        return self.link / (1 + self.siblings)

    def _measured(self) -> float:
        return self._rate() * (1 + self.noise * (2 * self.random.random() - 1))

    def _limit(self, limit_ms: float) -> None:
        self.limit_ms = limit_ms
        self.run.limits_ms.append(limit_ms)

    def _write(self) -> None:
        self.owed_writes += self.writer.rate_at(self.at_s) * (1 - self.throttle / 100) * STEP_S
        for _write in range(int(self.owed_writes)):
            if self.writer.order == "sequence":
                self.cursor = (self.cursor + 1) % self.writer.working_set
                self.log.add(self.cursor)
            elif self.writer.working_set:
                self.log.add(self.random.randrange(self.writer.working_set))
        self.owed_writes -= int(self.owed_writes)

    def _send(self) -> None:
        self.owed_sends += self._rate() * STEP_S
        for _page in range(min(int(self.owed_sends), len(self.bitmap))):
            self.scan = next(iter(self.bitmap))
            del self.bitmap[self.scan]
            self.sent += 1
        self.owed_sends -= int(self.owed_sends)

    def _decide(self) -> None:
        """QEMU's migration_iteration_run: the estimate first, then the exact figure, which begins a pass.

        It looks when it has sent for 50 ms (MAX_WAIT), or has nothing more to send.
        """
        self.steps += 1
        empty = not self.bitmap
        if (self.steps % LOOK_STEPS and not empty) or len(self.bitmap) >= self._measured() * self.limit_ms / 1000:
            return
        self._sync()
        if not self.over and len(self.bitmap) < self._measured() * self.limit_ms / 1000:
            self._switch(len(self.bitmap))

    def _sync(self) -> None:
        dirtied = len(self.log)
        # It goes on where it was (ram_find_and_save_block).
        left = sorted(self.bitmap.keys() | self.log)
        self.bitmap = dict.fromkeys([page for page in left if page >= self.scan] + [p for p in left if p < self.scan])
        self.log = set()
        self.iteration += 1
        if self.throttling and dirtied > 0.5 * (self.sent - self.sent_at_sync):
            self.throttle_due += 1
            if self.throttle_due >= 2:
                self.throttle_due = 0
                first, more = self.throttling
                self.throttle = min(99, self.throttle + more if self.throttle else first)
        self.sent_at_sync = self.sent
        self._boundary()

    def _boundary(self) -> None:
        self.act(self, self.seen())

    def _switch(self, left: int) -> None:
        pause = (left + self.writer.device_mib) / self._rate() * 1000 + self.writer.device_ms + self.base_ms
        self.sent += left
        self._end("moved", pause)

    def _postcopy(self) -> None:
        self.run.early = self.iteration < 2
        left = len(self.bitmap.keys() | self.log)
        pause = self.writer.device_mib / self._rate() * 1000 + self.writer.device_ms + self.base_ms
        self.sent += left
        self.at_s += left / self._rate()
        self._end("postcopy", pause)

    def _end(self, result: str, pause_ms: float) -> None:
        self.over = True
        self.run.result, self.run.blackout_ms = result, pause_ms
        self.run.total_s, self.run.sent = self.at_s + pause_ms / 1000, self.sent
        self.run.passes = self.iteration - 1


def dirty_in(window_s: float, writer: Writer) -> float:
    """Pages written at least once at random: the expectation, for comparison."""
    return writer.working_set * (1 - math.exp(-writer.rate * window_s / writer.working_set))
