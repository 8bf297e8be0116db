# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/faults.md from the last result of each fault. `python -m tests.tools.faults_reference [--check]`

With --check nothing is written, and the exit status is 1 when the page is out of date.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.faults import checker
from tests.faults.recording import RECORDED
from tests.faults.table import FAULTS
from tests.tools.export import ROOT
from tests.tools.reference import escape, keep

PAGE = ROOT / "docs" / "faults.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `make faults` and `make docs` from tests/faults/recorded.json. -->
# Faults: kill anything at any moment

`make faults` starts a real migration in the [lab](lab.md) by `playbooks/migrate.yml`, waits for a moment of it, does
harm in libvirt's own event callback, and then runs [`recover`](recover.md), or the same playbook again. A separate
checker (`tests/faults/checker.py`), which knows nothing of the product, then looks at processes, consoles and libvirt's
lists. A fault counts as recovered when

- the guest runs on exactly one host, in the same boot, and goes on ticking and writing to its disk; or, where the fault
  ends the guest itself, that was said, it runs nowhere and it is defined on exactly one host;
- it is defined where it runs and nowhere else, and no mark and no definition of ours is left;
- the run afterwards ended well, and one more `recover` found nothing to do.

`python -m tests.faults --only NAME` repeats one; CI runs others with every commit.
"""


def page() -> str:
    """The page as it should be."""
    records: list[dict[str, Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    dates = sorted({record["date"] for record in records})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    lines = [HEAD, f"Last result of each, {when}:\n", "    " + checker.line(records), ""]
    lines += ["| fault | afterwards | result |", "|---|---|---|"]
    afterwards = {fault.name: fault.then for fault in FAULTS}
    for record in records:
        result, why = checker.judge(record)
        name, what = record["name"], escape(record["what"])
        lines.append(f"| {what} (`{name}`) | `{afterwards[name]}` | {result}: {escape(why)} |")
    missing = [fault.name for fault in FAULTS if fault.name not in {record["name"] for record in records}]
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(), arguments, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
