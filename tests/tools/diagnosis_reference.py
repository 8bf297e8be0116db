# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/diagnoses.md from the table of diagnoses. `python -m tests.tools.diagnosis_reference [--check]`

With --check nothing is written, and the exit status is 1 when the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.api import ROWS, Row
from tests.tools.export import ROOT
from tests.tools.reference import escape, keep

PAGE = ROOT / "docs" / "diagnoses.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `python -m tests.tools.diagnosis_reference`. Change the rows of _diagnose, not this page. -->
# The diagnoses

What is recognised in the errors and logs of a migration that failed; [diagnosis.md](diagnosis.md) says how. The
messages are as their authors print them: `%s` stands for a text, `%d`, `%u` and `%x` for a number.

- **role**: `cause`, `wrapper` (the reason stands in the rest of the line or before it), `consequence` (says nothing
  where a cause is known).
- **failed first**: who, where this decides; `here` is the host in whose log it stands, `peer` the other one or the
  network, `ended` that the host gave up for whatever reason.
- **retry**: `yes`; `after_fix`; `other_host`; `no`; `resume` of a post-copy migration; `resolve_first`, find out
  first where the guest runs; `depends` on another message.
"""


def page(rows: Iterable[Row]) -> str:
    """The page as it should be."""
    known = sorted(rows, key=lambda row: (row.category, row.id))
    parts = [HEAD, f"{len(known)} diagnoses, {sum(len(row.messages) for row in known)} messages.\n"]
    for category in dict.fromkeys(row.category for row in known):
        parts.append(f"## {category.capitalize()}\n")
        parts += [_section(row) for row in known if row.category == category]
    return "\n".join(parts)


def _section(row: Row) -> str:
    facts = {
        "role": row.role,
        "said by": row.layer,
        "on": row.side,
        "phase": row.phase,
        "failed first": row.first or "unknown",
        "retry": row.retry,
    }
    return (
        f"### {row.id}\n\n{escape(row.cause)}.\n\n- What to do: {escape(row.advice)}.\n"
        f"- {'; '.join(f'{name}: `{value}`' for name, value in facts.items())}\n"
        + "".join(f"- {escape(message)}\n" for message in row.messages)
    )


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(ROWS), arguments, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
