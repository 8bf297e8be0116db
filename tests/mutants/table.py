# SPDX-License-Identifier: GPL-3.0-or-later
"""The mutants: what is broken where, and which suite must see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AGREEMENT = "tests.integration.agreement.replay"
FAULTS = "tests.faults"
PYTEST = "pytest"


@dataclass(frozen=True)
class Mutant:
    """old stands exactly once in the file and is replaced by new. suite: the module that must then fail, with words."""

    name: str
    file: str
    old: str
    new: str
    suite: str
    words: tuple[str, ...] = ()

    def apply(self, package: Path) -> None:
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has {text.count(self.old)} times '{self.old}', expected 1")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


_PREFLIGHT = "plugins/module_utils/_preflight"
_MIGRATE = "plugins/module_utils/_migrate"
_SRIOV = "plugins/module_utils/_sriov"
_CRASHES = ("-q", "-x", "tests/unit/sriov/test_crashes.py")

# Each needs the lab, and the fault that only the broken part can end well.
IN_THE_LAB: tuple[Mutant, ...] = (
    Mutant(
        "the_guard_sleeps",
        f"{_MIGRATE}/guard.py",
        "    if _suspended(asks, uuid):",
        "    if asks is None and _suspended(asks, uuid):",
        FAULTS,
        ("--only", "dest-daemon-killed-resumed-no-disk"),
    ),
    Mutant(
        "the_source_wins",
        f"{_MIGRATE}/settle.py",
        "    verdict.FINISH_CONFIRM: _finish_confirm,",
        "    verdict.FINISH_CONFIRM: _resume_source,",
        FAULTS,
        ("--only", "source-daemon-killed-resumed"),
    ),
    Mutant(
        "the_definition_stays",
        f"{_MIGRATE}/settle.py",
        "                _undefine(leftover)\n    notes = _unmark(case, case.destination)",
        "                pass\n    notes = _unmark(case, case.destination)",
        FAULTS,
        ("--only", "source-daemon-killed-resumed"),
    ),
    Mutant(
        "the_journal_is_not_read",
        f"{_MIGRATE}/recover.py",
        "records.open_moves().items()",
        "()",
        FAULTS,
        ("--only", "redefined"),
    ),
    Mutant(
        "the_dead_are_not_reported",
        f"{_MIGRATE}/verdict.py",
        'Verdict("ended", RELEASE_ENDED, "ended", None, "the domain runs on neither host: it has ended meanwhile")',
        'Verdict("moved", RELEASE_ENDED, "moved", "destination", "the domain runs at the destination")',
        FAULTS,
        ("--only", "source-qemu-killed-precopy"),
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a_check_always_passes",
        f"{_PREFLIGHT}/engine.py",
        "problems = list(_lacking(requires, view, need))",
        'problems = [] if check.id == "net_bridge_exists" else list(_lacking(requires, view, need))',
        AGREEMENT,
    ),
    Mutant(
        "unknown_is_ok",
        f"{_PREFLIGHT}/engine.py",
        '"blocks": check.on_unknown == "stop" if problem.unknown else severity == "error",',
        '"blocks": not problem.unknown and severity == "error",',
        AGREEMENT,
    ),
    Mutant(
        "source_and_destination_swapped",
        f"{_PREFLIGHT}/world.py",
        """facts = {"destination": self.facts(destination)}
        silent = self.silent(destination)
        if source is not None:
            facts["source"] = self.facts(source)
""",
        """facts = {"destination": self.facts(source or min({*self.hosts} - {destination}, default=destination))}
        silent = self.silent(destination)
        if source is not None:
            facts["source"] = self.facts(destination)
""",
        AGREEMENT,
    ),
    Mutant(
        "nothing_is_attached_again",
        f"{_SRIOV}/restore.py",
        "    return _attached(side, nic, at_source, journal, rules)",
        "    return Restored()",
        PYTEST,
        _CRASHES,
    ),
    Mutant(
        "the_return_of_a_detach_is_believed",
        f"{_SRIOV}/transaction.py",
        '        if said == REMOVED and find(source.live() or "<domain/>", nic) is None:',
        "        if said != REFUSED:",
        PYTEST,
        _CRASHES,
    ),
    Mutant(
        "a_mac_address_is_one_function",
        f"{_SRIOV}/nic.py",
        "        known = self.mac is not None and not self.twin",
        "        known = self.mac is not None",
        PYTEST,
        _CRASHES,
    ),
    Mutant(
        "the_intent_goes_first",
        f"{_MIGRATE}/settle.py",
        """        notes = nics.put_back(case, end, connection)
        intent.remove(connection.lookupByUUIDString(case.uuid))
""",
        """        intent.remove(connection.lookupByUUIDString(case.uuid))
        notes = nics.put_back(case, end, connection)
""",
        PYTEST,
        _CRASHES,
    ),
)
