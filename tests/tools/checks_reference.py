# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/checks.md from the registry of checks. `python -m tests.tools.checks_reference [--check]`

With --check nothing is written, and the exit status is 1 when the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import yaml

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import CHECKS, Check
from tests.tools.export import ROOT
from tests.tools.reference import escape, keep

PAGE = ROOT / "docs" / "checks.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `python -m tests.tools.checks_reference`. Change the checks, not this page. -->
# The checks

Every check of [preflight](preflight.md), by category. The names are public: they keep their meaning, and playbooks
may rely on them.

- **scope**: `host` is looked at once for each host and its role, `link` once for each source and destination, `domain`
  once for each domain, `pair` for each domain and destination.
- **unknown**: what happens where the check could not be evaluated. `stop` rules the move out, since a double run, data
  loss or the loss of a guest is possible; `warn` is only said.
- **last look**: evaluated once more on both hosts right before a migration starts.
- **evidence**: `lab`, seen firing under a real condition, and silent without it (`python -m tests.firing --list` names
  the conditions); `recorded`, its facts were recorded on real hosts; `source`, read in the source or the documentation
  of libvirt, QEMU or the kernel.

A severity of `error` rules the move out, a `warning` does not. A check may give a milder severity to a milder case.
"""


LEFT_OUT = """\
## Left out

Conditions that were thought of, and for which there is no check.

| id | why |
|---|---|
"""


def left_out() -> dict[str, str]:
    """Id -> why there is no check, of everything that was thought of."""
    folder = ROOT / "tests" / "tools" / "left_out"
    return {
        check: str(reason)
        for path in sorted(folder.glob("*.yml"))
        for check, reason in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items()
    }


def page(checks: Iterable[Check], without: Mapping[str, str]) -> str:
    """The page as it should be."""
    rows = sorted(checks, key=lambda check: (check.category, check.id))
    parts = [HEAD]
    for category in sorted({check.category for check in rows}):
        parts.append(f"## {category.capitalize()}\n")
        parts += [_section(check) for check in rows if check.category == category]
    reasons = "".join(f"| `{check}` | {escape(' '.join(why.split()))} |\n" for check, why in sorted(without.items()))
    parts.append(LEFT_OUT + reasons)
    return "\n".join(parts)


def _section(check: Check) -> str:
    facts = {
        "severity": check.severity,
        "scope": check.scope,
        "unknown": check.on_unknown,
        "last look": "yes" if check.volatile else "no",
        "evidence": check.evidence,
    }
    return (
        f"### {check.id}\n\n{escape(check.title)}.\n\n"
        f"- Expected: {escape(check.expected)}.\n- Remedy: {escape(check.remedy)}.\n"
        f"- {'; '.join(f'{name}: `{value}`' for name, value in facts.items())}\n"
    )


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(CHECKS, left_out()), arguments, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
