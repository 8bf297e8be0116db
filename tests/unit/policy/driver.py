# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy at the wheel of a simulated migration, as the migrate room will have it at a real one."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.livemig.libvirt.plugins.module_utils._forecast.api import Forecast, Guest, Sample
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import PolicyDecision
from ansible_collections.livemig.libvirt.plugins.module_utils._policy import api as policy
from tests.unit.policy.simulator import Boundary, Run, Simulation, Writer

CONTINUE = "continue"


@dataclass
class Driven:
    """``attempts``: one, or two where it was begun again; ``forecasts``: at each boundary."""

    run: Run
    start: policy.Start
    decisions: list[PolicyDecision] = field(default_factory=list)
    forecasts: list[Forecast] = field(default_factory=list)
    attempts: list[Run] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        return [entry["action"] for entry in self.decisions if entry["action"] != CONTINUE]

    @property
    def reason(self) -> str:
        return self.decisions[-1]["reason"]


def guest(writer: Writer, link: float, sampled: bool = False) -> Guest:
    """What is known beforehand; with ``sampled``, its rate and working set too."""
    return Guest(
        touched_mib=writer.touched,
        link_mib_s=link,
        dirty_mib_s=writer.rate if sampled else None,
        working_set_mib=writer.working_set if sampled else None,
        device_mib=writer.device_mib,
        device_ms=writer.device_ms,
    )


def drive(
    writer: Writer,
    link: float,
    profile: policy.Profile,
    *,
    sampled: bool = False,
    siblings: int = 0,
    obstacles: t.Sequence[str] = (),
    known_link: bool = True,
    **world: t.Any,
) -> Driven:
    """A whole migration, with the second attempt where the policy asks for it."""
    known = guest(writer, link if known_link else 0.0, sampled)
    state, start = policy.begin(known, profile, 0.0, siblings=siblings, obstacles=obstacles)
    driven = Driven(Run(), start)
    parameters = start.parameters if "VIR_MIGRATE_AUTO_CONVERGE" in start.flags else None
    if start.refused is not None:
        driven.run.result = "refused"
        return driven
    for _attempt in range(2):
        # They have the link again once an attempt is over.
        others = 0 if state.yielded == 0 else siblings
        began_s = sum(run.total_s for run in driven.attempts)
        state = _attempt_once(driven, state, writer, link, parameters, others, world, began_s)
        if state.over != "throttle":
            break
        parameters = driven.decisions[-1]["parameters"]
        state = policy.again(state, began_s + driven.run.total_s)
    return driven


def _attempt_once(
    driven: Driven,
    state: policy.State,
    writer: Writer,
    link: float,
    parameters: t.Mapping[str, int] | None,
    siblings: int,
    world: t.Mapping[str, t.Any],
    began_s: float,
) -> policy.State:
    """``began_s``: on the clock of the policy; each simulation has one of its own."""
    held = [state]
    calls: dict[str, t.Callable[[Simulation, PolicyDecision], None]] = {
        "continue": lambda _simulation, _decision: None,
        "wait": lambda simulation, decision: simulation.set_limit(decision["max_downtime_ms"] or 0),
        "lower_downtime": lambda simulation, decision: simulation.set_limit(decision["max_downtime_ms"] or 0),
        "raise_downtime": lambda simulation, decision: simulation.set_limit(decision["max_downtime_ms"] or 0),
        "yield_bandwidth": lambda simulation, _decision: simulation.yield_siblings(),
        "postcopy": lambda simulation, _decision: simulation.postcopy(),
        "throttle": lambda simulation, _decision: simulation.abort(),
        "abort": lambda simulation, _decision: simulation.abort(),
    }

    def act(simulation: Simulation, seen: Boundary) -> None:
        sample = Sample(seen.iteration, began_s + seen.at_s, seen.remaining, seen.sent, seen.rate, seen.throttle)
        held[0], decisions = policy.step(held[0], sample)
        if decisions:
            driven.forecasts.append(policy.now(held[0]))
        for decision in decisions:
            driven.decisions.append(decision)
            calls[decision["action"]](simulation, decision)

    slow = None if parameters is None else (parameters["auto_converge.initial"], parameters["auto_converge.increment"])
    simulation = Simulation(writer, link, act, limit_ms=state.limit_ms, siblings=siblings, auto_converge=slow, **world)
    driven.run = simulation.simulate()
    driven.attempts.append(driven.run)
    return held[0]
