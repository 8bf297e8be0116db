# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/firing.md from what the lab has recorded. `python -m tests.tools.firing_reference [--check]`

With --check nothing is written, and the exit status is 1 when the page is out of date.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import CHECKS
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import version_text
from tests.firing import rows
from tests.tools.export import ROOT
from tests.tools.reference import escape, keep

PAGE = ROOT / "docs" / "firing.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `make firing` and `make docs` from tests/unit/preflight/data/fired. -->
# Checks that were seen firing

`make firing` makes each of these conditions on real hypervisors of the [lab](lab.md), looks, undoes it, and keeps what
was seen. A check counts as seen where it fires under its condition and says nothing about a plain guest without it;
unit tests replay both. `python -m tests.firing --only CHECK` repeats one, `make fired` lists them. CI repeats some of
them, others with every commit.
"""


def page() -> str:
    """The page as it should be."""
    known = rows.recorded()
    faked = [entry for entry in known if entry["faked"]]
    summary = (
        f"{len(known) - len(faked)} of {len(CHECKS)} checks were seen firing under a real condition, {len(faked)} more "
        "under a faked one (a file of the kernel that was bound over).\n"
    )
    return "\n".join([HEAD, summary, "| check | condition | |", "|---|---|---|", *map(_row, known), ""])


def _row(entry: dict[str, Any]) -> str:
    used = {host["name"] for host in entry["fired"]["hosts"]}
    numbers = "; ".join(f"{host}: {entry['versions'][host]}" for host in sorted(used & set(entry["versions"])))
    versions = re.sub(r"\d{7,}", lambda found: version_text(int(found[0])), numbers)
    notes = [entry["versions"]["date"], *(["faked"] if entry["faked"] else []), versions]
    return f"| `{entry['check']}` | {escape(entry['how'])} | {', '.join(notes)} |"


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(), arguments, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
