# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check is, what it looks at, and the evaluators of the common shapes.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._model.api import Answers, Facts, Question, UnknownFact
from .._model.types import Edit, Scope, Severity
from .fleet import Fleet

Policy = t.Mapping[str, t.Any]
"""``tls``: required (the default) or off; ``uris``: destination name -> URI by which the sources reach it;
``unreachable``: host name -> why no snapshot of it came; ``migration``: what the migration is to use (see MIGRATION);
``controls``: what the user has decided about checks (see controls.py); ``edits``: what may be rewritten in a
definition (see edits.py); ``convergence``: what a migration may cost (see profile.py)."""

AUTO = "auto"
"""By facts: see connections in way.py. To the checks it is one stream: what needs more has to say how many."""

MIGRATION: t.Mapping[str, t.Any] = {
    "abort_on_error": False,
    "auto_converge": False,
    "bandwidth_mib_s": 0,
    "compression": [],
    "copy_disks": [],
    "copy_storage": "none",
    "disks_port": 0,
    "disks_uri": "",
    "listen_address": "",
    "live": True,
    "max_downtime_ms": 0,
    "offline": False,
    "parallel": AUTO,
    "paused": False,
    "peer2peer": True,
    "persist": True,
    "postcopy": False,
    "timeout_s": 0,
    "tls_destination": "",
    "transport": "tcp",
    "tunnelled": False,
    "undefine_source": True,
    "unsafe": False,
    "vf": AUTO,
    "vf_immediate": False,
    "vf_pin_mib_s": 0,
    "zerocopy": False,
}
"""What a migration may use, and what holds where the policy says nothing. ``copy_storage``: none, all or inc;
``copy_disks``: targets, empty for libvirt's own choice; ``compression``: libvirt's names of methods; ``parallel``:
connections, 0 for one that is not called parallel, auto by the link; ``transport``: tcp, unix or rdma;
``disks_port``, ``disks_uri``: where copies of disks go, 0 and empty for libvirt's own choice; ``paused``: the guest is
not resumed at the destination; ``tls_destination``: the name in the destination's certificate; 0 is no limit.

``vf``: what becomes of virtual functions, chosen by facts where it is auto; ``vf_immediate``: the memory of a guest
that has one is allocated at once at the destination; ``vf_pin_mib_s``: the destination's rate of allocating and pinning
memory, 0: as measured there."""

Need = t.Hashable
"""What a domain needs of a destination, in a form that is equal for domains with the same need."""


@dataclass(frozen=True)
class Problem:
    """What a check found: ``what``: ``value``; expected ``expected``. What is left out is taken from the check.

    ``unknown``: it could not be evaluated, and ``value`` is the reason.
    """

    what: str
    value: str
    expected: str | None = None
    remedy: str | None = None
    severity: Severity | None = None
    unknown: bool = False
    edit: Edit | None = None


@dataclass(frozen=True)
class View:
    """What one evaluation of a check may look at. Which parts are there depends on the scope:

    ``domain`` and the ``needs`` of a pair: domain, source; ``host``: host, role; ``link``: source, destination; the
    ``lacks`` of a pair: destination, and source where the requirement says so. ``fleet`` is there always.
    """

    policy: Policy
    answers: Answers = field(default_factory=dict)
    domain_name: str | None = None
    source_name: str | None = None
    destination_name: str | None = None
    role: str = ""
    silent: str | None = None
    facts: t.Mapping[str, Facts] = field(default_factory=dict)
    fleet: Fleet = field(default_factory=Fleet)

    @property
    def domain(self) -> Facts:
        return self.facts["domain"]

    @property
    def host(self) -> Facts:
        return self.facts["host"]

    @property
    def source(self) -> Facts:
        return self.facts["source"]

    @property
    def destination(self) -> Facts:
        return self.facts["destination"]

    @property
    def there(self) -> str:
        """The destination's name."""
        return self.destination_name or ""

    @property
    def link(self) -> str:
        return f"{self.source_name} to {self.destination_name}"

    @property
    def tls(self) -> bool:
        return bool(self.policy.get("tls", "required") == "required")

    def option(self, name: str) -> t.Any:
        """What the migration is to use, or the default."""
        value = self.policy.get("migration", {}).get(name, MIGRATION[name])
        return 0 if name == "parallel" and value == AUTO else value

    def answer(self, host: str | None, key: str) -> Facts:
        """What ``host`` answered to a question. Raises UnknownFact where it was not asked or could not tell."""
        answer = self.answers.get(host or "", {}).get(key)
        if answer is None:
            raise UnknownFact(f"host {host} was not asked about {key}")
        if "error" in answer:
            raise UnknownFact(f"host {host} could not tell about {key}: {answer['error']}")
        return Facts(f"{key} on host {host}", answer)


Evaluate = t.Callable[[View], t.Iterable[Problem]]


def _nothing(_view: View, _need: t.Any) -> t.Iterable[Question]:
    return ()


@dataclass(frozen=True)
class Requirement:
    """The two halves of a check of scope ``pair``: what a domain needs, and whether a destination lacks it.

    Needs that are equal are looked at once for each destination, however many domains have them; so a need holds what
    ``lacks`` must know and nothing else. ``{domain}`` in the texts of a problem becomes the domain's name.

    needs: of a view with domain and source; a Problem among them speaks against all destinations.
    lacks: of a view with the destination (and with the source where ``uses_source``), and one need.
    asks: what must be asked of the destination before ``lacks`` can say; the same view, and one need.
    asks_source: the same of the source, where ``uses_source``.
    """

    needs: t.Callable[[View], t.Iterable[t.Any]]
    lacks: t.Callable[[View, t.Any], t.Iterable[Problem]]
    asks: t.Callable[[View, t.Any], t.Iterable[Question]] = _nothing
    asks_source: t.Callable[[View, t.Any], t.Iterable[Question]] = _nothing
    uses_source: bool = False


Asks = t.Callable[[View], t.Iterable[tuple[str, Question]]]
"""(which host, question) pairs that a check of scope host or link needs answered."""


@dataclass(frozen=True)
class Check:
    """One row of the catalogue. ``id`` is public and never changes its meaning.

    on_unknown: ``stop`` rules the move out, and is used only where a double run, data loss or the loss of a guest is
    possible; otherwise ``warn``.
    evidence: ``lab`` (seen firing there under real conditions), ``nested lab``, ``recorded`` (its facts were recorded
    on real hosts), ``source`` (read in the source or the documentation of libvirt or QEMU).
    volatile: looked at again right before the start; it reads nothing of the hosts but what libvirt tells, and asks
    nothing.
    fixed: the user cannot silence or lower it, since it stands between a guest and its second instance.
    first: decides whether anything else can be said; it alone is evaluated for a host that does not answer or a domain
    that does not run.
    """

    id: str
    category: str
    severity: Severity
    scope: Scope
    title: str
    expected: str
    remedy: str
    evaluate: Evaluate | None = None
    requires: Requirement | None = None
    asks: Asks | None = None
    on_unknown: t.Literal["stop", "warn"] = "warn"
    evidence: t.Literal["lab", "nested lab", "recorded", "source"] = "source"
    volatile: bool = False
    first: bool = False
    fixed: bool = False


def unknown(reason: object, what: str = "", remedy: str | None = None) -> Problem:
    return Problem(what, str(reason), remedy=remedy, unknown=True)


NOT_EVALUATED = (UnknownFact, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a check may end with instead of a verdict; all but the first is a fault of the check, and is said to be one."""


def not_evaluated(reason: Exception) -> Problem:
    """A check that stumbles over what was observed has said nothing, and must not keep the others from speaking."""
    if isinstance(reason, UnknownFact):
        return unknown(reason)
    return unknown(f"this check has a fault, which shows with what was observed: {type(reason).__name__}: {reason}")


_T = t.TypeVar("_T")


def each(items: t.Iterable[Facts], judge: t.Callable[[Facts], t.Iterable[_T]]) -> t.Iterator[_T | Problem]:
    """What the judge says of every item; what cannot be said of one does not hide what is said of the next."""
    for item in items:
        try:
            yield from judge(item)
        except NOT_EVALUATED as reason:
            yield not_evaluated(reason)


def fact_in(part: str, path: str, good: t.Container[object], what: str) -> Evaluate:
    """The fact has one of the good values. ``what`` names the thing, ``{who}`` its owner."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        facts = view.facts[part]
        value = facts.get(path)
        if value not in good:
            yield Problem(what.format(who=facts.who), str(value))

    return evaluate


def facts_differ(path: str, what: str) -> Evaluate:
    """Source and destination do not have the same value."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        value = view.source.get(path)
        if value == view.destination.get(path):
            yield Problem(f"{what} of {view.source_name} and {view.destination_name}", f"{value} on both")

    return evaluate


def version_text(version: int) -> str:
    """libvirt's integer as people write it: 11003000 is 11.3.0."""
    return f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}"


def version_not_less(path: str, what: str, hard_below: int | None = None) -> Evaluate:
    """The destination's version is not older. Where it differs by less than ``hard_below`` it is only a warning."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        here, there = view.source.get(path), view.destination.get(path)
        if there >= here:
            return
        soft = hard_below is not None and here // hard_below == there // hard_below
        yield Problem(
            f"{what} of {view.destination_name}",
            version_text(there),
            expected=f"{version_text(here)}, as on {view.source_name}, or newer",
            severity="warning" if soft else None,
        )

    return evaluate
