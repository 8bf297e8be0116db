# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/agreement.md from the last whole run. `python -m tests.tools.agreement_reference [--check]`

With --check nothing is written, and the exit status is 1 when the page is out of date.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import version_text
from tests.integration.agreement import checker, recording, tables
from tests.integration.agreement.case import CLEAN, HAND, MUTATION
from tests.tools.export import ROOT
from tests.tools.reference import escape, keep

PAGE = ROOT / "docs" / "agreement.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `make agreement` and `make docs` from tests/integration/agreement/recorded.json. -->
# Are the verdicts right?

A pre-flight that cries wolf is switched off, and one that misses is worse than none. So `make agreement` holds the
verdicts against the truth on real hypervisors of the [lab](lab.md). For each case it records what preflight and plan
say. Then it starts the migration all the same, by the module's own code with nothing but its refusal taken out, and
records what libvirt said and what became of the guest: its process, its ticks for at least 10 s afterwards, the mark
that it left on its disk when it booted, its network as seen from a third place, and its definitions on both hosts. A
separate checker (`tests/integration/agreement/checker.py`), which knows nothing of the product, joins the two:

| result | verdict | what happened |
|---|---|---|
| agreed | allowed | the guest moved and is well |
| agreed | refused, for the reason that was planted | libvirt refused too, or the guest was harmed |
| missed | allowed, or refused for another reason only | libvirt refused, or the guest was harmed |
| false | refused | the guest moved and is well |
| stricter | refused, and the case says why | the guest moved; where the lab can show the risk, it was seen |

The cases by hand were written from the catalogue of checks alone, by somebody who had not read the code of the checks.
The mutations are made by a generator with a fixed seed. `python -m tests.integration.agreement --only NAME` repeats one
case, `--sample 20 --seed 7` some; CI runs others with every commit. The unit tests give all recorded verdicts anew with
the code as it is, and `make mutants` breaks the product on purpose and sees them turn red.
"""
KINDS = {HAND: "Misconfigurations, made by hand", CLEAN: "Guests that nothing speaks against", MUTATION: "Mutations"}
COUNTED = (checker.AGREED, checker.MISSED, checker.FALSE, checker.STRICTER, checker.UNFIT)


def page() -> str:
    """The page as it should be."""
    records, seen = recording.load(recording.RECORDED)
    parts = checker.tables(records)
    real, faked, beyond = parts[checker.REAL], parts[checker.FAKED], parts[checker.BEYOND]
    dates = sorted({record["date"] for record in records})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    lines = [HEAD, f"Last result of each case, {when}; {_versions(seen)}.\n", "    " + checker.line(real), ""]
    lines += _counts(real)
    lines += _stricter(real)
    for kind, title in KINDS.items():
        lines += [f"## {title}", "", *_table([record for record in real if record["kind"] == kind])]
    if beyond:
        lines += ["## What no look beforehand can tell", "", "These are missed, do not count, and are named here.", ""]
        lines += [f"- {escape(record['what'])} ({record['name']}): {record['beyond']}" for record in beyond] + [""]
    untried = [case.name for case in tables.every() if case.name not in seen]
    if untried:
        lines += ["## Not tried yet", "", f"{len(untried)} cases have no result so far: {', '.join(untried)}.", ""]
    if faked:
        lines += ["## Faked facts", "", "These rest on a file of the kernel that was bound over, and do not count.", ""]
        lines += _table(faked)
    return "\n".join(lines)


def _versions(seen: Mapping[str, Any]) -> str:
    """Of each host, as it was seen first."""
    hosts: dict[str, str] = {}
    for entry in seen.values():
        for host in entry["hosts"]:
            versions = [version_text(host.get(f"{part}_version") or 0) for part in ("libvirt", "qemu")]
            hosts.setdefault(host["name"], "libvirt {}, QEMU {}".format(*versions))
    return "; ".join(f"{name}: {versions}" for name, versions in sorted(hosts.items()))


def _counts(records: Sequence[Any]) -> list[str]:
    lines = [f"| cases | {' | '.join(COUNTED)} |", "|---|" + "---:|" * len(COUNTED)]
    for kind, title in KINDS.items():
        found = Counter(checker.judge(record).result for record in records if record["kind"] == kind)
        lines.append(f"| {title} | " + " | ".join(str(found[word]) for word in COUNTED) + " |")
    return [*lines, ""]


def _stricter(records: Sequence[Any]) -> list[str]:
    lines = ["## Where we are stricter than libvirt", "", "| case | why | risk seen in the lab |", "|---|---|---|"]
    for record in records:
        if checker.judge(record).result == checker.STRICTER:
            seen = f"`{record['shows']}`" if record["shows"] else "no"
            lines.append(f"| {escape(record['what'])} | {escape(record['stricter'])} | {seen} |")
    return [*lines, ""]


def _table(records: Sequence[Any]) -> list[str]:
    lines = ["| case | verdict | what happened |", "|---|---|---|"]
    for record in records:
        found = checker.judge(record)
        checks = dict.fromkeys(entry["check"] for entry in record["verdict"].get("reasons", ()))
        verdict = "refused: " + ", ".join(f"`{check}`" for check in checks) if checks else "allowed"
        truth = "moved" if found.truth == "moved" else f"{found.truth}: {_first(found.why)}"
        lines.append(f"| {escape(record['what'])} ({record['name']}) | {verdict} | {escape(truth)} |")
    return [*lines, ""]


def _first(text: str, most: int = 160) -> str:
    line = " ".join(text.split()).partition(" (on ")[0]
    return line if len(line) <= most else line[: most - 4].rstrip() + " ..."


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(), arguments, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
